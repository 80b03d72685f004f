"""hsup-slug: the real program, a real web server on loopback, and hostile archives.

Every failure asserts the message, the exit code, and that the target directory is as it was."""

import bz2
import gzip
import hashlib
import http.server
import io
import lzma
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import tarfile
import threading
import time
import zlib

import pytest

BUILD = pathlib.Path(os.environ.get("HSUP_BUILD_DIR", "build")).resolve()
SLUG = BUILD / "hsup-slug"


# ---- archives ----

def member(name, data=b"", kind=tarfile.REGTYPE, link="", mode=0o644, **more):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    info.size = len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def tar(*members, fmt=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def folder(name, **more):
    return member(name, kind=tarfile.DIRTYPE, mode=0o755, **more)


def symlink(name, target):
    return member(name, kind=tarfile.SYMTYPE, link=target)


def hardlink(name, target):
    return member(name, kind=tarfile.LNKTYPE, link=target)


def header(name, kind=b"0", size=0, link=""):
    """A ustar header by hand, for what tarfile refuses to write."""
    raw_size = size if isinstance(size, bytes) else b"%011o\0" % size
    h = bytearray(512)
    h[0:len(name)] = name
    h[100:108], h[108:116], h[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    h[124:136], h[136:148] = raw_size, b"00000000000\0"
    h[148:156], h[156:157] = b" " * 8, kind
    h[157:157 + len(link)] = link.encode()
    h[257:265] = b"ustar\x0000"
    h[148:156] = b"%06o\0 " % sum(h)
    return bytes(h)


END = bytes(1024)
GOOD = tar(member("./app/Procfile", b"web: run\n"), member("./app/bin/run", b"#!/bin/sh\n", mode=0o755))


def noise(size, seed=1):
    return b"".join(hashlib.sha256(b"%d %d" % (seed, i)).digest() for i in range(size // 32 + 1))[:size]


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


PACKINGS = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "zst": zstd}


# ---- running ----

@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target"
    path.mkdir()
    return path


def run(source, target, *options, **more):
    command = [SLUG, *options, source, target]
    return subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, **more)


def save(tmp_path, data, name="slug.tgz"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def unpacked(result, target):
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    path = pathlib.Path(result.stdout.rstrip("\n"))
    assert path.parent == target and re.fullmatch("[0-9a-f]{64}", path.name)
    assert sorted(os.listdir(target)) == [path.name]
    return path


def refused(result, target, text):
    assert result.returncode == 1, (result.returncode, result.stdout, result.stderr)
    assert result.stdout == ""
    assert re.fullmatch(r"hsup-slug: [^\n]*\n", result.stderr), result.stderr
    assert text in result.stderr, result.stderr
    assert os.listdir(target) == []


def files_of(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


# ---- the good ----

@pytest.mark.parametrize("packing", ["tar", *PACKINGS])
def test_packings(tmp_path, target, packing):
    data = PACKINGS.get(packing, bytes)(GOOD)
    path = unpacked(run(save(tmp_path, data), target), target)
    assert path.name == hashlib.sha256(data).hexdigest()
    assert files_of(path) == ["Procfile", "bin", "bin/run"]
    assert (path / "Procfile").read_bytes() == b"web: run\n"
    assert (path / "bin/run").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("cut", [1, 511, 131072, 131073, 400000])
def test_gzip_of_many_members_at_any_border(tmp_path, target, level, cut):
    data = noise(300000) + bytes(200000)
    whole = tar(member("app/a", data), member("app/b", data[::-1]))
    packed = b"".join(gzip.compress(whole[at:at + cut] if cut > 1 else whole, level)
                      for at in (range(0, len(whole), cut) if cut > 1 else [0]) if cut > 500 or at == 0)
    path = unpacked(run(save(tmp_path, packed), target), target)
    assert (path / "a").read_bytes() == data and (path / "b").read_bytes() == data[::-1]


def test_gzip_header_fields(tmp_path, target):
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(GOOD) + deflate.flush()
    head = b"\x1f\x8b\x08\x1e" + bytes(6) + struct.pack("<H", 5) + b"extra" + b"name\0comment\0"
    head += struct.pack("<H", zlib.crc32(head) & 0xffff)
    data = head + body + struct.pack("<II", zlib.crc32(GOOD), len(GOOD))
    assert "Procfile" in files_of(unpacked(run(save(tmp_path, data), target), target))


def test_kinds_modes_and_times(tmp_path, target):
    data = tar(folder("app"), member("app/setuid", b"x", mode=0o6755, mtime=1234567890),
               member("app/open", b"y", mode=0o1777), symlink("app/out", "/etc/passwd"),
               symlink("app/dangling", "../../nowhere"), hardlink("app/hard", "app/open"),
               member("app/d\xe9j\xe0", b"z"), folder("app/closed"))
    path = unpacked(run(save(tmp_path, gzip.compress(data)), target), target)
    assert (path / "setuid").stat().st_mode & 0o7777 == 0o755
    assert (path / "setuid").stat().st_mtime == 1234567890
    assert (path / "open").stat().st_mode & 0o7777 == 0o755
    assert os.readlink(path / "out") == "/etc/passwd"
    assert os.readlink(path / "dangling") == "../../nowhere"
    assert (path / "hard").stat().st_ino == (path / "open").stat().st_ino
    assert (path / "d\xe9j\xe0").read_bytes() == b"z"


def test_names_that_are_not_utf8_are_kept(tmp_path, target):
    raw = header(b"app/\xff\xfe", size=1) + b"x".ljust(512, b"\0") + END
    path = unpacked(run(save(tmp_path, raw), target), target)
    assert os.listdir(os.fsencode(path)) == [b"\xff\xfe"]


def test_xattrs_and_capabilities_are_ignored(tmp_path, target):
    info, data = member("app/f", b"x")
    info.pax_headers = {"SCHILY.xattr.security.capability": "\x01\x00\x00\x02", "SCHILY.xattr.user.a": "b"}
    path = unpacked(run(save(tmp_path, tar((info, data))), target), target)
    assert os.listxattr(path / "f") == []


@pytest.mark.parametrize("members, expected", [
    (["./app/Procfile", "./app/x"], ["Procfile", "x"]),
    (["app/Procfile", "app/x", "outside"], ["Procfile", "x"]),
    (["./app/Procfile", "./outside"], ["Procfile"]),
    (["./Procfile", "./app/models/a"], ["Procfile", "app", "app/models", "app/models/a"]),
    (["app/models/a", "Procfile"], ["Procfile", "app", "app/models", "app/models/a"]),
    (["bin/run", "x"], ["bin", "bin/run", "x"]),
    (["application/x"], ["application", "application/x"]),
    (["app"], ["app"]),
])
def test_prefix(tmp_path, target, members, expected):
    data = tar(*[member(name, b"x") for name in members])
    assert files_of(unpacked(run(save(tmp_path, data), target), target)) == expected


def test_prefix_with_an_entry_for_the_root(tmp_path, target):
    data = tar(folder("./"), folder("./app"), member("./app/models/a"), member("./bin/run"))
    assert files_of(unpacked(run(save(tmp_path, data), target), target)) == [
        "app", "app/models", "app/models/a", "bin", "bin/run"]


def test_later_entry_replaces_earlier(tmp_path, target):
    data = tar(member("app/f", b"old"), member("app/f", b"new"), symlink("app/l", "/etc/passwd"),
               member("app/l", b"file"), symlink("app/f2", "a"), symlink("app/f2", "b"))
    path = unpacked(run(save(tmp_path, data), target), target)
    assert (path / "f").read_bytes() == b"new"
    assert not (path / "l").is_symlink() and (path / "l").read_bytes() == b"file"
    assert os.readlink(path / "f2") == "b"


def test_second_time_is_cached(tmp_path, target):
    source = save(tmp_path, gzip.compress(GOOD))
    path = unpacked(run(source, target), target)
    before = path.stat().st_ino
    assert unpacked(run(source, target), target) == path
    checksum = "SHA256:" + path.name.upper()
    assert unpacked(run(source, target, "--checksum", checksum), target) == path
    # What the checksum names is here: the source is not even looked at.
    assert unpacked(run("/nonexistent", target, "--checksum", checksum), target) == path
    assert path.stat().st_ino == before


@pytest.mark.parametrize("form", ["file://{}", "file://localhost{}", "FILE://{}"])
def test_file_url(tmp_path, target, form):
    source = save(tmp_path, gzip.compress(GOOD), "a slug%.tgz")
    escaped = str(source).replace("%", "%25").replace(" ", "%20")
    unpacked(run(form.format(escaped), target), target)


def test_relative_path(tmp_path, target):
    save(tmp_path, gzip.compress(GOOD))
    unpacked(run("slug.tgz", target, cwd=tmp_path), target)


if os.geteuid() == 0:
    def test_root_becomes_the_owner_of_the_target(tmp_path, target):
        os.chown(target, 12345, 12346)
        data = tar(folder("app", ), member("app/secret", b"x", mode=0o600), member("app/run", b"x", mode=0o700))
        path = unpacked(run(save(tmp_path, data), target), target)
        st = (path / "secret").stat()
        assert (st.st_uid, st.st_gid) == (12345, 12346)
        # Heroku's slugs are made with umask 077; dynos of other users must read them.
        assert st.st_mode & 0o777 == 0o644
        assert (path / "run").stat().st_mode & 0o777 == 0o755


# ---- bad sources ----

@pytest.mark.parametrize("source, text", [
    ("/nonexistent/slug.tgz", "/nonexistent/slug.tgz: cannot open it: No such file or directory"),
    ("file:///nonexistent%20slug", "No such file or directory"),
    ("file://elsewhere/slug", "must name no host"),
    ("file:///a%zz", "damaged %-escape"),
    ("file:///a%00b", "damaged %-escape"),
    ("ftp://127.0.0.1/slug", "only paths, file://, http:// and https:// are known"),
    ("", "source is empty"),
    ("/etc", "not a regular file"),
    ("/dev/zero", "not a regular file"),
])
def test_bad_source(target, source, text):
    refused(run(source, target), target, text)


def test_fifo_is_not_waited_for(tmp_path, target):
    os.mkfifo(tmp_path / "fifo")
    refused(run(tmp_path / "fifo", target), target, "not a regular file")


@pytest.mark.parametrize("data, text", [
    (b"", "not a sound tar archive"),
    (b"hello\n" * 1000, "not a sound tar archive"),
    (END * 10, "the archive is empty"),
    (gzip.compress(b""), "not a sound tar archive"),
    (gzip.compress(b"PK\3\4" * 1000), "not a sound tar archive"),
], ids=["nothing", "text", "zeros", "packed nothing", "packed text"])
def test_no_archive(tmp_path, target, data, text):
    refused(run(save(tmp_path, data), target), target, text)


@pytest.mark.parametrize("arguments", [
    [], ["one"], ["a", "b", "c"], ["--nonsense", "a", "b"], ["--max-bytes", "x", "a", "b"],
    ["--max-bytes", "0", "a", "b"], ["--max-entries", "-1", "a", "b"], ["a", "b", "--checksum"], ["--remove"],
    ["--job", "x"], ["--job"],
])
def test_usage(arguments):
    result = subprocess.run([SLUG, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, timeout=20)
    assert result.returncode == 2
    assert "usage: hsup-slug" in result.stderr and result.stdout == ""


def test_target_that_does_not_exist(tmp_path):
    result = run(save(tmp_path, GOOD), tmp_path / "none")
    assert result.returncode == 1 and result.stderr == f"hsup-slug: {tmp_path}/none: No such file or directory\n"


# ---- checksums ----

def test_right_checksum(tmp_path, target):
    data = gzip.compress(GOOD)
    unpacked(run(save(tmp_path, data), target, "--checksum", "SHA256:" + hashlib.sha256(data).hexdigest()), target)


def test_wrong_checksum(tmp_path, target):
    refused(run(save(tmp_path, gzip.compress(GOOD)), target, "--checksum", "SHA256:" + "ab" * 32), target,
            "wrong checksum: it is SHA256:")


@pytest.mark.parametrize("checksum", ["x", "SHA256:12", "MD5:" + "0" * 64, "SHA256:" + "g" * 64])
def test_malformed_checksum(tmp_path, target, checksum):
    refused(run(save(tmp_path, GOOD), target, "--checksum", checksum), target, "must be SHA256: and 64 hex digits")


# ---- hostile archives ----

OUTSIDE = "OUTSIDE"  # replaced by the path of a file next to the target

HOSTILE = {
    "dot-dot": ([member("app/../../evil", b"x")], 'the name holds ".."'),
    "dot-dot first": ([member("../evil", b"x")], 'the name holds ".."'),
    "dot-dot folder": ([folder("app/..")], 'the name holds ".."'),
    "absolute": ([member("/evil", b"x")], "the name is absolute"),
    "absolute folder": ([folder("/tmp/evil")], "the name is absolute"),
    "through a symlink": ([symlink("app/l", "/tmp"), member("app/l/evil", b"x")], "through a symbolic link"),
    "through a symlink inside": ([folder("app/d"), symlink("app/l", "d"), member("app/l/evil", b"x")],
                                 "through a symbolic link"),
    "through two symlinks": ([symlink("app/a", ".."), symlink("app/b", "a/.."), member("app/b/evil", b"x")],
                             "through a symbolic link"),
    "folder through a symlink": ([symlink("app/l", "/tmp"), folder("app/l/evil")], "through a symbolic link"),
    "symlink through a symlink": ([symlink("app/l", "/tmp"), symlink("app/l/evil", "x")], "through a symbolic link"),
    "the prefix is a symlink": ([symlink("app", "/tmp"), member("app/evil", b"x")], "through a symbolic link"),
    "folder over a symlink": ([symlink("app/l", "/tmp"), folder("app/l")], "something else of this name"),
    "folder over a file": ([member("app/f", b"x"), folder("app/f")], "something else of this name"),
    "file over a folder": ([folder("app/d"), member("app/d", b"x")], "there is a directory of this name"),
    "file over the root": ([member("app/f", b"x"), member(".", b"x")], "it would replace the slug's root"),
    "below a file": ([member("app/f", b"x"), member("app/f/g", b"x")], "below a file"),
    "hard link absolute": ([hardlink("app/h", OUTSIDE)], "hard link to outside"),
    "hard link dot-dot": ([hardlink("app/h", "../outside")], "hard link to outside"),
    "hard link through a symlink": ([symlink("app/l", "/etc"), hardlink("app/h", "app/l/passwd")],
                                    "through a symbolic link"),
    "hard link to a symlink": ([symlink("app/l", "/etc/passwd"), hardlink("app/h", "app/l")],
                               "not a regular file"),
    "hard link to a folder": ([folder("app/d"), hardlink("app/h", "app/d")], "not a regular file"),
    "hard link to nothing": ([hardlink("app/h", "app/none")], "not in the slug"),
    "hard link to itself": ([member("app/f", b"x"), hardlink("app/f", "app/f")], "hard link to itself"),
    "hard link below a symlink": ([member("app/f", b"x"), symlink("app/l", "/tmp"), hardlink("app/l/h", "app/f")],
                                  "through a symbolic link"),
    "character device": ([member("app/null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3)], "it is a device"),
    "block device": ([member("app/sda", kind=tarfile.BLKTYPE, devmajor=8)], "it is a device"),
    "fifo": ([member("app/fifo", kind=tarfile.FIFOTYPE)], "it is a FIFO"),
    "empty symlink": ([symlink("app/l", "")], "no usable target"),
    "long part": ([member("app/" + "n" * 256, b"x")], "longer than 255 bytes"),
    "long name": ([member("app/" + "/".join(["n" * 200] * 20), b"x")], "the name is too long"),
    "deep nesting": ([member("app" + "/d" * 3000, b"x")], "the name is "),
    "deep but short": ([member("app" + "/d" * 128, b"x")], "nested too deeply"),
}


@pytest.mark.parametrize("packing", [bytes, gzip.compress], ids=["tar", "gz"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(tmp_path, target, name, packing):
    outside = tmp_path / "outside"
    outside.write_text("secret")
    members, text = HOSTILE[name]
    members = [(i, d) for i, d in members]
    for info, _ in members:
        if info.linkname == OUTSIDE:
            info.linkname = str(outside)
    first = [] if members[0][0].name == "app" else [member("app/first", b"1")]
    data = tar(*first, *members, member("app/last", b"2"))
    refused(run(save(tmp_path, packing(data)), target), target, text)
    assert outside.stat().st_nlink == 1 and outside.read_text() == "secret"
    assert sorted(os.listdir(tmp_path)) == ["outside", "slug.tgz", "target"]
    assert not os.path.lexists("/tmp/evil") and not os.path.lexists("/evil")


def test_hard_link_with_data(tmp_path, target):
    """A pax hard link that brings data: what libarchive makes of it must not be written through it."""
    pax = b"".join(b"%d %s\n" % (len(r) + 4, r) for r in [b"linkpath=app/first"])
    record = b"23 linkpath=app/first\n"
    record = b"%d linkpath=app/first\n" % (len(b" linkpath=app/first\n") + 2)
    assert pax and len(record) == int(record.split()[0])
    raw = (header(b"app/first", size=1) + b"1".ljust(512, b"\0") + header(b"pax", b"x", len(record)) +
           record.ljust(512, b"\0") + header(b"app/h", b"1", 5, "app/first") + b"EVIL!".ljust(512, b"\0") + END)
    refused(run(save(tmp_path, raw), target), target, "hard link with data")


def test_empty_name(tmp_path, target):
    refused(run(save(tmp_path, header(b"", size=0) + END), target), target, "the name is empty")


def test_negative_size(tmp_path, target):
    refused(run(save(tmp_path, header(b"app/f", size=b"\xff" * 12) + END), target), target, "negative size")


def test_huge_pax_header(tmp_path, target):
    raw = header(b"pax", b"x", 60 << 20) + bytes(60 << 20) + header(b"app/f") + END
    refused(run(save(tmp_path, gzip.compress(raw, 1)), target), target, "not a sound tar archive")


def test_names_are_shown_escaped(tmp_path, target):
    data = tar(member("app/a\nb\x1b[31mc/../x", b"x"))
    refused(run(save(tmp_path, data), target), target, r"entry 'app/a\x0ab\x1b[31mc/../x': the name holds")


def test_source_is_shown_escaped(tmp_path, target):
    result = run(tmp_path / "no\nsuch\x1b[31m", target)
    refused(result, target, r"no\x0asuch\x1b[31m: cannot open")


# ---- damaged archives ----

@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("keep", [0.3, 0.7, -9, -4, -1])
def test_truncated(tmp_path, target, packing, keep):
    data = PACKINGS[packing](tar(member("app/a", noise(700000)), member("app/b", noise(5000, 2))))
    size = int(len(data) * keep) if keep > 0 else len(data) + keep
    result = run(save(tmp_path, data[:size]), target)
    refused(result, target, "cut off" if packing == "gz" else "damaged or cut off")


@pytest.mark.parametrize("packing", PACKINGS)
def test_one_flipped_bit(tmp_path, target, packing):
    data = bytearray(PACKINGS[packing](tar(member("app/a", noise(700000)), member("app/b", noise(5000, 2)))))
    data[len(data) // 2] ^= 0x10
    refused(run(save(tmp_path, bytes(data)), target), target, "damaged")


@pytest.mark.parametrize("level", [0, 9])
@pytest.mark.parametrize("at, text", [(-8, "CRC"), (-1, "length")])
def test_gzip_trailer(tmp_path, target, level, at, text):
    data = bytearray(gzip.compress(GOOD, level))
    data[at] ^= 1
    refused(run(save(tmp_path, bytes(data)), target), target, text)


def test_flipped_bit_in_stored_gzip(tmp_path, target):
    """The tar stays sound, only the CRC knows."""
    data = bytearray(gzip.compress(tar(member("app/a", noise(70000))), 0))
    data[40000] ^= 1
    refused(run(save(tmp_path, bytes(data)), target), target, "its CRC does not match")


@pytest.mark.parametrize("packing, garbage, text", [
    ("gz", b"garbage!", "something else behind the gzip data"),
    ("gz", bytes(64), "something else behind the gzip data"),
    ("zst", b"garbage!", "damaged"),
    ("zst", bytes(64), "damaged"),
    ("xz", b"garbage!", "damaged"),
    ("bz2", b"garbage!", "something else behind the packed data"),
    ("bz2", bytes(64), "something else behind the packed data"),
], ids=lambda value: "zeros" if value == bytes(64) else None)
def test_trailing_garbage(tmp_path, target, packing, garbage, text):
    refused(run(save(tmp_path, PACKINGS[packing](GOOD) + garbage), target), target, text)


def test_xz_may_be_padded(tmp_path, target):
    unpacked(run(save(tmp_path, lzma.compress(GOOD) + bytes(64)), target), target)


@pytest.mark.parametrize("packing", [bytes, gzip.compress], ids=["tar", "gz"])
def test_tar_cut_between_entries(tmp_path, target, packing):
    whole = tar(member("app/a", b"x" * 512), member("app/b", b"x" * 512))
    assert whole[2048:].strip(b"\0") == b""
    refused(run(save(tmp_path, packing(whole[:1024])), target), target, "its end mark is missing")
    refused(run(save(tmp_path, packing(whole[:1300])), target), target, "not a sound tar archive")


def test_tar_cut_in_a_file(tmp_path, target):
    whole = tar(member("app/a", noise(5000)))
    refused(run(save(tmp_path, whole[:2000]), target), target, "not a sound tar archive")


def test_data_behind_the_end(tmp_path, target):
    data = gzip.compress(GOOD + noise(1 << 20) * 40, 1)
    refused(run(save(tmp_path, data), target), target, "more data behind the archive's end")


# ---- bombs ----

def test_byte_bomb(tmp_path, target):
    data = gzip.compress(tar(*[member(f"app/{i}", bytes(1 << 20)) for i in range(20)]))
    refused(run(save(tmp_path, data), target, "--max-bytes", str(10 << 20)), target,
            "entry 'app/10': the slug unpacks to more than 10485760 bytes")


@pytest.mark.parametrize("size", [b"%011o\0" % (8 << 30), b"\x80" + bytes(3) + struct.pack(">Q", 1 << 62)],
                         ids=["8 GiB", "2^62"])
def test_declared_size_bomb(tmp_path, target, size):
    if size[0] != 0x80:
        size = b"\x80" + bytes(3) + struct.pack(">Q", 8 << 30)
    raw = header(b"app/bomb", size=size) + bytes(1 << 20)
    refused(run(save(tmp_path, gzip.compress(raw)), target), target, "unpacks to more than 4294967296 bytes")


def test_sparse_bomb(tmp_path, target):
    real = 1 << 40
    record = b"".join(b"%d %s" % (len(r) + 3, r) for r in (
        b"GNU.sparse.major=1\n", b"GNU.sparse.minor=0\n", b"GNU.sparse.name=app/s\n"))
    r = b"GNU.sparse.realsize=%d\n" % real
    record += b"%d %s" % (len(r) + 3, r)
    sparse_map = b"1\n0\n512\n".ljust(512, b"\0")
    raw = (header(b"pax", b"x", len(record)) + record.ljust(512, b"\0") + header(b"app/x", size=1024) + sparse_map +
           b"d" * 512 + END)
    refused(run(save(tmp_path, raw), target), target, "unpacks to more than")
    path = unpacked(run(save(tmp_path, raw), target, "--max-bytes", str(real)), target)
    assert (path / "s").stat().st_size == real and (path / "s").stat().st_blocks < 100


def test_entry_bomb(tmp_path, target):
    data = tar(*[member(f"app/{i}") for i in range(2000)])
    refused(run(save(tmp_path, data), target, "--max-entries", "1000"), target, "more than 1000 entries")


def test_implied_folders_count_as_entries(tmp_path, target):
    data = tar(*[member(f"{i}" + "/d" * 100 + "/f") for i in range(20)])
    refused(run(save(tmp_path, data), target, "--max-entries", "1000"), target, "more than 1000 entries")


def test_source_larger_than_the_limit(tmp_path, target):
    refused(run(save(tmp_path, GOOD), target, "--max-download", "1000"), target, "larger than 1000 bytes")


# ---- the system ----

def test_disk_full(tmp_path, target):
    source = save(tmp_path, gzip.compress(tar(member("app/a", bytes(4 << 20)))))
    script = ('mount -t tmpfs -o size=1m none "$2" || exit 77; "$0" "$1" "$2"; code=$?; ls -A "$2"; exit $code')
    result = subprocess.run(["unshare", "-m", "--propagation", "private", *(["-r"] if os.geteuid() else []), "sh",
                             "-c", script, SLUG, source, target], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, timeout=60)
    assert result.returncode == 1, result.stderr
    assert result.stderr == f"hsup-slug: {source}: entry 'app/a': cannot write: No space left on device\n"
    assert result.stdout == ""
    assert os.listdir(target) == []


def test_read_only_target(tmp_path, target):
    source = save(tmp_path, GOOD)
    script = 'mount -t tmpfs -o ro none "$2" || exit 77; exec "$0" "$1" "$2"'
    result = subprocess.run(["unshare", "-m", "--propagation", "private", *(["-r"] if os.geteuid() else []), "sh",
                             "-c", script, SLUG, source, target], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.endswith("cannot make a directory in the target directory: Read-only file system\n")


@pytest.fixture
def big(tmp_path):
    """Enough entries to be caught in the middle."""
    raw = b"".join(header(b"app/%06d" % i) for i in range(100000)) + END
    return save(tmp_path, gzip.compress(raw, 1))


def start_and_wait_for_work(source, target, *options):
    process = subprocess.Popen([SLUG, *options, source, target], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        names = os.listdir(target)
        if names and os.listdir(target / names[0]):
            return process, names[0]
        assert process.poll() is None
    raise AssertionError("no work was begun")


def test_kill_9_leaves_only_a_temporary(big, target):
    process, _ = start_and_wait_for_work(big, target)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(os.listdir(target)) == 1 and os.listdir(target)[0].startswith(".tmp-")


def test_term_cleans_up(big, target):
    process, _ = start_and_wait_for_work(big, target)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 1 and "interrupted" in said
    assert os.listdir(target) == []


def test_sandbox_is_closed_while_unpacking(big, target):
    process, _ = start_and_wait_for_work(big, target)
    process.send_signal(signal.SIGSTOP)
    try:
        threads = os.listdir(f"/proc/{process.pid}/task")
        assert len(threads) == 2
        for thread in threads:
            status = dict(line.split(":\t", 1) for line in pathlib.Path(
                f"/proc/{process.pid}/task/{thread}/status").read_text().splitlines() if ":\t" in line)
            assert status["NoNewPrivs"].strip() == "1"
            # A build with the address sanitizer goes without seccomp (slug/sandbox.h).
            assert status["Seccomp"].strip() == ("0" if b"__asan_init" in SLUG.read_bytes() else "2")
            for which in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
                assert int(status[which], 16) == 0
        limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def test_remove_trash(tmp_path, target):
    (target / ".trash-a/b/c").mkdir(parents=True)
    (target / ".trash-a/b/f").write_text("x")
    (target / ".trash-a/b/l").symlink_to(tmp_path)
    (target / "kept").mkdir()
    outside = tmp_path / "outside"
    outside.write_text("x")
    result = subprocess.run([SLUG, "--remove", target], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            timeout=20)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert os.listdir(target) == ["kept"] and outside.exists()


# ---- jobs by packets ----

def job(packet_parts, target):
    """Orders a job as the supervisor does; the packets that come back as (type, body)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory = os.open(target, os.O_PATH | os.O_DIRECTORY)
    number = theirs.fileno()
    process = subprocess.Popen([SLUG, "--job"], stdin=subprocess.DEVNULL, close_fds=False,
                               preexec_fn=lambda: os.dup2(number, 3) if number != 3 else os.set_inheritable(3, True))
    theirs.close()
    socket.send_fds(ours, [packet_parts], [directory])
    os.close(directory)
    packets = []
    ours.settimeout(30)
    while data := ours.recv(8192):
        magic, version, kind, _, length = struct.unpack_from("=IHHII", data)
        assert magic == 0x68737570 and version == 1 and length == len(data)
        packets.append((kind, data[16:]))
    ours.close()
    process.wait(timeout=20)
    return packets


def order(source, checksum="", uid=0xffffffff, max_bytes=1 << 30):
    body = struct.pack("=QQQIIHHI", max_bytes, 1000, 1 << 30, uid, uid, len(source), len(checksum), 0)
    body += (source + checksum).encode()
    return struct.pack("=IHHII", 0x68737570, 1, 64, 1, 16 + len(body)) + body


def test_job(tmp_path, target):
    data = gzip.compress(GOOD)
    source = save(tmp_path, data)
    packets = job(order(str(source)), target)
    assert {kind for kind, _ in packets[:-1]} <= {65}
    kind, body = packets[-1]
    digest, packed, bytes_, entries, cached, _ = struct.unpack("=64sQQQII", body)
    assert kind == 66 and digest.decode() == hashlib.sha256(data).hexdigest()
    assert (packed, bytes_, entries, cached) == (len(data), 19, 4, 0)
    kind, body = job(order(str(source)), target)[-1]
    assert kind == 66 and struct.unpack("=64sQQQII", body)[4] == 1


def failure(packets):
    (kind, body), = [p for p in packets if p[0] != 65]
    error, length = struct.unpack_from("=iI", body)
    assert kind == 67 and len(body) == 8 + length
    return error, body[8:].decode()


@pytest.mark.parametrize("data, checksum, limit, error", [
    (None, "", 1 << 30, "ENOENT"), (b"x" * 2000, "", 1 << 30, "EBADMSG"), (GOOD, "SHA256:" + "0" * 64, 1 << 30,
                                                                        "EKEYREJECTED"), (GOOD, "", 10, "EFBIG")],
    ids=["missing", "no archive", "checksum", "limit"])
def test_job_that_fails(tmp_path, target, data, checksum, limit, error):
    import errno
    source = tmp_path / "slug"
    if data is not None:
        source.write_bytes(data)
    code, text = failure(job(order(str(source), checksum, max_bytes=limit), target))
    assert code == getattr(errno, error), text
    assert text.startswith(str(source)) and os.listdir(target) == []


if os.geteuid() == 0:
    def test_job_becomes_the_user(tmp_path, target):
        os.chown(target, 12345, 12345)
        source = save(tmp_path, tar(member("app/f", b"x", mode=0o600)))
        source.chmod(0o600)
        assert job(order(str(source), uid=12345), target)[-1][0] == 66
        slug, = target.iterdir()
        assert (slug / "f").stat().st_uid == 12345 and (slug / "f").stat().st_mode & 0o777 == 0o644


# ---- the web ----

class Site:
    """A server whose answers a test scripts: a list of functions, the last one for ever."""

    def __init__(self):
        site = self
        self.requests, self.answers = [], []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                site.requests.append((self.path, dict(self.headers)))
                answer = site.answers[min(len(site.requests), len(site.answers)) - 1]
                self.close_connection = True
                try:
                    answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def site():
    s = Site()
    yield s
    s.close()


def whole(data, etag=None, cut=None, date=None):
    def answer(h):
        h.send_response(200)
        h.send_header("Content-Length", str(len(data)))
        if etag:
            h.send_header("ETag", etag)
        if date:
            h.send_header("Last-Modified", date)
        h.end_headers()
        h.wfile.write(data[:cut])
        h.wfile.flush()
    return answer


def rest(data, etag):
    def answer(h):
        start = int(re.fullmatch(r"bytes=(\d+)-", h.headers["Range"]).group(1))
        assert h.headers["If-Range"] == etag
        h.send_response(206)
        h.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        h.send_header("Content-Length", str(len(data) - start))
        h.send_header("ETag", etag)
        h.end_headers()
        h.wfile.write(data[start:])
    return answer


def status(code, **headers):
    def answer(h):
        h.send_response(code)
        for key, value in headers.items():
            h.send_header(key, value)
        h.send_header("Content-Length", "5")
        h.end_headers()
        h.wfile.write(b"nope\n")
    return answer


@pytest.fixture(scope="module")
def packed():
    return gzip.compress(tar(member("app/a", noise(400000))))


def test_fetch(site, target, packed):
    site.answers = [whole(packed)]
    path = unpacked(run(site.url + "/slug.tgz?token=secret", target), target)
    assert path.name == hashlib.sha256(packed).hexdigest()
    assert site.requests[0][0] == "/slug.tgz?token=secret"
    assert site.requests[0][1]["User-Agent"] == "hsup-slug" and "Range" not in site.requests[0][1]


def test_fetch_with_wrong_checksum(site, target, packed):
    site.answers = [whole(packed)]
    refused(run(site.url + "/s", target, "--checksum", "SHA256:" + "0" * 64), target, "wrong checksum")


def test_404_is_final(site, target):
    site.answers = [status(404)]
    refused(run(site.url + "/slug.tgz", target), target, f"{site.url}/slug.tgz: the server answered 404")
    assert len(site.requests) == 1


def test_no_secrets_in_messages(site, target):
    site.answers = [status(403)]
    url = site.url.replace("://", "://user:password@") + "/slug.tgz?signature=topsecret"
    result = run(url, target)
    refused(result, target, f"{site.url}/slug.tgz: the server answered 403")
    assert "password" not in result.stderr and "topsecret" not in result.stderr
    assert site.requests[0][1]["Authorization"].startswith("Basic ")


def test_500_is_tried_three_times(site, target):
    site.answers = [status(500)]
    began = time.monotonic()
    refused(run(site.url + "/s", target), target, "the server answered 500 (after 3 tries)")
    assert len(site.requests) == 3
    assert time.monotonic() - began >= 0.6


def test_500_then_well(site, target, packed):
    site.answers = [status(503), whole(packed)]
    unpacked(run(site.url + "/s", target), target)
    assert len(site.requests) == 2


def test_nobody_listens(target):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{s.getsockname()[1]}/slug"
    refused(run(url, target), target, "(after 3 tries)")


def test_slow(site, target, packed):
    release = threading.Event()

    def drip(h):
        whole(packed, cut=100)(h)
        release.wait(20)
    site.answers = [drip]
    began = time.monotonic()
    result = run(site.url + "/s", target, "--low-speed-time", "1", "--tries", "1")
    took = time.monotonic() - began
    release.set()
    refused(result, target, "Operation too slow")
    assert 0.9 < took < 6


def test_cut_off_and_resumed(site, target, packed):
    site.answers = [whole(packed, '"one"', 100000), rest(packed, '"one"')]
    path = unpacked(run(site.url + "/s", target), target)
    assert path.name == hashlib.sha256(packed).hexdigest()
    assert site.requests[1][1]["Range"] == "bytes=100000-"


def test_cut_off_and_resumed_by_date(site, target, packed):
    date = "Sat, 21 Nov 2026 08:00:00 GMT"
    site.answers = [whole(packed, cut=100000, date=date), rest(packed, date)]
    assert unpacked(run(site.url + "/s", target), target).name == hashlib.sha256(packed).hexdigest()


def test_cut_off_and_changed_meanwhile(site, target, packed):
    site.answers = [whole(noise(500000), '"one"', 100000), whole(packed, '"two"')]
    assert unpacked(run(site.url + "/s", target), target).name == hashlib.sha256(packed).hexdigest()
    assert site.requests[1][1]["If-Range"] == '"one"'


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_cut_off_without_validator_starts_anew(site, target, packed, etag):
    site.answers = [whole(packed, etag, 100000), whole(packed, etag)]
    unpacked(run(site.url + "/s", target), target)
    assert "Range" not in site.requests[1][1]


def test_wrong_range_is_refused(site, target, packed):
    def wrong(h):
        h.send_response(206)
        h.send_header("Content-Range", f"bytes 5-{len(packed) - 1}/{len(packed)}")
        h.send_header("Content-Length", str(len(packed) - 5))
        h.end_headers()
        h.wfile.write(packed[5:])
    site.answers = [whole(packed, '"one"', 100000), wrong]
    refused(run(site.url + "/s", target), target, "the server answered 206, which is no slug")


def test_416_starts_anew(site, target, packed):
    site.answers = [whole(packed, '"one"', 100000), status(416), whole(packed, '"two"')]
    unpacked(run(site.url + "/s", target), target)
    assert "Range" not in site.requests[2][1]


def test_cut_off_for_good(site, target, packed):
    site.answers = [whole(packed, None, 100000)]
    refused(run(site.url + "/s", target), target, "cut off after 100000 bytes (after 3 tries)")
    assert len(site.requests) == 3


def test_redirect(site, target, packed):
    site.answers = [status(302, Location="/elsewhere"), whole(packed)]
    unpacked(run(site.url + "/s", target), target)
    assert site.requests[1][0] == "/elsewhere"


def test_redirect_loop(site, target):
    site.answers = [status(302, Location="/again")]
    refused(run(site.url + "/s", target), target, "more than 5 redirects")
    assert len(site.requests) == 6


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"])
def test_redirect_to_another_scheme(site, target, location):
    site.answers = [status(302, Location=location)]
    refused(run(site.url + "/s", target), target, "not supported or disabled")


def test_status_without_slug(site, target):
    site.answers = [status(300)]
    refused(run(site.url + "/s", target), target, "the server answered 300")


def test_download_limit(site, target, packed):
    def endless(h):
        h.send_response(200)
        h.end_headers()
        for _ in range(1000):
            h.wfile.write(bytes(100000))
    site.answers = [endless]
    refused(run(site.url + "/s", target, "--max-download", "1000000"), target, "larger than 1000000 bytes")


def test_hostile_download(site, target):
    site.answers = [whole(gzip.compress(tar(member("../evil", b"x"))))]
    refused(run(site.url + "/s", target), target, 'the name holds ".."')


def test_interrupted_fetch(site, target, packed):
    hold = threading.Event()

    def stall(h):
        whole(packed, cut=1000)(h)
        hold.wait(20)
    site.answers = [stall]
    process = subprocess.Popen([SLUG, site.url + "/s", target], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    while not site.requests:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=10)
    hold.set()
    assert process.returncode == 1 and said == f"hsup-slug: {site.url}/s: interrupted\n"
    assert os.listdir(target) == []


def test_progress_bar_on_a_terminal_only(tmp_path, big, target):
    import pty
    ours, theirs = pty.openpty()
    process = subprocess.Popen([SLUG, big, target], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 4096):
            seen += data
    except OSError:
        pass
    os.close(ours)
    process.communicate()
    assert process.returncode == 0
    lines = seen.split(b"\r")
    assert re.match(rb"unpacking \[#* *\] +\d+%  [\d.]+ of [\d.]+ MB  [\d.]+ MB/s\x1b\[K", lines[1])
    assert seen.endswith(b"\r\x1b[K")
