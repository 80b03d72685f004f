"""What was unpacked goes out again as a tar stream: the helper's own wire, no supervisor."""
import io
import os
import pathlib
import socket
import struct
import subprocess
import tarfile
import threading

import pytest

BUILD = pathlib.Path(os.environ.get("HSUP_BUILD_DIR", "build")).resolve()
SLUG = BUILD / "hsup-slug"
DONE, FAILED, PACK, STAY = 66, 67, 68, 0xffffffff
ROOT = os.geteuid() == 0


class Job:
    """One helper with an order to pack `folder`; `out` is where its tar is read from."""

    def __init__(self, folder, uid=STAY, owner=(1234, 2345), entries=10000, order=None):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            self.process = subprocess.Popen(
                [SLUG, "--job"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, close_fds=False,
                preexec_fn=lambda: os.dup2(number, 3) if number != 3 else os.set_inheritable(3, True))
        self.socket = ours
        self.out, end = os.pipe()
        body = struct.pack("=IIIIQ", uid, uid, *owner, entries) if order is None else order
        packet = struct.pack("=IHHII", 0x68737570, 1, PACK, 0, 16 + len(body)) + body
        directory = os.open(folder, os.O_PATH)
        socket.send_fds(ours, [packet], [directory, end])
        os.close(directory)
        os.close(end)

    def read(self):
        with os.fdopen(self.out, "rb") as out:
            data = out.read()
        return data

    def answer(self):
        """(type, what follows), or None when it ended without one."""
        self.socket.settimeout(30)
        packet = self.socket.recv(9000)
        self.process.wait(30)
        return (struct.unpack_from("=IHHII", packet)[2], packet[16:]) if packet else None

    def failure(self):
        kind, body = self.answer()
        assert kind == FAILED
        number, length = struct.unpack_from("=iI", body)
        text = body[8:].decode()
        assert len(text) == length and "\n" not in text
        return number, text

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self.socket.close()


@pytest.fixture
def pack():
    jobs = []

    def start(*args, **more):
        jobs.append(Job(*args, **more))
        return jobs[-1]

    yield start
    for job in jobs:
        job.close()


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {m.name: m for m in archive.getmembers()}


@pytest.fixture
def slug(tmp_path):
    folder = tmp_path / "slug"
    folder.mkdir()
    folder.chmod(0o755)
    tmp_path.chmod(0o755)
    return folder


def test_all_that_a_slug_can_hold(pack, slug):
    (slug / "bin").mkdir(mode=0o750)
    (slug / "bin" / "run").write_bytes(b"#!/bin/sh\n")
    (slug / "bin" / "run").chmod(0o751)
    os.utime(slug / "bin" / "run", (0, 1234567890.5))
    (slug / "to").symlink_to("../../etc/passwd")
    (slug / "long-link").symlink_to("y" * 300)
    os.link(slug / "bin" / "run", slug / "same")
    (slug / "empty").write_bytes(b"")
    (slug / "big").write_bytes(os.urandom(3_000_001))
    deep = slug / ("d" * 200) / ("e" * 200)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"deep")
    (slug / "gr\u00fc\u00df\nGott").write_bytes(b"name")
    with open(bytes(slug) + b"/\xff\xfe", "wb") as file:
        file.write(b"no text")
    job = pack(slug)
    data = job.read()
    kind, done = job.answer()
    assert kind == DONE
    digest, size, unpacked, entries = struct.unpack_from("=64sQQQ", done)
    assert digest == b"0" * 64 and size == len(data)
    found = members(data)
    assert entries == len(found)
    assert {m.uid for m in found.values()} == {1234} and {m.gid for m in found.values()} == {2345}
    assert {m.uname + m.gname for m in found.values()} == {""}
    assert found["app"].isdir() and found["app"].mode == 0o755
    assert found["app/bin"].mode == 0o750
    run, same = sorted((found["app/bin/run"], found["app/same"]), key=lambda m: m.offset)
    assert run.isreg() and run.mode == 0o751 and run.mtime == 1234567890
    assert same.islnk() and same.linkname == run.name
    assert found["app/to"].issym() and found["app/to"].linkname == "../../etc/passwd"
    assert found["app/long-link"].linkname == "y" * 300
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        def content(name):
            return archive.extractfile(name).read()
        assert content("app/big") == (slug / "big").read_bytes()
        assert content("app/empty") == b""
        assert content(f"app/{'d' * 200}/{'e' * 200}/file") == b"deep"
        assert content("app/gr\u00fc\u00df\nGott") == b"name"
        assert content("app/" + os.fsdecode(b"\xff\xfe")) == b"no text"
    assert unpacked == sum(m.size for m in found.values() if m.isreg())


def test_an_empty_slug(pack, slug):
    job = pack(slug)
    assert list(members(job.read())) == ["app"]
    assert job.answer()[0] == DONE


@pytest.mark.skipif(not ROOT, reason="only root may become somebody else")
def test_as_root_it_reads_as_who_owns_the_slug(pack, slug):
    (slug / "mine").write_bytes(b"x")
    (slug / "mine").chmod(0o600)
    (slug / "root's").write_bytes(b"x")
    (slug / "root's").chmod(0o600)
    for path in (slug, slug / "mine"):
        os.chown(path, 4321, 4321)
    job = pack(slug, uid=4321)
    cut = job.read()
    assert job.failure() == (13, "root's: cannot open it: Permission denied")
    assert not cut.endswith(bytes(1024)) or cut == b""
    (slug / "root's").unlink()
    job = pack(slug, uid=4321)
    assert set(members(job.read())) == {"app", "app/mine"}


def test_what_cannot_be_in_a_slug(pack, slug):
    os.mkfifo(slug / "fifo")
    job = pack(slug)
    job.read()
    assert job.failure() == (74, "fifo: it is no file, directory or link")


def test_a_file_that_vanishes(pack, slug):
    """It vanishes while the pipe is full of what comes before it."""
    for name in "ab":
        (slug / name).write_bytes(bytes(1 << 20))
    order = [e.name for e in os.scandir(slug)]
    job = pack(slug)
    assert os.read(job.out, 1) == b"a"
    (slug / order[1]).unlink()
    job.read()
    assert job.failure() == (2, f"{order[1]}: cannot look at it: No such file or directory")


@pytest.mark.parametrize("size, text", [(10, "it became shorter while it was packed"),
                                        (3 << 20, "it became longer while it was packed")])
def test_a_file_that_changes_its_size(pack, slug, size, text):
    (slug / "file").write_bytes(bytes(2 << 20))
    job = pack(slug)
    os.read(job.out, 1000)
    os.truncate(slug / "file", size)
    job.read()
    assert job.failure() == (5, f"file: {text}")


def test_nobody_reads(pack, slug):
    (slug / "file").write_bytes(bytes(2 << 20))
    job = pack(slug)
    os.read(job.out, 1)
    os.close(job.out)
    assert job.failure() == (32, "nobody reads the packed slug any more")


def test_more_entries_than_ordered(pack, slug):
    for n in range(5):
        (slug / str(n)).write_bytes(b"")
    job = pack(slug, entries=6)
    assert len(members(job.read())) == 6
    assert job.answer()[0] == DONE
    job = pack(slug, entries=5)
    job.read()
    assert job.failure() == (27, "the slug has more than 5 entries")


def test_a_term_ends_it(pack, slug):
    (slug / "file").write_bytes(bytes(2 << 20))
    job = pack(slug)
    os.read(job.out, 1)
    job.process.terminate()
    threading.Timer(0.3, lambda: os.close(job.out)).start()
    number, text = job.failure()
    assert (number, text) == (125, "interrupted") or number == 32


@pytest.mark.parametrize("order", [b"", bytes(23), bytes(25),
                                   struct.pack("=IIIIQ", STAY, STAY, STAY, 0, 5),
                                   struct.pack("=IIIIQ", STAY, STAY, 0, STAY, 5)])
def test_a_malformed_order(pack, slug, order):
    job = pack(slug, order=order)
    assert job.read() == b""
    assert job.answer() is None
    assert job.process.returncode == 2
    assert "malformed" in job.process.stderr.read()
