"""hsup-box from its spec to its end: who is born, who is told what, and what is left."""
import ctypes
import errno
import fcntl
import os
import pathlib
import pty
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time

import pytest

import cgroups
from box_machine import lock
from boxes import (ENDED, MARK, NET_HOST, NET_NONE, NET_OWN, PROGRAM, PTY, SANITIZED, STAGE_BOX,
                   STAGE_DIRECTORY, STAGE_EXEC, STAGE_NAMESPACES, STAGE_NETWORK, STAGE_POLICY, STAGE_SPEC, STAGE_SWEEP,
                   STAGE_TERMINAL, STAGE_UID, Box, Boxes, Held, box, inside, libc, network_of_the_test, nofile, nproc,
                   own_of, spec, umask)
from hsup import PATIENCE, wait_until
from wire import alive, readable

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def boxes():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hsup-box-"))
    folder.chmod(0o755)
    made = Boxes(folder)
    yield made
    made.close()
    shutil.rmtree(folder)


@pytest.fixture
def network(boxes):
    """Others may run these tests, with the same uids and so the same links, at the same time."""
    with network_of_the_test():
        yield
        boxes.close()


def status(made, *names):
    """Lines of /proc/self/status that the box has written."""
    lines = dict(line.split(":\t", 1) for line in made.text.decode().splitlines() if ":\t" in line)
    return [lines[name].strip() for name in names]


# ---- how it ends ----

@pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
def test_exit_codes(boxes, code):
    assert boxes.shell(f"exit {code}").wait() == (code, (ENDED, code << 8))


@pytest.mark.parametrize("signo", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_death_by_signal_is_told_as_one(boxes, signo):
    made = boxes.shell(f"kill -{int(signo)} $$")
    code, (stage, told) = made.wait()
    assert code == 128 + signo and stage == ENDED
    assert os.WIFSIGNALED(told) and os.WTERMSIG(told) == signo


def test_all_end_with_the_first(boxes):
    """Also who has left its session, and its orphans; and before the uid is free."""
    read, write = os.pipe()
    made = boxes.shell("setsid sleep 100 & (sleep 100 & sleep 100) & echo up; read x", stdin=read)
    assert made.read() == b"up\n"

    def sleepers():
        found = [pid for pid, command in inside(made).items() if command.startswith("sleep")]
        return found if len(found) == 3 else None
    others = wait_until(sleepers, "three that sleep")
    os.write(write, b"x\n")
    assert made.wait()[0] == 0
    assert not any(alive(pid) for pid in others)
    os.close(read), os.close(write)


def test_orphans_are_reaped(boxes):
    read, write = os.pipe()
    made = boxes.shell("for i in 1 2 3 4 5 6 7 8; do (sh -c 'exit 0' &) ; done; echo up; read x", stdin=read)
    assert made.read() == b"up\n"
    children = pathlib.Path(f"/proc/{made.pid}/task/{made.pid}/children")
    wait_until(lambda: len(children.read_text().split()) == 1, "all but the dyno to be reaped")
    os.write(write, b"\n")
    assert made.wait()[0] == 0
    os.close(read), os.close(write)


# ---- signals ----

TRAPS = "trap 'echo %s; exit 7' %s; echo up; while :; do sleep 0.05; done"


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "USR1", "WINCH", "QUIT"])
def test_signals_are_passed_on(boxes, name):
    made = boxes.shell(TRAPS % (name, name))
    assert made.read() == b"up\n"
    made.signal(getattr(signal, f"SIG{name}"))
    code, _ = made.wait()
    assert code == 7 and name.encode() in made.text


def test_signals_reach_every_process(boxes):
    made = boxes.shell("trap 'echo first' USR1; setsid sh -c 'trap \"echo second; exit 0\" USR1; echo up;"
                       " while :; do sleep 0.05; done' & wait; wait")
    assert made.read() == b"up\n"
    made.signal(signal.SIGUSR1)
    made.wait()
    assert {b"first", b"second"} <= set(made.text.split())


def test_who_has_no_handler_dies_of_it(boxes):
    made = boxes.shell("echo up; exec sleep 100")
    assert made.read() == b"up\n"
    made.signal(signal.SIGTERM)
    assert made.wait() == (128 + signal.SIGTERM, (ENDED, int(signal.SIGTERM)))


def test_a_signal_before_the_program_is_not_lost(boxes):
    """It waits from before hsup-box was executed."""
    for _ in range(10):
        made = boxes.shell("sleep 100", before=lambda: time.sleep(0.05))
        made.signal(signal.SIGTERM)
        assert made.wait() == (128 + signal.SIGTERM, (ENDED, int(signal.SIGTERM)))


def test_what_its_own_send_to_init_is_not_for_all(boxes):
    made = boxes.shell("trap 'echo got' TERM; sleep 0.3; kill -TERM 1; sleep 0.3; echo end")
    assert made.wait()[0] == 0 and made.text == b"end\n"


def stopped(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def test_stop_and_continue(boxes):
    made = boxes.shell("echo up; sleep 100 & wait")
    assert made.read() == b"up\n"
    pids = list(wait_until(lambda: (lambda found: found if len(found) == 2 else None)(inside(made)), "both"))
    assert libc.sigqueue(made.pid, signal.SIGRTMAX, ctypes.c_void_p(int(signal.SIGSTOP))) == 0
    wait_until(lambda: all(stopped(pid) for pid in pids), "their stop")
    assert not stopped(made.pid)
    made.signal(signal.SIGCONT)
    wait_until(lambda: not any(stopped(pid) for pid in pids), "that they go on")
    made.signal(signal.SIGTERM)
    assert made.wait()[0] == 128 + signal.SIGTERM


# ---- what its process is ----

def test_nothing_is_left_of_what_it_was(boxes):
    made = boxes.shell("cat /proc/self/status")
    assert made.wait()[0] == 0
    assert status(made, "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") == ["0" * 16] * 5
    assert status(made, "NoNewPrivs", "Seccomp", "Groups") == ["1", "2", ""]
    assert status(made, "SigBlk", "SigIgn") == ["0" * 16] * 2
    assert status(made, "Uid") == ["4100\t4100\t4100\t4100"] == status(made, "Gid")


def test_init_is_no_more_than_its_dyno(boxes):
    made = boxes.shell("echo up; sleep 100")
    assert made.read() == b"up\n"

    def sandboxed():
        text = pathlib.Path(f"/proc/{made.pid}/status").read_bytes()
        return text if b"Seccomp:\t2" in text else None
    made.text = wait_until(sandboxed, "its filter")
    assert status(made, "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") == ["0" * 16] * 5
    assert status(made, "Uid", "Gid", "Groups") == ["4100\t4100\t4100\t4100"] * 2 + [""]
    assert status(made, "NoNewPrivs", "Seccomp") == ["1", "2"]

    def descriptors():
        found = {int(fd.name): os.readlink(fd) for fd in pathlib.Path(f"/proc/{made.pid}/fd").iterdir()}
        return found if "anon_inode:[signalfd]" in found.values() else None
    links = wait_until(descriptors, "the last that it does before it waits")
    files = sorted(os.path.basename(target) for target in links.values() if target.startswith("/"))
    assert files == sorted(["boxes.lock", "native.uids", made.name])
    assert len(links) == 6 and 1 in links and 2 in links  # and its signals
    assert MARK.encode() in pathlib.Path(f"/proc/{made.pid}/environ").read_bytes()
    assert pathlib.Path(f"/proc/{made.pid}/cmdline").read_bytes().rstrip(b"\0") == b"hsup-box"


def test_init_is_small(boxes):
    made = [boxes.shell("echo up; sleep 100") for _ in range(4)]
    for one in made:
        one.read()

    def size(what):
        rollup = pathlib.Path(f"/proc/{made[1].pid}/smaps_rollup").read_text().splitlines()
        return {line.split()[0]: int(line.split()[1]) for line in rollup[1:]}[what]
    # (A sanitizer's memory is its own affair.)
    wait_until(lambda: size("Pss_Anon:") <= (8000 if SANITIZED else 100), "what it needs no more to be given back")
    # With glibc the program itself is larger: what all boxes share.
    wait_until(lambda: size("Pss:") <= 120 or b"GLIBC_" in PROGRAM.read_bytes(), "all of it to be small")


def test_init_cannot_be_looked_into(boxes):
    made = boxes.shell("for f in environ mem exe fd root cwd; do ls /proc/1/$f/ 2>&1; cat /proc/1/$f; done 2>&1;"
                       " grep -c HSUP_CHILD /proc/1/environ; env")
    made.wait()
    assert b"0123456789abcdef" not in made.text
    assert made.text.count(b"Permission denied") >= 8


@pytest.mark.parametrize("junk", [("/",) * 20, ("/proc/self/ns/net", "/dev/tty0", "/sys/fs/cgroup", "/proc") * 5])
def test_no_descriptor_leaks(boxes, junk):
    made = boxes.shell("ls /proc/$$/fd; ls -l /proc/$$/fd", junk=[p for p in junk if os.path.exists(p)])
    assert made.wait()[0] == 0
    assert made.text.split()[:3] == [b"0", b"1", b"2"]
    assert made.text.count(b" -> ") == 3


def test_a_directory_that_is_gone(boxes):
    def stand_nowhere():
        os.chdir(tempfile.mkdtemp())
        os.rmdir(os.getcwd())

    made = boxes.shell("pwd; ls -d", before=stand_nowhere)
    assert made.wait()[0] == 0 and made.text == b"/\n.\n"


def test_limits_and_umask(boxes):
    made = boxes.shell("ulimit -Sn; ulimit -Hn; ulimit -c; umask; ulimit -p",
                       extra=nofile(100) + umask(0o27) + nproc(33))
    assert made.wait()[0] == 0
    assert made.text.split() == [b"100", b"4096", b"0", b"0027", b"33"]
    made = boxes.shell("ulimit -Sn; umask", extra=nofile(1 << 40))
    assert made.wait()[0] == 0
    assert made.text.split() == [b"4096", b"0022"]


def test_its_output_is_its_own(boxes):
    made = boxes.shell("echo one > /dev/stdout; echo two > /dev/stderr")
    assert made.wait()[0] == 0
    assert sorted(made.text.split()) == [b"one", b"two"]
    assert os.fstat(made.out).st_uid == 4100


def test_its_input_is_not_held(boxes):
    """Who writes to it is told when the dyno has closed it."""
    read, write = os.pipe()
    made = boxes.shell("exec < /dev/null; echo up; sleep 100", stdin=read)
    os.close(read)
    assert made.read() == b"up\n"
    deadline = time.monotonic() + PATIENCE / 4
    with pytest.raises(BrokenPipeError):
        while time.monotonic() < deadline:
            os.write(write, b"x")
            time.sleep(0.01)
    os.close(write)


# ---- what it refuses ----

def test_what_cannot_be_executed(boxes):
    assert boxes.start("/nowhere").wait() == (127, (STAGE_EXEC, errno.ENOENT))
    assert boxes.start("nowhere").wait() == (127, (STAGE_EXEC, errno.ENOENT))
    assert boxes.start("/etc/passwd").wait() == (127, (STAGE_EXEC, errno.EACCES))
    assert boxes.start("true", env=["PATH=/nowhere:/usr/bin"]).wait() == (0, (ENDED, 0))


def test_directories(boxes):
    assert boxes.shell("pwd", directory="/nowhere").wait() == (127, (STAGE_DIRECTORY, errno.ENOENT))
    made = boxes.shell("pwd", directory=None)
    assert made.wait()[0] == 0 and made.text == b"/app\n"


def test_specs_that_are_none(boxes):
    refused = (127, (STAGE_SPEC, errno.EBADMSG))
    assert boxes.start("true", raw=b"junk").wait() == refused
    assert boxes.start("true", extra=b"\1").wait() == refused
    assert boxes.start("true", network=7).wait() == refused
    assert boxes.start("true", name="../etc").wait() == refused
    assert boxes.start("true", name="a/b").wait() == refused
    assert boxes.start("true", seal=False).wait() == (127, (STAGE_SPEC, errno.EPERM))


def test_a_network_that_was_not_settled(boxes):
    refused = (127, (STAGE_POLICY, errno.EPERM))
    assert boxes.start("true", network=NET_OWN).wait() == refused
    own = boxes.settings(LIBCONTAINER_DYNO_NETWORK="own")
    assert boxes.start("true", network=NET_HOST, settings=own).wait() == refused
    assert boxes.start("true", network=NET_HOST).wait() == (0, (ENDED, 0))


def test_settings_that_are_none(boxes):
    for wrong in ("LIBCONTAINER_DYNO_UID_MIN=0", "HSUP_BOX_RUN=relative", "UNKNOWN=1"):
        made = boxes.start("true", settings=[*boxes.settings(), wrong])
        assert made.wait() == (127, (STAGE_BOX, errno.EINVAL))
        assert made.text.startswith(b"hsup-box: ") and made.text.count(b"\n") == 1


def test_it_must_be_first(boxes):
    fd = spec("true", ["true"], extra=box(name="not-first", network=NET_NONE))
    other = Box(fd, boxes.settings(), first=False)
    assert other.wait() == (127, (STAGE_NAMESPACES, errno.EINVAL))
    os.close(fd)
    other.close()


@pytest.mark.parametrize("args", [
    [], ["run"], ["--slot=1"], ["--nofile=1:2"], ["--slot=x", "--nofile=1:2"], ["--slot=1", "--nofile=2:1"],
    ["--slot=1", "--nofile=1"], ["--what"], ["--slot=99999999", "--nofile=1:2"], ["--help", "x"],
])
def test_wrong_arguments(args):
    done = subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 64 and done.stdout == ""
    assert done.stderr.startswith("hsup-box: ") and done.stderr.count("\n") == 1


def test_help_and_version():
    assert "--setup" in subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    assert subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.startswith("hsup-")


# ---- the end is told before the kernel is done ----

def locks_of(boxes, made):
    """Whoever comes next could not have these."""
    held = []
    for path, start, length in ((boxes.run / "native.uids", boxes.uids[0], 1), (boxes.run / "boxes" / made.name, 0, 0),
                                (boxes.state / "boxes.lock", 0, 0)):
        with open(path, "r+b") as file:
            try:
                fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0))  # OFD_SETLK
            except BlockingIOError:
                held.append(path.name)
    return held


def test_a_claim_that_is_just_being_let_go_of(boxes):
    """By a sweep that does not run for a while."""
    claims = boxes.run / "boxes"
    claims.mkdir(mode=0o700)
    with open(claims / "slow", "w+b") as file:
        fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))  # OFD_SETLK
        made = boxes.shell("echo up", name="slow")
        time.sleep(0.6)
    assert made.read() == b"up\n", made.wait()


def test_who_sweeps_with_other_locks_leaves_the_living(boxes):
    """Each hsup may have a RUN of its own, and all of them one STATE. No cgroup says that he lives."""
    made = boxes.shell("echo up; exec sleep 100")
    assert made.read() == b"up\n"
    layer, dead = boxes.state / "boxes" / made.name, boxes.state / "boxes" / f"{made.name}-dead"
    other = boxes.settings(HSUP_BOX_RUN=boxes.run.parent / "other")

    def sweep(*names):
        script = 'umount -l /sys/fs/cgroup; exec "$0" --sweep "$@"'
        return subprocess.run(["unshare", "-m", "sh", "-c", script, PROGRAM, *names, *other], capture_output=True,
                              text=True, check=True, stdin=subprocess.DEVNULL).stdout.splitlines()
    dead.mkdir()
    assert sweep("--dry-run") == [f"would remove box {dead.name}"]
    assert sweep() == [f"removed box {dead.name}"]
    assert layer.exists() and not dead.exists() and os.path.exists(f"/proc/{made.pid}/exe")
    assert boxes.start("sweep", made.name, mode=3, settings=other).wait() == (127, (STAGE_SWEEP, errno.EBUSY))
    made.signal(signal.SIGKILL)
    made.wait()
    assert sweep() == [f"removed box {made.name}"]
    assert not layer.exists()


STAYS = "(trap '' TERM HUP; setsid sleep 100 & sleep 101) & echo begun; read go; "


@pytest.mark.parametrize("lives", [0, 0.1])  # it has not given up its privileges yet, or has
@pytest.mark.parametrize("end, status", [("exit 7", 7), ("kill -SEGV $$", 139), ("kill -9 $$", 137)])
def test_the_end_is_told(boxes, lives, end, status):
    """Nothing of it runs any more, and nothing that the next life needs is held."""
    boxes.uids = (4140, 4140)
    reading, writing = os.pipe()
    made = boxes.shell(STAYS + end, tells=True, stdin=reading)
    assert made.read(b"begun\n") == b"begun\n"
    own = own_of(made)
    wait_until(lambda: len(inside(made, own)) >= 3, "all of it")
    assert locks_of(boxes, made) == ["native.uids", made.name, "boxes.lock"]
    time.sleep(lives)
    os.write(writing, b"\n")
    told = made.ended()
    assert told[0] == status << 8
    assert not inside(made, own) and locks_of(boxes, made) == []
    assert made.wait() == (status, (ENDED, status << 8 if status == 7 else status - 128))
    assert made.ended() is None  # once
    for fd in (reading, writing):
        os.close(fd)


def test_its_usage_is_told(boxes):
    """As a reap would: of all that it has waited for."""
    busy = "import time; a = bytearray(50 << 20)\nwhile time.process_time() < 0.2: pass"
    made = boxes.start("/usr/bin/python3", "-c", busy, tells=True)
    status, user, system, rss = made.ended()
    _, reaped, usage = os.wait4(made.pid, 0)
    made.status = reaped
    assert (status, reaped) == (0, 0)
    assert 0.19 < user + system <= usage.ru_utime + usage.ru_stime < user + system + 0.1
    assert 50 << 10 < rss <= usage.ru_maxrss


def test_who_has_joined_is_gone_too_or_nothing_is_told(boxes):
    made = boxes.shell("echo begun; exec sleep 100", tells=True)
    assert made.read() == b"begun\n"
    held = Held(made.pid)  # dies with it, but is there for whoever looks
    os.kill(made.pid, signal.SIGTERM)
    assert made.ended() is None
    held.release()
    assert made.wait() == (143, (ENDED, signal.SIGTERM))


def test_an_init_that_is_killed_tells_nothing(boxes):
    made = boxes.shell("echo begun; exec sleep 100", tells=True)
    assert made.read() == b"begun\n"
    made.signal(signal.SIGKILL)
    assert made.ended() is None
    assert made.wait() == (-signal.SIGKILL, (0, 0))


def test_who_is_not_born_tells_why_and_no_end(boxes):
    made = boxes.start("/no/such/program", tells=True)
    assert made.ended()[0] == 127 << 8
    assert made.wait() == (127, (STAGE_EXEC, errno.ENOENT))


# ---- uids ----

def uid_of(made):
    assert made.wait()[0] == 0
    return int(made.text)


def test_two_at_once_have_two(boxes):
    made = [boxes.shell("id -u; exec sleep 100") for _ in range(5)]
    uids = [int(one.read()) for one in made]
    assert sorted(uids) == list(range(4100, 4105))


def test_a_uid_comes_again_as_late_as_can_be(boxes):
    boxes.uids = (4110, 4112)
    assert [uid_of(boxes.start("id", "-u")) for _ in range(5)] == [4110, 4111, 4112, 4110, 4111]


def test_a_death_frees_it(boxes):
    boxes.uids = (4120, 4120)
    made = boxes.shell("id -u; exec sleep 100")
    assert made.read() == b"4120\n"
    began = time.monotonic()
    assert boxes.start("true").wait() == (127, (STAGE_UID, errno.EAGAIN))
    assert time.monotonic() - began > 0.19
    made.signal(signal.SIGKILL)
    assert uid_of(boxes.start("id", "-u")) == 4120


def waits_for_a_uid(made):
    process = pathlib.Path(f"/proc/{made.pid}")

    def waits():
        try:
            return (process / "comm").read_text() == "hsup-box\n" and \
                any(os.readlink(link).endswith("/native.uids") for link in (process / "fd").iterdir()) and \
                (process / "stat").read_text().rpartition(")")[2].split()[0] == "S"
        except OSError:  # one that was open is not any more
            return False
    wait_until(waits, "it to wait")


def test_one_that_is_just_ending_is_waited_for(boxes):
    """By its uid's lock, which here is the test's: it lets go of it when it sees that somebody waits."""
    boxes.uids = (4121, 4121)
    fd = os.open(boxes.run / "native.uids", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    lock(fd, fcntl.F_WRLCK, 4121, 1)
    made = boxes.start("id", "-u")
    waits_for_a_uid(made)
    os.close(fd)
    assert uid_of(made) == 4121


def test_locks_that_go_while_they_are_waited_for(boxes):
    """The last of others takes all away: it has all uids when it removes their file."""
    boxes.uids = (4122, 4122)
    path = boxes.run / "native.uids"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    lock(fd, fcntl.F_WRLCK)
    made = boxes.shell("id -u; exec sleep 100")
    waits_for_a_uid(made)
    path.unlink()
    boxes.run.rmdir()
    os.close(fd)
    assert made.read() == b"4122\n"
    assert boxes.start("true").wait() == (127, (STAGE_UID, errno.EAGAIN)), "two have one uid"


@pytest.mark.parametrize("text", [b"", b"\0" * 16, b"4105", b"99999999999999999999\n", b"-1\n", b"4199\n", b"4200\n",
                                  b"x" * 5000])
def test_a_hint_is_only_a_hint(boxes, text):
    (boxes.run / "native.uids").write_bytes(text)
    assert uid_of(boxes.start("id", "-u")) == 4100


def test_a_lock_file_that_is_none(boxes):
    path = boxes.run / "native.uids"
    path.symlink_to(boxes.run / "other")
    assert boxes.start("true").wait() == (127, (STAGE_UID, errno.ELOOP))
    path.unlink()
    os.mkfifo(path)
    assert boxes.start("true").wait() == (127, (STAGE_UID, errno.EPERM))
    path.unlink()
    path.mkdir()
    assert boxes.start("true").wait()[1][0] == STAGE_UID
    path.rmdir()
    path.write_text("")
    os.chown(path, 4100, 4100)
    assert boxes.start("true").wait() == (127, (STAGE_UID, errno.EPERM))


def test_nobody_is_left_when_init_is_killed(boxes):
    made = boxes.shell("setsid sleep 100 & echo up; sleep 100")
    assert made.read() == b"up\n"
    pids = list(inside(made))
    made.signal(signal.SIGKILL)
    os.waitpid(made.pid, 0)
    made.status = -9
    assert pids and not any(alive(pid) for pid in pids)


# ---- terminals ----

class Terminal:
    def __init__(self, rows=31, columns=77):
        self.ours, self.theirs = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.theirs)
        self.text = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, until, timeout=PATIENCE / 2):
        deadline = time.monotonic() + timeout
        while until not in self.text:
            assert readable(self.ours, max(0, deadline - time.monotonic())), f"no {until!r} came, but {self.text!r}"
            self.text += os.read(self.ours, 65536)
        found, self.text = self.text.split(until, 1)
        return found + until

    def some(self, timeout=1):
        """All that has come until nothing does for a while."""
        while readable(self.ours, timeout):
            self.text += os.read(self.ours, 65536)
        return self.text

    def write(self, data):
        os.write(self.ours, data)

    def close(self):
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def terminal():
    made = Terminal()
    yield made
    made.close()


def on(boxes, terminal, text, **how):
    return boxes.shell(text, flags=PTY, stdin=terminal.theirs, output=terminal.theirs, **how)


def test_a_terminal_of_its_own(boxes, terminal):
    mode = os.fstat(terminal.theirs)
    made = on(boxes, terminal, "tty; stty size; read x; echo got $x; exit 4")
    assert terminal.read(b"31 77\r\n").startswith(b"/dev/pts/0\r\n")
    assert not termios.tcgetattr(terminal.theirs)[3] & (termios.ECHO | termios.ICANON)
    terminal.write(b"hello\r")
    assert terminal.read(b"got hello\r\n")
    assert made.wait()[0] == 4
    assert termios.tcgetattr(terminal.theirs) == terminal.before
    assert os.fstat(terminal.theirs).st_uid == mode.st_uid and os.get_blocking(terminal.theirs)


def test_a_terminal_whose_output_is_a_file(boxes, terminal):
    """As of hsup run ... >> FILE; and what the shell writes there next comes behind it."""
    path = boxes.run.parent / "file"
    path.write_text("before\n")
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    made = boxes.shell("echo appended", flags=PTY, stdin=terminal.theirs, output=fd)
    assert made.wait()[0] == 0
    os.close(fd)
    assert path.read_text().split() == ["before", "appended"]
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(fd, b"before\n")
    made = boxes.shell("echo between", flags=PTY, stdin=terminal.theirs, output=fd)
    assert made.wait()[0] == 0
    os.write(fd, b"behind\n")
    os.close(fd)
    assert path.read_text().split() == ["before", "between", "behind"]


def test_its_size_follows(boxes, terminal):
    made = on(boxes, terminal, "trap 'stty size; exit 0' WINCH; echo up; while :; do sleep 0.05; done")
    terminal.read(b"up\r\n")
    terminal.resize(40, 100)
    made.signal(signal.SIGWINCH)  # which the kernel sends to a foreground group
    terminal.read(b"40 100\r\n")
    assert made.wait()[0] == 0


def test_job_control_and_keys(boxes, terminal):
    made = on(boxes, terminal, "trap 'echo int' INT; echo up; sleep 100; echo end; exit 6")
    terminal.read(b"up\r\n")
    for _ in range(20):  # a shell that has just forked may take it for its child
        terminal.write(b"\x03")
        if readable(terminal.ours, 0.5) and b"end" in terminal.some():
            break
    assert made.wait()[0] == 6 and b"int" in terminal.text


def test_all_output_comes_through_a_terminal_that_stalls(boxes, terminal):
    made = on(boxes, terminal, "seq 1 200000; exit 5")

    def ticks():
        return sum(int(n) for n in pathlib.Path(f"/proc/{made.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])
    time.sleep(1)
    born = ticks()  # which takes some of its own
    time.sleep(1)
    assert ticks() - born < 30, "it spins"
    assert terminal.read(b"200000\r\n", 60).count(b"\n") == 200000
    assert made.wait()[0] == 5
    assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_a_stalled_terminal_does_not_hold_its_end_for_ever(boxes, terminal):
    made = on(boxes, terminal, "yes | head -c 3000; yes | head -c 3000 & sleep 0.3; exit 3")
    time.sleep(0.8)
    made.signal(signal.SIGTERM)
    assert made.wait()[0] in (3, 128 + signal.SIGTERM)


def test_a_terminal_whose_job_closes_it_for_a_while(boxes, terminal):
    made = on(boxes, terminal, "exec < /dev/null > /dev/null 2>&1; sleep 0.3; exec > /dev/tty; echo again; exit 0")
    terminal.read(b"again\r\n")
    assert made.wait()[0] == 0


def test_a_terminal_that_is_none(boxes):
    assert boxes.shell("true", flags=PTY).wait() == (127, (STAGE_TERMINAL, errno.ENOTTY))


def test_the_terminal_comes_back_when_it_is_ended(boxes, terminal):
    made = on(boxes, terminal, "echo up; sleep 100")
    terminal.read(b"up\r\n")
    made.signal(signal.SIGTERM)
    assert made.wait()[0] == 128 + signal.SIGTERM
    assert termios.tcgetattr(terminal.theirs) == terminal.before


# ---- a command beside a dyno ----

@pytest.fixture
def dyno(boxes):
    made = boxes.shell("trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done")
    assert made.read() == b"up\n"
    return made


def beside(boxes, dyno, text, **how):
    how = {"target": dyno.pid, "name": dyno.name, **how}
    return boxes.shell(text, mode=2, **how)


def test_beside_it_is_as_the_dyno_is(boxes, dyno):
    made = beside(boxes, dyno, "cat /proc/self/status; cd /proc/self/ns; for n in *; do echo $n $(readlink $n)"
                  " $(readlink /proc/2/ns/$n); done; cat /proc/self/cgroup > /tmp/a; cat /proc/2/cgroup > /tmp/b;"
                  " cmp /tmp/a /tmp/b && echo same; exit 5")
    assert made.wait() == (5, (ENDED, 5 << 8))
    assert status(made, "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") == ["0" * 16] * 5
    assert status(made, "NoNewPrivs", "Seccomp", "Groups", "Uid") == ["1", "2", "", "4100\t4100\t4100\t4100"]
    spaces = [line.split() for line in made.text.decode().splitlines() if len(line.split()) == 3 and ":[" in line]
    assert len(spaces) >= 8 and all(own == dynos for _, own, dynos in spaces)
    assert b"same" in made.text
    assert dyno.status is None


def test_beside_it_signals_and_codes(boxes, dyno):
    made = beside(boxes, dyno, TRAPS % ("TERM", "TERM"))
    assert made.read() == b"up\n"
    made.signal(signal.SIGTERM)
    assert made.wait()[0] == 7
    made = beside(boxes, dyno, "kill -9 $$")
    assert made.wait() == (137, (ENDED, 9))
    assert beside(boxes, dyno, "", program="/nowhere").wait() == (127, (STAGE_EXEC, errno.ENOENT))
    assert alive(dyno.pid)


def test_beside_it_is_killed_with_who_started_it(boxes, dyno):
    made = beside(boxes, dyno, "sleep 101 & echo up; sleep 102")
    assert made.read() == b"up\n"
    deadline = time.monotonic() + PATIENCE / 4
    while len(ours := [pid for pid, command in inside(dyno).items() if "sleep 10" in command]) < 3:
        assert time.monotonic() < deadline
    made.signal(signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE / 4
    while any(alive(pid) for pid in ours) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(alive(pid) for pid in ours) and alive(dyno.pid)


def test_beside_it_is_killed_with_who_started_it_at_any_moment(boxes, dyno, monkeypatch):
    """Who becomes a user has forgotten whose end is to be his."""
    log, wrapper = boxes.run.parent / "log", boxes.run.parent / "wrapper"
    wrapper.write_text(f"#!/bin/sh\nexec strace -f -qq -o {log} -e trace=setresuid -e inject=setresuid:delay_exit=500000"
                       f' {PROGRAM} "$@"\n')
    wrapper.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr("boxes.PROGRAM", wrapper)
        made = beside(boxes, dyno, "sleep 101 & sleep 102")
    # First of the command, then of its host, who is now on his way out of that call.
    wait_until(lambda: log.exists() and log.read_text().count("setresuid(") == 2, "both to have become the user")
    we = pathlib.Path(f"/proc/{made.pid}/task/{made.pid}/children").read_text()
    os.kill(int(we), signal.SIGKILL)
    wait_until(lambda: not any("sleep 10" in command or "hsup-box" in command for command in inside(dyno).values()),
               "nobody to be left")
    assert alive(dyno.pid)


def test_beside_it_ends_with_the_dyno(boxes, dyno):
    made = beside(boxes, dyno, "trap '' TERM; echo up; sleep 100; sleep 100")
    assert made.read() == b"up\n"
    dyno.signal(signal.SIGTERM)
    assert dyno.wait()[0] == 9
    assert made.wait()[0] == 137


def test_beside_it_with_a_terminal(boxes, dyno, terminal):
    made = beside(boxes, dyno, "tty; stty size; read x; echo got $x; exit 4", flags=PTY, stdin=terminal.theirs,
                  output=terminal.theirs)
    assert terminal.read(b"31 77\r\n").startswith(b"/dev/pts/0\r\n")
    terminal.write(b"hello\r")
    terminal.read(b"got hello\r\n")
    assert made.wait()[0] == 4
    assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_beside_what_is_no_dyno_of_ours(boxes, dyno):
    refused = (127, (STAGE_POLICY, errno.EPERM))
    assert beside(boxes, dyno, "true", mark="HSUP_CHILD=fedcba9876543210.1.1").wait() == refused
    assert beside(boxes, dyno, "true", mark=None).wait() == refused
    assert beside(boxes, dyno, "true", target=os.getpid()).wait() == refused
    for pid in (pid for pid, command in inside(dyno).items() if "trap" in command):
        assert beside(boxes, dyno, "true", target=pid).wait() == refused
    other = Boxes(boxes.run.parent / "other")
    other.uids = (4150, 4160)
    foreign = other.shell("echo up; sleep 100")
    assert foreign.read() == b"up\n"
    boxes.uids = (4100, 4101)
    assert beside(boxes, foreign, "true").wait() == refused
    other.close()
    gone = boxes.start("true")
    gone.wait()
    assert beside(boxes, gone, "true").wait()[1][1] == errno.ESRCH


def test_beside_a_dyno_whose_pid_is_another_s(boxes, dyno):
    """The one that is meant has ended, and the next has been given its pid."""
    other = boxes.shell("echo up; sleep 100")
    assert other.read() == b"up\n"
    assert beside(boxes, dyno, "true", target=other.pid).wait() == (127, (STAGE_POLICY, errno.ESRCH))
    for name in (other.name[1:], other.name[:-1], other.name + "0", "boxes"):
        assert beside(boxes, other, "true", name=name).wait() == (127, (STAGE_POLICY, errno.ESRCH)), name
    # Its claim is known though it was removed, and though the claims are elsewhere now.
    (boxes.run / "boxes" / other.name).unlink()
    elsewhere = boxes.run.parent / "elsewhere"
    assert beside(boxes, other, "exit 3", settings=boxes.settings(HSUP_BOX_RUN=elsewhere)).wait()[0] == 3


def test_beside_it_nobody_looks_into_it(boxes, dyno):
    made = beside(boxes, dyno, "echo up; sleep 100")
    assert made.read() == b"up\n"
    looking = beside(boxes, dyno, "for p in /proc/[0-9]*; do cat $p/environ; readlink $p/exe; done 2>&1")
    looking.wait()
    assert b"0123456789abcdef" not in looking.text
    # Of init, of both hosts, and of who is still on the way to become a command.
    assert looking.text.count(b"environ: Permission denied") >= 3


# ---- without root ----

USER = 4190


@pytest.fixture
def rootless(boxes):
    for path in (boxes.run.parent, boxes.run, boxes.state, boxes.stacks):
        os.chown(path, USER, USER)
    return boxes


def first_of(made):
    """Its init: what the test has started waits for it."""
    deadline = time.monotonic() + PATIENCE / 4
    while not (found := pathlib.Path(f"/proc/{made.pid}/task/{made.pid}/children").read_text().split()):
        assert time.monotonic() < deadline
    return int(found[0])


def test_rootless(rootless):
    made = rootless.shell("cat /proc/self/status; cat /proc/self/uid_map /proc/self/gid_map; cat /proc/1/environ;"
                          " ls /proc/1/fd; exit 6", rootless=USER, network=NET_HOST)
    assert made.wait() == (6, (ENDED, 6 << 8))
    assert status(made, "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb") == ["0" * 16] * 5
    assert status(made, "NoNewPrivs", "Seccomp", "Uid") == ["1", "2", "\t".join([str(USER)] * 4)]
    assert made.text.split().count(str(USER).encode()) >= 4 and b"0123456789abcdef" not in made.text


def test_rootless_nobody_looks_into_init(rootless):
    made = rootless.shell("sleep 0.3; cat /proc/1/environ; ls /proc/1/root/; cat /proc/1/mem;"
                          " readlink /proc/1/fd/1 /proc/1/exe || echo none", rootless=USER, network=NET_HOST)
    assert made.wait()[0] == 0
    assert made.text.count(b"Permission denied") == 3 and made.text.endswith(b"none\n")


def test_rootless_signals_and_uids(rootless):
    made = [rootless.shell(TRAPS % ("TERM", "TERM"), rootless=USER, network=NET_NONE) for _ in range(2)]
    for one in made:
        assert one.read() == b"up\n"
        os.kill(first_of(one), signal.SIGTERM)
        assert one.wait()[0] == 7


def test_rootless_beside_it(rootless):
    made = rootless.shell("echo up; sleep 100", rootless=USER, network=NET_NONE)
    assert made.read() == b"up\n"
    for _ in range(2):
        other = beside(rootless, made, "cat /proc/self/status; readlink /proc/self/ns/net /proc/2/ns/net; exit 3",
                       target=first_of(made), rootless=USER)
        assert other.wait() == (3, (ENDED, 3 << 8))
        assert status(other, "CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp") == ["0" * 16] * 3 + ["1", "2"]
        net = [line for line in other.text.split() if line.startswith(b"net:")]
        assert len(net) == 2 and net[0] == net[1]
    looking = beside(rootless, made, "cat /proc/[0-9]*/environ", target=first_of(made), rootless=USER)
    looking.wait()
    assert b"0123456789abcdef" not in looking.text
    os.kill(first_of(made), signal.SIGKILL)


def test_rootless_must_be_told_who_it_is(rootless):
    made = rootless.shell("true", rootless=USER, network=NET_HOST, more=["--ids=0:0"])
    assert made.wait() == (127, (STAGE_UID, errno.EPERM))


# ---- deaths on the way ----

def left_of(boxes):
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout
    return ([line.split()[0] for line in links.splitlines() if line.startswith("hv")],
            [str(p) for p in cgroups.of_boxes(f"test-{os.getpid()}-*")],
            [str(p) for p in boxes.state.rglob("*") if p.is_dir() and p.name.startswith("test-")])


def mounts_of(boxes):
    """Those of the box's folders, and where a root is built."""
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return [m for m in mounts if str(boxes.run.parent) in m or m.split()[4].startswith("/proc")]


def test_killed_after_any_step_nothing_is_left(boxes, network):
    own = boxes.settings(LIBCONTAINER_DYNO_NETWORK="own")
    subprocess.run([PROGRAM, "--setup", *own], check=True)
    mounts = mounts_of(boxes)
    for step in range(1, 100):
        made = boxes.start("true", network=NET_OWN, settings=[*own, f"HSUP_BOX_DIE_AFTER={step}"])
        if made.wait() == (0, (ENDED, 0)):
            break
        # (The first of a pid namespace cannot kill itself.)
        assert made.wait() == (127, (0, 0))
        assert boxes.sweep(made.name).wait()[0] == 0
        # The kernel takes links with a namespace, in its own time.
        wait_until(lambda: left_of(boxes) == ([], [], []), f"nothing to be left after step {step}")
        assert mounts_of(boxes) == mounts
    assert 11 < step < 99
    boxes.uids = (4101, 4101)
    assert uid_of(boxes.start("id", "-u")) == 4101, "which one of them had"


def test_who_helps_is_killed_and_the_box_says_so(boxes, network):
    """As the machine's memory killer would have it: that is no end of a dyno. Meanwhile the box waits for its claim."""
    own = boxes.settings(LIBCONTAINER_DYNO_NETWORK="own")
    subprocess.run([PROGRAM, "--setup", *own], check=True)
    claims = boxes.run / "boxes"
    claims.mkdir(mode=0o700)
    with open(claims / "slow", "w+b") as file:
        lock(file, fcntl.F_WRLCK)
        made = boxes.start("true", network=NET_OWN, settings=own, name="slow")
        (maker,) = wait_until(lambda: list(inside(made)), "it to have a helper")
        os.kill(maker, signal.SIGKILL)
    assert made.wait() == (127, (STAGE_NETWORK, errno.EINTR))


def test_a_uid_whose_network_is_still_somebody_s(boxes, network):
    """Who has left a socket with others has left his network, and its link, for as long as they have it."""
    boxes.uids = (4141, 4142)
    own = boxes.settings(LIBCONTAINER_DYNO_NETWORK="own")
    subprocess.run([PROGRAM, "--setup", *own], check=True)
    subprocess.run(["ip", "link", "add", "hv4141", "type", "veth", "peer", "name", "others"], check=True)
    for _ in range(3):
        assert uid_of(boxes.start("id", "-u", network=NET_OWN, settings=own)) == 4142
    boxes.uids = (4141, 4141)
    refused = boxes.start("true", network=NET_OWN, settings=boxes.settings(LIBCONTAINER_DYNO_NETWORK="own"))
    assert refused.wait() == (127, (STAGE_NETWORK, errno.EEXIST)), "another may live"


def test_one_uid_again_and_again(boxes, network):
    """Its link may still be there when its namespace is gone."""
    boxes.uids = (4130, 4130)
    own = boxes.settings(LIBCONTAINER_DYNO_NETWORK="own", LIBCONTAINER_DYNO_SUBNET="10.201.1.0/30")
    subprocess.run([PROGRAM, "--setup", *own], check=True)
    for _ in range(10):
        made = boxes.start("/bin/ip", "-4", "-o", "addr", network=NET_OWN, settings=own)
        assert made.wait() == (0, (ENDED, 0))
        assert b"10.201.1.2/30" in made.text
