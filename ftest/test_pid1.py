"""hsup-launcher as PID 1 of a pid namespace: a real init, as in a container.

Its supervisor is the stub of test_launcher.py, or hsup itself. The pids that the launcher tells are
those of its namespace; the tests look into that through its own /proc.
"""
import contextlib
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import sys

import pytest

from hsup import App, children_of, marked_processes, wait_until
from wire import (LAUNCHER, LEAVE, LIST, SHUTDOWN, SIGNAL, SPAWN, STUB, Launcher, header, read_some)

NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
ORPHANS = 200
SLEEP = ["sleep", "1000"]
# PWR is the power supply's, by whoever watches that.
STOPS = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGPWR]


class Process:
    """A process of a namespace, as that sees it."""

    def __init__(self, stat):
        name, _, rest = stat.rpartition(")")
        self.name = name.partition("(")[2]
        self.state = rest.split()[0]
        self.parent, _, self.session = map(int, rest.split()[1:4])


def inside(init):
    """{pid: Process} of the namespace whose PID 1 is `init` out here."""
    found = {}
    for entry in pathlib.Path(f"/proc/{init}/root/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = Process((entry / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                pass
    return found


def outside(init):
    """{pid inside: pid out here}."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.path.samefile(f"/proc/{entry}/ns/pid", f"/proc/{init}/ns/pid"):
                status = pathlib.Path(f"/proc/{entry}/status").read_text()
                found[int(re.search(r"^NSpid:.*\s(\d+)$", status, re.M).group(1))] = int(entry)
        except OSError:
            pass
    return found


def pending(pid):
    """Signals that were sent to the process and are still to be delivered."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    mask = int(re.search(r"^ShdPnd:\s*(\w+)$", status, re.M).group(1), 16)
    return {signo for signo in range(1, 65) if mask & 1 << signo - 1}


def kill(process, init):
    """The whole namespace. It may be leaving just now: a stub whose test has ended does."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(init, signal.SIGKILL)
        process.wait(30)


class Gate:
    """Holds any number of processes back, until the test opens it."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR)

    def open(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def orphans(self):
        """A shell's commands: it makes daemons, each of a session of its own, that end at the gate."""
        return (f"exec 4<{self.path}; n=0; while [ $n -lt {ORPHANS} ]; do n=$((n+1)); "
                "(setsid sh -c 'read line <&4' &); done")


class Init(Launcher):
    """A launcher that is PID 1, and whose supervisor may do something before it is the stub. What the
    test starts is unshare, which ends as the launcher does."""

    def __init__(self, folder, name="a", before=None, wrap=(), **more):
        if before:
            more["command"] = ["sh", "-c", before + '\nexec "$@"', "sh", sys.executable, "-S", "-E", "-c", STUB,
                               str(folder / f"{name}.sock")]
        super().__init__(folder, name, wrap=[*NAMESPACE, *wrap], **more)
        self.pid = wait_until(lambda: children_of(self.process.pid), "PID 1")[0]

    def connect(self, **more):
        wire = super().connect(**more)
        wire.inner, wire.pid = wire.pid, struct.unpack(
            "=iII", wire.control.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return wire

    def sessions(self):
        """Its children that lead one: dynos, and daemons."""
        return [pid for pid, p in inside(self.pid).items() if p.parent == 1 and p.session == pid]

    def signal(self, signo):
        """From out here: an order of whoever has started the container."""
        os.kill(self.pid, signo)

    def wait(self):
        return self.process.wait(30)

    def end(self):
        kill(self.process, self.pid)
        self.listener.close()


@pytest.fixture
def start(tmp_path):
    started = []

    def make(**more):
        started.append(Init(tmp_path, **more))
        return started[-1]

    yield make
    for init in started:
        init.end()


@pytest.fixture
def gate(tmp_path):
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


class Container(App):
    """`hsup start` that is PID 1."""

    def start(self, *args, **options):
        super().start(*args, wrap=NAMESPACE, **options)
        self.init = wait_until(lambda: children_of(self.process.pid), "PID 1")[0]
        return self

    @property
    def launcher(self):
        return self.init

    def stop(self, signo=signal.SIGTERM, **more):
        os.kill(self.init, signo)
        return self.wait(**more)

    def end(self):
        if self.process:
            kill(self.process, self.init)
        super().end()


@pytest.fixture
def container(build, folder):
    app = Container(build, folder / "app")
    yield app
    app.end()
    assert not marked_processes(app.mark)


# -- orphans --

def test_orphans_are_reaped_before_any_supervisor_has_said_hello(start, gate):
    init = start(before=gate.orphans())
    w = init.connect(hello=False)
    wait_until(lambda: len(init.sessions()) == ORPHANS, "the orphans")
    gate.open()
    wait_until(lambda: set(inside(init.pid)) == {1, w.inner}, "the orphans to be reaped")
    assert w.hello() == 0
    assert init.text().count("which is not ours") == ORPHANS


def test_orphans_of_what_never_says_hello(start):
    """That end at once: in the middle of its ends, its restarts and the times between."""
    init = start(command=["sh", "-c", f"n=0; while [ $n -lt {ORPHANS} ]; do n=$((n+1)); (: &); done; exit 3"])
    wait_until(lambda: init.text().count("ended with code 3") >= 3, "three supervisors")
    # One may be at work just now.
    wait_until(lambda: set(inside(init.pid)) == {1}, "nothing but PID 1")
    ends = init.text().count("ended with code 3")
    assert ends * ORPHANS <= init.text().count("which is not ours") <= (ends + 1) * ORPHANS
    init.signal(signal.SIGTERM)
    assert init.wait() == 128 + signal.SIGTERM


def test_orphans_of_dynos_are_reaped_and_not_told(start, gate):
    init = start()
    w = init.connect()
    w.spawn(1, "sh", "-c", gate.orphans() + "; exec sleep 1000")
    w.spawn(2, *SLEEP)
    w.spawned(), w.spawned()
    wait_until(lambda: len(init.sessions()) == ORPHANS + 2, "the orphans")
    w.send(SIGNAL, w.child(1) + struct.pack("=iI", signal.SIGTERM, 0))
    assert w.exited() == (1, signal.SIGTERM)
    assert len(init.sessions()) == ORPHANS + 1
    gate.open()
    wait_until(lambda: len(inside(init.pid)) == 3, "the orphans to be reaped")
    assert {p.name for p in inside(init.pid).values()} == {"hsup-launcher", "python3", "sleep"}
    assert set(w.list()) == {1, 2}  # and nothing was told before


# -- signals --

@pytest.mark.parametrize("signo", STOPS, ids=lambda s: s.name)
def test_a_stop_is_handed_to_the_supervisor(start, signo):
    init = start()
    w = init.connect()
    w.spawn(1, *SLEEP)
    w.spawned()
    init.signal(signo)
    assert struct.unpack("=Ii", w.expect(SHUTDOWN)[0]) == (1, signo)
    init.signal(signo)
    assert struct.unpack("=Ii", w.expect(SHUTDOWN)[0]) == (2, signo)
    assert len(inside(init.pid)) == 3  # it is the supervisor who stops them
    w.order_exit(0)
    assert init.wait() == 0


@pytest.mark.parametrize("signo", STOPS, ids=lambda s: s.name)
def test_a_stop_without_a_supervisor_tells_the_signal(start, signo):
    init = start()
    w = init.connect()
    w.spawn(1, *SLEEP)
    w.spawned()
    init.signal(signo)
    w.expect(SHUTDOWN)
    os.kill(w.pid, signal.SIGKILL)
    assert init.wait() == 128 + signo


def test_a_dyno_stops_it_too(start):
    """By kill(1): root in a container is who shuts it down."""
    init = start()
    w = init.connect()
    w.spawn(1, "kill", "-TERM", "1")
    w.spawned()
    kinds = [w.receive()[0], w.receive()[0]]
    assert SHUTDOWN in kinds
    w.order_exit(84)
    assert init.wait() == 0


def answers(wire):
    try:
        return wire.list() is not None
    except (OSError, TypeError):
        return False


# KILL and STOP are the kernel's, CHLD tells of children, HUP and USR2 have a meaning of their own.
# USR1 goes on to the supervisor (test_diag.py).
SWALLOWED = set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, *STOPS}
WITNESS = ("import signal, time; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)); print('ready', flush=True); "
           "time.sleep(1000)")


@pytest.mark.parametrize("origin", ["a dyno", "out here"])
def test_other_signals_are_swallowed(start, origin):
    """By it and the dynos."""
    init = start()
    w = init.connect()
    w.spawn(1, sys.executable, "-S", "-E", "-c", WITNESS)
    _, witness, out, _ = w.spawned()
    assert read_some(out) == b"ready\n"
    if origin == "a dyno":
        w.spawn(2, sys.executable, "-S", "-E", "-c", f"import os; [os.kill(1, s) for s in {SWALLOWED} for _ in 'ab']")
        w.spawned()
        assert w.exited() == (2, 0)
    else:
        for signo in sorted(SWALLOWED) * 2:
            init.signal(signo)
    entries = w.list()  # it has gone round its loop since
    assert entries[1]["pid"] == witness
    assert inside(init.pid)[1].state in "RS" and inside(init.pid)[1].name == "hsup-launcher"
    assert pending(outside(init.pid)[witness]) == set()


def test_no_signal_waits_for_ever(start):
    """To be delivered to it: the realtime ones queue, on a quota that all processes of its user share."""
    init = start()
    w = init.connect()
    for signo in sorted(SWALLOWED):
        init.signal(signo)
    w.list()
    wait_until(lambda: not pending(init.pid), f"none to be pending, as are {pending(init.pid)}", patience=5)


def test_other_signals_are_swallowed_by_a_launcher_that_is_not_pid_1(tmp_path):
    """Whom the kernel does not help: it ends a process by whatever that has not blocked."""
    launcher = Launcher(tmp_path)
    w = launcher.connect()
    try:
        for signo in sorted(SWALLOWED):
            launcher.process.send_signal(signo)
            assert answers(w), f"signal {signo} has ended it"
        w.order_exit(0)
        assert launcher.process.wait(30) == 0
    finally:
        launcher.process.kill()
        launcher.process.wait()
        launcher.listener.close()


# -- no way out --

def test_garbage_is_no_way_out(start):
    init = start()
    w = init.connect()
    w.spawn(1, *SLEEP)
    _, pid, _, _ = w.spawned()
    dice = random.Random(1)
    packets = [dice.randbytes(dice.choice([1, 15, 16, 17, 100, 9000])) for _ in range(10)]
    packets += [header(dice.randrange(256), dice.randbytes(dice.choice([1, 7, 31, 8000]))) for _ in range(10)]
    packets += [header(SPAWN, dice.randbytes(40)), header(LIST, b"x")]
    for packet in packets:
        w.sock.send(packet)
        while w.receive():
            pass
        w.order_exit(85)
        w = init.connect()
        assert w.list()[1]["pid"] == pid
    assert init.text().count("malformed") == len(packets)


def test_dynos_run_on_without_a_supervisor(start):
    init = start()
    w = init.connect()
    w.spawn(1, *SLEEP)
    w.spawn(2, "sh", "-c", f"kill -9 {w.inner}; exec sleep 1000")
    new = init.connect()
    assert w.inner not in inside(init.pid)
    entries = new.list()
    assert set(entries) == {1, 2}
    assert all(inside(init.pid)[entry["pid"]].state != "Z" for entry in entries.values())


# -- its end --

@pytest.mark.parametrize("order, code", [("0", 0), ("84", 0), ("86", 86), ("leave", 42)])
def test_what_it_exits_with(start, order, code):
    init = start()
    w = init.connect()
    if order == "leave":
        w.send(LEAVE, struct.pack("=II", code, 0))
        order = "0"
    w.order_exit(order)
    assert init.wait() == code


@pytest.mark.parametrize("end", ["exit", "TERM", "KILL"])
def test_nothing_outlives_it(start, gate, end):
    """Daemons neither, whom it does not know."""
    init = start()
    w = init.connect()
    w.spawn(1, "sh", "-c", gate.orphans() + "; exec sleep 1000")
    w.spawned()
    wait_until(lambda: len(init.sessions()) == ORPHANS + 1, "the orphans")
    there = outside(init.pid)
    assert len(there) >= ORPHANS + 3
    if end == "exit":
        w.order_exit(0)
    else:
        init.signal(signal.Signals[f"SIG{end}"])
        if end == "TERM":
            os.kill(w.pid, signal.SIGKILL)
    assert init.wait() == {"exit": 0, "TERM": 143, "KILL": 1}[end]  # 1: unshare cannot pass that on
    assert not [pid for pid in there.values() if pathlib.Path(f"/proc/{pid}").exists()]


# -- how it starts --

def launch_badly(*args, hide=None):
    hidden = f"mount -t tmpfs none {hide} && " if hide else ""
    done = subprocess.run([*NAMESPACE, "sh", "-c", hidden + 'exec "$@"', "sh", LAUNCHER, *args],
                          capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize("args, hide, code, said", [
    (["true"], "/proc", 1, "hsup-launcher: /proc/self/fd (is /proc mounted?): No such file or directory"),
    (["true"], "/dev", 1, "hsup-launcher: /dev/null: No such file or directory"),
    (["/no/such/hsup"], None, 1, "hsup-launcher: cannot run /no/such/hsup: No such file or directory"),
    ([], None, 2, "Usage: hsup-launcher [OPTION]... [--] SUPERVISOR [ARG...]"),
    (["--no-such-option", "true"], None, 2, "unrecognized option"),
], ids=["proc", "dev", "supervisor", "no command", "option"])
def test_what_it_cannot_start_with(args, hide, code, said):
    returned, lines = launch_badly(*args, hide=hide)
    assert returned == code and any(said in line for line in lines)  # (musl and glibc: each its own words)
    if hide is None and code == 1:
        assert lines == [said]


def test_it_starts_without_any_descriptor(start):
    init = start(wrap=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
    w = init.connect()
    w.spawn(1, "sh", "-c", "echo out; echo err >&2; readlink /proc/self/fd/0")
    _, _, out, err = w.spawned()
    assert w.exited() == (1, 0)
    assert (read_some(out), read_some(err)) == (b"out\n/dev/null\n", b"err\n")


# -- the whole of hsup --

def test_hsup_start_is_pid_1(container):
    container.start()
    container.submit(container.release(
        ("web", ["trap 'echo stopping; exit 0' TERM; cat /proc/1/comm; while :; do sleep 0.05; done"], 2)))
    container.wait_line(r"app\[web\.\d\]: hsup-launcher", count=2)
    container.wait_line("release v1 is up")
    there = inside(container.init)
    assert there[1].name == "hsup-launcher"
    assert [p.name for p in there.values() if p.parent == 1].count("hsup") == 1
    all_of_it = outside(container.init)
    assert container.stop() == 0
    assert sorted(container.app_lines()).count(("web.1", "stopping")) == 1
    assert sorted(container.app_lines()).count(("web.2", "stopping")) == 1
    assert not [pid for pid in all_of_it.values() if pathlib.Path(f"/proc/{pid}").exists()]


def test_a_dyno_that_kills_the_supervisor_ends_nothing(container, folder):
    killer = 'for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" != hsup ] || kill -9 ${p#/proc/}; done'
    gate = Gate(folder / "gate")
    container.start()
    container.submit(container.release(("web", SLEEP, 2),
                                       ("killer", [f"read line <{gate.path}; {killer}; exec sleep 1000"], 1)))
    container.wait_line("release v1 is up")
    dynos, supervisor = container.wait_dynos(3), container.supervisor()
    gate.open()
    wait_until(lambda: not pathlib.Path(f"/proc/{supervisor}").exists(), "the supervisor to be killed")
    assert container.supervisor() != supervisor
    container.submit(container.release(("web", SLEEP, 3), ("killer", SLEEP, 0), Version=2))
    container.wait_line("release v2 is up")
    assert set(container.wait_dynos(3)) & set(dynos) > set()
    assert container.stop() == 0


@pytest.mark.parametrize("signo", STOPS, ids=lambda s: s.name)
def test_hsup_stops_in_order_and_a_second_signal_at_once(container, signo):
    stubborn = {"Type": "web", "Args": ["trap 'echo no' TERM; echo ready; while :; do sleep 0.05; done"],
                "StopTimeout": 600}
    container.start()
    container.submit(container.release(stubborn))
    container.wait_line(r"app\[web\.1\]: ready")
    os.kill(container.init, signo)
    container.wait_line(r"app\[web\.1\]: no")
    assert len(container.dynos()) == 1
    assert container.stop(signo) == 0


def test_hsup_run_is_pid_1(build, folder):
    (folder / "loaded").write_text('{"Processes": []}')
    done = subprocess.run([*NAMESPACE, build / "hsup", "run", "-C", folder, "--", "sh", "-c",
                           "cat /proc/1/comm; (setsid sleep 1000 &); exit 7"],
                          env=dict(os.environ, HSUP_STATE_DIR=str(folder / "state"),
                                   HSUP_RUNTIME_DIR=str(folder / "run")), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (7, "hsup-launcher\n")
