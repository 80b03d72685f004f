"""Who starts when, and who ends hsup: Priority, After, the release phase, Essential, wishes that last."""
import json
import os
import re
import signal

import pytest

import hsup
from hsup import wait_until


def when(app, pattern):
    """The number of the first line like it."""
    for number, line in enumerate(app.lines):
        if re.search(pattern, line):
            return number
    raise AssertionError(f"no line like {pattern!r}:\n" + "\n".join(app.lines))


def changed(dyno, to):
    return rf"hsup\[{re.escape(dyno)}\]: state changed from \w+ to {to}$"


def ps(app):
    """What `hsup ps` says: a dyno's name to its record."""
    done = app.hsup("ps", "-C", app.control, "--json")
    assert done.returncode in (0, 3), done.stderr
    return {d["name"]: d for d in json.loads(done.stdout)}


SLEEP = ["sleep", "1000"]


# ---- Priority ----

def test_a_step_waits_for_the_one_before_it_also_at_the_end(app):
    app.submit(app.release(
        {"Type": "late", "Args": SLEEP, "Priority": 30},
        {"Type": "early", "Args": SLEEP, "Priority": 10, "Quantity": 2, "StartSeconds": 0.3},
        {"Type": "middle", "Args": SLEEP, "Priority": 20}))
    app.start()
    app.wait_up("early.1", "early.2", "middle.1", "late.1")
    assert max(when(app, changed("early.1", "up")), when(app, changed("early.2", "up"))) < \
        when(app, changed("middle.1", "starting"))
    assert when(app, changed("middle.1", "up")) < when(app, changed("late.1", "starting"))
    assert app.stop() == 0
    assert when(app, changed("late.1", "stopped")) < when(app, changed("middle.1", "stopping"))
    assert when(app, changed("middle.1", "stopped")) < when(app, changed("early.1", "stopping"))


def test_one_that_does_not_come_up_does_not_hold_up_the_others_for_ever(app):
    app.submit(app.release(
        {"Type": "broken", "Args": ["exit 7"], "Priority": 10},
        {"Type": "web", "Args": SLEEP, "Priority": 20}))
    app.start()
    app.wait_up("web.1")
    assert app.stop() == 0


# ---- After ----

def test_after_waits_until_the_other_is_ready(app, folder):
    flag = folder / "flag"
    app.submit(app.release(
        {"Type": "web", "Args": SLEEP, "After": "db"},
        {"Type": "db", "Args": SLEEP,
         "Ready": {"Command": [f"test -e {flag}"], "Interval": 0.05}}))
    app.start()
    app.wait_line(changed("db.1", "starting"))
    wait_until(lambda: ps(app)["web.1"]["why"] == "waits for db to be ready", "what it waits for")
    assert ps(app)["web.1"]["state"] == "stopped"
    flag.touch()
    app.wait_up("db.1", "web.1")
    assert when(app, changed("db.1", "up")) < when(app, changed("web.1", "starting"))
    assert app.stop() == 0


def test_after_waits_until_a_job_has_succeeded(app, folder):
    flag = folder / "flag"
    app.submit(app.release(
        {"Type": "web", "Args": SLEEP, "After": [{"Type": "migrate", "Condition": "succeeded"}]},
        {"Type": "migrate", "Args": [f"while ! test -e {flag}; do sleep 0.02; done"],
         "Restart": "never", "StartSeconds": 0}))
    app.start()
    app.wait_line(changed("migrate.1", "up"))
    assert ps(app)["web.1"]["state"] == "stopped"
    flag.touch()
    app.wait_up("web.1")
    assert when(app, changed("migrate.1", "stopped")) < when(app, changed("web.1", "starting"))
    assert app.stop() == 0


# ---- the release phase ----

def phase(command, **fields):
    return {"Type": "release", "Args": [command], **fields}


def test_the_release_phase_runs_once_before_the_release_is_in_force(app):
    ran = app.folder / "ran"
    app.submit(app.release(("web", SLEEP, 1), phase(f"echo $DYNO $VALUE >> {ran}"), Env={"VALUE": "one"}))
    app.start()
    app.wait_up("web.1")
    assert ran.read_text() == "release.1 one\n"
    assert when(app, r"hsup\[release.1\]: process exited with status 0") < when(app, "v1 is being rolled out")
    # Not again for what is in force: neither after a restart of the supervisor nor at the next start.
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line("found 1 dynos running")
    assert app.stop() == 0
    mark = len(app.lines)
    app.start()
    app.wait_line(changed("web.1", "up"), since=mark)
    assert ran.read_text() == "release.1 one\n"
    assert "release.1" not in ps(app)
    assert app.stop() == 0


def test_a_release_phase_that_fails_refuses_the_release(app):
    app.submit(app.release(("web", SLEEP, 1)))
    app.start()
    app.wait_up("web.1")
    before = app.dynos()
    app.submit(app.release(("web", ["sleep", "2000"], 1), phase("echo no table; exit 9"), Version=2))
    app.wait_rejected("release phase.*status 9")
    app.wait_line(r"app\[release.1\]: no table")
    assert app.dynos() == before and app.loaded()["Version"] == 1
    assert app.stop() == 0


def test_a_release_phase_is_not_run_twice_over_a_kill_of_the_supervisor(app):
    ran, flag = app.folder / "ran", app.folder / "flag"
    app.submit(app.release(("web", SLEEP, 1)))
    app.start()
    app.wait_up("web.1")
    app.submit(app.release(("web", ["sleep", "2000"], 1), Version=2, *[
        phase(f"echo begun >> {ran}; while ! test -e {flag}; do sleep 0.02; done; echo ended >> {ran}")]))
    wait_until(ran.exists, "the release phase to begin")
    for _ in range(2):
        supervisor = app.supervisor()
        mark = len(app.lines)
        os.kill(supervisor, signal.SIGKILL)
        app.wait_line("found 2 dynos running", since=mark)
    flag.touch()
    app.wait_line("release v2 is up")
    assert ran.read_text() == "begun\nended\n"
    assert app.stop() == 0


def test_a_newer_release_takes_over_from_a_release_phase(app, folder):
    app.submit(app.release(("web", SLEEP, 1), phase("sleep 1000")))
    app.start()
    app.wait_line(changed("release.1", "starting"))
    app.submit(app.release(("web", SLEEP, 1), Version=2))
    app.wait_line("release v2 is up")
    wait_until(lambda: len(app.dynos()) == 1, "the end of the release phase")
    assert app.stop() == 0


# ---- who ends hsup ----

def test_an_essential_process_that_fails_ends_hsup_with_its_code(app, folder):
    flag = folder / "flag"
    app.submit(app.release(
        ("web", SLEEP, 2),
        {"Type": "main", "Args": [f"while ! test -e {flag}; do sleep 0.02; done; exit 42"], "Restart": "never",
         "Essential": True}))
    app.start()
    app.wait_up("web.1", "web.2", "main.1")
    flag.touch()
    assert app.wait() == 42


def test_an_essential_process_that_gives_up_ends_hsup(app):
    app.submit(app.release(
        ("web", SLEEP, 1), {"Type": "main", "Args": ["exit 3"], "StartRetries": 1, "Essential": True}))
    app.start()
    assert app.wait() == 3


def test_hsup_ends_when_nothing_is_left_to_run(app):
    app.submit(app.release(
        {"Type": "one", "Args": ["sleep 0.2"], "Restart": "on-failure"},
        {"Type": "two", "Args": ["exit 5"], "Restart": "never", "StartSeconds": 0}))
    app.start("--exit-when-done")
    assert app.wait() == 5


# ---- what the operator wants, over all lives of hsup and all releases ----

def test_what_was_scaled_and_stopped_stays_so(app):
    app.submit(app.release(("web", SLEEP, 1), ("worker", SLEEP, 2)))
    app.start()
    app.wait_up("web.1", "worker.1", "worker.2")
    assert app.hsup("scale", "-C", app.control, "web=3").returncode == 0
    assert app.hsup("stop", "-C", app.control, "worker.2").returncode == 0
    app.wait_up("web.3")

    def as_wanted():
        now = {name: (d["state"], d["stopped_by_operator"]) for name, d in ps(app).items()}
        up, down = ("up", False), ("stopped", True)
        return now == {"web.1": up, "web.2": up, "web.3": up, "worker.1": up, "worker.2": down}
    wait_until(as_wanted, "three and one and one that is stopped")
    # Another supervisor,
    mark = len(app.lines)
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line("found 4 dynos running", since=mark)
    wait_until(as_wanted, "the same after a kill")
    # another release that says nothing else of quantities,
    app.submit(app.release(("web", ["sleep", "2000"], 1), ("worker", ["sleep", "2000"], 2), Version=2))
    app.wait_line("release v2 is up")
    wait_until(as_wanted, "the same after a release")
    # another hsup.
    assert app.stop() == 0
    app.start()
    wait_until(lambda: len(app.dynos()) == 4, "four dynos")
    wait_until(as_wanted, "the same after all has ended")
    # Until the release says another quantity, and the operator starts what he stopped.
    app.submit(app.release(("web", ["sleep", "2000"], 2), ("worker", ["sleep", "2000"], 2), Version=3))
    wait_until(lambda: [n for n in ps(app) if n.startswith("web")] == ["web.1", "web.2"], "two of web")
    assert app.hsup("start", "-C", app.control, "worker.2").returncode == 0
    wait_until(lambda: ps(app)["worker.2"]["state"] == "up", "worker.2")
    assert app.stop() == 0


def test_a_type_is_restarted_one_after_the_other(app):
    app.submit(app.release(("web", SLEEP, 3)))
    app.start()
    app.wait_up("web.1", "web.2", "web.3")
    before = set(app.dynos())
    mark = len(app.lines)
    done = app.hsup("restart", "--rolling", "-C", app.control, "web")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: len(app.dynos()) == 3 and not before & set(app.dynos()), "three others")
    # Never fewer than three up: each new one first, then an old one goes.
    up = 3
    for line in app.lines[mark:]:
        m = re.search(r"state changed from (\w+) to (\w+)$", line)
        if m:
            up += (m.group(2) == "up") - (m.group(1) == "up")
            assert up >= 3, "\n".join(app.lines[mark:])
    assert app.stop() == 0


@pytest.mark.parametrize("text", [
    "web 4000 1\nworker 4000 2\n",
    "web 2 1\nnobody 4096 7\n",
    "web 99999999999 1\nweb\nweb x y\nworker -1 2\n\0\xff 3 1\n",
    "web 2 1\n" * 1000,
], ids=["too many", "of a type that is gone", "nonsense", "again and again"])
def test_quantities_that_somebody_spoilt_keep_no_app_down(app, text):
    app.submit(app.release(("web", SLEEP, 1), ("worker", SLEEP, 2)))
    app.start()
    app.wait_line("release v1 is up")
    assert app.stop() == 0
    (app.control / ".hsup" / "scaled").write_bytes(text.encode("latin-1"))
    (app.control / ".hsup" / "stopped").write_bytes(b"worker 2\nworker\nworker 99999\n\xff\n" + b"x" * 5000)
    mark = len(app.lines)
    app.start()
    app.wait_line("release v1 is up", since=mark)
    now = ps(app)
    assert now["web.1"]["state"] == "up" and now["worker.1"]["state"] == "up", now
    assert now["worker.2"]["stopped_by_operator"]
    assert app.hsup("scale", "-C", app.control, "web=1", "worker=1").returncode == 0
    wait_until(lambda: sorted(ps(app)) == ["web.1", "worker.1"], "one of each")
    assert app.stop() == 0
