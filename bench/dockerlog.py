"""The output of one container, as fast as the engine takes it: hsup into a file, and `docker logs -f`.

The time is counted from the writer's first line to the last change of the file; the writer is held up
by an engine that is busy with the reader, so it is no slower than its reader by much. CPU is that of
hsup's supervisor and launcher, and of the docker command; the engine's stands aside. All lines are
counted: none may be missing or there twice.
"""
import os
import shutil
import signal
import time

import dockertools
import logs
import processes
import starters

SETTLE_SECONDS = 1.5


class Flood:
    """What the two have in common: a writer in a container, and the file to which its lines come."""

    def __init__(self, bench, engine, folder, total):
        self.bench, self.engine, self.folder = bench, engine, folder
        self.total = total // logs.LINE * logs.LINE
        shutil.copy(bench.programs["flood"], self.path("flood"))
        os.mkfifo(self.path("go"))
        os.chmod(self.path("go"), 0o666)
        self.report = processes.Report(self.path("lines"))
        self.out = self.path("out")
        self.args = [self.path("flood"), self.report.path, self.path("go"), str(self.total), str(logs.LINE)]

    def path(self, name):
        return os.path.join(self.folder, name)

    def measure(self, name, pids, lives):
        """Lets the writer begin, and counts until its last line is in the file."""
        self.report.wait(1, starters.SECONDS, 0.02, lives)
        time.sleep(SETTLE_SECONDS)
        engine = [self.engine.pid]
        before, engine_before = logs.cpu_ns(pids), logs.cpu_ns(engine)
        os.close(os.open(self.path("go"), os.O_WRONLY))
        self.report.wait(3, logs.SECONDS, 0.1, lives)
        wanted, end = self.total // logs.LINE, time.monotonic() + logs.LATE_SECONDS
        lines = wrong = 0
        while lines < wanted and time.monotonic() < end:
            self.settle()
            lines, _, wrong = logs.tally(self.bench, [(self.folder, 0, self.out)])
        clocks = time.time_ns() - time.monotonic_ns()
        took = os.stat(self.out).st_mtime_ns - clocks - self.report.records()[1][0]
        bench = self.bench
        bench.add("docker log", name, took)
        bench.add("docker log, written in", name, self.report.records()[2][0] - self.report.records()[1][0])
        bench.add("docker log, CPU", name, logs.cpu_ns(pids) - before)
        bench.add("docker log, engine's CPU", name, logs.cpu_ns(engine) - engine_before)
        bench.add("docker log lost", name, wanted - lines + wrong)
        bench.add("docker log repeated", name, wrong)

    def settle(self):
        size, since = -1, time.monotonic()
        while time.monotonic() - since < logs.QUIET_SECONDS:
            time.sleep(0.05)
            now = os.stat(self.out).st_size
            if now != size:
                size, since = now, time.monotonic()


def follow_hsup(bench, engine, total):
    """Returns what hsup asks for, for the other one."""
    with starters.Hsup(bench, engine) as hsup:
        flood = Flood(bench, engine, hsup.folder, total)
        if bench.hsup_log == "file":
            hsup.more = ("--log", "none")
            hsup.begin([hsup.folder], Args=flood.args, Log={"File": flood.out, "MaxBytes": 1 << 40, "Keep": 2})
        else:
            hsup.out = flood.out
            hsup.begin([hsup.folder], Args=flood.args)
        hsup.scale(1)
        body = starters.body_of(engine, starters.dynos(engine)[0])
        flood.measure("hsup", hsup.pids(), hsup.lives)
    return body


def follow_docker(bench, engine, total, body):
    # By the same paths as hsup's writer: they are in its command.
    folder = os.path.join(bench.folder, "hsup")
    os.mkdir(folder)
    pid = None
    try:
        flood = Flood(bench, engine, folder, total)
        starters.bare(bench, engine, body, 1, 1)
        pid = processes.start([dockertools.DOCKER, "logs", "-f", "bare-1"], dockertools.environ(bench, engine), flood.out)
        flood.measure("docker", [pid], lambda: not processes.has_ended(pid))
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        starters.remove(engine, "bare")
        shutil.rmtree(folder, ignore_errors=True)


class Log:
    """The first to follow is hsup: what it asks for is what the other one gets."""

    def __init__(self, bench, engine, total):
        self.bench, self.engine, self.total = bench, engine, total
        self.body = None

    def hsup(self):
        self.bench.wait_for_quiet()
        self.body = follow_hsup(self.bench, self.engine, self.total)

    def docker(self):
        self.bench.wait_for_quiet()
        follow_docker(self.bench, self.engine, self.total, self.body)

    def run(self, number):
        for follow in (self.docker, self.hsup) if number % 2 else (self.hsup, self.docker):
            follow()
