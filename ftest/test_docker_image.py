"""The images of the docker driver, against real engines: made, found again, kept, swept, and what goes wrong."""
import contextlib
import io
import os
import pathlib
import queue
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
import urllib.parse

import pytest

from engine import Docker, EngineError, Podman
from hsup import wait_until

BUILD = pathlib.Path(os.environ.get("HSUP_BUILD_DIR", "build")).resolve()
OWNER = "0123456789abcdef"
DIGEST = "a" * 64
OTHER = "b" * 64
KINDS = {"docker": Docker, "podman": Podman}
PASSWD = b"root:x:0:0:root:/root:/bin/sh\ngames:x:1000:60::/:/bin/false"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an engine needs root")


# ---- stacks ----

def root(*members):
    """A tar of (name, data) with data None = a directory, ("->", target) = a link."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if data is None:
                info.type, info.mode, data = tarfile.DIRTYPE, 0o755, b""
            elif isinstance(data, tuple):
                info.type, info.linkname, data = tarfile.SYMTYPE, data[1], b""
            else:
                info.mode = 0o755 if name.startswith("bin/") else 0o644
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


BASE = [("bin", None), ("bin/busybox", pathlib.Path("/bin/busybox").read_bytes()), ("bin/sh", ("->", "busybox")),
        ("tmp", None), ("etc", None)]
STACKS = {
    "t/plain:1": root(*BASE, ("etc/passwd", PASSWD), ("etc/group", b"root:x:0:\ngames:x:60:\nusers:x:1001:\n"),
                      ("bin/bash", ("->", "busybox"))),
    "t/bare:1": root(*BASE),
    "t/dyno:1": root(*BASE, ("etc/passwd", b"dyno:x:4242:4243::/x:/bin/sh\n"), ("app", None), ("app/old", b"old")),
    "t/noshell:1": root(("etc", None), ("etc/passwd", PASSWD)),
    "t/link:1": root(*BASE, ("etc/passwd", ("->", "/bin/busybox"))),
    "t/rootdyno:1": root(*BASE, ("etc/passwd", b"dyno:x:0:0::/x:/bin/sh\n")),
    "t/large:1": root(*BASE, ("etc/passwd", b"x" * (2 << 20))),
}


class Engine:
    """A real engine with the stacks, and what can be asked of it here."""

    def __init__(self, kind):
        self.real = KINDS[kind]()
        self.kind = kind

    def start(self):
        self.real.start()
        for name, archive in STACKS.items():
            self.load(name, archive)
        repo = "t/volume"
        self.load(f"{repo}:1", STACKS["t/bare:1"], changes="VOLUME /app")
        return self

    def load(self, name, archive, **more):
        repo, _, tag = name.partition(":")
        query = urllib.parse.urlencode({"fromSrc": "-", "repo": repo, "tag": tag, **more})
        self.real.rest.ask("POST", f"/images/create?{query}", archive, kind="application/x-tar")
        self.real.named(repo, tag)
        return self.id_of(name)

    def id_of(self, name):
        return self.real.rest.get(f"/images/{name}/json")["Id"]

    def ours(self):
        try:
            every = self.real.rest.images()
        except EngineError:  # podman cannot tell while one is being removed
            time.sleep(0.2)
            every = self.real.rest.images()
        return [i for i in every if (i["Labels"] or {}).get("hsup.owner") == OWNER]

    def containers(self):
        return self.real.rest.containers()

    def clean(self):
        for container in self.containers():
            self.real.rest.remove_container(container["Id"])
        for image in self.ours():
            self.real.rest.remove_image(image["Id"])

    def files(self, image):
        """What a container of it would have, as tar members."""
        c = self.real.rest.ask("POST", "/containers/create", {"Image": image, "Cmd": ["/bin/sh"], "NetworkDisabled": True})
        try:
            data = self.real.rest.get(f"/containers/{c['Id']}/export", timeout=120)
        finally:
            self.real.rest.remove_container(c["Id"])
        archive = tarfile.open(fileobj=io.BytesIO(data))
        return archive, {m.name.lstrip("./"): m for m in archive.getmembers()}


@pytest.fixture(scope="module", params=KINDS)  # -k 'docker]' is one of them
def engine(request):
    e = Engine(request.param)
    try:
        yield e.start()
    finally:
        e.real.end()


@pytest.fixture
def own_engine():
    """One that a test may break."""
    started = []

    def start(kind="docker", prepare=lambda e: None):
        e = Engine(kind)
        started.append(e)
        prepare(e)
        return e.start()

    yield start
    for e in started:
        with contextlib.suppress(OSError):
            os.kill(e.real.pid, signal.SIGCONT)
        e.real.end()


# ---- the driver's part ----

class Image(dict):
    """The same one by any name: podman puts a registry before those it lists."""

    def __eq__(self, other):
        return {**self, "tag": ""} == {**other, "tag": ""}

    __hash__ = None


class Images:
    def __init__(self, host, cache="cache", lasts="lasts", owner=OWNER, helper=None):
        self.process = subprocess.Popen(
            [BUILD / "tests/drive-images", host, owner, helper or BUILD / "hsup-slug", cache, lasts],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines, self.seen = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()
        self.handle = 0

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))

    def order(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait(self, word, patience=60):
        """The next line that begins with it."""
        end = time.monotonic() + patience
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {word!r}: {self.seen}") from None
            self.seen.append(line)
            if line.startswith(word):
                return line

    def begin(self, stack, digest="-", slug="-", app="My App"):
        self.handle += 1
        self.order(f"prepare {self.handle} {app.replace(' ', '_')} {stack} {digest} {slug}")
        return self.handle

    def prepare(self, *args, patience=60, **more):
        """None, or why not."""
        h = self.begin(*args, **more)
        _, _, r, text = self.wait(f"prepared {h} ", patience).split(" ", 3)
        assert (int(r) < 0) == bool(text)
        assert len(text) < 500
        return text or None

    def find(self, stack, digest="-"):
        self.order(f"find {stack} {digest}")
        words = self.wait("found").split()[1:]
        return dict(zip(("id", "tag", "shell", "uid", "gid"), words)) if words != ["none"] else None

    def made(self, *args, **more):
        assert self.prepare(*args, **more) is None
        found = self.find(*args[:2])
        assert found
        return Image(found)

    def keep(self, *args):
        self.order("keep " + " ".join(args))

    def settle(self):
        def idle():
            self.order("busy")
            return self.wait("busy") == "busy 0"
        wait_until(idle, "nothing to be on its way")

    def memory(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))

    def end(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(30)
        return self.process.returncode


@pytest.fixture
def start():
    all_of_them = []

    def make(engine, **more):
        all_of_them.append(Images(engine.real.host, **more))
        return all_of_them[-1]

    yield make
    for images in all_of_them:
        with contextlib.suppress(OSError):
            images.process.send_signal(signal.SIGCONT)
        assert images.end() in (0, -signal.SIGKILL)


@pytest.fixture
def tidy(engine):
    yield
    left = [c["Names"] for c in engine.containers()]
    engine.clean()
    assert not left


@pytest.fixture
def slug(tmp_path):
    folder = tmp_path / "slug"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/run").write_bytes(b"#!/bin/sh\necho run\n")
    (folder / "bin/run").chmod(0o750)
    os.utime(folder / "bin/run", (1e9, 1e9))
    (folder / "to").symlink_to("bin/run")
    os.link(folder / "bin/run", folder / "same")
    (folder / ("n" * 150)).write_bytes(b"long")
    (folder / "gr\u00fc\u00df").write_bytes(b"name")
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 65534, 65534, follow_symlinks=False)
    tmp_path.chmod(0o711)
    return folder


# ---- made, and found again ----

def test_what_is_in_one(engine, tidy, start, slug):
    images = start(engine)
    image = images.made("t/plain:1", DIGEST, slug)
    assert image["shell"] == "/bin/bash"
    # 1000 is a user's, 1001 a group's.
    assert (image["uid"], image["gid"]) == ("1002", "1002")
    assert image["tag"].split(":")[0].endswith("hsup/my-app")
    archive, files = engine.files(image["id"])
    passwd = archive.extractfile(files["etc/passwd"]).read()
    assert passwd == PASSWD + b"\ndyno:x:1002:1002::/app:/bin/bash\n"
    assert archive.extractfile(files["etc/group"]).read().endswith(b"users:x:1001:\ndyno:x:1002:\n")
    assert files["etc/passwd"].mode & 0o7777 == 0o644 and files["etc/passwd"].uid == 0
    inside = {n: m for n, m in files.items() if n == "app" or n.startswith("app/")}
    assert {(m.uid, m.gid) for m in inside.values()} == {(1002, 1002)}
    assert set(inside) == {"app", "app/bin", "app/bin/run", "app/to", "app/same", "app/" + "n" * 150, "app/gr\u00fc\u00df"}
    assert inside["app"].isdir() and inside["app"].mode & 0o7777 == 0o755
    run, same = sorted((inside["app/bin/run"], inside["app/same"]), key=lambda m: m.offset)
    assert run.mode & 0o7777 == 0o750 and run.mtime == 1e9 and same.islnk()
    assert inside["app/to"].linkname == "bin/run"
    whole = engine.real.rest.get(f"/images/{image['id']}/json")
    labels = whole["Config"]["Labels"]
    assert labels["hsup.slug"] == DIGEST and labels["hsup.stack"] == engine.id_of("t/plain:1")
    assert labels["hsup.user"] == "1002:1002" and labels["hsup.control"] == "/etc/app"
    # What is of the container that it was made in is not told of its own containers.
    assert not labels.get("hsup.build") and not labels.get("hsup.keeper") and not labels.get("hsup.kind")
    assert whole["Config"]["WorkingDir"] == "/app"
    assert not whole["Config"].get("User")
    # podman adds two of its own.
    assert {e.split("=")[0] for e in whole["Config"]["Env"] or []} <= {"PATH", "TERM", "container"}


def test_one_of_the_same_content_is_found_again(engine, tidy, start, slug):
    first = start(engine).made("t/plain:1", DIGEST, slug)
    images = start(engine)
    assert images.find("t/plain:1", DIGEST) is None
    # Nothing is packed for it: the slug need not even be there.
    assert images.made("t/plain:1", DIGEST, "/nowhere") == first
    other = images.made("t/plain:1", OTHER, slug)
    assert other["id"] != first["id"]
    assert images.find("t/plain:1", DIGEST) == first
    assert len(engine.ours()) == 2
    # Somebody else's is not ours.
    assert start(engine, owner="f" * 16).made("t/plain:1", DIGEST, slug)["id"] != first["id"]
    for image in engine.real.rest.images():
        if (image["Labels"] or {}).get("hsup.owner") == "f" * 16:
            engine.real.rest.remove_image(image["Id"])


def test_another_stack_of_the_same_name(engine, tidy, start, slug):
    engine.load("t/moves:1", STACKS["t/bare:1"])
    images = start(engine)
    first = images.made("t/moves:1", DIGEST, slug)
    engine.load("t/moves:1", root(*BASE, ("new", b"new")))
    second = images.made("t/moves:1", DIGEST, slug)
    assert second["id"] != first["id"]
    assert "new" in engine.files(second["id"])[1]


def test_a_tag_is_not_believed(engine, tidy, start, slug):
    images = start(engine)
    first = images.made("t/plain:1", DIGEST, slug)
    repo, _, tag = first["tag"].rpartition(":")
    stranger = engine.id_of("t/bare:1")
    engine.real.rest.ask("POST", f"/images/{stranger}/tag?repo={repo}&tag={tag}")
    again = start(engine).made("t/plain:1", DIGEST, slug)
    assert again["id"] == first["id"]
    engine.real.rest.ask("DELETE", f"/images/{repo}:{tag}?noprune=1")


def test_without_a_cache_a_submission_is_made_anew(engine, tidy, start, slug):
    first = start(engine, cache="anew").made("t/plain:1", DIGEST, slug)
    images = start(engine, cache="anew")
    # A supervisor that comes back finds what is in force.
    assert images.made("t/plain:1", DIGEST, slug) == first
    images.keep("t/plain:1", DIGEST)
    (slug / "new").write_bytes(b"new")
    os.chown(slug / "new", 65534, 65534)
    second = images.made("t/plain:1", DIGEST, slug)
    assert second["id"] != first["id"]
    assert "app/new" in engine.files(second["id"])[1]
    images.settle()


def test_stacks_that_have_less_or_more(engine, tidy, start, slug):
    images = start(engine)
    bare = images.made("t/bare:1", DIGEST, slug)
    assert (bare["shell"], bare["uid"], bare["gid"]) == ("/bin/sh", "1000", "1000")
    archive, files = engine.files(bare["id"])
    assert archive.extractfile(files["etc/passwd"]).read() == b"dyno:x:1000:1000::/app:/bin/sh\n"
    its_own = images.made("t/dyno:1", DIGEST, slug)
    assert (its_own["uid"], its_own["gid"]) == ("4242", "4243")
    archive, files = engine.files(its_own["id"])
    assert archive.extractfile(files["etc/passwd"]).read() == b"dyno:x:4242:4243::/x:/bin/sh\n"
    assert (files["app"].uid, files["app"].gid, files["app/bin"].uid) == (4242, 4243, 4242)
    # No slug: /app is there, and empty.
    empty = images.made("t/bare:1")
    _, files = engine.files(empty["id"])
    assert [n for n in files if n.startswith("app")] == ["app"]


@pytest.mark.parametrize("stack, text", [
    ("t/noshell:1", "it has neither /bin/bash nor /bin/sh"),
    ("t/link:1", "reading its /etc/passwd: it is "),  # podman follows it: it is larger than that
    ("t/rootdyno:1", "adding the user dyno: its user dyno is root"),
    ("t/large:1", "reading its /etc/passwd: it is larger than 1048576 bytes"),
    ("t/volume:1", "it says that /app is a volume"),
])
def test_stacks_that_will_not_do(engine, tidy, start, slug, stack, text):
    images = start(engine)
    why = images.prepare(stack, DIGEST, slug)
    assert why.startswith(f"image of {stack}: ") and text in why
    assert images.find(stack, DIGEST) is None
    images.settle()
    assert not engine.ours()


def test_releases_that_name_no_image(engine, tidy, start):
    images = start(engine)
    images.begin("-")
    assert images.wait("refused").endswith("Stack: none is given, and it says which image dynos run on: a stack such "
                                           "as \"heroku-24\", or the name of an image")
    images.begin("Heroku:")
    assert "Stack: \"Heroku:\" is neither a stack" in images.wait("refused")


@pytest.mark.parametrize("stack", ["127.0.0.1:1/team/base:1", "heroku-24"])
def test_a_stack_that_is_not_there_and_no_registry(engine, tidy, start, slug, stack):
    images = start(engine)
    why = images.prepare(stack, DIGEST, slug, patience=120)
    name = "heroku/heroku:24" if stack == "heroku-24" else stack
    assert why.startswith(f"image of {name}: pulling: it is not there, and cannot be had: pull it (docker pull) or load "
                          "it (docker load) by hand: ")
    assert "connection refused" in why or "lookup" in why or "no such host" in why
    assert any(line.endswith(f"pulling {name}") for line in images.seen)


def test_an_id_cannot_be_pulled(engine, tidy, start, slug):
    why = start(engine).prepare("c" * 64, DIGEST, slug)
    assert "an id cannot be pulled" in why
    image = start(engine).made(engine.id_of("t/bare:1").rpartition(":")[2], DIGEST, slug)
    assert image["shell"] == "/bin/sh"


# ---- kept ----

def test_the_one_in_force_and_the_one_before_stay(engine, tidy, start, slug):
    images = start(engine)
    ids = []
    for n in range(4):
        digest = f"{n}" * 64
        ids.append(images.made("t/bare:1", digest, slug)["id"])
        images.keep("t/bare:1", digest)
        images.settle()
        wait_until(lambda: {i["Id"] for i in engine.ours()} == set(ids[-2:]), "the others to go")
    assert images.find("t/bare:1", "0" * 64) is None
    assert images.find("t/bare:1", "2" * 64)["id"] == ids[2]
    # A release that was not taken leaves one more, which goes with the next.
    images.made("t/bare:1", "8" * 64, slug)
    images.keep("t/bare:1", "3" * 64)
    images.settle()
    assert images.find("t/bare:1", "8" * 64)
    ids.append(images.made("t/bare:1", "9" * 64, slug)["id"])
    images.keep("t/bare:1", "9" * 64)
    images.settle()
    wait_until(lambda: {i["Id"] for i in engine.ours()} == set(ids[-2:]), "the others to go")


def test_one_that_is_in_use_stays(engine, tidy, start, slug):
    images = start(engine)
    used = images.made("t/bare:1", "0" * 64, slug)["id"]
    c = engine.real.rest.ask("POST", "/containers/create", {"Image": used, "Cmd": ["/bin/sh"], "NetworkDisabled": True})
    for n in (1, 2):
        images.made("t/bare:1", f"{n}" * 64, slug)
        images.keep("t/bare:1", f"{n}" * 64)
        images.settle()
    assert used in {i["Id"] for i in engine.ours()}
    # Wanted again before it could go: it is not removed any more.
    assert images.made("t/bare:1", "0" * 64, slug)["id"] == used
    engine.real.rest.remove_container(c["Id"])


# ---- given up, killed, swept ----

class Gate:
    """A helper that packs nothing until it is told to: a build that stands still."""

    def __init__(self, folder):
        self.go = folder / "go"
        self.path = folder / "gate"
        self.path.write_text(f"#!/bin/sh\nwhile [ ! -e {self.go} ]; do /bin/busybox usleep 20000; done\n"
                             f"exec {BUILD / 'hsup-slug'} \"$@\"\n")
        self.path.chmod(0o755)


def wait_build(engine, n=1):
    return wait_until(lambda: [c for c in engine.containers() if "hsup.build" in c["Labels"]][n - 1:], "a build container")


def test_stopped_in_the_middle(engine, tidy, start, slug, tmp_path):
    gate = Gate(tmp_path)
    images = start(engine, helper=gate.path)
    h = images.begin("t/plain:1", DIGEST, slug)
    wait_build(engine)
    images.order(f"stop {h}")
    images.settle()
    wait_until(lambda: not engine.containers(), "the container to go")
    gate.go.touch()
    assert images.made("t/plain:1", DIGEST, slug)
    assert not [line for line in images.seen if line.startswith(f"prepared {h} ")]


def test_stopped_at_any_time(engine, tidy, start, slug):
    images = start(engine)
    for n in range(40):
        h = images.begin("t/plain:1", f"{n:064}", slug)
        time.sleep(n * 0.01)
        images.order(f"stop {h}")
    images.settle()
    wait_until(lambda: not engine.containers(), "the containers to go")
    assert images.made("t/plain:1", DIGEST, slug)


def test_what_a_killed_one_left_is_swept(engine, tidy, start, slug, tmp_path):
    gate = Gate(tmp_path)
    images = start(engine, helper=gate.path)
    images.begin("t/plain:1", DIGEST, slug)
    wait_build(engine)
    images.process.kill()
    images.process.wait()
    assert len(engine.containers()) == 1
    other = start(engine, owner="f" * 16)
    once = start(engine, lasts="once")
    for who in (other, once):
        who.wait("engine up")
        who.order("sweep")
        who.settle()
    assert len(engine.containers()) == 1
    images = start(engine)
    images.wait("engine up")
    images.order("sweep")
    wait_until(lambda: not engine.containers(), "the container to go")


# podman answers no list while something is being put into a container: there nothing can be swept.
@pytest.mark.parametrize("engine", ["docker"], indirect=True)
def test_a_build_that_goes_on_is_not_swept(engine, tidy, start, slug, tmp_path):
    gate = Gate(tmp_path)
    run = start(engine, helper=gate.path, lasts="once")
    run.begin("t/plain:1", DIGEST, slug)
    wait_build(engine)
    images = start(engine, helper=gate.path)
    h = images.begin("t/plain:1", OTHER, slug)
    wait_build(engine, 2)
    images.order("sweep")
    images.order("busy")
    images.wait("busy")
    time.sleep(0.3)  # it would be gone by then
    assert len(engine.containers()) == 2, (run.seen, images.seen, [c["Labels"] for c in engine.containers()])
    gate.go.touch()
    images.wait(f"prepared {h} 0")
    run.wait("prepared 1 0")
    images.settle()
    run.settle()


def test_containers_of_our_images_are_not_swept(engine, tidy, start, slug):
    images = start(engine)
    image = images.made("t/bare:1", DIGEST, slug)["id"]
    c = engine.real.rest.ask("POST", "/containers/create", {"Image": image, "Cmd": ["/bin/sh"], "NetworkDisabled": True})
    images.order("sweep")
    images.settle()
    time.sleep(0.2)
    assert engine.real.rest.inspect(c["Id"])
    engine.real.rest.remove_container(c["Id"])


# ---- what goes wrong on the way ----

def test_a_slug_that_cannot_be_read(engine, tidy, start, slug):
    images = start(engine)
    os.mkfifo(slug / "fifo")
    why = images.prepare("t/plain:1", DIGEST, slug)
    assert why == "image of t/plain:1: putting the slug in: fifo: it is no file, directory or link"
    why = images.prepare("t/plain:1", DIGEST, slug / "nothing")
    assert why.startswith("image of t/plain:1: packing the slug: ") and why.endswith("nothing: No such file or directory")
    images.settle()
    assert not engine.ours()


@pytest.mark.parametrize("what, text", [
    ("exit 0", "the slug helper ended without an answer"),
    ("kill -9 $$", "the slug helper ended without an answer"),
    ("head -c 100000 /dev/zero >&5; exit 1", "the slug helper ended without an answer"),
])
def test_a_helper_that_ends(engine, tidy, start, slug, tmp_path, what, text):
    helper = tmp_path / "helper"
    helper.write_text(f"#!/bin/sh\n{what}\n")
    helper.chmod(0o755)
    images = start(engine, helper=helper)
    assert images.prepare("t/plain:1", DIGEST, slug) == f"image of t/plain:1: putting the slug in: {text}"
    images.settle()
    assert not engine.ours()


def test_no_engine(start, tmp_path):
    class Nobody:
        class real:
            host = f"unix://{tmp_path}/nothing"
    images = start(Nobody)
    images.wait("engine down")
    begun = time.monotonic()
    why = images.prepare("t/plain:1", DIGEST, tmp_path)
    assert why.startswith("image of t/plain:1: waiting for the engine: ") and "has not answered for 30 s" in why
    assert 29 < time.monotonic() - begun < 33
    h = images.begin("t/plain:1", DIGEST, tmp_path)
    images.order(f"stop {h}")
    images.settle()


def test_an_engine_that_dies_in_the_middle_and_comes_back(own_engine, start, slug, tmp_path):
    engine = own_engine()
    gate = Gate(tmp_path)
    images = start(engine, helper=gate.path)
    h = images.begin("t/plain:1", DIGEST, slug)
    wait_build(engine)
    engine.real.kill()
    images.wait("engine down")
    gate.go.touch()
    engine.real.start()
    images.wait(f"prepared {h} 0")
    images.settle()
    # The container of the first try had nobody to remove it.
    images.order("sweep")
    wait_until(lambda: not engine.containers(), "the containers to go")
    assert images.find("t/plain:1", DIGEST)["id"] in {i["Id"] for i in engine.ours()}


def test_an_engine_that_dies_in_the_middle_for_good(own_engine, start, slug, tmp_path):
    engine = own_engine()
    images = start(engine, helper=Gate(tmp_path).path)
    h = images.begin("t/plain:1", DIGEST, slug)
    wait_build(engine)
    engine.real.kill()
    line = images.wait(f"prepared {h} -")
    assert "image of t/plain:1: waiting for the engine: " in line and "has not answered for 30 s" in line


def test_an_engine_with_a_full_disk(own_engine, start, slug):
    def small(e):
        data = e.real.folder / "data"
        data.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", data], check=True)

    engine = own_engine(prepare=small)
    images = start(engine)
    (slug / "large").write_bytes(os.urandom(60 << 20))
    os.chown(slug / "large", 65534, 65534)
    why = images.prepare("t/bare:1", DIGEST, slug)
    assert why.startswith("image of t/bare:1: putting the slug in: ")
    assert "no space left on device" in why and "make room where the engine keeps its images" in why
    images.settle()
    assert not engine.containers() and not engine.ours()
    (slug / "large").unlink()
    assert images.made("t/bare:1", DIGEST, slug)


def test_a_large_slug(engine, tidy, start, tmp_path):
    """200 MB in 20,000 files: it passes through, and none of it stays."""
    folder = tmp_path / "large"
    block = os.urandom(10000)
    for d in range(100):
        (folder / f"{d}").mkdir(parents=True)
        for f in range(200):
            (folder / f"{d}/{f}").write_bytes(block)
    images = start(engine)
    images.made("t/bare:1", OTHER)
    before = images.memory()
    begun = time.monotonic()
    images.made("t/bare:1", DIGEST, folder, patience=300)
    took = time.monotonic() - begun
    grown = images.memory() - before
    print(f"{engine.kind}: {took:.1f} s, {grown} kB more at most than {before} kB")
    if "asan" not in str(BUILD) and "san" not in BUILD.name:
        assert grown < 2000
    shutil.rmtree(folder)
