"""The log path: what dynos write as fast as they can, into files that are rotated.

supervisord, svlogd and s6-log copy what they read; hsup puts the time and the name before each line.
The time is counted from the writers' own start to the last change of a file; CPU is that of every
process but the writers. All files are kept and counted: not a line may be missing. The delay of a lone
line is from the writer's clock to the change of the file (inotify) that has it.
"""
import ctypes
import os
import re
import select
import statistics
import subprocess
import time

import processes
import systems
from processes import Failed

ROTATE = 50 << 20
BLOCK = 65536
LINE = 100
TEN = 10
DELAYS = 60  # lone lines
DELAY_PAUSE_MS = 25
SECONDS = 300
QUIET_SECONDS = 0.3  # without a change: it is counted
LATE_SECONDS = 10  # what is not there by then is lost
IN_MODIFY, IN_CREATE = 2, 0x100

# (measure, dynos, bytes per write)
FLOODS = (("lines", 1, LINE), ("blocks", 1, BLOCK), (f"{TEN} dynos, lines", TEN, LINE),
          (f"{TEN} dynos, blocks", TEN, BLOCK))

# The limits (issue 4), as shares of supervisord's speed; CPU: of what s6-log needs.
SPEED = {"lines": 0.8, "blocks": 0.6, f"{TEN} dynos, lines": 0.8, f"{TEN} dynos, blocks": 0.6}
CPU_OF_S6 = 1.0
DELAY_MS = 2


class Flood:
    """A system whose children are writers, each with a folder of log files."""

    def __init__(self, bench, n, words):
        super().__init__(bench, n)
        self.go = self.path("go")
        os.mkfifo(self.go, 0o666)
        os.chmod(self.go, 0o666)
        self.logs = self.path("logs")
        os.mkdir(self.logs)
        self.command = [bench.programs["flood"], self.report.path, self.go, *map(str, words)]

    def folder_of(self, i):
        folder = os.path.join(self.logs, f"{i:04d}")
        os.makedirs(folder, exist_ok=True)
        return folder

    def script(self, path, *words):
        self.write(path, "#!/bin/sh\nexec " + " ".join(words) + "\n", 0o755)

    def files(self):
        """In the order of their last change, by folder."""
        found = []
        for folder, _, names in os.walk(self.logs):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    found.append((folder, os.stat(path).st_mtime_ns, path))
                except FileNotFoundError:
                    pass  # renamed just now
        return sorted(found)

    def state(self):
        return sum(os.stat(path).st_size for _, _, path in self.files())

    def release(self):
        """Lets the writers begin."""
        self.begin()
        self.report.wait(self.n, systems.UP_SECONDS, 0.02, self.lives)
        time.sleep(1.5)
        return os.open(self.go, os.O_WRONLY)

    def settle(self):
        size, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            time.sleep(0.05)
            try:
                now = self.state()
            except FileNotFoundError:
                continue
            if now != size:
                size, since = now, time.monotonic()


class Hsup(Flood, systems.Hsup):
    """Its standard output is a file, or its dynos have files of their own."""

    def process(self, name, quantity):
        process = {"Type": name, "Args": self.command, "Quantity": quantity, "StartSeconds": 0}
        if self.bench.hsup_log == "file":
            process["Log"] = {"File": os.path.join(self.logs, "%d.log"), "MaxBytes": ROTATE, "Keep": 1000}
        return process

    def launch(self, *argv):
        out = "/dev/null" if self.bench.hsup_log == "file" else os.path.join(self.folder_of(0), "current")
        if self.bench.hsup_log == "file":
            argv = (*argv, "--log", "none")
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        files = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, out, flags, 0o600),
                 (os.POSIX_SPAWN_OPEN, 2, self.path("log"), flags, 0o600)]
        self.pid = os.posix_spawn(argv[0], argv, self.bench.environ, file_actions=files, setsid=True,
                                  setsigdef=processes.IGNORED, setsigmask=[])


class Supervisord(Flood, systems.Supervisord):
    def begin(self):
        for i in range(self.n):
            self.folder_of(i)
        self.write("conf", f"[supervisord]\nnodaemon=true\nlogfile={self.path('own.log')}\n"
                   f"pidfile={self.path('pid')}\n[program:d]\ncommand={' '.join(self.command)}\n"
                   f"numprocs={self.n}\nprocess_name=%(process_num)04d\n"
                   f"stdout_logfile={self.logs}/%(process_num)04d/current\n"
                   f"stdout_logfile_maxbytes={ROTATE}\nstdout_logfile_backups=100\nstderr_logfile=NONE\n")
        self.launch(self.bench.programs[self.name], "-c", self.path("conf"))


class Scanned(Flood):
    """runit and s6: a logger for each service."""

    def write_services(self):
        os.mkdir(self.path("scan"))
        for i in range(self.n):
            os.makedirs(self.path(f"scan/{i:04d}/log"))
            self.script(f"scan/{i:04d}/run", *self.command)
            self.script(f"scan/{i:04d}/log/run", *self.logger(self.folder_of(i)))
        os.utime(self.path("scan"), (0, 0))


class Runit(Scanned, systems.Runit):
    def logger(self, folder):
        with open(os.path.join(folder, "config"), "w", encoding="ascii") as file:
            file.write(f"s{ROTATE}\nn0\n")
        return [self.bench.programs["svlogd"], folder]

    def files(self):
        return [found for found in super().files() if os.path.basename(found[2]) not in ("config", "lock")]


class S6(Scanned, systems.S6):
    def logger(self, folder):
        return [self.bench.programs["s6-log"], "n1000", f"s{ROTATE}", folder]

    def files(self):
        return [found for found in super().files() if os.path.basename(found[2]) not in ("lock", "state")]


ALL = {system.name: system for system in (Hsup, Supervisord, Runit, S6)}
LOGGERS = {"runit": "svlogd", "s6": "s6-log"}


def cpu_ns(pids):
    """The processor time of these processes so far."""
    total = 0
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total


def tally(bench, files):
    """(lines, missing, out of order) of all folders."""
    counts = [0, 0, 0]
    for folder in sorted({found[0] for found in files}):
        out = subprocess.run([bench.programs["tally"], *(path for of, _, path in files if of == folder)],
                             check=True, stdout=subprocess.PIPE).stdout.split()
        counts = [count + int(word) for count, word in zip(counts, out)]
    return counts


def flood(bench, system, measure, n, total, block):
    each = total // n // LINE * LINE
    with system(bench, n, (each, block)) as instance:
        go = instance.release()
        pids = instance.own_pids()
        before = cpu_ns(pids)
        os.close(go)
        instance.report.wait(3 * n, SECONDS, 0.1, instance.lives)
        end = time.monotonic() + LATE_SECONDS
        while True:
            instance.settle()
            used = cpu_ns(pids) - before
            files = instance.files()
            lines, missing, wrong = tally(bench, files)
            if lines == n * each // LINE or time.monotonic() > end:
                break
        begin = min(ns for ns, _ in instance.report.records()[n:2 * n])
        took = max(ns for _, ns, _ in files) - (time.time_ns() - time.monotonic_ns()) - begin
        lost = n * each // LINE - lines + wrong
        if lost:
            print(f"bench: {system.name}, {measure}: {lines} lines of {n * each // LINE}, {missing} missing, "
                  f"{wrong} out of order", flush=True)
        bench.add(f"log {measure}", system.name, took / (n * each) * 1e9)  # ns per GB
        bench.add(f"log {measure}, CPU", system.name, used / (n * each) * 1e9)
        bench.add("log lost", system.name, lost)


class Watch:
    """Tells when something below a folder changes."""

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        for path, _, _ in os.walk(folder):
            if libc.inotify_add_watch(self.fd, os.fsencode(path), IN_MODIFY | IN_CREATE) < 0:
                raise Failed("inotify_add_watch: " + os.strerror(ctypes.get_errno()))

    def wait(self, seconds):
        """The time (CLOCK_REALTIME, ns) of a change; 0 when there is none."""
        ready = select.select([self.fd], [], [], seconds)[0]
        now = time.time_ns()
        if not ready:
            return 0
        os.read(self.fd, 65536)
        return now

    def close(self):
        os.close(self.fd)


def delays(bench, system):
    with system(bench, 1, (DELAYS * LINE, LINE, DELAY_PAUSE_MS)) as instance:
        go = instance.release()
        watch = Watch(instance.logs)
        os.close(go)
        found = {}
        end = time.monotonic() + 60
        while len(found) < DELAYS:
            now = watch.wait(1)
            if time.monotonic() > end:
                raise Failed(f"{system.name}: {len(found)} of {DELAYS} lone lines came")
            for _, _, path in instance.files() if now else ():
                with open(path, "rb") as file:
                    for word in re.findall(rb"(?<!\d)(\d{20}) x", file.read()):
                        found.setdefault(int(word), now)
        watch.close()
        for wrote, now in found.items():
            bench.add("log delay", system.name, now - wrote)


def find_programs(bench, build):
    """The systems that can be measured here."""
    for name in ("flood", "tally"):
        bench.programs[name] = os.path.join(build, "bench", name)
    found = []
    for system in bench.systems:
        if system.name not in ALL:
            continue
        logger = LOGGERS.get(system.name)
        if logger:
            bench.programs[logger] = systems.shutil.which(logger)
        if not logger or bench.programs[logger]:
            found.append(ALL[system.name])
    return found


def run(bench, build, rounds, total, progress):
    every = find_programs(bench, build)
    for number in range(rounds):
        order = every[number % len(every):] + every[:number % len(every)]
        for measure, n, block in FLOODS:
            for system in order:
                progress(f"round {number + 1} of {rounds}: {system.name} logs {total / 1e6:.0f} MB, {measure}")
                bench.wait_for_quiet()
                flood(bench, system, measure, n, total, block)
        for system in order:
            progress(f"round {number + 1} of {rounds}: {system.name} logs {DELAYS} lone lines")
            bench.wait_for_quiet()
            delays(bench, system)


def table(bench):
    """(header, rows): speed and CPU, with their ratio to supervisord's."""
    names = [name for name in ALL if bench.get("log lost", name)]
    rows = []

    def cell(measure, name, show):
        value, base = bench.median(measure, name), bench.median(measure, "supervisord")
        if value is None:
            return "-"
        ratio = "" if base is None or name == "supervisord" else show(value, base)[1]
        return show(value, base)[0] + ratio

    def speed(value, base):
        return f"{1e12 / value:.0f} MB/s", f" = {base / value:.2f}" if base else ""

    def seconds(value, base):
        return f"{value / 1e9:.2f} s/GB", f" = {value / base:.2f}" if base else ""

    def micros(value, base):
        return f"{value / 1e3:.0f} us", f" = {value / base:.2f}" if base else ""

    for measure, _, _ in FLOODS:
        rows.append([measure, *(cell(f"log {measure}", name, speed) for name in names)])
        rows.append(["  CPU", *(cell(f"log {measure}, CPU", name, seconds) for name in names)])
    rows.append(["a lone line's delay", *(cell("log delay", name, micros) for name in names)])
    rows.append(["  the longest", *(f"{max(bench.get('log delay', name) or [0]) / 1e3:.0f} us" for name in names)])
    rows.append(["lines lost", *(f"{sum(bench.get('log lost', name)):g}" for name in names)])
    return ["", *names], rows


def limits(bench):
    """As in bench.py: (what, value, limit, ratio of the least values or None)."""
    found = []
    for measure, share in SPEED.items():
        found.append((f"log, {measure}: time, to supervisord's", bench.ratio(f"log {measure}", "hsup", "supervisord"),
                      1 / share, bench.ratio(f"log {measure}", "hsup", "supervisord", of=min)))
        found.append(("  CPU, to s6-log's", bench.ratio(f"log {measure}, CPU", "hsup", "s6"), CPU_OF_S6,
                      bench.ratio(f"log {measure}, CPU", "hsup", "s6", of=min)))
    delay = bench.get("log delay", "hsup")
    found.append(("log, a lone line's delay, ms", statistics.median(delay) / 1e6 if delay else None, DELAY_MS, None))
    found.append(("log, lines lost", sum(bench.get("log lost", "hsup")), 0, None))
    return [limit for limit in found if limit[1] is not None]
