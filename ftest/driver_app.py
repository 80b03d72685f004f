"""An app for any driver: what the suite of the drivers says of each, in words that all have."""
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tarfile

from hsup import PATIENCE, App, children_of, command_line, marked_processes, wait_until

from native import ROOTLESS, Native, make_rootless
from own_root import OwnRoot

BASH, BUSYBOX = "hsup-test/bash:1", "hsup-test/busybox:1"
SLEEP = ["sleep", "1000"]
DRIVERS = [name for name in os.environ.get("HSUP_TEST_DRIVERS", "simple,docker,native,native-rootless,native-vm").split(",") if name]


def pack(path, files, mode=0o755):
    """A slug of `files`: name -> text, or the path of a program."""
    with tarfile.open(path, "w:gz") as archive:
        for name, what in files.items():
            data = what.read_bytes() if isinstance(what, pathlib.Path) else what.encode()
            info = tarfile.TarInfo(f"./app/{name}")
            info.size, info.mode = len(data), mode
            archive.addfile(info, io.BytesIO(data))
    return path


class DriverApp(App):
    """`engine` is None for drivers that have none; `boxes` is what the native driver makes, None for
    the others; `root` is where those of abspath run. `shared` is the same path for a dyno as for the test."""

    def __init__(self, build, folder, driver, engine, slug, **options):
        super().__init__(build, folder, **options)
        self.driver, self.engine = driver, engine
        self.boxes = Native(self) if driver in Native.NAMES else None
        self.root = OwnRoot(self.folder) if driver == "abspath" else None
        self.before = self.root and self.root.entries()
        self.shared = self.folder / "shared"
        self.shared.mkdir()
        self.shared.chmod(0o777)
        if slug:
            shutil.copy(slug, self.control / "slug.tgz")
        self.slug = "slug.tgz" if slug else ""
        for name in [n for n in self.env if n.startswith("DOCKER_")]:
            del self.env[name]
        if self.boxes:
            self.env.update(Native.SETTINGS)
        if driver == ROOTLESS:
            make_rootless(self)
        if engine:
            self.env.update(DOCKER_HOST=engine.host, DOCKER_NETWORK="bridge" if engine.own_network else "host")

    @property
    def name_of_driver(self):
        return "docker" if self.engine else "native" if self.driver == ROOTLESS else self.driver

    def hsup(self, *args, **options):
        if args[0] in ("start", "run", "build") and "-d" not in args:
            args = (args[0], "-d", self.name_of_driver, *args[1:])
        options.setdefault("timeout", 3 * PATIENCE)
        if self.root:
            options.setdefault("wrap", self.root.wrap)
        if self.engine and self.engine.own_network:
            raise NotImplementedError
        return super().hsup(*args, **options)

    def root_popen(self, *args):
        """A command of hsup in the root, that the test talks to."""
        words = (args[0], "-d", self.driver, *args[1:])
        return subprocess.Popen([*self.root.wrap, self.build / "hsup", *map(str, words)], env=self.env, text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def start(self, *args, **options):
        if self.engine and self.engine.own_network:
            options.setdefault("wrap", self.engine.inside())
        if self.root:
            options.setdefault("wrap", self.root.wrap)
        return super().start("-d", self.name_of_driver, *args, **options)

    def release(self, *processes, **fields):
        more = {"Slug": self.slug, "Binds": [f"{self.shared}:{self.shared}"]}
        if self.engine:
            more["Stack"] = BASH
        if self.boxes:
            more["Stack"] = "host"
            # Another life is another user: what one has written below `shared`, the next may go on with.
            processes = [{"Umask": "000", **(p if isinstance(p, dict) else dict(zip(("Type", "Args", "Quantity"), p)))}
                         for p in processes]
        return super().release(*processes, **{**more, **fields})

    # -- what runs, by the word of who runs it, not of hsup --

    def lives(self):
        """(dyno, what tells one life of it from another), of those that live."""
        if self.engine is None:
            leads = self.boxes.leads if self.boxes else self.leads

            def look():
                found = [(self.variables(pid), pid) for pid in self.processes() if leads(pid)]
                return {(its["DYNO"], pid) for its, pid in found if "DYNO" in its}  # else it is just being executed
            if self.boxes:
                return self.boxes.settled(look)
            self.settle()
            return look()
        return {(f"{c['Labels']['hsup.type']}.{c['Labels']['hsup.instance']}", c["Id"])
                for c in self.engine.rest.containers(label="hsup.kind=dyno") if c["State"] == "running"}

    def settle(self):
        """Waits for processes that are being born: hsup counts StartSeconds from their order on, and the suite's are
        few."""
        def born():
            try:
                # (While it is being executed the kernel shows no environment at all.)
                return all(pathlib.Path(f"/proc/{pid}/comm").read_text().strip() != "hsup-launcher" and
                           pathlib.Path(f"/proc/{pid}/environ").read_bytes() for pid in children_of(self.launcher))
            except OSError:  # one has ended just now
                return self.process.poll() is not None
        if self.process is not None and self.process.poll() is None:
            wait_until(born, "all births to end")

    @classmethod
    def leads(cls, pid):
        """A dyno itself: neither what it has started nor a command beside it, nor its supervisor."""
        try:
            return os.getsid(pid) == pid and "HEROKU_DYNO_ID" in cls.variables(pid)
        except ProcessLookupError:
            return False

    @staticmethod
    def variables(pid):
        try:
            text = pathlib.Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
        except OSError:
            return {}
        return dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)

    def life(self, name):
        found = [life for dyno, life in self.lives() if dyno == name]
        assert len(found) == 1, (name, self.lives())
        return found[0]

    def wait_lives(self, n):
        def look():
            lives = self.lives()
            return [lives] if len(lives) == n else None
        try:
            return wait_until(look, f"{n} dynos to live")[0]
        except AssertionError as e:
            raise AssertionError(f"{e}; there are {self.lives()}\n" + "\n".join(self.lines[-30:])) from None

    def kill(self, name, signo=signal.SIGKILL):
        """From outside, as an accident."""
        life = self.life(name)
        if self.engine:
            self.engine.rest.kill(life, signal.Signals(signo).name[3:])
        else:
            os.kill(life, signo)

    def processes(self):
        """Pids, here, of all that dynos have started: not of hsup's own."""
        return [pid for pid in marked_processes(self.mark) if "DYNO" in self.variables(pid)]

    def pids(self, name):
        """Of a dyno: all its processes, and the init above them."""
        found = [pid for pid in self.processes() if self.variables(pid).get("DYNO") == name]
        return found + (self.boxes.inits(found) if self.boxes else [])

    # -- what hsup says --

    def ps(self):
        done = self.hsup("ps", "-C", self.control, "--json")
        assert done.returncode in (0, 3), done.stderr
        return {dyno["name"]: dyno for dyno in json.loads(done.stdout)}

    def texts(self, dyno):
        return [text for _, text in self.app_lines(dyno)]

    def kill_supervisor(self):
        seen = len(self.lines)
        os.kill(self.supervisor(), signal.SIGKILL)
        self.wait_line(r"found \d+ dynos running", since=seen)
        return seen

    def type_line(self, dyno, line, answer):
        """`hsup attach` until the dyno has answered, however long that takes on a busy machine."""
        with subprocess.Popen([self.build / "hsup", "attach", "-C", self.control, dyno], env=self.env,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as attached:
            attached.stdin.write(f"{line}\n")
            attached.stdin.close()
            said = attached.stdout.readline()
            attached.terminate()
        assert said == f"{answer}\n"
        self.wait_line(rf"app\[{re.escape(dyno)}\]: {answer}$")

    def write(self, name, text):
        """Whole, or not at all, where a dyno sees it by the same path."""
        path = self.shared / name
        beside = self.shared / f".{name}"
        beside.write_bytes(text if isinstance(text, bytes) else text.encode())
        beside.chmod(0o644)
        beside.rename(path)
        return path

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except Exception:
                print(f"still there after its stop: {[command_line(p) for p in marked_processes(self.mark)]}")
        super().end()
        if self.root:
            after = self.root.entries()
            self.root.end()
            assert after == self.before
