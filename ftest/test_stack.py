"""hsup stack: every kind of source, hostile ones, and what is left when it is interrupted.

As root files keep the owners that an archive gives them; test_rootless_* are somebody else."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import tarfile

import pytest

from hsup import PATIENCE, wait_until
from test_slug import END, SLUG, folder, hardlink, header, member, symlink, tar, zstd

NOBODY = 65534
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]


class Stacks:
    """A state directory of the test's own."""

    def __init__(self, build, path):
        self.program, self.state, self.path = build / "hsup", path / "state", path / "state/stacks"

    def call(self, *words, **more):
        return subprocess.run([self.program, "stack", *map(str, words), "--state-dir", self.state], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=15 * PATIENCE, **more)

    def add(self, name, source, *options, **more):
        said = self.call("add", name, source, *options, **more)
        assert said.returncode == 0, said.stderr
        assert said.stderr == ""
        made = self.path / said.stdout.split(":")[0]
        assert made.is_dir()
        self.said = said.stdout
        return made

    def refused(self, source, text, name="x", code=1):
        before = self.folders()
        said = self.call("add", name, source)
        assert said.returncode == code, (said.stdout, said.stderr)
        assert re.search(text, said.stderr), said.stderr
        assert said.stderr.count("\n") == 1
        assert self.folders() == before
        return said.stderr

    def folders(self):
        return sorted(set(os.listdir(self.path)) - {".locks"}) if self.path.exists() else []


@pytest.fixture
def stacks(build, tmp_path):
    return Stacks(build, tmp_path)


def save(path, data, name="root.tar"):
    file = path / name
    file.write_bytes(data)
    return file


def manifest(made):
    return json.loads((made / "manifest.json").read_text())


def sha(data):
    return hashlib.sha256(data).hexdigest()


def facts(path):
    st = os.lstat(path)
    return stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid


ROOT = tar(folder("./", ), folder("bin"), member("bin/sh", b"#!", mode=0o755), symlink("lib", "/usr/lib"),
           member("etc/shadow", b"secret", mode=0o640, gid=42), folder("tmp"))


# ---- where they are ----

def test_they_are_where_dynos_look_for_them(stacks, tmp_path):
    """One environment for both: what is added is what a start finds."""
    elsewhere = tmp_path / "elsewhere"
    env = dict(os.environ, HSUP_BOX_STACKS=str(elsewhere))
    said = stacks.call("add", "x", save(tmp_path, ROOT), "--set-version", "1", env=env)
    assert said.returncode == 0, said.stderr
    assert sorted(os.listdir(elsewhere)) == [".locks", "x-1"] and not stacks.path.exists()
    assert re.search("^x +1 ", stacks.call("list", env=env).stdout, re.M)
    assert not re.search("^x ", stacks.call("list", env=dict(env, HSUP_BOX_STACKS="")).stdout, re.M)
    done = subprocess.run([stacks.program, "__complete", "stack", "remove", "x"], env=env, text=True,
                          capture_output=True, timeout=6 * PATIENCE)
    assert "x-1" in done.stdout, done
    said = stacks.call("list", env=dict(env, HSUP_BOX_STACKS="elsewhere"))
    assert said.returncode == 2 and "HSUP_BOX_STACKS: 'elsewhere' is not an absolute path" in said.stderr


# ---- every kind of source ----

PACKINGS = {"plain": bytes, "gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress, "zst": zstd}


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_tarball(stacks, tmp_path, packing):
    # The name says nothing: what it is, is seen from what is in it.
    source = save(tmp_path, PACKINGS[packing](ROOT), "misleading.squashfs")
    made = stacks.add("base", source)
    root = made / "rootfs"
    assert (root / "bin/sh").read_bytes() == b"#!"
    assert os.readlink(root / "lib") == "/usr/lib"
    assert facts(root / "etc/shadow") == (0o640, 0, 42)
    assert facts(root) == (0o755, 0, 0)
    assert facts(made) == (0o755, 0, 0)
    said = manifest(made)
    assert said["name"] == "base" and f"base-{said['version']}" == made.name
    assert re.fullmatch(r"\d{14}", said["version"])
    assert said["sha256"] == sha(source.read_bytes())
    assert said["format"] == "tar" and said["from"] == str(source)
    assert said["files"] == 6 and said["bytes"] == 8
    assert said["tree"] == sha((made / "tree.txt").read_bytes())
    assert stacks.call("verify").returncode == 0


def test_owners_modes_and_links(stacks, tmp_path):
    data = tar(folder("d", uid=1000, gid=65535), folder("tmp"), member("su", b"x", mode=0o6755, uid=7),
               member("none", b"n", mode=0o000), hardlink("again", "su"), symlink("s", "su"),
               hardlink("s2", "s"), member("d/x", b"", uid=65535, mtime=1234567890))
    root = stacks.add("o", save(tmp_path, data), "--set-version", "1.0") / "rootfs"
    assert "setuid and setgid bits taken from 1 files" in stacks.said
    assert facts(root / "d") == (0o755, 1000, 65535)
    assert facts(root / "su") == (0o755, 7, 0)
    assert facts(root / "none") == (0, 0, 0)
    assert facts(root / "d/x")[1] == 65535
    assert os.stat(root / "d/x").st_mtime == 1234567890
    assert os.stat(root / "su").st_ino == os.stat(root / "again").st_ino
    assert os.lstat(root / "s").st_ino == os.lstat(root / "s2").st_ino
    assert manifest(root.parent)["stripped"] == 1
    assert stacks.call("verify", "o").returncode == 0


def test_the_sticky_bit_stays(stacks, tmp_path):
    sticky = folder("tmp")
    sticky[0].mode = 0o3777
    root = stacks.add("o", save(tmp_path, tar(sticky))) / "rootfs"
    assert facts(root / "tmp")[0] == 0o1777


def test_devices_are_left_out(stacks, tmp_path):
    data = tar(folder("dev"), member("dev/sda", kind=tarfile.BLKTYPE), member("dev/null", kind=tarfile.CHRTYPE),
               member("dev/pipe", kind=tarfile.FIFOTYPE), member("f", b"x"))
    root = stacks.add("o", save(tmp_path, data)) / "rootfs"
    assert sorted(os.listdir(root)) == ["dev", "f"] and os.listdir(root / "dev") == []
    assert "left out: 3 device nodes, FIFOs and sockets" in stacks.said
    assert manifest(root.parent)["dropped"] == 3


def test_a_folder(stacks, tmp_path):
    source = tmp_path / "tree"
    (source / "usr/bin").mkdir(parents=True)
    (source / "usr/bin/x").write_bytes(b"x" * 300000)
    os.link(source / "usr/bin/x", source / "usr/bin/y")
    os.symlink("/etc/passwd", source / "link")
    os.mkfifo(source / "fifo")
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.chown(source / "usr/bin/x", 5, 6)
    os.chmod(source / "usr/bin/x", 0o4711)
    os.chmod(source, 0o700)
    made = stacks.add("f", source)
    root = made / "rootfs"
    assert sorted(os.listdir(root)) == ["link", "usr"]
    assert os.readlink(root / "link") == "/etc/passwd"
    assert facts(root / "usr/bin/x") == (0o711, 5, 6)
    assert os.stat(root / "usr/bin/x").st_ino == os.stat(root / "usr/bin/y").st_ino
    assert facts(root)[0] == 0o755
    said = manifest(made)
    assert (said["dropped"], said["stripped"], said["format"]) == (2, 1, "folder")
    assert said["sha256"] == said["tree"]


def test_a_folder_that_holds_the_stacks(stacks, tmp_path):
    (tmp_path / "bin").mkdir()
    root = stacks.add("self", tmp_path) / "rootfs"
    assert sorted(os.listdir(root)) == ["bin", "state"]
    assert os.listdir(root / "state/stacks") == [".locks"]


def ext4(path):
    subprocess.run(["mkfs.ext4", "-q", path, "1M"], check=True, stderr=subprocess.DEVNULL)


def magic(at, text):
    def make(path):
        path.write_bytes(bytes(at) + text + bytes(8192 - at - len(text)))
    return make


@pytest.mark.parametrize("make", [ext4, magic(0, b"hsqs"), magic(1024, b"\xe2\xe1\xf5\xe0")],
                         ids=["ext4", "squashfs", "erofs"])
def test_an_image(stacks, tmp_path, make):
    source = tmp_path / "x.tar"
    make(source)
    made = stacks.add("i", source)
    assert sorted(os.listdir(made)) == ["manifest.json", "root.img"]
    assert (made / "root.img").read_bytes() == source.read_bytes()
    said = manifest(made)
    assert (said["kind"], said["format"], said["tree"]) == ("image", "image", sha(source.read_bytes()))
    assert stacks.call("verify", "i").returncode == 0
    with open(made / "root.img", "r+b") as f:
        f.seek(4000)
        f.write(b"!")
    said = stacks.call("verify", "i")
    assert said.returncode == 1 and "root.img is not what the manifest says" in said.stdout


# ---- images: OCI layouts, docker save ----

def json_bytes(value):
    return json.dumps(value).encode()


def platform(machine=MACHINE, system="linux"):
    return {"os": system, "architecture": machine}


class Oci:
    def __init__(self):
        self.files = {"oci-layout": json_bytes({"imageLayoutVersion": "1.0.0"})}

    def blob(self, data, **more):
        digest = sha(data)
        self.files[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data), **more}

    def manifest(self, *layers, config=None, **more):
        config = self.blob(json_bytes(platform() if config is None else config))
        return self.blob(json_bytes({"schemaVersion": 2, "config": config,
                                     "layers": [self.blob(layer) for layer in layers]}), **more)

    def index(self, *manifests):
        self.files["index.json"] = json_bytes({"schemaVersion": 2, "manifests": manifests})
        return self

    def tar(self):
        # index.json first, blobs in any order: nothing may depend on it.
        return tar(*(member(name, self.files[name]) for name in sorted(self.files, reverse=True)))

    def write(self, path):
        for name, data in self.files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
        return path


LOWER = tar(folder("bin"), member("bin/sh", b"old"), member("bin/gone", b"x"), folder("opt"), member("opt/a", b"a"),
            member("opt/b", b"b"), folder("var"), folder("var/lib"), member("var/lib/x", b"x"), member("dir/f", b"f"))
UPPER = tar(member("bin/sh", b"new", uid=3), member("bin/.wh.gone"), member("opt/c", b"c"),
            member("opt/.wh..wh..opq"), member(".wh.var"), member("dir", b"now a file"))


def check_layers(root):
    assert (root / "bin/sh").read_bytes() == b"new" and os.stat(root / "bin/sh").st_uid == 3
    assert os.listdir(root / "bin") == ["sh"]
    # The opaque mark comes behind c in the layer: it hides what was below it only.
    assert os.listdir(root / "opt") == ["c"]
    assert (root / "dir").read_bytes() == b"now a file"
    assert sorted(os.listdir(root)) == ["bin", "dir", "opt"]


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstd], ids=["tar", "gzip", "zstd"])
@pytest.mark.parametrize("form", ["folder", "tar", "tar.gz"])
def test_an_oci_layout(stacks, tmp_path, form, packed):
    oci = Oci()
    described = oci.manifest(packed(LOWER), packed(UPPER), platform=platform())
    oci.index(described)
    if form == "folder":
        source = oci.write(tmp_path / "layout")
    else:
        source = save(tmp_path, oci.tar() if form == "tar" else gzip.compress(oci.tar()))
    made = stacks.add("heroku-24", source)
    check_layers(made / "rootfs")
    assert sorted(os.listdir(made)) == ["manifest.json", "rootfs", "tree.txt"]
    said = manifest(made)
    assert said["format"] == "oci"
    assert said["sha256"] == (described["digest"][7:] if form == "folder" else sha(source.read_bytes()))


def test_the_platform_is_chosen(stacks, tmp_path):
    other = "arm64" if MACHINE == "amd64" else "amd64"
    oci = Oci()
    inner = {"manifests": [
        oci.manifest(tar(member("wrong", b"")), config=platform(other), platform=platform(other)),
        oci.manifest(tar(member("right", b"")), platform=platform()),
        oci.manifest(tar(member("attestation", b"")), config={}, platform=platform("unknown", "unknown"))]}
    oci.index(oci.blob(json_bytes(inner)))
    assert os.listdir(stacks.add("p", save(tmp_path, oci.tar())) / "rootfs") == ["right"]


def docker(*layers, diffs=None, config=None, names=None, extra=(), images=1):
    config = {**platform(), "rootfs": {"diff_ids": [f"sha256:{sha(d)}" for d in diffs or layers]}} \
        if config is None else config
    config = json_bytes(config)
    names = names or [f"{i}/layer.tar" for i in range(len(layers))]
    listed = [{"Config": f"{sha(config)}.json", "RepoTags": ["a:b"], "Layers": names}] * images
    return tar(*extra, *(member(n, data) for n, data in zip(names, layers) if data is not None),
               member(f"{sha(config)}.json", config), member("manifest.json", json_bytes(listed)))


def test_docker_save(stacks, tmp_path):
    made = stacks.add("d", save(tmp_path, docker(LOWER, UPPER)))
    check_layers(made / "rootfs")
    assert manifest(made)["format"] == "docker"


def test_docker_save_with_packed_layers(stacks, tmp_path):
    data = docker(gzip.compress(LOWER), UPPER, diffs=[LOWER, UPPER])
    check_layers(stacks.add("d", save(tmp_path, data)) / "rootfs")


def test_docker_save_with_a_link_for_an_equal_layer(stacks, tmp_path):
    data = docker(LOWER, None, diffs=[LOWER, LOWER], extra=[symlink("1/layer.tar", "../0/layer.tar")])
    assert (stacks.add("d", save(tmp_path, data)) / "rootfs/bin/sh").read_bytes() == b"old"


def test_an_empty_layer(stacks, tmp_path):
    assert os.listdir(stacks.add("d", save(tmp_path, docker(LOWER, END))) / "rootfs")


def test_a_root_with_a_file_of_that_name(stacks, tmp_path):
    data = tar(folder("bin"), member("manifest.json", b"{}"))
    assert manifest(stacks.add("m", save(tmp_path, data)))["format"] == "tar"


def wrong_blob():
    oci = Oci()
    described = oci.manifest(LOWER)
    oci.files[f"blobs/sha256/{sha(LOWER)}"] = UPPER
    return oci.index(described).tar()


def wrong_manifest():
    oci = Oci()
    described = oci.manifest(LOWER)
    oci.files["blobs/sha256/" + described["digest"][7:]] += b" "
    return oci.index(described).tar()


def missing_blob():
    oci = Oci()
    described = oci.manifest(LOWER)
    del oci.files[f"blobs/sha256/{sha(LOWER)}"]
    return oci.index(described).tar()


def oci_of(make):
    oci = Oci()
    return oci.index(*make(oci)).tar()


OTHER = "arm64" if MACHINE == "amd64" else "amd64"
BAD_IMAGES = {
    "a blob that is another": (wrong_blob, "layer 1 .*it is damaged: its SHA-256 is"),
    "a manifest that is another": (wrong_manifest, "is damaged: its SHA-256 is"),
    "a blob that is missing": (missing_blob, "is not in it"),
    "a digest that leads out": (lambda: oci_of(lambda o: [{"digest": "sha256:../../../etc/passwd"}]),
                                "is no digest of SHA-256"),
    "another digest": (lambda: oci_of(lambda o: [{"digest": "sha512:" + "0" * 128}]), "is no digest of SHA-256"),
    "no manifest": (lambda: oci_of(lambda o: []), "there is no image for linux/"),
    "two images": (lambda: oci_of(lambda o: [o.manifest(LOWER), o.manifest(UPPER)]), "there are several images"),
    "another machine": (lambda: oci_of(lambda o: [o.manifest(LOWER, config=platform(OTHER))]),
                        f"the image is for linux/{OTHER}"),
    "another system": (lambda: oci_of(lambda o: [o.manifest(LOWER, platform=platform(MACHINE, "windows"))]),
                       "there is no image for linux/"),
    "no layers": (lambda: oci_of(lambda o: [o.manifest()]), "the image has 0 layers"),
    "an index without end": (lambda: endless(), "nested too deeply"),
    "no JSON": (lambda: tar(member("oci-layout", b"{}"), member("index.json", b"{")), "index.json is no JSON"),
    "a deep JSON": (lambda: tar(member("oci-layout", b"{}"), member("index.json", b"[" * 100000)),
                    "index.json is no JSON"),
    "a huge JSON": (lambda: tar(member("oci-layout", b"{}"), member("index.json", b" " * (5 << 20))),
                    "index.json: File too large"),
    "docker: a wrong layer": (lambda: docker(LOWER, diffs=[UPPER]), "layer 1 .*it is damaged"),
    "docker: two images": (lambda: docker(LOWER, images=2), "there are 2 images in it"),
    "docker: layers without digests": (lambda: docker(LOWER, UPPER, diffs=[LOWER]), "2 layers and digests of 1"),
    "docker: a layer outside": (lambda: docker(LOWER, None, diffs=[LOWER, LOWER], names=["0/l", "../../etc/passwd"]),
                                'holds ".."'),
    "docker: an absolute layer": (lambda: docker(LOWER, None, diffs=[LOWER, LOWER], names=["0/l", "/etc/passwd"]),
                                  "absolute"),
    "docker: a link to outside": (lambda: docker(LOWER, None, diffs=[LOWER, LOWER], names=["0/l", "1/l"],
                                                 extra=[symlink("1/l", "/etc/passwd")]), "outside of the image"),
    "docker: a link up and out": (lambda: docker(LOWER, None, diffs=[LOWER, LOWER], names=["0/l", "1/l"],
                                                 extra=[symlink("1/l", "../../../../etc/passwd")]),
                                  "outside of the image"),
    "docker: a layer that is a folder": (lambda: docker(LOWER, None, diffs=[LOWER, LOWER], names=["0/l", "1"],
                                                        extra=[folder("1")]), "not a regular file"),
    "docker: another's configuration": (lambda: docker(LOWER, config={**platform(OTHER), "rootfs": {}}),
                                        f"the image is for linux/{OTHER}"),
}


def endless():
    oci = Oci()
    inner = oci.manifest(LOWER)
    for _ in range(6):
        inner = oci.blob(json_bytes({"manifests": [inner]}))
    return oci.index(inner).tar()


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_a_bad_image(stacks, tmp_path, case):
    make, text = BAD_IMAGES[case]
    stacks.refused(save(tmp_path, make()), text)


# ---- layers that mean harm ----

def layers(stacks, tmp_path, *archives):
    return stacks.add("l", save(tmp_path, docker(*archives))) / "rootfs"


WHITEOUTS = {
    "of the folder above": ("a/.wh...", "a whiteout of nothing"),
    "of its own folder": ("a/.wh..", "a whiteout of nothing"),
    "of nothing": ("a/.wh.", "a whiteout of nothing"),
    "with something below": ("a/.wh.b/c", "below a whiteout"),
    "that climbs": ("a/../.wh.x", 'holds ".."'),
    "that is absolute": ("/.wh.etc", "absolute"),
}


@pytest.mark.parametrize("case", WHITEOUTS)
def test_a_whiteout(stacks, tmp_path, case):
    name, text = WHITEOUTS[case]
    stacks.refused(save(tmp_path, docker(LOWER, tar(member(name)))), text)


def test_a_whiteout_through_a_link(stacks, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("kept")
    lower = tar(symlink("out", str(victim)), folder("d"), member("d/x", b"x"), symlink("in", "d"))
    upper = tar(member("out/.wh.file"), member("out/.wh..wh..opq"), member("in/.wh.x"), member("in/.wh..wh..opq"))
    root = layers(stacks, tmp_path, lower, upper)
    assert (victim / "file").read_text() == "kept"
    assert (root / "d/x").exists()


def test_a_whiteout_of_a_link(stacks, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("kept")
    root = layers(stacks, tmp_path, tar(symlink("out", str(victim)), member("f")), tar(member(".wh.out")))
    assert os.listdir(root) == ["f"] and (victim / "file").exists()


def test_a_whiteout_of_a_tree(stacks, tmp_path):
    lower = tar(*(member(f"a/b/{i}/{i}", b"x") for i in range(300)), member("z", b""))
    root = layers(stacks, tmp_path, lower, tar(member(".wh.a"), member("a/b/new", b"n")))
    assert os.listdir(root / "a/b") == ["new"]


def test_a_whiteout_hides_what_is_below_only(stacks, tmp_path):
    # The same layer has a file of that name, in front of the whiteout and behind it.
    for order in (1, -1):
        upper = tar(*[member("bin/sh", b"mine"), member("bin/.wh.sh")][::order])
        assert (layers(stacks, tmp_path, LOWER, upper) / "bin/sh").read_bytes() == b"mine"


def test_an_opaque_root(stacks, tmp_path):
    assert os.listdir(layers(stacks, tmp_path, LOWER, tar(member(".wh..wh..opq"), member("only", b"")))) == ["only"]


def test_notes_of_a_storage_driver_are_no_files(stacks, tmp_path):
    upper = tar(folder(".wh..wh.plnk"), member(".wh..wh.plnk/17.9", b"x"), member(".wh..wh.aufs", b""))
    assert not [n for n in os.listdir(layers(stacks, tmp_path, LOWER, upper)) if n.startswith(".wh")]


def test_whiteouts_are_of_layers_only(stacks, tmp_path):
    root = stacks.add("l", save(tmp_path, tar(folder("bin"), member(".wh.bin", b"a file")))) / "rootfs"
    assert sorted(os.listdir(root)) == [".wh.bin", "bin"]


@pytest.mark.parametrize("target", ["/", "../../..", "dir/.."])
def test_a_layer_puts_a_link_for_a_folder(stacks, tmp_path, target):
    (tmp_path / "escape").mkdir()
    upper = tar(symlink("opt", target), member("opt/escaped", b"x"))
    stacks.refused(save(tmp_path, docker(LOWER, upper)), "through a symbolic link")


def test_a_layer_writes_through_the_link_of_one_below(stacks, tmp_path):
    stacks.refused(save(tmp_path, docker(tar(symlink("d", "/tmp")), tar(member("d/escaped-hsup-test", b"x")))),
                   "through a symbolic link")
    assert not os.path.exists("/tmp/escaped-hsup-test")


def test_a_folder_takes_the_place_of_a_link(stacks, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    root = layers(stacks, tmp_path, tar(symlink("d", str(victim))), tar(folder("d"), member("d/x", b"x")))
    assert not os.path.islink(root / "d") and (root / "d/x").read_bytes() == b"x"
    assert os.listdir(victim) == [] and facts(victim)[0] == 0o700


def test_a_link_takes_the_place_of_a_folder(stacks, tmp_path):
    root = layers(stacks, tmp_path, LOWER, tar(symlink("opt", "/srv"), hardlink("sh2", "bin/sh")))
    assert os.readlink(root / "opt") == "/srv" and (root / "sh2").read_bytes() == b"old"


def test_a_folder_is_replaced_while_it_is_open(stacks, tmp_path):
    # The writer keeps the folders of the last name open: they are none any more.
    upper = tar(member("a/b/c/1", b""), member("a", b"file"), folder("a"), member("a/b/c/2", b"x"))
    root = layers(stacks, tmp_path, LOWER, upper)
    assert os.listdir(root / "a/b/c") == ["2"]


# ---- archives that mean harm ----

BAD = {
    "above": ([member("../x", b"x")], 'holds ".."'),
    "above within": ([folder("a"), member("a/../../x", b"x")], 'holds ".."'),
    "absolute": ([member("/x", b"x")], "absolute"),
    "hard link to outside": ([hardlink("x", "../../../etc/passwd")], "hard link to outside"),
    "hard link, absolute": ([hardlink("x", "/etc/passwd")], "hard link to outside"),
    "hard link through a link": ([symlink("d", "/etc"), hardlink("x", "d/passwd")], "through a symbolic link"),
    "hard link to nothing": ([hardlink("x", "none")], "not in the stack"),
    "hard link to a folder": ([folder("d"), hardlink("x", "d")], "not a regular file"),
    "file through a link": ([symlink("d", "/tmp"), member("d/escaped", b"x")], "through a symbolic link"),
    "file below a file": ([member("f", b"x"), member("f/x", b"x")], "below a file"),
    "link to a link, through": ([symlink("a", "b"), symlink("b", "/tmp"), member("a/x", b"")],
                                "through a symbolic link"),
    "the root": ([member("f"), member(".", b"x")], "replace the stack's root"),
    "an owner no dyno has": ([member("f", b"x"), member("own", b"", uid=65536)],
                             "entry 'own': its owner 65536:0 is none of 0 to 65535"),
    "a group no dyno has": ([member("f", b"x", gid=2097151)], "its owner 0:2097151"),
    "deep": ([member("d/" * 200 + "x", b"")], "nested too deeply"),
    "a name no terminal likes": ([member("\x1b]0;x\x07/../y", b"")], r"'\\x1b\]0;x\\x07/\.\./y'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_archive(stacks, tmp_path, case):
    members, text = BAD[case]
    stacks.refused(save(tmp_path, tar(*members)), text)


def test_files_that_are_no_root(stacks, tmp_path):
    whole = gzip.compress(ROOT)
    stacks.refused(save(tmp_path, whole[:-20]), "cut off")
    stacks.refused(save(tmp_path, ROOT[:1500]), "end mark is missing|Truncated")
    stacks.refused(save(tmp_path, ROOT + b"more" * 10000000), "more data behind the archive's end")
    stacks.refused(save(tmp_path, b"just text\n" * 1000), "not a sound tar archive")
    stacks.refused(save(tmp_path, b""), "archive")
    stacks.refused(save(tmp_path, END), "empty")
    stacks.refused(save(tmp_path, header(b"x", size=1 << 30) + END), "Truncated")
    stacks.refused("/dev/null", "it is no file and no folder")
    os.mkfifo(tmp_path / "fifo")
    stacks.refused(tmp_path / "fifo", "it is no file and no folder")
    stacks.refused(tmp_path / "missing", "No such file")
    (tmp_path / "empty").mkdir()
    stacks.refused(tmp_path / "empty", "there is nothing in it")


def test_a_bomb(stacks, tmp_path):
    """Ten terabytes, of which the archive has none: refused before anything is written."""
    hole = io.BytesIO()
    with tarfile.open(fileobj=hole, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("big")
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "big",
                            "GNU.sparse.realsize": str(10 << 40)}
        info.size = 512
        archive.addfile(info, io.BytesIO(b"1\n%d\n0\n".ljust(512, b"\0") % (10 << 40)))
    stacks.refused(save(tmp_path, hole.getvalue()), "unpacks to more than 34359738368 bytes")


def test_a_hundred_thousand_files(stacks, tmp_path):
    path = tmp_path / "many.tar"
    with open(path, "wb") as out:
        for i in range(100000):
            out.write(header(b"d%d/f%d" % (i % 100, i)))
        out.write(END)
    made = stacks.add("many", path)
    assert manifest(made)["files"] == 100100
    assert stacks.call("verify", "many").returncode == 0


# ---- list, remove, verify ----

def test_list(stacks, tmp_path):
    assert stacks.call("list").stdout == "" and json.loads(stacks.call("list", "--json").stdout) == []
    assert not stacks.path.exists()
    source = save(tmp_path, ROOT)
    stacks.add("b", source, "--set-version", "9")
    stacks.add("b", source, "--set-version", "10")
    stacks.add("a-1", source, "--set-version", "3")
    (stacks.path / "cedar-14-7/bin").mkdir(parents=True)
    (stacks.path / "nothing-1").mkdir()
    listed = json.loads(stacks.call("list", "--json").stdout)
    assert [e["folder"] for e in listed] == ["a-1-3", "b-10", "b-9", "cedar-14-7"]
    assert [e["name"] for e in listed] == ["a-1", "b", "b", "cedar-14"]
    assert [e["classic"] for e in listed] == [False, False, False, True]
    assert listed[1]["sha256"] == sha(ROOT) and listed[1]["version"] == "10"
    lines = stacks.call("list").stdout.splitlines()
    assert len(lines) == 5 and lines[0].split()[:4] == ["STACK", "VERSION", "KIND", "SIZE"]
    assert lines[4].split()[:3] == ["cedar-14", "7", "classic"]
    (stacks.path / "b-9/manifest.json").write_text("{")
    assert "its manifest is damaged" in stacks.call("list").stdout


def test_versions(stacks, tmp_path):
    source = save(tmp_path, ROOT)
    made = [stacks.add("v", source).name for _ in range(3)]
    assert len(set(made)) == 3
    listed = [e["folder"] for e in json.loads(stacks.call("list", "--json").stdout)]
    assert listed == made[::-1]
    stacks.add("v", source, "--set-version", "1")
    said = stacks.call("add", "v", source, "--set-version", "1")
    assert said.returncode == 1 and "stack v-1 is there already" in said.stderr
    assert len(stacks.folders()) == 4


@pytest.mark.parametrize("name", ["host", ".x", "a/b", "..", "", "x" * 90, "a b"])
def test_bad_names(stacks, tmp_path, name):
    stacks.refused(save(tmp_path, ROOT), "a stack's name is", name=name)


@pytest.mark.parametrize("version", ["1-2", "../x", ".1", "x" * 100])
def test_bad_versions(stacks, tmp_path, version):
    said = stacks.call("add", "x", save(tmp_path, ROOT), "--set-version", version)
    assert said.returncode == 1 and "a stack's version is" in said.stderr
    assert stacks.folders() == []


@pytest.mark.parametrize("words, text", [
    ([], "say what: add, list, remove or verify"), (["frob"], "'frob' is none of"), (["add", "x"], "NAME and FROM"),
    (["list", "x"], "no operands"), (["remove"], "one NAME"), (["verify", "a", "b"], "one NAME, or none"),
    (["list", "--force"], "--force for remove")])
def test_usage(stacks, words, text):
    said = stacks.call(*words)
    assert said.returncode == 2 and text in said.stderr, said.stderr


def test_remove(stacks, tmp_path):
    source = save(tmp_path, ROOT)
    for version in ("1", "2"):
        stacks.add("r", source, "--set-version", version)
    said = stacks.call("remove", "r")
    assert said.returncode == 1 and "which one? r-2, r-1" in said.stderr
    assert stacks.call("remove", "r-2").stdout == "r-2: removed\n"
    assert stacks.call("remove", "r").returncode == 0
    assert stacks.folders() == []
    assert "there is no stack 'r'" in stacks.call("remove", "r").stderr
    assert "the machine's own root" in stacks.call("remove", "host").stderr


HOLD = "import fcntl, os, sys, time; [fcntl.flock(os.open(path, os.O_RDONLY), " \
       "fcntl.LOCK_SH | fcntl.LOCK_NB) for path in sys.argv[1:]]; print(flush=True); time.sleep(1000)"


def held(process):
    assert process.stdout.readline() == b"\n"
    return process


def test_remove_refuses_what_a_box_holds(stacks, tmp_path):
    made = stacks.add("r", save(tmp_path, ROOT))
    box = held(subprocess.Popen(["python3", "-c", HOLD, stacks.path / ".locks" / made.name], stdout=subprocess.PIPE,
                                env={**os.environ, "DYNO": "web.7"}))
    try:
        said = stacks.call("remove", "r")
        assert said.returncode == 1
        assert f"{made.name} is in use by web.7 with pid {box.pid}; stop them" in said.stderr
        assert made.exists()
        assert stacks.call("remove", "r", "--force").returncode == 0
        assert not made.exists()
    finally:
        box.kill()
        box.wait()
    stacks.call("list")
    assert stacks.folders() == []


def test_remove_refuses_what_a_box_of_an_earlier_version_holds(stacks, tmp_path):
    """By the folder: its init, of a pid namespace of its own."""
    made = stacks.add("r", save(tmp_path, ROOT))
    box = held(subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "python3", "-c", HOLD, made],
                                stdout=subprocess.PIPE, env={**os.environ, "DYNO": "web.7"}))
    init = pathlib.Path(f"/proc/{box.pid}/task/{box.pid}/children").read_text().strip()
    try:
        said = stacks.call("remove", "r")
        assert f"{made.name} is in use by web.7 with pid {init}; stop them" in said.stderr
    finally:
        box.kill()
        box.wait()
    wait_until(lambda: stacks.call("remove", "r").returncode == 0, "it to be free")


def reachable(path):
    """By anybody."""
    for folder in (path, *path.parents):
        if folder not in (pathlib.Path("/"), pathlib.Path("/tmp")):
            os.chmod(folder, os.stat(folder).st_mode | 0o011)


def test_a_stranger_s_locks_are_in_nobody_s_way(stacks, tmp_path):
    """Whoever may read a folder may lock it."""
    source = save(tmp_path, ROOT)
    made = stacks.add("r", source)
    reachable(stacks.path)
    os.chmod(stacks.path, 0o755)
    python, who = "/usr/bin/python3", {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    stranger = held(subprocess.Popen([python, "-c", HOLD, stacks.path, made], stdout=subprocess.PIPE, **who))
    try:
        assert stacks.call("list").stdout.count("\n") == 2
        said = subprocess.run([python, "-c", HOLD, stacks.path / ".locks"], capture_output=True, text=True, **who)
        assert "Permission denied" in said.stderr
        assert stacks.call("remove", "r").stdout == f"{made.name}: removed\n"
        assert stacks.add("r", source).exists()
    finally:
        stranger.kill()
        stranger.wait()


def test_what_is_removed_leaves_no_lock(stacks, tmp_path):
    made = stacks.add("r", save(tmp_path, ROOT))
    lock = stacks.path / ".locks" / made.name
    assert facts(lock) == (0o600, 0, 0) and facts(lock.parent) == (0o700, 0, 0)
    assert stacks.call("remove", "r").returncode == 0
    assert os.listdir(lock.parent) == []


def test_remove_refuses_what_is_mounted(stacks, tmp_path):
    made = stacks.add("r", save(tmp_path, ROOT))
    point = tmp_path / "point"
    point.mkdir()
    mount = f"mount --bind {made}/rootfs {point}; echo; exec sleep 60"
    box = held(subprocess.Popen(["unshare", "-m", "sh", "-c", mount], stdout=subprocess.PIPE,
                                env={**os.environ, "DYNO": "web.8"}))
    try:
        said = stacks.call("remove", "r")
        assert said.returncode == 1 and f"web.8 with pid {box.pid}" in said.stderr, said.stderr
    finally:
        box.kill()
        box.wait()
    assert stacks.call("remove", "r").returncode == 0


def test_verify_says_what_differs(stacks, tmp_path):
    data = tar(folder("bin"), member("bin/a", b"aaaa"), member("bin/b", b"bbbb"), member("bin/c", b"c"),
               symlink("l", "x"), member("own", b""), member("mode", b""), member("gone", b""), folder("kind"),
               member("sp ace\n", b""), folder("dir"), member("dir/below", b""), folder("dir.x"), member("dir!", b""))
    made = stacks.add("v", save(tmp_path, data), "--set-version", "1")
    root = made / "rootfs"
    said = stacks.call("verify", "v")
    assert (said.returncode, said.stdout) == (0, "v-1: as it was added\n")
    (root / "bin/a").write_bytes(b"AAAA")
    (root / "bin/b").write_bytes(b"longer")
    os.remove(root / "l")
    os.symlink("y", root / "l")
    os.chown(root / "own", 1, 2)
    os.chmod(root / "mode", 0o4755)
    os.remove(root / "gone")
    os.rmdir(root / "kind")
    os.mknod(root / "kind", stat.S_IFCHR | 0o755, os.makedev(1, 3))
    os.remove(root / "sp ace\n")
    (root / "new").write_bytes(b"")
    shutil.rmtree(root / "dir")
    said = stacks.call("verify", "v")
    assert said.returncode == 1
    assert said.stdout.splitlines() == [
        "  changed: bin/a: content", "  changed: bin/b: size 6, was 4; content", "  missing: dir",
        "  missing: dir/below", "  missing: gone", "  changed: kind: type c, was d", "  changed: l: content",
        "  changed: mode: mode 4755, was 0644", "  added: new", "  changed: own: owner 1:2, was 0:0",
        r"  missing: sp\040ace\012", "v-1: 11 differences"]


def test_verify_does_not_believe_the_listing(stacks, tmp_path):
    made = stacks.add("v", save(tmp_path, ROOT))
    (made / "rootfs/bin/sh").write_bytes(b"@!")
    text = (made / "tree.txt").read_text()
    (made / "tree.txt").write_text(text.replace(sha(b"#!"), sha(b"@!")))
    said = stacks.call("verify", "v")
    assert said.returncode == 1 and "tree.txt is not what the manifest says" in said.stdout
    (made / "tree.txt").write_text("nonsense\n")
    said = stacks.call("verify", "v")
    assert said.returncode == 1 and "what is written down of it is damaged" in said.stderr
    os.remove(made / "tree.txt")
    assert stacks.call("verify", "v").returncode == 1
    (made / "manifest.json").write_text("{}")
    said = stacks.call("verify", "v")
    assert said.returncode == 1 and "no digest of the tree" in said.stderr


def test_verify_of_all(stacks, tmp_path):
    good, bad = (stacks.add(name, save(tmp_path, ROOT), "--set-version", "1") for name in ("a", "b"))
    (stacks.path / "cedar-1/bin").mkdir(parents=True)
    (bad / "rootfs/etc/shadow").write_bytes(b"opened")
    said = stacks.call("verify")
    assert said.returncode == 1
    assert "a-1: as it was added" in said.stdout and "b-1: 1 difference\n" in said.stdout
    assert "cedar-1: has no manifest to compare with" in said.stdout
    assert "hsup stack add none FROM" in stacks.call("verify", "none").stderr


# ---- interrupted ----

@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """Never whole while the test looks: half a million small files."""
    path = tmp_path_factory.mktemp("slow") / "slow.tar"
    with open(path, "wb") as out:
        for i in range(400000):
            out.write(header(b"d%d/f%d" % (i % 1000, i)))
        out.write(END)
    yield path
    path.unlink()


def begin(stacks, source):
    process = subprocess.Popen([stacks.program, "stack", "add", "slow", source, "--state-dir", stacks.state],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    wait_until(lambda: list(stacks.path.glob(".adding-*/rootfs/d1")), "the first files")
    return process


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_add_leaves_nothing(stacks, slow, signo):
    process = begin(stacks, slow)
    process.send_signal(signo)
    out, err = process.communicate(timeout=6 * PATIENCE)
    assert process.returncode == 1 and "interrupted" in err and out == ""
    assert stacks.folders() == []


def test_a_killed_add_is_collected(stacks, slow):
    process = begin(stacks, slow)
    # Another one must not take it for left over.
    stacks.call("list")
    assert len(stacks.folders()) == 1 and process.poll() is None
    process.kill()
    process.communicate()

    def collected():
        # The helper ends by itself, and holds the lock until then.
        assert stacks.call("list").returncode == 0
        return stacks.folders() == []
    wait_until(collected, "nothing to be left")


def test_a_killed_helper_is_told(stacks, slow):
    process = begin(stacks, slow)
    helper = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(helper[0]), signal.SIGKILL)
    assert "ended without an answer" in process.communicate(timeout=6 * PATIENCE)[1]
    assert process.returncode == 1 and stacks.folders() == []


def test_a_full_disk(stacks, tmp_path):
    script = f"mount -t tmpfs -o size=400k none {stacks.state} && exec {stacks.program} stack add x " \
             f"{save(tmp_path, tar(member('f', bytes(1 << 20))))} --state-dir {stacks.state}"
    stacks.state.mkdir()
    said = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=6 * PATIENCE)
    assert said.returncode == 1 and "No space left" in said.stderr


# ---- confined, and not root ----

def test_the_helper_has_next_to_nothing(stacks, slow):
    process = begin(stacks, slow)
    helper = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{helper}/status").read_text().splitlines()
                  if ":\t" in line)
    process.terminate()
    process.communicate()
    # CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER.
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0b1011
    assert int(status["CapInh"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    # A build with the address sanitizer goes without seccomp (slug/sandbox.h).
    assert status["Seccomp"] == ("0" if b"__asan_init" in SLUG.read_bytes() else "2")


def test_a_folder_that_others_can_write(stacks, tmp_path):
    stacks.path.mkdir(parents=True)
    stacks.path.chmod(0o777)
    stacks.refused(save(tmp_path, ROOT), "can be written by them")


def test_rootless(build, tmp_path):
    os.chmod(tmp_path, 0o755)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    for parent in tmp_path.parents:
        if parent != pathlib.Path("/") and parent != pathlib.Path("/tmp"):
            os.chmod(parent, os.stat(parent).st_mode | 0o011)
    stacks = Stacks(build, home)
    data = tar(folder("bin"), member("bin/x", b"x", mode=0o000, uid=7, gid=8), member("big", b"", uid=1 << 20))
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    made = stacks.add("mine", save(tmp_path, data), **who)
    assert "all files are yours" in stacks.said
    # Readable for its owner, who is all there is.
    assert facts(made / "rootfs/bin/x") == (0o400, NOBODY, NOBODY)
    assert stacks.call("verify", **who).returncode == 0
    image = save(tmp_path, docker(LOWER, UPPER), "image.tar")
    assert (stacks.add("image", image, **who) / "rootfs/bin/sh").read_bytes() == b"new"
    assert stacks.call("remove", "mine", **who).returncode == 0
    said = stacks.call("add", "x", "/root/none", **who)
    assert said.returncode == 1 and "denied" in said.stderr


# ---- scripts/make-stack ----

def test_make_stack(build, stacks, tmp_path):
    """Of what is installed here: no network is needed, and a shell runs on it."""
    script = pathlib.Path(__file__).resolve().parent.parent / "scripts/make-stack"
    source = tmp_path / "made.tar.gz"
    subprocess.run([script, source, "--installed", "--packages", "bash,coreutils"], check=True, timeout=15 * PATIENCE)
    root = stacks.add("debian", source) / "rootfs"
    said = subprocess.run(["chroot", root, "/bin/bash", "-c", "id -u; cat /etc/debian_version | wc -l"],
                          capture_output=True, text=True, check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    assert said.stdout.split() == ["0", "1"]
    assert facts(root / "tmp") == (0o1777, 0, 0)
    assert stacks.call("verify").returncode == 0
    for words, text in ((["--packages"], "takes names"), (["a", "b"], "one OUT"), ([], "OUT is missing"),
                        (["x", "--packages", "$(id)"], "takes names"), (["--frob"], "unknown option")):
        said = subprocess.run([script, *words], capture_output=True, text=True)
        assert said.returncode == 2 and text in said.stderr
