"""The native driver's boxes beside crun, runc, bubblewrap and `docker run`.

What is timed is `true` in a container, from the order until its end was told: by a client that
speaks to the launcher as the supervisor does (boxer.c), and from posix_spawn to wait4 for programs.
(That a box has ended is told when nothing of it runs any more; when the kernel has torn down its
namespaces, too, so that its init can be reaped, is shown beside it.)
crun and runc get the configuration that dockerd makes for such a container (capabilities, masked
paths, seccomp, a network namespace of its own that nobody configures); hsup's box gets a veth pair,
an address, a route, limits and seccomp. Taken in turn, with a gap before each, so that all begin on
an idle machine: only the ratios count. bubblewrap and unshare are shown for what the kernel's part
is; they do less.
"""
import ctypes
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import tarfile
import time

import processes
import starters
from processes import Failed

UNIFIED = "/sys/fs/cgroup/unified"
CLONE_NEWNS, MS_REC, MS_PRIVATE, MNT_DETACH = 0x20000, 0x4000, 0x40000, 2
MS_NOSUID, MS_NODEV = 2, 4

GAP = 0.03
SINGLES = 12  # in a round
OVERLAYS = 20  # likewise
MANY = 50
IDLE = 1000
UIDS = (20000, 24000)
SUBNET = "10.216.0.0/16"

# The limits (issue 6). What it says of milliseconds is of a machine on which `unshare chroot true` took 3.5 ms, and 1.8 ms
# where 50 ran at once: where it was measured, that is what decides.
START_P25_MS, UNSHARE_P25_MS = 3.5, 3.5
UNSHARE_PER_SECOND = 552
TO_CRUN, TO_RUNC, TO_DOCKER = 1 / 5, 1 / 8, 1 / 40
MANY_PER_SECOND = 250
PSS_KIB = 120
IDLE_START_S, IDLE_STOP_S = 8, 3
OVERLAY_P25_MS = 1
WARM_MS = 1


class Boxer:
    """A launcher whose supervisor is the bench's."""

    name = "hsup"

    def __init__(self, bench, build, folder):
        self.folder = folder / "boxes"
        self.locks = pathlib.Path(f"/run/hsup-bench-{os.getpid()}")  # in memory, as where they are by default
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.settings = [f"LIBCONTAINER_DYNO_UID_MIN={UIDS[0]}", f"LIBCONTAINER_DYNO_UID_MAX={UIDS[1]}",
                         f"LIBCONTAINER_DYNO_SUBNET={SUBNET}", f"HSUP_BOX_STATE={self.folder}/state",
                         f"HSUP_BOX_STACKS={self.folder}/stacks", f"HSUP_BOX_RUN={self.locks}",
                         "HSUP_BOX_SLUGS=/", "HSUP_BOX_BINDS=/"]
        self.build, self.environ, self.process, self.reaped = pathlib.Path(build), bench.environ, None, None

    def start(self, root):
        for name in ("state", "stacks"):
            (self.folder / name).mkdir()
        shutil.copytree(root, self.folder / "stacks/bench-1", symlinks=True)
        shutil.copy(self.build / "bench/first", self.folder / "stacks/bench-1/bin/first")
        subprocess.run([self.build / "hsup-box", "--setup", *self.settings], check=True)
        options = [word for setting in self.settings for word in ("--box-option", setting)]
        self.process = subprocess.Popen(
            [self.build / "hsup-launcher", "--watchdog", "0", "--box", self.build / "hsup-box", *options, "--",
             self.build / "bench/boxer", "bench-1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=self.environ, start_new_session=True)

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise Failed(f"boxer has ended at '{line}'")
        return answer.strip()

    def run(self):
        told, self.reaped = (int(word) for word in self.ask("one").split())
        return told

    def end(self):
        if self.process:
            self.process.stdin.close()  # the boxer ends, and with it the launcher
            self.process.wait(60)
            subprocess.run([self.build / "hsup-box", "--sweep", *self.settings], check=True)
        shutil.rmtree(self.locks, ignore_errors=True)


class Command:
    """A program that runs `true` in a container and ends with it."""

    def __init__(self, name, argv, cleanup=None):
        self.name, self.argv, self.cleanup, self.count = name, argv, cleanup, 0

    def command(self):
        self.count += 1
        return [str(word).replace("@", f"hsup-bench-{os.getpid()}-{self.count}") for word in self.argv]

    def run(self):
        argv = self.command()
        begun = time.monotonic_ns()
        pid = os.posix_spawn(argv[0], argv, os.environ, setsid=True)
        _, status, _ = os.wait4(pid, 0)
        took = time.monotonic_ns() - begun
        if status != 0:
            raise Failed(f"{' '.join(argv)}: status {status}")
        return took


def docker_config(engine, container):
    """What dockerd has told runc of it."""
    found = list(pathlib.Path(engine.folder, "exec").rglob(f"{container}*/config.json"))
    if not found:
        raise Failed("dockerd's config.json is not where it was")
    return json.loads(found[0].read_text())


def make_bundle(engine, root, folder):
    """The bundle of such a container, for the runtimes themselves: no hooks, no file of dockerd's."""
    environment = {**os.environ, "DOCKER_HOST": engine.host}
    run = ["docker", "run", "-d", "--network", "none", "--memory", "512m", "--pids-limit", "256", "--cpus", "1",
           starters.STACK, "sleep", "1000"]
    container = subprocess.run(run, env=environment, check=True, capture_output=True, text=True).stdout.strip()
    config = docker_config(engine, container)
    subprocess.run(["docker", "rm", "-f", container], env=environment, check=True, capture_output=True)
    config["root"] = {"path": str(root), "readonly": True}
    config["process"].update(terminal=False, args=["/bin/true"])
    config["process"].pop("oomScoreAdj", None)  # needs a capability that not every root has
    config["linux"].pop("cgroupsPath", None)
    config["mounts"] = [m for m in config["mounts"] if m["type"] != "bind" and m["type"] != "cgroup"]
    for namespace in config["linux"]["namespaces"]:
        namespace.pop("path", None)
    config.pop("hooks", None)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def hide_unified():
    """From us and whom we start until it is shown again: Debian's crun refuses a machine with both kinds of
    cgroups. Returns how to show it."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    if os.path.ismount(UNIFIED) and (libc.unshare(CLONE_NEWNS) != 0 or
                                     libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) != 0 or
                                     libc.umount2(UNIFIED.encode(), MNT_DETACH) != 0):
        raise Failed(f"{UNIFIED} cannot be hidden from crun: {os.strerror(ctypes.get_errno())}")

    def show():
        if libc.setns(before, CLONE_NEWNS) != 0:
            raise Failed(f"back to our own mounts: {os.strerror(ctypes.get_errno())}")
        os.close(before)
    return show


def peers(engine, root, folder):
    """(who is there, the names of who is not)."""
    bundle = make_bundle(engine, root, folder / "bundle")
    docker = Command("docker", [shutil.which("docker"), "-H", engine.host, "run", "--rm", "--network", "none",
                                starters.STACK, "true"])
    wanted = {
        "crun": ["--root", folder / "crun", "--cgroup-manager", "disabled", "run", "-b", bundle, "@"],
        "runc": ["--root", folder / "runc", "run", "-b", bundle, "@"],
        "bwrap": ["--unshare-all", "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "/bin/true"],
        "unshare": ["-fpmuin", "chroot", root, "/bin/true"],
    }
    there = [Command(name, [shutil.which(name), *argv]) for name, argv in wanted.items() if shutil.which(name)]
    return [docker, *there], [name for name in wanted if not shutil.which(name)]


def pss_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))


def run_round(bench, boxer, others, number, say):
    say(f"{SINGLES} of each, in turn")
    bench.wait_for_quiet()
    for _ in range(SINGLES):
        for who in [boxer, *others][number % 2:] + [boxer, *others][:number % 2]:
            time.sleep(GAP)
            bench.add("native true", who.name, who.run())
            if who is boxer:
                bench.add("native true, reaped", who.name, boxer.reaped)
    for _ in range(SINGLES):
        bench.add("native true, back to back", boxer.name, boxer.run())
    say("into boxes that are parked, and not")
    for _ in range(SINGLES):
        time.sleep(GAP)
        bench.add("native began", boxer.name, int(boxer.ask("began")))
        boxer.ask("park")
        bench.add("native began, warm", boxer.name, int(boxer.ask("warm")))
    say(f"{MANY} at once")
    bench.wait_for_quiet()
    bench.add(f"native {MANY}", boxer.name, int(boxer.ask(f"many {MANY}")))
    for who in others:
        if who.name != "docker":
            bench.add(f"native {MANY}", who.name, many_of(who))
    say(f"{IDLE} idle")
    bench.wait_for_quiet()
    bench.add("native idle, start", boxer.name, int(boxer.ask(f"hold {IDLE}")))
    time.sleep(1)
    inits = [int(word) for word in boxer.ask("pids").split()]
    bench.add("native init PSS", boxer.name, statistics.mean(pss_kib(pid) for pid in inits))
    bench.add("native idle, stop", boxer.name, int(boxer.ask("stop")))


def many_of(who):
    argvs = [who.command() for _ in range(MANY)]
    begun = time.monotonic_ns()
    pids = {os.posix_spawn(argv[0], argv, os.environ, setsid=True) for argv in argvs}
    while pids:
        pid, status = os.wait()
        if pid in pids and status != 0:
            raise Failed(f"{who.name}: status {status}")
        pids.discard(pid)
    return time.monotonic_ns() - begun


def overlays(bench, slug, folder):
    """What is left of the slug's work for a second dyno of a release: an overlay, as src/box/root_layer.c has it."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder.mkdir()
    (folder / "app").mkdir()
    bench.wait_for_quiet()
    for number in range(OVERLAYS):
        for name in ("upper", "work"):
            (folder / f"{name}{number}").mkdir()
        options = (f"lowerdir={slug},upperdir={folder}/upper{number},workdir={folder}/work{number},"
                   "redirect_dir=nofollow,metacopy=off,index=off,volatile")
        time.sleep(GAP)
        begun = time.monotonic_ns()
        r = libc.mount(b"overlay", bytes(folder / "app"), b"overlay", MS_NOSUID | MS_NODEV, options.encode())
        took = time.monotonic_ns() - begun
        if r != 0 or libc.umount2(bytes(folder / "app"), MNT_DETACH) != 0:
            raise Failed(f"overlay: {os.strerror(ctypes.get_errno())}")
        bench.add("native overlay", "hsup", took)
    shutil.rmtree(folder)


def usable():
    if os.geteuid() != 0:
        return "native: needs root, not measured"
    return None if shutil.which("dockerd") else "native: dockerd is not installed, not measured"


def run(bench, build, rounds, progress):
    folder = pathlib.Path(bench.folder, "native")
    folder.mkdir(mode=0o755)
    root = folder / "root"
    engine = starters.make_engine(bench)
    boxer = Boxer(bench, build, folder)
    show = None
    try:
        with tarfile.open(os.path.join(bench.folder, "stack.tar")) as archive:
            archive.extractall(root)
        boxer.start(root)
        show = hide_unified()
        others, bench.native_missing = peers(engine, root, folder)
        for number in range(rounds):
            overlays(bench, root, folder / "overlays")
            run_round(bench, boxer, others, number,
                      lambda text, number=number: progress(f"native, round {number + 1} of {rounds}: {text}"))
    finally:
        if show:
            show()
        boxer.end()
        engine.end()


def p25(values):
    return sorted(values)[len(values) // 4]


NAMES = ("hsup", "crun", "runc", "docker", "bwrap", "unshare")


def table(bench):
    """(header, rows)."""
    rows = []
    for title, measure in (("true, from idle: p25", "native true"), ("  median", "native true"),
                           ("  until the reap: p25", "native true, reaped"),
                           ("  back to back: p25", "native true, back to back"),
                           ("until its program runs: p25", "native began"), ("  median", "native began"),
                           ("  in a parked box: p25", "native began, warm"), ("  median", "native began, warm"),
                           (f"{MANY} at once", f"native {MANY}"), (f"{IDLE} that live: start", "native idle, start"),
                           ("  stop", "native idle, stop")):
        of = p25 if "p25" in title else statistics.median
        cells = []
        for name in NAMES:
            values, least = bench.get(measure, name), bench.get(measure, "hsup")
            ratio = f" = {of(values) / of(least):.1f}" if values and least and name != "hsup" else ""
            cells.append(f"{of(values) / 1e6:.2f} ms{ratio}" if values else "-")
        rows.append([title, *cells])
    mounts = bench.get("native overlay", "hsup")
    rows.append(["slug of a second dyno: p25", f"{p25(mounts) / 1e6:.2f} ms" if mounts else "-",
                 *["-"] * (len(NAMES) - 1)])
    pss = bench.get("native init PSS", "hsup")
    rows.append(["PSS of an init", f"{statistics.median(pss):.0f} KiB" if pss else "-", *["-"] * (len(NAMES) - 1)])
    return ["", *NAMES], rows


def limits(bench):
    """As in bench.py: (what, value, limit, ratio or value of the least)."""
    ours, many = bench.get("native true", "hsup"), bench.get(f"native {MANY}", "hsup")
    many_of_unshare, found = bench.get(f"native {MANY}", "unshare"), []
    if many_of_unshare:
        found.append((f"native, {MANY} at once: to unshare's", statistics.median(many) / statistics.median(many_of_unshare),
                      UNSHARE_PER_SECOND / MANY_PER_SECOND, min(many) / min(many_of_unshare)))
    else:
        found += [("native, true: p25, ms", p25(ours) / 1e6, START_P25_MS, min(ours) / 1e6),
                  (f"native, {MANY} at once: ms of each", statistics.median(many) / 1e6 / MANY, 1000 / MANY_PER_SECOND,
                   min(many) / 1e6 / MANY)]
    for name, limit in (("unshare", START_P25_MS / UNSHARE_P25_MS), ("crun", TO_CRUN), ("runc", TO_RUNC), ("docker", TO_DOCKER)):
        values = bench.get("native true", name)
        if values:
            found.append((f"native, true: p25, to {name}'s", p25(ours) / p25(values), limit, min(ours) / min(values)))
    warm = bench.get("native began, warm", "hsup")
    found += [
        ("native, in a parked box: p25, ms", p25(warm) / 1e6, WARM_MS, min(warm) / 1e6),
        ("native, slug of a second dyno: overlay, p25, ms", p25(bench.get("native overlay", "hsup")) / 1e6,
         OVERLAY_P25_MS, min(bench.get("native overlay", "hsup")) / 1e6),
        ("native, PSS of an init, KiB", statistics.median(bench.get("native init PSS", "hsup")), PSS_KIB, None),
        (f"native, {IDLE}: start, s", statistics.median(bench.get("native idle, start", "hsup")) / 1e9, IDLE_START_S,
         None),
        (f"native, {IDLE}: stop, s", statistics.median(bench.get("native idle, stop", "hsup")) / 1e9, IDLE_STOP_S,
         None),
    ]
    return found
