"""Boxes that are parked, and die while they are made or while they become a dyno (HSUP_BOX_DIE_AFTER, which only
they get here): nothing of them is left, and the dyno comes up anyway."""
import fcntl
import os
import pathlib
import shutil
import struct

import pytest

import cgroups
import helpers
from hsup import wait_until
from test_native_warm import SAY, begin, parked, taken, wait_parked

UIDS = range(5400, 5450)
SAID = r"app\[web\.1\]: from web\.1 on web-1$"
FAILED = "hsup[web.1]: state changed from starting to backoff"
F_OFD_GETLK = 36


class Die:
    """What the next ones that are parked are told."""

    def __init__(self, folder):
        self.file, self.told = folder / "die", folder / "died"

    def after(self, step):
        beside = self.file.with_suffix(".new")
        beside.write_text(str(step))
        beside.rename(self.file)

    def no_more(self):
        self.file.unlink()

    def times(self, step):
        """So often one was."""
        lines = self.told.read_text().splitlines() if self.told.exists() else []
        return lines.count(f"HSUP_BOX_DIE_AFTER={step}")


@pytest.fixture
def die(folder):
    (folder / "programs").mkdir()
    return Die(folder / "programs")


@pytest.fixture
def app(make_driver_app, build, folder, die):
    app = make_driver_app("native")
    programs = folder / "programs"
    for name in ("hsup", "hsup-launcher", "hsup-slug"):
        shutil.copy(build / name, programs)
    helpers.make("dying_box", programs / "hsup-box")
    (programs / "real").symlink_to(build)
    app.build, app.program = programs, programs / "hsup"
    app.env.update(LIBCONTAINER_DYNO_UID_MIN=str(UIDS[0]), LIBCONTAINER_DYNO_UID_MAX=str(UIDS[-1]),
                   LIBCONTAINER_DYNO_SUBNET="10.203.56.0/22", HSUP_BOX_RUN=str(folder / "locks"))
    return app


def uids_taken(app):
    """By the locks of their boxes, which only a process that lives can have."""
    with open(pathlib.Path(app.env["HSUP_BOX_RUN"]) / "native.uids", "rb") as file:
        def is_taken(uid):
            asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, uid, 1, 0)
            return struct.unpack("hhqqi4x", fcntl.fcntl(file, F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK
        return [uid for uid in UIDS if is_taken(uid)]


def left_of(app):
    """What all its boxes have, by kind, and what is not to be there at all."""
    owner = app.boxes.owner
    links = [path.name for path in pathlib.Path("/sys/class/net").glob("hv*")]
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return {"folders": app.boxes.layers, "cgroups": sorted({path.name for path in cgroups.of_boxes(f"{owner}*")}),
            "claims": sorted(os.listdir(pathlib.Path(app.env["HSUP_BOX_RUN"]) / "boxes")),
            "links": sorted(link for link in links if link[2:].isdigit() and int(link[2:]) in UIDS),
            "uids": uids_taken(app), "mounts": [line for line in mounts if str(app.folder) in line]}


def only_two_are_left(app):
    """The dyno's box and the one that is parked, and of each the same."""
    left = left_of(app)
    names, uids = left["folders"], left["uids"]
    return len(names) == len(uids) == 2 and left == {
        "folders": names, "cgroups": names, "claims": names, "links": [f"hv{uid}" for uid in uids], "uids": uids,
        "mounts": []}


def wait_clean(app, step):
    try:
        wait_until(lambda: only_two_are_left(app), "only the dyno and one that is parked to be left")
    except AssertionError as e:
        raise AssertionError(f"{e}, after step {step}: {left_of(app)}") from None


def count(app, text):
    return sum(1 for line in app.lines if text in line)


def restart(app):
    """By the operator: so it is not put off, however often it was."""
    done = app.hsup("restart", "-C", app.control, "web.1")
    assert done.returncode == 0, done


def test_a_death_after_any_step(app, die):
    begin(app, 1, ("web", [SAY], 1))
    app.wait_line(SAID)
    lives = 1

    def again():
        """It is up; and so often its life has ended before it was."""
        nonlocal lives
        before, lives = count(app, FAILED), lives + 1
        restart(app)
        app.wait_line(SAID, count=lives)
        return count(app, FAILED) - before

    died_parking, died_given = 0, 0
    for step in range(1, 100):
        wait_parked(app, 1)
        wait_clean(app, step - 1)
        die.after(step)
        assert again() == 0  # it takes the one that there is, and others have to take its place
        wait_until(lambda: die.times(step) >= 2 or parked(app), f"the end of one after step {step}")
        if not parked(app):
            died_parking += 1
            assert not died_given and again() == 0
            assert app.ps()["web.1"]["pid"] not in taken(app, "web.1")
            die.no_more()
            continue
        die.no_more()
        assert die.times(step) == 1
        [waiting] = parked(app)
        # Who was given an order and has died can have run already: that is a life, and the next one follows at once.
        if again() == 0:
            assert app.ps()["web.1"]["pid"] == waiting
            break
        assert waiting in taken(app, "web.1")
        died_given += 1
    wait_parked(app, 1)
    wait_clean(app, step)
    app.no_line("could not start")
    assert died_parking > 15 and died_given == 2
