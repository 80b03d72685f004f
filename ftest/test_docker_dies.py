"""Engines that are not there, may not be asked, die and come back, hang, and talk nonsense."""
import contextlib
import os
import re
import signal
import socket
import time

import pytest

from driver_app import SLEEP
from engine import Docker
from fake_engine import FakeEngine
from hsup import PATIENCE, wait_until


@pytest.fixture(scope="module")
def mortal(engines):
    """An engine of these tests' own; whoever kills it need not start it again."""
    engine = Docker()
    engines.running["mortal"] = engine
    return engines.with_bases(engine.start())


@pytest.fixture
def app(mortal, make_driver_app):
    mortal.live_restore = False
    yield make_driver_app("docker", engine=mortal)


@pytest.fixture(autouse=True)
def alive(mortal):
    """Set up before the app: comes back after the app has ended, so it is alive for both."""
    if mortal.process.poll() is not None:
        mortal.start()
    yield


def revive(engine):
    if engine.process.poll() is not None:
        engine.start()


def gone(app):
    app.wait_line(r"hsup\[\w+\]: .*docker")


# ---- not there, not allowed ----

def test_no_engine(app, folder):
    app.env["DOCKER_HOST"] = f"unix://{folder}/nobody"
    app.submit(app.release(("web", SLEEP, 1)))
    ran = app.hsup("run", "-C", app.control, "true", timeout=60)
    assert ran.returncode == 1
    assert f"{folder}/nobody" in ran.stderr, ran.stderr


def test_an_engine_that_comes_late(app, folder):
    app.env["DOCKER_HOST"] = f"unix://{folder}/late"
    app.submit(app.release(("web", SLEEP, 1)))
    app.start()
    app.wait_line(r"docker.*late")
    front = FakeEngine(app.engine.socket, folder / "late")
    try:
        app.wait_up("web.1")
        assert app.stop() == 0
    finally:
        front.close()


def test_rights_that_are_not_there(app, folder, build):
    """Said as that, with the socket, to one who is not root."""
    from hsup import App
    closed = folder / "closed"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(closed))
        s.listen(1)
        closed.chmod(0o600)
        one = App(build, folder / "nobody", user="nobody")
        try:
            one.env["DOCKER_HOST"] = f"unix://{closed}"
            one.submit(one.release(("web", SLEEP, 1), Stack="hsup-test/bash:1"))
            one.start("-d", "docker")
            one.wait_line(rf"{re.escape(str(closed))} is not there: no right to open the socket")
        finally:
            one.end()


# ---- dies ----

def test_killed_and_back(app):
    """Its containers die with it: they are seen to have, and started again."""
    app.start()
    app.submit(app.release(("web", ["exec sleep 1000"], 2)))
    app.wait_up("web.1", "web.2")
    before, seen = app.lives(), len(app.lines)
    app.engine.kill()
    app.wait_line("docker", since=seen)
    app.engine.start()
    wait_until(lambda: len(app.lives()) == 2 and not before & app.lives(), "two others", 3 * PATIENCE)
    app.wait_line(r"hsup\[web\.\d\]: state changed from \w+ to up", count=2, since=seen)
    assert app.stop(patience=3 * PATIENCE) == 0


def counted(pairs, stream):
    return [int(text[7:]) for s, text in pairs if s == stream and text.startswith("number-")]


def assert_all_it_has_once(app, kept, last, dead_at):
    """Each stream in its order, every line that the engine has written down once. It may lack what it had read and
    not yet written when it was killed, which also happens where nobody follows: one piece of each stream, and nothing
    that came after."""
    said = [("stderr" if int(text[7:]) % 3 == 0 else "stdout", text) for text in app.texts("web.1")
            if text.startswith("number-")]
    for stream in ("stdout", "stderr"):
        has, got = counted(kept, stream), counted(said, stream)
        assert got == has, (stream, "lost", sorted(set(has) - set(got))[:10],
                            "twice", sorted({n for n in got if got.count(n) > 1})[:10])
        wanted = [n for n in range(1, last + 1) if (n % 3 == 0) == (stream == "stderr")]
        first = next((i for i, n in enumerate(has) if n != wanted[i]), len(has))
        lacks = wanted[first:first + len(wanted) - len(has)]
        assert has == [n for n in wanted if n not in lacks], (stream, "the engine lacks", sorted(set(wanted) - set(has)))
        assert all(n <= dead_at for n in lacks), (stream, lacks, dead_at)


@pytest.mark.parametrize("engine, hsup, fault", [
    (set(), set(), None),
    ({4, 5}, {4, 5}, None),  # in its hands when it was killed, of one stream
    (set(), {5}, "lost"),
    ({4}, set(), "twice"),
    ({4, 8}, {4, 8}, "the engine lacks"),
    ({13}, {13}, r"\[13\], 10"),  # after it was killed
])
def test_what_nobody_has_is_told_from_what_hsup_lost(engine, hsup, fault):
    class Said:
        @staticmethod
        def texts(_):
            return [f"number-{n}" for n in range(1, 16) if n not in hsup]
    kept = [("stdout" if n % 3 else "stderr", f"number-{n}") for n in range(1, 16) if n not in engine]
    with pytest.raises(AssertionError, match=fault) if fault else contextlib.nullcontext():
        assert_all_it_has_once(Said, kept, 15, 10)


def test_killed_and_back_with_live_restore(app):
    """They run on, and no line that the engine has is lost or comes twice."""
    app.engine.live_restore = True
    app.engine.stop()
    app.engine.start()
    last = 4000
    app.start()
    app.submit(app.release(("web", [f"exec ./tool count {app.shared}/at {last} 800"], 1)))
    app.wait_line(r"app\[web\.1\]: number-50$")
    before = app.lives()
    container = app.life("web.1")
    app.engine.kill()
    dead_at = int((app.shared / "at").read_text()) + 50  # it is told of every 50th
    time.sleep(0.5)
    app.engine.start()
    assert app.lives() == before
    app.wait_line(r"app\[web\.1\]: counted$", since=0)
    app.no_line(r"hsup\[web\.1\]: (process|state changed from up)")
    kept = wait_until(lambda: (lambda log: counted(log, "stderr")[-1] == last // 3 * 3 and log)
                      (app.engine.log_of(container)), "the last line of both streams")
    assert app.stop(patience=3 * PATIENCE) == 0
    assert_all_it_has_once(app, kept, last, dead_at)


def test_killed_with_the_supervisor(app):
    """Both at once; the next supervisor waits for the engine and finds the dynos."""
    app.engine.live_restore = True
    app.engine.stop()
    app.engine.start()
    app.start()
    app.submit(app.release(("web", SLEEP, 2)))
    app.wait_up("web.1", "web.2")
    before, seen = app.lives(), len(app.lines)
    app.engine.kill()
    os.kill(app.supervisor(), signal.SIGKILL)
    time.sleep(1)
    app.engine.start()
    app.wait_line(r"found 2 dynos running", since=seen)
    time.sleep(0.5)
    assert app.lives() == before
    assert app.stop(patience=3 * PATIENCE) == 0


def test_gone_while_it_starts_many(app):
    app.start()
    app.submit(app.release(("web", ["exec sleep 1000"], 8)))
    app.wait_line("to starting", count=3)
    app.engine.kill()
    time.sleep(0.5)
    app.engine.start()
    wait_until(lambda: sorted(n for n, _ in app.lives()) == [f"web.{n}" for n in range(1, 9)], "eight dynos",
               6 * PATIENCE)
    assert app.stop(patience=3 * PATIENCE) == 0


def test_a_stop_while_it_is_gone(app):
    """hsup ends all the same; what is left is found by the next."""
    app.engine.live_restore = True
    app.engine.stop()
    app.engine.start()
    app.start()
    app.submit(app.release({"Type": "web", "Args": SLEEP, "StopTimeout": 1}))
    app.wait_up("web.1")
    before = app.lives()
    app.engine.kill()
    app.process.send_signal(signal.SIGTERM)
    try:
        # 1 s for its end, 10 s for its kill, 10 s for its removal; looked at every 5 s.
        assert app.wait(1.5 * PATIENCE) == 1
    finally:
        revive(app.engine)
    app.wait_line("1 dynos could not be killed")
    assert app.lives() == before
    seen = len(app.lines)
    app.start()
    app.wait_line("found 1 dynos running", since=seen)
    assert app.lives() == before
    assert app.stop(patience=3 * PATIENCE) == 0


def test_paused_engine(app):
    """It accepts and does not answer (SIGSTOP): nothing is killed for that, and it goes on after."""
    app.start()
    app.submit(app.release(("web", SLEEP, 1)))
    app.wait_up("web.1")
    before = app.lives()
    os.kill(app.engine.pid, signal.SIGSTOP)
    try:
        time.sleep(3)
        done = app.hsup("ps", "-C", app.control)
        assert "web.1" in done.stdout
    finally:
        os.kill(app.engine.pid, signal.SIGCONT)
    app.submit(app.release(("web", SLEEP, 2), Version=2))
    app.wait_up("web.2")
    assert before < app.lives()


# ---- nonsense ----

@pytest.fixture
def front(app, folder):
    """The same engine, by way of one that spoils what it is told to."""
    fake = FakeEngine(app.engine.socket, folder / "front")
    app.env["DOCKER_HOST"] = f"unix://{folder}/front"
    yield fake
    fake.mend()
    app.end()  # while somebody answers
    fake.close()


# Of a dyno: one that fails while an image is made refuses the release.
CREATE, START = r"POST .*/containers/create\?name=hsup-(?!build-)", r"POST .*/containers/[^/ ]+/start"
INSPECT, LOGS = r"GET .*/containers/[^/ ]+/json", r"GET .*/containers/[^/ ]+/logs"


@pytest.mark.parametrize("where", [CREATE, START], ids=["create", "start"])
def test_500(app, front, where):
    """A failed start, with the engine's own words; the next one works."""
    front.spoil(where, "500", times=1)
    app.start()
    app.submit(app.release(("web", SLEEP, 1)))
    app.wait_line(r"hsup\[web\.1\]: .*the disk is on fire")
    app.wait_up("web.1")
    assert app.stop() == 0


def test_a_kill_that_is_refused_is_sent_again(app, front):
    rule = front.spoil(r"POST .*/containers/[^/ ]+/kill\?signal=9", "500", times=3)
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["trap '' TERM; echo deaf; while :; do sleep 0.1; done"],
                            "StopTimeout": 1}))
    app.wait_line(r"app\[web\.1\]: deaf$")
    app.wait_up("web.1")
    assert app.stop() == 0
    assert rule.seen == 3
    assert len([l for l in app.lines if "could not be sent" in l]) == 1
    assert not app.lives()


@pytest.mark.parametrize("where", [CREATE, INSPECT, r"GET .*/containers/json", r"GET .*/version"],
                         ids=["create", "inspect", "list", "version"])
@pytest.mark.parametrize("body", [b'{"Id": ', b"", b"\xff\xfe", b"[1, 2]", b'{"Id": 7, "State": "x"}',
                                  b"[" * 100_000], ids=["half", "empty", "bytes", "list", "types", "deep"])
def test_malformed_json(app, front, where, body):
    rule = front.spoil(where, "garbage", times=2, body=body)
    app.start()
    app.submit(app.release(("web", SLEEP, 1)))
    try:
        app.wait_up("web.1")
    finally:
        print(rule.seen, app.lines[-10:])
    assert app.supervisor()
    app.no_line("was killed by SIG(SEGV|ABRT)")
    assert app.stop() == 0


@pytest.mark.parametrize("body", [b"\x07no frame at all, and long enough to be taken for one",
                                  b"\x01\0\0\0\xff\xff\xff\xff" + b"x" * 100,
                                  b"\x01\0\0\0\0\0\0\x10short"], ids=["no frame", "huge", "short"])
def test_malformed_frames(app, front, body):
    """Of a log: it is asked for again, and what it says then comes once."""
    front.spoil(LOGS, "garbage", times=2, body=body)
    app.start()
    app.submit(app.release(("web", ["for i in 1 2 3; do echo line $i; done; exec sleep 1000"], 1)))
    app.wait_up("web.1")
    app.wait_line(r"app\[web\.1\]: line 3$")
    assert [t for t in app.texts("web.1") if t.startswith("line")] == ["line 1", "line 2", "line 3"]


@pytest.mark.parametrize("how", ["half", "cut"])
def test_an_answer_that_ends_in_the_middle(app, front, how):
    """A hang costs the time-out of one call, 60 s: the rest goes on."""
    if how == "cut":
        front.spoil(INSPECT, how, times=1)
    app.start()
    app.submit(app.release(("web", SLEEP, 1)))
    app.wait_up("web.1")
    if how == "half":
        front.spoil(CREATE, "hang", times=1)
        app.submit(app.release(("web", SLEEP, 1), ("other", SLEEP, 1), Version=2))
        app.wait_line(r"other\.1\]: .*to starting")
        assert app.hsup("ps", "-C", app.control).stdout.count("web.1") == 1
        wait_until(lambda: "other.1" in {n for n, _ in app.lives()}, "the other one", 60 + PATIENCE)


def test_events_that_are_nonsense(app, front):
    """Ends are seen all the same."""
    front.spoil(r"GET .*/events", "garbage", times=3, body=b'{"Action": 7}\n{{{\n\xff\n' + b"y" * 100_000 + b"\n")
    app.start()
    app.submit(app.release(("web", ["exec sleep 1000"], 1)))
    app.wait_up("web.1")
    app.kill("web.1")
    app.wait_line(r"hsup\[web\.1\]: process was killed by SIGKILL")
    app.wait_line(r"to up$", count=2)
