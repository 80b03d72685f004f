"""docker/Dockerfile, built and run by a real engine: hsup as the main program of a container."""
import io
import json
import os
import pathlib
import re
import tarfile
import time
import urllib.parse

import pytest

import debian_root
from driver_app import pack
from hsup import PATIENCE, wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONTEXT = ("docker", "docs", "drivers", "scripts", "src", "LICENSE", "meson.build", "meson_options.txt")
# What of --privileged native dynos need.
NESTED = {"CapAdd": ["SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN"], "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
          "MaskedPaths": [], "ReadonlyPaths": []}
NAME, BASE = "hsup-test/hsup:1", "hsup-test/debian:12"


@pytest.fixture(scope="module")
def engine(engines):
    return engines.get("docker")


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory):
    """Built as a user would, but from a base that has what scripts/setup would install."""
    folder = tmp_path_factory.mktemp("image")
    packages = {*debian_root.setup_packages(ROOT, "--build"), *debian_root.setup_packages(ROOT, "--run")}
    base = debian_root.make(folder / "base.tar", sorted(packages))
    engine.base(BASE, base)
    base.unlink()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name in CONTEXT:
            archive.add(ROOT / name, name)
    said = engine.rest.ask(
        "POST", "/build?" + urllib.parse.urlencode({
            "t": NAME, "dockerfile": "docker/Dockerfile", "networkmode": "none", "rm": 1, "forcerm": 1,
            "buildargs": json.dumps({"BASE": BASE})}),
        context.getvalue(), kind="application/x-tar", timeout=600)
    text = said.decode() if isinstance(said, bytes) else json.dumps(said)
    lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    assert not [l for l in lines if "error" in l], "".join(l.get("stream", l.get("error", "")) for l in lines)[-4000:]
    engine.bases[NAME] = engine.rest.get(f"/images/{NAME}/json")["Id"]
    yield NAME
    for name in (NAME, BASE):
        engine.bases.pop(name)
    engine.clean()


class Container:
    def __init__(self, engine, image, *command, _more=None, **host):
        self.rest = engine.rest
        body = {"Image": image, "Cmd": list(command) or None,
                "HostConfig": {"NetworkMode": "none", **host}, **(_more or {})}
        self.id = self.rest.ask("POST", "/containers/create", body)["Id"]
        self.rest.ask("POST", f"/containers/{self.id}/start")

    def output(self, stream=None):
        """What it wrote: the engine's frames, taken apart."""
        data = self.rest.get(f"/containers/{self.id}/logs?stdout=1&stderr=1")
        text, at = b"", 0
        while at < len(data):
            size = int.from_bytes(data[at + 4:at + 8], "big")
            if stream in (None, data[at]):
                text += data[at + 8:at + 8 + size]
            at += 8 + size
        return text.decode()

    def wait(self):
        return self.rest.ask("POST", f"/containers/{self.id}/wait", timeout=3 * PATIENCE)["StatusCode"]

    def wait_for(self, pattern):
        try:
            return wait_until(lambda: re.search(pattern, self.output()), pattern)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.output()}") from None

    def processes(self):
        """(pid inside, user, command), by the word of the engine's machine."""
        top = self.rest.get(f"/containers/{self.id}/top?ps_args=-eo%20pid,uid,args")
        rows = []
        for pid, uid, args in top["Processes"]:
            inside = re.search(r"^NSpid:.*\s(\d+)$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M).group(1)
            rows.append((int(inside), int(uid), args))
        return sorted(rows)

    def run(self, *command):
        exec_id = self.rest.ask("POST", f"/containers/{self.id}/exec", {"Cmd": list(command), "AttachStdout": True,
                                                                       "AttachStderr": True, "Tty": True})["Id"]
        said = self.rest.ask("POST", f"/exec/{exec_id}/start", {"Tty": True})
        return self.rest.get(f"/exec/{exec_id}/json")["ExitCode"], said.decode() if isinstance(said, bytes) else said


@pytest.fixture
def container(engine, image):
    made = []

    def make(*command, **host):
        made.append(Container(engine, image, *command, **host))
        return made[-1]
    yield make
    for each in made:
        engine.rest.remove_container(each.id)
    assert not engine.leftovers(), engine.leftovers()


@pytest.fixture
def control(folder):
    """A folder of the host's, the supervisor's own."""
    path = folder / "control"
    path.mkdir()
    os.chown(path, 890, 890)
    return path


def test_run_printenv(container):
    c = container("run", "printenv")
    assert c.wait() == 0, c.output()
    env = dict(line.split("=", 1) for line in c.output(1).splitlines())
    assert (env["NAME"], env["HEROKU_APP_NAME"]) == ("CONTENTS", "example")
    assert env["DYNO"].startswith("run.")


def test_run_gives_the_code(container):
    assert container("run", "exit 7").wait() == 7


def test_help_needs_nothing(container):
    c = container("version")
    assert c.wait() == 0 and "hsup" in c.output()


def test_what_is_run_when_nothing_is_said(container, image, engine):
    """The example, until it ends; who is who; and an orderly stop."""
    c = container()
    c.wait_for(r"hsup\[web\.1\]: state changed from \w+ to up")
    processes = c.processes()
    pid, uid, command = processes[0]
    assert (pid, uid) == (1, 0) and "hsup-launcher" in command, processes
    supervisor = [p for p in processes if re.search(r"(^|/)hsup .*start", p[2]) and p[0] != 1]
    assert [p[1] for p in supervisor] == [890], processes
    dynos = [p for p in processes if "sleep 5" in p[2]]
    assert dynos and {p[1] for p in dynos} == {891}, processes
    assert c.run("hsup", "ps")[1].count("web.1") == 1
    begun = time.monotonic()
    engine.rest.ask("POST", f"/containers/{c.id}/stop?t=30", timeout=3 * PATIENCE)
    assert time.monotonic() - begun < 15
    assert c.wait() == 0, c.output()
    assert re.search(r"hsup\[web\.1\]: .*(SIGTERM|exited)", c.output()), c.output()


def test_start_with_a_control_directory_of_the_host(container, control):
    (control / "new").write_text(json.dumps({"Version": 1, "Name": "shop", "Processes": [
        {"Type": "web", "Args": ["echo one; exec sleep 1000"], "Quantity": 2, "StartSeconds": 0}]}))
    c = container("start", Binds=[f"{control}:/etc/hsup"])
    c.wait_for(r"release v1 is up")
    beside = control / "beside"
    beside.write_text(json.dumps({"Version": 2, "Name": "shop", "Processes": [
        {"Type": "web", "Args": ["echo two; exec sleep 1000"], "Quantity": 1, "StartSeconds": 0}]}))
    beside.rename(control / "new")
    c.wait_for(r"release v2 is up")
    c.wait_for(r"app\[web\.1\]: two")
    assert json.loads((control / "loaded").read_text())["Version"] == 2
    # A supervisor that dies costs nothing: PID 1 starts another.
    before = [p for p in c.processes() if p[2].startswith("sleep 1000")]
    code, _ = c.run("sh", "-c", "kill -9 $(pidof hsup)")
    assert code == 0
    c.wait_for(r"found 1 dynos running")
    assert [p for p in c.processes() if p[2].startswith("sleep 1000")] == before


def test_a_folder_that_the_supervisor_may_not_write_to_is_refused(container, folder):
    path = folder / "root-s"
    path.mkdir(mode=0o700)
    c = container("start", Binds=[f"{path}:/etc/hsup"])
    assert c.wait() == 1
    assert "/etc/hsup" in c.output() and "hsup" in c.output()


def test_without_root_all_is_one_user(container):
    c = container("start", _more={"User": "890"}, CapDrop=["ALL"])
    c.wait_for(r"hsup\[web\.1\]: state changed from \w+ to up")
    assert {uid for _, uid, _ in c.processes()} == {890}
    assert c.run("hsup", "ps")[1].count("web.1") == 1
    c.rest.ask("POST", f"/containers/{c.id}/stop?t=30", timeout=3 * PATIENCE)
    assert c.wait() == 0


def test_native_dynos_in_a_privileged_container(container, control):
    """A container in a container, and its layer upon those of an image, where none can be but in memory.
    (--privileged itself asks for more capabilities than a machine may have to give.)"""
    slug = io.BytesIO()
    with tarfile.open(fileobj=slug, mode="w:gz") as archive:
        word = tarfile.TarInfo("./app/word")
        word.size = 7
        archive.addfile(word, io.BytesIO(b"packed\n"))
    (control / "slug.tgz").write_bytes(slug.getvalue())
    look = ("cat word; echo more >>word && cat word; id -u; cat /proc/1/comm; readlink /proc/self/ns/pid; "
            "ls /sys/class/net; grep ' /app ' /proc/mounts; exit 7")
    (control / "new").write_text(json.dumps({"Version": 1, "Stack": "host", "Slug": "slug.tgz", "Processes": [
        {"Type": "web", "Args": [look], "Quantity": 1, "StartSeconds": 0,
         "Limits": {"Memory": "64M", "Processes": 50, "CPU": 0.5}}]}))
    c = container("start", "-d", "native", "--oneshot", Binds=[f"{control}:/etc/hsup"], **NESTED,
                  _more={"Env": ["LIBCONTAINER_DYNO_UID_MIN=4660", "LIBCONTAINER_DYNO_UID_MAX=4669",
                                 "LIBCONTAINER_DYNO_SUBNET=10.201.6.0/24"]})
    c.wait()
    assert "process exited with status 7" in c.output(), c.output()
    said = re.findall(r"app\[web\.1\]: (.*?)\r?$", c.output(), re.M)
    assert said[:5] == ["packed", "packed", "more", "4660", "hsup-box"], c.output()
    assert said[5] != os.readlink("/proc/self/ns/pid") and {"eth0", "lo"} <= set(said[6:-1])
    assert said[-1].startswith("none /app overlay rw,"), c.output()


def test_dynos_in_the_root_of_the_image(container, control):
    """-d abspath, with a supervisor who is not root: the link at /app is made for him, and outlives a restart."""
    for word in ("one", "two"):
        pack(control / f"{word}.tgz", {"word": word, ".profile.d/a.sh": f"export SAID={word}\n"})

    def submit(version, word):
        beside = control / "beside"
        beside.write_text(json.dumps({"Version": version, "Slug": f"{word}.tgz", "Processes": [
            {"Type": "web", "Args": ["echo $(cat /app/word) $SAID $HOME $(pwd) $(id -u); exec sleep 1000"],
             "Quantity": 2, "StartSeconds": 0}]}))
        os.chown(beside, 890, 890)
        beside.rename(control / "new")

    submit(1, "one")
    c = container("start", "-d", "abspath", Binds=[f"{control}:/etc/hsup"])
    c.wait_for(r"app\[web\.2\]: one one /app /app 891")
    submit(2, "two")
    c.wait_for(r"app\[web\.2\]: two two /app /app 891")
    assert not re.search(r"one two|two one", c.output())
    assert c.run("sh", "-c", "kill -9 $(pidof hsup)")[0] == 0
    c.wait_for(r"found 2 dynos running")
    c.rest.ask("POST", f"/containers/{c.id}/restart?t=0", timeout=3 * PATIENCE)
    submit(3, "one")
    c.wait_for(r"(?s)release v3 is up.*")
    assert c.run("cat", "/app/word") == (0, "one")


def test_nothing_of_the_build_is_in_the_image(engine, image):
    config = engine.rest.get(f"/images/{image}/json")
    assert config["Config"]["Entrypoint"] == ["/usr/lib/hsup/entrypoint"]
    assert config["Config"]["Cmd"] == ["start", "--oneshot"]
    assert set(config["Config"]["Volumes"]) == {"/etc/hsup", "/var/lib/hsup"}
    base = engine.rest.get(f"/images/{BASE}/json")
    assert config["Size"] - base["Size"] < 20 << 20
