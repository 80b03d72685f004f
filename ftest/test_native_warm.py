"""`--warm N`: boxes that are parked, and become dynos when one is started."""
import os
import pathlib
import re
import signal

import pytest

from hsup import children_of, wait_until

UIDS = (6500, 6549)


@pytest.fixture
def app(make_driver_app):
    app = make_driver_app("native")
    app.env.update(LIBCONTAINER_DYNO_UID_MIN=str(UIDS[0]), LIBCONTAINER_DYNO_UID_MAX=str(UIDS[1]),
                   LIBCONTAINER_DYNO_SUBNET="10.65.0.0/16")
    return app


def parked(app):
    """Their inits: boxes whose dyno's own process is hsup-box still, and waits."""
    found = set()
    for init in children_of(app.launcher):
        try:
            if b"HSUP_CHILD=" in pathlib.Path(f"/proc/{init}/environ").read_bytes() and \
                    pathlib.Path(f"/proc/{init}/status").read_text().split("\nUid:\t")[1].split()[0] == "0" and \
                    pathlib.Path(f"/proc/{init}/comm").read_text() == "hsup-box\n" and \
                    pathlib.Path(f"/proc/{init}/wchan").read_text() != "0" and children_of(init):
                found.add(init)
        except OSError:
            pass
    return found


def wait_parked(app, n):
    """The same ones for a while: those that are born are not ready."""
    def look():
        found = parked(app)
        return [found] if len(found) == n else None
    return wait_until(look, f"{n} to be parked")[0]


def end(app, name, signo=signal.SIGKILL):
    """The dyno's own process, from outside; its init is what hsup shows."""
    dyno, = children_of(app.ps()[name]["pid"])
    os.kill(dyno, signo)


def test_a_start_takes_one(app):
    app.start("--warm", "2", "--verbose")
    app.submit(app.release(("web", ["echo from $DYNO on $(hostname); exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: from web\.1 on web-1$")
    before = wait_parked(app, 2)
    first = app.ps()["web.1"]["pid"]
    assert first not in before
    end(app, "web.1")
    app.wait_line(r"app\[web\.1\]: from web\.1 on web-1$", count=2)
    app.wait_line(r"web\.1 is pid \d+, which was parked")
    assert app.ps()["web.1"]["pid"] in before
    # Another one has taken its place.
    after = wait_parked(app, 2)
    assert len(after & before) == 1
