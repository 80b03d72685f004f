"""hsup-launcher as the supervisor sees it: these tests speak the wire themselves."""
import errno
import os
import pathlib
import re
import resource
import signal
import stat
import struct
import subprocess
import time

import pytest

from hsup import wait_until
from wire import (ACK, ENTRY_EXITED, ENTRY_LEFT, EXITED, HELLO, LAUNCHER, LEAVE, LEFT, LIST, PING, PONG, RECORDS,
                  RUNNING, SHUTDOWN, SIGNAL, SPAWN, SPAWNED, STAGE_DIRECTORY, STAGE_EXEC, STAGE_REFUSED, STAGE_SPEC,
                  Terminal, alive, header, read_all, read_some, readable, spec)


def test_a_program_runs_and_its_end_is_told(start):
    w = start().connect()
    w.spawn(1, "sh", "-c", "echo out; echo err >&2; exit 7")
    ident, pid, out, err = w.spawned()
    assert ident == 1 and pid > 0
    assert w.exited() == (1, 7 << 8)
    assert (read_all(out), read_all(err)) == (b"out\n", b"err\n")


def test_what_a_dyno_is_born_with(start):
    w = start().connect()
    w.spawn(1, "sh", "-c", "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -l;"
            "ulimit -Sn; cut -d' ' -f5,6 /proc/$$/stat; echo $$; env; readlink /proc/self/fd/0",
            env=["PATH=/usr/bin:/bin", "A=b"])
    _, pid, out, _ = w.spawned()
    w.exited()
    lines = read_all(out).decode().split("\n")
    assert lines[0].split() == ["SigBlk:", "0" * 16]
    assert lines[1].split() == ["SigIgn:", "0" * 16]
    assert lines[2] == "4"  # 0, 1, 2 and ls's own
    assert int(lines[3]) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert lines[4] == f"{pid} {pid}" and lines[5] == str(pid)  # group and session of its own
    assert "A=b" in lines and not any("HSUP" in line and not line.startswith("HSUP_CHILD=") for line in lines)
    assert "/dev/null" in lines


def test_stages_that_fail_are_named(start):
    w = start().connect()
    w.spawn(1, "/no/such/program")
    assert w.spawned()[0] == 1
    assert w.failed() == (1, STAGE_EXEC, errno.ENOENT)
    w.spawn(2, "no-such-program")
    w.spawned()
    assert w.failed() == (2, STAGE_EXEC, errno.ENOENT)
    w.spawn(3, "true", directory="/no/such/directory")
    w.spawned()
    assert w.failed() == (3, STAGE_DIRECTORY, errno.ENOENT)
    w.spawn(4, "true", env=["PATH=/etc:/usr/bin"], program="passwd-")
    w.spawned()
    assert w.failed() == (4, STAGE_EXEC, errno.EACCES)
    w.spawn(5, "true", seal=False)
    w.spawned()
    assert w.failed() == (5, STAGE_SPEC, errno.EPERM)
    w.spawn(6, "true", raw=b"garbage " * 10)
    w.spawned()
    assert w.failed() == (6, STAGE_SPEC, errno.EBADMSG)
    assert set(w.list()) == {1, 2, 3, 4, 5, 6}
    for ident in range(1, 7):
        w.send(ACK, w.child(ident))
    assert w.list() == {}


def test_one_id_lives_once(start):
    w = start().connect()
    w.spawn(1, "sleep", "60")
    w.spawned()
    w.spawn(1, "sleep", "60", generation=2)
    assert w.failed() == (1, STAGE_REFUSED, errno.EEXIST)
    w.send(ACK, w.child(1))  # of a living one: nothing
    assert w.list()[1]["state"] == RUNNING
    w.send(SIGNAL, w.child(1) + struct.pack("=iI", signal.SIGTERM, 0))
    assert w.exited() == (1, signal.SIGTERM)
    w.spawn(1, "true", generation=2)
    w.spawned()
    assert w.exited() == (1, 0)


def test_kill_9_of_the_supervisor_loses_no_dyno_and_no_byte(start):
    launcher = start()
    w = launcher.connect()
    for i in range(1, 21):
        w.spawn(i, "sh", "-c", "n=0; while [ $n -lt 400 ]; do n=$((n+1)); echo line $n; "
                "[ $((n % 20)) = 0 ] && sleep 0.05; done; exec sleep 60", name=f"web.{i}", tag=b"t%d" % i)
    first, pids = {}, {}
    for _ in range(20):
        ident, pid, out, err = w.spawned()
        first[ident], pids[ident] = out, pid
    time.sleep(0.3)
    # What the old supervisor has read is its own; the rest must come out at the new one.
    got = {ident: read_some(fd) for ident, fd in first.items()}
    os.kill(w.pid, signal.SIGKILL)
    w = launcher.connect()
    entries = w.list()
    assert set(entries) == set(range(1, 21))
    wanted = b"".join(b"line %d\n" % n for n in range(1, 401))
    for ident, entry in entries.items():
        assert (entry["state"], entry["pid"]) == (RUNNING, pids[ident])
        assert (entry["name"], entry["tag"]) == (b"web.%d" % ident, b"t%d" % ident)
        assert entry["start"] == int(
            pathlib.Path(f"/proc/{entry['pid']}/stat").read_text().rsplit(")", 1)[1].split()[19])
    deadline = time.monotonic() + 20
    while any(got[i] != wanted for i in got) and time.monotonic() < deadline:
        for i in [e["fds"][0] for e in entries.values() if readable(e["fds"][0], 0.01)]:
            ident = next(k for k, e in entries.items() if e["fds"][0] == i)
            got[ident] += os.read(i, 65536)
    assert all(got[i] == wanted for i in got)
    assert all(alive(pid) for pid in pids.values())


def test_ends_without_a_supervisor_are_told_later(start):
    launcher = start()
    w = launcher.connect()
    w.spawn(1, "sh", "-c", "sleep 0.1; echo tail; exit 3")
    w.spawn(2, "sh", "-c", "sleep 0.2; echo last words; exit 3")
    w.spawn(3, "sh", "-c", "sleep 60")
    names = {}
    for _ in range(3):
        ident, _, out, _ = w.spawned()
        names[ident] = os.readlink(f"/proc/self/fd/{out}")
    assert w.exited()[0] == 1  # seen, but not acknowledged
    os.kill(w.pid, signal.SIGKILL)
    w = launcher.connect(hello=False)
    time.sleep(0.5)
    assert w.hello() == 3
    entries = w.list()
    assert entries[1]["status"] == entries[2]["status"] == 3 << 8
    assert entries[1]["state"] == entries[2]["state"] == ENTRY_EXITED
    assert entries[3]["state"] == RUNNING and "status" not in entries[3]
    assert read_all(entries[2]["fds"][0]) == b"last words\n"
    w.send(ACK, w.child(1))
    w.send(ACK, w.child(2))
    assert set(w.list()) == {3}
    held = [os.readlink(fd) for fd in pathlib.Path(f"/proc/{launcher.process.pid}/fd").iterdir()]
    assert [name in held for name in names.values()] == [False, False, True]


@pytest.mark.parametrize("packet", [
    b"x",
    b"",
    header(HELLO, b""),
    header(HELLO, struct.pack("=IIII", 2, 1, 0, 0)),
    header(LIST, b"", magic=1),
    header(LIST, b"", version=2),
    header(LIST, b"", length=17),
    header(LIST, b"\0"),
    header(0, b""),
    header(SPAWNED, bytes(32)),
    header(64, bytes(40)),
    header(99, b""),
    header(SPAWN, bytes(24)),
    header(SPAWN, struct.pack("=QIIHHI", 1, 1, 0, 0, 3, 0) + b"a/b"),
    header(SPAWN, struct.pack("=QIIHHI", 1, 1, 0, 0, 65535, 65535) + b"abc"),
    header(SIGNAL, struct.pack("=QIIiI", 1, 1, 0, 65, 0)),
    header(SIGNAL, struct.pack("=QIIiI", 1, 1, 0, -1, 0)),
    header(SIGNAL, struct.pack("=QIIiI", 0, 1, 0, 9, 0)),
    header(ACK, struct.pack("=QII", 1, 0, 0)),
    header(ACK, struct.pack("=QII", 1, 1, 0) + struct.pack("=QII", 0, 1, 0)),
    header(ACK, struct.pack("=QII", 1, 1, 0) * (RECORDS + 1)),
    header(ACK, b""),
    header(SIGNAL, struct.pack("=QIIiI", 1, 1, 0, 9, 0) + struct.pack("=QIIiI", 1, 1, 0, 65, 0)),
    header(LEAVE, struct.pack("=II", 256, 0)),
    header(LIST, bytes(9000)),
])
def test_a_malformed_packet_costs_the_connection_only(start, packet):
    launcher = start()
    w = launcher.connect()
    w.spawn(1, "sleep", "60")
    _, pid, _, _ = w.spawned()
    w.sock.send(packet)
    if packet:  # an empty packet cannot be told from an end of file: it is one
        assert w.receive() is None
        assert "malformed" in launcher.text()
    w.order_exit(1)
    w = launcher.connect()
    assert w.list()[1]["pid"] == pid and alive(pid)


def test_too_many_descriptors_and_a_wrong_first_message(start):
    launcher = start()
    w = launcher.connect()
    before = launcher.descriptors()
    w.order_exit(1)
    w = launcher.connect(hello=False)
    w.send(LIST)
    assert w.receive() is None
    w.order_exit(1)
    w = launcher.connect()
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(6)]
    w.send(LIST, b"", fds)
    assert w.receive() is None
    w.order_exit(1)
    w = launcher.connect()
    assert launcher.descriptors() == before, "descriptors were leaked"


def test_one_that_stays_after_its_connection_was_closed_is_killed(start):
    launcher = start()
    w = launcher.connect()
    w.sock.send(b"garbage")
    began = time.monotonic()
    launcher.connect()
    assert 4 < time.monotonic() - began < 9
    assert not alive(w.pid)


def test_left_then_exited(start):
    w = start().connect()
    w.spawn(1, "sh", "-c", "sleep 60 & echo $!; exit 4")
    _, pid, out, _ = w.spawned()
    assert struct.unpack("=Q", w.expect(LEFT)[0][:8])[0] == 1
    member = int(read_some(out))
    assert alive(member) and not alive(pid)
    assert w.list()[1]["state"] == ENTRY_LEFT
    w.send(SIGNAL, w.child(1) + struct.pack("=iI", signal.SIGTERM, 0))
    assert w.exited() == (1, 4 << 8)
    assert not alive(member)


def test_an_orphan_of_another_session_is_reaped_and_not_told(start):
    launcher = start()
    w = launcher.connect()
    w.spawn(1, "sh", "-c", "setsid sh -c 'echo $$; sleep 0.3' & sleep 0.1; exit 0")
    _, _, out, _ = w.spawned()
    assert w.exited() == (1, 0)
    orphan = int(read_all(out))
    deadline = time.monotonic() + 5
    while pathlib.Path(f"/proc/{orphan}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not pathlib.Path(f"/proc/{orphan}").exists()
    assert w.list()[1]["state"] == ENTRY_EXITED


def test_a_flood_with_nobody_reading_loses_nothing(start):
    w = start().connect()
    for i in range(1, 401):
        w.spawn(i, "true", tag=b"x" * 1000)
    time.sleep(1)
    spawned, exited = set(), set()
    while len(exited) < 400:
        kind, body, fds = w.receive()
        ident = struct.unpack("=Q", body[:8])[0]
        assert kind in (SPAWNED, EXITED)
        (spawned if kind == SPAWNED else exited).add(ident)
        assert ident in spawned
        for fd in fds:
            os.close(fd)
    assert spawned == exited == set(range(1, 401))


def test_many_in_one_packet(start):
    w = start().connect()
    for i in range(1, 41):
        w.spawn(i, "sleep", "60")
    for _ in range(40):
        w.spawned()
    # Unknown ones among them hold nobody up.
    w.send(SIGNAL, b"".join(w.child(i) + struct.pack("=iI", signal.SIGTERM, 0) for i in [*range(1, 31), 77, 78]))
    assert {w.exited() for _ in range(30)} == {(i, signal.SIGTERM) for i in range(1, 31)}
    w.send(ACK, b"".join(w.child(i) for i in [99, *range(1, 31), 31]))  # 31 lives: nothing
    assert set(w.list()) == set(range(31, 41))


def test_refusals_are_all_told(start):
    w = start().connect()
    w.spawn(1, "sleep", "60")
    w.spawned()
    for i in range(300):
        w.spawn(1, "true", generation=i + 2)
    assert [w.failed() for _ in range(300)] == [(1, STAGE_REFUSED, errno.EEXIST)] * 300


def test_exit_codes_of_the_supervisor(start):
    for name, code, wanted in [("a", 0, 0), ("b", 84, 0), ("c", 86, 86)]:
        launcher = start(name=name)
        w = launcher.connect()
        w.spawn(1, "sleep", "60")
        _, pid, _, _ = w.spawned()
        w.order_exit(code)
        assert launcher.process.wait(10) == wanted
        assert not alive(pid)


@pytest.mark.parametrize("code", [0, 84, 86])
def test_the_code_of_leave_wins(start, code):
    launcher = start()
    w = launcher.connect()
    w.send(LEAVE, struct.pack("=II", 42, 0))
    w.order_exit(code)
    assert launcher.process.wait(10) == 42


def test_85_starts_it_again_at_once(start):
    launcher = start()
    w = launcher.connect()
    w.spawn(1, "sleep", "60")
    _, pid, _, _ = w.spawned()
    w.order_exit(85)
    w = launcher.connect()
    assert w.list()[1]["pid"] == pid
    assert "starting it again in" not in launcher.text()


def test_crashes_back_off(start):
    launcher = start()
    for _ in range(4):
        launcher.connect().order_exit(3)
    launcher.connect()
    assert [line.rsplit(" ", 2)[1] for line in launcher.text().splitlines()
            if "starting it again in" in line] == ["0.1", "0.2", "0.4", "0.8"]


def test_a_supervisor_that_is_not_there(start):
    launcher = start(command=["/no/such/hsup"])
    assert launcher.process.wait(10) == 1
    assert launcher.text().splitlines()[-1].endswith("cannot run /no/such/hsup: No such file or directory")


def test_term_is_handed_to_the_supervisor(start):
    launcher = start()
    w = launcher.connect()
    launcher.process.send_signal(signal.SIGTERM)
    assert struct.unpack("=Ii", w.expect(SHUTDOWN)[0]) == (1, signal.SIGTERM)
    launcher.process.send_signal(signal.SIGINT)
    assert struct.unpack("=Ii", w.expect(SHUTDOWN)[0])[0] == 2
    w.send(LEAVE, struct.pack("=II", 9, 0))
    w.order_exit(0)
    assert launcher.process.wait(10) == 9


def test_term_before_the_hello_is_remembered(start):
    launcher = start()
    w = launcher.connect(hello=False)
    launcher.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    w.hello()
    assert struct.unpack("=Ii", w.expect(SHUTDOWN)[0]) == (1, signal.SIGTERM)
    w.order_exit(0)
    assert launcher.process.wait(10) == 0


def test_term_with_a_supervisor_that_hangs_ends(start):
    launcher = start()
    w = launcher.connect()
    w.spawn(1, "sleep", "60")
    _, pid, _, _ = w.spawned()
    os.kill(w.pid, signal.SIGSTOP)
    began = time.monotonic()
    launcher.process.send_signal(signal.SIGTERM)
    assert launcher.process.wait(30) == 128 + signal.SIGTERM
    assert 8 < time.monotonic() - began < 16
    assert not alive(pid) and not alive(w.pid)


@pytest.mark.parametrize("hello", [True, False])
def test_a_hung_supervisor_is_replaced(start, hello):
    launcher = start(options=["--watchdog", "2"])
    w = launcher.connect()
    w.spawn(1, "sleep", "60")
    _, pid, _, _ = w.spawned()
    if not hello:
        w.order_exit(85)
        w = launcher.connect(hello=False)
    os.kill(w.pid, signal.SIGSTOP)
    began = time.monotonic()
    new = launcher.connect(hello=False)
    assert 0.9 < time.monotonic() - began < 6
    assert new.pid != w.pid and not alive(w.pid)
    assert new.hello() == 1 and new.list()[1]["pid"] == pid and alive(pid)
    said = "has not answered for" if hello else "has not said hello for"
    assert re.search(rf"hsup-launcher: the supervisor \(pid {w.pid}\) {said} [1-5]\.\d s: killed\n", launcher.text())


def test_a_supervisor_that_answers_lives(start):
    launcher = start(options=["--watchdog", "1"])
    w = launcher.connect()
    asked, deadline = 0, time.monotonic() + 4
    while time.monotonic() < deadline:
        kind, _, _ = w.receive(pings=True)
        assert kind == PING
        w.send(PONG)
        asked += 1
    assert 5 <= asked <= 9 and launcher.process.poll() is None and alive(w.pid)


def test_without_a_watchdog_nobody_is_asked(start):
    launcher = start(options=["--watchdog=0"])
    w = launcher.connect()
    with pytest.raises(TimeoutError):
        w.receive(timeout=2, pings=True)
    assert alive(w.pid)


def test_a_slow_but_answering_supervisor_is_waited_for(start):
    launcher = start()
    w = launcher.connect()
    launcher.process.send_signal(signal.SIGTERM)
    w.expect(SHUTDOWN)
    deadline = time.monotonic() + 12
    while time.monotonic() < deadline:
        try:
            w.receive(timeout=1)  # answers the pings
        except TimeoutError:
            pass
    assert launcher.process.poll() is None
    w.order_exit(0)
    assert launcher.process.wait(10) == 0


def test_a_supervisor_that_dies_while_shutting_down_is_not_replaced(start):
    launcher = start()
    w = launcher.connect()
    w.spawn(1, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    _, pid, out, _ = w.spawned()
    assert read_some(out) == b"ready\n"
    launcher.process.send_signal(signal.SIGTERM)
    w.expect(SHUTDOWN)
    began = time.monotonic()
    os.kill(w.pid, signal.SIGKILL)
    assert launcher.process.wait(30) == 128 + signal.SIGTERM
    assert 9 < time.monotonic() - began < 15  # TERM, 10 s, KILL
    assert not alive(pid)


def test_a_third_signal_ends_everything_at_once(start):
    launcher = start()
    w = launcher.connect()
    w.spawn(1, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    _, pid, out, _ = w.spawned()
    assert read_some(out) == b"ready\n"
    for _ in range(3):
        launcher.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    assert launcher.process.wait(3) == 128 + signal.SIGTERM
    assert not alive(pid)


def test_term_while_the_supervisor_is_away(start):
    launcher = start()
    w = launcher.connect()
    w.spawn(1, "sleep", "60")
    _, pid, _, _ = w.spawned()
    for _ in range(4):  # until the back-off is long enough to be met
        w.order_exit(3)
        w = launcher.connect()
    w.order_exit(3)
    wait_until(lambda: launcher.text().count("starting it again") == 5, "the fifth back-off")
    launcher.process.send_signal(signal.SIGTERM)
    # The next one is told: it knows how each dyno wants to be stopped.
    w = launcher.connect(timeout=5)
    assert struct.unpack("=Ii", w.expect(SHUTDOWN)[0]) == (1, signal.SIGTERM)
    # It fails: the launcher does it.
    w.order_exit(3)
    assert launcher.process.wait(5) == 128 + signal.SIGTERM
    assert not alive(pid)


def test_term_twice_while_the_supervisor_is_away(start):
    launcher = start()
    for _ in range(6):
        w = launcher.connect()
        w.order_exit(3)
    wait_until(lambda: "starting it again in 1.6 s" in launcher.text(), "the sixth back-off")
    launcher.process.send_signal(signal.SIGSTOP)  # so that it sees both at once
    launcher.process.send_signal(signal.SIGTERM)
    launcher.process.send_signal(signal.SIGINT)
    launcher.process.send_signal(signal.SIGCONT)
    assert launcher.process.wait(5) == 128 + signal.SIGINT


def test_the_terminal_goes_to_a_foreground_child_and_comes_back(tmp_path):
    """The launcher on a terminal of its own; what the child sees of it goes to a pipe."""
    tty = Terminal(tmp_path)
    w, pid, terminal, out = tty.wire, tty.leader, tty.master, tty.out
    tty.order(SPAWN, spec("sh", ["sh", "-c", "read line; echo $$ got $line; exec sleep 60"], extra=tty.FOREGROUND))
    kind, body, no_fds = w.receive()
    assert kind == SPAWNED and no_fds == []
    child = struct.unpack("=i", body[16:20])[0]
    os.write(terminal, b"hello\n")
    assert read_some(out) == b"%d got hello\n" % child
    assert os.tcgetpgrp(terminal) == child == os.getpgid(child)
    assert os.getsid(child) == pid
    # Ctrl-Z would leave it stopped with nobody to continue it.
    os.write(terminal, b"\x1a")
    time.sleep(0.3)
    state = pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
    assert state != "T"
    os.write(terminal, b"\x03")
    assert w.exited() == (1, signal.SIGINT)
    assert os.tcgetpgrp(terminal) == pid
    assert tty.end() == 0


def test_the_supervisor_does_not_feel_the_terminals_signals(start):
    launcher = start()
    w = launcher.connect()
    for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        os.kill(w.pid, signo)
    time.sleep(0.1)
    assert alive(w.pid)
    assert w.list() == {}


def test_the_output_can_be_opened_again(start):
    """By the dyno itself, through /dev/stdout, as its own user; and by who finds the dyno."""
    launcher = start()
    w = launcher.connect()
    user = struct.pack("=HHIII", 6, 0, 8, 65534, 65534)
    w.spawn(1, "sh", "-c", "echo one; echo two >/dev/stdout; echo three >/dev/stderr; exec sleep 60", extra=user)
    _, pid, out, err = w.spawned()
    assert read_some(err) == b"three\n"
    assert read_some(out) == b"one\ntwo\n"
    # Until then the shell may still have its 1 redirected.
    wait_until(lambda: pathlib.Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "sleep")
    for fd, own in ((out, 1), (err, 2)):
        status = os.stat(f"/proc/{pid}/fd/{own}")
        assert stat.S_ISFIFO(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600
        assert (status.st_uid, status.st_gid) == (65534, 65534)
        assert status.st_ino == os.fstat(fd).st_ino
        again = os.open(f"/proc/{pid}/fd/{own}", os.O_RDWR | os.O_NONBLOCK)
        os.write(again, b"x")
        assert os.read(fd, 10) == b"x"
        os.close(again)


def test_without_proc():
    done = subprocess.run(["unshare", "-m", "sh", "-c", f"mount -t tmpfs none /proc && exec {LAUNCHER} true"],
                          capture_output=True, text=True, timeout=10)
    # (A sanitizer has something to say of this too.)
    assert done.returncode == 1
    assert "hsup-launcher: /proc/self/fd (is /proc mounted?): No such file or directory\n" in done.stderr


def test_usage():
    assert subprocess.run([LAUNCHER], capture_output=True, timeout=10).returncode == 2
    for option in ("--no-such-option", "--watchdog=x", "--watchdog=-1", "--watchdog=86401"):
        assert subprocess.run([LAUNCHER, option, "true"], capture_output=True, timeout=10).returncode == 2
    done = subprocess.run([LAUNCHER, "--help"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0 and done.stdout.startswith("Usage:")
