"""hsup with a real engine: what only containers have. (test_driver_*.py: what every driver does.)"""
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import tarfile
import time

import pytest

from driver_app import BASH, BUSYBOX, SLEEP, pack
from hsup import PATIENCE, marked_processes, wait_until

SECRET = "s3cr3t-4711-of-the-operator"


@pytest.fixture
def app(make_driver_app):
    return make_driver_app("docker")


def dynos(app):
    return app.engine.rest.containers(label="hsup.kind=dyno")


def image_ids(app):
    return {i["Id"] for i in app.engine.foreign_images()}


# ---- secrets ----

def everything_in(archive):
    """Names and contents of a tar file, and of those in it."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as outer:
        for member in outer:
            yield member.name.encode()
            if member.isfile():
                data = outer.extractfile(member).read()
                yield data
                if member.name.endswith("layer.tar"):
                    yield from everything_in(data)


def assert_nowhere(app, image):
    rest = app.engine.rest
    for what in (rest.get(f"/images/{image}/json"), rest.get(f"/images/{image}/history")):
        assert SECRET not in json.dumps(what)
    saved = rest.get(f"/images/{image}/get")
    assert not [part[:200] for part in everything_in(saved) if SECRET.encode() in part]


def secretive(app):
    return app.release({"Type": "web", "Args": ["echo it is ${TOKEN}${OTHER}; exec sleep 1000"], "Env": {"OTHER": SECRET}},
                       Env={"TOKEN": SECRET, "LINES_OF": f"a\nb '{SECRET}'\n"})


def test_config_vars_are_in_no_image(app):
    app.start()
    app.submit(secretive(app))
    app.wait_line(rf"app\[web\.1\]: it is {SECRET}{SECRET}$")
    images = image_ids(app)
    assert images
    for image in images:
        assert_nowhere(app, image)
    labels = json.dumps([c["Labels"] for c in dynos(app)])
    assert SECRET not in labels


def test_secrets_in_a_file_are_in_no_inspect(app):
    app.env["DOCKER_SECRETS"] = "file"
    app.start()
    app.submit(secretive(app))
    app.wait_line(rf"app\[web\.1\]: it is {SECRET}{SECRET}$")
    container = dynos(app)[0]["Id"]
    assert SECRET not in json.dumps(app.engine.rest.inspect(container))
    # Nor in what the container would leave to an image of it, nor in what the engine stores of it.
    exported = app.engine.rest.get(f"/containers/{container}/export")
    assert not [part[:200] for part in everything_in(exported) if SECRET.encode() in part]
    stored = app.engine.folder / "data/containers" / container
    for path in stored.rglob("*"):
        if path.is_file() and not path.name.endswith("-json.log"):  # it printed it itself
            assert SECRET.encode() not in path.read_bytes(), path
    for image in image_ids(app):
        assert_nowhere(app, image)
    # The next life and the next supervisor have it, too.
    app.kill("web.1")
    app.wait_line(rf"app\[web\.1\]: it is {SECRET}{SECRET}$", count=2)
    app.kill_supervisor()
    app.kill("web.1")
    app.wait_line(rf"app\[web\.1\]: it is {SECRET}{SECRET}$", count=3)


def test_run_with_secrets_in_a_file(app):
    app.env["DOCKER_SECRETS"] = "file"
    app.submit(app.release(Env={"TOKEN": f"a 'b' \"{SECRET}\"\nsecond line"}))
    ran = app.hsup("run", "-C", app.control, "--", "sh", "-c", "printenv TOKEN; cat", input="from stdin")
    assert (ran.returncode, ran.stdout) == (0, f"a 'b' \"{SECRET}\"\nsecond line\nfrom stdin"), ran.stderr


# ---- the container ----

def test_how_a_container_is_made(app):
    app.start("-a", "shop")
    app.submit(app.release({"Type": "web", "Args": [
        "id -u; touch /app/mine /tmp/mine && echo can write; touch /usr/mine /etc/mine 2>/dev/null || echo cannot; "
        "grep -E 'NoNewPrivs|CapEff|CapBnd' /proc/self/status; exec sleep 1000"],
        "Limits": {"Memory": "64M", "CPU": 0.5, "Processes": 50, "OpenFiles": 321}}))
    app.wait_line(r"CapBnd")
    texts = app.texts("web.1")
    assert texts[0] != "0" and "can write" in texts and "cannot" in texts
    status = dict(t.split(":\t") for t in texts if ":\t" in t)
    assert status["NoNewPrivs"] == "1" and int(status["CapEff"], 16) == 0 and int(status["CapBnd"], 16) == 0
    container = app.engine.rest.inspect(dynos(app)[0]["Id"])
    host = container["HostConfig"]
    assert host["Init"] and "no-new-privileges" in host["SecurityOpt"] and host["CapDrop"] == ["ALL"]
    assert host["Memory"] in (64 << 20, 128 << 20) and host["NanoCpus"] == 500_000_000 and host["PidsLimit"] == 50
    assert {u["Name"]: u["Hard"] for u in host["Ulimits"]} == {"nofile": 321}
    labels = container["Config"]["Labels"]
    assert (labels["hsup.app"], labels["hsup.type"], labels["hsup.instance"]) == ("shop", "web", "1")
    assert "shop" in container["Name"] and "web.1" in container["Name"]


WRITABLE = ("find / \\( -path /proc -o -path /sys -o -path /dev/pts \\) -prune -o \\( -type d -o -type f \\) -print | "
            "while read -r p; do [ -w \"$p\" ] && echo \"writable $p\"; done; echo looked; exec sleep 1000")


def writable(app):
    app.wait_line(r"app\[web\.1\]: looked$")
    found = [t.partition(" ")[2] for t in app.texts("web.1") if t.startswith("writable ")]
    return {p for p in found if not p.startswith(str(app.shared))}


def test_a_dyno_can_write_to_few_places(app):
    """Asked of each folder and file in the container. (/dev/mqueue holds no files.)"""
    app.start()
    app.submit(app.release(("web", [WRITABLE], 1)))
    found = writable(app)
    assert {"/app", "/app/tool", "/tmp", "/var/tmp", "/dev/shm"} <= found, found
    strays = [p for p in found if p != "/dev/mqueue" and not re.match(r"/(app|tmp|var/tmp|dev/shm)(/|$)", p)]
    assert not strays


def test_a_root_dyno_has_a_root_that_is_read_only(app):
    app.start("--allow-root-dynos")
    app.submit(app.release({"Type": "web", "User": "root", "Args": [
        "id -u; for p in / /usr /etc /bin /app /tmp /var/tmp; do if touch $p/mine 2>/dev/null; then echo can $p; "
        "else echo cannot $p; fi; done; mount -o remount,rw / 2>/dev/null && echo remounted; "
        "echo more >> /app/tool && echo has its slug; echo looked; exec sleep 1000"]}))
    app.wait_line(r"app\[web\.1\]: looked$")
    assert app.texts("web.1") == ["0", "cannot /", "cannot /usr", "cannot /etc", "cannot /bin", "can /app", "can /tmp",
                                  "can /var/tmp", "has its slug", "looked"]
    assert app.engine.rest.inspect(dynos(app)[0]["Id"])["HostConfig"]["ReadonlyRootfs"]
    # Each life has the slug as it was, and its volume goes with it: the suite looks.
    app.kill("web.1")
    app.wait_line(r"app\[web\.1\]: looked$", count=2)
    assert app.stop() == 0


def test_a_root_dyno_that_nobody_has_allowed(app):
    app.start()
    app.submit(app.release({"Type": "web", "User": "root", "Args": SLEEP}))
    app.wait_line("--allow-root-dynos")
    assert not app.lives()


def test_out_of_memory(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["echo begins; exec ./tool hold 100"], "Limits": {"Memory": "20M"}}))
    app.wait_line(r"app\[web\.1\]: begins$")
    app.wait_line(r"hsup\[web\.1\]: .*(R15|[Oo]ut of memory|memory)")
    app.wait_line(r"hsup\[web\.1\]: process was killed by SIGKILL")
    app.wait_line(r"to starting$", count=2)


def test_twenty_at_once(app):
    app.start()
    begun = time.monotonic()
    app.submit(app.release(("web", SLEEP, 20)))
    wait_until(lambda: sum(l.endswith("from starting to up") for l in app.lines) >= 20, "20 dynos", 6 * PATIENCE)
    print(f"20 dynos were up after {time.monotonic() - begun:.1f} s")
    assert len(app.lives()) == 20
    assert app.stop(patience=6 * PATIENCE) == 0
    assert not app.engine.rest.containers()


def test_a_name_that_somebody_has(app):
    """A container of another's in our place: it stays, and the dyno runs all the same."""
    app.start("-a", "shop")
    app.submit(app.release(("web", SLEEP, 1)))
    app.wait_up("web.1")
    name = dynos(app)[0]["Names"][0].lstrip("/")
    app.kill("web.1")
    # As soon as its name is free; and every name it might have next.
    taken = []

    def take():
        try:
            taken.append(app.engine.rest.ask("POST", f"/containers/create?name={name}", {
                "Image": BUSYBOX, "Cmd": ["sleep", "1000"]})["Id"])
            return True
        except AssertionError:
            return len([l for l in app.lines if l.endswith("from starting to up")]) >= 2
    wait_until(take, "the name")
    wait_until(lambda: "web.1" in {n for n, _ in app.lives()}, "another life", 2 * PATIENCE)
    for container in taken:
        assert app.engine.rest.inspect(container)["State"]["Status"] == "created"
        app.engine.rest.remove_container(container)


# ---- images ----

def test_an_image_is_used_again_by_its_content(app, tool):
    app.start()
    app.submit(app.release(("web", SLEEP, 1)))
    app.wait_line("release v1 is up")
    first = image_ids(app)
    app.submit(app.release(("web", ["sleep", "2000"], 1), Version=2, Env={"A": "2"}))
    app.wait_line("release v2 is up")
    assert image_ids(app) == first
    # The same name, another content: another image.
    pack(app.control / "slug.tgz", {"tool": tool, "more": "x"})
    app.submit(app.release(("web", ["ls; exec sleep 2000"], 1), Version=3))
    app.wait_line(r"app\[web\.1\]: more$")
    app.wait_line("release v3 is up")
    assert first < image_ids(app)


def test_old_images_are_removed(app, tool):
    app.start()
    for n in range(1, 5):
        pack(app.control / f"slug{n}.tgz", {"tool": tool, "number": str(n)})
        app.submit(app.release(("web", ["cat number; echo; exec sleep 1000"], 1), Slug=f"slug{n}.tgz", Version=n))
        app.wait_line(rf"app\[web\.1\]: {n}$")
        app.wait_line(f"release v{n} is up")
        app.wait_lives(1)
    wait_until(lambda: len(image_ids(app)) == 2, f"two images; there are {app.engine.foreign_images()}")
    done = app.hsup("rollback", "-C", app.control)
    assert done.returncode == 0, done.stderr
    app.wait_line(r"app\[web\.1\]: 3$", count=2)


def test_a_stack_that_nobody_has(app):
    """No registry answers here: the release is refused, and the last one runs on."""
    app.start()
    app.submit(app.release(("web", SLEEP, 1)))
    app.wait_line("release v1 is up")
    before = app.lives()
    app.submit(app.release(("web", SLEEP, 1), Version=2, Stack="127.0.0.1:1/no/such:1"))
    said = app.wait_rejected("127.0.0.1:1/no/such")
    assert re.search("pull|image", said), said
    assert app.lives() == before


# ---- gc ----

def test_gc_removes_what_a_crash_left(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 2)))
    app.wait_up("web.1", "web.2")
    nothing = app.hsup("gc", "-d", "docker", "--kill")
    assert nothing.returncode == 0, nothing.stderr
    assert len(app.lives()) == 2, "it took what is somebody's"
    supervisor = app.supervisor()
    os.kill(app.launcher, signal.SIGKILL)
    app.process.wait()
    wait_until(lambda: supervisor not in marked_processes(app.mark), "the supervisor's end")
    told = app.hsup("gc", "-d", "docker")
    assert told.returncode == 0 and "hsup start" in told.stdout, (told.stdout, told.stderr)
    assert len(app.lives()) == 2
    dry = app.hsup("gc", "-d", "docker", "--kill", "--dry-run")
    assert dry.stdout.count("would remove container") == 2 and len(app.lives()) == 2
    done = app.hsup("gc", "-d", "docker", "--kill")
    assert done.returncode == 0 and done.stdout.count("removed container") == 2, (done.stdout, done.stderr)
    assert not app.engine.rest.containers()
    # Its control directory is gone: so go its images.
    app.control.rename(app.folder / "away")
    done = app.hsup("gc", "-d", "docker")
    assert "removed image" in done.stdout and not image_ids(app), done.stdout


def test_a_run_that_was_killed_is_swept(app):
    """At the next start of the app, or by gc."""
    app.submit(app.release())
    app.process = None
    run = subprocess.Popen([app.build / "hsup", "run", "-d", "docker", "-C", app.control, "echo here; exec sleep 1000"],
                           env=app.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stdout.readline() == "here\n"
    inside = set(app.engine.contained())
    # A launcher that is not the first may have begun another supervisor.
    while left := set(marked_processes(app.mark)) - inside:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert len(app.engine.rest.containers(label="hsup.kind=run")) == 1
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Version=2))
    app.wait_up("web.1")
    wait_until(lambda: not app.engine.rest.containers(label="hsup.kind=run"), "the run to be swept")


# ---- the network ----

@pytest.fixture
def networked(make_driver_app, engines):
    return make_driver_app("docker", engine=engines.get("docker-net"))


def test_a_port_of_its_own_is_published(networked):
    """Each has the same PORT in a network of its own, and another one of the machine's."""
    app = networked
    app.start()
    app.submit(app.release({"Type": "web", "Quantity": 2, "Ready": {"HTTP": "/", "Interval": 0.1}, "Args": [
        f"printf 'HTTP/1.1 200 OK\\r\\n\\r\\n%s on %s' $DYNO $PORT > {app.shared}/$DYNO; exec ./tool serve {app.shared}/$DYNO"]}))
    app.wait_up("web.1", "web.2")
    dynos_now = json.loads(subprocess.run(
        [app.build / "hsup", "ps", "-C", app.control, "--json"], env=app.env, capture_output=True, check=True).stdout)
    answers, ports = set(), set()
    for dyno in dynos_now:
        ports.add(dyno["port"])
        said = subprocess.run(app.engine.inside(
            "/usr/bin/python3", "-c", "import sys, urllib.request as u; "
            f"print(u.urlopen('http://127.0.0.1:{dyno['port']}/', timeout=5).read().decode())"),
            capture_output=True, text=True, check=False)
        answers.add(said.stdout.strip())
    assert answers == {"web.1 on 5000", "web.2 on 5000"}, (dynos_now, answers)
    assert len(ports) == 2


def test_no_network_at_all(app):
    app.env["DOCKER_NETWORK"] = "none"
    app.start()
    app.submit(app.release(("web", ["ls /sys/class/net | tr '\\n' ' '; echo; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: lo $")


@pytest.mark.parametrize("name, value", [("DOCKER_HOST", "gopher://x"), ("DOCKER_SECRETS", "maybe"),
                                         ("DOCKER_PARALLEL", "many"), ("DOCKER_CERT_PATH", "/nowhere")])
def test_settings_that_will_not_do(app, name, value):
    app.submit(app.release(("web", SLEEP, 1)))
    env = {name: value}
    if name == "DOCKER_CERT_PATH":
        env["DOCKER_HOST"] = "tcp://127.0.0.1:1"
    app.start("--oneshot", env=env)
    assert app.wait() != 0
    assert name in app.errors + "\n".join(app.lines)
