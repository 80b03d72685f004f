"""A slug to unpack, and the race of hsup-slug against tar."""
import gzip
import io
import os
import random
import shutil
import tarfile

import processes
from processes import Failed

PACKAGES = 2500
FOLDERS = ("", "/lib", "/lib/util", "/test")  # two files in each: 20,000 in 10,000 folders
FILES_PER_FOLDER = 2
MEAN_BYTES = 33000
BINARY_SHARE = 0.05  # pictures and archives: gzip gains nothing on them
SPACE_NEEDED = 1200 << 20


def text_pool(rand, size):
    """Text that packs about as source code does: words of very uneven frequency, in lines."""
    letters = "etaoinshrdlucmfwypvbgkjqxz_"
    weights = range(len(letters), 0, -1)
    words = ["".join(rand.choices(letters, weights, k=rand.randint(2, 11))) for _ in range(1500)]
    frequency = [1 / (rank + 1) for rank in range(len(words))]
    out = io.StringIO()
    while out.tell() < size:
        line = rand.choices(words, frequency, k=2000)
        for at in range(0, len(line), 8):
            out.write("    " * (at % 3) + " ".join(line[at:at + 8]) + ";\n")
    return out.getvalue().encode()


def make(path, packages=PACKAGES):
    """Writes the slug, the same on every machine; returns (files, packed bytes, unpacked bytes)."""
    rand = random.Random(20000)
    text = text_pool(rand, 8 << 20)
    binary = rand.randbytes(1 << 20)
    files = unpacked = 0

    def add(tar, name, data):
        entry = tarfile.TarInfo(name)
        entry.mode = 0o755 if data is None else 0o644
        entry.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
        entry.size = len(data or b"")
        tar.addfile(entry, io.BytesIO(data or b""))

    with gzip.GzipFile(path, "wb", compresslevel=6, mtime=0) as packed, \
            tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        add(tar, "./app", None)
        for package in range(packages):
            for folder in FOLDERS:
                at = f"./app/package-{package:04d}{folder}"
                add(tar, at, None)
                for number in range(FILES_PER_FOLDER):
                    pool = binary if rand.random() < BINARY_SHARE else text
                    size = min(int(rand.expovariate(1 / MEAN_BYTES)), len(pool) // 2)
                    start = rand.randrange(len(pool) - size)
                    add(tar, f"{at}/file-{number}.js", pool[start:start + size])
                    files += 1
                    unpacked += size
    return files, os.path.getsize(path), unpacked


class Race:
    """Unpacks one slug in turn with tar and with hsup-slug, each time into a new folder."""

    def __init__(self, bench, packages=PACKAGES):
        self.bench = bench
        self.folder = os.path.join(bench.folder, "slug")
        os.mkdir(self.folder)
        space = os.statvfs(self.folder)
        if packages == PACKAGES and space.f_bavail * space.f_frsize < SPACE_NEEDED:
            raise Failed(f"{self.folder}: the slug needs {SPACE_NEEDED >> 20} MiB")
        self.slug = os.path.join(self.folder, "slug.tgz")
        self.files, self.packed, self.unpacked = make(self.slug, packages)

    def run(self, name):
        """Returns (ns, peak KiB)."""
        target = os.path.join(self.folder, "target")
        result = os.path.join(self.folder, "result")
        log = os.path.join(self.folder, "log")
        os.mkdir(target)
        if name == "tar":
            argv = ["tar", "xzf", self.slug, "-C", target]
        else:
            argv = [self.bench.programs["hsup-slug"], self.slug, target]
        pid = processes.start([self.bench.programs["measure"], result, *argv], self.bench.environ,
                              log)
        ended = processes.wait_for_all(300)
        if ended[pid] != 0:
            raise Failed(f"measure {name}: wait status {ended[pid]}")
        with open(result, encoding="ascii") as file:
            ns, peak, status = (int(word) for word in file.read().split())
        if status != 0:
            with open(log, encoding="utf-8", errors="replace") as file:
                raise Failed(f"{name}: wait status {status}: {file.read().strip()[-500:]}")
        self.check(name, target)
        shutil.rmtree(target)
        return ns, peak

    def check(self, name, target):
        count = size = 0
        for folder, _, files in os.walk(target):
            for file in files:
                count += 1
                size += os.lstat(os.path.join(folder, file)).st_size
        if (count, size) != (self.files, self.unpacked):
            raise Failed(f"{name}: unpacked {count} files of {size} bytes, "
                         f"not {self.files} of {self.unpacked}")

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
