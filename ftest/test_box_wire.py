"""The launcher's part of native dynos: who becomes hsup-box, with what, and how its end is told.

In place of hsup-box is fake_box.c, which tells what it was executed with. As in test_launcher.py the
test is the supervisor.
"""
import errno
import os
import pathlib
import resource
import shutil
import signal
import struct
import subprocess

import pytest

import helpers
from boxes import Held
from hsup import PATIENCE, command_line, wait_until
from test_keep import UNKNOWN, keep, kill, upgrade  # noqa: F401 (a fixture)
from wire import (ACK, BOX_JOIN, BOX_RUN, BOX_SWEEP, CAN_BOX, ENTRY_EXITED, EXITED, LAUNCHER, RESTART, RUNNING, SEALS, SIGNAL, SPAWN, SPAWNED,
                  SPAWN_BOX, STAGE_BOX, STAGE_POLICY, STAGE_SPEC, Terminal, alive, box, read_some, spec, user)

ENDED = 0x656e64
EVERY_SIGNAL = "fffffffffffbfeff"  # but KILL and STOP


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    return helpers.make("fake_box", tmp_path_factory.mktemp("box") / "box")


@pytest.fixture
def boxes(keep, program):
    """A launcher with a box, and its wire."""
    def make(name="first", *options, **more):
        launcher = keep(name, f"--box={program}", "--box-option=A=1", "--box-option=B=-x=y z", *options, **more)
        return launcher, launcher.connect()
    return make


def order(keep, w, ident, *words, mode=BOX_RUN, kind=None, **more):
    """(pid, what the box has told: {first word: [rest of the line...]}, output)"""
    name = None if mode == BOX_SWEEP else "web.1"
    w.spawn(ident, *words, extra=box(mode, name, "host" if mode == BOX_RUN else None, target=mode == BOX_JOIN),
            kind=kind or (SPAWN_BOX if mode == BOX_RUN else SPAWN), **more)
    got, pid, out, _ = w.spawned()
    assert got == ident
    keep.pids.add(pid)
    text = b""
    while not text.endswith(b"ready\n"):
        text += read_some(out)
    told = {}
    for line in text.decode().splitlines():
        word, _, rest = line.partition(" ")
        told.setdefault(word, []).append(rest)
    return pid, told, out


def send_signal(w, ident, signo):
    w.send(SIGNAL, w.child(ident) + struct.pack("=iI", signo, 0))


# ---- birth ----

def test_what_it_is_executed_with(keep, boxes):
    _, w = boxes()
    assert w.can & CAN_BOX
    pid, told, _ = order(keep, w, 1, "end", "0")
    assert (told["pid"], told["ppid"], told["session"]) == (["1"], ["0"], ["1"])
    soft, hard = ("18446744073709551615" if n == resource.RLIM_INFINITY else n
                  for n in resource.getrlimit(resource.RLIMIT_NOFILE))
    assert told["arg"] == ["hsup-box", "--owns-output", "--slot=0", f"--nofile={soft}:{hard}", "A=1", "B=-x=y z"]
    assert [line.split("=")[0] for line in told["env"]] == ["HSUP_CHILD"] and told["env"][0].endswith(".1.1")
    assert sorted(told["fds"][0].split()) == ["0", "1", "2", "3", "4", "5"]
    assert told["seals"] == [str(SEALS)] and told["flags"] == ["2"]
    assert told["SigBlk:\t" + EVERY_SIGNAL] == [""]
    assert w.exited() == (1, 0)


def test_without_pipes_of_the_launchers_no_output_is_its_own(keep, boxes):
    _, w = boxes()
    reading, writing = os.pipe()
    fd = spec("x", ["end", "0"], extra=box())
    w.send(SPAWN_BOX, w.child(3) + struct.pack("=HHI", 1, 1, 0) + b"x", [fd, writing, writing, writing])
    w.expect(SPAWNED)
    assert w.exited() == (3, 0)
    os.close(writing)
    text = b""
    while more := os.read(reading, 4096):
        text += more
    assert b"--slot=0" in text and b"--owns-output" not in text
    for fd in (fd, reading):
        os.close(fd)


def test_each_has_a_slot_of_its_own(keep, boxes):
    """What one tells is not taken for another's."""
    _, w = boxes()
    order(keep, w, 1, "wait")
    _, told, _ = order(keep, w, 2, "end", str(7 << 8))
    assert "--slot=1" in told["arg"]
    assert w.exited() == (2, 7 << 8)
    assert w.list()[1]["state"] == RUNNING


@pytest.mark.parametrize("mode", [BOX_JOIN, BOX_SWEEP])
def test_the_other_modes_are_no_init(keep, boxes, mode):
    _, w = boxes()
    pid, told, _ = order(keep, w, 1, "end", str(signal.SIGSEGV), mode=mode)
    assert told["pid"] == told["session"] == [str(pid)]
    assert sorted(told["fds"][0].split()) == ["0", "1", "2", "3", "4"]
    assert w.exited() == (1, signal.SIGSEGV)


@pytest.mark.parametrize("kind, extra", [
    pytest.param(SPAWN, box(), id="a box without init"),
    pytest.param(SPAWN_BOX, b"", id="init without a box"),
    pytest.param(SPAWN_BOX, box(BOX_JOIN, target=1, stack=None), id="a join that is init"),
    pytest.param(SPAWN_BOX, box(BOX_SWEEP, None, None), id="a sweep that is init"),
    pytest.param(SPAWN_BOX, box() + user(4000, 4000), id="a box with a user"),
    pytest.param(SPAWN, box(BOX_SWEEP, None, None) + user(4000, 4000), id="a sweep with a user"),
])
def test_ordered_the_wrong_way(boxes, kind, extra):
    launcher, w = boxes()
    w.spawn(1, "end", "0", kind=kind, extra=extra)
    w.spawned()
    assert w.failed() == (1, STAGE_POLICY, errno.EPERM)
    assert "web.1 was refused" in launcher.text()


@pytest.mark.parametrize("kind, extra", [
    pytest.param(SPAWN_BOX, box(), id="run"),
    pytest.param(SPAWN_BOX, b"", id="init"),
    pytest.param(SPAWN, box(), id="run without init"),
    pytest.param(SPAWN, box(BOX_JOIN, target=1, stack=None), id="join"),
    pytest.param(SPAWN, box(BOX_SWEEP, None, None), id="sweep"),
])
def test_a_launcher_without_a_box(keep, kind, extra):
    w = keep("first").connect()
    assert not w.can & CAN_BOX
    w.spawn(1, "true", kind=kind, extra=extra)
    w.spawned()
    assert w.failed() == (1, STAGE_POLICY, errno.EPERM)


def test_a_spec_that_is_not_sealed(boxes):
    _, w = boxes()
    w.spawn(1, "end", "0", kind=SPAWN_BOX, extra=box(), seal=False)
    w.spawned()
    assert w.failed() == (1, STAGE_SPEC, errno.EPERM)


def test_a_box_that_is_not_there(keep):
    w = keep("first", "--box=/no/such/box").connect()
    w.spawn(1, "true", kind=SPAWN_BOX, extra=box())
    w.spawned()
    assert w.failed() == (1, STAGE_BOX, errno.ENOENT)


@pytest.mark.parametrize("options", [
    ["--box", "relative"], ["--box-option", "no equals sign"], ["--box-option=--slot=7"],
    [f"--box-option=N{i}=" for i in range(33)],
])
def test_options_that_are_refused(options):
    run = subprocess.run([LAUNCHER, *options, "--", "true"], capture_output=True, text=True)
    assert run.returncode == 2 and run.stderr.startswith("Usage:")


def test_as_many_settings_as_there_may_be(keep, program):
    options = [f"--box-option=N{i}={i}" for i in range(32)]
    w = keep("first", f"--box={program}", *options).connect()
    _, told, _ = order(keep, w, 1, "end", "0")
    assert told["arg"][4:] == [option.partition("=")[2] for option in options]


def test_without_root(keep, program, folder):
    """In a user namespace that has no map yet: it is nobody there, and may do all the same."""
    copy, table = folder / "box", folder / "theirs"
    shutil.copy(program, copy)
    shutil.copy(LAUNCHER, folder / "launcher")
    table.mkdir()
    os.chown(table, 4001, 4001)
    launcher = keep("first", f"--box={copy}", table=table / "table",
                    wrap=["setpriv", "--reuid=4001", "--regid=4001", "--clear-groups"])
    w = launcher.connect()
    pid, told, _ = order(keep, w, 1, "wait")
    assert (told["pid"], told["ppid"]) == (["1"], ["0"])
    effective = next(int(key.split("\t")[1], 16) for key in told if key.startswith("CapEff:"))
    assert effective & 1 << 21 and effective & 1 << 7  # SYS_ADMIN, SETUID
    assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    send_signal(w, 1, signal.SIGTERM)
    assert w.exited() == (1, 3 << 8)


# ---- the end ----

@pytest.mark.parametrize("status", [0, 7 << 8, 255 << 8, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV | 0x80])
def test_how_the_dyno_ended(keep, boxes, status):
    _, w = boxes()
    order(keep, w, 1, "end", str(status))
    assert w.exited() == (1, status)


@pytest.mark.parametrize("status", [-1, 0x10000, 0x7f, 19 << 8 | 0x7f, 0xffff, 7 << 8 | 9])
def test_an_end_that_is_none(keep, boxes, status):
    _, w = boxes()
    order(keep, w, 1, "end", str(status))
    assert w.failed() == (1, STAGE_SPEC, errno.EBADMSG)


def test_what_could_not_be_made(keep, boxes):
    _, w = boxes()
    order(keep, w, 1, "fail", "17", str(errno.ENOENT))
    assert w.failed() == (1, 17, errno.ENOENT)
    order(keep, w, 2, "fail", str(ENDED - 1), "0")
    assert w.failed() == (2, STAGE_SPEC, errno.EBADMSG)


def test_one_that_tells_nothing(keep, boxes):
    _, w = boxes()
    order(keep, w, 1, "exit", "5")
    assert w.exited() == (1, 5 << 8)


# ---- an end that is told before the reap ----

@pytest.fixture
def over(keep, boxes):
    """One that has said that it has ended with 7, and is not reaped: its launcher, the wire, and who holds it."""
    launcher, w = boxes()
    pid, _, _ = order(keep, w, 1, "over", str(7 << 8))
    held = Held(pid)
    send_signal(w, 1, signal.SIGUSR2)
    body, _ = w.expect(EXITED)
    assert struct.unpack("=QIIi", body[:20]) == (1, 1, 0, 7 << 8)
    assert struct.unpack("=3Q", body[-24:]) == (1, 2, 3)  # its usage
    assert held.there()
    yield launcher, w, held
    held.release()


def acknowledge(w, ident, generation=1):
    w.send(ACK, w.child(ident, generation))


def test_told_before_the_reap(keep, over):
    launcher, w, held = over
    assert w.list()[1]["state"] == ENTRY_EXITED
    acknowledge(w, 1)
    assert w.list() == {}
    # The next life need not wait; but the slot is not free, nor is the number.
    pid, told, _ = order(keep, w, 1, "end", "0", generation=2)
    assert "--slot=1" in told["arg"]
    assert w.exited() == (1, 0)
    acknowledge(w, 1, 2)
    assert held.there()
    # The slot that was free last is the next: so this one's first.
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the reap of the second")
    assert w.list() == {}
    held.release()
    wait_until(lambda: not held.there(), "the reap")
    _, told, _ = order(keep, w, 2, "end", "0")
    assert "--slot=0" in told["arg"]
    assert w.exited() == (2, 0)  # and nothing more of the first


def test_acknowledged_after_the_reap(keep, over):
    _, w, held = over
    held.release()
    wait_until(lambda: not held.there(), "the reap")
    assert w.list()[1]["status"] == 7 << 8
    acknowledge(w, 1)
    assert w.list() == {}


def test_the_launcher_ends_when_all_are_reaped(over):
    launcher, w, held = over
    acknowledge(w, 1)
    w.order_exit(0)
    with pytest.raises(subprocess.TimeoutExpired):
        launcher.process.wait(0.5)
    held.release()
    assert launcher.process.wait(PATIENCE) == 0
    assert "stopping" not in launcher.text()


@pytest.mark.parametrize("acknowledged", [False, True])
def test_told_to_a_supervisor_that_is_killed(over, acknowledged):
    launcher, w, held = over
    if acknowledged:
        acknowledge(w, 1)
        w.list()
    os.kill(w.pid, signal.SIGKILL)
    w = launcher.connect()
    assert {ident: entry["status"] for ident, entry in w.list().items()} == ({} if acknowledged else {1: 7 << 8})
    held.release()
    wait_until(lambda: not held.there(), "the reap")
    assert w.list().keys() == (set() if acknowledged else {1})


@pytest.mark.parametrize("acknowledged", [False, True])
def test_told_by_a_launcher_that_is_killed(boxes, over, acknowledged):
    launcher, w, held = over
    if acknowledged:
        acknowledge(w, 1)
        w.list()
    kill(launcher, w)
    _, w = boxes("second")
    assert {ident: entry["status"] for ident, entry in w.list().items()} == ({} if acknowledged else {1: 7 << 8})


@pytest.mark.parametrize("acknowledged", [False, True])
def test_told_by_a_launcher_that_is_replaced(keep, over, acknowledged):
    launcher, w, held = over
    if acknowledged:
        acknowledge(w, 1)
        w.list()
    upgrade(launcher)
    assert w.expect(RESTART)
    assert {ident: entry["status"] for ident, entry in w.list().items()} == ({} if acknowledged else {1: 7 << 8})
    _, told, _ = order(keep, w, 2, "end", "0")
    assert "--slot=1" in told["arg"]
    assert w.exited() == (2, 0)
    acknowledge(w, 1)
    acknowledge(w, 2)
    held.release()
    wait_until(lambda: not held.there(), "the reap")
    order(keep, w, 3, "end", "0")
    assert w.exited() == (3, 0)
    acknowledge(w, 3)
    w.order_exit(85)  # another supervisor
    assert launcher.connect().list() == {}


def test_what_tells_the_end_outlives_an_upgrade(keep, boxes):
    launcher, w = boxes()
    pid, _, _ = order(keep, w, 1, "over", str(7 << 8))
    upgrade(launcher)
    assert w.expect(RESTART)
    w.list()
    held = Held(pid)
    try:
        send_signal(w, 1, signal.SIGUSR2)
        assert w.exited() == (1, 7 << 8)
        assert held.there()
    finally:
        held.release()


def test_who_says_that_it_has_ended_does_not_live_on(keep, boxes):
    launcher, w = boxes()
    before = launcher.descriptors()
    pid, _, out = order(keep, w, 1, "over", "0")
    send_signal(w, 1, signal.SIGUSR2)
    assert w.exited() == (1, 0)
    wait_until(lambda: not alive(pid), "its end")
    acknowledge(w, 1)
    assert launcher.descriptors() == before


@pytest.mark.parametrize("words", [("babble", "3"), ("babble", "500"), ("over", "0x7f"), ("over", "-1")])
def test_nonsense_is_no_end(keep, boxes, words):
    launcher, w = boxes()
    pid, _, out = order(keep, w, 1, *words)
    for _ in range(2):
        send_signal(w, 1, signal.SIGUSR2)
        assert read_some(out).startswith(b"signal %d " % signal.SIGUSR2)
    assert w.list()[1]["state"] == RUNNING and alive(pid)
    send_signal(w, 1, signal.SIGTERM)
    assert w.exited() == (1, 3 << 8)


# ---- what a signal ends ----

def test_kill_ends_all_of_it(keep, boxes):
    _, w = boxes()
    pid, _, _ = order(keep, w, 1, "hidden")
    others = [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    assert len(others) == 1 and alive(others[0])
    send_signal(w, 1, signal.SIGKILL)
    assert w.exited() == (1, signal.SIGKILL)  # and no LEFT before it
    assert not alive(others[0])


def test_signals(keep, boxes):
    launcher, w = boxes()
    pid, _, out = order(keep, w, 1, "wait")

    def stops():
        send_signal(w, 1, signal.SIGSTOP)
        assert read_some(out) == b"signal %d code -1 value %d\n" % (signal.SIGRTMAX, signal.SIGSTOP)

    stops()
    send_signal(w, 1, signal.SIGUSR1)
    assert read_some(out).startswith(b"signal %d code 0 " % signal.SIGUSR1)
    upgrade(launcher)
    assert w.expect(RESTART)
    stops()  # who is init was not forgotten
    send_signal(w, 1, signal.SIGTERM)
    assert w.exited() == (1, 3 << 8)


def test_a_signal_in_the_first_moment_waits(keep, boxes):
    _, w = boxes()
    w.spawn(1, "wait", kind=SPAWN_BOX, extra=box())
    send_signal(w, 1, signal.SIGTERM)
    w.spawned()
    assert w.exited() == (1, 3 << 8)


# ---- the launcher is killed, or replaced ----

def test_an_upgrade(keep, boxes):
    launcher, w = boxes()
    pid, _, _ = order(keep, w, 1, "wait")
    upgrade(launcher)
    assert w.expect(RESTART)
    w.order_exit(85)
    w = launcher.connect()
    assert w.can & CAN_BOX
    assert w.list()[1]["pid"] == pid
    _, told, _ = order(keep, w, 2, "end", str(9 << 8))
    assert told["arg"][-2:] == ["A=1", "B=-x=y z"]
    assert w.exited() == (2, 9 << 8)
    send_signal(w, 1, signal.SIGTERM)
    assert w.exited() == (1, 3 << 8)


@pytest.mark.parametrize("how", ["wait", "hidden"])
def test_a_killed_launchers_boxes_are_found(keep, boxes, how):
    first, w = boxes()
    pid, _, _ = order(keep, w, 1, how)
    kill(first, w)
    second, w = boxes("second")
    entry = w.list()[1]
    assert (entry["pid"], entry["state"]) == (pid, RUNNING)
    send_signal(w, 1, signal.SIGSTOP)
    assert read_some(entry["fds"][0]) == b"signal %d code -1 value %d\n" % (signal.SIGRTMAX, signal.SIGSTOP)
    send_signal(w, 1, signal.SIGTERM)
    assert w.exited() == (1, UNKNOWN)
    assert "cannot be found again" not in second.text()


def test_killed_around_the_clone(keep, boxes, folder):
    """By the mark init is found, and not another that has it, though that one's number comes first."""
    decoy = subprocess.Popen(["sh", "-c", 'read mark; exec env "$mark" sleep 1000'], stdin=subprocess.PIPE,
                             start_new_session=True)
    first, w = boxes()
    pid, told, _ = order(keep, w, 1, "hidden")
    assert decoy.pid < pid
    try:
        decoy.stdin.write(told["env"][0].encode() + b"\n")
        decoy.stdin.flush()
        wait_until(lambda: command_line(decoy.pid).startswith("sleep"), "the other")
        kill(first, w)
        table = bytearray((folder / "table").read_bytes())
        at = table.index(struct.pack("=QIi", 1, 1, pid))
        table[at + 12:at + 16] = bytes(4)  # no pid yet
        table[at + 24] = 1  # CHILD_FORKING
        (folder / "table").write_bytes(table)
        _, w = boxes("second")
        entry = w.list()[1]
        assert (entry["pid"], entry["state"]) == (pid, RUNNING)
        send_signal(w, 1, signal.SIGTERM)
        assert w.exited() == (1, UNKNOWN)
    finally:
        decoy.kill()
        decoy.wait()
        decoy.stdin.close()


def test_a_table_that_says_nonsense_of_init(keep, boxes, folder):
    first, w = boxes()
    pid, _, _ = order(keep, w, 1, "wait")
    kill(first, w)
    table = bytearray((folder / "table").read_bytes())
    at = table.index(struct.pack("=QIi", 1, 1, pid))
    assert table[at + 108] == 1
    table[at + 108] = 2
    (folder / "table").write_bytes(table)
    _, w = boxes("second")
    assert w.list() == {}


def test_dying_with_the_launcher(keep, boxes):
    first, w = boxes("first", "--die-with-launcher")
    pid, _, _ = order(keep, w, 1, "wait")
    kill(first, w)
    wait_until(lambda: not alive(pid), "init to die")


# ---- a terminal ----

@pytest.mark.parametrize("background", [False, True])
def test_the_terminal(program, tmp_path, background):
    """It goes to a box in the foreground and comes back; a launcher in the background takes it from nobody. (Of the
    groups outside its pid namespace init sees only that they are not its own.)"""
    tty = Terminal(tmp_path, f"--box={program}", background=background)
    w, leader, terminal, out = tty.wire, tty.leader, tty.master, tty.out
    tty.order(SPAWN_BOX, spec("x", ["wait"], extra=box() + tty.FOREGROUND))
    body, _ = w.expect(SPAWNED)
    child = struct.unpack("=i", body[16:20])[0]
    text = b""
    while not text.endswith(b"ready\n"):
        text += read_some(out)
    assert os.getsid(child) == leader and os.getpgid(child) == child
    assert os.tcgetpgrp(terminal) == (leader if background else child)
    if not background:
        os.write(terminal, b"\x03")
        assert read_some(out).startswith(b"signal %d " % signal.SIGINT)
    send_signal(w, 1, signal.SIGTERM)
    assert w.exited() == (1, 3 << 8)
    assert os.tcgetpgrp(terminal) == leader
    assert tty.end() == 0
