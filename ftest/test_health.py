"""Healthy: a dyno that does not do any more what it is for is started again."""
import os
import pathlib
import re
import signal

import pytest

from client import Client
from hsup import wait_until
from test_ready import NOTIFIER, SERVER, SLEEP, program, write

OK = "HTTP/1.1 200 OK\r\n\r\n"


def dyno(args, healthy, **more):
    """One that listens is up when it does: before, it would rightly be seen to fail."""
    if ("HTTP" in healthy or "Listen" in healthy) and args != SLEEP:
        more = {"Ready": {"Listen": True}, **more}
    return {"Type": "web", "Args": args, "Quantity": 1, "Healthy": healthy, **more}


def server(app, how, answer=OK):
    write(how, answer)
    return program(app, "server", SERVER) + [str(how)]


@pytest.mark.parametrize("answer, why", [
    ("HTTP/1.1 500 Oh\r\n\r\n", r"GET /up: HTTP 500"),
    ("close", r"GET /up: (connection closed|Connection reset by peer) before an answer"),
    ("slow", r"GET /up: no answer within 0\.2 s"),
    (b"\x00\x01", r'GET /up: is no HTTP answer: "\\x00"'),
], ids=["500", "closed", "slow", "garbage"])
def test_http(app, answer, why):
    how = app.folder / "how"
    app.start()
    app.submit(app.release(dyno(server(app, how), {"HTTP": "/up", "Interval": 0.1, "Timeout": 0.2, "Threshold": 3})))
    app.wait_line(r"hsup\[web\.1\]: health changed from waiting to ok")
    before = app.wait_dynos(1)
    write(how, answer)
    app.wait_line(rf"hsup\[web\.1\]: health changed from ok to failing: {why}")
    app.wait_line(rf"hsup\[web\.1\]: unhealthy: {why} \(3 in a row\)")
    write(how, OK)
    app.wait_line(r"hsup\[web\.1\]: state changed from \w+ to up", count=2)
    app.wait_line(r"hsup\[web\.1\]: health changed from waiting to ok", count=2)
    assert app.wait_dynos(1) != before
    assert app.stop() == 0


def test_fewer_failures_than_count(app):
    how = app.folder / "how"
    app.start()
    app.submit(app.release(dyno(server(app, how), {"HTTP": "/up", "Interval": 0.1, "Threshold": 500})))
    app.wait_line(r"health changed from waiting to ok")
    before = app.wait_dynos(1)
    for n in (1, 2):
        write(how, "HTTP/1.1 503 No\r\n\r\n")
        app.wait_line(r"health changed from ok to failing: GET /up: HTTP 503", count=n)
        write(how, OK)
        app.wait_line(r"health changed from failing to ok", count=n)
    assert app.wait_dynos(1) == before
    app.no_line(r"unhealthy|state changed from up")


def test_listen(app):
    """Who is stopped still listens, by the kernel; who has gone does not."""
    gate = app.folder / "gate"
    args = program(app, "closes", """
        import os, socket, sys, time
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", int(os.environ["PORT"])))
        s.listen(64)
        while not os.path.exists(sys.argv[1]):
            s.settimeout(0.02)
            try:
                s.accept()[0].close()
            except OSError:
                pass
        os.unlink(sys.argv[1])
        s.close()
        time.sleep(1000)
    """) + [str(gate)]
    app.start()
    app.submit(app.release(dyno(args, {"Listen": True, "Interval": 0.1, "Threshold": 2})))
    app.wait_line(r"health changed from waiting to ok")
    gate.write_text("")
    app.wait_line(r"hsup\[web\.1\]: unhealthy: connection refused on port \d+ \(2 in a row\)")
    app.wait_line(r"hsup\[web\.1\]: state changed from \w+ to up", count=2)


def test_command(app):
    fail = app.folder / "fail"
    app.start()
    app.submit(app.release(dyno(SLEEP, {"Command": [f"test ! -e {fail} || exit 7"], "Interval": 0.1, "Threshold": 2})))
    app.wait_line(r"health changed from waiting to ok")
    before = [p for p in app.dynos() if b"sleep" in pathlib.Path(f"/proc/{p}/cmdline").read_bytes()]
    fail.write_text("")
    app.wait_line(r"hsup\[web\.1\]: unhealthy: the command exited with status 7 \(2 in a row\)")
    fail.unlink()
    app.wait_line(r"hsup\[web\.1\]: state changed from \w+ to up", count=2)
    assert not os.path.exists(f"/proc/{before[0]}")


def test_a_command_that_hangs_and_forks(app):
    gate, pids = app.folder / "gate", app.folder / "pids"
    gate.write_text("")
    command = f"test -e {gate} && exit 0; sleep 1000 & echo $! >> {pids}; wait"
    app.start()
    app.submit(app.release(dyno(SLEEP, {"Command": [command], "Interval": 0.1, "Timeout": 0.3, "Threshold": 2})))
    app.wait_line(r"health changed from waiting to ok")
    gate.unlink()
    app.wait_line(r"unhealthy: the command has not ended within 0\.3 s and was killed \(2 in a row\)")
    gate.write_text("")
    for pid in pids.read_text().split():
        wait_until(lambda p=pid: not os.path.exists(f"/proc/{p}"), f"process {pid} of the command to be gone")
    assert app.stop() == 0


def test_the_watchdog(app):
    """It must say WATCHDOG=1 within the interval that it is told."""
    stop = app.folder / "stop"
    args = program(app, "watchdog", """
        import os, socket, sys, time
        assert os.environ["WATCHDOG_USEC"] == "400000"
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.connect(os.environ["NOTIFY_SOCKET"])
        s.send(b"READY=1")
        while not os.path.exists(sys.argv[1]):
            s.send(b"WATCHDOG=1")
            time.sleep(0.05)
        time.sleep(1000)
    """) + [str(stop)]
    app.start()
    app.submit(app.release(dyno(args, {"Notify": True, "Interval": 0.4, "Threshold": 2}, Ready={"Notify": True})))
    app.wait_line(r"health changed from waiting to ok")
    stop.write_text("")
    app.wait_line(r"unhealthy: no WATCHDOG=1 within 0\.4 s \(2 in a row\)")
    stop.unlink()
    app.wait_line(r"hsup\[web\.1\]: state changed from \w+ to up", count=2)
    app.wait_line(r"health changed from waiting to ok", count=2)
    assert app.stop() == 0


def test_it_says_that_it_hangs(app):
    what = app.folder / "what"
    app.start()
    app.submit(app.release(dyno(program(app, "notifier", NOTIFIER) + [str(what)], {"Notify": True, "Interval": 100})))
    app.wait_up("web.1")
    write(what, "WATCHDOG=trigger")
    app.wait_line(r"hsup\[web\.1\]: unhealthy: it said WATCHDOG=trigger")


def test_one_that_says_that_it_stops_is_left_alone(app):
    what = app.folder / "what"
    app.start()
    app.submit(app.release(dyno(program(app, "notifier", NOTIFIER) + [str(what)],
                                {"Notify": True, "Interval": 0.2, "Threshold": 3})))
    app.wait_up("web.1")
    write(what, "STOPPING=1")
    write(app.folder / "dummy", "")
    since = len(app.lines)
    before = app.wait_dynos(1)
    # Another dyno's watchdog, begun later, ends first.
    app.submit(app.release(
        dyno(program(app, "notifier", NOTIFIER) + [str(what)], {"Notify": True, "Interval": 0.2, "Threshold": 3}),
        {"Type": "other", "Args": SLEEP, "Quantity": 1, "Healthy": {"Notify": True, "Interval": 0.2, "Threshold": 5}},
        Version=2))
    app.wait_line(r"hsup\[other\.1\]: unhealthy", since=since)
    app.no_line(r"hsup\[web\.1\]: unhealthy", since=since)
    assert before[0] in app.dynos()


def test_healthy_goes_on_under_the_next_supervisor(app):
    how = app.folder / "how"
    app.start()
    app.submit(app.release(dyno(server(app, how), {"HTTP": "/up", "Interval": 0.1, "Threshold": 2})))
    app.wait_line(r"health changed from waiting to ok")
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line(r"found 1 dynos running")
    app.wait_line(r"health changed from waiting to ok", count=2)
    write(how, "close")
    app.wait_line(r"hsup\[web\.1\]: unhealthy: ")


def test_another_check_without_another_dyno(app):
    """What is looked at is no part of what a dyno is: a change takes effect on who runs."""
    how = app.folder / "how"
    args = server(app, how)
    app.start()
    app.submit(app.release(dyno(args, {"HTTP": "/up", "Interval": 0.1, "Threshold": 500})))
    app.wait_line(r"health changed from waiting to ok")
    before = app.wait_dynos(1)
    write(how, "HTTP/1.1 404 No\r\n\r\n")
    app.wait_line(r"health changed from ok to failing")
    app.submit(app.release(dyno(args, {"Listen": True, "Interval": 0.1}), Version=2))
    app.wait_line(r"release v2 is up")
    app.wait_line(r"health changed from waiting to ok", count=2)
    app.submit(app.release({"Type": "web", "Args": args, "Quantity": 1}, Version=3))
    app.wait_line(r"release v3 is up")
    app.submit(app.release(dyno(args, {"HTTP": "/up", "Interval": 0.1, "Threshold": 3}), Version=4))
    app.wait_line(r"hsup\[web\.1\]: unhealthy: GET /up: HTTP 404 \(3 in a row\)")
    assert not [l for l in app.lines if "v4 is up" not in l and "state changed from up" in l and "unhealthy" in l]
    assert before


def test_nobody_is_looked_at_before_the_cooldown(app):
    how = app.folder / "how"
    app.start()
    app.submit(app.release(
        dyno(server(app, how, "close"), {"HTTP": "/up", "Interval": 0.1, "Threshold": 1, "Cooldown": 1000}),
        {"Type": "other", "Args": program(app, "server", SERVER) + [str(how)], "Quantity": 1,
         "Healthy": {"HTTP": "/up", "Interval": 0.1, "Threshold": 3}}))
    app.wait_line(r"hsup\[other\.1\]: unhealthy")
    app.no_line(r"hsup\[web\.1\]: (unhealthy|health)")


def test_it_is_seen(app):
    """How dynos are, and why, is told to who asks; every change is an event."""
    how = app.folder / "how"
    app.start("-s", app.folder / "control.sock")
    app.submit(app.release(
        dyno(server(app, how), {"HTTP": "/up", "Interval": 0.1, "Threshold": 1000}),
        {"Type": "late", "Args": SLEEP, "Quantity": 1, "Ready": {"HTTP": "/", "Port": 1}},
        {"Type": "plain", "Args": SLEEP, "Quantity": 1}))
    app.wait_line(r"hsup\[web\.1\]: health changed from waiting to ok")
    app.wait_up("plain.1")
    client = Client(app.folder / "control.sock")

    def health():
        return {name: (d["health"], d["why"]) for name, d in client.dynos().items()}
    wait_until(lambda: health()["late.1"] == ("waiting", "connection refused on port 1"), "late.1 to be looked at")
    assert health()["web.1"][0] == "ok" and health()["plain.1"][0] == "none"
    write(how, "HTTP/1.1 500 No\r\n\r\n")
    wait_until(lambda: health()["web.1"] == ("failing", "GET /up: HTTP 500"), "web.1 to fail")
    write(how, OK)
    wait_until(lambda: health()["web.1"][0] == "ok", "web.1 to be well")


def test_a_watchdog_that_it_was_not_told_of(app):
    """A dyno that runs has no socket to say anything to: it is not blamed for that."""
    app.start()
    app.submit(app.release(dyno(SLEEP, {"Listen": True, "Interval": 100})))
    app.wait_up("web.1")
    before = app.wait_dynos(1)
    app.submit(app.release(
        dyno(SLEEP, {"Notify": True, "Interval": 0.1, "Threshold": 1}),
        {"Type": "other", "Args": SLEEP, "Quantity": 1, "Healthy": {"Notify": True, "Interval": 0.2, "Threshold": 2}},
        Version=2))
    app.wait_line(r"hsup\[web\.1\]: was started without a notify socket")
    app.wait_line(r"hsup\[other\.1\]: unhealthy: no WATCHDOG=1 within 0\.2 s")
    app.no_line(r"hsup\[web\.1\]: unhealthy")
    # Found by the next supervisor it is the same.
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line(r"hsup\[web\.1\]: was started without a notify socket", count=2)
    assert before[0] in app.dynos()
    # Its next life is told.
    os.kill(before[0], signal.SIGKILL)
    app.wait_line(r"hsup\[web\.1\]: unhealthy: no WATCHDOG=1")
