"""Container engines of the tests' own: dockerd and podman's service, each with folders, a socket and
cgroups that nobody else has, and nothing left of them at the end."""
import contextlib
import fcntl
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

from hsup import PATIENCE, command_line, wait_until


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("engine", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class EngineError(AssertionError):
    def __init__(self, what, status, body):
        super().__init__(f"{what}: {status} {body[:500]!r}")
        self.status = status


class Rest:
    """Plain requests, to look at what there is and to clean up: what hsup says of it is not asked."""

    def __init__(self, path):
        self.path = path

    def ask(self, method, target, body=None, timeout=PATIENCE * 3, kind="application/json", also=()):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        connection = Connection(self.path, timeout)
        try:
            connection.request(method, target, body, {"Content-Type": kind} if body is not None else {})
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status >= 300 and answer.status != 304 and answer.status not in also:
            raise EngineError(f"{method} {target}", answer.status, data)
        if answer.headers.get_content_type() == "application/json" and b"\n{" not in data.strip():
            return json.loads(data or b"null")
        return data

    def get(self, target, **options):
        return self.ask("GET", target, **options)

    def containers(self, **filters):
        query = urllib.parse.quote(json.dumps({name: [value] for name, value in filters.items()}))
        return self.get(f"/containers/json?all=1&filters={query}")

    def inspect(self, container):
        return self.get(f"/containers/{container}/json")

    def kill(self, container, signo="KILL"):
        self.ask("POST", f"/containers/{container}/kill?signal={signo}", also=(404, 409, 500))

    def images(self):
        return self.get("/images/json?all=1")

    def networks(self):
        return self.get("/networks")

    def remove_container(self, container):
        self.ask("DELETE", f"/containers/{container}?force=1&v=1", also=(404, 409))

    def remove_image(self, image):
        self.ask("DELETE", f"/images/{urllib.parse.quote(image, safe='')}?force=1", also=(404, 409))


def processes_about(path):
    """Pids whose command line speaks of a path: engines, their shims and monitors."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and int(entry) != os.getpid()
            and str(path) in command_line(entry)]


def mounts_below(path):
    """The deepest first."""
    with open("/proc/self/mountinfo") as table:
        found = [line.split()[4].encode().decode("unicode_escape") for line in table]
    return sorted((m for m in found if m.startswith(f"{path}/")), reverse=True)


def kill_all(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def lo_up():
    """In a network namespace that is new, the loopback is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: UP, RUNNING


class Engine:
    """What both have in common. `own_network`: in a network namespace of its own, with a bridge."""

    name = None
    networks = ("bridge", "host", "none")  # those that are there from the first

    def __init__(self, own_network=False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hsup-e."))
        self.folder.chmod(0o755)
        self.socket = self.folder / "s"
        self.rest = Rest(self.socket)
        self.own_network = own_network
        self.cgroup = f"hsup-e-{self.folder.name.rpartition('.')[2]}"
        self.process = None
        self.bases = {}
        self.log = self.folder / "log"

    @property
    def host(self):
        return f"unix://{self.socket}"

    @property
    def pid(self):
        return self.process.pid

    def inside(self, *command):
        """A command where the engine's ports are."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *command] if self.own_network else list(command)

    def command(self):
        raise NotImplementedError

    def start(self, *more):
        for stale in self.stale():
            stale.unlink(missing_ok=True)
        unshare = ["unshare", "-n", sys.executable, "-B", str(pathlib.Path(__file__)), "--lo-up"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*(unshare if self.own_network else []), *self.command(), *more], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True, env=self.environment(), cwd="/")
        wait_until(self.answers, f"{self.name} to answer:\n{self.log.read_text()[-3000:]}", 3 * PATIENCE)
        return self

    def answers(self):
        assert self.process.poll() is None, f"{self.name} ended:\n{self.log.read_text()[-3000:]}"
        try:
            self.rest.get("/_ping", timeout=2)
            return True
        except (OSError, http.client.HTTPException, EngineError):
            return False

    def environment(self):
        return {**os.environ, "PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin",
                "TMPDIR": str(self.folder)}

    def stale(self):
        """Files of one that was killed, which keep the next from starting."""
        return []

    def stop(self, patience=30):
        """In order. What it runs ends with it, as it will."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def kill(self):
        """As a crash would; its containers may live or die."""
        self.process.kill()
        self.process.wait()

    def end(self):
        """Nothing is left: no process, no mount, no cgroup, no file."""
        try:
            self.clean()
        except Exception:  # it may be dead, or hang: then all goes the hard way
            pass
        self.stop()
        for _ in range(50):
            left = processes_about(self.folder)
            if not left:
                break
            kill_all(left)
            time.sleep(0.05)
        for pid in self.contained():
            kill_all([pid])
        for _ in range(3):
            for path in mounts_below(self.folder):
                subprocess.run(["umount", "-l", path], stderr=subprocess.DEVNULL, check=False)
        self.remove_cgroups()
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not processes_about(self.folder), [command_line(p) for p in processes_about(self.folder)]
        assert not mounts_below(self.folder)
        assert not self.folder.exists(), list(self.folder.rglob("*"))[:10]

    # -- cgroups: all of its containers' are below one of the engine's own --

    def cgroups(self):
        return [p for p in pathlib.Path("/sys/fs/cgroup").glob(f"*/{self.cgroup}") if p.is_dir()] + \
            [p for p in [pathlib.Path("/sys/fs/cgroup", self.cgroup)] if p.is_dir()]

    def contained(self):
        """Pids of processes in containers."""
        pids = set()
        for top in self.cgroups():
            for path in [top, *top.rglob("*")]:
                with contextlib.suppress(OSError):
                    if path.is_dir():
                        pids.update(int(p) for p in (path / "cgroup.procs").read_text().split())
        return sorted(pids)

    def remove_cgroups(self):
        def gone():
            for top in self.cgroups():
                for path, _, _ in os.walk(top, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(path)
            return not self.cgroups()
        wait_until(gone, f"the cgroups {self.cgroups()} to go; in them {self.contained()}")

    # -- what tests leave --

    def leftovers(self):
        """One line each; images are for the caller to judge."""
        found = [f"container {c['Names']} {c['Image']} {c['Status']}" for c in self.rest.containers()]
        found += [f"network {n['Name']}" for n in self.rest.networks() if n["Name"] not in self.networks]
        found += [f"volume {v['Name']}" for v in self.rest.get("/volumes")["Volumes"] or []]
        found += [f"process {pid}: {command_line(pid)[:150]!r}" for pid in self.contained()]
        return found

    def foreign_images(self):
        """Ids of images that are no base images."""
        return [i for i in self.rest.images() if i["Id"].rpartition(":")[2] not in self.base_ids()]

    def base_ids(self):
        return {i.rpartition(":")[2] for i in self.bases.values()}

    def clean(self):
        for container in self.rest.containers():
            self.rest.remove_container(container["Id"])
        for network in self.rest.networks():
            if network["Name"] not in self.networks:
                self.rest.ask("DELETE", f"/networks/{network['Id']}", also=(403, 404, 409))
        for _ in range(5):  # a parent goes after its children
            foreign = self.foreign_images()
            if not foreign:
                break
            for image in foreign:
                self.rest.remove_image(image["Id"])

    def base(self, name, archive):
        """Makes a base image of a tar file, once; `name` has its tag."""
        if name not in self.bases:
            repo, _, tag = name.partition(":")
            query = urllib.parse.urlencode({"fromSrc": "-", "repo": repo, "tag": tag})
            with open(archive, "rb") as body:
                self.rest.ask("POST", f"/images/create?{query}", body, kind="application/x-tar", timeout=10 * PATIENCE)
            self.named(repo, tag)
            self.bases[name] = self.rest.get(f"/images/{name}/json")["Id"]
        return name

    def named(self, repo, tag):
        pass


class Docker(Engine):
    name = "dockerd"
    live_restore = False

    def command(self):
        bridge = [] if self.own_network else ["--bridge=none"]
        return ["/usr/sbin/dockerd", *bridge, "--iptables=false", "--ip6tables=false", "-H", self.host,
                "--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec"),
                "-p", str(self.folder / "pid"), "--cgroup-parent", f"/{self.cgroup}", "--log-level", "warn",
                "--shutdown-timeout", "2", *(["--live-restore"] if self.live_restore else [])]

    def stale(self):
        return [self.folder / "pid", self.folder / "exec/containerd/containerd.pid", self.socket]

    def log_of(self, container):
        """(stream, text) of what it has written down of a container's output: what it can give to anybody."""
        text = (self.folder / f"data/containers/{container}/{container}-json.log").read_text()
        messages = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [(m["stream"], m["log"].rstrip("\n")) for m in messages]

    def containerd(self):
        """The one that this daemon started."""
        path = self.folder / "exec/containerd/containerd.pid"
        return int(path.read_text()) if path.exists() else None

    def kill(self):
        """containerd goes, too, as when the machine's service dies; shims stay."""
        containerd = self.containerd()
        super().kill()
        if containerd:
            kill_all([containerd])
            wait_until(lambda: not command_line(containerd), "containerd to end")


class Podman(Engine):
    name = "podman"
    networks = ("podman", "bridge", "host", "none")

    def command(self):
        return ["/usr/bin/podman", "--root", str(self.folder / "data"), "--runroot", str(self.folder / "run"),
                "--tmpdir", str(self.folder / "tmp"), "--runtime", "runc", "--cgroup-manager", "cgroupfs",
                "system", "service", "-t", "0", self.host]

    def environment(self):
        conf = self.folder / "containers.conf"
        conf.write_text(
            # Debian's own values are above what this machine allows.
            '[containers]\ndefault_ulimits = ["nofile=10000:10000", "nproc=4096:4096"]\n'
            'init_path = "/usr/libexec/podman/catatonit"\n'
            f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nlock_type = "file"\n'
            f'events_logfile_path = "{self.folder}/events"\n'
            f'[network]\nnetwork_config_dir = "{self.folder}/networks"\n')
        if not pathlib.Path("/usr/libexec/podman/catatonit").exists():
            conf.write_text(conf.read_text().replace("/usr/libexec/podman/catatonit", "/usr/bin/tini-static"
                                                     if os.path.exists("/usr/bin/tini-static") else "/usr/bin/tini"))
        storage = self.folder / "storage.conf"
        storage.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{self.folder}/data"\n'
                           f'runroot = "{self.folder}/run"\n')
        registries = self.folder / "registries.conf"
        registries.write_text("unqualified-search-registries = []\n")
        return {**super().environment(), "CONTAINERS_CONF": str(conf), "CONTAINERS_STORAGE_CONF": str(storage),
                "CONTAINERS_REGISTRIES_CONF": str(registries)}

    def stale(self):
        return [self.socket]

    def named(self, repo, tag):
        """Its import knows no tag."""
        if tag != "latest":
            self.rest.ask("POST", f"/images/{repo}:latest/tag?{urllib.parse.urlencode({'repo': repo, 'tag': tag})}")
            self.rest.ask("DELETE", f"/images/{repo}:latest?noprune=1")

    def contained(self):
        """Its containers have cgroups where it likes; all of them have a monitor that says whose."""
        return [pid for pid in processes_about(self.folder / "data") if pid != self.pid and pid not in self.waiting()]

    def waiting(self):
        """Monitors of commands beside a container wait for five minutes for somebody who asks."""
        return [pid for pid in processes_about(self.folder / "data") if "\0--exec-attach\0" in command_line(pid)]

    def clean(self):
        kill_all(self.waiting())
        super().clean()

    def remove_cgroups(self):
        """All that it starts on this machine share a parent: what of it is empty goes."""
        for top in pathlib.Path("/sys/fs/cgroup").glob("*/libpod_parent"):
            for path, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)


if __name__ == "__main__" and sys.argv[1] == "--lo-up":
    lo_up()
    os.execvp(sys.argv[2], sys.argv[2:])
