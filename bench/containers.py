"""The docker driver beside Docker's own tools and a client that does nothing else (engine.c), with one
engine that is started for it.

The time of one start: from hsup's decision ("starting", as its event says) to "up", through a relay
(relay.c) that notes when each request came and each answer went out. What the engine itself takes is
hundreds of milliseconds and differs by tens from one start to the next, so that no difference of two
such sums tells a millisecond. Therefore hsup's own time is added up from the gaps instead: decision to
create (with whatever else it asks for meanwhile), answer to start, answer to "up". The same gaps of the
bare client, through the same relay, are taken away: that is the way through the relay. hsup's files
are on tmpfs as all are here; with --folder on a disk it is seen what it waits for there, too.

20 at once: from the request (of the control API; the start of the first program) until the last is up
(the end of the last program). CPU: hsup's supervisor and launcher until all is quiet again, and the
programs whole. The engine's own is in neither.

The log: dockerlog.py.
"""
import os
import pathlib
import statistics
import time

import dockerlog
import dockertools
import logs
import processes
import starters
from processes import Failed

SAMPLES = 10  # single starts in a round
MANY = 20
BARE_PARALLEL = 8
SIZES = (1, 21, 61)
LOG_BYTES = 100_000_000
SETTLE_SECONDS = 1.5

# The limits (issue 5).
START_MS = 3
TIME_OF_PEERS = 1.0
CPU_OF_DOCKER = 1 / 3
LOG_TIME = 1.0
PRIVATE_KIB = 30


# One start


def request_of(requests, end, after):
    """(asked, answered) of the first request to such a target that was not answered before."""
    for method, target, asked, answered in requests:
        if method == "POST" and end in target and answered >= after:
            return asked, answered
    raise Failed(f"the relay saw no {end}")


def add_start(bench, name, decided, running, requests):
    create = request_of(requests, "/containers/create", decided)
    start = request_of(requests, "/start", create[1])
    gaps = (create[0] - decided, start[0] - create[1], running - start[1])
    for what, ns in zip(("before create", "before start", "after it"), gaps):
        bench.add(f"docker gap, {what}", name, ns)
    bench.add("docker gaps", name, sum(gaps))
    bench.add("docker start", name, running - decided)
    bench.add("docker engine's part", name, create[1] - create[0] + start[1] - start[0])
    calls = [target for _, target, asked, _ in requests if decided <= asked <= running]
    bench.add("docker calls", name, len(calls))


def measure_starts(bench, engine):
    """Of hsup and of the bare client by turns; returns what hsup asks for."""
    with starters.Relay(bench, engine) as relay, starters.Hsup(bench, engine, f"unix://{relay.path}") as hsup:
        hsup.begin()
        hsup.scale(1)
        body = starters.body_of(engine, starters.dynos(engine)[0])
        for _ in range(SAMPLES):
            time.sleep(0.3)
            seen = len(relay.requests())
            asked, up, began = hsup.scale(2)
            name, running = up[0]
            add_start(bench, "hsup", began[name], running, relay.requests()[seen:])
            bench.add("docker request to up", "hsup", running - asked)
            time.sleep(0.3)
            hsup.scale(1)
            time.sleep(0.3)
            seen = len(relay.requests())
            _, times = starters.bare(bench, engine, body, 1, 1, relay.path)
            add_start(bench, "bare", times[0][0], times[0][3], relay.requests()[seen:])
            starters.remove(engine, "bare")
    return body


# Many at once


def many_hsup(bench, engine):
    with starters.Hsup(bench, engine) as hsup:
        hsup.begin()
        time.sleep(SETTLE_SECONDS)
        before = logs.cpu_ns(hsup.pids())
        asked, up, _ = hsup.scale(MANY)
        time.sleep(SETTLE_SECONDS)
        return max(ns for _, ns in up) - asked, logs.cpu_ns(hsup.pids()) - before


def many_of(engine, prefix, start):
    begin = time.monotonic_ns()
    used = start()
    took = time.monotonic_ns() - begin
    there = len(starters.called(engine, prefix))
    if there != MANY:
        raise Failed(f"{prefix}: {there} containers of {MANY}")
    time.sleep(SETTLE_SECONDS)
    starters.remove(engine, prefix)
    return took, used


def measure_many(bench, engine, body, number):
    compose = dockertools.find_compose()
    kinds = {
        "hsup": lambda: many_hsup(bench, engine),
        "bare": lambda: many_of(engine, "bare", lambda: starters.bare(bench, engine, body, MANY, BARE_PARALLEL)[0]),
        "docker": lambda: many_of(engine, "cli-", lambda: dockertools.docker_runs(bench, engine, body, MANY)),
    }
    if compose:
        path = dockertools.write_compose(bench, body)
        kinds["compose"] = lambda: many_of(
            engine, "compose", lambda: dockertools.compose_up(bench, engine, compose, path, MANY))
    order = list(kinds)
    for name in order[number % len(order):] + order[:number % len(order)]:
        bench.wait_for_quiet()
        took, used = kinds[name]()
        bench.add(f"docker {MANY}", name, took)
        bench.add(f"docker {MANY}, CPU", name, used)


# Memory


def measure_memory(bench, engine):
    with starters.Hsup(bench, engine) as hsup:
        hsup.begin()
        for n in SIZES:
            hsup.scale(n)
            time.sleep(2 * SETTLE_SECONDS)
            for name, pid in zip(("launcher", "hsup"), hsup.pids()):
                bench.add(f"docker private {n}", name, processes.memory_kib([pid])[0])
    for name in ("launcher", "hsup"):
        less, more = (bench.get(f"docker private {n}", name)[-1] for n in (SIZES[0], SIZES[-1]))
        bench.add("docker private per container", name, (more - less) / (SIZES[-1] - SIZES[0]))


# All of it


def usable():
    """Why it cannot be measured here; "" when it can."""
    if os.geteuid() != 0:
        return "docker: only root may start an engine, not measured"
    missing = [path for path in ("/usr/sbin/dockerd", dockertools.DOCKER) if not os.access(path, os.X_OK)]
    return f"docker: {', '.join(missing)} is not installed, not measured" if missing else ""


def run_round(bench, engine, log, number, say):
    say(f"{SAMPLES} single starts")
    bench.wait_for_quiet()
    body = measure_starts(bench, engine)
    say(f"{MANY} containers at once")
    measure_many(bench, engine, body, number)
    say(f"{log.total / 1e6:.0f} MB of log")
    log.run(number)
    say(f"memory with {SIZES[-1]} containers")
    measure_memory(bench, engine)


def run(bench, build, rounds, total, progress):
    for name in ("engine", "relay", "flood", "tally"):
        bench.programs[name] = os.path.join(build, "bench", name)
    engine = starters.make_engine(bench)
    try:
        log = dockerlog.Log(bench, engine, total)
        for number in range(rounds):
            run_round(bench, engine, log, number,
                      lambda text, number=number: progress(f"round {number + 1} of {rounds}: {text}"))
    except (Failed, AssertionError) as e:  # the latter: of what ftest/ watches the engine with
        for line in pathlib.Path(engine.log).read_text(encoding="utf-8", errors="replace").splitlines()[-8:]:
            print(f"  dockerd: {line}", flush=True)
        raise Failed(str(e)) from e
    finally:
        engine.end()


NAMES = ("bare", "docker", "compose", "hsup")


def ms(value):
    return f"{value / 1e6:.2f} ms"


def table(bench):
    """(header, rows)."""
    rows = []

    def row(title, measure, show=ms, base=None):
        cells = []
        for name in NAMES:
            value, least = bench.median(measure, name), bench.median(measure, base)
            ratio = f" = {value / least:.2f}" if value is not None and least and name != base else ""
            cells.append("-" if value is None else show(value) + ratio)
        rows.append([title, *cells])

    def number(value):
        return f"{value:g}"

    def kib(value):
        return f"{value:.1f} KiB"

    row("one start, decision to running", "docker start")
    row("  of it the engine's part", "docker engine's part")
    row("  of it the client's own", "docker gaps")
    for what in ("before create", "before start", "after it"):
        row(f"    {what}", f"docker gap, {what}")
    row("  calls meanwhile", "docker calls", number)
    row("  request to running", "docker request to up")
    row(f"{MANY} at once", f"docker {MANY}", base="docker")
    row("  CPU", f"docker {MANY}, CPU", base="docker")
    row("log", "docker log", base="docker")
    row("  its writer was ready in", "docker log, written in")
    row("  CPU", "docker log, CPU", base="docker")
    row("  the engine's CPU", "docker log, engine's CPU", base="docker")
    row("  lines lost", "docker log lost", number)
    row("  repeated", "docker log repeated", number)
    for n in SIZES:
        row(f"private, {n} containers", f"docker private {n}", kib)
    row("  per container", "docker private per container", kib)
    return ["", *NAMES], rows


def limits(bench):
    """As in bench.py: (what, value, limit, ratio or value of the least)."""
    def difference(measure, of):
        return (of(bench.get(measure, "hsup")) - of(bench.get(measure, "bare"))) / 1e6

    found = [("docker, one start: beyond the engine and the bare client, ms",
              difference("docker gaps", statistics.median), START_MS, difference("docker gaps", min))]
    for what, measure, peer, limit in (
            (f"docker, {MANY} at once: time, to `docker run -d`'s", f"docker {MANY}", "docker", TIME_OF_PEERS),
            ("  to compose's", f"docker {MANY}", "compose", TIME_OF_PEERS),
            ("  CPU, to `docker run -d`'s", f"docker {MANY}, CPU", "docker", CPU_OF_DOCKER)):
        found.append((what, bench.ratio(measure, "hsup", peer), limit, bench.ratio(measure, "hsup", peer, of=min)))
    found.append(("docker, log: time, to `docker logs -f`'s", bench.ratio("docker log", "hsup", "docker"), LOG_TIME,
                  bench.ratio("docker log", "hsup", "docker", of=min)))
    found.append(("  lines lost", sum(bench.get("docker log lost", "hsup")), 0, None))
    found.append(("  repeated", sum(bench.get("docker log repeated", "hsup")), 0, None))
    found.append(("docker, private KiB of the supervisor per container",
                  bench.median("docker private per container", "hsup"), PRIVATE_KIB,
                  min(bench.get("docker private per container", "hsup"))))
    return [limit for limit in found if limit[1] is not None]
