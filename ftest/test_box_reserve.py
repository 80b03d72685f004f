"""The process of the next box, which is there before anybody has ordered it: lent once, to a dyno that writes into pipes,
and gone with its launcher. In place of hsup-box is fake_box.c; behind that, hsup-box itself.
"""
import errno
import os
import signal
import struct
import time

import pytest

from hsup import children_of, is_reserve, wait_until
from test_box_wire import EVERY_SIGNAL, order, program, send_signal  # noqa: F401 (a fixture)
from test_keep import UNKNOWN, keep, kill, upgrade  # noqa: F401 (a fixture)
from test_native_warm import house  # noqa: F401 (a fixture)
from wire import (BOX_RUN, GIVEN, RESTART, RUNNING, SEALS, SPAWNED, SPAWN_BOX, STAGE_POLICY, STAGE_SPEC, Terminal, alive, box, read_some, record,
                  user)


def reserves(launcher):
    return [pid for pid in children_of(launcher.process.pid) if is_reserve(pid)]


def wait_reserve(launcher, but=0):
    """One that waits for its order; its pid."""
    wait_until(lambda: [pid for pid in reserves(launcher) if pid != but], "a reserve")
    pid, = reserves(launcher)
    wait_until(lambda: waits(pid), "it to be ready")
    return pid


def wchan(pid):
    with open(f"/proc/{pid}/wchan") as f:
        return f.read()


def waits(pid):
    """In recvmsg(), or before it in poll()."""
    return "poll" in wchan(pid) or "skb" in wchan(pid)


@pytest.fixture
def boxes(keep, program):
    def make(name="first", *options):
        launcher = keep(name, f"--box={program}", "--box-option=RESERVE=1", *options)
        return launcher, launcher.connect()
    return make


@pytest.fixture
def lender(keep, boxes):
    """A launcher that has had a box, and the pid that waits for the next."""
    launcher, w = boxes()
    assert reserves(launcher) == []
    order(keep, w, 1, "end", "0")
    assert w.exited() == (1, 0)
    pid = wait_reserve(launcher)
    keep.pids.add(pid)
    return launcher, w, pid


def test_it_is_the_next_dyno_and_then_there_is_another(keep, lender):
    launcher, w, reserve = lender
    pid, told, _ = order(keep, w, 2, "end", str(7 << 8))
    assert pid == reserve and told["pid"] == told["session"] == ["1"]
    assert told["slot"] == ["1"] and told["owns"] == ["1"] and told["mark"][0].endswith(".2.1")
    assert "--reserve" in told["arg"] and told["arg"][-1] == "RESERVE=1"
    assert sorted(told["fds"][0].split()) == ["0", "1", "2", "3", "4", "5"]
    assert told["seals"] == [str(SEALS)] and told["SigBlk:\t" + EVERY_SIGNAL] == [""]
    assert w.exited() == (2, 7 << 8)
    assert wait_reserve(launcher, but=pid) != pid
    # One, whatever is started, and whatever comes of it.
    for ident in range(3, 9):
        order(keep, w, ident, "wait")
    wait_reserve(launcher)
    assert len(reserves(launcher)) == 1


def test_its_end_is_told_before_the_reap(keep, lender):
    _, w, reserve = lender
    assert order(keep, w, 2, "over", str(9 << 8))[0] == reserve
    send_signal(w, 2, signal.SIGUSR2)
    assert w.exited() == (2, 9 << 8)


def test_who_has_a_terminal_or_files_gets_none(keep, lender):
    _, w, reserve = lender
    null = os.open("/dev/null", os.O_RDWR)
    w.spawn(2, "end", "0", extra=box(), kind=SPAWN_BOX, output=GIVEN, stdio=(null,) * 3)
    os.close(null)
    pid = struct.unpack("=i", w.expect(SPAWNED)[0][16:20])[0]
    assert pid != reserve and alive(reserve)
    assert w.exited() == (2, 0)


def test_one_that_is_killed_costs_no_start(keep, lender):
    launcher, w, reserve = lender
    os.kill(reserve, signal.SIGKILL)
    wait_until(lambda: not alive(reserve), "its reap")
    assert order(keep, w, 2, "end", "0")[0] != reserve
    assert w.exited() == (2, 0)
    wait_reserve(launcher)


def test_one_that_is_stopped_and_killed_behind_its_order(keep, lender):
    """Its dyno is told to have failed, as one that is killed at its birth is."""
    _, w, reserve = lender
    os.kill(reserve, signal.SIGSTOP)
    w.spawn(2, "end", "0", extra=box(), kind=SPAWN_BOX)
    assert w.spawned()[1] == reserve
    os.kill(reserve, signal.SIGKILL)
    assert w.exited() == (2, signal.SIGKILL)


def test_a_launcher_that_is_killed_leaves_none(lender):
    launcher, w, reserve = lender
    kill(launcher, w)
    wait_until(lambda: not alive(reserve), "its end")


def test_a_launcher_that_ends_leaves_none(lender):
    launcher, w, reserve = lender
    w.order_exit(0)
    assert launcher.process.wait(10) == 0
    assert not alive(reserve)


def test_one_is_found_by_the_next_launcher(keep, boxes, lender):
    """Lent, and running: it is as any other dyno."""
    launcher, w, reserve = lender
    assert order(keep, w, 2, "wait")[0] == reserve
    kill(launcher, w)
    _, w = boxes("second")
    assert w.list()[2]["pid"] == reserve and w.list()[2]["state"] == RUNNING
    send_signal(w, 2, signal.SIGTERM)
    assert w.exited() == (2, UNKNOWN)


def test_killed_with_an_order_that_was_not_read(keep, boxes, lender):
    """It runs, and is known, though it had not its mark yet when it was looked for."""
    launcher, w, reserve = lender
    os.kill(reserve, signal.SIGSTOP)
    w.spawn(2, "wait", extra=box(), kind=SPAWN_BOX)
    assert w.spawned()[1] == reserve
    kill(launcher, w)
    _, w = boxes("second")
    assert w.list()[2]["pid"] == reserve
    os.kill(reserve, signal.SIGCONT)
    wait_until(lambda: "sigtimedwait" in wchan(reserve), "it to have read it")
    assert alive(reserve) and w.list()[2]["state"] == RUNNING
    send_signal(w, 2, signal.SIGTERM)
    assert w.exited() == (2, UNKNOWN)


def test_an_upgrade_lets_it_go(keep, lender):
    launcher, w, reserve = lender
    order(keep, w, 2, "wait")
    reserve = wait_reserve(launcher, but=reserve)
    upgrade(launcher)
    assert w.expect(RESTART)
    assert not alive(reserve)
    order(keep, w, 3, "end", "0")
    assert w.exited() == (3, 0)
    assert wait_reserve(launcher) != reserve


# ---- hsup-box itself ----

def begin(house, ident, *args, **more):
    """As any dyno that writes into pipes; whether it was lent, and its output."""
    fd = house.spec(BOX_RUN, f"test-{os.getpid()}-{ident}", *args, **more)
    house.w.send(SPAWN_BOX, house.body(ident, b"web.1") + b"web.1", [fd])
    os.close(fd)
    _, pid, out, _ = house.w.spawned()
    return pid, out


@pytest.fixture
def real(house):
    begin(house, 1, "/bin/true")
    assert house.w.exited() == (1, 0)
    return house, wait_reserve(house.launcher)


def test_a_dyno_that_was_lent_is_as_one_that_was_not(real):
    house, reserve = real
    shown = "echo $$ $0 $#; umask; ulimit -n; env | sort; readlink /proc/self/cwd; ls /proc/self/fd; grep -c Sig /proc/self/status"
    texts = []
    for ident in (2, 3):
        if ident == 3:
            pid = wait_reserve(house.launcher, but=reserve)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not alive(pid), "its reap")
        pid, out = begin(house, ident, "/bin/sh", "-c", shown + "; exit 9", "one", "two", extra=record(14, b"its-own\0"))
        assert (pid == reserve) == (ident == 2)
        assert house.w.exited() == (ident, 9 << 8)
        texts.append(read_some(out))
    assert texts[0] == texts[1] and b"one 1\n" in texts[0]


def test_its_init_shows_what_every_init_does(real):
    house, reserve = real
    pid, _ = begin(house, 2, "/bin/sleep", "1000")
    assert pid == reserve
    wait_until(lambda: not is_reserve(pid), "its mark")
    with open(f"/proc/{pid}/environ", "rb") as f:
        assert f.read().rstrip(b"\0").endswith(b".2.1")
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        assert f.read().strip(b"\0") == b"hsup-box"
    wait_until(lambda: status(pid, "Seccomp") == "2", "init to have given up what it had")
    assert status(pid, "NoNewPrivs") == "1" and status(pid, "CapEff") == "0" * 16


def status(pid, field):
    with open(f"/proc/{pid}/status") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)[field]


@pytest.mark.parametrize("more, stage, error", [
    pytest.param(dict(seal=False), STAGE_SPEC, errno.EPERM, id="not sealed"),
    pytest.param(dict(extra=user(0, 0)), STAGE_POLICY, errno.EPERM, id="with a user"),
    pytest.param(dict(extra=Terminal.FOREGROUND), STAGE_POLICY, errno.EPERM, id="on the launcher's terminal"),
])
def test_what_is_refused_is_refused_of_one_that_was_lent(real, more, stage, error):
    house, reserve = real
    pid, out = begin(house, 2, "/bin/sh", "-c", "echo hostile", **more)
    assert pid == reserve and house.w.failed() == (2, stage, error)
    with pytest.raises(BlockingIOError):
        os.read(out, 100)


def test_it_is_nobody_while_it_waits(real):
    """No descriptor but its own, and nothing that nobody but root may look into."""
    house, reserve = real
    assert sorted(int(fd) for fd in os.listdir(f"/proc/{reserve}/fd")) == [0, 1, 2, 3, 4, 5]
    assert [os.readlink(f"/proc/{reserve}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
    before = spent(reserve)
    time.sleep(0.3)
    assert spent(reserve) == before


def spent(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rpartition(")")[2].split()[11:13]
