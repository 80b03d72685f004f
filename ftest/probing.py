"""The probe program (ftest/probe/), and what it needs to know of the machine to try to reach it."""
import contextlib
import ctypes
import json
import os
import re
import socket
import subprocess
import uuid

import helpers

SOURCES = helpers.PROBE
LINE = re.compile(r"^(\S+) (OPEN|closed|n/a) (.*)$")
NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "cgroup", "user", "time")
libc = ctypes.CDLL(None, use_errno=True)


def build(folder):
    return helpers.make("probe", folder / "probe")


class Answers(dict):
    """{probe: (verdict, detail)}"""

    def __init__(self, text):
        super().__init__()
        last = ""
        for line in text.decode(errors="replace").splitlines():
            hit = LINE.match(line)
            if hit:
                self[hit[1]] = (hit[2], hit[3])
            last = line
        assert last == f"probed {len(self)}", f"it did not come to its end: {text[-500:]!r}"

    def having(self, verdict):
        return {name: detail for name, (is_so, detail) in self.items() if is_so == verdict}

    @property
    def open(self):
        return self.having("OPEN")


def address_of_machine():
    """One that is not of its loopback."""
    for link in json.loads(subprocess.run(["ip", "-j", "-4", "address"], check=True, capture_output=True).stdout):
        for address in link["addr_info"]:
            if link["ifname"] == "eth0" and address["scope"] == "global":
                return address["local"]
    raise AssertionError("the machine has no address on eth0")


@contextlib.contextmanager
def machine(folder):
    """Things of the machine that no dyno may get at, and where they are: as environment."""
    name = f"probe-{uuid.uuid4().hex[:12]}"
    with contextlib.ExitStack() as end:
        abstract = end.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind("\0" + name)
        listener = end.enter_context(socket.socket(socket.AF_INET6))
        listener.bind(("::", 0))
        for s in (abstract, listener):
            s.listen(64)
        sleeper = subprocess.Popen(["sleep", "1000"])
        end.callback(sleeper.wait)
        end.callback(sleeper.kill)
        key = 0x70000000 + os.getpid()
        segment = libc.shmget(key, 4096, 0o1666)
        assert segment >= 0, os.strerror(ctypes.get_errno())
        end.callback(libc.shmctl, segment, 0, None)
        queue = libc.mq_open(f"/{name}".encode(), os.O_CREAT | os.O_RDWR, 0o666, None)
        assert queue >= 0, os.strerror(ctypes.get_errno())
        end.callback(libc.mq_unlink, f"/{name}".encode())
        end.callback(os.close, queue)
        secret = folder / "secret"
        secret.write_text("of the machine\n")
        secret.chmod(0o644)
        facts = {f"PROBE_NS_{n.upper()}": os.stat(f"/proc/self/ns/{n}").st_ino for n in NAMESPACES}
        yield {**{k: str(v) for k, v in facts.items()},
               "PROBE_ABSTRACT": name, "PROBE_PORT": str(listener.getsockname()[1]), "PROBE_PID": str(sleeper.pid),
               "PROBE_SHM_KEY": str(key), "PROBE_QUEUE": f"/{name}", "PROBE_FILE": str(secret),
               "PROBE_RUN": str(folder), "PROBE_STATE": str(folder), "PROBE_HOSTNAME": socket.gethostname(),
               "PROBE_HOST": address_of_machine()}
