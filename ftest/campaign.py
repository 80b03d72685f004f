#!/usr/bin/python3 -B
"""The campaign: 100 dynos write numbered lines while everything around them is killed.

Each round submits something (or nothing), then hurts something, at moments chosen by the seed; then
all must be as the release in force says, with every line there once and no dyno touched that nothing
should have touched. Then the launcher and the supervisor are killed together, again and again: no line
is lost by that either, and what was just then on its way may come twice (campaign_lines.Again). The
choices come from the seed; what the machine makes of them in time does not.

It runs as root in a mount namespace of its own, with the control directory and the state on a small
tmpfs, so that the disk can be filled. Called by ftest/soak and by test_campaign.py.
"""
import argparse
import collections
import ctypes
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid

from campaign_formation import COUNTED, STEADY, Formation
from campaign_lines import Ledger, Reader, alive, start_time
from campaign_slugs import SlugServer
from hsup import PATIENCE, children_of, marked_processes

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ("hsup", "hsup-launcher", "hsup-slug")
SETTLE = 3 * PATIENCE  # the longest back-off of the supervisor is 30 s
DISK = "64m"  # the rings of `hsup logs` take some 20 of it
WHY = ("ended before", "ended meanwhile")  # a kill of launcher and supervisor
PR_SET_CHILD_SUBREAPER = 36


class Broken(Exception):
    """Something is not as it must be."""


def parse(argv):
    parser = argparse.ArgumentParser(prog="ftest/soak", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=300, help="(300)")
    parser.add_argument("--launcher-kills", type=int, default=20,
                        help="kills of launcher and supervisor together, after the rounds (20)")
    parser.add_argument("--only", metavar="FAULT[,FAULT]", help="hurt by these means only")
    parser.add_argument("--ops", metavar="OP[,OP]", help="submit these things only")
    parser.add_argument("--without", metavar="FEATURE[,FEATURE]", default="",
                        help="of hup, upgrade, command, table (not built yet; else their lack is a failure) and "
                             "rest (whether what has ended for good may start again)")
    parser.add_argument("--direct", action="store_true",
                        help="call hsup-launcher with a table of children, not `hsup start`")
    parser.add_argument("--keep-going", action="store_true", help="count repeated lines, fail late")
    parser.add_argument("--log", metavar="FILE", help="what hsup says of itself is kept there")
    parser.add_argument("--verbose", action="store_true", help="say each step")
    return parser.parse_args(argv)


class Campaign:
    def __init__(self, options, build, folder):
        self.options = options
        self.random = random.Random(options.seed)
        self.without = options.without.split(",")
        self.folder = folder
        self.bin = folder / "bin"
        self.disk = folder / "disk"
        self.control = self.disk / "control"
        self.lives = folder / "lives"
        self.mark = os.environ.get("HSUP_CAMPAIGN_MARK") or uuid.uuid4().hex
        self.build = build
        self.env = dict(os.environ, HSUP_TEST_MARK=self.mark, HSUP_STATE_DIR=str(self.disk / "state"),
                        HSUP_RUNTIME_DIR=str(self.disk / "run"))
        self.env.pop("HSUP_CONTROL_DIR", None)
        self.begun = time.monotonic()
        self.history = collections.deque(maxlen=60)
        self.counts = collections.Counter()
        self.ended = {}  # pid -> wait status
        self.launcher = 0
        self.round = "start"
        self.prepare()

    # -- the world --

    def prepare(self):
        for path in (self.bin, self.disk, self.lives):
            path.mkdir()
        if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise Broken("prctl")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "none", self.disk], check=True)
        for path in (self.control, self.disk / "state", self.disk / "run"):
            path.mkdir()
        self.dyno = self.folder / "writer"
        subprocess.run(["cc", "-O1", "-static", "-o", self.dyno, ROOT / "bench/writer.c"], check=True)
        self.install()
        helps = [subprocess.run([self.bin / "hsup-launcher", "--help"], text=True, capture_output=True).stdout,
                 subprocess.run([self.bin / "hsup", "--help"], text=True, capture_output=True).stdout]
        self.has = {"hup": "--hup-stops" in helps[0], "table": "--table" in helps[0],
                    "upgrade": "--table" in helps[0], "command": " upgrade" in helps[1]}
        read, self.write = os.pipe()
        self.reader = Reader(read)
        self.ledger = Ledger(self.lives, self.reader, lambda: self.round, self.options.log)
        self.log = os.open(self.folder / "errors", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        self.slugs = SlugServer()
        self.formation = Formation(self.dyno, self.lives, self.mark)
        self.force = self.formation.document()  # what should run
        self.submitted = None
        self.allowed = collections.Counter()  # (name, generation) -> lives it may have had
        self.found = collections.defaultdict(set)  # (name, generation) -> its lives
        self.orphans = set()  # lives of `done` whose launcher was killed
        self.where = {}  # name -> (generation, life), when last all was well
        self.doomed = []  # accounts of dynos that were told to end
        self.excused = set()  # names that may have another life when all is well again
        self.cut_off = {}  # lives whose end nobody saw -> what is said of them
        self.found_before = 0

    def install(self):
        """The programs, as files that were not there before."""
        for name in PROGRAMS:
            shutil.copy(self.build / name, self.bin / f".{name}")
            os.rename(self.bin / f".{name}", self.bin / name)

    def start(self):
        watchdog = 1 if PATIENCE <= 20 else 4
        argv = [str(self.bin / "hsup"), "start", "-C", str(self.control), "--watchdog", str(watchdog)]
        if self.options.direct:
            argv = [str(self.bin / "hsup-launcher"), f"--watchdog={watchdog}", "--table",
                    str(self.disk / "run/table"), "--", *argv]
        self.launcher = os.posix_spawn(argv[0], argv, self.env, setsid=True, setsigmask=[],
                                       setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
                                       file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                                                     (os.POSIX_SPAWN_DUP2, self.write, 1),
                                                     (os.POSIX_SPAWN_DUP2, self.log, 2)])
        self.counts["launchers started"] += 1
        self.wait(lambda: exe(self.launcher) == str(self.bin / "hsup-launcher"), "the launcher")
        command = pathlib.Path(f"/proc/{self.launcher}/cmdline")
        # (Empty for a moment, within execve.)
        self.wait(lambda: command.read_text(encoding="utf-8"), "its command line")
        self.has["table"] = "--table" in command.read_text(encoding="utf-8")
        self.launcher_start = start_time(self.launcher)

    def say(self, text):
        line = f"{time.strftime('%T')} {time.monotonic() - self.begun:8.3f} {self.round}: {text}"
        self.history.append(line)
        if self.ledger.log:
            print(f"# {line}", file=self.ledger.log, flush=True)
        if self.options.verbose:
            print(line, flush=True)

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.ended[pid] = status

    def sleep(self, seconds):
        end = time.monotonic() + seconds
        while True:
            self.reap()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, 0.01))

    def wait(self, condition, what, patience=SETTLE, step=0.01):
        end = time.monotonic() + patience
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise Broken(f"waited {patience:.0f} s in vain for {what() if callable(what) else what}")
            self.sleep(step)

    def errors(self):
        return pathlib.Path(self.folder / "errors").read_text(errors="replace")

    def supervisor(self):
        """The pid of the supervisor, 0 when there is none."""
        for pid in children_of(self.launcher):
            if exe(pid).startswith(str(self.bin / "hsup")) and "launcher" not in exe(pid):
                return pid
        return 0

    def wait_supervisor(self):
        return self.wait(self.supervisor, "a supervisor")

    def may_kill(self):
        """The supervisor is started again soon: its back-off doubles with each kill."""
        last = re.findall(r"starting it again in (\d+\.\d) s", self.errors())
        since = time.monotonic() - self.last_kill
        return not last or float(last[-1]) < 0.8 or since > 12

    last_kill = 0.0

    def lost_supervisor(self):
        """A new supervisor must come, and find what runs."""
        self.found_before = self.ledger.n_notes
        self.counts["supervisors lost"] += 1

    # -- what is done to it: name -> weight --

    def hurt_nothing(self):
        pass

    def hurt_kill(self):
        pid = self.wait_supervisor()
        self.last_kill = time.monotonic()
        self.ledger.take()
        self.lost_supervisor()
        os.kill(pid, signal.SIGKILL)
        self.wait(lambda: start_time(pid) is None, "the supervisor's end")

    def hurt_kill_twice(self):
        self.hurt_kill()
        pid = self.wait_supervisor()
        self.sleep(self.random.expovariate(1 / 0.05))
        self.say(f"and the next one, {pid}")
        if start_time(pid):
            self.hurt_kill()

    def hurt_hang(self):
        pid = self.wait_supervisor()
        self.last_kill = time.monotonic()
        self.ledger.take()
        self.lost_supervisor()
        os.kill(pid, signal.SIGSTOP)
        self.wait(lambda: start_time(pid) is None, "the watchdog to act")

    def hurt_hup(self):
        pid = self.wait_supervisor()
        self.wait_in_control()
        self.ledger.take()
        self.lost_supervisor()
        os.kill(self.launcher, signal.SIGHUP)
        self.wait(lambda: start_time(pid) is None, "the supervisor to leave for a restart")

    def hurt_upgrade(self):
        self.wait_in_control()
        self.install()
        self.ledger.take()
        old = self.wait_supervisor()
        self.lost_supervisor()
        if not self.has["command"] or self.random.random() < 0.5:
            os.kill(self.launcher, signal.SIGUSR2)
        else:
            argv = [str(self.bin / "hsup"), "upgrade", "-C", str(self.control)]
            pid = os.posix_spawn(argv[0], argv, self.env, file_actions=[
                (os.POSIX_SPAWN_DUP2, self.log, 1), (os.POSIX_SPAWN_DUP2, self.log, 2)])
            self.wait(lambda: pid in self.ended, "hsup upgrade to end")
            if self.ended[pid] != 0:
                raise Broken(f"hsup upgrade ended with wait status {self.ended[pid]:#x}")
        new = os.stat(self.bin / "hsup-launcher").st_ino
        self.wait(lambda: inode(self.launcher) == new, "the new launcher in the old one's place")
        self.wait(lambda: start_time(old) is None, "the old supervisor to leave")
        new = os.stat(self.bin / "hsup").st_ino
        self.wait(lambda: inode(self.supervisor()) == new, "the new supervisor")

    def hurt_stall(self):
        """Nobody reads what hsup writes, for a while; killed meanwhile, or not."""
        self.reader.go.clear()
        self.sleep(self.random.uniform(0.2, 1))
        if self.random.random() < 0.5 and self.may_kill():
            self.hurt_kill()
            self.sleep(self.random.uniform(0, 0.3))
        self.reader.go.set()

    def hurt_slug(self):
        """Of any worker that is at work now."""
        end = time.monotonic() + 1
        while time.monotonic() < end:
            workers = [p for p in marked_processes(self.mark) if "hsup-slug" in exe(p)]
            if workers:
                os.kill(workers[0], signal.SIGKILL)
                self.uncertain = True
                self.counts["slug workers killed"] += 1
                return
            self.sleep(0.005)
        self.say("no slug worker was there")

    HURTS = {"kill": 30, "kill_twice": 8, "hang": 10, "hup": 14, "upgrade": 14, "stall": 8, "slug": 4,
             "nothing": 12}

    # -- what is submitted: name -> weight. Each leaves self.force as what should run in the end --

    def submit(self, document, fits=True):
        text = json.dumps(document).encode()
        beside = self.control / f".submit-{document['Version']}"
        beside.write_bytes(text)
        if self.full:
            self.fill()
        beside.rename(self.control / "new")
        self.submitted = text
        self.fits = fits
        self.counts["submissions"] += 1

    def op_nothing(self):
        self.submitted = None

    def op_same(self):
        self.formation.version += 1
        self.submit(self.formation.document())

    def op_scale(self):
        self.formation.scale(self.random)
        self.submit(self.formation.document())

    def op_change(self):
        self.formation.change(self.random)
        if self.random.random() < 0.4:
            self.formation.scale(self.random)
        self.submit(self.formation.document())

    def op_twice(self):
        self.op_change()
        self.allow(self.force, self.formation.document())
        self.between = self.formation.document()
        self.sleep(self.random.expovariate(1 / 0.1))
        self.op_change()

    def op_bad(self):
        document = self.formation.document()
        document["Version"] = self.formation.next_version()
        document["Processes"][0]["Quantiy"] = 1
        self.submit(document, fits=False)

    def op_never_ready(self):
        """Some of its types would come up; one never does."""
        before = self.formation.copy()
        self.formation.change(self.random)
        document = self.formation.document()
        late = self.random.choice([p for p in document["Processes"] if p["Type"] in STEADY])
        if self.random.random() < 0.5:
            late["Env"]["FAIL_AT_START"] = "1"
            late["StartRetries"] = 1
        else:
            late["StartSeconds"] = late["StartTimeout"] = 60
        late["Env"]["GENERATION"] = str(self.formation.next_generation())
        document["Rollout"] = {"Timeout": 2}
        self.allow(self.force, document)
        self.allow(document, self.force)
        self.formation = before.after(self.formation)
        self.submit(document, fits=False)

    def op_slug_fails(self):
        document = self.formation.document()
        document["Version"] = self.formation.next_version()
        document["Slug"] = self.slugs.offer(self.random.uniform(0.3, 1.5))
        document["SlugChecksum"] = "SHA256:" + "0" * 64
        self.submit(document, fits=False)

    def op_slug(self):
        """Replaces every dyno."""
        slug = None if self.formation.slug else self.slugs.offer(self.random.uniform(0.3, 1.5))
        self.formation.set_slug(slug)
        self.submit(self.formation.document())

    def op_full_disk(self):
        self.full = self.uncertain = True
        if self.random.random() < 0.3:
            self.submitted = None
            self.fill()
        else:
            self.formation.scale(self.random)
            self.formation.change(self.random)
            self.submit(self.formation.document())

    def op_crash(self):
        """Some end, by order or by signal, and must be started again."""
        self.submitted = None
        live = [(p, a) for p, a in self.ledger.accounts().items() if alive(a) and a.name.split(".")[0] in STEADY]
        for path, a in self.random.sample(live, min(len(live), self.random.randint(1, 8))):
            self.excused.add(a.name)
            self.allowed[a.name, a.generation] += 1
            how = self.random.choice([0, 1, 7, 256 + signal.SIGABRT, 256 + signal.SIGSEGV, 256 + signal.SIGKILL])
            self.say(f"{a.name} {a.life} is to end: {how}")
            self.ledger.order_end(path, how)
            self.doomed.append(a)
            self.counts["dynos ended by order"] += 1

    OPS = {"nothing": 16, "scale": 16, "change": 20, "twice": 6, "bad": 5, "never_ready": 7, "slug_fails": 7,
           "slug": 3, "full_disk": 10, "crash": 12, "same": 2}

    full = uncertain = False
    between = None

    def fill(self):
        with open(self.disk / "filler", "ab", buffering=0) as filler:
            for size in (65536, 4096, 1):
                try:
                    while filler.write(b"x" * size) == size:
                        pass
                except OSError:
                    pass

    def empty(self):
        self.full = False
        (self.disk / "filler").unlink(missing_ok=True)

    # -- what must be --

    def allow(self, old, new):
        """From old to new: who is started once more, and who may be another one then."""
        before, after = Formation.names(old), Formation.names(new)
        for name, generation in after.items():
            if before.get(name) != generation:
                self.allowed[name, generation] += 1
                self.excused.add(name)

    def wait_in_control(self):
        def found():
            self.ledger.take()
            return any(n > self.found_before and re.match(r"found \d+ dynos running", text)
                       for n, _, text in reversed(self.ledger.notes))
        if self.found_before:
            self.wait(found, "a supervisor that found the dynos")

    def outcome(self):
        """What became of the submission: the document in force, or None while that is open."""
        if (self.control / "new").exists():
            return None
        loaded = read(self.control / "loaded")
        if not self.submitted:
            return loaded
        if loaded == self.submitted:
            return loaded if self.fits else None
        refused = read(self.control / "rejected") == self.submitted
        return loaded if refused and (not self.fits or self.uncertain) else None

    def settle(self):
        self.wait_in_control()
        why = ["an answer to the submission"]

        def calm():
            self.reap()
            text = self.outcome()
            if text is None:
                why[0] = f"an answer to the submission (fits: {self.fits}); {self.directory()}"
                return False
            document = json.loads(text)
            why[0] = self.differs(document)
            return None if why[0] else document
        document = self.wait(calm, lambda: why[0], step=0.03)
        self.note_lives(document)
        self.drain()
        self.force = document
        self.submitted = self.between = None
        self.uncertain = False
        self.excused.clear()
        self.cut_off.clear()
        if self.ledger.faults:
            raise Broken("\n".join(self.ledger.faults))
        if self.ledger.repeats and not self.options.keep_going:
            raise Broken("lines came twice:\n" + "\n".join(map(str, self.ledger.repeated[:20])))

    def directory(self):
        versions = {}
        for name in ("new", "loaded", "rejected"):
            try:
                versions[name] = json.loads(read(self.control / name) or b"{}").get("Version")
            except ValueError:
                versions[name] = "damaged"
        return f"{versions}, last_error: {(read(self.control / 'last_error') or b'').decode()!r}"

    def differs(self, document):
        """What is not as the document says; None when all is."""
        wanted = Formation.names(document)
        live = collections.defaultdict(list)
        self.doomed = [a for a in self.doomed if alive(a)]
        if self.doomed:
            return f"{self.doomed[0].name} is to end and does not"
        for a in self.ledger.accounts().values():
            if alive(a):
                live[a.name].append((a.generation, a.life))
        for name in sorted(set(wanted) | set(live)):
            here = [generation for generation, _ in live.get(name, [])]
            steady = name.split(".")[0] in STEADY
            if name not in wanted or here != [wanted[name]] and (steady or here):
                return f"{name}: generations {here} run, {wanted.get(name)} is wanted"
        marked = set(marked_processes(self.mark)) - {self.launcher, self.supervisor(), os.getpid()}
        strays = marked - {life[0] for lives in live.values() for _, life in lives}
        strays = [p for p in strays if start_time(p)]
        if strays:
            return "processes nobody ordered: " + ", ".join(f"{p} {exe(p)}" for p in strays)
        self.live = {name: lives[0] for name, lives in live.items()}
        return None

    def note_lives(self, document):
        """Nobody started twice, nobody touched that nothing should have touched."""
        wanted = Formation.names(document)
        self.allow(self.force, document)
        if self.submitted and document != json.loads(self.submitted):
            failed = json.loads(self.submitted)
            if self.fits:  # it was refused for want of room, perhaps after it had begun
                self.allow(self.force, failed)
                self.allow(failed, self.force)
        if self.between:
            self.allow(self.between, document)
        accounts = self.ledger.accounts().values()
        for a in accounts:
            # How it ends, now or in a later round, nobody can know: perhaps it failed. Then it is run again.
            if a.start <= self.launcher_start and a.life not in self.orphans and a.name.startswith("done."):
                self.orphans.add(a.life)
                self.allowed[a.name, a.generation] += 1
        for a in accounts:
            if a.name.split(".")[0] not in (STEADY if "rest" in self.without else COUNTED):
                continue
            lives = self.found[a.name, a.generation]
            lives.add(a.life)
            if len(lives) > self.allowed[a.name, a.generation]:
                raise Broken(f"{a.name} of generation {a.generation} had {len(lives)} lives, not "
                             f"{self.allowed[a.name, a.generation]}: {sorted(lives)}")
        for name, now in self.live.items():
            before = self.where.get(name)
            if before and before != now and before[0] == now[0] and name not in self.excused and \
                    name.split(".")[0] in STEADY and wanted[name] == now[0]:
                raise Broken(f"{name} was {before}, is {now}, and nothing should have touched it")
        self.where = self.live

    def drain(self):
        """All that was written by now comes out; the accounts of those who ended are closed."""
        gone = {path: a for path, a in self.ledger.accounts().items() if not alive(a)}
        now = self.ledger.accounts()
        missing = []

        def complete():
            self.ledger.take()
            missing[:] = self.ledger.behind(now, self.cut_off)
            return not missing
        self.wait(complete, lambda: f"lines that were written: {missing[:10]}")
        for path in gone:
            self.ledger.close(path, now[path], self.cut_off)
        for a in now.values():
            self.ledger.check_writes(a)

    # -- the campaign --

    def choose(self, table, only):
        table = {k: v for k, v in table.items() if self.has.get(k, True) and (not only or k in only.split(","))}
        return self.random.choices(list(table), list(table.values()))[0]

    def one_round(self, number):
        self.round = f"round {number}"
        op, hurt = self.choose(self.OPS, self.options.ops), self.choose(self.HURTS, self.options.only)
        if hurt in ("kill", "kill_twice", "hang") and not self.may_kill():
            hurt = self.choose({"hup": 1, "upgrade": 1, "nothing": 1}, None)
        if op in ("slug", "slug_fails") and self.random.random() < 0.35:
            hurt = "slug"
        self.say(op)
        self.counts[f"submit: {op}"] += 1
        getattr(self, f"op_{op}")()
        self.sleep(self.random.choice([0, self.random.expovariate(1 / 0.03), self.random.expovariate(1 / 0.4)]))
        self.say(f"hurt: {hurt}")
        self.counts[f"hurt: {hurt}"] += 1
        getattr(self, f"hurt_{hurt}")()
        if self.full:
            self.sleep(self.random.uniform(0, 0.7))
            self.empty()
        self.settle()

    def kill_both(self, number):
        """Nobody is there for a while; the dynos write all the while, and some end."""
        self.round = f"outage {number}"
        supervisor = self.wait_supervisor()
        op = self.choose({"nothing": 5, "scale": 2, "change": 3, "crash": 2}, self.options.ops)
        self.say(f"{op}, then kill -9 of launcher and supervisor")
        getattr(self, f"op_{op}")()
        self.sleep(self.random.choice([0, self.random.uniform(0, 0.5)]))
        self.ledger.take()
        self.lost_supervisor()
        supervisor = self.supervisor() or supervisor
        both = [self.launcher, supervisor]
        self.random.shuffle(both)
        for pid in both:
            os.kill(pid, signal.SIGKILL)
        self.wait(lambda: not any(start_time(p) for p in both), "the end of both")
        before = {a.life: "ended before" for a in self.ledger.accounts().values() if not alive(a)}
        self.counts["launcher and supervisor killed"] += 1
        self.wait(self.reader.has_all, "what they wrote last")
        self.ledger.outage(self.ledger.accounts())
        self.sleep(self.random.uniform(0, 1))
        if self.random.random() < 0.6:
            submitted = self.submitted
            self.op_crash()
            self.submitted = submitted
            self.sleep(self.random.uniform(0, 0.3))
        self.start()
        self.wait_in_control()
        self.cut_off = {a.life: "ended meanwhile" for a in self.ledger.accounts().values() if not alive(a)}
        self.cut_off.update(before)
        self.settle()

    def run(self):
        self.start()
        self.round = "start"
        self.submit(self.force)
        self.allow({"Processes": []}, self.force)
        self.settle()
        for number in range(1, self.options.rounds + 1):
            self.one_round(number)
        if self.has["table"]:
            for number in range(1, self.options.launcher_kills + 1):
                self.kill_both(number)
        self.stop()
        left = [f for f, there in self.has.items() if not there and f not in self.without]
        if left:
            raise Broken(f"this build cannot: {', '.join(left)}; nothing of that was tried")
        if self.ledger.repeats:
            raise Broken(f"{self.ledger.repeats} lines came twice")

    def stop(self):
        self.round = "stop"
        self.say("TERM to the launcher")
        os.kill(self.launcher, signal.SIGTERM)
        self.wait(lambda: self.launcher in self.ended, "the launcher's end")
        if self.ended[self.launcher] != 0:
            raise Broken(f"the launcher ended with wait status {self.ended[self.launcher]:#x}")
        if [a for a in self.ledger.accounts().values() if alive(a)]:
            raise Broken("dynos run after an orderly stop")
        os.close(self.write)
        self.write = -1
        self.wait(lambda: not self.reader.thread.is_alive(), "the end of hsup's output")
        self.drain()
        if self.ledger.faults or self.ledger.rest:
            raise Broken("\n".join(self.ledger.faults) or f"an unfinished line: {self.ledger.rest!r}")

    def end(self):
        """Whatever is left is ended and removed."""
        self.reader.go.set()
        for _ in range(100):
            self.reap()
            left = [p for p in marked_processes(self.mark) if p != os.getpid()]
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not left:
                break
            time.sleep(0.02)
        self.slugs.close()
        subprocess.run(["umount", "--lazy", self.disk], check=False)

    def report(self):
        took = time.monotonic() - self.begun
        ledger = self.ledger
        print(f"\ncampaign: seed {self.options.seed}, {self.options.rounds} rounds, {took:.0f} s")
        for what, n in sorted(self.counts.items()):
            print(f"  {what:46} {n:8}")
        for what, n in (("lines", ledger.lines), ("lines that came twice", ledger.repeats),
                        ("launcher killed: lines on their way that came twice", ledger.lines_again),
                        ("lives that ended", ledger.lives), ("of them with a last line cut by their end", ledger.pieces),
                        *((f"launcher killed: lives that {why}", ledger.cut_off[why]) for why in WHY),
                        *((f"  lines in their pipes, lost ({why})", ledger.lost_in_pipes[why]) for why in WHY),
                        ("longest write of a dyno, ms", ledger.longest_ns // 1000000)):
            print(f"  {what:46} {n:8}")


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return None


def exe(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def inode(pid):
    try:
        return os.stat(f"/proc/{pid}/exe").st_ino
    except OSError:
        return 0


def show_failure(campaign):
    print(f"\n--- FAILED in {campaign.round} of seed {campaign.options.seed} ---")
    print("--- what was done ---", *campaign.history, sep="\n")
    notes = [f"{dyno}: {text}" for _, dyno, text in list(campaign.ledger.notes)[-150:]]
    print("--- what hsup said ---", *notes, sep="\n")
    print("--- lines that came twice ---", *campaign.ledger.repeated[:30], sep="\n")
    print("--- what the launcher said ---", *campaign.errors().splitlines()[-40:], sep="\n")


def main():
    options = parse(sys.argv[1:])
    if os.environ.get("HSUP_CAMPAIGN_INSIDE") != "1":
        os.environ["HSUP_CAMPAIGN_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, "-B", __file__,
                              *sys.argv[1:]])
    build = pathlib.Path(os.environ.get("HSUP_BUILD_DIR", ROOT / "build")).resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hsup-"))
    folder.chmod(0o755)
    campaign, code = None, 1
    try:
        campaign = Campaign(options, build, folder)
        campaign.run()
        code = 0
    except Exception as error:  # whatever it was, the history tells how it came to it
        if campaign:
            campaign.ledger.take()
            show_failure(campaign)
        print("\n---", error if isinstance(error, Broken) else traceback.format_exc())
    finally:
        if campaign:
            campaign.report()
            campaign.end()
        shutil.rmtree(folder, ignore_errors=True)
    print("campaign:", "FAILED" if code else "passed", flush=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
