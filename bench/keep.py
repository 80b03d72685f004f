"""What it costs that nothing stops when hsup does: the supervisor killed, the launcher's memory.

All of it is about hsup alone: no peer has a part that may be killed while the rest runs on. The time
to be back in control is counted from the kill to the first sign of life of a dyno that was submitted
right after it (so all others were found by then), less the launcher's back-off, which it says itself.
"""
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import time

import processes
import systems
from processes import Failed

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "ftest"))
from campaign_lines import Ledger, Reader  # noqa: E402 (it is not beside us)

IDLE = 1000
KILLS = 3  # of one instance: the back-off doubles with each
WRITERS = 100
TICK_MS, LINE_BYTES = 10, 100  # of each writer: together 1 MB/s
SIZES = (0, 100, 1000)
RESTART = re.compile(r"starting it again in (\d+\.\d) s")

# The limits (issue 3).
BACK_MS = 250
LAUNCHER_KIB = 400
LAUNCHER_DYNO_BYTES = 300
UP_MS = 50
C_LINES = 1500


class Keep(systems.Hsup):
    """An hsup that is hurt."""

    def text(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def supervisor(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as file:
            for pid in map(int, file.read().split()):
                try:
                    if os.readlink(f"/proc/{pid}/exe") == self.bench.programs["hsup"]:
                        return pid
                except OSError:
                    pass
        return 0

    def wait(self, condition, what, seconds=60):
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end or not self.lives():
                raise Failed(f"hsup: waited in vain for {what}")
            time.sleep(0.005)
        return value

    def kill(self):
        """kill -9 of the supervisor; returns when, in ns."""
        pid = self.wait(self.supervisor, "a supervisor")
        now = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        return now

    def delays(self):
        return [float(word) for word in RESTART.findall(self.text())]

    def back(self, version):
        """ns from the kill until a dyno runs that was submitted meanwhile, less the back-off."""
        known = len(self.delays())
        count = self.report.count()
        begin = self.kill()
        self.submit({"Version": version, "Name": "bench",
                     "Processes": [self.process("d", self.n), self.process("new", version)]})
        records = self.report.wait(count + 1, 60, 0.1, self.lives)
        took = records[count][0] - begin
        delay = self.wait(lambda: self.delays()[known:], "the launcher's word")[0]
        self.wait(lambda: self.report.count() > count, "the new dyno")
        found = re.findall(r"found (\d+) dynos running", self.text())
        if not found or int(found[-1]) < self.n:
            raise Failed(f"hsup: found {found[-1:]} dynos of {self.n} after the kill")
        return took - int(delay * 1e9)


class Writers(Keep):
    """Dynos that write numbered lines; hsup's output goes into a pipe that is read here."""

    def process(self, name, quantity):
        return {"Type": name, "Args": [self.bench.programs["writer"], self.path("lives"), str(TICK_MS),
                                       "1", str(LINE_BYTES), "-"],
                "Env": {"GENERATION": "1"}, "Quantity": quantity, "StartSeconds": 0}

    def launch(self, *argv):
        os.mkdir(self.path("lives"))
        read, write = os.pipe()
        # Without a shell: the log is where the launcher speaks.
        files = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, write, 1),
                 (os.POSIX_SPAWN_OPEN, 2, self.path("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)]
        self.pid = os.posix_spawn(argv[0], argv, self.bench.environ, file_actions=files, setsid=True,
                                  setsigdef=[signal.SIGPIPE, signal.SIGXFSZ], setsigmask=[])
        os.close(write)
        self.reader = Reader(read)
        self.ledger = Ledger(self.path("lives"), self.reader, lambda: "bench")

    def run(self):
        """Returns (lines, lost, repeated, kills that repeated any)."""
        self.begin()
        self.wait(lambda: len(os.listdir(self.path("lives"))) >= self.n, "the writers")
        bad = 0
        for _ in range(KILLS):
            time.sleep(random.uniform(0.3, 1.3))
            before = self.ledger.repeats
            notes = self.ledger.n_notes
            self.kill()
            self.wait(lambda: self.found_again(notes), "the next supervisor")
            time.sleep(0.3)
            self.ledger.take()
            bad += self.ledger.repeats > before
        self.stop()
        self.reader.thread.join(60)
        self.ledger.take()
        for path, account in self.ledger.accounts().items():
            self.ledger.close(path, account, ())
        others = [fault for fault in self.ledger.faults if "missing" not in fault]
        if others or self.ledger.rest:
            raise Failed("hsup: " + "; ".join(others or ["its output ends within a line"]))
        return self.ledger.lines, self.ledger.lost, self.ledger.repeats, bad

    def found_again(self, notes):
        self.ledger.take()
        return any(n > notes and text.startswith("found ") for n, _, text in self.ledger.notes)


def launcher_memory(bench, n):
    with Keep(bench, n) as instance:
        instance.start()
        time.sleep(1)
        bench.add(f"launcher pss {n}", "hsup", processes.memory_kib([instance.pid])[1])


def up(bench):
    """ns from calling `hsup up` until it returns: ready."""
    folder = os.path.join(bench.folder, "up")
    shutil.rmtree(folder, ignore_errors=True)
    environ = dict(bench.environ)
    for name, value in (("RUNTIME_DIR", "run"), ("STATE_DIR", "state"), ("APPS_DIR", "apps"), ("CONFIG", "hsup.json")):
        environ[f"HSUP_{name}"] = os.path.join(folder, value)
    os.mkdir(folder)
    log = os.path.join(folder, "log")
    begin = time.monotonic_ns()
    status = os.waitpid(processes.start([bench.programs["hsup"], "up"], environ, log), 0)[1]
    took = time.monotonic_ns() - begin
    if status == 0:
        status = os.waitpid(processes.start([bench.programs["hsup"], "down"], environ, log), 0)[1]
    if status != 0:
        with open(log, encoding="utf-8", errors="replace") as file:
            raise Failed(f"hsup up and down: wait status {status}: {file.read()[-500:]}")
    if processes.descendants():
        raise Failed("hsup down has left something running")
    return took


def has_up(bench):
    with os.popen(f"'{bench.programs['hsup']}' --help") as text:
        return re.search(r"^ +up\b", text.read(), re.MULTILINE) is not None


def c_lines():
    """(lines, lines without blanks and comments) of the .c files of the launcher and the wire."""
    lines = code = 0
    for room in ("launcher", "wire"):
        for path in sorted((ROOT / "src" / room).glob("*.c")):
            text = path.read_text(encoding="utf-8")
            lines += text.count("\n")
            bare = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
            code += sum(1 for line in bare.splitlines() if line.strip())
    return lines, code


def run(bench, rounds, progress):
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}: the supervisor of {IDLE} dynos is killed")
        bench.wait_for_quiet()
        with Keep(bench, IDLE) as instance:
            instance.start()
            time.sleep(1)
            for kill in range(KILLS):
                bench.add("back", "hsup", instance.back(3 + kill))
                time.sleep(0.5)
        progress(f"round {number + 1} of {rounds}: the supervisor of {WRITERS} writers is killed")
        with Writers(bench, WRITERS) as instance:
            for name, value in zip(("lines", "lost", "repeated", "kills that repeated"), instance.run()):
                bench.add(name, "hsup", value)
        for n in SIZES:
            progress(f"round {number + 1} of {rounds}: memory of the launcher, {n} dynos")
            launcher_memory(bench, n)
        if has_up(bench):
            bench.wait_for_quiet()
            bench.add("up", "hsup", up(bench))


def limits(bench):
    """As in bench.py: (what, value, limit, None)."""
    none, full = (bench.median(f"launcher pss {n}", "hsup") for n in (SIZES[0], SIZES[-1]))
    back, ready = bench.median("back", "hsup"), bench.median("up", "hsup")
    return [
        (f"supervisor of {IDLE} killed: back in control, ms", back / 1e6, BACK_MS, None),
        ("  the longest, ms", max(bench.get("back", "hsup")) / 1e6, BACK_MS, None),
        (f"lines of {WRITERS} writers lost by {KILLS * len(bench.get('lost', 'hsup'))} kills",
         sum(bench.get("lost", "hsup")), 0, None),
        (f"  repeated, of {sum(bench.get('lines', 'hsup'))}", sum(bench.get("repeated", "hsup")), 0, None),
        ("  kills after which any was repeated", sum(bench.get("kills that repeated", "hsup")), 0, None),
        ("PSS of the launcher, no dyno, KiB", none, LAUNCHER_KIB, None),
        *((f"  {n} dynos, KiB", bench.median(f"launcher pss {n}", "hsup"),
           LAUNCHER_KIB + n * LAUNCHER_DYNO_BYTES / 1024, None) for n in SIZES[1:]),
        ("  per dyno, bytes", (full - none) * 1024 / SIZES[-1], LAUNCHER_DYNO_BYTES, None),
        ("hsup up, until it is ready, ms", ready / 1e6 if ready else float("nan"), UP_MS, None),
        ("lines of C in the launcher and the wire", c_lines()[0], C_LINES, None),
        ("  without blanks and comments", c_lines()[1], C_LINES, None),
    ]
