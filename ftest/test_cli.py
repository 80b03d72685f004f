"""The commands of an operator, through the real program on a real hsup."""
import json
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import tarfile
import threading

import pytest

from hsup import PATIENCE, wait_until
from daemon import Daemon

ROOT = pathlib.Path(__file__).resolve().parent.parent
TALK = ["sh", "-c", "trap 'echo got HUP' HUP; echo begins $DYNO; echo oops >&2; while :; do sleep 0.05; done"]
SLEEP = ["sleep", "1000"]


@pytest.fixture
def shop(app):
    """web.1, web.2 and worker.1, up; commands find it by HSUP_CONTROL_DIR."""
    app.env["HSUP_CONTROL_DIR"] = str(app.control)
    app.submit(app.release(("web", TALK, 2), ("worker", SLEEP, 1), Name="shop", Env={"TOKEN": "s3cret"}))
    app.start()
    done = app.hsup("wait")
    assert done.returncode == 0, (done.stdout, done.stderr, app.lines)
    return app


@pytest.fixture
def fleet(build, folder):
    """A daemon with the apps shop and billing."""
    daemon = Daemon(build, folder)
    daemon.make_app("shop", 2)
    daemon.make_app("billing", 1)
    daemon.up()
    done = daemon.hsup("wait", "shop", "billing")
    assert done.returncode == 0, (done.stdout, done.stderr, daemon.log())
    yield daemon
    daemon.end()


def rows(done):
    """name -> cells of a table."""
    return {line.split()[0]: line.split() for line in done.stdout.splitlines()[1:]}


def follow(app, *args):
    """A command that goes on, and the lines that it has said so far."""
    process = subprocess.Popen([str(app.build / "hsup"), *args], env=app.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = []

    def read():
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
    process.reader = threading.Thread(target=read, daemon=True)
    process.reader.start()
    return process, lines


def end(process):
    process.kill()
    process.wait(PATIENCE)
    process.reader.join(PATIENCE)
    process.stdout.close()
    process.stderr.close()


def ok(done):
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done


def refused(done, code, *texts):
    """One line on standard error, and this exit code."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for text in texts:
        assert text in done.stderr, done.stderr
    return done


# -- ps --

def test_ps(shop):
    done = ok(shop.hsup("ps"))
    assert done.stdout.splitlines()[0].split() == ["DYNO", "STATE", "FOR", "RELEASE", "RESTARTS", "PID", "PORT",
                                                  "MEMORY", "NOTE"]
    table = rows(done)
    assert list(table) == ["web.1", "web.2", "worker.1"]
    assert table["web.1"][1] == "up" and table["web.1"][3] == "v1"
    assert {int(row[5]) for row in table.values()} <= set(shop.dynos())
    assert "\033" not in done.stdout
    assert "\033[32mup\033[0m" in ok(shop.hsup("ps", "--color", "always")).stdout
    assert list(rows(ok(shop.hsup("ps", "web")))) == ["web.1", "web.2"]
    assert list(rows(ok(shop.hsup("ps", "w*.1")))) == ["web.1", "worker.1"]
    dynos = json.loads(ok(shop.hsup("ps", "--json", "web.2")).stdout)
    assert [d["name"] for d in dynos] == ["web.2"] and dynos[0]["state"] == "up"


@pytest.mark.parametrize("mode, path, known", [
    ("start", "/v1/dynos", {"name": "web.1", "type": "web", "instance": 1, "state": "up", "desired": "run"}),
    ("up", "/v1/apps", {"name": "web.1", "state": "stopped", "control_dir": "/nowhere/web.1"})])
def test_a_supervisor_that_does_not_know_yet_what_runs_is_asked_again(app, mode, path, known):
    """As one that has just taken over: an app's, or the daemon's."""
    answers = [("409 Conflict", {"id": "conflict", "message": "what runs is not known yet; try again"})] * 3
    asked = []

    def serve():
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:  # it was shut down
                return
            while request := peer.recv(65536):
                status, body = "200 OK", {"missing": [], "mode": mode}
                if f" {path}".encode() in request:
                    asked.append(request.split(b" ")[0])
                    status, body = answers[len(asked) - 1] if len(asked) <= len(answers) else ("200 OK", [known])
                text = json.dumps(body).encode()
                peer.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)
    with socket.socket(socket.AF_UNIX) as listening:
        fake = app.folder / "fake.sock"
        listening.bind(str(fake))
        listening.listen(8)
        server = threading.Thread(target=serve, daemon=True)
        server.start()
        try:
            done = app.hsup("ps", "-s", fake, "web.1")
            assert list(rows(done)) == ["web.1"] and done.returncode == (0 if mode == "start" else 4), done
        finally:  # before the number of the socket is another's
            listening.shutdown(socket.SHUT_RDWR)
            server.join(PATIENCE)
        assert asked == [b"GET"] * 4


def test_ps_tells_running_from_stopped_from_unknown(shop):
    ok(shop.hsup("stop", "web.2"))
    assert shop.hsup("ps", "web.1").returncode == 0
    assert shop.hsup("ps", "web.2").returncode == 3
    assert shop.hsup("ps", "web").returncode == 3
    assert shop.hsup("ps").returncode == 0
    refused(shop.hsup("ps", "web.9"), 4, 'no dyno or type fits "web.9"')
    refused(shop.hsup("ps", "wob"), 4, 'did you mean "web"?')
    refused(shop.hsup("ps", "shop/web"), 2, "there is one only here")
    shop.stop()
    refused(shop.hsup("ps", "web"), 4, f"hsup does not run for {shop.control}",
            f"start it with 'hsup start -C {shop.control}'")


def test_ps_says_why(app):
    app.env["HSUP_CONTROL_DIR"] = str(app.control)
    app.submit(app.release(dict(Type="web", Args=["false"], Quantity=1, StartRetries=0)))
    app.start()
    wait_until(lambda: "failed" in app.hsup("ps").stdout, "a dyno that has failed")
    done = app.hsup("ps", "web")
    assert done.returncode == 3
    assert "status 1" in done.stdout
    refused(app.hsup("start", "web"), 1, "web.1: ", "status 1")


def test_ps_watch_tells_changes(shop):
    process, lines = follow(shop, "ps", "--watch")
    wait_until(lambda: len(lines) >= 3, "the dynos as they are")
    assert re.fullmatch(r"\S+  web\.1  up  pid \d+  v1", lines[0])
    ok(shop.hsup("stop", "web.1"))
    wait_until(lambda: any("web.1  stopped" in line for line in lines), lines)
    ok(shop.hsup("scale", "worker=0"))
    wait_until(lambda: any("worker.1  gone  pid " in line for line in lines), lines)
    ok(shop.hsup("start", "web.1"))
    wait_until(lambda: "web.1  up" in lines[-1], lines)
    # The supervisor alone is replaced: who watches goes on.
    before = shop.supervisor()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: shop.supervisor() != before and shop.hsup("ps").returncode == 0, "another supervisor")
    seen = len(lines)
    ok(shop.hsup("stop", "web.2"))
    wait_until(lambda: any("web.2  stopped" in line for line in lines[seen:]), lines)
    end(process)


def test_ps_watch_redraws_on_a_terminal(shop):
    master, slave = pty.openpty()
    process = subprocess.Popen([str(shop.build / "hsup"), "ps", "--watch"], env=dict(shop.env, TERM="xterm"),
                               stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    seen = b""

    def look(text):
        nonlocal seen
        while text not in seen:
            seen += os.read(master, 65536)
        return True
    # A read of a terminal may end in the middle of a line.
    assert look(b"worker.1") and look(b"\033[32mup\033[0m")
    assert b"\033[H" in seen
    seen = b""
    ok(shop.hsup("stop", "worker.1"))
    assert look(b"stopped")
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)
    os.close(master)


# -- start, stop, restart, scale, signal --

def test_stop_and_start(shop):
    assert sorted(ok(shop.hsup("stop", "web.*")).stdout.splitlines()) == ["web.1: stopped", "web.2: stopped"]
    shop.wait_dynos(1)
    assert "operator" in shop.hsup("ps", "web.1").stdout
    done = ok(shop.hsup("start", "web"))
    assert re.fullmatch(r"web\.\d: up \(pid \d+\)\nweb\.\d: up \(pid \d+\)\n", done.stdout)
    assert ok(shop.hsup("stop", "--no-wait", "worker")).stdout == "1 dyno\n"
    shop.wait_dynos(2)
    refused(shop.hsup("stop"), 2, "no NAME given")
    refused(shop.hsup("stop", "nope"), 4, 'no dyno or type fits "nope"')
    refused(shop.hsup("start", "wep"), 4, 'did you mean "web"?')
    refused(shop.hsup("start", "web=2"), 2, "hsup scale")


def test_start_alone_is_still_the_supervisor(shop):
    done = shop.hsup("start")
    assert done.returncode != 0
    assert f"pid {shop.launcher}" in done.stderr


def test_restart(shop):
    before = {d["name"]: d["pid"] for d in json.loads(shop.hsup("ps", "--json").stdout)}
    ok(shop.hsup("restart", "web.1"))
    after = {d["name"]: d["pid"] for d in json.loads(shop.hsup("ps", "--json").stdout)}
    assert after["web.1"] != before["web.1"]
    assert after["web.2"] == before["web.2"]
    ok(shop.hsup("restart", "--rolling", "web"))
    rolled = {d["name"]: d["pid"] for d in json.loads(shop.hsup("ps", "--json", "web").stdout)}
    assert set(rolled) == {"web.1", "web.2"}
    assert not set(rolled.values()) & {after["web.1"], after["web.2"]}


def test_restart_says_what_does_not_come_up(shop):
    flag = shop.folder / "broken"
    # Up as soon as it is asked for, and never when it is broken, however late it comes to its end.
    shop.submit(shop.release({"Type": "web", "Args": ["sh", "-c", f"test ! -e {flag} && exec sleep 1000"],
                              "Ready": {"Command": ["test", "!", "-e", str(flag)], "Interval": 0.1}}))
    shop.wait_line("release v1 is up", count=2)
    flag.write_text("")
    refused(shop.hsup("restart", "web"), 1, "web.1: ", "status 1")


def test_a_wait_has_an_end(shop):
    shop.submit(shop.release(dict(Type="web", Args=["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"],
                                  Quantity=1, StopTimeout=600)))
    shop.wait_line("release v1 is up", count=2)
    shop.wait_line(r"app\[web\.1\]: deaf$")
    refused(shop.hsup("stop", "web", "--timeout", "1"), 1, "1 of 1 dynos", "web.1", "it goes on")
    assert "stopping" in shop.hsup("ps", "web").stdout
    # The second kills it, and two at once are one.
    wait_until(lambda: shop.process.send_signal(signal.SIGINT) or shop.process.poll() is not None, "its end")


def test_scale(shop):
    assert ok(shop.hsup("scale", "web=3", "worker-1")).stdout == "web=3\nworker=0\n"
    shop.wait_dynos(3)
    table = rows(ok(shop.hsup("scale")))
    assert table["web"][1:3] == ["3", "2"]
    assert table["worker"][1:3] == ["0", "1"]
    ok(shop.hsup("scale", "worker+2"))
    shop.wait_dynos(5)


@pytest.mark.parametrize("operand, code, text", [
    ("web=-1", 2, "a quantity cannot be negative"),
    ("web=5000", 2, "from 0 to 4096"),
    ("web=99999999999999999999", 2, "from 0 to 4096"),
    ("web", 2, "must be TYPE=N, TYPE+N or TYPE-N"),
    ("=3", 2, "the name of a process type"),
    ("web=", 2, "must be TYPE=N"),
    ("we=3", 4, 'did you mean "web"?'),
    ("web=4000", 1, ""),
])
def test_scale_refuses(shop, operand, code, text):
    if operand == "web=4000":
        # All or nothing: the sum is too large.
        refused(shop.hsup("scale", operand, "worker=4000"), code)
    else:
        refused(shop.hsup("scale", operand), code, text)
    shop.wait_dynos(3)


def test_signal(shop):
    shop.wait_line(r"app\[web\.2\]: begins")
    assert ok(shop.hsup("signal", "HUP", "web.2")).stdout == "web.2: signalled\n"
    shop.wait_line(r"app\[web\.2\]: got HUP")
    refused(shop.hsup("signal", "FOO", "web"), 2, "'FOO' is no signal")
    refused(shop.hsup("signal", "HUP"), 2, "no NAME given")


# -- releases --

def test_releases_and_rollback(shop):
    refused(shop.hsup("rollback"), 4, "")
    shop.submit(shop.release(("web", SLEEP, 1), Version=2))
    wait_until(lambda: "v2" in shop.hsup("releases").stdout, "v2")
    ok(shop.hsup("wait"))
    table = rows(ok(shop.hsup("releases")))
    assert list(table) == ["v2", "v1"]
    assert ok(shop.hsup("rollback")).stdout == "v3 runs\n"
    shop.wait_dynos(3)
    assert "v1" in rows(shop.hsup("releases"))["v3"][-1]
    assert ok(shop.hsup("rollback", "v2")).stdout == "v4 runs\n"
    shop.wait_dynos(1)
    refused(shop.hsup("rollback", "v99"), 4, "v99")
    refused(shop.hsup("rollback", "last"), 2, "'last' is no release")
    releases = json.loads(ok(shop.hsup("releases", "--json")).stdout)
    assert [r["version"] for r in releases] == [4, 3, 2, 1]


def test_no_way_back_to_a_slug_that_is_gone(app):
    app.env["HSUP_CONTROL_DIR"] = str(app.control)
    with tarfile.open(app.control / "slug.tgz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("./app/file"))
    app.submit(app.release(("web", SLEEP, 1), Slug="slug.tgz"))
    app.start()
    app.wait_line("release v1 is up")
    app.submit(app.release(("web", ["sleep", "2000"], 1), Version=2))
    app.wait_line("release v2 is up")
    (app.control / "slug.tgz").unlink()
    before = app.dynos()
    done = app.hsup("rollback", "v1")
    assert done.returncode == 1
    assert "slug.tgz: cannot open it: No such file or directory" in done.stderr
    assert app.dynos() == before and app.loaded()["Version"] == 2
    # What runs without the slug that it names, as none was ever there, can go back to the like.
    app.submit(app.release(("web", SLEEP, 1), Version=4, Slug="nowhere.tgz"))
    app.wait_line("release v4 is up")
    app.submit(app.release(("web", ["sleep", "2000"], 1), Version=5, Slug="nowhere.tgz"))
    app.wait_line("release v5 is up")
    assert app.hsup("rollback", "v4").returncode == 0


def test_rollback_gives_a_rollout_up(shop):
    shop.submit(shop.release(dict(Type="web", Args=SLEEP, Quantity=2, StartSeconds=600, StartTimeout=900),
                             Version=2))
    wait_until(lambda: "rolled out" in shop.hsup("releases").stdout, "a rollout that is under way")
    done = ok(shop.hsup("rollback"))
    assert re.fullmatch(r"v\d runs\n", done.stdout)
    wait_until(lambda: shop.hsup("ps", "web").returncode == 0, "the web of before")
    assert "sh" in shop.hsup("scale").stdout


def test_config_hides_values(shop):
    done = ok(shop.hsup("config"))
    assert "TOKEN=********\n" in done.stdout and "s3cret" not in done.stdout
    assert "TOKEN=s3cret\n" in ok(shop.hsup("config", "--secrets")).stdout
    assert json.loads(ok(shop.hsup("config", "web", "--secrets", "--json")).stdout)["TOKEN"] == "s3cret"
    refused(shop.hsup("config", "wep"), 4, "wep")


# -- logs and events --

def test_logs(shop):
    shop.wait_line(r"app\[web\.2\]: begins")
    done = ok(shop.hsup("logs", "-p", "web.1"))
    assert re.search(r"^\S+ app\[web\.1\]: begins web\.1$", done.stdout, re.M)
    assert "web.2" not in done.stdout.replace("begins web.2", "begins")
    everything = ok(shop.hsup("logs", "-n", "1000")).stdout.splitlines()
    stamps = [line.split(" ")[0] for line in everything]
    assert stamps == sorted(stamps) and len(stamps) > 5
    assert len(ok(shop.hsup("logs", "-n", "2")).stdout.splitlines()) == 2
    assert ok(shop.hsup("logs", "--stream", "err", "--format", "raw", "web.1")).stdout == "oops\n"
    one = json.loads(ok(shop.hsup("logs", "--stream", "err", "--format", "json", "web.1")).stdout)
    assert "oops" in one.values()
    assert ok(shop.hsup("logs", "--since", "2001-01-01T00:00:00Z", "web.1")).stdout
    assert ok(shop.hsup("logs", "-n", "0")).stdout == ""
    refused(shop.hsup("logs", "--since", "yesterday"), 2, "'--since'")
    refused(shop.hsup("logs", "--stream", "both"), 2, "must be out, err or system, not 'both'")
    refused(shop.hsup("logs", "-p", "wob"), 4, 'did you mean "web"?')
    ok(shop.hsup("logs", "--reopen"))


def test_logs_follow(shop):
    shop.wait_line(r"app\[web\.\d\]: begins", count=2)
    process, lines = follow(shop, "logs", "-f", "-n", "0", "-p", "web.1")
    for _ in range(3):
        ok(shop.hsup("signal", "HUP", "web.*"))
        if lines:
            break
    wait_until(lambda: any("got HUP" in line for line in lines), lines)
    assert all("[web.1]" in line for line in lines)
    # Its server is killed: it says so, and exits with 1.
    os.kill(shop.supervisor(), signal.SIGKILL)
    assert process.wait(PATIENCE) == 1
    assert len(process.stderr.read().splitlines()) == 1
    end(process)


def test_events(shop):
    process, lines = follow(shop, "events", "-f", "--json", "web.1")
    ok(shop.hsup("restart", "web.1"))
    ok(shop.hsup("restart", "web.1"))

    def states():
        return [(e["name"], e["to"]) for e in map(json.loads, list(lines)) if e["kind"] == "dyno.state"]
    wait_until(lambda: states()[-1:] == [("web.1", "up")] and ("web.1", "stopping") in states(), lines)
    end(process)
    events = [json.loads(line) for line in ok(shop.hsup("events", "--json")).stdout.splitlines()]
    ids = [e["id"] for e in events]
    assert ids == sorted(set(ids))
    again = [json.loads(line) for line in ok(shop.hsup("events", "--json", "--from", ids[3])).stdout.splitlines()]
    assert [e["id"] for e in again][:3] == ids[3:6]
    text = ok(shop.hsup("events")).stdout
    assert re.search(r"^\S+ dyno\.state web\.1 v1 starting -> up", text, re.M)
    refused(shop.hsup("events", "--from", "x"), 2, "'--from'")


def test_diag(shop):
    assert "dyno.state" in ok(shop.hsup("diag")).stdout


# -- wait, attach, shutdown --

def test_wait(shop):
    assert ok(shop.hsup("wait")).stdout == "3 dynos are up\n"
    ok(shop.hsup("stop", "worker"))
    assert ok(shop.hsup("wait")).stdout == "2 dynos are up\n"
    refused(shop.hsup("wait", "worker", "--timeout", "1"), 3, "worker.1 is stopped")
    refused(shop.hsup("wait", "wob"), 4, 'did you mean "web"?')


def test_wait_for_an_hsup_that_is_just_starting(app):
    app.env["HSUP_CONTROL_DIR"] = str(app.control)
    app.submit(app.release(("web", SLEEP, 1)))
    process, lines = follow(app, "wait")
    app.start()
    assert process.wait(PATIENCE) == 0
    process.reader.join(PATIENCE)
    assert lines == ["1 dyno is up"]
    end(process)


def test_attach(app):
    app.env["HSUP_CONTROL_DIR"] = str(app.control)
    app.submit(app.release(dict(Type="echo", Args=["sh", "-c", "while read -r x; do echo got $x; done"],
                                Quantity=1, Stdin=True), ("web", SLEEP, 2)))
    app.start()
    ok(app.hsup("wait"))
    process = subprocess.Popen([str(app.build / "hsup"), "attach", "echo.1"], env=app.env, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write("one\n")
    process.stdin.flush()
    assert process.stdout.readline() == "got one\n"
    process.stdin.write("two\n")
    process.stdin.flush()
    assert process.stdout.readline() == "got two\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()
    assert app.hsup("ps", "echo").returncode == 0
    refused(app.hsup("attach", "web"), 2, "one dyno only")
    refused(app.hsup("attach", "web.1", input="x\n"), 1, "web.1")


def test_shutdown(shop):
    assert ok(shop.hsup("shutdown")).stdout == "hsup has ended\n"
    assert shop.wait() == 0
    assert not shop.marked()


# -- who is asked, and who may --

def test_nobody_there(app, build, folder):
    for command in (["ps"], ["logs"], ["scale", "web=1"], ["stop", "web"], ["events"], ["releases"], ["config"]):
        refused(app.hsup(*command, "-C", app.control), 4, "hsup does not run for")
        refused(app.hsup(*command), 4, "no daemon runs")
    refused(app.hsup("ps", "-s", folder / "none.sock"), 4, "there is no")
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(folder / "dead.sock"))
    dead.close()
    refused(app.hsup("ps", "-s", folder / "dead.sock"), 4, "has ended")


def test_what_listens_is_no_hsup(app, folder):
    path = folder / "other.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(8)
    answers = [b"220 mail.example.com ESMTP\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
               b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b""]
    turn = [0]

    def serve():
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            client.recv(65536)
            client.sendall(answers[turn[0]])
            client.close()
    threading.Thread(target=serve, daemon=True).start()
    for turn[0] in range(len(answers)):
        refused(app.hsup("ps", "-s", path), 1)
    server.shutdown(socket.SHUT_RDWR)
    server.close()


def test_no_rights(app, reachable, folder):
    app.build = reachable
    app.folder.chmod(0o755)
    app.env["HSUP_CONTROL_DIR"] = str(app.control)
    app.submit(app.release(("web", SLEEP, 1)))
    app.start()
    ok(app.hsup("wait"))
    done = app.hsup("ps", user="daemon", env={"PATH": "/usr/bin:/bin"})
    assert done.returncode in (1, 4)
    assert len(done.stderr.splitlines()) == 1
    app.stop()


def test_roles(app, reachable):
    app.build = reachable
    app.folder.chmod(0o755)
    app.env["HSUP_CONTROL_DIR"] = str(app.control)
    app.submit(app.release(("web", SLEEP, 1), Env={"TOKEN": "s3cret"}))
    app.start("--watch-uid", "daemon", "--socket-mode", "0666")
    ok(app.hsup("wait"))
    who = dict(user="daemon", group="daemon", extra_groups=[])
    socket_path = next((app.folder / "run").glob("*/control.sock"))
    assert "web.1" in ok(app.hsup("ps", "-s", socket_path, **who)).stdout
    refused(app.hsup("stop", "-s", socket_path, "web", **who), 1, "operate")
    refused(app.hsup("config", "-s", socket_path, "--secrets", **who), 1, "operate")
    assert "********" in ok(app.hsup("config", "-s", socket_path, **who)).stdout


# -- the daemon --

def test_daemon(fleet):
    table = rows(ok(fleet.hsup("ps")))
    assert list(table) == ["billing/web.1", "shop/web.1", "shop/web.2"]
    assert list(rows(ok(fleet.hsup("ps", "shop")))) == ["shop/web.1", "shop/web.2"]
    assert list(rows(ok(fleet.hsup("ps", "*/web.1")))) == ["billing/web.1", "shop/web.1"]
    assert list(rows(ok(fleet.hsup("ps", "-a", "shop")))) == ["web.1", "web.2"]
    refused(fleet.hsup("ps", "shopp"), 4, 'did you mean "shop"?')
    refused(fleet.hsup("ps", "-a", "none"), 4, "there is no app none")
    assert ok(fleet.hsup("stop", "shop/web.2")).stdout == "shop/web.2: stopped\n"
    fleet.wait_dynos(1, "shop")
    assert ok(fleet.hsup("scale", "shop/web=3", "billing/web+1")).stdout == "billing/web=2\nshop/web=3\n"
    assert fleet.hsup("ps", "shop").returncode == 3
    ok(fleet.hsup("start", "shop"))
    fleet.wait_dynos(3, "shop")
    fleet.wait_dynos(2, "billing")
    refused(fleet.hsup("scale", "web=1"), 2, "of which app?")
    refused(fleet.hsup("rollback"), 2, "which app?")
    refused(fleet.hsup("shutdown"), 2, "'hsup down'")


def test_deploy_waits_until_it_runs(fleet):
    broken = fleet.document("shop", args=["sh", "-c", "exit 3"])
    done = fleet.hsup("deploy", fleet.file(broken))
    assert (done.returncode, done.stdout) == (1, "shop: loaded\n"), done.stderr
    assert re.match(r"hsup deploy: shop: v2 was rolled back: ", done.stderr)
    done = ok(fleet.hsup("deploy", fleet.file(fleet.document("shop", 1))))
    assert re.fullmatch(r"shop: loaded\nshop: v\d runs\n", done.stdout)
    refused(fleet.hsup("deploy", "-a", "new", fleet.file(broken)), 1, "new: web.1 does not come up: ", "status 3")


def test_logs_of_several_apps_are_merged(build, folder):
    fleet = Daemon(build, folder)
    for name in ("a", "b"):
        fleet.make_app(name, args=["sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.02; done; exec sleep 1000"])
    try:
        fleet.up()
        ok(fleet.hsup("wait"))
        wait_until(lambda: fleet.hsup("logs", "--stream", "out").stdout.count(": 5") == 2, "all lines")
        lines = ok(fleet.hsup("logs", "a", "b/*")).stdout.splitlines()
        stamps = [line.split(" ")[0] for line in lines]
        assert stamps == sorted(stamps)
        assert any("app[a/web.1]: 1" in line for line in lines)
        assert any("app[b/web.1]: 1" in line for line in lines)
        objects = [json.loads(line) for line in ok(fleet.hsup("logs", "--format", "json")).stdout.splitlines()]
        assert ok(fleet.hsup("logs", "--format", "json", "-n", "1", "a")).stdout.count('"app":') == 1
        assert {o["app"] for o in objects} == {"a", "b"}
        assert [o["time"] for o in objects] == sorted(o["time"] for o in objects)
        raw = ok(fleet.hsup("logs", "--format", "raw", "--stream", "out")).stdout
        assert sorted(raw.split()) == sorted("12345" * 2)
        process, followed = follow(fleet, "logs", "-f")
        wait_until(lambda: len(followed) >= 10, followed)
        end(process)
    finally:
        fleet.end()


# -- shell and completion --

def test_shell_reads_a_pipe(shop):
    done = shop.hsup("shell", input="stop worker\n# a remark\nps 'web.1'\nscale \"web=1\"\n\nquit\nstop web\n")
    assert done.returncode == 0, done.stderr
    assert "worker.1: stopped\n" in done.stdout and "web=1\n" in done.stdout
    shop.wait_dynos(1)
    assert shop.hsup("shell", input="ps nope\nps web\nps worker\n").returncode == 3
    assert shop.hsup("shell", input="ps nope\nps web\n").returncode == 4
    done = shop.hsup("shell", input="stop 'web\nup\nshell\n")
    assert done.returncode == 2
    assert "a quote has no end" in done.stderr and "for the system's shell" in done.stderr


def test_shell_at_a_terminal(shop):
    master, slave = pty.openpty()
    process = subprocess.Popen([str(shop.build / "hsup"), "shell"], env=dict(shop.env, TERM="xterm"),
                               stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    seen = b""

    def until(text):
        nonlocal seen
        while text not in seen:
            seen += os.read(master, 65536)
        seen = seen[seen.index(text) + len(text):]
    until(b"hsup> ")
    os.write(master, b"stop work\t\n")
    until(b"worker.1: stopped")
    until(b"hsup> ")
    os.write(master, b"\x1b[A\n")  # the line before, again
    until(b"worker.1: stopped")
    until(b"hsup> ")
    os.write(master, b"quit\n")
    assert process.wait(PATIENCE) == 0
    os.close(master)
    assert "stop worker" in (shop.folder / "state" / "history").read_text().replace("\\040", " ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has what others own to lose")
def test_shell_keeps_no_history_where_another_could_lead_it(shop):
    """With --user the state directory is the account's, who can put a link there."""
    state, secret = shop.folder / "state", shop.folder / "secret"
    secret.write_text("of root")
    (state / "history").symlink_to(secret)
    os.chown(state, 65534, 65534)
    master, slave = pty.openpty()
    with subprocess.Popen([str(shop.build / "hsup"), "shell"], env=dict(shop.env, TERM="xterm"), stdin=slave,
                          stdout=slave, stderr=slave, start_new_session=True) as process:
        os.close(slave)
        seen = b""
        while b"hsup> " not in seen:
            seen += os.read(master, 65536)
        os.write(master, b"version\nquit\n")
        assert process.wait(PATIENCE) == 0
    os.close(master)
    assert secret.read_text() == "of root"


def test_completion_with_live_names(shop):
    def offers(*words):
        return [line.split("\t")[0] for line in ok(shop.hsup("__complete", *words)).stdout.splitlines()]
    assert offers("ps", "we") == ["web.1", "web", "web.2"]
    assert offers("scale", "w") == ["web=", "worker="]
    assert offers("rollback", "") == ["v1"]
    assert "HUP" in offers("signal", "")
    assert offers("signal", "HUP", "wo") == ["worker.1", "worker"]
    assert offers("logs", "-p", "worker") == ["worker.1", "worker"]
    assert offers("logs", "--stream", "") == ["out", "err", "system"]
    shop.stop()
    assert offers("ps", "we") == []


def test_bash_completion_of_names(shop):
    script = f"""
        source {ROOT}/docs/completion/hsup.bash
        COMP_WORDS=({shop.build}/hsup restart web.) COMP_CWORD=2
        _hsup {shop.build}/hsup
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], env=shop.env, text=True, capture_output=True, timeout=PATIENCE)
    assert done.stdout.split() == ["web.1", "web.2"]


# -- what is written about it --

def test_manual_and_help_agree(build):
    def say(*args):
        return subprocess.run([str(build / "hsup"), *args], text=True, capture_output=True, check=True).stdout
    manual = (ROOT / "docs" / "hsup.1").read_text()
    commands = re.findall(r"^  (\w+) +\S", say("help").partition("Commands:")[2].partition("\n\n")[0], re.M)
    assert len(commands) > 20
    documented = set(re.findall(r"^\.It Cm (\w+)", manual, re.M))
    assert set(commands) == documented & set(commands), set(commands) - documented
    synopsis = manual.partition(".Sh SYNOPSIS")[2].partition(".Sh DESCRIPTION")[0]
    assert set(commands) == set(re.findall(r"^\.Nm\n\.Cm (\w+)", synopsis, re.M))
    options = {}
    for command in commands:
        for letter, name in re.findall(r"^  (?:-(\w),|   ) --([\w-]+)", say("help", command).partition(
                "\nOptions:")[2], re.M):
            options[name] = letter
    items = "\n".join(re.findall(r"^\.It Fl .*", manual, re.M))
    written = set(re.findall(r"(?:Fl|,) -([\w-]+)", items))
    assert set(options) <= written, set(options) - written
    for name, letter in options.items():
        if letter:
            assert re.search(rf"^\.It Fl {letter} , -{name}\b", manual, re.M), name
    for code in range(5):
        assert re.search(rf"^\.It {code}$", manual, re.M), code
