"""Measures hsup side by side with the least that must be done, and with its peers.

Called by scripts/bench, which builds the programs and installs the peers. Everything runs below one
folder on tmpfs, in turn (each round takes every measure of every system once), so that a machine
that is busy is busy for all: only the ratios count. Times are taken from the children's own clock,
and this program sleeps while something is measured.
"""
import argparse
import json
import os
import resource
import shutil
import signal
import statistics
import sys
import tempfile
import time

import api
import containers
import keep
import logs
import native
import processes
import slug
import systems
from processes import Failed

PARTS = ("dynos", "idle", "slug", "keep", "logs", "api")
MORE_PARTS = ("docker", "native")  # only when asked for: they need root, and an engine
REPLACED = 30  # of the middle size, per round
SETTLE_SECONDS = 1.5  # runit and s6 are slow with what lived for less than 1 s
IDLE_SETTLE_SECONDS = 5
BUSY_SHARE = 0.1  # of the machine, used by others: then a measurement waits

# The limits: of the ratios to the floor (to tar for the slug), and of what hsup itself may use.
START_MIDDLE = 1.5
START_LARGE = 1.3
FLATNESS = 1.25  # cost per dyno at the large size, to that at the small and at the middle one
REPLACE = 1.4
STOP = 1.3
PRIVATE_KIB = 3 * 1024
PSS_KIB = 14 * 1024
PER_DYNO_KIB = 2.0  # there is no log ring in memory: the pipe is the buffer
# The launcher asks the supervisor for a sign of life; nothing else may wake either of them.
WAKE_UPS_PER_SECOND = 0.5
UNPACK_SPEED = 1 / 1.4
UNPACK_KIB = 10 * 1024


class Bench:
    """What all measurements share: the folder, the programs, the samples."""

    def __init__(self, build, folder, names, quiet_seconds):
        self.folder = folder
        self.environ = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": folder,
                        "LC_ALL": "C.UTF-8", "HSUP_RUNTIME_DIR": os.path.join(folder, "run")}
        self.programs = {name: os.path.join(build, name) for name in ("hsup", "hsup-slug")}
        self.programs["measure"] = os.path.join(build, "bench/measure")
        self.programs["writer"] = os.path.join(build, "bench/writer")
        self.systems = []
        self.missing = []
        for name in names:
            program = systems.ALL[name].find(build)
            if program:
                self.programs[name] = program
                self.systems.append(systems.ALL[name])
            else:
                self.missing.append(name)
        # A copy: the path is short and has no blank, so it can be an interpreter.
        self.child = os.path.join(folder, "child")
        shutil.copy(os.path.join(build, "bench/child"), self.child)
        os.chmod(folder, 0o755)
        self.samples = {}
        self.measured = self.disturbed = 0
        self.quiet_seconds = quiet_seconds

    def wait_for_quiet(self):
        """Begins nothing while others use the machine, up to a limit."""
        end = time.monotonic() + self.quiet_seconds
        self.measured += 1
        while processes.busy_share(0.2) > BUSY_SHARE:
            if time.monotonic() > end:
                self.disturbed += 1
                return

    def add(self, measure, name, value):
        self.samples.setdefault(measure, {}).setdefault(name, []).append(value)

    def get(self, measure, name):
        return self.samples.get(measure, {}).get(name, [])

    def median(self, measure, name):
        values = self.get(measure, name)
        return statistics.median(values) if values else None

    def ratio(self, measure, name, base="floor", of=statistics.median):
        values, least = self.get(measure, name), self.get(measure, base)
        return of(values) / of(least) if values and least and of(least) else None


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def add_memory(bench, instance, measure):
    dirty, pss = processes.memory_kib(instance.own_pids())
    bench.add(f"private {measure}", instance.name, dirty)
    bench.add(f"pss {measure}", instance.name, pss)


def run_empty(bench, system):
    with system(bench, 0) as instance:
        instance.start()
        time.sleep(SETTLE_SECONDS)
        add_memory(bench, instance, 0)


def run_small(bench, system, n):
    with system(bench, n) as instance:
        bench.add(f"start {n}", system.name, instance.start())


def run_middle(bench, system, n):
    with system(bench, n) as instance:
        bench.add(f"start {n}", system.name, instance.start())
        time.sleep(SETTLE_SECONDS)
        pids = [pid for _, pid in instance.report.records()]
        step = max(1, n // REPLACED)
        for pid in pids[::step][:REPLACED]:
            bench.add("replace", system.name, instance.replace(pid))
            time.sleep(0.005)
        time.sleep(SETTLE_SECONDS)
        bench.add(f"stop {n}", system.name, instance.stop())


def run_large(bench, system, n):
    with system(bench, n) as instance:
        bench.add(f"start {n}", system.name, instance.start())
        time.sleep(SETTLE_SECONDS)
        add_memory(bench, instance, n)


def run_rounds(bench, rounds, sizes):
    small, middle, large = sizes
    steps = (
        (run_empty, ()),
        (run_small, (small,)),
        (run_middle, (middle,)),
        (run_large, (large,)),
    )
    for number in range(rounds):
        order = bench.systems[number % len(bench.systems):] + \
            bench.systems[:number % len(bench.systems)]
        for step, arguments in steps:
            for system in order:
                progress(f"round {number + 1} of {rounds}: {system.name} "
                         f"{arguments[0] if arguments else 0}")
                bench.wait_for_quiet()
                step(bench, system, *arguments)


def run_idle(bench, n, seconds, trace):
    """Wake-ups of each system; what hsup's are, from strace, when it is wanted."""
    table = None
    for system in bench.systems:
        progress(f"idle for {seconds} s: {system.name} {n}")
        with system(bench, n) as instance:
            instance.start()
            time.sleep(IDLE_SETTLE_SECONDS)
            pids = instance.own_pids()
            before = processes.wake_ups(pids)
            time.sleep(seconds)
            after = processes.wake_ups(instance.own_pids())
            count = sum(value - before.get(thread, 0) for thread, value in after.items())
            bench.add("wake-ups", system.name, count)
            if trace and system is systems.Hsup and shutil.which("strace"):
                table = run_strace(bench, instance, pids, seconds)
    return table


def run_strace(bench, instance, pids, seconds):
    progress(f"strace for {seconds} s: {instance.name}")
    out = instance.path("strace")
    argv = [shutil.which("strace"), "-c", "-f", "-o", out]
    for pid in pids:
        argv += ["-p", str(pid)]
    tracer = processes.start(argv, bench.environ, instance.path("strace.log"))
    time.sleep(seconds)
    os.kill(tracer, signal.SIGINT)
    os.waitpid(tracer, 0)
    with open(out, encoding="utf-8") as file:
        return file.read().rstrip()


def run_slug(bench, rounds, packages):
    progress("making a slug")
    race = slug.Race(bench, packages)
    try:
        for number in range(rounds):
            for name in ("tar", "hsup") if number % 2 else ("hsup", "tar"):
                progress(f"unpack {number + 1} of {rounds}: {name}")
                bench.wait_for_quiet()
                ns, peak = race.run(name)
                bench.add("unpack", name, ns)
                bench.add("unpack peak", name, peak)
    finally:
        race.close()
    return race


# The report


def show_value(value, unit):
    if unit == "ns":
        return f"{value / 1e6:.2f} ms" if value < 1e9 else f"{value / 1e9:.2f} s"
    if unit == "KiB":
        return f"{value / 1024:.2f} MiB" if value >= 1024 else f"{value:.1f} KiB"
    return f"{value:g}"


def show_cell(bench, measure, unit, name, base):
    values = bench.get(measure, name)
    if not values:
        return "-"
    text = show_value(statistics.median(values), unit)
    if len(values) > 1 and unit == "ns":
        text += f" (min {show_value(min(values), unit)})"
    ratio = bench.ratio(measure, name, base) if base and name != base else None
    return f"{text} = {ratio:.2f}" if ratio else text


def print_rows(header, rows):
    widths = [max(len(row[at]) for row in [header, *rows]) for at in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def add_per_dyno(bench, sizes):
    """What follows from the samples: the cost of one dyno."""
    large = sizes[2]
    for system in bench.systems:
        for kind in ("private", "pss"):
            none = bench.median(f"{kind} 0", system.name)
            full = bench.median(f"{kind} {large}", system.name)
            if none is not None and full is not None:
                bench.add(f"{kind} per dyno", system.name, (full - none) / large)
        for n in sizes:
            for value in bench.get(f"start {n}", system.name):
                bench.add(f"per dyno, {n}", system.name, value / n)


def print_table(bench, sizes, seconds):
    names = [system.name for system in bench.systems]
    small, middle, large = sizes
    measures = [(f"start {n}", f"start {n}", "ns", "floor") for n in sizes]
    measures += [(f"  per dyno, of {n}", f"per dyno, {n}", "ns", None) for n in sizes]
    measures += [
        ("replace one, kill -9", "replace", "ns", "floor"),
        (f"stop {middle}", f"stop {middle}", "ns", "floor"),
        ("private, no dyno", "private 0", "KiB", None),
        ("PSS, no dyno", "pss 0", "KiB", None),
        (f"private, {large}", f"private {large}", "KiB", None),
        (f"PSS, {large}", f"pss {large}", "KiB", None),
        ("private per dyno", "private per dyno", "KiB", None),
        (f"wake-ups in {seconds} s, {middle} idle", "wake-ups", "", None),
    ]
    rows = [[title, *(show_cell(bench, measure, unit, name, base) for name in names)]
            for title, measure, unit, base in measures if measure in bench.samples]
    if rows:
        print(f"\nMedian (least) = ratio of the medians to the floor's; sizes {small}, {middle}, "
              f"{large}.\n")
        print_rows(["", *names], rows)
        print("\nThe time of a start is counted:")
        for system in bench.systems:
            print(f"  {system.name}: from {system.origin}")
        if {"runit", "s6"} & set(names):
            print("runit and s6 run without loggers: they leave the output where it goes. "
                  "supervisord reads it and throws it away.")
        print("Memory is that of every process but the dynos. hsup keeps no log ring: what was not "
              "written yet stays in the pipe.")
    for name in bench.missing:
        print(f"{name}: not installed, not measured")


def print_slug(bench, race):
    print(f"\nUnpacking {race.files} files, {race.packed / 1e6:.0f} MB packed, "
          f"{race.unpacked / 1e6:.0f} MB unpacked, on tmpfs:\n")
    print_rows(["", "tar xzf", "hsup-slug"], [
        ["time", *(show_cell(bench, "unpack", "ns", name, "tar") for name in ("tar", "hsup"))],
        ["peak of a process", *(show_cell(bench, "unpack peak", "KiB", name, None)
                                for name in ("tar", "hsup"))],
    ])


def limits(bench, sizes, seconds):
    """(what, value, limit, ratio of the least values or None) of all that was measured."""
    middle, large = sizes[1:]
    found = []

    def add_ratio(what, measure, limit, base="floor"):
        found.append((what, bench.ratio(measure, "hsup", base), limit,
                      bench.ratio(measure, "hsup", base, of=min)))

    def add_value(what, value, limit):
        found.append((what, value, limit, None))

    add_ratio(f"start {middle}, to the floor's", f"start {middle}", START_MIDDLE)
    add_ratio(f"start {large}, to the floor's", f"start {large}", START_LARGE)
    last = bench.median(f"per dyno, {large}", "hsup")
    for n in sizes[:2]:
        first = bench.median(f"per dyno, {n}", "hsup")
        add_value(f"cost per dyno, {large} to {n}", last / first if first and last else None,
                  FLATNESS)
    add_ratio("replace one, to the floor's", "replace", REPLACE)
    add_ratio(f"stop {middle}, to the floor's", f"stop {middle}", STOP)
    add_value("private memory without dynos, KiB", bench.median("private 0", "hsup"), PRIVATE_KIB)
    add_value("PSS without dynos, KiB", bench.median("pss 0", "hsup"), PSS_KIB)
    add_value("private memory per dyno, KiB", bench.median("private per dyno", "hsup"),
              PER_DYNO_KIB)
    wakes = bench.median("wake-ups", "hsup")
    add_value("wake-ups per second, idle", None if wakes is None else wakes / seconds,
              WAKE_UPS_PER_SECOND)
    add_ratio("unpack, to tar's time", "unpack", UNPACK_SPEED, "tar")
    add_value("unpack, peak KiB", bench.median("unpack peak", "hsup"), UNPACK_KIB)
    return [limit for limit in found if limit[1] is not None]


def print_limits(found):
    """Returns how many are broken."""
    rows = []
    for what, value, limit, least in found:
        rows.append(["ok" if value <= limit else "BROKEN", what, f"{value:.2f}", f"{limit:.2f}",
                     "" if least is None else f"{least:.2f}"])
    print("\nLimits of hsup:\n")
    print_rows(["", "", "is", "at most", "ratio of the least"], rows)
    return sum(row[0] != "ok" for row in rows)


# The program


def raise_files(sizes):
    """Every system's soft limit is our hard one: some keep three descriptors for each dyno."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = 4 * max(sizes) + 100
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise Failed(f"the limit of open files is {hard}; {needed} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def parse(argv):
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true",
                        help="only hsup and the floor; exit 1 when a limit is broken")
    parser.add_argument("--rounds", type=int, default=5, help="of every measure (5)")
    parser.add_argument("--systems", default=",".join(systems.ALL),
                        help="of " + ",".join(systems.ALL) + " (all)")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {','.join(PARTS)} (all of these), "
                        f"{','.join(MORE_PARTS)}")
    parser.add_argument("--sizes", default="10,100,1000",
                        help="three numbers of dynos (10,100,1000)")
    parser.add_argument("--idle-seconds", type=int, default=20)
    parser.add_argument("--slug-packages", type=int, default=slug.PACKAGES,
                        help=f"size of the slug; {slug.PACKAGES} are 20,000 files, 200 MB packed")
    parser.add_argument("--log-bytes", type=int, default=10**9, help="that are logged in each measure (1e9)")
    parser.add_argument("--docker-log-bytes", type=int, default=10**8, help="of one container (1e8)")
    parser.add_argument("--hsup-log", choices=("stdout", "file"), default="stdout",
                        help="where hsup's lines go: its standard output, or files of the dynos (stdout)")
    parser.add_argument("--folder", default="/dev/shm", help="a tmpfs (/dev/shm)")
    parser.add_argument("--quiet-seconds", type=int, default=10,
                        help="how long each measurement waits for an idle machine (10)")
    parser.add_argument("--json", metavar="FILE", help="writes all samples")
    options = parser.parse_args(argv)
    options.sizes = [int(word) for word in options.sizes.split(",")]
    options.parts = options.parts.split(",")
    options.systems = ["floor", "hsup"] if options.check else options.systems.split(",")
    if len(options.sizes) != 3 or min(options.sizes) < 1 or options.rounds < 1:
        parser.error("--sizes are three numbers from 1, --rounds one from 1")
    if set(options.systems) - set(systems.ALL) or set(options.parts) - {*PARTS, *MORE_PARTS}:
        parser.error("unknown system or part")
    return options


def check_programs(build, options):
    names = ["bench/floor", "bench/child", "bench/measure", "bench/writer", "bench/flood", "bench/tally",
             "bench/ask", "bench/bare", "bench/engine", "bench/relay", "bench/boxer"]
    if "hsup" in options.systems and {"dynos", "idle", "keep", "logs", "api", "docker", "native"} & set(options.parts):
        names += ["hsup", "hsup-launcher", "hsup-slug", "hsup-box"]
    elif "slug" in options.parts:
        names += ["hsup-slug"]
    missing = [name for name in names if not os.access(os.path.join(build, name), os.X_OK)]
    if missing:
        raise Failed(f"not built in {build}: {', '.join(missing)}")
    # What was built a moment ago is not on the disk yet, and would count as private dirty memory.
    for name in names:
        with open(os.path.join(build, name), "rb") as file:
            os.fsync(file.fileno())


def measure(bench, options):
    """Returns how many limits are broken."""
    middle = options.sizes[1]
    trace = race = None
    if "dynos" in options.parts:
        run_rounds(bench, options.rounds, options.sizes)
        add_per_dyno(bench, options.sizes)
    if "idle" in options.parts:
        trace = run_idle(bench, middle, options.idle_seconds, not options.check)
    if "slug" in options.parts:
        race = run_slug(bench, options.rounds, options.slug_packages)
    if "keep" in options.parts:
        keep.run(bench, options.rounds, progress)
    bench.hsup_log = options.hsup_log
    if "logs" in options.parts:
        logs.run(bench, os.path.abspath(os.environ["HSUP_BUILD_DIR"]), options.rounds, options.log_bytes, progress)
    if "api" in options.parts:
        api.run(bench, os.path.abspath(os.environ["HSUP_BUILD_DIR"]), options.rounds, progress)
    measured_docker = "docker" in options.parts and not containers.usable()
    if measured_docker:
        containers.run(bench, os.path.abspath(os.environ["HSUP_BUILD_DIR"]), options.rounds,
                       options.docker_log_bytes, progress)
    measured_native = "native" in options.parts and not native.usable()
    if measured_native:
        native.run(bench, os.path.abspath(os.environ["HSUP_BUILD_DIR"]), options.rounds, progress)

    print_table(bench, options.sizes, options.idle_seconds)
    if race:
        print_slug(bench, race)
    if "logs" in options.parts:
        print("\nThe log path (ratios to supervisord's):\n")
        print_rows(*logs.table(bench))
    if "api" in options.parts:
        print("\nThe control API:\n")
        print_rows(*api.table(bench))
    if measured_docker:
        print("\nContainers (ratios to the docker command's):\n")
        print_rows(*containers.table(bench))
    elif "docker" in options.parts:
        print(containers.usable())
    if measured_native:
        print("\nNative dynos (ratios to hsup's):\n")
        print_rows(*native.table(bench))
        for name in bench.native_missing:
            print(f"{name}: not installed, not measured")
    elif "native" in options.parts:
        print(native.usable())
    if trace is not None:
        print(f"\nstrace -c -f of hsup and its launcher, {middle} idle dynos, "
              f"{options.idle_seconds} s:\n")
        print(trace or "no system call")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(bench.samples, file, indent=1)
    if bench.disturbed:
        print(f"\n{bench.disturbed} of {bench.measured} measurements began while others used more "
              f"than {BUSY_SHARE:.0%} of the machine.")
    found = limits(bench, options.sizes, options.idle_seconds)
    if "keep" in options.parts:
        found += keep.limits(bench)
    if "logs" in options.parts:
        found += logs.limits(bench)
    if "api" in options.parts:
        found += api.limits(bench)
    if measured_docker:
        found += containers.limits(bench)
    if measured_native:
        found += native.limits(bench)
    return print_limits(found) if found else 0


END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def leave(number, _frame):
    sys.exit(128 + number)


def main(argv):
    options = parse(argv)
    build = os.path.abspath(os.environ["HSUP_BUILD_DIR"])
    for number in END_SIGNALS:
        signal.signal(number, leave)
    folder = None
    try:
        check_programs(build, options)
        raise_files(options.sizes)
        processes.become_subreaper()
        folder = tempfile.mkdtemp(prefix="hsup-bench-", dir=options.folder)
        bench = Bench(build, folder, options.systems, options.quiet_seconds)
        broken = measure(bench, options)
    except (Failed, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    finally:
        # A second Ctrl-C must not stop the clearing up.
        for number in END_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        processes.kill_all()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if options.check and broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
