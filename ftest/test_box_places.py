"""Hostile stacks and slugs, and the whole hsup-box: what a dyno finds where, and what is left."""
import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
import signal
import tempfile
import threading

import pytest

from boxes import ENDED, NET_NONE, STAGE_APP, STAGE_BINDS, STAGE_STACK, Box
from hsup import children_of, wait_until
from test_box_root import (LOOK, PLACES, SLUG_OWNER, Machine, check_mounts, exchange, left, put_in_place, table)
from wire import box, record, spec

SLUG, HOSTNAME, BIND = 13, 14, 15
UIDS = (4200, 4299)


class Whole(Machine):
    """The same folders, and hsup-box itself."""

    def __init__(self, folder, build):
        super().__init__(folder, build)
        self.boxes_made = []
        self.run_folder = folder / "run"
        self.run_folder.mkdir()

    def begin(self, script, stack="bb", slug=None, binds=(), name=None):
        self.boxes += 1
        extra = box(name=name or f"p{os.getpid()}-{self.boxes}", network=NET_NONE, stack=stack)
        for kind, texts in ((SLUG, [slug] if slug else []), (BIND, binds)):
            for text in texts:
                extra += record(kind, str(text).encode() + b"\0")
        fd = spec("/bin/sh", ["sh", "-c", script], env=("PATH=/usr/bin:/bin", "HOME=/app"), directory="/app",
                  extra=extra)
        made = Box(fd, [f"LIBCONTAINER_DYNO_UID_MIN={UIDS[0]}", f"LIBCONTAINER_DYNO_UID_MAX={UIDS[1]}",
                        "LIBCONTAINER_DYNO_SUBNET=10.201.2.0/24", f"HSUP_BOX_RUN={self.run_folder}",
                        f"HSUP_BOX_STATE={self.state}", f"HSUP_BOX_STACKS={self.stacks}",
                        f"HSUP_BOX_SLUGS={self.slugs}", f"HSUP_BOX_BINDS={self.binds}"])
        os.close(fd)
        self.boxes_made.append(made)
        return made

    def whole(self, script, **how):
        made = self.begin(script, **how)
        code, told = made.wait(30)
        assert told[0] == ENDED, told
        return code, made.text.decode()


@pytest.fixture
def whole(build):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hsup-places-"))
    folder.chmod(0o755)
    before = left(folder)
    machine = Whole(folder, build)
    try:
        yield machine
    finally:
        for made in machine.boxes_made:
            made.close()
        ours = [pathlib.Path(p) for p in pathlib.Path("/sys/fs/cgroup").glob(f"*/hsup/p{os.getpid()}-*")]
        for path in ours:
            path.rmdir()
        assert [p.name for p in machine.canary.iterdir()] == ["here"]
        shutil.rmtree(folder)
    assert left(folder) == before


def test_all_is_in_its_place(whole):
    whole.stack()
    slug = whole.slug()
    code, text = whole.whole(
        f"{LOOK}; pwd; id -u; ls -ln /app/file; echo x >> file && cat file; (echo x > /x) 2>&1;"
        " cat /proc/1/environ 2>&1; ls /proc/self/fd", slug=slug)
    found = check_mounts(text)
    assert found["/app"][0] == "overlay"
    lines = [line for line in text.splitlines() if " - " not in line]
    uid = int(lines[1])
    assert lines[0] == "/app" and UIDS[0] <= uid <= UIDS[1]
    assert lines[2].split()[2:4] == [str(uid), str(uid)]
    assert lines[3:5] == ["of the slug", "x"] and "Read-only" in lines[5] and "denied" in lines[6]
    assert (slug / "file").stat().st_uid == SLUG_OWNER


@pytest.mark.parametrize("what", ["absolute", "relative", "escaping", "magic", "file", "fifo"])
def test_hostile_stacks(whole, what):
    for number, place in enumerate(PLACES):
        put_in_place(whole.stack(f"bad{number}"), place, what, whole.canary)
        code, text = whole.whole(f"{LOOK}; echo x > /tmp/x && echo x > /app/x && echo fine", stack=f"bad{number}")
        check_mounts(text)
        assert code == 0 and text.endswith("fine\n"), place


def test_what_is_refused_is_told(whole):
    whole.stack()
    for how, stage in (({"stack": "none"}, STAGE_STACK), ({"slug": whole.canary}, STAGE_APP),
                       ({"binds": [f"{whole.canary}:/data"]}, STAGE_BINDS)):
        made = whole.begin("echo ran", **how)
        code, told = made.wait()
        assert code == 127 and told[0] == stage and told[1] > 0 and made.text == b""


def test_a_stack_is_held_as_long_as_its_dyno_lives(whole):
    """By its init alone, through a folder from which nothing else of the machine can be reached."""
    whole.stack()
    stack = os.open(whole.stacks / "bb", os.O_RDONLY)
    try:
        made = whole.begin("echo runs; exec busybox sleep 60")
        assert made.read(until=b"runs\n").endswith(b"runs\n")
        with pytest.raises(BlockingIOError):
            fcntl.flock(stack, fcntl.LOCK_EX | fcntl.LOCK_NB)
        here = os.fstat(stack).st_ino

        def held():
            found = []
            for path in pathlib.Path(f"/proc/{made.pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):  # its init closes some when the dyno already runs
                    if path.stat().st_ino == here:
                        found.append(path)
            return found
        wait_until(lambda: len(held()) == 1, "all but one to be closed")
        assert os.stat(f"{held()[0]}/..").st_ino == here
        [dyno] = children_of(made.pid)
        assert not [path for path in pathlib.Path(f"/proc/{dyno}/fd").iterdir() if path.stat().st_ino == here]
        os.kill(dyno, signal.SIGKILL)
        made.wait(30)
        fcntl.flock(stack, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever has it alone is about to remove it.
        code, told = whole.begin("echo ran").wait()
        assert code == 127 and told[:2] == (STAGE_STACK, errno.EBUSY)
    finally:
        os.close(stack)


def test_a_stack_that_changes_while_dynos_start(whole):
    root = whole.stack()
    folder = os.open(root, os.O_PATH)
    for place in ("etc", "proc", "dev", "app"):
        (root / place).mkdir()
        (root / f"{place}.bad").symlink_to(whole.canary)
    done = threading.Event()

    def storm():
        while not done.is_set():
            for place in ("etc", "proc", "dev", "app"):
                exchange(folder, place, f"{place}.bad")

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        for _ in range(50):
            code, text = whole.whole(f"{LOOK}; echo x > /tmp/x && echo x > /app/x")
            check_mounts(text)
            assert code == 0
    finally:
        done.set()
        thread.join()
        os.close(folder)


def test_the_machines_root(whole):
    code, text = whole.whole(f"{LOOK}; cat /etc/shadow 2>&1; ls /home 2>&1; python3 -c 'print(6 * 7)'", stack="host")
    found = table(text)
    assert "ro" in found["/usr"][2] and text.endswith("\n42\n") and text.count("No such file") == 2
