"""What a test does with the daemon: everything of it is below a folder of the test's own."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import uuid

from hsup import PATIENCE, children_of, command_line, marked_processes, wait_until

SLEEP = ["sleep", "1000"]


class Daemon:
    def __init__(self, build, folder, env=None):
        self.build = pathlib.Path(build)
        self.folder = pathlib.Path(folder)
        self.mark = uuid.uuid4().hex
        self.state = self.folder / "state"
        self.run = self.folder / "run"
        self.apps = self.state / "control"
        self.config = self.folder / "hsup.json"
        self.log_file = self.state / "hsup.log"
        self.foreground = None
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith(("HSUP_", "XDG_", "NOTIFY_", "WATCHDOG_"))
                    or name == "HSUP_LIBEXEC_DIR"}
        self.env.update(HSUP_TEST_MARK=self.mark, HSUP_STATE_DIR=str(self.state),
                        HSUP_RUNTIME_DIR=str(self.run), HSUP_CONFIG=str(self.config),
                        HOME=str(self.folder), **(env or {}))

    def hsup(self, *args, **options):
        """Runs a command of hsup to its end."""
        options.setdefault("timeout", PATIENCE)
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        env = dict(self.env, **options.pop("env", {}))
        return subprocess.run([str(self.build / "hsup"), *map(str, args)], env=env, text=True,
                              capture_output=True, **options)

    def up(self, *args):
        done = self.hsup("up", *args)
        assert done.returncode == 0, (done.stdout, done.stderr, self.log())
        return done.stdout

    def down(self, *args):
        done = self.hsup("down", *args)
        assert done.returncode == 0, (done.stdout, done.stderr, self.log())
        return done.stdout

    def identity(self):
        """What the lock file says."""
        lines = (self.run / "hsup.lock").read_text().splitlines()
        return dict(line.split(" ", 1) for line in lines)

    @property
    def launcher(self):
        return int(self.identity()["pid"])

    def supervisor(self, launcher=None):
        def find():
            for pid in children_of(launcher or self.launcher):
                if os.path.basename(command_line(pid).split("\0")[0]) == "hsup":
                    return pid
            return None
        return wait_until(find, "a supervisor")

    def app_launchers(self):
        """name -> pid of the launchers of its apps."""
        found = {}
        for pid in marked_processes(self.mark):
            words = command_line(pid).split("\0")
            if "--log-app" in words and words[0].endswith("hsup-launcher"):
                found[words[words.index("--log-app") + 1]] = pid
        return found

    def dynos(self, app=None):
        """Pids of the dynos (sleeps) of all apps, or of one."""
        found = []
        for pid in marked_processes(self.mark):
            try:
                environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"HSUP_TEST_DYNO={self.mark}".encode() not in environ:
                continue
            if app is None or f"HSUP_TEST_APP={app}".encode() in environ:
                found.append(pid)
        return sorted(found)

    def wait_dynos(self, n, app=None):
        return wait_until(lambda: (lambda d: [d] if len(d) == n else None)(self.dynos(app)),
                          f"{n} dynos of {app}; log:\n{self.log()}")[0]

    def document(self, app, quantity=1, args=None, **fields):
        """A release whose dynos are told from all else on the machine."""
        process = {"Type": "web", "Args": args or SLEEP, "Quantity": quantity, "StartSeconds": 0.05}
        process.update(fields.pop("process", {}))
        env = {"HSUP_TEST_MARK": self.mark, "HSUP_TEST_DYNO": self.mark, "HSUP_TEST_APP": app}
        return {"Name": app, "Env": env, "Processes": [process], **fields}

    def make_app(self, app, *args, submit=True, **fields):
        """A control directory, made beside and moved into place, with a release that waits."""
        self.apps.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f"beside-{uuid.uuid4().hex}"
        beside.mkdir()
        if submit:
            (beside / "new").write_text(json.dumps(self.document(app, *args, **fields)))
        beside.rename(self.apps / app)
        return self.apps / app

    def take_away(self, app):
        """At once: what removes it file by file meets an app that still writes there."""
        (self.apps / app).rename(self.folder / f"away-{uuid.uuid4().hex}")

    def file(self, document, name="release.json"):
        path = self.folder / name
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    def log(self):
        try:
            return self.log_file.read_text()
        except FileNotFoundError:
            return ""

    def wait_log(self, text, count=1):
        return wait_until(lambda: self.log().count(text) >= count, f"{text!r} in the log:\n{self.log()}")

    def end(self):
        """At the end of a test: whatever runs goes."""
        for pid in marked_processes(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.hsup("down", "--timeout", 5, "--kill")
        # One that was killed may have been about to start another.
        for _ in range(100):
            left = marked_processes(self.mark)
            if not left:
                break
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self.foreground:
            self.foreground.wait(PATIENCE)
        wait_until(lambda: not marked_processes(self.mark), "all processes of the test to be gone")


def copy_programs(build, folder, *names):
    """A folder with these programs only."""
    folder.mkdir()
    for name in names:
        shutil.copy(build / name, folder)
    return folder
