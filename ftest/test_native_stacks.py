"""Which version of its stack a native dyno runs on, when there are newer ones than its release was made ready with."""
import shutil

import pytest

SETTINGS = {"LIBCONTAINER_DYNO_UID_MIN": "6000", "LIBCONTAINER_DYNO_UID_MAX": "6099",
            "LIBCONTAINER_DYNO_SUBNET": "10.203.68.0/22"}


@pytest.fixture
def app(make_driver_app):
    app = make_driver_app("native")
    app.env.update(SETTINGS)
    add_version(app, 1)
    return app


def add_version(app, number):
    root = app.folder / f"root{number}"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    (root / "number").write_text(f"{number}\n")
    assert app.hsup("stack", "add", "bb", root, "--set-version", str(number)).returncode == 0


def release(app, version, *more):
    says = "echo $DYNO of $HSUP_TEST_RELEASE on $(busybox cat /number); exec busybox sleep 1000"
    return app.release(("web", [says], 1), *more, Stack="bb", Version=version, Env={"HSUP_TEST_RELEASE": f"v{version}"})


def test_a_release_that_comes_to_nothing_changes_nothing(app):
    app.start()
    app.submit(release(app, 1))
    app.wait_line(r"web\.1 of v1 on 1$")
    add_version(app, 2)
    job = ["echo phase on $(busybox cat /number); exit 1"]
    app.submit(release(app, 2, ("release", job, 1)))
    app.wait_line(r"phase on 2$")
    app.wait_line(r"release v2 rejected")
    app.kill("web.1")
    app.wait_line(r"web\.1 of v1 on 1$", count=2)
    app.submit(release(app, 3))
    app.wait_line(r"web\.1 of v3 on 2$")


def test_the_next_supervisor_keeps_it(app):
    app.start()
    app.submit(release(app, 1))
    app.wait_line(r"web\.1 of v1 on 1$")
    add_version(app, 2)
    app.kill_supervisor()
    app.kill("web.1")
    app.wait_line(r"web\.1 of v1 on 1$", count=2)
    app.submit(release(app, 2))
    app.wait_line(r"web\.1 of v2 on 2$")


def test_the_next_start_has_the_newest(app):
    app.start()
    app.submit(release(app, 1))
    app.wait_line(r"web\.1 of v1 on 1$")
    add_version(app, 2)
    app.stop()
    app.start()
    app.wait_line(r"web\.1 of v1 on 2$")
