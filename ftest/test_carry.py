"""kill -9 of the supervisor while dynos write: every line once."""
import contextlib
import os
import pathlib
import random
import re
import signal
import subprocess
import time

import pytest

from campaign_lines import Ledger, Reader
from hsup import PATIENCE, children_of, wait_until

WRITER = pathlib.Path(__file__).resolve().parent.parent / "bench/writer.c"
DYNOS = 100
KILLS = max(10, int(60 * 20 / PATIENCE))


def kill_supervisor(app):
    supervisor = app.supervisor()
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: supervisor not in children_of(app.launcher), "its end")
    # Without the wait that a crash costs; if the next one runs already, it gives way to another.
    os.kill(app.launcher, signal.SIGHUP)
    app.supervisor()


class Writers:
    """An app of dynos that write numbered lines, and the account of each."""

    def __init__(self, app, folder):
        self.app, self.lives = app, folder / "lives"
        self.lives.mkdir()
        self.writer = folder / "writer"
        subprocess.run(["cc", "-O1", "-static", "-o", self.writer, WRITER], check=True)
        app._read_out = lambda stream: None
        app.start()
        self.reader = Reader(os.dup(app.process.stdout.fileno()))
        self.ledger = Ledger(self.lives, self.reader, lambda: "here")

    def begin(self, tick_ms, lines, size):
        command = f"exec {self.writer} {self.lives} {tick_ms} {lines} {size} ep"
        self.app.submit(self.app.release(("count", [command], DYNOS), Env={"GENERATION": "1"}))
        wait_until(lambda: len(self.ledger.accounts()) == DYNOS, "all writers")

    def written(self):
        return sum(a.done_out + a.done_err for a in self.ledger.accounts().values())

    def catch_up(self):
        """Waits until all that is written by now has come out."""
        accounts = self.ledger.accounts()

        def all_came():
            self.ledger.take()
            return self.ledger.faults or not self.ledger.behind(accounts)
        wait_until(all_came, "all lines")

    def judge(self):
        self.app.stop()
        self.reader.thread.join(PATIENCE)
        self.ledger.take()
        accounts = self.ledger.accounts()
        assert len(accounts) == DYNOS
        for path, account in accounts.items():
            self.ledger.close(path, account, {})
        print(f"{self.ledger.lines} lines, {self.ledger.repeats} came twice, {self.ledger.lost} never")
        assert (self.ledger.faults, self.ledger.lost, self.ledger.repeats) == ([], 0, 0), self.ledger.repeated[:5]


@pytest.fixture
def writers(app, folder):
    return Writers(app, folder)


def test_a_hundred_dynos_over_many_kills(writers):
    choice = random.Random(3)
    writers.begin(10, 2, 150)
    for _ in range(KILLS):
        # Some while it looks for the dynos, most while it moves lines.
        time.sleep(choice.choice((0.01, 0.05, 0.1, 0.2)) * choice.random())
        kill_supervisor(writers.app)
        writers.ledger.take()
    writers.catch_up()
    writers.judge()


def test_kills_while_nobody_reads(writers):
    """The reader stalls until the dynos wait; supervisors are killed then, and while it reads again."""
    writers.begin(1, 5, 400)
    for _ in range(3):
        writers.reader.go.clear()

        def dynos_wait():
            before = writers.written()
            time.sleep(0.3)
            return writers.written() == before
        wait_until(dynos_wait, "the dynos to wait", 3 * PATIENCE)
        for _ in range(3):
            kill_supervisor(writers.app)
        writers.reader.go.set()
        for _ in range(3):
            kill_supervisor(writers.app)
        writers.catch_up()
    writers.judge()


def odd_numbers(text, dyno, last):
    """What of 1 to `last` is missing, comes twice or too early, each with the lines of the log around."""
    found = [(int(m[1]), m.start())
             for m in re.finditer(rf"app\[{re.escape(dyno)}\]: number-(\d+)$", text, re.MULTILINE)]
    faults, before, places = [], 0, {}
    for n, at in found:
        what = "twice" if n in places else "early" if n < before else None
        for missing in range(before + 1, n):
            faults.append((missing, at))
        if what:
            faults.append((f"{n} {what}", at))
        places[n] = at
        before = max(before, n)
    faults += [(n, len(text)) for n in range(before + 1, last + 1)]
    return [f"{dyno}: {what}: {text[max(0, at - 300):at + 100]!r}" for what, at in faults[:3]]


@pytest.mark.parametrize("how", [">", ">>"])
def test_a_file_that_the_launcher_writes_to_as_well(app, folder, how):
    """It says of each kill what it does about it, in the midst of our lines."""
    log, last, dynos = folder / "log", 20000, 5
    log.touch()
    choice = random.Random(4)
    app.start(wrap=("/bin/sh", "-c", f'exec "$@" {how} {log} 2>&1', "sh"))
    app.submit(app.release(("count", [f"for i in $(seq {last}); do echo number-$i; done; exec sleep 1000"], dynos)))
    wait_until(lambda: b"number-9" in log.read_bytes(), "the first lines")
    kills = 0
    while log.read_bytes().count(f": number-{last}\n".encode()) < dynos or kills < 10:
        time.sleep(0.05 * choice.random())
        kill_supervisor(app)
        kills += 1
        assert kills < 500
    app.stop()
    text = log.read_text()
    assert text.count("was killed by SIGKILL") > 0
    faults = [f for i in range(1, dynos + 1) for f in odd_numbers(text, f"count.{i}", last)]
    assert not faults, (kills, faults)
