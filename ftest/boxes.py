"""hsup-box by itself: the test is the launcher's child that becomes it.

Each box is pid 1 of a pid namespace of its own, as the launcher would have made it, with pipes for
what it writes, its spec on 3 and the memory where it tells its failures on 4.
"""
import contextlib
import ctypes
import itertools
import os
import pathlib
import signal
import struct
import subprocess
import time

import cgroups
from hsup import PATIENCE
from wire import BUILD, box, readable, record, spec

PROGRAM = (BUILD / "hsup-box").resolve()
# The address sanitizer has memory and libraries of its own in it.
SANITIZED = b"__asan_init" in PROGRAM.read_bytes()
CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWNET = 0x20000000, 0x10000000, 0x40000000
PR_SET_DUMPABLE, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 4, 47, 2
SLOTS = 1024
ENDED = 0x656e64
(STAGE_REFUSED, STAGE_FORK, STAGE_SPEC, STAGE_POLICY, STAGE_SESSION, STAGE_OUTPUT, STAGE_TERMINAL, STAGE_LIMITS,
 STAGE_GROUPS, STAGE_USER, STAGE_DIRECTORY, STAGE_EXEC, STAGE_BOX, STAGE_UID, STAGE_CGROUP, STAGE_NAMESPACES,
 STAGE_STACK, STAGE_APP, STAGE_MOUNTS, STAGE_BINDS, STAGE_PIVOT, STAGE_NETWORK, STAGE_SANDBOX,
 STAGE_SWEEP) = range(1, 25)
NET_OWN, NET_HOST, NET_NONE = 0, 1, 2
PTY = 1
MARK = "HSUP_CHILD=0123456789abcdef.1.1"

serial = itertools.count()
libc = ctypes.CDLL(None, use_errno=True)


def fork_first():
    """fork(), and the child is the first of a pid namespace."""
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    assert libc.unshare(CLONE_NEWPID) == 0, os.strerror(ctypes.get_errno())
    pid = os.fork()
    if pid:
        assert libc.setns(own, CLONE_NEWPID) == 0, os.strerror(ctypes.get_errno())
    os.close(own)
    return pid


@contextlib.contextmanager
def network_of_the_test():
    """Here and in all that is started from here: no links are in it but those of this test's boxes."""
    own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    assert libc.unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        assert libc.setns(own, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        os.close(own)


def pass_on_capabilities():
    """All, to the program that is executed: as the launcher's child does when it is nobody yet."""
    header, data = struct.pack("=Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
    assert libc.capget(header, data) == 0
    words = list(struct.unpack("=6I", data.raw))
    words[2], words[5] = words[1], words[4]
    assert libc.capset(header, struct.pack("=6I", *words)) == 0
    for cap in range(64):
        if words[1 + 3 * (cap // 32)] >> cap % 32 & 1:
            assert libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0


def become_user(user):
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def become_rootless(user):
    """In a child of the test: this user, and below it one who is first in a user namespace."""
    become_user(user)
    assert libc.prctl(PR_SET_DUMPABLE, 1) == 0  # /proc/self is its own
    assert libc.unshare(CLONE_NEWPID | CLONE_NEWUSER) == 0, os.strerror(ctypes.get_errno())
    pid = os.fork()
    if pid:
        os.closerange(0, 200)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 255)
    os.setsid()
    pass_on_capabilities()


class Box:
    """One that runs, or has run: .pid, .out (what it writes, both), .wait(); .end: where it tells its end, if it
    tells."""

    def __init__(self, fd, options, first=True, slot=7, stdin=None, junk=(), before=None, mark=MARK, output=True,
                 rootless=None, tells=False):
        self.failures = os.memfd_create("failures")
        os.ftruncate(self.failures, 8 * SLOTS)
        self.slot = slot
        null = os.open("/dev/null", os.O_RDONLY)
        self.out, out = os.pipe()
        owns = ["--owns-output"] if output is True else []
        self.end, end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if tells else (-1, -1)
        args = ["hsup-box", *owns, f"--slot={slot}", "--nofile=1024:4096", *options]
        # What comes before it is executed waits, as for the launcher's child.
        mask = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        if rootless and first:
            args.insert(1, f"--ids={rootless}:{rootless}")
        self.pid = fork_first() if first and not rootless else os.fork()
        if self.pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if self.pid == 0:
            try:
                os.setsid()
                fds = [null if stdin is None else stdin, out if output is True else output,
                       out if output is True else output, fd, self.failures, *([end] if tells else [])]
                fds = [os.dup(f) for f in fds]
                while min(fds) < 6:
                    fds = [os.dup(f) for f in fds]
                for i, f in enumerate(fds):
                    os.dup2(f, i)
                os.closerange(len(fds), 200)
                if rootless:
                    (become_rootless if first else become_user)(rootless)
                for path in junk:
                    os.set_inheritable(os.open(path, os.O_RDONLY), True)
                if before:
                    before()
                os.execve(PROGRAM, args, dict([mark.split("=", 1)]) if mark else {})
            finally:
                os._exit(99)
        for f in (null, out, *([end] if tells else [])):
            os.close(f)
        self.status = None

    def told(self):
        """(stage, error) of its slot."""
        return struct.unpack("=Ii", os.pread(self.failures, 8, 8 * self.slot))

    def ended(self, timeout=PATIENCE / 2):
        """What it tells of its end: (status, seconds of the user's, of the system's, KiB); None: it has ended without."""
        assert readable(self.end, timeout), "nothing is told"
        data = os.read(self.end, 100)
        if not data:
            return None
        status, zero, user, system, rss = struct.unpack("=iI3Q", data)
        assert zero == 0
        return status, user / 1e6, system / 1e6, rss

    def signal(self, signo):
        os.kill(self.pid, signo)

    def read(self, until=b"\n", timeout=PATIENCE / 2):
        """What it writes, up to `until`, or its end."""
        data, deadline = b"", time.monotonic() + timeout
        while not data.endswith(until):
            assert readable(self.out, max(0, deadline - time.monotonic())), f"no {until!r} came, but {data!r}"
            more = os.read(self.out, 1 if until else 65536)
            if not more:
                break
            data += more
        return data

    def wait(self, timeout=PATIENCE / 2):
        """(exit code, as waitpid() has it for the shell; told()). All that it wrote is in .text."""
        deadline = time.monotonic() + timeout
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            assert time.monotonic() < deadline, "it does not end"
            time.sleep(0.002)
        self.text = b""
        while more := os.read(self.out, 65536):
            self.text += more
        # A sanitizer that has found something has nowhere else to tell.
        assert not any(word in self.text for word in (b"Sanitizer", b"runtime error:")), self.text.decode()
        return self.status, self.told()

    def close(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.status = -9
        for fd in (self.out, self.failures, *([self.end] if self.end >= 0 else [])):
            os.close(fd)


class Boxes:
    """Makes boxes; settings of this test's own. close() ends them all."""

    def __init__(self, folder):
        self.run = folder / "run"
        self.state = folder / "state"
        self.stacks = folder / "stacks"
        for path in (self.run, self.state, self.stacks):
            path.mkdir(parents=True)
        self.uids = (4100, 4199)
        self.made = []

    def settings(self, **changed):
        values = {
            "LIBCONTAINER_DYNO_UID_MIN": self.uids[0],
            "LIBCONTAINER_DYNO_UID_MAX": self.uids[1],
            "LIBCONTAINER_DYNO_SUBNET": "10.201.1.0/24",
            "LIBCONTAINER_DYNO_NETWORK": "host",
            "HSUP_BOX_RUN": self.run,
            "HSUP_BOX_STATE": self.state,
            "HSUP_BOX_STACKS": self.stacks,
            "HSUP_BOX_SLUGS": "/",
            "HSUP_BOX_BINDS": "/",
            **changed,
        }
        return [f"{name}={value}" for name, value in values.items() if value is not None]

    def start(self, *args, program=None, network=NET_NONE, flags=0, mode=1, target=0, extra=b"", env=None, name=None,
              directory="/", settings=None, seal=True, raw=None, more=(), limits=None, **how):
        name = name or f"test-{os.getpid()}-{next(serial)}"
        records = box(mode=mode, name=name, network=network, flags=flags,
                      target=target, stack="host" if mode == 1 else None, **(limits or {}))
        fd = spec(program or args[0], args, env=env or ("PATH=/usr/bin:/bin",), directory=directory,
                  extra=records + extra, seal=seal, raw=raw)
        made = Box(fd, [*more, *(self.settings() if settings is None else settings)], first=mode == 1, **how)
        os.close(fd)
        made.name, made.first = name, mode == 1
        self.made.append(made)
        return made

    def shell(self, text, **how):
        return self.start("/bin/sh", "-c", text, **how)

    def sweep(self, *names):
        return self.start("sweep", *names, mode=3)

    def close(self):
        """Ends all, and removes what they leave: all of it."""
        for made in self.made:
            made.close()
        names, self.made = [made.name for made in self.made if made.first and "/" not in made.name], []
        for i in range(0, len(names), 100):
            assert self.sweep(*names[i:i + 100]).wait()[0] == 0
        for made in self.made:
            made.close()
        self.made = []
        # What all of the machine share, hsup takes away; these were made without one.
        for parent in cgroups.parents():
            with contextlib.suppress(OSError):  # somebody is in it
                parent.rmdir()


def nofile(soft):
    return record(8, struct.pack("=Q", soft))


def nproc(limit):
    return record(9, struct.pack("=Q", limit))


def umask(mask):
    return record(7, struct.pack("=I", mask))


class Held:
    """A process in the pid namespace of this init, of whose end nobody takes note: until release() the init, though
    it is dead, is not reaped, as if the kernel took that long."""

    def __init__(self, pid):
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        theirs = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        assert libc.setns(theirs, CLONE_NEWPID) == 0
        self.init, self.pid = pid, os.fork()
        if self.pid == 0:
            while True:
                signal.pause()
        assert libc.setns(own, CLONE_NEWPID) == 0
        os.close(own)
        os.close(theirs)

    def there(self):
        return os.path.exists(f"/proc/{self.init}")

    def release(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


def own_of(made):
    return os.stat(f"/proc/{made.pid}/ns/pid_for_children").st_ino


def inside(made, own=None):
    """{pid outside: its command} of all that run in its pid namespace (own_of() it), but its init."""
    found = {}
    own = own or own_of(made)
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if int(path.name) != made.pid and os.stat(path / "ns/pid").st_ino == own:
                found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except (FileNotFoundError, PermissionError, ProcessLookupError):
            pass
    return found
