"""A supervisor in an enemy's hands: what it may ask of the launcher, and what that costs whom.

The test speaks the wire as that supervisor would. Whatever it tries, it is refused with a code or
loses its connection, the launcher says so, and a dyno that ran before runs on and is found by the
next supervisor.
"""
import array
import errno
import fcntl
import os
import random
import re
import signal
import socket
import struct
import time

import pytest

from hsup import wait_until
from wire import (ACK, BOX_JOIN, ENTRY_KEPT, FAILED, HELLO, KEEP, LEAVE, LIST, PARK, PONG, RESTART, RUNNING, SEALS, SIGNAL,
                  SPAWN, SPAWN_BOX, SPAWN_WARM, SPAWNED, STAGE_DIRECTORY, STAGE_POLICY, STAGE_REFUSED, STAGE_SPEC, TAG, UPGRADE,
                  F_ADD_SEALS, alive, box, header, read_some, record, spec, user, readable)

SUPERVISOR = 65534
FIRST, LAST = 2000, 2999
OPTIONS = ["--user", f"{SUPERVISOR}:{SUPERVISOR}", "--dyno-ids", f"{FIRST}-{LAST}"]
INNOCENT = 1
AS_DYNO = user(FIRST, FIRST)


class House:
    """A root launcher, its supervisor in our hands, and a dyno that nothing may harm."""

    def __init__(self, start, **more):
        self.launcher = start(options=OPTIONS, verbose=False, **more)
        self.w = self.launcher.connect()
        self.w.spawn(INNOCENT, "sh", "-c", "while echo tick; do sleep 0.05; done", extra=AS_DYNO)
        _, self.pid, self.out, _ = self.w.spawned()
        assert b"tick" in read_some(self.out)

    def again(self):
        """The connection is gone: the next supervisor. (85: at once, where a crash has to wait.)"""
        self.w.order_exit(85)
        self.w = self.launcher.connect()
        return self.w

    def unharmed(self):
        """The launcher and the dyno live, and another supervisor finds it."""
        assert self.launcher.process.poll() is None
        os.kill(self.w.pid, signal.SIGKILL)
        self.w = self.launcher.connect(timeout=40)
        entry = self.w.list()[INNOCENT]
        assert (entry["state"], entry["pid"]) == (RUNNING, self.pid) and alive(self.pid)
        assert b"tick" in read_some(entry["fds"][0])
        self.w.send(SIGNAL, self.w.child(INNOCENT) + struct.pack("=iI", signal.SIGKILL, 0))
        wait_until(lambda: not alive(self.pid), "the dyno to end when it is told to")

    def born(self):
        """The id of the next SPAWNED."""
        ident, _, *fds = self.w.spawned()
        for fd in fds:
            os.close(fd)
        return ident

    def refused(self, stage, error, ident=7, **more):
        """Orders a dyno; it is born only to be refused."""
        self.w.spawn(ident, "sh", "-c", "id; sleep 60", **more)
        assert self.born() == ident
        assert self.w.failed() == (ident, stage, error)
        self.w.send(ACK, self.w.child(ident))

    def memory(self):
        """Of the launcher, in kB."""
        rollup = open(f"/proc/{self.launcher.process.pid}/smaps_rollup").read()
        return int(re.search(r"^Private_Dirty:\s+(\d+) kB", rollup, re.M).group(1))

    def warnings(self, pattern=""):
        return [line for line in self.launcher.text().splitlines() if re.search(pattern, line)]


@pytest.fixture
def house(start):
    return House(start)


# ---- who a dyno may be ----

@pytest.mark.parametrize("name, ids", [
    ("uid 0", (0, FIRST)),
    ("gid 0", (FIRST, 0)),
    ("root", (0, 0)),
    ("group 0 among the others", (FIRST, FIRST, FIRST + 1, 0)),
    ("a uid below the range", (FIRST - 1, FIRST)),
    ("a uid above the range", (LAST + 1, FIRST)),
    ("a gid below the range", (FIRST, FIRST - 1)),
    ("a gid above the range", (FIRST, LAST + 1)),
    ("a group outside the range", (FIRST, FIRST, 42)),
    ("the supervisor's uid", (SUPERVISOR, FIRST)),
    ("the supervisor's gid", (FIRST, SUPERVISOR)),
    ("the largest uid", (0xfffffffe, FIRST)),
    ("uid 65536, which is 0 in 16 bits", (65536, FIRST)),
])
def test_ids_that_are_not_granted(house, name, ids):
    house.refused(STAGE_POLICY, errno.EPERM, extra=user(*ids))
    assert house.warnings(r"web\.7 was refused \(1 in all\): checking the launcher's policy: Operation not permitted")
    house.unharmed()


@pytest.mark.parametrize("kind, extra", [
    pytest.param(SPAWN_BOX, box(), id="run"),
    pytest.param(SPAWN_BOX, b"", id="init of root's"),
    pytest.param(SPAWN_BOX, AS_DYNO, id="init"),
    pytest.param(SPAWN, box(), id="run without init"),
    pytest.param(SPAWN, box(BOX_JOIN, stack=None, target=1), id="join"),
    pytest.param(SPAWN, box(BOX_JOIN, stack=None, target=1) + AS_DYNO, id="join as a dyno"),
])
def test_a_box_that_was_not_granted(house, kind, extra):
    house.refused(STAGE_POLICY, errno.EPERM, kind=kind, extra=extra)
    house.unharmed()


def test_a_box_is_no_way_to_another_program(start, folder):
    """Granted, it is the program named at boot that is executed, whatever the spec names; and nothing else is."""
    program = folder / "box"
    program.write_text("#!/bin/sh\necho the box, not $(id -u) of $#\n")
    program.chmod(0o755)
    launcher = start(options=[*OPTIONS, f"--box={program}", "--box-option=A=1"], verbose=False)
    w = launcher.connect()
    w.spawn(7, "/bin/sh", "-c", "echo hostile", kind=SPAWN_BOX, extra=box())
    _, _, out, _ = w.spawned()
    assert w.exited() == (7, 0)
    assert read_some(out) == b"the box, not 0 of 4\n"
    for ident, (kind, extra) in enumerate([(SPAWN_BOX, b""), (SPAWN_BOX, AS_DYNO), (SPAWN, b""), (SPAWN, box()),
                                           (SPAWN_BOX, box() + AS_DYNO)], 8):
        w.spawn(ident, "/bin/sh", "-c", "echo hostile", kind=kind, extra=extra)
        w.spawned()
        assert w.failed() == (ident, STAGE_POLICY, errno.EPERM)


def test_without_a_user_it_would_be_root(house):
    house.refused(STAGE_POLICY, errno.EPERM)
    house.unharmed()


@pytest.mark.parametrize("name, extra", [
    ("uid -1, which would mean: stay root", user(0xffffffff, FIRST)),
    ("gid -1", user(FIRST, 0xffffffff)),
    ("a group -1", user(FIRST, FIRST, 0xffffffff)),
    ("two users, the second of them root", AS_DYNO + user(0, 0)),
    ("more groups than there may be", user(FIRST, FIRST, *[FIRST] * 65)),
    ("half an id", record(6, struct.pack("=IH", FIRST, 0))),
    ("a record that names a helper, or a root: there is none", AS_DYNO + record(16, b"/bin/sh\0")),
    ("a box that is none", record(10, b"/bin/sh\0")),
    ("a box of no known mode", box(mode=5)),
    ("a folder of its own without a box", AS_DYNO + record(11, b"web.1\0")),
    ("no process at all", AS_DYNO + record(9, struct.pack("=Q", 0))),
    ("a limit of processes in 32 bits", AS_DYNO + record(9, struct.pack("=I", 50))),
    ("a limit of processes twice", AS_DYNO + 2 * record(9, struct.pack("=Q", 50))),
    ("a umask with a bit that is none", AS_DYNO + record(7, struct.pack("=I", 0o1000))),
    ("the largest type", AS_DYNO + record(0xffff, b"")),
    ("type 0", AS_DYNO + record(0, b"")),
    ("a directory twice", AS_DYNO + record(4, b"/\0") + record(4, b"/root\0")),
    ("an argument that does not end", AS_DYNO + record(2, b"no end")),
    ("a variable without a name", AS_DYNO + record(3, b"=x\0")),
    ("a session of a kind there is not", AS_DYNO + record(5, struct.pack("=I", 2))),
])
def test_records_that_are_malformed(house, name, extra):
    house.refused(STAGE_SPEC, errno.EBADMSG, extra=extra)
    house.unharmed()


def test_a_relative_directory_is_refused_and_dots_lead_nowhere(house):
    house.refused(STAGE_POLICY, errno.EINVAL, extra=AS_DYNO, directory="tmp")
    house.refused(STAGE_POLICY, errno.EINVAL, extra=AS_DYNO, directory="../../root")
    # Absolute ones are entered as the user: what that user may.
    house.refused(STAGE_DIRECTORY, errno.EACCES, extra=AS_DYNO, directory="/tmp/../root")
    house.unharmed()


def limits_of(house, *extra, what="processes"):
    """What a dyno says of its limits, soft and hard."""
    house.w.spawn(8, "sh", "-c", f"grep 'Max {what}' /proc/self/limits | cut -c 26-", extra=AS_DYNO + b"".join(extra))
    _, _, out, err = house.w.spawned()
    assert house.w.exited() == (8, 0)
    house.w.send(ACK, house.w.child(8))
    words = read_some(out).split()
    os.close(out)
    os.close(err)
    return words[:2]


def test_limits_are_only_lowered(start):
    """Who started the launcher has said how many: root's child could say otherwise for everybody."""
    house = House(start, wrap=["prlimit", "--nproc=300:400", "--nofile=500:600"])
    assert limits_of(house, what="open files") == [b"500", b"600"]
    for more in (601, 1 << 32, (1 << 64) - 1):
        assert limits_of(house, record(8, struct.pack("=Q", more)), what="open files") == [b"600", b"600"]
    assert limits_of(house) == [b"300", b"400"]
    assert limits_of(house, record(9, struct.pack("=Q", 200))) == [b"200", b"200"]
    assert limits_of(house, record(9, struct.pack("=Q", 350))) == [b"300", b"350"]
    for more in (401, 1 << 32, (1 << 64) - 1):
        assert limits_of(house, record(9, struct.pack("=Q", more))) == [b"300", b"400"]
    house.unharmed()


def test_a_standard_input_is_given_and_not_kept(house):
    """The enemy may hand over what it has, and gets nothing by it: the launcher keeps no copy, reads
    nothing and changes nobody's rights to it."""
    read, write = os.pipe()
    kept = house.launcher.descriptors()
    before = os.fstat(read)
    fd = spec("sh", ["sh", "-c", "read line; echo got $line"], extra=AS_DYNO)
    for output in (0, 2):
        house.w.send(SPAWN, spawn_body(7, output=output), [fd, read])
        _, _, out, err = house.w.spawned()
        os.write(write, b"this\n")
        assert house.w.exited() == (7, 0)
        assert read_some(out) == b"got this\n"
        os.close(out)
        os.close(err)
        house.w.send(ACK, house.w.child(7))
    os.close(fd)
    after = os.fstat(read)
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    os.close(read)
    with pytest.raises(BrokenPipeError):
        os.write(write, b"nobody\n")
    os.close(write)
    house.w.list()  # whatever was acknowledged is forgotten
    assert house.launcher.descriptors() == kept
    house.unharmed()


def test_the_terminal_of_who_started_it_is_out_of_reach(house):
    house.refused(STAGE_POLICY, errno.EPERM, extra=AS_DYNO + record(5, struct.pack("=I", 1)))
    house.unharmed()


def test_what_is_granted_is_given(house):
    house.w.spawn(7, "sh", "-c", "id -u; id -g; id -G; cat /proc/self/status; exec sleep 60",
                  extra=user(FIRST + 1, FIRST + 2, FIRST + 2, FIRST + 3))
    _, pid, out, _ = house.w.spawned()
    text = ""
    while "Seccomp:" not in text:
        text += read_some(out).decode()
    assert text.split("\n")[:3] == [str(FIRST + 1), str(FIRST + 2), f"{FIRST + 2} {FIRST + 3}"]
    # Its output is its own, to open again by path.
    fds = [os.stat(f"/proc/{pid}/fd/{n}") for n in (1, 2)]
    assert [(s.st_uid, s.st_gid, s.st_mode & 0o777) for s in fds] == [(FIRST + 1, FIRST + 2, 0o600)] * 2
    house.unharmed()


def test_capabilities_do_not_come_along(start):
    """An inheritable set, as some container engines give it, would pass to programs in dynos."""
    house = House(start, wrap=["setpriv", "--inh-caps", "+net_raw,+chown", "--ambient-caps", "+net_raw"])
    status = open(f"/proc/{house.launcher.process.pid}/status").read()
    assert re.search(r"CapInh:\s0*2001$", status, re.M)
    for pid in (house.pid, house.w.pid):
        status = open(f"/proc/{pid}/status").read()
        for name in ("Inh", "Prm", "Eff", "Amb"):
            assert re.search(rf"Cap{name}:\s0+$", status, re.M), (pid, name)
    house.unharmed()


# ---- the spec's memory ----

def spawn_body(ident, output=0, name=b"web.7", tag=b""):
    return (struct.pack("=QII", ident, 1, 0) + struct.pack("=HHI", output, len(name), len(tag)) + name + tag)


def warm_body(ident, parked=INNOCENT, output=0, name=b"web.7"):
    body = spawn_body(ident, output, name)
    return body[:24] + struct.pack("=QII", parked, 1, 0) + body[24:]


def refused_fd(house, fd, *verdicts):
    house.w.send(SPAWN, spawn_body(7), [fd])
    os.close(fd)
    assert house.born() == 7
    assert house.w.failed()[1:] in verdicts
    house.w.send(ACK, house.w.child(7))


def test_memory_that_can_change_is_no_spec(house):
    refused_fd(house, spec("true", ["true"], extra=AS_DYNO, seal=False), (STAGE_SPEC, errno.EPERM))
    for missing in (0x1, 0x2, 0x4, 0x8):
        fd = spec("true", ["true"], extra=AS_DYNO, seal=False)
        fcntl.fcntl(fd, F_ADD_SEALS, SEALS & ~missing)
        refused_fd(house, fd, (STAGE_SPEC, errno.EPERM))
    # F_SEAL_FUTURE_WRITE alone leaves a mapping that was made before.
    fd = spec("true", ["true"], extra=AS_DYNO, seal=False)
    fcntl.fcntl(fd, F_ADD_SEALS, 0x10 | 0x1 | 0x2 | 0x4)
    refused_fd(house, fd, (STAGE_SPEC, errno.EPERM))
    house.unharmed()


def test_memory_that_changes_while_it_is_sealed(house):
    """What counts is what it is when the seals are on: nothing can change it after that."""
    good, bad = (open(f"/proc/self/fd/{fd}", "rb").read() for fd in
                 (spec("true", ["true"], extra=AS_DYNO), spec("true", ["true"], extra=user(0, 0))))
    assert len(good) == len(bad)
    for turn in range(30):
        fd = spec("true", ["true"], raw=good, seal=False)
        house.w.send(SPAWN, spawn_body(7), [fd])  # on its way while it changes
        os.pwrite(fd, bad, 0)
        if turn % 2:
            fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
        os.close(fd)
        assert house.born() == 7
        kind, body, _ = house.w.receive()
        assert kind == FAILED
        stage, error = struct.unpack("=Ii", body[16:24])
        assert (stage, error) in ((STAGE_SPEC, errno.EPERM), (STAGE_POLICY, errno.EPERM))
        house.w.send(ACK, house.w.child(7))
    house.unharmed()


def test_descriptors_that_are_no_spec(house):
    a, b = os.pipe()
    os.close(b)
    refused_fd(house, a, (STAGE_SPEC, errno.EINVAL))
    refused_fd(house, socket.socket().detach(), (STAGE_SPEC, errno.EINVAL))
    refused_fd(house, socket.socket(socket.AF_UNIX).detach(), (STAGE_SPEC, errno.EINVAL))
    refused_fd(house, os.open("/", os.O_RDONLY | os.O_DIRECTORY), (STAGE_SPEC, errno.EINVAL))
    refused_fd(house, os.open("/etc/passwd", os.O_RDONLY), (STAGE_SPEC, errno.EINVAL))
    refused_fd(house, os.open("/etc/passwd", os.O_PATH), (STAGE_SPEC, errno.EBADF))
    refused_fd(house, os.open("/dev/zero", os.O_RDWR), (STAGE_SPEC, errno.EINVAL))
    huge = os.memfd_create("huge", os.MFD_ALLOW_SEALING)
    os.ftruncate(huge, 1 << 44)
    fcntl.fcntl(huge, F_ADD_SEALS, SEALS)
    refused_fd(house, huge, (STAGE_SPEC, errno.EBADMSG))
    empty = os.memfd_create("empty", os.MFD_ALLOW_SEALING)
    fcntl.fcntl(empty, F_ADD_SEALS, SEALS)
    refused_fd(house, empty, (STAGE_SPEC, errno.EBADMSG))
    house.unharmed()


def test_sizes_that_are_forged(house):
    def forged(size, body=b""):
        house.refused(STAGE_SPEC, errno.EBADMSG, raw=struct.pack("=IIQ", 0x63707368, 1, size) + body)

    for size in (0, 15, 16, 17, 1 << 31, 1 << 63, (1 << 64) - 1):
        forged(size)
    # A record that says it is longer than there is.
    for length in (1, 8, 0x7fffffff, 0xfffffff8, 0xffffffff):
        forged(24, struct.pack("=HHI", 1, 0, length))
    house.refused(STAGE_SPEC, errno.EBADMSG, raw=bytes(3 << 20))
    house.refused(STAGE_SPEC, errno.EBADMSG, raw=bytes((3 << 20) + 1))
    house.unharmed()


def test_counts_are_capped(house):
    house.refused(STAGE_SPEC, errno.EBADMSG, extra=AS_DYNO + record(2, b"a\0") * 1100)
    house.refused(STAGE_SPEC, errno.EBADMSG, extra=AS_DYNO + record(3, b"A=b\0") * 4200)
    house.unharmed()


# ---- signals to what is no dyno ----

def test_only_living_dynos_are_signalled(house):
    """No pid can be named; a name that is not, or not any more, a dyno's reaches nobody."""
    kill = struct.pack("=iI", signal.SIGKILL, 0)
    house.w.spawn(7, "true", extra=AS_DYNO)
    house.born()
    house.w.exited()
    for ident, generation in ((house.pid, 1), (os.getpid(), 1), (house.launcher.process.pid, 1),
                              (7, 1), (7, 2), (INNOCENT, 2), (1 << 63, 1), ((1 << 64) - 1, 0xffffffff)):
        house.w.send(SIGNAL, house.w.child(ident, generation) + kill)
    house.w.send(ACK, house.w.child(7))
    house.w.send(SIGNAL, house.w.child(7) + kill)
    assert set(house.w.list()) == {INNOCENT}
    house.unharmed()


# ---- malformed messages: each costs the connection ----

def costs_connection(house, kind, body, fds=(), **forged):
    data = header(kind, body, **forged)
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    house.w.sock.sendmsg([data], rights)
    assert house.w.closed(), (kind, len(body), forged)
    house.again()


CHILD = struct.pack("=QII", 99, 1, 0)
SIGNAL_BODY = CHILD + struct.pack("=iI", 15, 0)
TAG_BODY = CHILD + struct.pack("=II", 3, 0) + b"abc"
# type: (a body that is well formed, lengths of it that are so, too)
REQUESTS = {
    HELLO: (struct.pack("=IIII", 1, 1, 0, 0), ()),
    SPAWN: (spawn_body(7, tag=b"tag"), ()),
    SIGNAL: (SIGNAL_BODY, (24, 48)),
    LIST: (b"", (0,)),
    ACK: (CHILD, (16, 32)),
    PONG: (b"", (0,)),
    LEAVE: (struct.pack("=II", 3, 0), (8,)),
    UPGRADE: (b"", (0,)),
    TAG: (TAG_BODY, (27,)),
    KEEP: (spawn_body(7, tag=b"tag"), ()),
    PARK: (spawn_body(7, output=1, tag=b"tag"), ()),
    SPAWN_WARM: (warm_body(7), ()),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_every_wrong_length_of_every_request(house, kind):
    good, sound = REQUESTS[kind]
    for length in range(len(good) + 9):
        if length not in sound:
            body = (good + good + bytes(8))[:length]
            fds = [spec("true", ["true"], extra=AS_DYNO)] if kind in (SPAWN, SPAWN_WARM) and length % 2 else []
            fds = os.pipe() if kind == KEEP and length % 2 else fds
            fds = [*os.pipe(), *os.pipe()] if kind == PARK and length % 2 else fds
            if length == len(good) and kind in (SPAWN, KEEP, PARK, SPAWN_WARM):
                continue
            costs_connection(house, kind, body, fds)
            for fd in fds:
                os.close(fd)
    house.unharmed()


def test_packets_shorter_than_a_header(house):
    whole = header(LIST, b"")
    for length in range(16):
        house.w.sock.send(whole[:length])
        assert house.w.closed(), length
        house.again()
    house.unharmed()


def test_wrong_headers(house):
    for forged in (dict(magic=0), dict(magic=0x70757368), dict(version=0), dict(version=2),
                   dict(version=0xffff), dict(length=0), dict(length=15), dict(length=17),
                   dict(length=0xffffffff)):
        costs_connection(house, LIST, b"", **forged)
    house.unharmed()


def test_types_that_are_no_request(house):
    for kind in [n for n in range(71) if n not in REQUESTS] + [255, 256, 0x8000, 0xffff]:
        costs_connection(house, kind, b"")
        if kind < 32:
            costs_connection(house, kind, CHILD + bytes(16))
    house.unharmed()


def test_values_out_of_range(house):
    def child(ident=99, generation=1, reserved=0):
        return struct.pack("=QII", ident, generation, reserved)

    for bad in (child(ident=0), child(generation=0), child(reserved=1)):
        costs_connection(house, ACK, bad)
        costs_connection(house, ACK, CHILD + bad)
        costs_connection(house, SIGNAL, bad + struct.pack("=iI", 15, 0))
        costs_connection(house, TAG, bad + struct.pack("=II", 0, 0))
        fd = spec("true", ["true"], extra=AS_DYNO)
        for body in (bad + warm_body(7)[16:], warm_body(7)[:24] + bad + warm_body(7)[40:]):
            costs_connection(house, SPAWN_WARM, body, [fd])
        os.close(fd)
    for signo, reserved in ((0, 0), (65, 0), (-1, 0), (-(1 << 31), 0), (15, 1)):
        costs_connection(house, SIGNAL, CHILD + struct.pack("=iI", signo, reserved))
    for code, reserved in ((256, 0), (0xffffffff, 0), (0, 1)):
        costs_connection(house, LEAVE, struct.pack("=II", code, reserved))
    for length in (1025, 0xffffffff):
        costs_connection(house, TAG, CHILD + struct.pack("=II", length, 0) + bytes(min(length, 1100)))
    # More records than a packet may have.
    costs_connection(house, ACK, CHILD * 33)
    costs_connection(house, SIGNAL, SIGNAL_BODY * 33)
    for name in (b"", b"a" * 81, b"web/1", b"web\n1", b"web\x7f", b"\xff"):
        fd = spec("true", ["true"], extra=AS_DYNO)
        costs_connection(house, SPAWN, spawn_body(7, name=name), [fd])
        costs_connection(house, KEEP, spawn_body(7, name=name, output=2), [house.out])
        os.close(fd)
    house.unharmed()


def test_descriptors_where_none_belong(house):
    null = os.open("/dev/null", os.O_RDWR)
    held = house.launcher.descriptors()
    for kind in (LIST, PONG):
        costs_connection(house, kind, b"", [null])
    costs_connection(house, SIGNAL, SIGNAL_BODY, [null])
    costs_connection(house, ACK, CHILD, [null])
    # None, too few or too many for a spawn.
    for n, output in ((0, 0), (3, 0), (4, 0), (5, 0), (250, 0), (1, 1), (2, 1), (3, 1), (5, 1), (0, 2), (3, 2),
                      (4, 2), (5, 2), (1, 3), (2, 3), (4, 3), (1, 0xffff)):
        costs_connection(house, SPAWN, spawn_body(7, output=output), [null] * n)
    for n, output in ((0, 0), (3, 0), (4, 0), (250, 0), (1, 1), (3, 1), (5, 1), (0, 2), (3, 2), (1, 3), (1, 0xffff)):
        costs_connection(house, SPAWN_WARM, warm_body(7, output=output), [null] * n)
    # One that is parked has no output yet.
    for n, output in ((0, 1), (1, 1), (3, 1), (5, 1), (250, 1), (1, 0), (2, 0), (4, 0), (4, 2), (4, 3)):
        costs_connection(house, PARK, spawn_body(7, output=output), [null] * n)
    # For a keep as many as it says, however good they are.
    for n, output in ((0, 0), (1, 0), (3, 0), (4, 0), (5, 0), (250, 0), (0, 2), (2, 2), (3, 2), (4, 2), (1, 1), (2, 1),
                      (3, 1), (4, 1), (2, 3), (2, 0xffff)):
        costs_connection(house, KEEP, spawn_body(7, output=output), [house.out] * n)
    os.close(null)
    # The launcher keeps none of them.
    assert house.launcher.descriptors() == held
    house.unharmed()


def test_hello_twice_and_anything_before_it(house):
    costs_connection(house, HELLO, REQUESTS[HELLO][0])
    for kind in (LIST, ACK, SIGNAL, PONG, LEAVE):
        house.w.order_exit(85)
        house.w = house.launcher.connect(hello=False)
        house.w.send(kind, REQUESTS[kind][0])
        assert house.w.closed()
        # One that never said hello is a crash, and waits: so greet once before the next.
        house.w.order_exit(85)
        house.w = house.launcher.connect(timeout=40)
    house.unharmed()


def test_a_hello_of_another_version(house):
    house.w.order_exit(85)
    house.w = house.launcher.connect(hello=False)
    house.w.send(HELLO, struct.pack("=IIII", 2, os.getpid(), 0, 0))
    assert house.w.closed()
    house.unharmed()


def test_garbage(house):
    rng = random.Random(6)
    sent = 0
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            for _ in range(50):
                house.w.sock.send(rng.randbytes(rng.choice((1, 15, 16, 17, 100, 8192, 9000))))
                sent += 1
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert house.w.closed()
        house.again()
    # A line for a connection, not for a packet.
    assert sent > 100
    assert len(house.warnings("malformed")) <= len(house.warnings()) < sent
    house.unharmed()


# ---- floods ----

def pour(w, kind, body, count):
    """Sends without ever reading what comes back. How many the launcher took in time."""
    w.sock.settimeout(3)
    for sent in range(count):
        try:
            w.send(kind, body)
        except TimeoutError:
            return sent
    return count


@pytest.mark.parametrize("kind", [LIST, SIGNAL, ACK, PONG, TAG])
def test_a_flood_of_requests_that_nobody_reads_the_answers_of(house, kind):
    lines, memory = len(house.warnings()), house.memory()
    if kind in (SIGNAL, ACK):
        body = REQUESTS[kind][0] * 32
    elif kind == TAG:
        body = house.w.child(INNOCENT) + struct.pack("=II", 1000, 0) + bytes(1000)
    else:
        body = b""
    assert pour(house.w, kind, body, 20000) == 20000
    assert len(house.warnings()) == lines
    assert house.memory() < memory + 500
    house.unharmed()


def test_a_storm_of_spawns_above_the_table(start):
    """Room for few: the rest is refused, one by one, and what runs is not touched."""
    house = House(start, wrap=["prlimit", "--nofile=200:200"])
    sock, others = house.w.sock, {SPAWNED: 0, FAILED: 0}
    fd = spec("sleep", ["sleep", "60"], extra=AS_DYNO)
    for ident in range(100, 400):
        house.w.send(SPAWN, spawn_body(ident), [fd])
        while readable(sock, 0):
            count(house.w, others)
    while sum(others.values()) < 300:
        count(house.w, others)
    os.close(fd)
    assert 20 <= others[SPAWNED] <= 68 and others[SPAWNED] + others[FAILED] == 300
    running = house.w.list()
    assert len(running) == others[SPAWNED] + 1
    for ident in running:
        if ident != INNOCENT:
            house.w.send(SIGNAL, house.w.child(ident) + struct.pack("=iI", signal.SIGKILL, 0))
    house.unharmed()


def count(w, answers):
    kind, body, fds = w.receive()
    for fd in fds:
        os.close(fd)
    answers[kind] += 1
    if kind == FAILED:
        assert struct.unpack("=Ii", body[16:24]) == (STAGE_REFUSED, errno.EAGAIN)


def test_spawns_that_nobody_reads_the_answers_of(house):
    """Refused ones: the launcher stops reading rather than keep more answers than it has room for."""
    fd = spec("true", ["true"], extra=AS_DYNO)
    body = spawn_body(INNOCENT)
    house.w.sock.settimeout(1)
    sent = 0
    try:
        while sent < 100000:
            house.w.send(SPAWN, body, [fd])
            sent += 1
    except (TimeoutError, OSError) as e:  # full, or too many descriptors on their way
        assert isinstance(e, TimeoutError) or e.errno == errno.ETOOMANYREFS
    os.close(fd)
    assert 16 < sent < 100000
    house.unharmed()


def test_a_storm_of_keeps_above_the_table(start):
    """As many as there is room for, and the rest costs a line a second. No dyno pays for it but by the room."""
    house = House(start, wrap=["prlimit", "--nofile=200:200"])
    begun = time.monotonic()
    a, b = os.pipe()
    for ident in range(100, 3100):
        house.w.send(KEEP, spawn_body(ident), [a, a])
    kept = house.w.list()
    assert 20 <= len(kept) <= 68
    assert len(house.warnings("cannot be kept")) <= time.monotonic() - begun + 2
    assert house.warnings(r"web\.7 was refused \(1 in all\): it cannot be kept: Resource temporarily unavailable")
    # No dyno can be started beside them, and when they go all is as it was.
    house.w.spawn(7, "true", extra=AS_DYNO)
    assert house.w.failed() == (7, STAGE_REFUSED, errno.EAGAIN)
    for ident, entry in kept.items():
        for fd in entry["fds"]:
            os.close(fd)
        if ident != INNOCENT:
            assert entry["state"] == ENTRY_KEPT
            house.w.send(ACK, house.w.child(ident))
    house.w.spawn(7, "true", extra=AS_DYNO)
    assert house.born() == 7
    os.close(a)
    os.close(b)
    house.unharmed()


def test_the_same_keep_over_and_over(house):
    """It costs no memory, no descriptor, and nobody their pipes."""
    a, b = os.pipe()
    c, d = os.pipe()
    os.write(b, b"first")
    house.w.send(KEEP, spawn_body(7), [a, a])
    house.w.list()
    memory, held = house.memory(), house.launcher.descriptors()
    for ident in [7, INNOCENT] * 5000:
        house.w.send(KEEP, spawn_body(ident), [c, c])
    entries = house.w.list()
    assert house.memory() < memory + 500
    assert house.launcher.descriptors() == held
    assert set(entries) == {7, INNOCENT} and os.read(entries[7]["fds"][0], 10) == b"first"
    for fd in (a, b, c, d):
        os.close(fd)
    house.unharmed()


def test_keeps_of_what_is_no_pipe(house):
    """Closed here without waiting, and never looked at: a socket that lingers would hold us for minutes."""
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
    client.setblocking(False)
    try:
        while True:
            client.send(bytes(65536))
    except BlockingIOError:
        pass
    os.kill(house.launcher.process.pid, signal.SIGSTOP)
    house.w.send(KEEP, spawn_body(7), [house.out, client.fileno()])
    client.close()
    os.kill(house.launcher.process.pid, signal.SIGCONT)
    assert set(house.w.list()) == {INNOCENT}
    assert house.warnings("it cannot be kept: its output is no pipe")
    server.close()
    house.unharmed()


def test_a_kept_one_reaches_no_process(house):
    """Whatever is said of it: it names a pipe, and no pid."""
    house.w.send(KEEP, spawn_body(7), [house.out, house.out])
    for signo in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP):
        house.w.send(SIGNAL, house.w.child(7) + struct.pack("=iI", signo, 0))
    assert house.w.list()[7]["pid"] == 0
    house.w.send(ACK, house.w.child(7) + house.w.child(INNOCENT))
    assert set(house.w.list()) == {INNOCENT}
    house.unharmed()


def test_a_thousand_refusals_are_a_line_a_second(house):
    begun = time.monotonic()
    fd = spec("true", ["true"], extra=user(0, 0))
    for ident in range(100, 1100):
        house.w.send(SPAWN, spawn_body(ident), [fd])
        assert house.born() == ident
        assert house.w.failed() == (ident, STAGE_POLICY, errno.EPERM)
        house.w.send(ACK, house.w.child(ident))
    os.close(fd)
    took = time.monotonic() - begun
    assert 1 <= len(house.warnings("was refused")) <= took + 2
    house.unharmed()


def test_a_socket_that_lingers_does_not_hold_the_launcher(house):
    """To close a socket may wait as long as its owner has said: for who has sent it, not for us."""
    server = socket.create_server(("127.0.0.1", 0))
    for kind, body, extra in ((LIST, b"", 0), (SPAWN, spawn_body(INNOCENT, output=1), 3)):
        client = socket.create_connection(server.getsockname())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
        client.setblocking(False)
        try:
            while True:
                client.send(bytes(65536))
        except BlockingIOError:
            pass
        # The launcher's copy is to be the last: else it is we who wait.
        os.kill(house.launcher.process.pid, signal.SIGSTOP)
        house.w.send(kind, body, [client.fileno()] + [2] * extra)
        client.close()
        os.kill(house.launcher.process.pid, signal.SIGCONT)
        if kind == LIST:
            assert house.w.closed()
            house.again()
        else:
            assert house.w.failed() == (INNOCENT, STAGE_REFUSED, errno.EEXIST)
            assert house.w.list()[INNOCENT]["pid"] == house.pid
    server.close()
    house.unharmed()
