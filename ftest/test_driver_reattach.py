"""Every driver: a supervisor or a launcher that is killed is missed by nobody."""
import contextlib
import os
import signal
import time

import pytest

from driver_app import SLEEP
from engines import app  # noqa: F401 (fixture)
from hsup import PATIENCE, marked_processes, wait_until


def numbers(app, dyno="web.1"):
    return [int(text[7:]) for text in app.texts(dyno) if text.startswith("number-")]


def assert_all_once(app, last, dyno="web.1"):
    """Each stream in its order, no line lost, none twice."""
    got = numbers(app, dyno)
    for on_err in (False, True):
        stream = [n for n in got if (n % 3 == 0) == on_err]
        wanted = [n for n in range(1, last + 1) if (n % 3 == 0) == on_err]
        if stream != wanted:
            lost, twice = sorted(set(wanted) - set(stream))[:10], sorted({n for n in stream if stream.count(n) > 1})[:10]
            raise AssertionError(f"{dyno}: err={on_err} lost {lost}, twice {twice}, "
                                 f"first out of order {next((n for n, m in zip(stream, wanted) if n != m), None)}")


@pytest.mark.parametrize("how", ["kill -9", "HUP"])
def test_dynos_run_on_and_no_line_is_lost_or_repeated(app, how):
    last = 3000
    app.start()
    app.submit(app.release(("web", [f"exec ./tool count {app.shared}/at.$DYNO {last} 300"], 2)))
    app.wait_up("web.1", "web.2")
    before = app.lives()
    for _ in range(3):
        time.sleep(0.1)
        seen = len(app.lines)
        if how == "HUP":
            app.process.send_signal(signal.SIGHUP)
        else:
            os.kill(app.supervisor(), signal.SIGKILL)
        app.wait_line(r"found 2 dynos running", since=seen)
    app.wait_line(r"app\[web\.\d\]: counted$", count=2)
    assert app.lives() == before
    assert app.stop() == 0
    for dyno in ("web.1", "web.2"):
        assert_all_once(app, last, dyno)


def kill_quickly(app, last):
    app.start()
    app.submit(app.release(("web", [f"exec ./tool count {app.shared}/at {last} 0"], 1)))
    app.wait_line(r"number-1$")
    kills = 0
    while kills < 6:
        supervisor = app.supervisor()
        os.kill(supervisor, signal.SIGKILL)
        kills += 1
        wait_until(lambda: supervisor not in marked_processes(app.mark), "its end")
        app.process.send_signal(signal.SIGHUP)  # without the wait that a crash costs
        time.sleep(0.02 * kills)


def test_no_line_is_lost_over_quick_kills_of_a_fast_writer(app):
    """Also while the successor has not caught up; nobody can wait for the log of an engine then."""
    last = 40_000
    kill_quickly(app, last)
    app.wait_line(r"app\[web\.1\]: counted$")
    assert app.stop() == 0
    assert_all_once(app, last)


@pytest.mark.parametrize("script, said", [("exit 7", "exited with status 7"), ("kill -9 $$", "was killed by SIGKILL")],
                         ids=["7", "KILL"])
def test_an_exit_meanwhile_is_seen(app, script, said):
    app.start()
    app.submit(app.release({"Type": "web", "Restart": "never", "Args": [
        f"echo waits; while ! test -e {app.shared}/go; do sleep 0.02; done; echo last; printf words; {script}"]},
        ("other", SLEEP, 1)))
    app.wait_line(r"app\[web\.1\]: waits$")
    app.wait_up("web.1", "other.1")
    supervisor = app.supervisor()
    os.kill(supervisor, signal.SIGSTOP)
    app.write("go", "")
    wait_until(lambda: "web.1" not in {name for name, _ in app.lives()}, "its end")
    os.kill(supervisor, signal.SIGKILL)
    app.wait_line(rf"hsup\[web\.1\]: process {said}")
    app.wait_line(r"app\[web\.1\]: words$")
    assert app.texts("web.1") == ["waits", "last", "words"]


def test_killed_in_the_middle_of_starts(app):
    """Those that were on their way are there once, not twice and not never."""
    app.start()
    app.submit(app.release(("web", SLEEP, 6)))
    app.wait_line("to starting")
    for pause in (0.0, 0.05, 0.2):
        time.sleep(pause)
        os.kill(app.supervisor(), signal.SIGKILL)
        wait_until(lambda: len(app.lives()) <= 6, "no more than six")
    wait_until(lambda: sorted(name for name, _ in app.lives()) == [f"web.{n}" for n in range(1, 7)], "six of them",
               3 * PATIENCE)
    app.wait_line("release v1 is up", count=1)
    time.sleep(0.5)
    assert len(app.lives()) == 6


def test_killed_in_the_middle_of_a_rollout(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 2)))
    app.wait_line("release v1 is up")
    before = app.wait_lives(2)
    app.submit(app.release({"Type": "web", "Args": ["sleep 0.5; exit 1"], "Quantity": 2, "StartSeconds": 5,
                            "StartTimeout": 20}, Version=2))
    app.wait_line(r"release v2 is being rolled out")
    app.wait_line(r"to starting", count=3)
    app.kill_supervisor()
    app.wait_line("release v2 rolled back")
    assert app.wait_lives(2) == before
    assert app.loaded()["Version"] == 1


def test_a_back_off_goes_on(app):
    app.start()
    app.submit(app.release(("crash", ["echo run; exit 1"], 1), ("web", SLEEP, 1)))
    app.wait_line(r"hsup\[crash\.1\]: process exited with status 1$", count=3)
    app.kill_supervisor()
    app.wait_line(r"hsup\[crash\.1\]: process exited with status 1, \d")
    before = len([l for l in app.lines if "crash.1]: state changed from" in l and l.endswith("to starting")])
    assert before == 3


def test_kill_of_supervisor_and_launcher_and_a_new_start(app):
    """The next hsup finds the dynos that nobody watches any more, and runs none twice."""
    app.start()
    app.submit(app.release(("web", ["n=0; while :; do n=$((n+1)); echo number-$n; sleep 0.01; done"], 2),
                           ("worker", SLEEP, 1)))
    app.wait_up("web.1", "web.2", "worker.1")
    app.wait_line(r"app\[web\.1\]: number-5$")
    before = app.lives()
    supervisor, launcher = app.supervisor(), app.launcher
    os.kill(launcher, signal.SIGKILL)
    app.process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: supervisor not in marked_processes(app.mark), "the supervisor's end")
    got = len(app.lines)
    app.start()
    app.wait_line(r"found 3 dynos running", since=got)
    app.wait_line(r"app\[web\.1\]: number-\d+$", count=20, since=got)
    assert app.lives() == before
    assert app.stop() == 0
    assert not app.lives() and not app.processes()


def test_an_exit_while_nobody_lives_is_seen_by_the_next(app):
    app.start()
    app.submit(app.release({"Type": "web", "Restart": "on-failure", "Args": [
        f"echo waits; while ! test -e {app.shared}/go; do sleep 0.02; done; echo last; exit 0"]}, ("other", SLEEP, 1)))
    app.wait_line(r"app\[web\.1\]: waits$")
    app.wait_up("web.1", "other.1")
    supervisor = app.supervisor()
    os.kill(app.launcher, signal.SIGKILL)
    app.process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: supervisor not in marked_processes(app.mark), "the supervisor's end")
    app.write("go", "")
    if app.engine:
        wait_until(lambda: {name for name, _ in app.lives()} == {"other.1"}, "its end")
    else:
        wait_until(lambda: not [p for p in app.processes() if app.variables(p)["DYNO"] == "web.1"], "its end")
    got = len(app.lines)
    app.start()
    app.wait_line(r"hsup\[web\.1\]: process exited with status 0" if app.engine else
                  r"hsup\[web\.1\]: process ended, nobody knows how|hsup\[web\.1\]: .*not known|hsup\[web\.1\]: .*unknown",
                  since=got)
    app.wait_line(r"app\[web\.1\]: last$", since=got)
