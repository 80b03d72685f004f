"""What a test does with hsup: start it on a control directory, submit, watch, stop."""
import contextlib
import json
import os
import pathlib
import pwd
import re
import signal
import subprocess
import sys
import threading
import time
import uuid

PATIENCE = 20.0 * float(os.environ.get("HSUP_TEST_PATIENCE", "1"))
LINE = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00) (app|hsup)\[([^\]]+)\]: (.*)$")


def wait_until(condition, what, patience=PATIENCE):
    """Polls a condition of the outside world; returns its first true value."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"waited {patience:.0f} s in vain for {what}"
        time.sleep(0.01)


def marked_processes(mark):
    """Pids whose environment carries the mark: all that one App has started, and what those did."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            environ = pathlib.Path("/proc", entry, "environ").read_bytes()
            if f"HSUP_TEST_MARK={mark}".encode() not in environ.split(b"\0"):
                continue
            state = pathlib.Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            found.append(int(entry))
    return found


def holders(*pipes):
    """Pids of others that can write to one of these."""
    def key(status):
        return status.st_dev, status.st_ino
    wanted, found = {key(os.fstat(pipe.fileno())) for pipe in pipes}, []
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        held = set()
        with contextlib.suppress(OSError):  # it has ended meanwhile, or has closed one
            for fd in os.listdir(f"/proc/{pid}/fd"):
                held.add(key(os.stat(f"/proc/{pid}/fd/{fd}")))
        if held & wanted and pid != os.getpid():
            found.append(pid)
    return found


def children_of(pid):
    return [int(p) for p in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_reserve(pid):
    """A child of a launcher that is to be the next box, and nobody's yet."""
    try:
        return pathlib.Path(f"/proc/{pid}/environ").read_bytes().startswith(b"HSUP_RESERVE=")
    except OSError:
        return False


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


# A second pass over the tests, as root: "nobody" makes every app's supervisor, and its dynos, nobody's.
TEST_USER = os.environ.get("HSUP_TEST_USER")


class App:
    """One control directory with its own state directory. With a user (name), the supervisor runs as
    that one, and dynos too unless dyno_user says otherwise."""

    def __init__(self, build, folder, control=None, user=TEST_USER, dyno_user=None, env=None):
        self.build = pathlib.Path(build)
        self.program = self.build / "hsup"  # what the supervisor is to be seen as
        self.folder = pathlib.Path(folder)
        self.control = pathlib.Path(control) if control else self.folder / "control"
        self.mark = uuid.uuid4().hex
        self.user = user
        self.users = ["--user", user, "--dyno-user", dyno_user or user] if user else []
        self.env = dict(os.environ, HSUP_TEST_MARK=self.mark, HSUP_STATE_DIR=str(self.folder / "state"),
                        HSUP_RUNTIME_DIR=str(self.folder / "run"),
                        **(env or {}))
        self.env.pop("HSUP_CONTROL_DIR", None)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.control.mkdir(parents=True, exist_ok=True)
        self.give(self.control)
        if user:
            self.folder.chmod(0o777)  # for what the dynos of a test write down
            self.env["PATH"] = "/usr/local/bin:/usr/bin:/bin"  # root's may lead where others cannot go
        self.process = None
        self.lines = []
        self.errors = ""
        self.readers = []

    def give(self, path):
        """Makes the supervisor the owner of a path and what is below it, when it is not root."""
        if self.user:
            account = pwd.getpwnam(self.user)
            for entry in [path, *path.rglob("*")]:
                os.chown(entry, account.pw_uid, account.pw_gid, follow_symlinks=False)

    # -- running it --

    def hsup(self, *args, **options):
        """Runs a command of hsup to its end."""
        options.setdefault("timeout", PATIENCE)
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        env = dict(self.env, **options.pop("env", {}))
        if {"start", "run", "build"} & set(args):
            args = (*self.users, *args)
        return subprocess.run([*options.pop("wrap", ()), str(self.build / "hsup"), *map(str, args)], env=env, text=True,
                              capture_output=True, **options)

    def start(self, *args, wrap=(), env=None, **options):
        """`hsup start` in the background; its output is collected."""
        command = [*wrap, str(self.build / "hsup"), "start", *self.users, "-C", str(self.control),
                   *map(str, args)]
        self.process = subprocess.Popen(command, env=dict(self.env, **(env or {})), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        start_new_session=True, **options)
        self.readers = [threading.Thread(target=self._read_out, args=(self.process.stdout,), daemon=True),
                        threading.Thread(target=self._read_err, args=(self.process.stderr,), daemon=True)]
        for reader in self.readers:
            reader.start()
        return self

    def _read_out(self, stream):
        for line in iter(stream.readline, b""):
            self.lines.append(line.decode(errors="replace").rstrip("\n"))

    def _read_err(self, stream):
        for line in iter(stream.readline, b""):
            self.errors += line.decode(errors="replace")

    @property
    def launcher(self):
        return self.process.pid

    def supervisor(self):
        """The pid of the supervisor: the launcher's child that runs hsup."""
        def find():
            # Before it became the launcher it had children of its own.
            if "hsup-launcher" not in command_line(self.launcher).split("\0")[0]:
                return None
            for pid in children_of(self.launcher):
                if command_line(pid).split("\0")[0] == str(self.program):
                    return pid
            return None
        return wait_until(find, "a supervisor")

    def end(self):
        """At the end of a test: whatever runs is stopped, gently at first."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in marked_processes(self.mark):
            print(f"left behind: {pid} {command_line(pid)!r}", file=sys.stderr)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for reader in self.readers:
            reader.join(2)
        # Who reads has the lock of what it reads: to close that would wait for it, perhaps for ever.
        if any(reader.is_alive() for reader in self.readers):
            held = {pid: command_line(pid) for pid in holders(self.process.stdout, self.process.stderr)}
            for pid in held:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            raise AssertionError(f"its output was still held by {held}")
        self.process.stdout.close()
        self.process.stderr.close()

    def stop(self, signo=signal.SIGTERM, patience=PATIENCE):
        """Stops it as an operator would; returns the exit code."""
        self.process.send_signal(signo)
        return self.wait(patience)

    def wait(self, patience=PATIENCE):
        code = self.process.wait(patience)
        for reader in self.readers:
            reader.join(2)
        return code

    # -- submitting --

    def release(self, *processes, **fields):
        """A document. Each process: a dict, or (type, args, quantity). The mark goes along, so that
        the dynos of this app are told from everything else on the machine."""
        document = {"Version": 1, "Env": {}, "Processes": []}
        document.update(fields)
        document["Env"] = {"HSUP_TEST_MARK": self.mark, **document["Env"]}
        for p in processes:
            if isinstance(p, tuple):
                p = dict(zip(("Type", "Args", "Quantity"), p))
            document["Processes"].append({"StartSeconds": 0.05, **p})
        return document

    def submit(self, document):
        """Writes `new` beside, then renames it into place."""
        text = document if isinstance(document, (bytes, str)) else json.dumps(document)
        if isinstance(text, str):
            text = text.encode()
        beside = self.control / f".submit-{uuid.uuid4().hex}"
        beside.write_bytes(text)
        beside.rename(self.control / "new")

    def loaded(self):
        try:
            return json.loads((self.control / "loaded").read_text())
        except FileNotFoundError:
            return None

    def last_error(self):
        try:
            return (self.control / "last_error").read_text()
        except FileNotFoundError:
            return ""

    def wait_rejected(self, pattern):
        """Waits until the last submission was refused with a reason that matches."""
        text = wait_until(lambda: re.search(pattern, self.last_error()) and self.last_error(),
                          f"last_error to match {pattern!r}; it is {self.last_error()!r}")
        assert (self.control / "rejected").exists()
        return text

    # -- watching --

    def wait_line(self, pattern, count=1, since=0):
        """Waits until `count` lines match; returns the last match."""
        expression = re.compile(pattern)
        found, seen = [], since

        def matches():
            nonlocal seen
            lines = self.lines[seen:]  # of tens of thousands, those that are new: who reads them wants to get on, too
            seen += len(lines)
            found.extend(m for m in map(expression.search, lines) if m)
            return found if len(found) >= count else None
        try:
            return wait_until(matches, f"{count} lines like {pattern!r}")[count - 1]
        except AssertionError as e:
            tail = "\n".join(self.lines[-40:])
            raise AssertionError(f"{e}\n--- output ---\n{tail}\n--- errors ---\n{self.errors}") from None

    def no_line(self, pattern, since=0):
        assert not [l for l in self.lines[since:] if re.search(pattern, l)]

    def app_lines(self, dyno=None):
        """(dyno, text) of what dynos wrote."""
        found = []
        for line in list(self.lines):
            m = LINE.match(line)
            if m and m.group(2) == "app" and dyno in (None, m.group(3)):
                found.append((m.group(3), m.group(4)))
        return found

    def dynos(self):
        """Pids of dynos: marked processes that are leaders of a session below the launcher."""
        return sorted(pid for pid in children_of(self.launcher) if pid in set(marked_processes(self.mark))
                      and command_line(pid).split("\0")[0] != str(self.program))

    def marked(self):
        """Everything of this app that lives, whoever its parent is."""
        return marked_processes(self.mark)

    def wait_dynos(self, n):
        return wait_until(lambda: (lambda d: d if len(d) == n else None)(self.dynos()) if n else
                          (not self.dynos()), f"{n} dynos; there are {self.dynos()}")

    def wait_up(self, *names):
        for name in names:
            self.wait_line(rf"hsup\[{re.escape(name)}\]: state changed from \w+ to up")
