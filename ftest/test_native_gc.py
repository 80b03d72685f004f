"""`hsup gc -d native`: what ended boxes left goes, what runs stays, and nothing is made by looking."""
import os
import signal

import pytest

from hsup import wait_until


@pytest.fixture
def app(make_driver_app, folder):
    app = make_driver_app("native")
    app.env["HSUP_BOX_RUN"] = str(folder / "locks")
    return app


def gc(app, *options, code=0, **how):
    done = app.hsup("gc", "-d", "native", *options, **how)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout.splitlines() if code == 0 else done.stderr.strip()


def boxes(app):
    folder = app.folder / "state/native/boxes"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_what_a_crash_left(app, folder):
    """The launcher is killed, and one of two dynos: nobody is there to sweep."""
    app.submit(app.release(("web", ["mkdir -p /app/a/b; echo made; sleep 1000"], 2)))
    app.start()
    app.wait_up("web.1", "web.2")
    app.wait_line(r"app\[web\.\d\]: made$", count=2)
    dynos = {name: dyno["pid"] for name, dyno in app.ps().items()}
    there = boxes(app)
    assert len(there) == 2
    app.process.kill()
    app.process.wait()
    os.kill(dynos["web.2"], signal.SIGKILL)
    gone, = [name for name in there if ".web.2." in name]
    wait_until(lambda: gc(app, "--dry-run") == [f"would remove box {gone}"], "what would be removed")
    assert boxes(app) == there
    assert gc(app) == [f"removed box {gone}"]
    assert boxes(app) == [name for name in there if name != gone]
    assert gc(app) == ["nothing to remove"]
    # What runs is the next supervisor's.
    seen = len(app.lines)
    app.start()
    app.wait_line("release v1 is up", since=seen)
    assert app.ps()["web.1"]["pid"] == dynos["web.1"]
    app.stop()
    wait_until(lambda: not boxes(app), "all to be swept")


def test_asked_with_other_locks(app, folder):
    """What the service has in its environment, who asks by hand has not."""
    app.submit(app.release(("web", ["echo up; sleep 1000"], 1)))
    app.start()
    app.wait_line(r"app\[web\.1\]: up$")
    dyno, there = app.ps()["web.1"]["pid"], boxes(app)
    app.env["HSUP_BOX_RUN"] = str(folder / "others")
    assert gc(app, "--dry-run") == gc(app) == ["nothing to remove"]
    assert boxes(app) == there and app.ps()["web.1"]["pid"] == dyno
    app.env["HSUP_BOX_RUN"] = str(folder / "locks")


def test_who_asks_may_ignore_the_ends_of_children(app):
    assert gc(app, preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)) == ["nothing to remove"]


def test_where_nothing_ever_was(app, folder):
    assert gc(app, "--dry-run") == ["nothing to remove"]
    assert not (folder / "locks").exists()
    (folder / "locks").mkdir()
    assert gc(app) == ["nothing to remove"]
    assert not (folder / "locks").exists()


def test_what_it_does_not_do(app):
    assert "have an init of their own" in gc(app, "--kill", code=1)
    app.env["LIBCONTAINER_DYNO_SUBNET"] = "10.201.4.0"
    assert "LIBCONTAINER_DYNO_SUBNET: '10.201.4.0' is not" in gc(app, code=1)
