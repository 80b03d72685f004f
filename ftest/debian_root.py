"""A Debian root as the base of an image, of the packages that are installed on this machine: their
files, their state in dpkg's database, and what their maintainer scripts made. It is what debootstrap
would make, without a network and in seconds."""
import glob
import io
import os
import pathlib
import re
import stat
import subprocess
import tarfile

STATUS = pathlib.Path("/var/lib/dpkg/status")
DULL = re.compile(r"/usr/share/(doc|man|locale|info|lintian|bash-completion)/.")
# Made by scripts of packages, or by the administrator of any Debian.
MADE = ["/etc/alternatives/*", "/etc/ld.so.cache", "/etc/ssl/certs/*", "/etc/nsswitch.conf", "/etc/shells",
        "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/login.defs", "/etc/adduser.conf",
        "/etc/apt/trusted.gpg.d/*"]
FOLDERS = ["proc", "sys", "dev", "run", "tmp", "root", "home", "mnt", "opt", "srv", "var/tmp", "var/lock",
           "var/log", "var/cache/apt/archives/partial", "var/lib/apt/lists/partial", "var/lib/dpkg/info"]


def paragraphs():
    """name -> (fields, text) of what is installed."""
    found = {}
    for text in STATUS.read_text().split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): (.*)$", text, re.M))
        if fields.get("Status", "").endswith(" installed"):
            found[fields["Package"]] = (fields, text)
    return found


def closure(names):
    """Those packages, all that they depend on, and what is in every Debian."""
    installed = paragraphs()
    provides = {}
    for name, (fields, _) in installed.items():
        for word in fields.get("Provides", "").split(","):
            provides.setdefault(word.split("(")[0].strip(), []).append(name)
    wanted = set()
    todo = list(names) + [n for n, (f, _) in installed.items() if f.get("Essential") == "yes"] + ["apt", "passwd"]
    while todo:
        name = todo.pop()
        if name in wanted:
            continue
        if name not in installed:
            assert name in provides, f"{name} is not installed here: scripts/setup"
            todo += provides[name][:1]
            continue
        wanted.add(name)
        fields = installed[name][0]
        for group in f"{fields.get('Depends', '')},{fields.get('Pre-Depends', '')}".split(","):
            alternatives = [word.split("(")[0].split(":")[0].strip() for word in group.split("|")]
            here = [a for a in alternatives if a in installed or a in provides]
            todo += here[:1]
    return sorted(wanted), installed


def real(path):
    """Of a path as dpkg knows it (/bin/sh): where it is (/usr/bin/sh)."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


def lists_of(package):
    return sorted(glob.glob(f"/var/lib/dpkg/info/{package}.*") + glob.glob(f"/var/lib/dpkg/info/{package}:*"))


def contents(packages):
    """Absolute paths of all files, links and folders."""
    paths = set()
    for package in packages:
        for info in lists_of(package):
            paths.add(info)
            if info.endswith(".list"):
                paths |= {real(line) for line in pathlib.Path(info).read_text().splitlines() if line not in ("", "/.")}
    for pattern in MADE:
        paths |= set(glob.glob(pattern))
    # Names that stand for one of several packages: /usr/bin/awk, /usr/bin/cc.
    for folder in ("/usr/bin", "/usr/sbin"):
        for entry in os.scandir(folder):
            if entry.is_symlink() and os.readlink(entry.path).startswith("/etc/alternatives/"):
                if os.path.realpath(entry.path) in paths:
                    paths.add(entry.path)
    return sorted(p for p in paths if not DULL.match(p) and os.path.lexists(p))


def add_folder(archive, name, mode=0o755):
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name.endswith("tmp") else mode
    archive.addfile(info)


def make(path, names):
    packages, installed = closure(names)
    with tarfile.open(path, "w") as archive:
        for name in FOLDERS:
            add_folder(archive, name)
        for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
            if os.path.islink(f"/{name}"):
                archive.add(f"/{name}", name, recursive=False)
        for each in contents(packages):
            name = each.lstrip("/")
            mode = os.lstat(each).st_mode
            if name in FOLDERS or "/" not in name and stat.S_ISLNK(mode):
                continue
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode):
                archive.add(each, name, recursive=False)
        status = "\n\n".join(installed[name][1].strip("\n") for name in packages) + "\n\n"
        info = tarfile.TarInfo("var/lib/dpkg/status")
        info.size = len(status.encode())
        archive.addfile(info, io.BytesIO(status.encode()))
    return path


def setup_packages(root, *words):
    """What scripts/setup would install."""
    said = subprocess.run([root / "scripts/setup", *words, "--print"], capture_output=True, text=True, check=True)
    return said.stdout.split()
