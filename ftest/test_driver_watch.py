"""Every driver: what is told of dynos, what looks after them, what they may use."""
import re
import subprocess

from driver_app import SLEEP
from engines import app  # noqa: F401 (fixture)
from hsup import wait_until

OK = "HTTP/1.1 200 OK\r\n\r\n"


# ---- logs, ps, attach ----

def test_logs(app):
    app.start()
    app.submit(app.release(("web", ["for i in 1 2 3 4 5; do echo line $i; done; exec sleep 1000"], 1),
                           ("other", ["echo other; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: line 5$")
    app.wait_line(r"app\[other\.1\]: other$")
    last = app.hsup("logs", "-C", app.control, "-n", "2", "-p", "web.1", "--format", "raw", "--stream", "out")
    assert last.stdout == "line 4\nline 5\n"


def test_logs_follow(app):
    gate = app.shared / "gate"
    app.start()
    app.submit(app.release(("web", [f"echo before; while ! test -e {gate}; do sleep 0.02; done; echo after; "
                                    "exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: before$")
    reader = subprocess.Popen([app.build / "hsup", "logs", "-f", "-n", "1", "--stream", "out", "--format", "raw", "-C",
                               app.control], env=app.env, stdout=subprocess.PIPE, text=True)
    try:
        assert reader.stdout.readline() == "before\n"
        app.write("gate", "")
        assert reader.stdout.readline() == "after\n"
    finally:
        reader.terminate()
        reader.communicate()


def test_ps(app):
    app.start()
    app.submit(app.release(("web", ["exec ./tool hold 30"], 1), ("rest", SLEEP, 0), Version=5))
    app.wait_line(r"app\[web\.1\]: holds 30$")
    app.wait_up("web.1")

    def known():
        dyno = app.ps()["web.1"]
        return dyno if (dyno["memory"] or 0) > 30 << 20 else None
    dyno = wait_until(known, "its memory")
    assert (dyno["state"], dyno["type"], dyno["instance"], dyno["version"]) == ("up", "web", 1, 5)
    assert dyno["memory"] < 90 << 20
    assert 1024 < dyno["port"] < 65536
    # A process of this machine's: the dyno's, or the init above it.
    assert dyno["pid"] in app.pids("web.1")
    table = app.hsup("ps", "-C", app.control).stdout.splitlines()
    assert re.search(rf"^web\.1 +up .*\bv?5\b.* {dyno['pid']} +{dyno['port']} ", table[1]), table


def test_attach(app):
    app.start()
    app.submit(app.release({"Type": "web", "Stdin": True,
                            "Args": ["while read -r line; do echo got $line; done; echo end of file"]},
                           ("none", ["readlink /proc/self/fd/0; exec sleep 1000"], 1)))
    app.wait_up("web.1")
    app.wait_line(r"app\[none\.1\]: /dev/null$")
    app.type_line("web.1", "one", "got one")
    app.type_line("web.1", "two", "got two")  # an end of what is typed is none for the dyno
    app.kill_supervisor()
    app.type_line("web.1", "three", "got three")
    app.no_line("end of file")


# ---- Ready ----

def test_ready_http(app):
    how = app.write("how", "HTTP/1.1 500 Oh\r\n\r\n")
    app.start()
    app.submit(app.release({"Type": "web", "Args": [f"exec ./tool serve {how}"], "StartTimeout": 3,
                            "Ready": {"HTTP": "/up", "Timeout": 0.5, "Interval": 0.1}}))
    app.wait_line(r"Error R10 \(Boot timeout\) -> not ready within 3 s: GET /up: HTTP 500")
    app.write("how", OK)
    app.wait_up("web.1")


def test_ready_listen(app):
    gate = app.shared / "gate"
    app.start()
    app.submit(app.release({"Type": "web", "Ready": {"Listen": True, "Interval": 0.1}, "Args": [
        f"echo waits; while ! test -e {gate}; do sleep 0.02; done; exec ./tool serve {gate}"]}))
    app.wait_line(r"app\[web\.1\]: waits$")
    assert app.ps()["web.1"]["state"] == "starting"
    app.write("gate", OK)
    app.wait_up("web.1")


def test_ready_command(app):
    """Run beside the dyno, as it is: the same variables, files and directory."""
    command = f"echo $DYNO $A $PWD > {app.shared}/.seen && mv {app.shared}/.seen {app.shared}/seen && test -e {app.shared}/gate"
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["pwd; exec sleep 1000"], "Env": {"A": "b"},
                            "Ready": {"Command": [command], "Interval": 0.1}}))
    seen = wait_until(lambda: (app.shared / "seen").exists() and (app.shared / "seen").read_text(), "the command").split()
    app.wait_line(r"app\[web\.1\]: /")
    assert seen == ["web.1", "b", app.texts("web.1")[0]]
    app.write("gate", "")
    app.wait_up("web.1")


def test_a_command_that_hangs_is_killed(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": SLEEP, "StartTimeout": 2,
                            "Ready": {"Command": ["sleep 4711"], "Interval": 0.1, "Timeout": 0.3}}))
    app.wait_line(r"Error R10 \(Boot timeout\) -> not ready within 2 s: the command has not ended within "
                  r"0\.3 s and was killed")
    assert app.stop() == 0
    wait_until(lambda: not app.processes(), "the commands to be gone")


def test_ready_notify(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": [f"echo waits; exec ./tool notify {app.shared}/what"],
                            "Ready": {"Notify": True}}))
    app.wait_line(r"app\[web\.1\]: waits$")
    app.write("what", "STATUS=half way\n")
    app.write("what", "READY=1\n")
    app.wait_up("web.1")
    assert "notify:" not in " ".join(app.texts("web.1"))


# ---- Healthy ----

def test_healthy_http(app):
    how = app.write("how", OK)
    app.start()
    app.submit(app.release({"Type": "web", "Args": [f"exec ./tool serve {how}"], "Ready": {"Listen": True, "Interval": 0.1},
                            "Healthy": {"HTTP": "/up", "Interval": 0.1, "Timeout": 0.5, "Threshold": 3}}))
    app.wait_line(r"hsup\[web\.1\]: health changed from waiting to ok")
    life = app.life("web.1")
    app.write("how", "HTTP/1.1 503 No\r\n\r\n")
    app.wait_line(r"hsup\[web\.1\]: unhealthy: GET /up: HTTP 503 \(3 in a row\)")
    app.write("how", OK)
    app.wait_line(r"hsup\[web\.1\]: state changed from \w+ to up", count=2)
    assert app.life("web.1") != life


def test_healthy_command(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": SLEEP, "Healthy": {
        "Command": [f"test ! -e {app.shared}/fail || exit 7"], "Interval": 0.1, "Threshold": 2, "Timeout": 3}}))
    app.wait_line(r"health changed from waiting to ok")
    fail = app.write("fail", "")
    app.wait_line(r"hsup\[web\.1\]: unhealthy: the command exited with status 7 \(2 in a row\)")
    fail.unlink()
    app.wait_line(r"hsup\[web\.1\]: state changed from \w+ to up", count=2)


# ---- Limits ----

def test_open_files_and_processes(app):
    app.start()
    app.submit(app.release({"Type": "web", "User": "nobody",
                            "Args": ["ulimit -n; exec ./tool forks 60"],
                            "Limits": {"OpenFiles": 123, "Processes": 40}}))
    app.wait_line(r"app\[web\.1\]: 123$")
    forked = int(app.wait_line(r"app\[web\.1\]: forked (\d+)$").group(1))
    assert 1 < forked < 40


def test_cpu(app):
    """A plain process cannot be limited, and that is said; a container is."""
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["exec sleep 1000"], "Limits": {"CPU": 0.5}}))
    app.wait_up("web.1")
    if app.engine:
        host = app.engine.rest.inspect(app.life("web.1"))["HostConfig"]
        assert host["NanoCpus"] == 500_000_000 or host["CpuQuota"] * 2 == host["CpuPeriod"], host
        app.no_line("Limits.CPU")
    else:
        app.wait_line(r"Limits\.CPU of web has no effect: the driver simple cannot limit that")
