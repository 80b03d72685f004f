"""What the control API gives: answers in a second, how long they take, how late events are.

The floor is libmicrohttpd alone with a body of the same size (bare.c), asked by the same program
(ask.c) in the same round.
"""
import datetime
import json
import os
import socket
import statistics
import subprocess
import time

import processes
import systems
from processes import Failed

CONNECTIONS = 16
SMALL, LARGE = 10, 1000
RATE_SMALL, RATE_LARGE = 10000, 500
EVENTS = 40

# The limits (issue 4).
P99_MS = 3
P99_LARGE_MS = 20
P99_OF_FLOOR = 4
EVENT_MS = 2
PRIVATE_KIB = 6 * 1024  # of a supervisor that has been asked


class Api(systems.Hsup):
    def launch(self, *argv):
        super().launch(*argv, "-s", self.path("sock"))

    def supervisor(self):
        return next(pid for pid in processes.descendants()
                    if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "hsup")

    def ask(self, target):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path("sock"))
            s.sendall(f"GET {target} HTTP/1.1\r\nHost: hsup\r\nConnection: close\r\n\r\n".encode())
            got = b""
            while part := s.recv(1 << 20):
                got += part
        return got.partition(b"\r\n\r\n")[2]


class Bare(systems.System):
    name = "bare"

    def begin(self):
        self.launch(self.bench.programs["bare"], self.path("sock"), str(self.n))
        end = time.monotonic() + 10
        while not os.path.exists(self.path("sock")):
            if time.monotonic() > end:
                raise Failed("bare: no socket")
            time.sleep(0.01)
        return 0


def load(bench, path, seconds, rate):
    """(answers a second, p50, p99 in ns)."""
    done = subprocess.run([bench.programs["ask"], path, "/v1/dynos", str(CONNECTIONS), str(seconds), str(rate)],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"ask: {done.stderr}")
    answers, _, took, p50, p99, _ = done.stdout.split()
    return float(answers) / float(took), float(p50), float(p99)


def measure_load(bench, name, n, rate, path, seconds):
    most, _, p99 = load(bench, path, seconds, 0)
    bench.add(f"api {n}, answers", name, most)
    bench.add(f"api {n}, p99 at most", name, p99)
    kept, p50, p99 = load(bench, path, seconds, rate)
    bench.add(f"api {n}, kept", name, kept / rate)
    bench.add(f"api {n}, p50", name, p50)
    bench.add(f"api {n}, p99", name, p99)


def measure_events(bench, instance):
    """From the state change, as it says itself, until it was read here."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(instance.path("sock"))
    s.sendall(b"GET /v1/events?kind=dyno.state HTTP/1.1\r\nHost: hsup\r\n\r\n")
    s.settimeout(10)
    s.recv(65536)
    pids = [pid for _, pid in instance.report.records()]
    for pid in pids[:EVENTS]:
        os.kill(pid, 9)
        got = b""
        # down, waiting, starting, up: each read as it comes.
        while b'"to":"up"' not in got:
            got = s.recv(65536)
            now = time.time()
            for line in got.split(b"\n"):
                if line.startswith(b"data: {"):
                    at = json.loads(line[6:])["at"]
                    bench.add("api event", "hsup", (now - stamp(at)) * 1e9)
    s.close()


def stamp(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def run_size(bench, n, rate, seconds):
    with Api(bench, n) as instance:
        instance.start()
        time.sleep(1.5)
        before, _ = processes.memory_kib([instance.supervisor()])
        body = len(instance.ask("/v1/dynos"))
        if n == SMALL:
            bench.add("api private, not asked", "hsup", before)
        measure_load(bench, "hsup", n, rate, instance.path("sock"), seconds)
        if n == SMALL:
            after, _ = processes.memory_kib([instance.supervisor()])
            bench.add("api private, asked", "hsup", after)
            measure_events(bench, instance)
    with Bare(bench, body) as instance:
        instance.begin()
        measure_load(bench, "bare", n, rate, instance.path("sock"), seconds)


def run(bench, build, rounds, progress, seconds=3):
    for name in ("ask", "bare"):
        bench.programs[name] = os.path.join(build, "bench", name)
    for number in range(rounds):
        for n, rate in ((SMALL, RATE_SMALL), (LARGE, RATE_LARGE)):
            progress(f"round {number + 1} of {rounds}: the API with {n} dynos")
            bench.wait_for_quiet()
            run_size(bench, n, rate, seconds)


def table(bench):
    rows = []

    def cell(measure, name, show):
        value = bench.median(measure, name)
        return "-" if value is None else show(value)

    for n, rate in ((SMALL, RATE_SMALL), (LARGE, RATE_LARGE)):
        for what, title, show in (
                ("answers", f"{n} dynos: answers a second, {CONNECTIONS} connections", lambda v: f"{v:.0f}"),
                ("p99 at most", "  p99 then", lambda v: f"{v / 1e6:.3f} ms"),
                ("kept", f"  of {rate} a second, kept", lambda v: f"{v:.3f}"),
                ("p50", "  median of those", lambda v: f"{v / 1e6:.3f} ms"),
                ("p99", "  p99 of those", lambda v: f"{v / 1e6:.3f} ms")):
            rows.append([title, *(cell(f"api {n}, {what}", name, show) for name in ("bare", "hsup"))])
    rows.append(["state change to the client, median", "-", cell("api event", "hsup", lambda v: f"{v / 1e6:.3f} ms")])
    for when in ("not asked", "asked"):
        rows.append([f"private memory of a supervisor, {when}", "-",
                     cell(f"api private, {when}", "hsup", lambda v: f"{v:.0f} KiB")])
    return ["", "libmicrohttpd alone", "hsup"], rows


def limits(bench):
    """As in bench.py: (what, value, limit, ratio of the least values or None)."""
    found = []
    for n, rate in ((SMALL, RATE_SMALL), (LARGE, RATE_LARGE)):
        answers, p99 = bench.get(f"api {n}, answers", "hsup"), bench.get(f"api {n}, p99", "hsup")
        if not answers:
            continue
        found.append((f"api, {n} dynos: {rate} a second, of what it can", rate / statistics.median(answers), 1,
                      rate / max(answers)))
        # On a machine that others use, the floor's is above it, too.
        floor = bench.median(f"api {n}, p99", "bare") / 1e6
        found.append((f"  p99 of {rate} a second, ms", statistics.median(p99) / 1e6,
                      max(P99_MS if n == SMALL else P99_LARGE_MS, P99_OF_FLOOR * floor), min(p99) / 1e6))
    event = bench.get("api event", "hsup")
    found.append(("api, state change to the client, ms", statistics.median(event) / 1e6 if event else None,
                  EVENT_MS, None))
    found.append(("api, private KiB when asked", bench.median("api private, asked", "hsup"), PRIVATE_KIB, None))
    return [limit for limit in found if limit[1] is not None]
