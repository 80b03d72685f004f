"""What the launcher promises of itself: killed, replaced or told to bring another supervisor, it
loses no dyno. As in test_launcher.py the test is the supervisor.
"""
import errno
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import time

import pytest

from hsup import children_of, command_line, wait_until
from wire import (ENTRY_EXITED, ENTRY_LEFT, FAILED, LAUNCHER, LEFT, RUNNING, SHUTDOWN, SIGNAL, SPAWNED, STUB,
                           Launcher, alive, read_all, read_some)

RESTART, TAG, UPGRADE = 17, 18, 16
UNKNOWN = -2**31
WRITER = "trap '' TERM; n=0; while :; do n=$((n+1)); echo line $n; sleep 0.002; done"


def lines_of(data):
    return [int(line.split()[1]) for line in data.decode().splitlines() if line.count(" ") == 1]


@pytest.fixture
def keep(folder):
    """Launchers with a table in the test's folder; what they leave is killed at the end."""
    launchers, pids = [], set()

    def make(name, *options, table=folder / "table", **more):
        launchers.append(Launcher(folder, name, options=(*(["--table", str(table)] if table else []), *options),
                                  **more))
        return launchers[-1]

    make.pids = pids
    yield make
    for launcher in launchers:
        if launcher.process.poll() is None:
            pids.update(children_of(launcher.process.pid))
            launcher.process.kill()
            launcher.process.wait()
        launcher.listener.close()
    for pid in pids:
        for target in (-pid, pid):
            try:
                os.kill(target, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass


def spawn(keep, w, ident, *args, **more):
    w.spawn(ident, *args, **more)
    got = w.spawned()
    assert got[0] == ident
    keep.pids.add(got[1])
    return got


def kill(launcher, *wires):
    """As by the OOM killer: the launcher and its supervisors, at once."""
    launcher.process.kill()
    launcher.process.wait()
    for w in wires:
        try:
            os.kill(w.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


# ---- the launcher is killed ----

def test_dynos_of_a_killed_launcher_are_found(keep):
    first = keep("first")
    w = first.connect()
    _, writer, out, err = spawn(keep, w, 1, "sh", "-c", WRITER, name="web.1", tag=b"one")
    _, quiet, _, _ = spawn(keep, w, 2, "sleep", "1000", name="web.2", tag=b"two", generation=3)
    _, ended, _, _ = spawn(keep, w, 3, "sh", "-c", "exit 7", name="web.3")
    assert w.exited() == (3, 7 << 8)
    got = read_some(out)
    kill(first, w)
    time.sleep(0.2)
    assert alive(writer) and alive(quiet)

    w = keep("second").connect()
    entries = w.list()
    assert set(entries) == {1, 2, 3}
    assert (entries[1]["pid"], entries[1]["state"], entries[1]["tag"]) == (writer, RUNNING, b"one")
    assert (entries[2]["pid"], entries[2]["generation"], entries[2]["name"]) == (quiet, 3, b"web.2")
    # Its end was not acknowledged: it is told again.
    assert (entries[3]["state"], entries[3]["status"]) == (ENTRY_EXITED, 7 << 8)
    # The writer has not noticed: the pipe is the same, and nothing is missing.
    while len(lines_of(got)) < 300:
        got += read_some(entries[1]["fds"][0])
    numbers = lines_of(got[:got.rindex(b"\n") + 1])
    assert numbers == list(range(1, len(numbers) + 1))
    # It can be signalled, and its death is known, though not how it died.
    w.send(SIGNAL, w.child(1) + struct.pack("=iI", signal.SIGKILL, 0))
    assert w.exited() == (1, UNKNOWN)
    # One that is started now is an own child.
    spawn(keep, w, 1, "sh", "-c", "exit 3", generation=2)
    assert w.exited() == (1, 3 << 8)
    os.kill(quiet, signal.SIGTERM)
    assert w.exited() == (2, UNKNOWN)


def test_who_died_meanwhile_is_gone_and_a_stranger_with_the_pid_is_not_touched(keep, folder):
    first = keep("first")
    w = first.connect()
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    kill(first, w)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not alive(pid), "the dyno to be gone")
    # A process with that number, as after a long time (not within the same hundredth of a second, by
    # which starts are told apart): the table is made to name one of ours.
    time.sleep(0.1)
    stranger = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    keep.pids.add(stranger.pid)
    try:
        table = bytearray((folder / "table").read_bytes())
        at = table.index(struct.pack("=QIi", 1, 1, pid))
        table[at:at + 16] = struct.pack("=QIi", 1, 1, stranger.pid)
        (folder / "table").write_bytes(table)
        w = keep("second").connect()
        entry = w.list()[1]
        assert (entry["state"], entry["status"]) == (ENTRY_EXITED, UNKNOWN)
        w.send(SIGNAL, w.child(1) + struct.pack("=iI", signal.SIGKILL, 0))
        w.list()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_what_a_leader_left_is_found_by_the_mark(keep):
    first = keep("first")
    w = first.connect()
    _, pid, out, _ = spawn(keep, w, 1, "sh", "-c", "sh -c 'echo $$; exec sleep 1000' & exit 5")
    member = int(read_some(out))
    keep.pids.add(member)
    assert w.expect(LEFT)
    kill(first, w)
    w = keep("second").connect()
    entry = w.list()[1]
    assert (entry["state"], entry["pid"]) == (ENTRY_LEFT, pid)
    w.send(SIGNAL, w.child(1) + struct.pack("=iI", signal.SIGTERM, 0))
    # The status is known: the old launcher had seen the leader end.
    assert w.exited() == (1, 5 << 8)
    assert not alive(member)


def test_a_leader_that_ends_now_leaves_its_group(keep):
    first = keep("first")
    w = first.connect()
    _, pid, out, _ = spawn(keep, w, 1, "sh", "-c", "sh -c 'echo $$; exec sleep 1000' & read x")
    # (read fails at once: standard input is /dev/null; so the leader is held by its own stop.)
    member = int(read_some(out))
    keep.pids.add(member)
    w.exits.clear()
    kill(first, w)
    w = keep("second").connect()
    entry = w.list()[1]
    assert entry["state"] in (ENTRY_LEFT, RUNNING)
    os.kill(member, signal.SIGKILL)
    ident, status = w.exited()
    assert ident == 1 and status in (UNKNOWN, 1 << 8)


def test_output_that_only_a_child_of_the_dyno_holds(keep):
    first = keep("first")
    w = first.connect()
    # The leader gives its own output away; a member of its group still has the pipe.
    _, pid, out, _ = spawn(keep, w, 1, "sh", "-c", "sh -c 'while sleep 0.05; do echo tick; done' & "
                           "exec >/dev/null 2>&1; wait")
    assert b"tick" in read_some(out)
    kill(first, w)
    w = keep("second").connect()
    entry = w.list()[1]
    assert b"tick" in read_some(entry["fds"][0])


def test_output_that_nobody_holds_any_more(keep):
    first = keep("first")
    w = first.connect()
    _, pid, _, _ = spawn(keep, w, 1, "sh", "-c", "echo on; exec sleep 1000 >/dev/null 2>&1")
    wait_until(lambda: command_line(pid).startswith("sleep"), "the program")
    kill(first, w)
    second = keep("second")
    entry = second.connect().list()[1]
    assert entry["state"] == RUNNING and len(entry["fds"]) == 2
    assert read_all(entry["fds"][0]) == b""
    assert "web.1 (pid" in second.text() and "output cannot be found again" in second.text()


def test_killed_around_the_fork(keep, folder):
    """The table says that a child was about to be forked; a process with its mark is it."""
    first = keep("first")
    w = first.connect()
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    spawn(keep, w, 2, "sleep", "1000")
    wait_until(lambda: command_line(pid).startswith("sleep"), "the program")  # it has its mark with it
    kill(first, w)
    other = [p for p in keep.pids if p != pid][0]
    os.kill(other, signal.SIGKILL)
    wait_until(lambda: not alive(other), "the other to be gone")
    table = bytearray((folder / "table").read_bytes())
    for ident, number in ((1, pid), (2, other)):
        at = table.index(struct.pack("=QIi", ident, 1, number))
        table[at + 12:at + 16] = bytes(4)  # no pid yet
        assert table[at + 24] == 2  # CHILD_RUNNING
        table[at + 24] = 1  # CHILD_FORKING
    (folder / "table").write_bytes(table)
    w = keep("second").connect()
    entries = w.list()
    assert set(entries) == {1}  # of the other there is nothing: it never was
    assert (entries[1]["pid"], entries[1]["state"]) == (pid, RUNNING)
    os.kill(pid, signal.SIGKILL)
    assert w.exited() == (1, UNKNOWN)


def test_the_old_supervisor_is_ended(keep, folder):
    first = keep("first")
    w = first.connect()
    spawn(keep, w, 1, "sleep", "1000")
    os.kill(w.pid, signal.SIGSTOP)
    kill(first)
    second = keep("second")
    new = second.connect()
    assert not alive(w.pid)
    assert "stays: killed" in second.text()
    assert set(new.list()) == {1}


def test_one_launcher_to_a_table(keep, folder):
    first = keep("first")
    w = first.connect()
    done = subprocess.run([LAUNCHER, "--table", folder / "table", "--", "true"], capture_output=True, text=True,
                          timeout=20)
    assert done.returncode == 1
    assert f"it runs already, as pid {first.process.pid}, which holds {folder / 'table'}\n" in done.stderr


def test_stop_ends_what_was_found(keep):
    """Orderly, by the launcher alone: the supervisor has left without a word."""
    first = keep("first")
    w = first.connect()
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    kill(first, w)
    second = keep("second")
    w = second.connect()
    w.order_exit(84)
    assert second.process.wait(20) == 0
    assert not alive(pid)


def test_dying_with_the_launcher(keep):
    first = keep("first", "--die-with-launcher")
    w = first.connect()
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    wait_until(lambda: command_line(pid).startswith("sleep"), "the program")
    kill(first, w)
    wait_until(lambda: not alive(pid), "the dyno to die")


def test_a_full_file_system_refuses_starts_and_harms_nobody(keep, folder):
    """A page of the table that cannot be had would be a SIGBUS."""
    mount = folder / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", mount], check=True)
    try:
        launcher = keep("first", table=mount / "table")
        w = launcher.connect()
        (mount / "filler").write_bytes(bytes(4096))
        refused = 0
        for ident in range(1, 400):
            w.spawn(ident, "sleep", "1000", tag=b"x" * 1000)
            kind, body, fds = w.receive()
            if kind == SPAWNED:
                keep.pids.add(struct.unpack("=i", body[16:20])[0])
                for fd in fds:
                    os.close(fd)
            else:
                assert kind == FAILED
                assert struct.unpack("=Ii", body[16:24]) == (1, errno.ENOSPC)
                refused += 1
                if refused == 3:
                    break
        assert refused == 3
        assert launcher.process.poll() is None
        assert len(w.list()) == ident - 3
        kill(launcher, w)
    finally:
        for pid in keep.pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until(lambda: subprocess.run(["umount", mount]).returncode == 0, "the file system to be free")


# ---- another supervisor ----

def test_hup_asks_for_another_supervisor(keep):
    launcher = keep("first")
    w = launcher.connect()
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    launcher.process.send_signal(signal.SIGHUP)
    assert w.expect(RESTART) == (b"", [])
    w.order_exit(85)
    w = launcher.connect()
    assert w.list()[1]["pid"] == pid


def test_a_supervisor_that_does_not_give_way_is_killed(keep):
    launcher = keep("first")
    w = launcher.connect()
    launcher.process.send_signal(signal.SIGHUP)
    w.expect(RESTART)
    assert launcher.connect(timeout=30).pid != w.pid
    assert "the supervisor does not leave: killed" in launcher.text()


def test_hup_while_none_runs_brings_one_at_once(keep):
    launcher = keep("first")
    for _ in range(7):  # the wait is 3.2 s by now
        launcher.connect(hello=False).order_exit(9)
    wait_until(lambda: launcher.text().count("starting it again in 3.2 s"), "the seventh back-off")
    begun = time.monotonic()
    launcher.process.send_signal(signal.SIGHUP)
    w = launcher.connect()
    assert time.monotonic() - begun < 2.8


def test_hup_stops_when_it_is_told_to(keep):
    launcher = keep("first", "--hup-stops")
    w = launcher.connect()
    launcher.process.send_signal(signal.SIGHUP)
    body, _ = w.expect(SHUTDOWN)
    assert struct.unpack("=Ii", body) == (1, signal.SIGHUP)


def test_signals_that_an_init_swallows(keep):
    launcher = keep("first")
    w = launcher.connect()
    for signo in range(1, signal.SIGRTMAX + 1):
        if signo not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT,
                         signal.SIGPWR, signal.SIGUSR1, signal.SIGUSR2):
            launcher.process.send_signal(signo)
    assert w.list() == {}
    launcher.process.send_signal(signal.SIGPWR)
    assert struct.unpack("=Ii", w.expect(SHUTDOWN)[0]) == (1, signal.SIGPWR)


# ---- the newest version ----

def version(folder, name, program=None, script=None):
    """A version of hsup; its program tells the test which one it is."""
    path = folder / "versions" / name
    path.mkdir(parents=True)
    text = script or (f"#!/bin/sh\necho {name} >>{folder}/started\n"
                      f"exec {sys.executable} -S -E -c '{STUB}' {folder}/first.sock\n")
    (path / "hsup").write_text(text)
    (path / "hsup").chmod(0o755)
    return path


def started(folder):
    try:
        return (folder / "started").read_text().split()
    except FileNotFoundError:
        return []


def test_the_newest_version_is_started_each_time(keep, folder):
    version(folder, "1.9.3")
    version(folder, "nonsense")
    launcher = keep("first", "--versions", str(folder / "versions"))
    w = launcher.connect()
    version(folder, "1.10.0")
    w.order_exit(85)
    w = launcher.connect()
    shutil.rmtree(folder / "versions/1.10.0")
    w.order_exit(85)
    w = launcher.connect()
    shutil.rmtree(folder / "versions")
    w.order_exit(85)
    launcher.connect()  # the one on the command line
    assert started(folder) == ["1.9.3", "1.10.0", "1.9.3"]


def test_a_version_that_does_not_come_up_is_passed_over(keep, folder):
    version(folder, "1.0")
    launcher = keep("first", "--versions", str(folder / "versions"))
    w = launcher.connect()
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    version(folder, "2.0", script=f"#!/bin/sh\necho 2.0 >>{folder}/started\nexit 86\n")
    w.order_exit(85)
    w = launcher.connect()
    assert started(folder) == ["1.0", "2.0", "2.0", "2.0", "1.0"]
    assert "version 2.0 does not come up: passed over" in launcher.text()
    assert w.list()[1]["pid"] == pid
    version(folder, "2.1")
    w.order_exit(85)
    w = launcher.connect()
    assert started(folder)[-1] == "2.1"


def test_a_given_supervisor_beats_the_versions(keep, folder, monkeypatch):
    given = version(folder, "given")
    version(folder, "3.0")
    monkeypatch.setenv("HSUP_SUP_BINARY", str(given / "hsup"))
    keep("first", "--versions", str(folder / "versions")).connect()
    assert started(folder) == ["given"]


# ---- the launcher replaces itself ----

def upgrades(launcher):
    """How many it has behind it, as it says itself."""
    argument = (command_line(launcher.process.pid).split("\0") + [""])[1]  # empty within execve
    return int(argument.rpartition(":")[2]) if argument.startswith("--resume=") else 0


def upgrade(launcher, wire=None):
    before = upgrades(launcher)
    if wire:
        wire.send(UPGRADE)
    else:
        launcher.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: upgrades(launcher) == before + 1, "the upgrade")


@pytest.mark.parametrize("in_file", [True, False])
def test_an_upgrade_in_place_stops_nothing(keep, folder, in_file):
    launcher = keep("first", **({} if in_file else {"table": None}))
    w = launcher.connect()
    _, writer, out, _ = spawn(keep, w, 1, "sh", "-c", WRITER, name="web.1", tag=b"one")
    _, quiet, _, _ = spawn(keep, w, 2, "sleep", "1000")
    spawn(keep, w, 3, "sh", "-c", "exit 7")
    assert w.exited() == (3, 7 << 8)
    got = read_some(out)
    descriptors = launcher.descriptors()
    for round in range(3):
        upgrade(launcher)
        # The wire is the same, and so is what is on it: only another supervisor is wanted.
        assert w.expect(RESTART)
        _, pid, _, _ = spawn(keep, w, 10 + round, "sh", "-c", f"exit {round}")
        assert w.exited() == (10 + round, round << 8)
        w.order_exit(85)
        w = launcher.connect()
        entries = w.list()
        assert {1, 2, 3} <= set(entries)
        assert (entries[1]["pid"], entries[1]["tag"], entries[2]["pid"]) == (writer, b"one", quiet)
        assert entries[3]["status"] == 7 << 8
        out = entries[1]["fds"][0]
    while len(lines_of(got)) < 300:
        got += read_some(out)
    numbers = lines_of(got[:got.rindex(b"\n") + 1])
    assert numbers == list(range(1, len(numbers) + 1))
    # Still their parent: it knows how they end.
    os.kill(quiet, signal.SIGKILL)
    assert w.exited() == (2, signal.SIGKILL)
    # Two each for the three that were started meanwhile and not acknowledged, and none else.
    assert launcher.descriptors() == descriptors + 3 * 2


def test_an_end_during_the_upgrade_is_told(keep):
    launcher = keep("first")
    w = launcher.connect()
    for ident in range(1, 60):
        w.spawn(ident, "sh", "-c", f"sleep 1.{ident:02}; exit {ident}")
    pids = [w.spawned()[1] for _ in range(1, 60)]
    keep.pids.update(pids)
    for _ in range(4):
        upgrade(launcher)
        time.sleep(0.1)
    w.order_exit(85)
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "all ends, and reaps")
    entries = launcher.connect().list()
    assert {i: e["status"] for i, e in entries.items()} == {i: i << 8 for i in range(1, 60)}


def test_a_found_dyno_survives_an_upgrade(keep):
    first = keep("first")
    w = first.connect()
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    kill(first, w)
    second = keep("second")
    w = second.connect()
    upgrade(second, w)
    w.expect(RESTART)
    assert w.list()[1]["state"] == RUNNING
    os.kill(pid, signal.SIGKILL)
    assert w.exited() == (1, UNKNOWN)


def test_the_newest_launcher_takes_over(keep, folder):
    launcher = keep("first", "--versions", str(folder / "versions"))
    w = launcher.connect()
    spawn(keep, w, 1, "sleep", "1000")
    path = version(folder, "1.2.3", script="#!/bin/sh\nexit 1\n")
    shutil.copy(LAUNCHER, path / "hsup-launcher")
    upgrade(launcher)
    assert os.readlink(f"/proc/{launcher.process.pid}/exe") == str(path / "hsup-launcher")
    w.expect(RESTART)
    assert set(w.list()) == {1}


@pytest.mark.parametrize("script, said", [
    ("#!/bin/sh\nexit 3\n", "cannot take over (exit code 3): this one runs on"),
    ("#!/bin/sh\nkill -SEGV $$\n", "cannot take over (signal 11): this one runs on"),
    ("not a program", "cannot take over (exit code 127): this one runs on"),
])
def test_a_launcher_that_cannot_take_over_is_refused(keep, folder, script, said):
    path = version(folder, "9.0", script="#!/bin/sh\nexit 1\n")
    (path / "hsup-launcher").write_text(script)
    (path / "hsup-launcher").chmod(0o755)
    (path / "hsup").unlink()
    launcher = keep("first", "--versions", str(folder / "versions"))
    w = launcher.connect()
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    launcher.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: said in launcher.text(), said)
    assert upgrades(launcher) == 0
    assert w.list()[1]["pid"] == pid


def test_one_that_was_handed_another_version_says_so(folder):
    """As the launcher that is asked sees it."""
    fd = os.memfd_create("handover")
    os.write(fd, struct.pack("=III", 0x68736877, 999, 12) + bytes(20000))
    done = subprocess.run([LAUNCHER, f"--check-resume={fd}:1", "--", "true"], pass_fds=[fd], capture_output=True,
                          text=True, timeout=20)
    assert done.returncode == 1
    assert "what the old launcher hands over is of another version" in done.stderr
    os.close(fd)


def test_no_upgrade_while_all_is_stopped(keep):
    launcher = keep("first")
    w = launcher.connect()
    launcher.process.send_signal(signal.SIGTERM)
    w.expect(SHUTDOWN)
    launcher.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: "no upgrade now: all is being stopped" in launcher.text(), "the refusal")
    w.order_exit(0)
    assert launcher.process.wait(20) == 0


def test_a_tag_can_be_replaced(keep):
    launcher = keep("first")
    w = launcher.connect()
    spawn(keep, w, 1, "sleep", "1000", name="web.1", tag=b"old")
    for tag in (b"", b"x" * 1024, b"new"):
        w.send(TAG, w.child(1) + struct.pack("=II", len(tag), 0) + tag)
        assert (w.list()[1]["tag"], w.list()[1]["name"]) == (tag, b"web.1")
    w.send(TAG, w.child(9) + struct.pack("=II", 3, 0) + b"abc")  # of nobody: nothing
    kill(launcher, w)
    w = keep("second").connect()
    assert w.list()[1]["tag"] == b"new"
    w.send(TAG, w.child(1) + struct.pack("=II", 4, 0) + b"abc")  # the length lies
    assert w.receive() is None


# ---- hsup itself ----

COUNTER = ["sh", "-c", "n=0; while :; do n=$((n+1)); echo count $n; sleep 0.01; done"]


def counts(app, dyno):
    return [int(text.split()[1]) for _, text in app.app_lines(dyno) if text.startswith("count ")]


def killed(app):
    """The launcher and its supervisor, at once; the output that was read stays with the app."""
    pids = [app.supervisor(), app.launcher]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    app.process.wait()
    for reader in app.readers:
        reader.join(5)


def leads(pid):
    """A dyno, and not what its shell has forked, which is as the shell is until it is executed."""
    try:
        return os.getsid(pid) == pid and command_line(pid).startswith(("sh\0", "sleep\0001000"))
    except ProcessLookupError:
        return False


def test_hsup_start_finds_what_a_killed_one_left(app):
    app.submit(app.release(("web", COUNTER, 2), ("once", ["sleep", "1000"], 1)))
    app.start()
    app.wait_up("web.1", "web.2", "once.1")
    before = app.dynos()
    assert len(before) == 3
    for _ in range(3):
        killed(app)
        assert all(alive(pid) for pid in before)
        mark = len(app.lines)
        app.start()
        app.wait_line("found 3 dynos running", since=mark)
        app.wait_line(r"app\[web.1\]: count", since=mark)
    # Not started twice, and nothing is missing. What was on its way when both were killed may come
    # twice (logs/carry.h): the last lines before a kill, and no others.
    assert sorted(p for p in app.marked() if leads(p)) == before
    for dyno in ("web.1", "web.2"):
        seen = counts(app, dyno)
        assert sorted(set(seen)) == list(range(1, max(seen) + 1))
        back = [(a, b) for a, b in zip(seen, seen[1:]) if b != a + 1]
        assert len(back) <= 3 and all(a - 50 < b <= a for a, b in back), back
    # One that dies: nobody knows how; it is restarted all the same, as an own child this time.
    os.kill(before[-1], signal.SIGKILL)
    app.wait_line(r"hsup\[(web|once)\.\d\]: process ended, nobody knows how")
    assert len(app.wait_dynos(1)) == 1
    assert app.stop() == 0
    assert not any(alive(pid) for pid in before)


def test_hup_restarts_the_supervisor_and_nothing_else(app):
    app.submit(app.release(("web", COUNTER, 3)))
    app.start()
    app.wait_up("web.1", "web.2", "web.3")
    dynos, supervisor = app.dynos(), app.supervisor()
    for _ in range(3):
        mark = len(app.lines)
        app.process.send_signal(signal.SIGHUP)
        app.wait_line("found 3 dynos running", since=mark)
    assert app.dynos() == dynos and app.supervisor() != supervisor
    app.wait_line(r"app\[web.1\]: count", since=len(app.lines))
    for dyno in ("web.1", "web.2", "web.3"):
        seen = counts(app, dyno)
        assert seen == list(range(1, len(seen) + 1))


def test_hsup_upgrade(app):
    app.submit(app.release(("web", COUNTER, 3)))
    app.start()
    app.wait_up("web.1", "web.2", "web.3")
    dynos, supervisor = app.dynos(), app.supervisor()
    for round in (1, 2):
        done = app.hsup("upgrade", "-C", app.control)
        assert (done.returncode, done.stderr) == (0, "")
        app.wait_line("found 3 dynos running", count=round)
    assert app.dynos() == dynos and app.supervisor() != supervisor
    app.wait_line(r"app\[web.1\]: count", since=len(app.lines))
    for dyno in ("web.1", "web.2", "web.3"):
        seen = counts(app, dyno)
        assert seen == list(range(1, len(seen) + 1))
    assert app.stop() == 0


def test_dynos_die_with_the_launcher_when_told(app):
    app.submit(app.release(("web", ["sleep", "1000"], 2)))
    app.start("--die-with-launcher")
    app.wait_up("web.1", "web.2")
    dynos = app.dynos()
    killed(app)
    wait_until(lambda: not any(alive(pid) for pid in dynos), "the dynos to die")


def test_a_launcher_that_has_left_in_order_leaves_an_empty_table(keep, folder):
    first = keep("first")
    w = first.connect()
    for ident in range(1, 300):
        w.spawn(ident, "true", tag=b"x" * 500)
    w.order_exit(0)
    assert first.process.wait(20) == 0
    assert (folder / "table").stat().st_size == 0
    second = keep("second")
    assert second.connect().list() == {}
    assert "found" not in second.text()
