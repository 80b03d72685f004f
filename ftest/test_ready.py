"""Ready: a dyno is up when it is what it says, not when it has lived for a while."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

from hsup import PATIENCE, wait_until

SLEEP = ["sleep", "1000"]


def program(app, name, text):
    """A Python program of the test's own, as Args."""
    path = app.folder / f"{name}.py"
    path.write_text(textwrap.dedent(text))
    path.chmod(0o644)
    return ["/usr/bin/python3", "-B", str(path)]


def dyno(args, ready, **more):
    return {"Type": "web", "Args": args, "Quantity": 1, "Ready": ready, **more}


# A server whose answers the test says, by a file that it can change.
SERVER = """
    import os, socket, sys, time
    where = sys.argv[1]
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", int(os.environ["PORT"])))
    s.listen(64)
    while True:
        c, _ = s.accept()
        how = open(where, "rb").read()
        if how == b"slow":
            held = c
            continue
        if how != b"close":
            c.recv(4096)
            c.sendall(how)
        c.close()
"""

NOTIFIER = """
    import os, socket, sys, time
    where = sys.argv[1]
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    said = ""
    while True:
        try:
            now = open(where).read()
        except OSError:
            now = ""
        if now != said:
            s.sendto(now.encode(), os.environ["NOTIFY_SOCKET"])
            said = now
        time.sleep(0.01)
"""


def write(path, text):
    """Whole, or not at all."""
    new = path.with_suffix(".new")
    new.write_bytes(text.encode() if isinstance(text, str) else text)
    new.chmod(0o644)
    new.replace(path)


def starts(app, name="web.1", count=1):
    app.wait_line(rf"hsup\[{re.escape(name)}\]: state changed from \w+ to starting", count=count)


def is_starting(app, name="web.1"):
    last = [l for l in app.lines if f"hsup[{name}]: state changed" in l][-1]
    return last.endswith("to starting")


def test_listen(app):
    gate = app.folder / "gate"
    args = program(app, "late", """
        import os, socket, sys, time
        while not os.path.exists(sys.argv[1]):
            time.sleep(0.01)
        s = socket.socket()
        s.bind(("127.0.0.1", int(os.environ["PORT"])))
        s.listen(4)
        while True:
            s.accept()[0].close()
    """) + [str(gate)]
    app.start()
    app.submit(app.release(dyno(args, {"Listen": True}, StartSeconds=0)))
    starts(app)
    app.wait_dynos(1)
    app.wait_line(r"release v1 is being rolled out")
    assert is_starting(app)
    gate.write_text("")
    app.wait_up("web.1")
    app.wait_line(r"hsup\[web\.1\]: health changed from waiting to ok")
    app.wait_line(r"release v1 is up")
    assert app.stop() == 0


def test_one_that_listens_at_the_other_loopback(app):
    args = program(app, "six", """
        import os, socket
        s = socket.socket(socket.AF_INET6)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind(("::1", int(os.environ["PORT"])))
        s.listen(4)
        while True:
            s.accept()[0].close()
    """)
    app.start()
    app.submit(app.release(dyno(args, {"Listen": True})))
    app.wait_up("web.1")


@pytest.mark.parametrize("answer, why", [
    ("HTTP/1.1 500 Oh\r\n\r\n", r"GET /up: HTTP 500"),
    ("close", r"GET /up: (connection closed|Connection reset by peer) before an answer"),
    ("slow", r"GET /up: no answer within 0\.2 s"),
    (b"\x16\x03\x01\x00garbage\r\n", r'GET /up: is no HTTP answer: "\\x16"'),
], ids=["500", "closed", "slow", "garbage"])
def test_http(app, answer, why):
    """Not ready in time is R10, with what was seen last; then it answers, and is up."""
    how = app.folder / "how"
    write(how, answer)
    app.start()
    app.submit(app.release(dyno(program(app, "server", SERVER) + [str(how)],
                                {"HTTP": "/up", "Timeout": 0.2, "Interval": 0.1}, StartTimeout=1.5)))
    app.wait_line(rf"hsup\[web\.1\]: Error R10 \(Boot timeout\) -> not ready within 1\.5 s: {why}")
    write(how, "HTTP/1.1 204 No Content\r\n\r\n")
    app.wait_up("web.1")
    assert app.stop() == 0


def test_command(app):
    """Run beside the dyno, as it is: the same variables, directory and user."""
    seen, gate = app.folder / "seen", app.folder / "gate"
    command = f"echo $DYNO $A $PORT $PWD > {seen}.$$ && mv {seen}.$$ {seen} && test -e {gate}"
    app.start()
    app.submit(app.release(dyno(SLEEP, {"Command": [command], "Interval": 0.05}, Env={"A": "b"},
                                Directory=str(app.folder), StartSeconds=0)))
    name, a, port, pwd = wait_until(lambda: seen.exists() and seen.read_text(), "the command").split()
    assert (name, a, pwd) == ("web.1", "b", str(app.folder)) and int(port) >= 5000
    assert is_starting(app)
    gate.write_text("")
    app.wait_up("web.1")


def test_a_command_that_hangs_is_killed_with_all_it_started(app):
    pids = app.folder / "pids"
    command = f"sleep 1000 & echo $! $$ >> {pids}; sleep 1000"
    app.start()
    app.submit(app.release(dyno(SLEEP, {"Command": [command], "Interval": 0.1, "Timeout": 0.3}, StartTimeout=2)))
    app.wait_line(r"Error R10 \(Boot timeout\) -> not ready within 2 s: the command has not ended within "
                  r"0\.3 s and was killed")
    assert app.stop() == 0
    for pid in pids.read_text().split():
        wait_until(lambda p=pid: not os.path.exists(f"/proc/{p}"), f"process {pid} of the command to be gone")


def test_a_command_that_leaves_something_behind(app):
    """It has ended when all of its group has; what holds it up is killed with it."""
    gate = app.folder / "gate"
    app.start()
    app.submit(app.release(dyno(SLEEP, {"Command": [f"test -e {gate} && exit 0; sleep 1000 & exit 3"],
                                        "Interval": 0.1, "Timeout": 0.3}, StartTimeout=20)))
    starts(app)
    app.wait_dynos(1)
    gate.write_text("")
    app.wait_up("web.1")
    app.stop()
    wait_until(lambda: not app.marked(), "nothing to be left")


def test_a_command_that_does_not_exist(app):
    app.start()
    app.submit(app.release(dyno(SLEEP, {"Command": ["/nonexistent", "x"]}, StartTimeout=1)))
    app.wait_line(r"Error R10 \(Boot timeout\) -> not ready within 1 s: the command could not start: .*"
                  r"No such file")


def test_notify(app):
    what = app.folder / "what"
    app.start()
    app.submit(app.release(dyno(program(app, "notifier", NOTIFIER) + [str(what)], {"Notify": True},
                                StartSeconds=0)))
    starts(app)
    pid = app.wait_dynos(1)[0]
    environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    path = next(v for v in environ if v.startswith(b"NOTIFY_SOCKET="))[14:].decode()
    assert pathlib.Path(path).is_socket()
    write(what, "STATUS=half way\n")
    write(what, "READY=1\nSTATUS=there\n")
    app.wait_up("web.1")
    assert app.stop() == 0
    assert not os.path.exists(path) and not os.path.exists(os.path.dirname(path))


def test_what_strangers_say_does_not_count(app):
    """Nor what is too long, nor a flood; the dyno itself is heard all the same."""
    what = app.folder / "what"
    app.start()
    app.submit(app.release(dyno(program(app, "notifier", NOTIFIER) + [str(what)], {"Notify": True})))
    starts(app)
    pid = app.wait_dynos(1)[0]
    path = wait_until(lambda: re.search(rb"NOTIFY_SOCKET=([^\0]+)",
                                        pathlib.Path(f"/proc/{pid}/environ").read_bytes()),
                      "NOTIFY_SOCKET").group(1).decode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(b"READY=1", path)
        app.wait_line(rf"hsup\[web\.1\]: a message to its notify socket was thrown away: process {os.getpid()} "
                      r"is none of this dyno's")
        s.sendto(b"READY=1\n" + b"x" * 8000, path)
    assert is_starting(app)
    flood = subprocess.Popen([sys.executable, "-c", textwrap.dedent("""
        import socket, sys
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        while True:
            s.sendto(b"READY=1", sys.argv[1])
    """), path], stderr=subprocess.DEVNULL)
    try:
        write(what, "READY=1")
        app.wait_up("web.1")
    finally:
        flood.kill()
        flood.wait()
    assert app.stop() == 0


def test_too_long_a_message(app):
    what = app.folder / "what"
    app.start()
    app.submit(app.release(dyno(program(app, "notifier", NOTIFIER) + [str(what)], {"Notify": True})))
    starts(app)
    write(what, "READY=1\n" + "x" * 5000)
    app.wait_line(r"hsup\[web\.1\]: a message of process \d+ of more than 4096 bytes")
    assert is_starting(app)
    write(what, "READY=1\n")
    app.wait_up("web.1")


@pytest.mark.parametrize("kind", ["Listen", "HTTP", "Command", "Notify"])
def test_the_supervisor_is_killed_while_it_waits(app, kind):
    """The next one goes on waiting, and is told."""
    what, port = app.folder / "what", 45871
    args = SLEEP if kind == "Command" else program(app, "notifier", NOTIFIER) + [str(what)]
    ready = {"Listen": {"Listen": port}, "HTTP": {"HTTP": "/up", "Port": port},
             "Command": {"Command": [f"test -e {what}"], "Interval": 0.1}, "Notify": {"Notify": True}}[kind]
    app.start()
    app.submit(app.release(dyno(args, ready, StartSeconds=0)))
    starts(app)
    before = app.wait_dynos(1)
    app.wait_line(r"being rolled out")
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line(r"found 1 dynos running")
    assert is_starting(app)
    if kind in ("Listen", "HTTP"):
        with socket.create_server(("127.0.0.1", port)) as s:
            def answer():
                s.settimeout(0.05)
                try:
                    peer, _ = s.accept()
                    with peer:
                        if kind == "HTTP":
                            peer.recv(4096)
                            peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                except OSError:
                    pass
                return [l for l in app.lines if "web.1]: state changed from starting to up" in l]
            wait_until(answer, "web.1 to be up")
    else:
        write(what, "READY=1")
        app.wait_up("web.1")
    assert app.wait_dynos(1) == before
    assert app.stop() == 0


def test_ready_said_while_nobody_listened(app):
    """It counts as ready when its time is over, and is not killed."""
    what = app.folder / "what"
    app.start()
    app.submit(app.release(dyno(program(app, "notifier", NOTIFIER) + [str(what)], {"Notify": True},
                                StartTimeout=3)))
    starts(app)
    before = app.wait_dynos(1)
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line(r"found 1 dynos running")
    app.wait_line(r"hsup\[web\.1\]: it may have said READY=1 when no supervisor listened: taken as ready")
    app.wait_up("web.1")
    app.no_line(r"Error R10")
    assert app.wait_dynos(1) == before
    assert app.stop() == 0


def test_one_that_was_ready_is_up_for_the_next_supervisor(app):
    what = app.folder / "what"
    write(what, "READY=1")
    app.start()
    app.submit(app.release(dyno(program(app, "notifier", NOTIFIER) + [str(what)], {"Notify": True},
                                StartTimeout=2)))
    app.wait_up("web.1")
    before = app.wait_dynos(1)
    since = len(app.lines)
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line(r"found 1 dynos running", since=since)
    app.wait_line(r"health changed from waiting to ok", since=since)
    app.no_line(r"state changed|READY=1", since=since)
    assert app.wait_dynos(1) == before


def test_a_release_that_never_becomes_ready_is_rolled_back(app):
    how = app.folder / "how"
    write(how, "HTTP/1.1 200 OK\r\n\r\n")
    server = program(app, "server", SERVER)
    web = {**dyno(server + [str(how)], {"HTTP": "/up", "Interval": 0.05}), "Quantity": 2}
    app.start()
    app.submit(app.release(web))
    app.wait_line(r"release v1 is up")
    before = set(app.dynos())
    write(app.folder / "bad", "HTTP/1.1 503 No\r\n\r\n")
    app.submit(app.release({**web, "Args": server + [str(app.folder / "bad")], "StartTimeout": 1}, Version=2))
    app.wait_line(r"Error R10 \(Boot timeout\) -> not ready within 1 s: GET /up: HTTP 503")
    app.wait_line(r"release v2 rolled back")
    app.wait_rejected(r"web")
    assert app.loaded()["Version"] == 1
    assert before == set(app.wait_dynos(2))
    app.no_line(r"hsup\[web\.\d\]: state changed from up")


def test_a_rollout_waits_for_ready(app):
    how, later = app.folder / "how", app.folder / "later"
    write(how, "HTTP/1.1 200 OK\r\n\r\n")
    write(later, "HTTP/1.1 503 Wait\r\n\r\n")
    server = program(app, "server", SERVER)
    web = dyno(server + [str(how)], {"HTTP": "/up", "Interval": 0.05})
    app.start()
    app.submit(app.release(web))
    app.wait_line(r"release v1 is up")
    old = app.wait_dynos(1)
    app.submit(app.release({**web, "Args": server + [str(later)]}, Version=2))
    app.wait_dynos(2)
    assert old[0] in app.dynos()
    write(later, "HTTP/1.1 200 OK\r\n\r\n")
    app.wait_line(r"release v2 is up")
    assert app.wait_dynos(1) != old


def test_a_dyno_that_ends_while_it_is_looked_at(app):
    """Of all kinds at once, again and again: nothing is told of one that is gone."""
    how = app.folder / "how"
    write(how, "slow")
    server = program(app, "server", SERVER) + [str(how)]
    types = [{"Type": f"t{i}", "Args": server, "Quantity": 2, "Ready": ready, "StartTimeout": 30}
             for i, ready in enumerate([{"HTTP": "/"}, {"Command": ["sleep 1000"]}, {"Notify": True}])]
    app.start()
    app.submit(app.release(*types))
    for round in range(3):
        for i in range(3):
            for k in (1, 2):
                starts(app, f"t{i}.{k}", count=round + 1)
        for pid in app.dynos():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    assert app.stop() == 0
    assert "Sanitizer" not in app.errors


def test_who_is_stopped_is_not_looked_at_any_more(app):
    tries, deaf = app.folder / "tries", app.folder / "deaf"
    app.start()
    stubborn = program(app, "stubborn", """
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *a: None)
        open(sys.argv[1], "w").close()
        while True:
            time.sleep(1)
    """)
    app.submit(app.release(dyno(stubborn + [str(deaf)],
                                {"Command": [f"test -e {deaf} && echo x >> {tries}; exit 1"], "Interval": 0.02},
                                StartTimeout=60, StopTimeout=1)))
    wait_until(lambda: tries.exists() and len(tries.read_text()) > 2, "some tries")
    app.process.send_signal(signal.SIGTERM)
    app.wait_line(r"hsup\[web\.1\]: state changed from starting to stopping")
    n = len(tries.read_text().split())
    app.wait_line(r"Error R12")
    # One may have been on its way then; 50 would have followed it.
    assert len(tries.read_text().split()) <= n + 1
    app.process.wait(PATIENCE)
