"""Who starts containers of one engine: hsup, and a client that does nothing else; dockertools.py has
Docker's own.

All ask for the same container: what hsup has asked for, as the engine tells it, but for the labels by
which hsup knows its own.
"""
import copy
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import sys
import time

import api
import keep
import processes
from processes import Failed

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "ftest"))
import engine as engines  # noqa: E402 (it is not beside us)
import roots  # noqa: E402

STACK = "hsup-bench/busybox:1"
VERSION = "v1.41"
SECONDS = 60
SLEEP = ["sleep", "100000"]


def wait(condition, what, seconds=SECONDS, pause=0.02):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise Failed(f"waited in vain for {what}")
        time.sleep(pause)
    return value


def make_engine(bench):
    """A dockerd below the bench's folder, with a stack image; its end() leaves nothing."""
    engines.tempfile.tempdir = bench.folder
    try:
        found = engines.Docker()
    finally:
        engines.tempfile.tempdir = None
    try:
        found.start()
        found.base(STACK, roots.busybox(os.path.join(bench.folder, "stack.tar")))
    except BaseException as e:
        found.end()
        if isinstance(e, AssertionError):
            raise Failed(str(e)) from e
        raise
    return found


def called(engine, prefix):
    """Ids of the containers whose names begin so."""
    return [c["Id"] for c in engine.rest.containers() if c["Names"][0].startswith(f"/{prefix}")]


def dynos(engine):
    return [c["Id"] for c in engine.rest.containers(label="hsup.kind=dyno")]


def remove(engine, prefix):
    for container in called(engine, prefix):
        engine.rest.remove_container(container)


def run_measured(argv, environ, log):
    """Starts programs; returns when the last of them has ended, with ns of processor time of all."""
    pids = [processes.start(words, environ, log) for words in argv]
    used = 0
    for pid in pids:
        _, status, usage = os.wait4(pid, 0)
        used += int((usage.ru_utime + usage.ru_stime) * 1e9)
        if status:
            with open(log, encoding="utf-8", errors="replace") as file:
                raise Failed(f"{argv[0][0]}: wait status {status}: {file.read()[-500:]}")
    return used


class Events:
    """The changes of state that hsup tells of, from now on."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.settimeout(SECONDS)
        self.socket.sendall(b"GET /v1/events?kind=dyno.state HTTP/1.1\r\nHost: hsup\r\n\r\n")
        self.rest = b""
        while b"\r\n\r\n" not in self.rest:
            self.rest += self.socket.recv(65536)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def wait(self, to, count):
        """[(name, ns since 1970)] of so many that came to a state; and {name: ns} of their "starting"."""
        came, began = [], {}
        while len(came) < count:
            *lines, self.rest = self.rest.split(b"\n")
            for line in lines:
                if not line.startswith(b"data: {"):
                    continue
                event = json.loads(line[6:])
                at = round(api.stamp(event["at"]) * 1e6) * 1000
                if event["to"] == "starting":
                    began[event["name"]] = at
                elif event["to"] == to:
                    came.append((event["name"], at))
                elif event["to"] in ("waiting", "failed"):
                    raise Failed(f"hsup: {event['name']} does not start: {event}")
            if len(came) < count:
                try:
                    part = self.socket.recv(65536)
                except TimeoutError:
                    part = b""
                if not part:
                    raise Failed(f"hsup: {len(came)} of {count} dynos became {to}")
                self.rest += part
        return came, began


class Hsup(keep.Keep):
    """`hsup start -d docker`, asked by its control API."""

    def __init__(self, bench, engine, host=None):
        super().__init__(bench, 0)
        self.engine = engine
        self.environ = {**bench.environ, "DOCKER_HOST": host or engine.host, "DOCKER_NETWORK": "host"}
        self.out = "/dev/null"
        self.more = ()

    def __exit__(self, kind, _error, _trace):
        """Ends this one only: the engine is beside it, below us."""
        if kind is not None and issubclass(kind, Failed):
            self.show_log()
        if self.pid and self.lives():
            os.kill(self.pid, signal.SIGTERM)
            end = time.monotonic() + 30
            while self.lives() and time.monotonic() < end:
                time.sleep(0.05)
            if self.lives():
                os.kill(self.pid, signal.SIGKILL)
        if self.pid:
            os.waitpid(self.pid, 0)
        remove(self.engine, "hsup-")
        shutil.rmtree(self.folder, ignore_errors=True)

    def launch(self, *argv):
        files = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                 (os.POSIX_SPAWN_OPEN, 1, self.out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                 (os.POSIX_SPAWN_OPEN, 2, self.path("log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)]
        self.pid = os.posix_spawn(argv[0], argv, self.environ, file_actions=files, setsid=True,
                                  setsigdef=processes.IGNORED, setsigmask=[])

    def begin(self, binds=(), **process):
        """One type, "web", of which nobody runs yet; binds: folders that it finds by the same path."""
        os.mkdir(self.path("control"), 0o700)
        entry = {"Type": "web", "Args": SLEEP, "Quantity": 0, "StartSeconds": 0, **process}
        self.submit({"Version": 1, "Name": "bench", "Stack": STACK, "Processes": [entry],
                     "Binds": [f"{path}:{path}" for path in binds]})
        self.launch(self.bench.programs["hsup"], "start", "-d", "docker", "-C", self.path("control"),
                    "--state-dir", self.path("state"), "-s", self.path("sock"), *self.more)
        self.wait(lambda: os.path.exists(self.path("control/loaded")), "its release to be loaded")
        self.wait(lambda: os.path.exists(self.path("sock")), "its socket")

    def post_scale(self, n):
        """ns since 1970 at which it was asked."""
        connection = engines.Connection(self.path("sock"), SECONDS)
        try:
            now = time.time_ns()
            connection.request("POST", "/v1/scale", json.dumps({"web": n}), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as e:
            raise Failed(f"hsup: scale: {e}") from None
        finally:
            connection.close()
        if answer.status >= 300:
            raise Failed(f"hsup: scale: {answer.status} {text[:300]!r}")
        return now

    def scale(self, n):
        """To n; (ns at which it was asked, [(name, ns up)], {name: ns starting})."""
        now = len(dynos(self.engine))
        with Events(self.path("sock")) as events:
            asked = self.post_scale(n)
            if n > now:
                return asked, *events.wait("up", n - now)
        wait(lambda: len(dynos(self.engine)) == n, f"{n} containers")
        return asked, [], {}

    def pids(self):
        return [self.pid, self.supervisor()]


def body_of(engine, container):
    """What creates its like; hsup must not take it for one of its own."""
    seen = engine.rest.inspect(container)
    body = copy.deepcopy(seen["Config"])
    body["HostConfig"] = seen["HostConfig"]
    body["Image"] = seen["Image"]
    body["Hostname"] = body["Domainname"] = ""
    body["Labels"] = {name.replace("hsup.", "none."): value for name, value in body["Labels"].items()
                      if name.startswith("hsup.")}
    return body


def bare(bench, engine, body, count, parallel, host=None):
    """(ns of processor time, [(create, created, start, started)]) of engine.c."""
    path, log = os.path.join(bench.folder, "body"), os.path.join(bench.folder, "bare")
    pathlib.Path(path).write_text(json.dumps(body), encoding="utf-8")
    pathlib.Path(log).unlink(missing_ok=True)
    used = run_measured([[bench.programs["engine"], host or str(engine.socket), VERSION, path, "bare", str(count),
                          str(parallel)]], bench.environ, log)
    lines = pathlib.Path(log).read_text(encoding="utf-8").splitlines()
    return used, [tuple(map(int, line.split()[1:])) for line in lines]


class Relay:
    """relay.c, for as long as it is needed."""

    def __init__(self, bench, engine):
        self.path = os.path.join(bench.folder, "relay")
        self.log = os.path.join(bench.folder, "relayed")
        for path in (self.path, self.log):
            pathlib.Path(path).unlink(missing_ok=True)
        self.pid = processes.start([bench.programs["relay"], self.path, str(engine.socket)], bench.environ, self.log)
        wait(lambda: os.path.exists(self.path), "the relay's socket")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def requests(self):
        """[(method, target, asked, answered)] so far."""
        found = []
        with open(self.log, encoding="utf-8", errors="replace") as file:
            for line in file:
                method, target, asked, answered = line.split()
                found.append((method, target, int(asked), int(answered)))
        return found
