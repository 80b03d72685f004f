"""The supervisors that are compared: how each is set up, started and stopped.

Each lives in a folder of its own below the run's folder, with its own sockets; none touches a
service of the system. All run the same child, and are asked for nothing that costs them more than
needed: the service scripts of runit and s6 name the child as their interpreter (no shell), and
loggers are left out, so their output is not captured at all.
"""
import json
import os
import shlex
import shutil
import signal
import time

import processes
from processes import Failed

UP_SECONDS = 120


class System:
    """One instance: made for n children, begun once, stopped or killed once."""

    name = ""
    program = ""  # looked up in PATH
    stop_signal = signal.SIGTERM
    origin = ""  # what the time of a start is counted from

    def __init__(self, bench, n):
        self.n = n
        self.bench = bench
        self.folder = os.path.join(bench.folder, self.name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.mkdir(self.folder)
        self.report = processes.Report(self.path("report"))
        self.pid = None

    @classmethod
    def find(cls, _build):
        """The program's path; None when it is not installed."""
        return shutil.which(cls.program)

    def __enter__(self):
        return self

    def __exit__(self, kind, _error, _trace):
        if kind is not None and issubclass(kind, Failed):
            self.show_log()
        processes.kill_all()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def show_log(self):
        try:
            with open(self.path("log"), encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()[-15:]
        except FileNotFoundError:
            return
        for line in lines:
            print(f"  {self.name}: {line}", flush=True)

    def launch(self, *argv):
        self.pid = processes.start(list(argv), self.bench.environ, self.path("log"))

    def lives(self):
        return not processes.has_ended(self.pid)

    def begin(self):
        """Starts the children; returns the origin in ns."""
        raise NotImplementedError

    def start(self):
        """ns from the origin until the last child runs."""
        origin = self.begin()
        if self.n == 0:
            return 0
        records = self.report.wait(self.n, UP_SECONDS, 0.02, self.lives)
        return max(ns for ns, _ in records) - origin

    def replace(self, pid):
        """ns from kill -9 of one child until its replacement runs."""
        count = self.report.count()
        begin = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        records = self.report.wait(count + 1, 30, 0.03, self.lives)
        return records[count][0] - begin

    def stop(self):
        """ns from the request until nothing of it is left."""
        begin = time.monotonic_ns()
        os.kill(self.pid, self.stop_signal)
        ended = processes.wait_for_all(120)
        took = time.monotonic_ns() - begin
        self.check_end(ended[self.pid])
        return took

    def check_end(self, status):
        pass

    def own_pids(self):
        """Every process that is not a child of the formation."""
        children = {pid for _, pid in self.report.records()}
        return [pid for pid in processes.descendants() if pid not in children]


class Floor(System):
    name = "floor"
    origin = "before the first spawn"

    @classmethod
    def find(cls, build):
        return os.path.join(build, "bench", "floor")

    def begin(self):
        self.launch(self.bench.programs["floor"], str(self.n), self.bench.child, self.report.path)
        end = time.monotonic() + 10
        while True:
            with open(self.path("log"), encoding="ascii") as file:
                text = file.read()
            if text.rstrip("\n").isdigit() and text.endswith("\n"):
                return int(text)
            if time.monotonic() > end or not self.lives():
                raise Failed("floor: did not begin")
            time.sleep(0.005)


class Hsup(System):
    name = "hsup"
    origin = "rename of the release to `new`"

    @classmethod
    def find(cls, build):
        return os.path.join(build, "hsup")

    def submit(self, release):
        """Returns the ns at which it became visible."""
        self.write("release", json.dumps(release))
        now = time.monotonic_ns()
        os.rename(self.path("release"), self.path("control/new"))
        return now

    def process(self, name, quantity):
        # Two words, so that it is an argv and no shell is between.
        return {"Type": name, "Args": [self.bench.child, self.report.path], "Quantity": quantity,
                "StartSeconds": 0}

    def begin(self):
        os.mkdir(self.path("control"), 0o700)
        self.submit({"Version": 1, "Name": "bench", "Processes": [self.process("none", 0)]})
        self.launch(self.bench.programs["hsup"], "start", "-d", "simple",
                    "-C", self.path("control"), "--state-dir", self.path("state"))
        end = time.monotonic() + 10
        while not os.path.exists(self.path("control/loaded")):
            if time.monotonic() > end or not self.lives():
                raise Failed("hsup: the first, empty release was not loaded")
            time.sleep(0.01)
        time.sleep(0.3)  # it waits for the next release, and nothing else
        return self.submit({"Version": 2, "Name": "bench",
                            "Processes": [self.process("d", self.n)]})

    def check_end(self, status):
        if status != 0:
            raise Failed(f"hsup: wait status {status} after a graceful stop")


class Supervisord(System):
    name = "supervisord"
    program = "supervisord"
    origin = "its start with all programs configured"

    def begin(self):
        command = shlex.join([self.bench.child, self.report.path]).replace("%", "%%")
        # Above the default only when needed: it closes that many descriptors in every child.
        files = max(1024, 4 * self.n + 100)
        text = (f"[supervisord]\nnodaemon=true\nminfds={files}\nlogfile={self.path('own.log')}\n"
                f"pidfile={self.path('pid')}\nchildlogdir={self.folder}\n"
                f"[unix_http_server]\nfile={self.path('sock')}\n")
        if self.n:
            text += (f"[program:d]\ncommand={command}\nnumprocs={self.n}\n"
                     "process_name=%(process_num)04d\nautorestart=true\n"
                     "stdout_logfile=NONE\nstderr_logfile=NONE\n")
        self.write("conf", text)
        now = time.monotonic_ns()
        self.launch(self.bench.programs[self.name], "-c", self.path("conf"))
        return now


class Scanned(System):
    """runit and s6: a folder of service folders."""

    origin = "its start with all services there"

    def write_services(self):
        os.mkdir(self.path("scan"))
        script = f"#!{self.bench.child} {self.report.path}\n"
        for i in range(self.n):
            os.mkdir(self.path(f"scan/{i:04d}"))
            self.write(f"scan/{i:04d}/run", script, 0o755)
        # runsvdir waits for a second when the folder changed in this one.
        os.utime(self.path("scan"), (0, 0))


class Runit(Scanned):
    name = "runit"
    program = "runsvdir"
    stop_signal = signal.SIGHUP  # TERM would leave the services running

    def begin(self):
        self.write_services()
        now = time.monotonic_ns()
        self.launch(self.bench.programs[self.name], self.path("scan"))
        return now


class S6(Scanned):
    name = "s6"
    program = "s6-svscan"

    def begin(self):
        self.write_services()
        now = time.monotonic_ns()
        self.launch(self.bench.programs[self.name], "-c", str(max(10, self.n)), self.path("scan"))
        return now


ALL = {system.name: system for system in (Floor, Hsup, Supervisord, Runit, S6)}
