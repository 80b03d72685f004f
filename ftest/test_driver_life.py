"""Every driver: crashes, quantities, rollouts, stops."""
import re
import signal
import time

import pytest

from driver_app import SLEEP, pack
from engines import app  # noqa: F401 (fixture)
from hsup import PATIENCE, wait_until


def names(lives):
    return sorted(name for name, _ in lives)


def test_exactly_the_wanted_dynos_run(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 2), ("worker", SLEEP, 1)))
    app.wait_up("web.1", "web.2", "worker.1")
    assert names(app.lives()) == ["web.1", "web.2", "worker.1"]
    assert app.stop() == 0
    assert not app.lives() and not app.processes()
    app.no_line("SIGKILL")


@pytest.mark.parametrize("signo", [signal.SIGKILL, signal.SIGTERM])
def test_a_crash_is_restarted(app, signo):
    app.start()
    app.submit(app.release(("web", ["exec sleep 1000"], 1)))
    app.wait_up("web.1")
    life = app.life("web.1")
    app.kill("web.1", signo)
    app.wait_line(rf"hsup\[web\.1\]: process was killed by {signo.name}$")
    app.wait_line(r"hsup\[web\.1\]: state changed from \w+ to up", count=2)
    assert app.life("web.1") != life
    assert len(app.lives()) == 1


def test_a_back_off_after_the_first(app):
    app.start()
    app.submit(app.release(("crash", [f"date +%s.%N >> {app.shared}/runs; exit 1"], 1)))
    runs = app.shared / "runs"
    if app.engine:  # busybox knows no nanoseconds
        app.submit(app.release(("crash", [f"cat /proc/uptime >> {app.shared}/runs; exit 1"], 1)))
    app.wait_line(r"hsup\[crash\.1\]: process exited with status 1$", count=3)
    times = wait_until(lambda: (lambda t: t if len(t) >= 3 else None)(
        [float(line.split()[0]) for line in runs.read_text().splitlines()]), "three runs")
    assert times[1] - times[0] < PATIENCE / 20 + (2 if app.engine else 0)
    assert times[2] - times[1] >= 1.0


def test_it_gives_up(app):
    app.start()
    app.submit(app.release({"Type": "bad", "Args": ["exit 1"], "StartSeconds": 2, "StartRetries": 1}))
    app.wait_line(r"hsup\[bad\.1\]: gave up after 2 failed starts: exited with status 1")
    assert app.ps()["bad.1"]["gave_up"]
    assert not app.lives()


def test_scaling_touches_nobody_else(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 2), ("worker", SLEEP, 1)))
    app.wait_up("web.1", "web.2", "worker.1")
    before = app.lives()
    app.submit(app.release(("web", SLEEP, 4), ("worker", SLEEP, 1), Version=2))
    app.wait_up("web.3", "web.4")
    assert before < app.wait_lives(5)
    assert app.hsup("scale", "-C", app.control, "web=1").returncode == 0
    after = app.wait_lives(2)
    assert after < before and names(after) == ["web.1", "worker.1"]
    app.no_line(r"hsup\[(web\.1|worker\.1)\]: state changed from up")


def test_a_change_of_environment_replaces_one_type_only(app):
    def web(value):
        return {"Type": "web", "Args": ["echo A=$A; exec sleep 1000"], "Quantity": 2, "Env": {"A": value}}
    app.start()
    app.submit(app.release(web("1"), ("worker", SLEEP, 1)))
    app.wait_up("web.1", "web.2", "worker.1")
    before = app.lives()
    app.submit(app.release(web("2"), ("worker", SLEEP, 1), Version=2))
    app.wait_line(r"release v2 is up")
    app.wait_line(r"hsup\[web\.\d\]: state changed from stopping to stopped", count=2)
    app.wait_line(r"app\[web\.\d\]: A=2$", count=2)
    after = app.wait_lives(3)
    assert {l for l in before & after} == {l for l in before if l[0] == "worker.1"}


def test_another_slug_replaces_all(app, tool):
    pack(app.control / "one.tgz", {"word": "one\n", "tool": tool})
    pack(app.control / "two.tgz", {"word": "two\n", "tool": tool})
    app.start()
    app.submit(app.release(("web", ["cat word; exec sleep 1000"], 1), Slug="one.tgz"))
    app.wait_line(r"app\[web\.1\]: one$")
    app.wait_line("release v1 is up")
    app.submit(app.release(("web", ["cat word; exec sleep 1000"], 1), Slug="two.tgz", Version=2))
    app.wait_line(r"app\[web\.1\]: two$")
    app.wait_line("release v2 is up")
    app.wait_lives(1)
    done = app.hsup("rollback", "-C", app.control)
    assert done.returncode == 0, done.stderr
    app.wait_line(r"app\[web\.1\]: one$", count=2)


def test_a_release_that_never_comes_up_is_rolled_back(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 2)))
    app.wait_line(r"release v1 is up")
    before = app.wait_lives(2)
    # (What starts a container has been at it for longer than a process lives that fails at once.)
    app.submit(app.release({"Type": "web", "Args": ["false", "now"], "Quantity": 2, "StartSeconds": PATIENCE / 10},
                           Version=2))
    app.wait_line(r"release v2 rolled back")
    app.wait_rejected(r"web")
    assert app.loaded()["Version"] == 1
    assert app.wait_lives(2) == before
    app.no_line(r"hsup\[web\.\d\]: state changed from up")


def test_a_slug_that_cannot_be_had_refuses_the_release(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 1)))
    app.wait_line(r"release v1 is up")
    before = app.lives()
    (app.control / "broken.tgz").write_bytes(b"\x1f\x8b\x08\x00broken")
    app.submit(app.release(("web", SLEEP, 1), Slug="broken.tgz", Version=2))
    app.wait_rejected("broken.tgz|gzip|archive")
    assert app.lives() == before and app.loaded()["Version"] == 1


def test_recreate_stops_the_old_before_the_new(app):
    def release(seconds, **more):
        return app.release(("web", ["sleep", seconds], 2), Rollout={"Strategy": "recreate"}, **more)
    app.start()
    app.submit(release("1000"))
    app.wait_line(r"release v1 is up")
    app.submit(release("2000", Version=2))
    app.wait_line(r"release v2 is up")
    live = worst = 0
    for line in app.lines:
        live += "to starting" in line
        live -= "to stopped" in line
        worst = max(worst, live)
    assert worst == 2


def test_the_release_phase_and_after(app):
    app.start()
    app.submit(app.release(
        {"Type": "release", "Args": [f"echo $DYNO >> {app.shared}/ran"]},
        {"Type": "migrate", "Args": [f"echo $DYNO >> {app.shared}/ran"], "Restart": "never", "StartSeconds": 0},
        {"Type": "web", "Args": SLEEP, "After": [{"Type": "migrate", "Condition": "succeeded"}]}))
    app.wait_up("web.1")
    assert (app.shared / "ran").read_text() == "release.1\nmigrate.1\n"
    app.kill_supervisor()
    app.wait_line("release v1 is up", count=2)
    assert (app.shared / "ran").read_text() == "release.1\nmigrate.1\n"


# ---- stops ----

def test_the_stop_signal_is_the_dyno_s_own(app):
    app.start()
    app.submit(app.release({"Type": "web", "StopSignal": "USR1", "Args": [
        "trap 'echo got it; exit 5' USR1; echo ready; while :; do sleep 0.05; done"]}))
    app.wait_line(r"app\[web\.1\]: ready")
    app.wait_up("web.1")
    assert app.stop() == 0
    assert "got it" in app.texts("web.1")
    app.wait_line(r"hsup\[web\.1\]: process exited with status 5$")


def test_grace_over_means_kill(app):
    app.start()
    app.submit(app.release({"Type": "deaf", "StopTimeout": 0.5,
                            "Args": ["trap '' TERM; echo ready; while :; do sleep 1; done"]}))
    app.wait_line(r"app\[deaf\.1\]: ready")
    app.wait_up("deaf.1")
    assert app.stop() == 0
    app.wait_line(r"Error R12 \(Exit timeout\)")
    app.wait_line(r"hsup\[deaf\.1\]: process was killed by SIGKILL")


def test_a_second_signal_kills_at_once(app):
    app.start()
    app.submit(app.release(("deaf", ["trap '' TERM; echo ready; while :; do sleep 1; done"], 1)))
    app.wait_line(r"app\[deaf\.1\]: ready")
    app.wait_up("deaf.1")
    app.process.send_signal(signal.SIGTERM)
    app.wait_line(r"waiting for deaf\.1 to end")
    begin = time.monotonic()
    assert app.stop() == 0
    assert time.monotonic() - begin < 10


def test_every_process_of_a_dyno_is_told(app):
    app.start()
    app.submit(app.release(("tree", [
        "(trap 'echo child told; exit' TERM; echo child; while :; do sleep 0.05; done) & "
        "trap 'echo parent told; wait; exit' TERM; echo parent; while :; do sleep 0.05; done"], 1)))
    app.wait_line(r"app\[tree\.1\]: child$")
    app.wait_line(r"app\[tree\.1\]: parent$")
    app.wait_up("tree.1")
    assert app.stop() == 0
    assert {"child told", "parent told"} <= set(app.texts("tree.1"))
    app.no_line("R12|SIGKILL")


def test_every_process_of_a_deaf_dyno_is_killed(app):
    app.start()
    app.submit(app.release({"Type": "tree", "StopTimeout": 0.5, "Args": [
        "trap '' TERM; (while :; do sleep 1; done) & (while :; do sleep 1; done) & echo ready; wait; sleep 1000"]}))
    app.wait_line(r"app\[tree\.1\]: ready")
    app.wait_up("tree.1")
    assert len(app.processes()) >= 3
    assert app.stop() == 0
    wait_until(lambda: not app.processes(), "all of them to be gone")


def test_what_a_dead_leader_leaves_does_not_stay(app):
    app.start()
    app.submit(app.release(("tree", ["sleep 4711 & echo begun; sleep 0.3; exit 3"], 1)))
    app.wait_line(r"hsup\[tree\.1\]: process exited with status 3$", count=2)
    wait_until(lambda: len([p for p in app.processes() if "4711" in open(f"/proc/{p}/cmdline").read()]) <= 1,
               "those of the first life to be gone")


def test_operator_stop_start_restart_and_signal(app):
    app.start()
    app.submit(app.release(("web", ["trap 'echo hup' HUP; echo ready; while :; do sleep 0.05; done"], 2)))
    app.wait_up("web.1", "web.2")
    app.wait_line(r"app\[web\.\d\]: ready$", count=2)
    before = app.lives()
    for words in (("signal", "HUP", "web.1"), ("stop", "web.2")):
        done = app.hsup(*words, "-C", app.control)
        assert done.returncode == 0, (words, done.stderr)
    app.wait_line(r"app\[web\.1\]: hup$")
    assert names(app.wait_lives(1)) == ["web.1"]
    done = app.hsup("start", "-C", app.control, "web.2")
    assert done.returncode == 0, done.stderr
    app.wait_lives(2)
    done = app.hsup("restart", "-C", app.control, "web.1")
    assert done.returncode == 0, done.stderr
    after = app.wait_lives(2)
    assert not before & after and names(after) == ["web.1", "web.2"]


def test_a_rolling_restart_keeps_all_up(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 2)))
    app.wait_up("web.1", "web.2")
    before, mark = app.lives(), len(app.lines)
    done = app.hsup("restart", "--rolling", "-C", app.control, "web")
    assert done.returncode == 0, done.stderr
    wait_until(lambda: len(app.lives()) == 2 and not before & app.lives(), "two others")
    up = 2
    for line in app.lines[mark:]:
        m = re.search(r"state changed from (\w+) to (\w+)$", line)
        if m:
            up += (m.group(2) == "up") - (m.group(1) == "up")
            assert up >= 2, "\n".join(app.lines[mark:])


def test_an_orderly_stop_and_a_cold_start(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Version=3))
    app.wait_up("web.1")
    assert app.stop() == 0
    assert not app.lives()
    if app.engine:
        assert not app.engine.rest.containers()
    app.lines.clear()
    app.start()
    app.wait_up("web.1")
    app.wait_line(r"release v3")
