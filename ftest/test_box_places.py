"""Hostile stacks and slugs, and the whole hsup-box: what a dyno finds where, and what is left."""
import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
import signal
import stat
import tempfile
import threading

import pytest

import cgroups
from boxes import ENDED, NET_NONE, STAGE_APP, STAGE_BINDS, STAGE_STACK, Box, libc
from hsup import children_of, wait_until
from test_box_root import (LOOK, PLACES, SLUG_OWNER, Machine, check_mounts, exchange, left, put_in_place, table)
from wire import box, record, spec

SLUG, HOSTNAME, BIND = 13, 14, 15
UIDS = (4200, 4299)
USER = 4298  # without root
CLONE_NEWNS = 0x20000


class Whole(Machine):
    """The same folders, and hsup-box itself."""

    def __init__(self, folder, build):
        super().__init__(folder, build)
        self.boxes_made = []
        self.run_folder = folder / "run"
        self.run_folder.mkdir()

    def begin(self, script, stack="bb", slug=None, binds=(), name=None, own=None, **how):
        self.boxes += 1
        run, state = own or (self.run_folder, self.state)
        extra = box(name=name or f"p{os.getpid()}-{self.boxes}", network=NET_NONE, stack=stack)
        for kind, texts in ((SLUG, [slug] if slug else []), (BIND, binds)):
            for text in texts:
                extra += record(kind, str(text).encode() + b"\0")
        fd = spec("/bin/sh", ["sh", "-c", script], env=("PATH=/usr/bin:/bin", "HOME=/app"), directory="/app",
                  extra=extra)
        made = Box(fd, [f"LIBCONTAINER_DYNO_UID_MIN={UIDS[0]}", f"LIBCONTAINER_DYNO_UID_MAX={UIDS[1]}",
                        "LIBCONTAINER_DYNO_SUBNET=10.201.2.0/24", f"HSUP_BOX_RUN={run}",
                        f"HSUP_BOX_STATE={state}", f"HSUP_BOX_STACKS={self.stacks}",
                        f"HSUP_BOX_SLUGS={self.slugs}", f"HSUP_BOX_BINDS={self.binds}"], **how)
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
        for path in cgroups.of_boxes(f"p{os.getpid()}-*"):
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
    """By its init alone, through a file that nobody else can open."""
    whole.stack()
    made = whole.begin("echo runs; exec busybox sleep 60")
    assert made.read(until=b"runs\n").endswith(b"runs\n")
    path = whole.stacks / ".locks/bb"
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent)] == [0o600, 0o700]
    with open(path) as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        here = os.fstat(file.fileno()).st_ino

        def opened(of):
            found = []
            for path in pathlib.Path(f"/proc/{made.pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):  # its init closes some when the dyno already runs
                    found += [path] if of(path) else []
            return found
        wait_until(lambda: len(opened(lambda path: path.stat().st_ino == here)) == 1, "all but one to be closed")
        # From a folder, ".." would lead to what else the machine has.
        wait_until(lambda: not opened(lambda path: path.is_dir()), "all folders to be closed")
        [dyno] = children_of(made.pid)
        assert not [path for path in pathlib.Path(f"/proc/{dyno}/fd").iterdir() if path.stat().st_ino == here]
        os.kill(dyno, signal.SIGKILL)
        made.wait(30)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever has it alone is about to remove it.
        code, told = whole.begin("echo ran").wait()
        assert code == 127 and told[:2] == (STAGE_STACK, errno.EBUSY)


def test_a_stranger_s_lock_keeps_nobody_from_starting(whole):
    """Whoever may read a folder may lock it."""
    folder = whole.stack()
    fds = [os.open(path, os.O_RDONLY) for path in (whole.stacks, whole.stacks / "bb", folder)]
    for fd in fds:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert whole.whole("echo ran") == (0, "ran\n")
    # A file of locks that others can open is none of ours.
    (whole.stacks / ".locks/bb").chmod(0o644)
    fds.append(os.open(whole.stacks / ".locks/bb", os.O_RDONLY))
    fcntl.flock(fds[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert whole.whole("echo ran") == (0, "ran\n")
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("made_before", [False, True])
def test_stacks_that_cannot_be_written_to(whole, made_before):
    """Who is not there in the lock cannot be held either; who is, is."""
    whole.stack()
    path = whole.stacks / ".locks/bb"
    if made_before:
        path.parent.mkdir(mode=0o700)
        path.touch(mode=0o600)

    mounts = "mount --make-rprivate / && mount --bind {0} {0} && mount -o remount,bind,ro {0}".format(whole.stacks)

    def before():
        assert libc.unshare(CLONE_NEWNS) == 0 and os.system(mounts) == 0
    made = whole.begin("echo runs; exec busybox sleep 60", before=before)
    assert made.read(until=b"runs\n").endswith(b"runs\n"), made.wait()
    assert path.exists() == made_before
    if made_before:
        with open(path) as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("whose", ["root", "user"])
def test_a_stack_without_root(whole, whose):
    """Of another's stacks he has no lock, and need not have one."""
    whole.stack()
    own = [whole.folder / name for name in ("own-run", "own-state")]
    for path in own:
        path.mkdir()
        os.chown(path, USER, USER)
    lock = whole.stacks / ".locks/bb"
    if whose == "user":
        os.chown(whole.stacks, USER, USER)
    else:
        assert whole.whole("echo ran") == (0, "ran\n")
    made = whole.begin("echo runs; exec busybox sleep 60", own=own, rootless=USER)
    assert made.read(until=b"runs\n").endswith(b"runs\n"), made.wait()
    with open(lock) as file:
        assert os.fstat(file.fileno()).st_uid == (USER if whose == "user" else 0)
        if whose == "user":
            with pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


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
