"""A machine of the test's own for what a box does outside itself: a network namespace with an
uplink to another one, the outside. hsup-box's parts are driven by tests/drive-box."""
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import time

import cgroups
from hsup import PATIENCE

SUBNET = "10.201.3.0/24"
UIDS = (4300, 4399)
HERE, OUTSIDE = "198.51.100.1", "198.51.100.2"
METADATA = "169.254.169.254"
OFD_SETLK = 37

# Connects, and says whom the other side saw; or the name of the error.
CONNECT = """
import socket, sys
try:
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))
    print(s.recv(100).decode())
except OSError as e:
    print(type(e).__name__)
"""
# Says to everybody who he is.
SERVE = """
import socket, sys
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("::", int(sys.argv[1])))
s.listen(100)
print("up", flush=True)
while True:
    c, peer = s.accept()
    c.sendall(peer[0].replace("::ffff:", "").encode())
    c.close()
"""


def lock(fd, kind, start=0, length=0):
    """An open file description's; raises when somebody has it."""
    fcntl.fcntl(fd, OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, start, length, 0))


def until(what, seconds=PATIENCE / 2):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)
    return found


class Machine:
    def __init__(self, drive, folder):
        self.drive = str(drive)
        self.folder = folder
        folder.mkdir(mode=0o755)
        self.mark = f"nt{os.getpid()}"
        self.net, self.outside = f"hsup-{self.mark}m", f"hsup-{self.mark}o"
        self.started = []
        self.settings = {
            "LIBCONTAINER_DYNO_SUBNET": SUBNET,
            "LIBCONTAINER_DYNO_UID_MIN": str(UIDS[0]),
            "LIBCONTAINER_DYNO_UID_MAX": str(UIDS[1]),
            "HSUP_BOX_STATE": str(folder / "state"),
            "HSUP_BOX_RUN": str(folder / "run"),
        }
        self.state, self.run_folder = folder / "state", folder / "run"
        for name in (self.net, self.outside):
            subprocess.run(["ip", "netns", "add", name], check=True)
        self.ip("link", "set", "lo", "up")
        self.ip("link", "set", "lo", "up", net=self.outside)
        self.ip("link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", self.outside)
        self.ip("addr", "add", f"{HERE}/24", "dev", "up0")
        self.ip("link", "set", "up0", "up")
        self.ip("addr", "add", f"{OUTSIDE}/24", "dev", "up0", net=self.outside)
        self.ip("addr", "add", f"{METADATA}/32", "dev", "up0", net=self.outside)
        self.ip("link", "set", "up0", "up", net=self.outside)
        self.ip("route", "add", f"{METADATA}/32", "via", OUTSIDE)
        self.ip("route", "add", "default", "via", OUTSIDE)

    def close(self):
        for p in self.started:
            if p.poll() is None:
                p.kill()
            p.communicate()
        self.sweep()
        for name in (self.net, self.outside):
            subprocess.run(["ip", "netns", "del", name], check=True)
        left = [str(p) for p in cgroups.of_boxes(f"{self.mark}*")]
        for path in left:
            with contextlib.suppress(OSError):
                os.rmdir(path)
        assert not left, f"cgroups left behind: {left}"

    # ---- programs ----

    def command(self, *words, net=None):
        return ["nsenter", f"--net=/run/netns/{net or self.net}", *map(str, words)]

    def run(self, *words, net=None, settings=None, **more):
        return subprocess.run(self.command(*words, net=net), env={**os.environ, **self.settings, **(settings or {})},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3 * PATIENCE, **more)

    def start(self, *words, net=None, settings=None):
        process = subprocess.Popen(self.command(*words, net=net), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, **self.settings, **(settings or {})})
        self.started.append(process)
        return process

    def ip(self, *words, net=None):
        return self.run("ip", *words, net=net, check=True).stdout

    def serve(self, port, net=None):
        server = self.start(sys.executable, "-c", SERVE, port, net=net)
        assert server.stdout.readline() == "up\n", server.stderr.read()
        return server

    def connect(self, address, port, net=None, seconds=PATIENCE / 4):
        return self.run(sys.executable, "-c", CONNECT, address, port, seconds, net=net).stdout.strip()

    # ---- of the box ----

    def setup(self, check=True, **more):
        done = self.run(self.drive, "setup", **more)
        assert not check or done.returncode == 0, done.stderr
        return done

    def sweep(self, *names, **more):
        return self.run(self.drive, "sweep", *names, **more)

    def name(self, n):
        return f"{self.mark}-{n}"

    def box(self, n, *words, memory=0, cpu=0, processes=0, name=None, settings=None):
        return self.start(self.drive, "box", name or self.name(n), UIDS[0] + n, memory, cpu, processes, *words,
                          settings=settings)

    def python(self, n, code, *words, **more):
        return self.box(n, sys.executable, "-c", code, *words, **more)

    def try_to_connect(self, n, address, port, seconds=PATIENCE / 4):
        box = self.python(n, CONNECT, address, port, seconds, name=self.name(f"{n}-{time.monotonic_ns()}"))
        out, err = box.communicate(timeout=1.5 * PATIENCE)
        assert box.returncode == 0, err
        return out.strip()

    def living(self, n, **more):
        """A box with a server in it."""
        box = self.python(n, SERVE, 5000, **more)
        assert box.stdout.readline() == "up\n", box.stderr.read()
        return box

    def kill(self, box):
        box.send_signal(signal.SIGKILL)
        box.communicate()

    def links(self):
        return {i["ifname"]: i for i in json.loads(self.ip("-j", "addr")) if i["ifname"].startswith("hv")}

    def has_table(self):
        return "table inet hsup" in self.run("nft", "list", "tables", check=True).stdout

    def layer(self, n):
        """A folder as a box leaves it."""
        path = self.state / "boxes" / self.name(n)
        for sub in ("upper", "work", "tmp"):
            (path / sub).mkdir(parents=True)
        return path

    def cgroups(self, n):
        return cgroups.of_boxes(self.name(n))


@contextlib.contextmanager
def machine_of(drive, folder):
    m = Machine(drive, folder)
    try:
        yield m
    finally:
        m.close()
        shutil.rmtree(folder, ignore_errors=True)
