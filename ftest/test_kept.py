"""Children that somebody else runs (WIRE_KEEP): the launcher keeps their name, their tag and the read
ends of their output, and nothing else. As in test_launcher.py the test is the supervisor.
"""
import errno
import os
import signal
import socket
import struct
import time

import pytest

from hsup import wait_until
from test_keep import keep, kill, spawn, upgrade  # noqa: F401 (keep is a fixture)
from wire import (ACK, ENTRY_KEPT, LIST, LIST_END, MERGED, PIPES, RESTART, RUNNING, SHUTDOWN, SIGNAL, STAGE_REFUSED,
                  TAG, alive)

LAYOUT_AT = 4  # in the file of the table
LAYOUT = 4


@pytest.fixture
def pipe():
    """Pipes, as a driver makes them: (read end, write end), neither blocks."""
    made = []

    def make(content=b""):
        made.append(os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        os.write(made[-1][1], content)
        return made[-1]

    yield make
    for ends in made:
        for fd in ends:
            os.close(fd)


def descriptors(launcher):
    """What the launcher has open. (To close some takes another process, and its time.)"""
    folder = f"/proc/{launcher.process.pid}/fd"
    found = []
    for fd in os.listdir(folder):
        try:
            found.append(os.readlink(f"{folder}/{fd}"))
        except FileNotFoundError:  # closed just now
            pass
    return found


def held(launcher, *pipes):
    """How often the launcher has these pipes open."""
    return sum(descriptors(launcher).count(f"pipe:[{os.fstat(ends[0]).st_ino}]") for ends in pipes)


def retag(w, child, tag):
    w.send(TAG, child + struct.pack("=II", len(tag), 0) + tag)


def test_kept_over_every_kill_of_the_supervisor(keep, pipe):
    launcher = keep("first")
    w = launcher.connect()
    out, err = pipe(b"out 1\n"), pipe(b"err 1\n")
    w.keep(7, out[0], err[0], generation=3, name="worker.2", tag=b"old")
    for turn in range(1, 4):
        os.kill(w.pid, signal.SIGKILL)
        os.write(out[1], b"out %d\n" % (turn + 1))
        w = launcher.connect(hello=False)
        assert w.hello() == 1 and w.can & 4
        entry = w.list()[7]
        assert (entry["state"], entry["pid"], entry["start"]) == (ENTRY_KEPT, 0, 0)
        assert (entry["name"], entry["generation"], entry["output"]) == (b"worker.2", 3, PIPES)
        assert entry["tag"] == (b"old" if turn == 1 else b"tag %d" % (turn - 1))
        assert [os.fstat(fd).st_ino for fd in entry["fds"]] == [os.fstat(p[0]).st_ino for p in (out, err)]
        retag(w, w.child(7, 3), b"tag %d" % turn)
    assert os.read(entry["fds"][0], 100) == b"out 1\nout 2\nout 3\nout 4\n"
    assert os.read(entry["fds"][1], 100) == b"err 1\n"
    assert held(launcher, out) == held(launcher, err) == 1
    w.send(ACK, w.child(7, 2))  # another life's
    assert set(w.list()) == {7}
    w.send(ACK, w.child(7, 3))
    assert w.list() == {}
    assert held(launcher, out, err) == 0
    w.keep(7, out[0], err[0], generation=4)
    assert w.list()[7]["generation"] == 4


def test_one_pipe_for_both_outputs(keep, pipe):
    w = keep("first").connect()
    out = pipe(b"both\n")
    w.keep(7, out[0])
    entry = w.list()[7]
    assert entry["output"] == MERGED and len(entry["fds"]) == 2  # the second leads nowhere
    assert os.read(entry["fds"][0], 100) == b"both\n"
    assert os.readlink(f"/proc/self/fd/{entry['fds'][1]}") == "/dev/null"


def test_nobody_reads_what_is_kept(keep, pipe):
    """A pipe that is full stays full, and one whose writer has gone says so to nobody."""
    launcher = keep("first")
    w = launcher.connect()
    out, err = pipe(), pipe()
    written = 0
    try:
        while True:
            written += os.write(out[1], bytes(65536))
    except BlockingIOError:
        pass
    w.keep(7, out[0], err[0])
    w.list()
    cpu = sum(map(int, open(f"/proc/{launcher.process.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))
    time.sleep(0.5)
    os.kill(w.pid, signal.SIGKILL)
    w = launcher.connect()
    fd = w.list()[7]["fds"][0]
    assert len(os.read(fd, 1 << 20)) == written
    assert sum(map(int, open(f"/proc/{launcher.process.pid}/stat").read().rsplit(")", 1)[1].split()[11:13])) <= cpu + 5


def test_one_id_once(keep, pipe):
    """What is there already stays as it is: it may hold what nobody has read."""
    launcher = keep("first")
    w = launcher.connect()
    first, other = pipe(b"first"), pipe(b"other")
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    w.keep(7, first[0], first[0], tag=b"first")
    w.keep(7, other[0], other[0], tag=b"other")
    w.keep(1, other[0], other[0], tag=b"other")
    w.keep(1, other[0], other[0], generation=2)
    entries = w.list()
    assert set(entries) == {1, 7}
    assert (entries[1]["pid"], entries[1]["state"], entries[1]["generation"]) == (pid, RUNNING, 1)
    assert (entries[7]["tag"], entries[7]["generation"]) == (b"first", 1)
    assert os.read(entries[7]["fds"][0], 100) == b"first"
    assert (held(launcher, first), held(launcher, other)) == (2, 0)
    assert "web.7 was refused (1 in all): it cannot be kept: File exists" in launcher.text()
    w.spawn(7, "true", generation=2)
    assert w.failed() == (7, STAGE_REFUSED, errno.EEXIST)
    w.send(ACK, w.child(7))
    w.spawn(7, "true", generation=2)
    assert w.spawned()[0] == 7
    assert w.exited() == (7, 0)
    # One that has ended and was not acknowledged: another life of it may be kept, that one may not.
    w.keep(7, other[0], other[0], generation=2)
    w.keep(7, other[0], other[0], generation=3)
    w.send(ACK, w.child(7, 2))
    assert w.list()[7]["generation"] == 3


def test_two_lives_of_one_dyno(keep, pipe):
    """The one before is let go of when the next has started: until then both are there."""
    w = keep("first").connect()
    first, second = pipe(b"first"), pipe(b"second")
    w.keep(7, first[0], first[0])
    w.keep(7, second[0], second[0], generation=2)
    w.send(ACK, w.child(7))
    entry = w.list()[7]
    assert entry["generation"] == 2 and os.read(entry["fds"][0], 100) == b"second"
    w.send(ACK, w.child(7, 2))
    assert not w.list()


def test_it_gets_no_signal(keep, pipe):
    w = keep("first").connect()
    out = pipe(b"bytes")
    w.keep(7, out[0], out[0])
    for signo in (signal.SIGKILL, signal.SIGTERM):
        w.send(SIGNAL, w.child(7) + struct.pack("=iI", signo, 0))
    assert w.list()[7]["state"] == ENTRY_KEPT


def test_forgotten_in_the_middle_of_a_list(keep, pipe):
    """More than the socket takes, and nobody reads: those that are gone by then are missing in it."""
    w = keep("first").connect()
    out = pipe()
    for ident in range(1, 401):
        w.keep(ident, out[0], out[0], tag=b"x" * 1000)
    w.send(LIST)
    for ident in range(1, 400):
        w.send(ACK, w.child(ident))
    seen = 0
    while True:
        kind, body, fds = w.receive()
        for fd in fds:
            os.close(fd)
        if kind == LIST_END:
            break
        seen += 1
    assert 1 <= seen < 400
    assert set(w.list()) == {400}


@pytest.mark.parametrize("name", ["a file", "a socket", "a device", "a path", "a folder", "the second of two"])
def test_only_pipes_are_kept(keep, pipe, folder, name):
    launcher = keep("first")
    w = launcher.connect()
    before = len(descriptors(launcher))
    good = pipe()[0]
    (folder / "file").write_text("text")
    bad = {"a file": lambda: os.open(folder / "file", os.O_RDWR),
           "a socket": lambda: socket.socket(socket.AF_UNIX).detach(),
           "a device": lambda: os.open("/dev/null", os.O_RDWR),
           "a path": lambda: os.open(folder / "file", os.O_PATH),
           "a folder": lambda: os.open(folder, os.O_RDONLY),
           "the second of two": lambda: os.open(folder / "file", os.O_RDONLY)}[name]()
    if name == "the second of two":
        w.keep(7, good, bad)
    else:
        w.keep(7, bad)
        w.keep(7, bad, bad)
        w.keep(7, bad, good)
    assert w.list() == {}  # the connection lives
    assert "web.7 was refused (1 in all): it cannot be kept: its output is no pipe" in launcher.text()
    wait_until(lambda: len(descriptors(launcher)) == before, "its descriptors to be closed")
    w.keep(7, good, good)
    assert set(w.list()) == {7}
    os.close(bad)


@pytest.mark.parametrize("n, output", [(0, PIPES), (1, PIPES), (3, PIPES), (0, MERGED), (2, MERGED), (3, 1)])
def test_as_many_descriptors_as_it_says(keep, pipe, n, output):
    launcher = keep("first")
    w = launcher.connect()
    good = pipe()[0]
    w.keep(1, good)
    w.keep(7, *[good] * n, output=output)
    assert w.closed()
    w.order_exit(85)
    assert set(launcher.connect().list()) == {1}


def test_room_for_as_many_as_the_table_has(keep, pipe):
    """Kept ones and dynos share it: (200 descriptors - 64 of its own) / 2."""
    launcher = keep("first", wrap=["prlimit", "--nofile=200:200"])
    w = launcher.connect()
    out = pipe()
    for ident in range(1, 101):
        w.keep(ident, out[0], out[0])
    assert set(w.list()) == set(range(1, 69))
    w.spawn(101, "true")
    assert w.failed() == (101, STAGE_REFUSED, errno.EAGAIN)
    w.send(ACK, w.child(5))
    w.keep(100, out[0], out[0])
    assert set(w.list()) == {*range(1, 69), 100} - {5}
    assert launcher.process.poll() is None


# ---- the end ----

@pytest.mark.parametrize("how", ["84", "0", "term"])
def test_the_end_does_not_wait_for_it(keep, pipe, folder, how):
    launcher = keep("first")
    w = launcher.connect()
    out = pipe(b"bytes")
    w.keep(7, out[0], out[0])
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    begun = time.monotonic()
    if how == "term":
        launcher.process.send_signal(signal.SIGTERM)
        w.expect(SHUTDOWN)
        w.send(SIGNAL, w.child(7) + struct.pack("=iI", signal.SIGTERM, 0))
        assert w.list()[7]["state"] == ENTRY_KEPT
        w.order_exit(0)
    else:
        w.order_exit(int(how))
    assert launcher.process.wait(20) == 0
    assert time.monotonic() - begun < 4  # a dyno that stays would get 10 s
    assert not alive(pid)
    assert "stopping 1 process\n" in launcher.text()
    # Nothing for another launcher to find.
    assert (folder / "table").stat().st_size == 0
    assert os.read(out[0], 10) == b"bytes"


def test_the_end_with_nothing_else_is_at_once(keep, pipe):
    launcher = keep("first")
    w = launcher.connect()
    w.keep(7, pipe()[0])
    w.list()
    os.kill(w.pid, signal.SIGSTOP)
    for _ in range(3):
        launcher.process.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    assert launcher.process.wait(3) == 128 + signal.SIGTERM
    assert "stopping" not in launcher.text()


# ---- the launcher is killed, and replaced ----

def test_a_killed_launcher_loses_it_and_nothing_else(keep, pipe):
    first = keep("first")
    w = first.connect()
    out = pipe(b"bytes")
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    for ident in (5, 6, 7):
        w.keep(ident, out[0], out[0])
    w.list()
    kill(first, w)
    second = keep("second")
    w = second.connect(hello=False)
    assert w.hello() == 1
    assert set(w.list()) == {1}
    assert "the output of 3 kept for others went with a launcher that was killed" in second.text()
    # Its driver finds it elsewhere, and has it kept again.
    w.keep(7, out[0], out[0], generation=2)
    os.kill(w.pid, signal.SIGKILL)
    w = second.connect()
    assert os.read(w.list()[7]["fds"][0], 10) == b"bytes"


def test_what_was_kept_is_worth_another_try(keep, pipe):
    """It may still run: a launcher that finds nothing else in the table does not give up its supervisor."""
    first = keep("first")
    w = first.connect()
    w.keep(7, pipe()[0])
    w.list()
    kill(first, w)
    second = keep("second", command=["/no/such/hsup"])
    wait_until(lambda: second.text().count("starting it again") >= 2, "another try")
    assert second.process.poll() is None


@pytest.mark.parametrize("in_file", [True, False])
def test_an_upgrade_in_place_keeps_it(keep, pipe, in_file):
    launcher = keep("first", **({} if in_file else {"table": None}))
    w = launcher.connect()
    out, err = pipe(), pipe()
    w.keep(7, out[0], err[0], generation=2, name="worker.2", tag=b"old")
    w.keep(8, err[0], tag=b"x" * 1024)
    for turn in range(3):
        os.write(out[1], b"out %d\n" % turn)
        retag(w, w.child(7, 2), b"tag %d" % turn)
        upgrade(launcher, w)
        assert w.expect(RESTART)
        w.order_exit(85)
        w = launcher.connect(hello=False)
        assert w.hello() == 2
        entries = w.list()
        assert (entries[7]["name"], entries[7]["tag"], entries[7]["state"]) == (b"worker.2", b"tag %d" % turn,
                                                                                     ENTRY_KEPT)
        assert (entries[8]["tag"], entries[8]["output"]) == (b"x" * 1024, MERGED)
    assert os.read(entries[7]["fds"][0], 100) == b"out 0\nout 1\nout 2\n"
    os.write(err[1], b"err")
    assert os.read(entries[7]["fds"][1], 100) == b"err"
    w.send(ACK, w.child(7, 2) + w.child(8))
    assert w.list() == {}
    assert held(launcher, out, err) == 0
    # And none of it counts for the end.
    w.keep(7, out[0])
    w.list()
    w.order_exit(0)
    assert launcher.process.wait(5) == 0


def set_layout(folder, number):
    with open(folder / "table", "r+b") as f:
        f.seek(LAYOUT_AT)
        old = f.read(4)
        f.seek(LAYOUT_AT)
        f.write(struct.pack("=I", number))
    return struct.unpack("=I", old)[0]


@pytest.mark.parametrize("old", [1, 3])
def test_a_table_from_before(keep, pipe, folder, old):
    """Before anything could be kept, or an end told before the reap, its layout is ours but for that: taken over, in
    place and after a kill, and ours from then on."""
    launcher = keep("first")
    w = launcher.connect()
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    assert set_layout(folder, old) == LAYOUT
    upgrade(launcher)
    assert w.expect(RESTART)
    w.order_exit(85)
    w = launcher.connect()
    assert w.list()[1]["pid"] == pid
    assert set_layout(folder, old) == LAYOUT
    kill(launcher, w)
    w = keep("second").connect()
    assert w.list()[1]["pid"] == pid
    assert set_layout(folder, LAYOUT) == LAYOUT
    w.keep(7, pipe()[0])
    assert set(w.list()) == {1, 7}


def test_a_table_of_a_later_layout_is_refused(keep, pipe, folder):
    launcher = keep("first")
    w = launcher.connect()
    w.keep(7, pipe()[0])
    w.list()
    set_layout(folder, LAYOUT + 1)
    launcher.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: "cannot take over (exit code 1): this one runs on" in launcher.text(), "the refusal")
    assert set(w.list()) == {7}
    kill(launcher, w)
    second = keep("second")
    assert second.process.wait(10) == 1
    assert "was left by another version of hsup" in second.text()
    set_layout(folder, 0)
    assert keep("third").process.wait(10) == 1


def test_a_table_that_is_half_written(keep, pipe, folder):
    """One that was about to be kept is nobody; of a state that there is not, likewise."""
    launcher = keep("first")
    w = launcher.connect()
    out = pipe()
    for ident in (5, 6, 7):
        w.keep(ident, out[0], generation=9)
    _, pid, _, _ = spawn(keep, w, 1, "sleep", "1000")
    kill(launcher, w)
    table = bytearray((folder / "table").read_bytes())
    for ident, state in ((5, 1), (6, 6), (7, 255)):
        at = table.index(struct.pack("=QIi", ident, 9, 0))
        assert table[at + 24] == 5  # CHILD_KEPT
        table[at + 24] = state
        table[at + 12:at + 16] = struct.pack("=i", 0 if state == 1 else pid)
    (folder / "table").write_bytes(table)
    w = keep("second").connect()
    assert set(w.list()) == {1}
