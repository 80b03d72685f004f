"""A short campaign (the long ones: ftest/soak), and that it would see a fault."""
import fcntl
import os
import pathlib
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import uuid

import pytest

from campaign_lines import ACCOUNT, Account, Ledger, Reader
from hsup import PATIENCE, marked_processes, wait_until

HERE = pathlib.Path(__file__).resolve().parent
FACTOR = PATIENCE / 20


def test_nothing_is_lost_whatever_is_killed(build):
    mark = uuid.uuid4().hex
    rounds, kills = max(5, int(25 / FACTOR)), max(1, int(4 / FACTOR))
    argv = [sys.executable, "-B", str(HERE / "campaign.py"), "--seed", "1", "--rounds", str(rounds),
            "--launcher-kills", str(kills)]
    process = subprocess.Popen(argv, env=dict(os.environ, HSUP_BUILD_DIR=str(build), HSUP_CAMPAIGN_MARK=mark),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said, _ = process.communicate(timeout=15 * PATIENCE)
        print(said.decode(errors="replace"))
        assert process.returncode == 0
        assert not marked_processes(mark)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(PATIENCE)
        for pid in marked_processes(mark):
            os.kill(pid, signal.SIGKILL)


class Fixed:
    """A ledger with one dyno's account, and lines as hsup would print them."""

    def __init__(self, folder, begun=5, done=5, size=100):
        read, self.write = os.pipe()
        self.ledger = Ledger(folder, Reader(read), lambda: "here")
        self.path = folder / "web.1,1,77,88"
        self.path.write_bytes(ACCOUNT.pack(77, 88, 1, size, 0, begun, 0, done, 0, 0, 0, 0, 0, 0, b"web.1"))
        self.size = size

    def text(self, number):
        padding = chr(97 + number % 26) * (number * 37 % self.size)
        return f"77 88 1 o {number} {padding};"

    def say(self, *texts):
        stamp = "2026-01-01T00:00:00.000000+00:00"
        data = "".join(f"{stamp} app[web.1]: {text}\n" for text in texts)
        os.write(self.write, data.encode())

    def outage(self):
        """Of launcher and supervisor, now."""
        wait_until(self.ledger.reader.has_all, "all of it")
        self.ledger.outage({self.path: Account.read(self.path)})

    def judge(self, cut_off=()):
        os.close(self.write)
        wait_until(lambda: not self.ledger.reader.thread.is_alive(), "the reader's end")
        self.ledger.take()
        account = Account.read(self.path)
        self.behind = self.ledger.behind({self.path: account}, cut_off)
        self.ledger.close(self.path, account, cut_off)
        return self.ledger


@pytest.fixture
def fixed(folder):
    return Fixed(folder)


def test_the_ledger_finds_no_fault_in_what_is_right(fixed):
    fixed.say(*map(fixed.text, range(1, 6)))
    ledger = fixed.judge()
    assert (ledger.lines, ledger.repeats, ledger.lost, ledger.faults, fixed.behind) == (5, 0, 0, [], [])


def test_the_ledger_sees_a_gap(fixed):
    fixed.say(*map(fixed.text, (1, 2, 4, 5)))
    ledger = fixed.judge()
    assert ledger.lost == 1 and "3..3 are missing" in ledger.faults[0]


def test_the_ledger_sees_that_the_end_is_missing(fixed):
    fixed.say(*map(fixed.text, (1, 2, 3)))
    ledger = fixed.judge()
    assert "4..5" in fixed.behind[0] and ledger.lost == 2 and "the last 2 are missing" in ledger.faults[0]


def test_the_ledger_allows_a_lost_end_where_nobody_was_there(fixed):
    fixed.say(*map(fixed.text, (1, 2, 3)))
    ledger = fixed.judge(cut_off={(77, 88): "why"})
    assert (ledger.faults, fixed.behind) == ([], [])
    assert (ledger.lost, ledger.lost_in_pipes["why"], ledger.cut_off["why"]) == (0, 2, 1)


def test_the_ledger_sees_a_line_twice(fixed):
    fixed.say(*map(fixed.text, (1, 2, 2, 3, 4, 5)))
    ledger = fixed.judge()
    assert ledger.repeats == 1 and ledger.repeated[0][3] == 2


@pytest.mark.parametrize("before, after, again, twice", [
    ((1, 2, 3), (2, 3, 4, 5), 2, 0),  # they were out, and nobody knew yet
    ((1, 2), (3, 4, 3, 4, 5), 2, 0),  # they were to be taken from their dyno, or had been
    ((1, 2), (3, 4, 4, 5), 0, 1),  # all that is taken at once comes again, or nothing
    ((1, 2, 3), (3, 3, 4, 5), 1, 1),
    ((1, 2, 2), (3, 4, 5), 0, 1),  # before it
    ((1, 2, 3), (3, 4, 5, 5), 1, 1),  # long after it
])
def test_the_ledger_allows_what_was_on_its_way_to_come_twice_once(fixed, before, after, again, twice):
    fixed.say(*map(fixed.text, before))
    fixed.outage()
    fixed.say(*map(fixed.text, after))
    ledger = fixed.judge()
    assert (ledger.lines_again, ledger.repeats, ledger.lost, ledger.faults) == (again, twice, 0, [])


def test_the_ledger_sees_that_what_was_out_long_ago_comes_twice(folder):
    last = 600
    fixed = Fixed(folder, begun=last, done=last, size=1500)  # of 450 KiB
    fixed.say(*map(fixed.text, range(1, last - 1)))
    fixed.outage()
    fixed.say(*map(fixed.text, range(2, last + 1)))
    ledger = fixed.judge()
    assert ledger.repeats > 200 and ledger.repeats + ledger.lines_again == last - 3


def test_the_ledger_sees_that_a_part_of_what_comes_twice_is_missing(fixed):
    fixed.say(*map(fixed.text, (1, 2, 3)))
    fixed.outage()
    fixed.say(*map(fixed.text, (2, 4, 5)))
    assert "3..3 did not" in fixed.judge().faults[0]


def test_the_ledger_sees_that_two_were_being_taken_from(folder):
    """It takes from one after the other."""
    fixed = Fixed(folder)
    other = folder / "web.2,1,78,88"
    other.write_bytes(ACCOUNT.pack(78, 88, 1, 100, 0, 5, 0, 5, 0, 0, 0, 0, 0, 0, b"web.2"))
    wait_until(fixed.ledger.reader.has_all, "all of it")
    fixed.ledger.outage({path: Account.read(path) for path in (fixed.path, other)})
    lines = [fixed.text(n) for n in (1, 2, 1, 2, 3, 4, 5)]
    fixed.say(*lines, *(line.replace("77", "78", 1) for line in lines))
    ledger = fixed.judge()
    assert (ledger.lines_again, ledger.repeats, ledger.faults) == (2, 2, [])


def test_the_ledger_sees_a_line_cut_in_two(fixed):
    third = fixed.text(3)
    fixed.say(fixed.text(1), fixed.text(2), third[:15], third[15:], fixed.text(4), fixed.text(5))
    assert any("not a dyno's line" in fault for fault in fixed.judge().faults)


def test_the_ledger_sees_another_text(fixed):
    fixed.say(fixed.text(1), fixed.text(2).replace("c", "x"))
    assert any("not what web.1 wrote" in fault for fault in fixed.judge().faults)


def test_the_ledger_sees_what_was_never_written(folder):
    fixed = Fixed(folder, begun=3, done=3)
    fixed.say(*map(fixed.text, (1, 2, 3, 4)))
    assert any("only 3 was written" in fault for fault in fixed.judge().faults)


def test_the_ledger_allows_a_last_line_that_its_dyno_did_not_finish(folder):
    fixed = Fixed(folder, begun=3, done=2)
    fixed.say(fixed.text(1), fixed.text(2), fixed.text(3)[:16])
    ledger = fixed.judge()
    assert ledger.faults == [] and ledger.pieces == 1


def test_the_ledger_sees_a_write_that_failed(folder):
    fixed = Fixed(folder)
    fixed.path.write_bytes(ACCOUNT.pack(77, 88, 1, 100, 0, 5, 0, 5, 0, 1, 32, 0, 0, 0, b"web.1"))
    fixed.say(*map(fixed.text, range(1, 6)))
    assert any("Broken pipe" in fault for fault in fixed.judge().faults)


def test_what_a_full_pipe_took_does_not_come_twice(make_app):
    """Nobody reads hsup's output; the supervisor is killed when it has written a part of what it
    holds. What the reader had by then, and what comes after, is every line once."""
    app = make_app()
    app.hold = threading.Event()
    read_out = app._read_out
    app._read_out = lambda stream: (app.hold.wait(), read_out(stream))
    app.start()
    app.submit(app.release(("count", ["seq -f number-%g 3000; exec sleep 1000"], 1)))
    wait_until(lambda: is_full(app.process.stdout), "a full pipe")
    supervisor = app.supervisor()
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: app.supervisor() != supervisor, "a new supervisor")
    app.hold.set()
    app.wait_line(r"app\[count\.1\]: number-3000$")
    numbers = [int(text[7:]) for _, text in app.app_lines("count.1")]
    twice = sorted({n for n in numbers if numbers.count(n) > 1})
    assert numbers == list(range(1, 3001)), f"twice: {twice[:1]}..{twice[-1:]}, {len(twice)} lines"


def is_full(pipe):
    """It holds all but a page of what it can, and no more is coming."""
    held = struct.pack("i", 0)

    def look():
        return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, held))[0]
    before = look()
    time.sleep(0.2)
    return before > 50000 and look() == before


def test_a_restart_does_not_forget_which_release_was_good(app):
    """A dyno of the good release is still coming up again after the supervisor's restart, when a
    release is submitted that never becomes ready: it is rolled back as at any other time."""
    good = [{"Type": "web", "Args": ["sleep", "1000"]}, {"Type": "late", "Args": ["sleep", "1000"], "StartSeconds": 5}]
    app.start()
    app.submit(app.release(*good, Version=1))
    app.wait_line("release v1 is up")
    supervisor = app.supervisor()
    late, = [pid for pid in app.dynos() if b"DYNO=late.1" in pathlib.Path(f"/proc/{pid}/environ").read_bytes()]
    os.kill(late, signal.SIGKILL)
    app.wait_line(r"hsup\[late\.1\]: state changed from \w+ to starting", count=2)
    os.kill(supervisor, signal.SIGKILL)
    app.wait_line(r"found \d dynos running")
    good[0] = {"Type": "web", "Args": ["exit 1"], "StartRetries": 1}
    app.submit(app.release(*good, Version=2, Rollout={"Timeout": 2}))
    app.wait_line("release v2 rolled back")
    assert app.loaded()["Version"] == 1
