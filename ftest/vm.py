"""A small virtual machine: a Debian kernel, an initrd made here, and qemu, which emulates in software."""
import io
import os
import pathlib
import re
import socket
import subprocess
import tarfile
import threading

from hsup import PATIENCE, wait_until

QEMU = "qemu-system-x86_64"
# From scripts/vm-kernel.
KEPT = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "hsup-test"
KERNEL, MODULES = KEPT / "vmlinuz", KEPT / "modules"
# What an init begins with that stays where the kernel has unpacked it.
BEGIN = """#!/bin/sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
"""
COLOUR = re.compile("\x1b\\[[0-9;]*[mK]")
S_IFDIR, S_IFREG, S_IFLNK = 0o040000, 0o100000, 0o120000


def slug():
    """A slug with one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        word = tarfile.TarInfo("./app/word")
        word.size = 7
        archive.addfile(word, io.BytesIO(b"packed\n"))
    return packed.getvalue()


def modules(*names):
    """(name, file) of that kernel's modules and of what they need, in the order to insert them."""
    found = {}

    def add(name):
        if name in found:
            return
        path = MODULES / f"{name}.ko"
        assert path.exists(), f"{path} is missing: run scripts/setup"
        data = path.read_bytes()
        needed = re.search(rb"\0depends=([^\0]*)\0", data).group(1).decode()
        for other in needed.split(",") if needed else ():
            add(other.replace("-", "_") if not (MODULES / f"{other}.ko").exists() else other)
        found[name] = data

    for name in names:
        add(name)
    return list(found.items())


class Initrd:
    """A cpio archive in the format that the kernel unpacks (newc)."""

    def __init__(self):
        self.names = set()
        self.parts = []

    def _entry(self, path, mode, data):
        name = path.strip("/").encode() + b"\0"
        numbers = [len(self.names) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0]
        head = b"070701" + b"".join(b"%08X" % n for n in numbers) + name
        self.parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def _new(self, path):
        """False when it is there; makes the folders above it."""
        path = os.path.normpath(path)
        if path in self.names or path == "/":
            return False
        self.directory(os.path.dirname(path))
        self.names.add(path)
        return True

    def directory(self, path, mode=0o755):
        if self._new(path):
            self._entry(path, S_IFDIR | mode, b"")

    def file(self, path, data, mode=0o644):
        if self._new(path):
            self._entry(path, S_IFREG | mode, data.encode() if isinstance(data, str) else data)

    def link(self, path, target):
        if self._new(path):
            self._entry(path, S_IFLNK | 0o777, target.encode())

    def program(self, path, source):
        """A program of this machine, and the shared libraries that it needs."""
        self.file(path, pathlib.Path(source).read_bytes(), 0o755)
        listed = subprocess.run(["ldd", source], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for library in re.findall(r"(/\S+) \(0x", listed.stdout):
            self.file(library, pathlib.Path(library).read_bytes(), 0o755)

    def library(self, name):
        """One that a program loads by its name, and those that it needs."""
        known = subprocess.run(["ldconfig", "-p"], stdout=subprocess.PIPE, text=True, check=True).stdout
        path = re.search(rf"{re.escape(name)} .*x86-64.* => (/\S+)", known).group(1)
        self.program(path, path)

    def modules(self, *names):
        """Of that kernel, with what they need, below /modules; the order to insert them in."""
        order = []
        for name, data in modules(*names):
            order.append(name)
            self.file(f"/modules/{name}.ko", data)
        return order

    def write(self, path):
        self._entry("TRAILER!!!", 0, b"")
        with open(path, "wb") as out:
            out.writelines(self.parts)


# Its processors are emulated, beside whatever else this machine does.
LIMIT = 9 * PATIENCE


class Machine:
    """Boots at once; `lines` is what its serial console has said. `hardware`: more options of qemu."""

    def __init__(self, folder, initrd=None, options="", memory="1G", hardware=()):
        assert KERNEL.exists(), f"{KERNEL} is missing: run scripts/setup"
        if initrd:
            initrd.write(folder / "initrd")
            hardware = ["-initrd", folder / "initrd", *hardware]
        self.monitor_path = folder / "monitor"
        self.lines = []
        self.process = subprocess.Popen(
            [QEMU, "-accel", "tcg", "-machine", "pc", "-cpu", "max", "-m", memory, "-nodefaults", "-no-user-config",
             "-display", "none", "-no-reboot", "-kernel", KERNEL,
             "-append", f"console=ttyS0 quiet panic=-1 {options}", "-serial", "stdio",
             "-monitor", f"unix:{self.monitor_path},server=on,wait=off", *hardware],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in iter(self.process.stdout.readline, b""):
            self.lines.append(COLOUR.sub("", line.decode(errors="replace")).rstrip("\r\n"))

    def text(self):
        return "\n".join(self.lines)

    def matches(self, pattern):
        return [m for m in map(re.compile(pattern).search, list(self.lines)) if m]

    def wait_line(self, pattern, count=1):
        """Until `count` lines match; not when the machine is off before."""
        wanted = Said(self, f"a line like {pattern!r}")
        wait_until(lambda: len(self.matches(pattern)) >= count or self.process.poll() is not None, wanted,
                   patience=LIMIT)
        if self.process.poll() is not None:
            self.reader.join(5)
        assert len(self.matches(pattern)) >= count, f"it is off without {wanted}"

    def command(self, line):
        """To qemu's monitor, as an operator with hands at the machine."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(PATIENCE)
            monitor.connect(str(self.monitor_path))
            with monitor.makefile("rb", buffering=0) as answers:
                _prompt(answers)
                monitor.sendall(line.encode() + b"\n")
                _prompt(answers)  # else it would hang up on the command

    def wait(self):
        """Until it is off; returns qemu's exit code."""
        wait_until(lambda: self.process.poll() is not None, Said(self, "its end"), patience=LIMIT)
        self.reader.join(5)
        return self.process.returncode

    def end(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.process.stdout.close()


def _prompt(answers):
    said = b""
    while not said.endswith(b"(qemu) "):
        more = answers.read(4096)
        assert more, f"qemu's monitor has gone: {said!r}"
        said += more


class Said:
    """What is waited for, as a text that also tells what the machine has said by then."""

    def __init__(self, machine, wanted):
        self.machine, self.wanted = machine, wanted

    def __format__(self, _):
        return f"{self.wanted}; the machine said:\n{self.machine.text()}"
