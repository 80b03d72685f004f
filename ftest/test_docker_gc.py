"""`hsup gc -d docker`: what nobody answers for goes, and nothing else does."""
import os
import signal
import subprocess

import pytest

from driver_app import SLEEP
from fake_engine import FakeEngine
from hsup import marked_processes, wait_until


@pytest.fixture
def make(make_driver_app):
    return lambda name="app": make_driver_app("docker", name=name, with_slug=False)


@pytest.fixture
def app(make):
    return make()


def gc(app, *words, code=0):
    done = app.hsup("gc", "-d", "docker", *words)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout


def states(app):
    """Of the dynos' containers, by name."""
    return {f"{c['Labels']['hsup.type']}.{c['Labels']['hsup.instance']}": c["State"]
            for c in app.engine.rest.containers(label="hsup.kind=dyno")}


def run_it(app, *names):
    app.start()
    app.submit(app.release(*[(name, SLEEP, 1) for name in names]))
    app.wait_up(*[f"{name}.1" for name in names])


def crash(app):
    """Launcher and supervisor end; what runs, runs on."""
    supervisor = app.supervisor()
    os.kill(app.launcher, signal.SIGKILL)
    app.process.wait()
    wait_until(lambda: supervisor not in marked_processes(app.mark), "the supervisor's end")


def test_an_engine_with_nothing_of_ours(app):
    assert gc(app) == "nothing to remove\n"


def test_what_is_held_stays_beside_what_is_free(make):
    held, free = make("held"), make("free")
    run_it(held, "web")
    run_it(free, "job")
    crash(free)
    assert states(free) == {"web.1": "running", "job.1": "running"}
    said = gc(free, "--kill")
    assert said.count("removed") == 1 and "job.1" in said, said
    assert states(held) == {"web.1": "running"}
    assert gc(free, "--kill") == "nothing to remove\n"
    held.no_line(r"hsup\[web\.1\]: process")


def test_what_has_ended_goes_without_kill(app):
    run_it(app, "web", "job")
    crash(app)
    app.kill("job.1")
    wait_until(lambda: states(app)["job.1"] == "exited", "the end of one")
    dry = gc(app, "--dry-run")
    assert "would remove container" in dry and dry.count("job.1") == 1, dry
    assert len(states(app)) == 2
    said = gc(app)
    assert "removed container" in said and "left container" in said and "--kill" in said, said
    assert states(app) == {"web.1": "running"}
    # The next supervisor takes over what gc has left.
    app.start()
    app.wait_line("found 1 dynos running")
    app.wait_up("job.1")
    assert app.stop() == 0


@pytest.mark.parametrize("kill", [False, True])
def test_a_control_directory_that_is_gone(app, kill):
    run_it(app, "web")
    crash(app)
    app.control.rename(app.folder / "away")
    images = len(app.engine.foreign_images())
    assert images == 1
    if kill:
        dry = gc(app, "--kill", "--dry-run")
        assert dry.count("would remove") == 2 and len(states(app)) == 1, dry
        said = gc(app, "--kill")
        assert "removed container" in said and "removed image" in said, said
        assert not states(app) and not app.engine.foreign_images()
        return
    # An image that is in use stays, and that it could not go is told.
    said = gc(app, code=1)
    assert "left container" in said and "cannot remove image" in said, said
    assert states(app) == {"web.1": "running"} and len(app.engine.foreign_images()) == 1
    app.kill("web.1")
    wait_until(lambda: states(app)["web.1"] == "exited", "its end")
    said = gc(app)
    assert "removed container" in said and "removed image" in said, said


def test_an_image_of_a_directory_that_is_there_stays(app):
    run_it(app, "web")
    assert app.stop() == 0
    assert gc(app, "--kill") == "nothing to remove\n"
    assert len(app.engine.foreign_images()) == 1


def test_a_run_stays_while_its_launcher_lives(app):
    app.submit(app.release())
    run = subprocess.Popen([app.build / "hsup", "run", "-d", "docker", "-C", app.control, "echo here; exec sleep 1000"],
                           env=app.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def runs():
        return app.engine.rest.containers(label="hsup.kind=run")
    assert run.stdout.readline() == "here\n"
    try:
        assert gc(app, "--kill") == "nothing to remove\n"
        assert [c["State"] for c in runs()] == ["running"]
        inside = set(app.engine.contained())
        outside = [pid for pid in marked_processes(app.mark) if pid not in inside]
        os.kill(run.pid, signal.SIGKILL)  # the launcher
        run.wait()
        wait_until(lambda: not set(outside) & set(marked_processes(app.mark)), "its supervisor to end")
        assert "removed container" in gc(app)  # without --kill: nobody takes over a run
        assert not runs()
    finally:
        run.kill()
        run.wait()
        run.stdout.close()


@pytest.mark.parametrize("who", ["build", "start"])
def test_a_build_that_is_left_early_leaves_no_container(app, folder, who):
    """And while it goes on, it is nobody's to remove."""
    def builds():
        return app.engine.rest.containers(label="hsup.build")
    front = FakeEngine(app.engine.socket, folder / "front")
    app.env["DOCKER_HOST"] = f"unix://{folder}/front"
    rule = front.spoil(r"PUT .*/archive", "hang")
    app.submit(app.release(("web", SLEEP, 1)))
    process = subprocess.Popen([app.build / "hsup", who, "-d", "docker", "-C", app.control], env=app.env,
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: rule.seen, "its files to be put")
        assert gc(app, "--kill") == "nothing to remove\n"
        assert len(builds()) == 1
        process.send_signal(signal.SIGTERM)
        code = process.wait(15)
        assert code == (1 if who == "build" else 0)
        assert not builds()
    finally:
        process.kill()
        process.wait()
        front.close()
        app.env["DOCKER_HOST"] = app.engine.host


def test_no_engine(app, folder):
    app.env["DOCKER_HOST"] = f"unix://{folder}/nobody"
    done = app.hsup("gc", "-d", "docker")
    assert done.returncode == 1 and f"{folder}/nobody" in done.stderr and not done.stdout, (done.stdout, done.stderr)


def test_a_driver_that_leaves_nothing(app):
    done = app.hsup("gc", "-d", "simple")
    assert done.returncode == 2 and "-d docker" in done.stderr, done.stderr


@pytest.mark.parametrize("body", [b"{}", b"[1, 2]", b"", b"[{}]", b'{"message": '],
                         ids=["object", "numbers", "empty", "nameless", "half"])
def test_a_list_that_is_none_removes_nothing(app, folder, body):
    run_it(app, "web")
    front = FakeEngine(app.engine.socket, folder / "front")
    app.env["DOCKER_HOST"] = f"unix://{folder}/front"
    try:
        front.spoil(r"GET .*/(containers|images)/json", "garbage", body=body)
        done = app.hsup("gc", "-d", "docker", "--kill")
        assert done.returncode == 1 and done.stderr and "removed" not in done.stdout, (done.stdout, done.stderr)
        assert states(app) == {"web.1": "running"}
    finally:
        front.close()
        app.env["DOCKER_HOST"] = app.engine.host
