"""Roots for base images, made of what this machine has: no registry is asked."""
import io
import os
import pathlib
import re
import subprocess
import tarfile

BUSYBOX = "/bin/busybox"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
GROUP = "root:x:0:\nnogroup:x:65534:\n"


class Root:
    """A tar file that becomes an image."""

    def __init__(self, path):
        self.archive = tarfile.open(path, "w")
        self.there = set()

    def _add(self, name, kind=tarfile.REGTYPE, data=b"", mode=0o644, link="", uid=0):
        if name in self.there:
            return
        self.there.add(name)
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size, info.linkname = kind, mode, len(data), link
        info.uid = info.gid = uid
        self.archive.addfile(info, io.BytesIO(data))

    def folder(self, name, mode=0o755):
        parent = os.path.dirname(name)
        if parent:
            self.folder(parent)
        self._add(name, tarfile.DIRTYPE, mode=mode)

    def file(self, name, data, mode=0o644):
        self.folder(os.path.dirname(name)) if "/" in name else None
        self._add(name, data=data.encode() if isinstance(data, str) else data, mode=mode)

    def link(self, name, to):
        self.folder(os.path.dirname(name)) if "/" in name else None
        self._add(name, tarfile.SYMTYPE, link=to, mode=0o777)

    def copy(self, path, name=None):
        self.file((name or str(path)).lstrip("/"), pathlib.Path(path).read_bytes(), os.stat(path).st_mode & 0o777)

    def close(self):
        self.archive.close()


def applets(root):
    root.copy(BUSYBOX, "bin/busybox")
    for name in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            root.link(f"bin/{name}", "busybox")


def common(root):
    for name, mode in (("tmp", 0o1777), ("root", 0o700), ("dev", 0o755), ("proc", 0o755), ("sys", 0o755),
                       ("etc", 0o755), ("var/tmp", 0o1777), ("usr/bin", 0o755)):
        root.folder(name, mode)
    root.file("etc/passwd", PASSWD)
    root.file("etc/group", GROUP)
    root.link("usr/bin/env", "/bin/busybox")


def busybox(path, **more):
    """busybox and nothing else: its shell is /bin/sh."""
    root = Root(path)
    common(root)
    applets(root)
    for name, text in more.items():
        root.file(name, text)
    root.close()
    return path


def libraries(program):
    """What it is linked with, by the names that it looks for."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"(?:=> )?(/\S+) \(0x", said)))


def bash(path, profile="export FROM_STACK_PROFILE=yes\n"):
    """The same and bash and printenv, with a profile of the stack's."""
    root = Root(path)
    common(root)
    applets(root)
    for program in ("/bin/bash", "/usr/bin/printenv"):
        root.copy(program)
        for library in libraries(program):
            root.copy(library)
    root.file("etc/profile.d/stack.sh", profile)
    root.close()
    return path
