"""Native dynos: the settings that users of Go hsup know, the box from within, and that nothing stays of it.

After each test the machine is as before (Native.judge): links, cgroups, mounts, processes, folders, nft.
"""
import contextlib
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import termios
import time
import urllib.request

import pytest

import cgroups
from client import Client
from driver_app import SLEEP
from hsup import PATIENCE, command_line, wait_until
from native import UIDS, Native

PARENT = "hsuptest0"
DEATHS = int(os.environ.get("HSUP_TEST_DEATHS", "200"))


@pytest.fixture
def app(make_driver_app):
    return make_driver_app("native")


@pytest.fixture
def parent():
    """An interface of the machine for dynos to have another one above; removed at the end."""
    subprocess.run(["ip", "link", "add", PARENT, "type", "veth", "peer", "name", "hsuptest1"], check=True)
    for name in (PARENT, "hsuptest1"):
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
    yield PARENT
    subprocess.run(["ip", "link", "del", PARENT], check=True)


def says(app, script, **more):
    """What a dyno's script prints, as lines."""
    ran = app.hsup("run", "-C", app.control, "--", "sh", "-c", script, **more)
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    return ran.stdout.splitlines()


def give_to(app, user):
    """What a supervisor with a user of its own needs; what boxes have stays root's."""
    state = app.folder / "state"
    state.mkdir(exist_ok=True)
    for path in [app.control, *app.control.rglob("*"), state]:
        os.chown(path, user, user)
    app.env.update(HSUP_BOX_STATE=str(app.folder / "layers"), HSUP_BOX_STACKS=str(app.folder / "stacks"),
                   HSUP_BOX_BINDS=str(app.shared))


# ---- settings ----

def test_classic_settings(app, parent):
    app.env.update(LIBCONTAINER_DYNO_SUBNET="192.168.200.0/30", LIBCONTAINER_DYNO_UID_MIN="6123",
                   LIBCONTAINER_DYNO_UID_MAX="6123", LIBCONTAINER_DYNO_EXTRA_INTERFACE=f"{parent}:10.204.7.9/24",
                   LIBCONTAINER_DYNO_EXTRA_ROUTES="10.204.99.0/24:10.204.7.1:eth1,10.204.98.0/24:default:eth0")
    app.submit(app.release())
    assert says(app, "id -u; id -g; id -un") == ["6123", "6123", "dyno"]
    addresses = dict(line.split()[1:4:2] for line in says(app, "ip -o -4 address show"))
    assert addresses == {"lo": "127.0.0.1/8", "eth0": "192.168.200.2/30", "eth1": "10.204.7.9/24"}
    routes = says(app, "ip route show")
    for route in ("default via 192.168.200.1 dev eth0", "10.204.99.0/24 via 10.204.7.1 dev eth1",
                  "10.204.98.0/24 via 192.168.200.1 dev eth0"):
        assert any(line.startswith(route) for line in routes), (route, routes)
    env = dict(line.split("=", 1) for line in says(app, "env"))
    assert env["DYNO"].startswith("run.")
    assert (env["HOME"], env["PWD"], env["USER"]) == ("/app", "/app", "dyno")
    assert env["PATH"].endswith("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


def test_the_classic_name_of_the_driver(make_driver_app):
    app = make_driver_app("libcontainer")
    app.submit(app.release())
    ran = app.hsup("run", "-d", "libcontainer", "-C", app.control, "--", "cat", "/proc/1/comm")
    assert (ran.returncode, ran.stdout) == (0, "hsup-box\n"), ran.stderr


def test_one_uid_is_one_dyno(app):
    """A second has none to be, and says so; when the first ends, its uid is free."""
    app.env.update(LIBCONTAINER_DYNO_UID_MIN="6124", LIBCONTAINER_DYNO_UID_MAX="6124")
    app.start()
    app.submit(app.release(("web", ["id -u; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: 6124$")
    ran = app.hsup("run", "-C", app.control, "--", "true")
    assert ran.returncode != 0 and "uid" in ran.stderr, ran
    app.kill("web.1")
    app.wait_line(r"app\[web\.1\]: 6124$", count=2)


def test_one_uid_again_and_again(app):
    """The next begins when the end of the last is told: its uid is free, though the kernel may still have its link."""
    app.env.update(LIBCONTAINER_DYNO_UID_MIN="6125", LIBCONTAINER_DYNO_UID_MAX="6125")
    app.start()
    app.submit(app.release())
    app.wait_line("release v1 is up")
    for n in range(20):
        ran = app.hsup("run", "-C", app.control, "--", f"(setsid sleep 4715 &) ; id -u; exit {n}")
        assert (ran.returncode, ran.stdout) == (n, "6125\n"), ran
    app.submit(app.release(("web", ["echo up; exec sleep 1000"], 1), Version=2))
    for n in range(1, 21):
        app.wait_line(r"app\[web\.1\]: up$", count=n)
        assert app.hsup("restart", "-C", app.control, "web.1").returncode == 0
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and command_line(int(pid)) == "sleep\x004715\0"]


def test_all_that_was_written_comes_before_the_end(app):
    """And what nobody waits for any more writes nothing behind it."""
    app.start()
    app.submit(app.release())
    app.wait_line("release v1 is up")
    text = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; (setsid yes late &); exit 3"
    for _ in range(5):
        ran = app.hsup("run", "-C", app.control, "--", text)
        lines = [line for line in ran.stdout.splitlines() if line != "late"]
        assert ran.returncode == 3 and lines == [f"line {i}" for i in range(2000)], ran


def test_dynos_have_uids_and_addresses_of_their_own(app):
    app.start()
    app.submit(app.release(("web", ["echo $(id -u) $(ip -o -4 address show eth0 | awk '{print $4}'); "
                                    "exec sleep 1000"], 3)))
    app.wait_up("web.1", "web.2", "web.3")
    app.wait_line(r"app\[web\.\d\]: 6\d{3} 10\.203\.\d+\.\d+/30$", count=3)
    said = [text.split() for _, text in app.app_lines()]
    assert len({uid for uid, _ in said}) == len({address for _, address in said}) == 3
    dynos = app.ps()
    assert sorted(f"{dyno['address']}/30" for dyno in dynos.values()) == sorted(address for _, address in said)
    assert {dyno["port"] for dyno in dynos.values()} == {5000}
    app.kill_supervisor()
    app.wait_line("release v1 is up", count=2)
    assert {n: (d["address"], d["port"]) for n, d in app.ps().items()} == \
        {n: (d["address"], d["port"]) for n, d in dynos.items()}


def test_dynos_do_not_reach_each_other_nor_the_machine(app):
    app.start()
    app.submit(app.release({"Type": "web", "Quantity": 2, "Ready": {"Listen": True, "Interval": 0.05}, "Args": [
        "printf 'HTTP/1.1 200 OK\\r\\n\\r\\nhello' > /tmp/answer; exec ./tool serve /tmp/answer"]}))
    app.wait_up("web.1", "web.2")
    other = app.ps()["web.1"]["address"]
    machine = other[:other.rindex(".") + 1] + str(int(other.split(".")[-1]) - 1)
    fetch = ("import urllib.request, sys\ntry: print(urllib.request.urlopen(sys.argv[1], timeout=5).read())\n"
             "except OSError as e: print('refused')")
    ran = app.hsup("run", "-C", app.control, "--", "/usr/bin/python3", "-c", fetch, f"http://{other}:5000/")
    assert ran.stdout == "refused\n", ran
    ran = app.hsup("run", "-C", app.control, "--", "/usr/bin/python3", "-c", fetch, f"http://{machine}:22/")
    assert ran.stdout == "refused\n", ran
    # From here it is reached: the refusals above are not of one who does not listen.
    assert urllib.request.urlopen(f"http://{other}:5000/", timeout=5).read() == b"hello"


LOOK = "readlink /proc/self/ns/net; ip -o -4 address show | awk '{print $2}'"


def has_network(network, said):
    """said: the lines of LOOK."""
    own, *devices = said
    if network == "host":
        assert own == os.readlink("/proc/self/ns/net")
    else:
        assert own != os.readlink("/proc/self/ns/net") and devices == ["lo"]


@pytest.mark.parametrize("network", ["host", "none"])
def test_networks(app, network):
    app.env["LIBCONTAINER_DYNO_NETWORK"] = network
    app.submit(app.release())
    has_network(network, says(app, LOOK))


@pytest.mark.parametrize("network, other", [("host", "none"), ("none", "host")])
def test_networks_by_option(app, network, other):
    """Which goes before the variable; also for the dynos of a supervisor that was started again."""
    app.env["LIBCONTAINER_DYNO_NETWORK"] = other
    app.start("--network", network)
    app.submit(app.release(("web", [LOOK + "; echo end; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: end$")
    app.wait_line("release v1 is up")
    app.kill_supervisor()
    app.wait_line("release v1 is up", count=2)
    app.kill("web.1")
    app.wait_line(r"app\[web\.1\]: end$", count=2)
    said = app.texts("web.1")
    at = said.index("end")
    has_network(network, said[:at])
    has_network(network, said[at + 1:-1])
    ran = app.hsup("run", "-C", app.control, "--network", network, "--", "sh", "-c", LOOK)
    assert ran.returncode == 0, ran
    has_network(network, ran.stdout.splitlines())


# ---- files ----

def test_files(app):
    """What may be written, and what not."""
    app.submit(app.release())
    said = says(app, "for d in /app /tmp /var/tmp /dev/shm; do echo x >$d/x && cat $d/x; done; "
                     "for d in / /usr /etc /bin /dev /sys; do touch $d/x 2>/dev/null && echo wrote $d; done; "
                     "getent passwd $(id -u); getent passwd root | cut -d: -f1,3; echo x >>/app/tool && echo changed")
    assert said[:4] == ["x"] * 4
    assert re.fullmatch(r"dyno:x:\d+:\d+:[^:]*:/app:/bin/(ba)?sh", said[4]), said
    assert said[5:] == ["root:0", "changed"]


def test_what_is_written_goes_with_the_dyno(app):
    """And its layer, but not what the slug has."""
    app.start()
    app.submit(app.release(("web", ["ls /app /tmp; echo x >/app/mine; echo x >/tmp/mine; rm -f /app/tool; "
                                    "echo written; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: written$")
    assert len(app.boxes.layers) == 1
    app.kill("web.1")
    app.wait_line(r"app\[web\.1\]: written$", count=2)
    texts = app.texts("web.1")
    assert "mine" not in texts and texts.count("tool") == 2
    wait_until(lambda: len(app.boxes.layers) == 1, "the first layer to be gone")


def test_secrets_of_the_machine_are_not_there(app):
    """With the machine's own root as the stack."""
    app.submit(app.release())
    assert says(app, "for f in /etc/shadow /etc/gshadow /etc/ssh /root /home /srv /boot; do test ! -e $f || echo $f; "
                     "done; ls -d /etc/passwd") == ["/etc/passwd"]


def test_a_second_dyno_costs_no_work_on_the_slug(app):
    """One tree for all of a release, and nothing of it is copied."""
    app.start()
    app.submit(app.release(("web", ["exec ./tool hold 1"], 1)))
    app.wait_up("web.1")
    slugs = app.folder / "state/apps"

    def trees():
        return {str(p): p.stat().st_ctime_ns for p in slugs.rglob("*") if p.is_dir()}
    before = trees()
    assert app.hsup("scale", "-C", app.control, "web=4").returncode == 0
    app.wait_lives(4)
    assert trees() == before
    upper = [path for name in app.boxes.layers for path in (app.folder / "state/native/boxes" / name / "upper").rglob("*")]
    assert len(app.boxes.layers) == 4 and upper == []


def test_a_bind_is_what_it_is_outside(app):
    """Its rights are those of the files; a dyno is none of those who own them."""
    closed = app.folder / "closed"
    closed.mkdir()
    (closed / "file").write_text("from outside\n")
    app.submit(app.release(Binds=[f"{app.shared}:/mnt/shared", f"{closed}:/mnt/closed"]))
    assert says(app, "echo inside >/mnt/shared/it; cat /mnt/closed/file; touch /mnt/closed/x 2>/dev/null || "
                     "echo refused") == ["from outside", "refused"]
    assert (app.shared / "it").read_text() == "inside\n"


def test_a_bind_can_be_read_only(app):
    """Also for who may write to it outside; the operator's --bind is in the place of a release's."""
    open_, other = app.folder / "open", app.folder / "other"
    for path in (open_, other):
        path.mkdir()
        path.chmod(0o777)
        (path / "file").write_text(f"{path.name}\n")
    app.submit(app.release(Binds=[f"{open_}:/mnt/ro:ro", f"{open_}:/mnt/rw:rw", f"{open_}:/mnt/it"]))
    look = "for d in ro rw it; do cat /mnt/$d/file; touch /mnt/$d/$d 2>&1 | sed 's/.*: //'; done"
    refused = "Read-only file system"
    assert says(app, look) == ["open", refused, "open", "open"]
    ran = app.hsup("run", "-C", app.control, f"--bind={other}:/mnt/it:ro", "--", "sh", "-c", look)
    assert ran.stdout.splitlines() == ["open", refused, "open", "other", refused], ran.stderr
    assert sorted(path.name for path in open_.iterdir()) == ["file", "it", "rw"]


# ---- stacks ----

def test_a_stack_in_use_is_not_removed(app):
    """Until its last dyno has ended; or by force, and then none starts on it any more."""
    root = app.folder / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    assert app.hsup("stack", "add", "bb", root, "--set-version", "1").returncode == 0
    folder = app.folder / "state/stacks/bb-1"
    app.start()
    release = app.release(("web", ["echo runs; exec busybox sleep 1000"], 1), Stack="bb")
    app.submit(release)
    app.wait_line(r"app\[web\.1\]: runs$")
    refused = app.hsup("stack", "remove", "bb")
    assert refused.returncode == 1 and "bb-1 is in use by web.1 with pid" in refused.stderr, refused
    assert folder.exists()
    assert app.hsup("scale", "-C", app.control, "web=0").returncode == 0
    app.wait_line(r"hsup\[web\.1\]: process was killed by SIGTERM$")
    removed = app.hsup("stack", "remove", "bb")
    assert removed.returncode == 0 and not folder.exists(), removed
    assert app.hsup("stack", "add", "bb", root, "--set-version", "1").returncode == 0
    assert app.hsup("scale", "-C", app.control, "web=1").returncode == 0
    app.wait_line(r"app\[web\.1\]: runs$", count=2)
    forced = app.hsup("stack", "remove", "bb", "--force")
    assert forced.returncode == 0 and not folder.exists(), forced
    app.kill("web.1")
    app.wait_line(r"hsup\[web\.1\]: could not start: Stack: there is no stack 'bb'")


# ---- limits ----

def test_memory_over_the_limit(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["exec ./tool hold 200"], "Limits": {"Memory": "32M"},
                            "Restart": "never", "StartSeconds": 0}))
    app.wait_line(r"hsup\[web\.1\]: Error R15 \(Memory quota vastly exceeded\)$")
    app.wait_line(r"hsup\[web\.1\]: process was killed by SIGKILL: R15, memory quota vastly exceeded$")
    app.no_line(r"app\[web\.1\]: holds 200")
    web = app.ps()["web.1"]
    assert (web["last_exit"]["reason"], web["last_exit"]["signal"]) == ("oom", "KILL")
    note = app.hsup("ps", "-C", app.control).stdout
    assert "was killed by SIGKILL: R15, memory quota vastly exceeded" in note


@pytest.mark.parametrize("code", [0, 3])
def test_a_part_of_it_over_the_limit(app, code):
    """With cgroups of the old kind a process is killed, not the dyno: the reason of its end, if that is a failure.
    The unified hierarchy kills them all."""
    app.start()
    script = f"{{ ./tool hold 200; }} & wait $!; echo lost it; exit {code}"
    app.submit(app.release({"Type": "web", "Args": [script], "Limits": {"Memory": "32M"}, "Restart": "never",
                            "StartSeconds": 0}))
    if cgroups.ALONE:
        app.wait_line(r"hsup\[web\.1\]: process was killed by SIGKILL: R15, memory quota vastly exceeded$")
        app.no_line("lost it")
        assert app.ps()["web.1"]["last_exit"]["reason"] == "oom"
        return
    app.wait_line(r"app\[web\.1\]: lost it$")
    told = ": R15, memory quota vastly exceeded" if code else ""
    app.wait_line(rf"hsup\[web\.1\]: process exited with status {code}{told}$")
    app.wait_line(r"hsup\[web\.1\]: Error R15")
    assert app.ps()["web.1"]["last_exit"]["reason"] == ("oom" if code else None)


def test_a_fork_bomb_stops(app):
    """At the limit, which is the dyno's own: one beside it, of the same release, is not touched."""
    app.start()
    app.submit(app.release({"Type": "bomb", "Args": ["exec ./tool forks 400"], "Limits": {"Processes": 50}},
                           ("other", SLEEP, 1)))
    app.wait_up("other.1")
    forked = int(app.wait_line(r"app\[bomb\.1\]: forked (\d+)$").group(1))
    assert 40 <= forked <= 50
    assert len(app.lives()) >= 1


@pytest.mark.parametrize("confined", [False, True])
def test_a_disk_that_cannot_be_limited_is_said_once(make_driver_app, confined):
    """(test_native_vm.py has one that can.)"""
    app = make_driver_app("native")
    if confined:
        give_to(app, 4002)
    app.start(*(("--user", "4002", "--dyno-user", "4003") if confined else ()))
    app.submit(app.release({"Type": "web", "Args": ["exec sleep 1000"], "Limits": {"Disk": "1M"}},
                           {"Type": "other", "Args": ["exec sleep 1000"], "Limits": {"Disk": "1M"}}, Binds=[]))
    app.wait_up("web.1", "other.1")
    app.submit(app.release({"Type": "web", "Args": ["exec sleep 1001"], "Limits": {"Disk": "1M"}}, Version=2, Binds=[]))
    app.wait_line(r"release v2 is up")
    said = [line for line in app.lines if "Limits.Disk" in line]
    assert len(said) == 1 and re.search(r"warning: Limits\.Disk of web has no effect: the file system of \S+ has no "
                                        r"project quotas \(mounted with prjquota\)$", said[0]), said


def test_cpu_is_shared_out(app):
    """A tenth of one: for what is burnt in two seconds there were 200 ms, and what was left of a period before."""
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["while :; do :; done"], "Limits": {"CPU": 0.1}}))
    app.wait_up("web.1")
    pid = app.life("web.1")

    def used():
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    time.sleep(0.5)
    before, begun = used(), time.monotonic()
    time.sleep(2)
    assert used() - before < 0.15 * (time.monotonic() - begun) + 0.2


def test_what_it_uses_is_told(app):
    """Memory, processes, and how long it waits for its share of the processor: to who asks, and to who collects."""
    app.start()
    busy = "./tool forks 5 & ./tool hold 40 & while :; do :; done"
    app.submit(app.release({"Type": "web", "Args": [busy], "Limits": {"CPU": 0.1, "Memory": "200M"}}))
    app.wait_up("web.1")

    def known():
        web = app.ps()["web.1"]
        found = (web["memory"] or 0) > 40 << 20 and (web["cpu_pressure"] or 0) > 5
        return web if found and web["processes"] == 8 else None
    web = wait_until(known, "pressure", PATIENCE)
    assert web["memory"] < 100 << 20 and web["cpu"] > 0
    assert web["memory_pressure"] is not None and web["cpu_pressure"] <= 100
    (socket,) = app.folder.glob("run/*/control.sock")
    text = Client(socket).get("/metrics").text
    values = {name: float(value) for name, value in
              re.findall(r"^hsup_dyno_(\w+)\{dyno=\"web\.1\",id=\"\d+\"\} (\S+)$", text, re.M)}
    assert values["processes"] == 8 and 0.05 < values["cpu_pressure_ratio"] <= 1, text
    assert 0 <= values["memory_pressure_ratio"] <= 1 and values["memory_bytes"] > 40 << 20


# ---- processes ----

def test_the_dyno_sees_only_itself(app):
    app.submit(app.release())
    said = says(app, "ls /proc | grep '^[0-9]' | sort -n | head -2; cat /proc/1/comm; readlink /proc/1/exe || echo hidden; "
                     "hostname")
    assert said[:2] == ["1", "2"] and said[2] == "hsup-box" and said[3] == "hidden"
    assert said[4].startswith("run-")


def test_orphans_are_reaped_and_end_with_the_dyno(app):
    app.start()
    app.submit(app.release(("web", [
        "(setsid sh -c 'echo $$ > /tmp/pid; exit 3' &) ; (setsid sleep 4712 &); "
        "until [ -s /tmp/pid ] && [ ! -e /proc/$(cat /tmp/pid) ]; do sleep 0.02; done; "
        "echo reaped; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: reaped$")
    wait_until(lambda: len(app.processes()) == 2, "the two that stay")
    orphan = next(p for p in app.processes() if "4712" in pathlib.Path(f"/proc/{p}/cmdline").read_text())
    app.kill("web.1", signal.SIGTERM)
    app.wait_line(r"hsup\[web\.1\]: process was killed by SIGTERM$")
    wait_until(lambda: not os.path.exists(f"/proc/{orphan}"), "the orphan's end")


def test_stop_and_go_on(app):
    app.start()
    app.submit(app.release(("web", ["while :; do echo tick; sleep 0.02; done"], 1)))
    app.wait_up("web.1")
    assert app.hsup("signal", "-C", app.control, "STOP", "web.1").returncode == 0
    wait_until(lambda: "T" in pathlib.Path(f"/proc/{app.life('web.1')}/stat").read_text().rpartition(")")[2][:3],
               "its stop")
    seen = None
    while seen != len(app.lines):  # what it wrote before is still on its way
        seen = len(app.lines)
        time.sleep(PATIENCE / 20)
    assert app.app_lines()
    time.sleep(0.3)
    assert len(app.lines) == seen
    assert app.hsup("signal", "-C", app.control, "CONT", "web.1").returncode == 0
    app.wait_line(r"app\[web\.1\]: tick$", count=3, since=len(app.lines))


# ---- run, with a terminal ----

class Terminal:
    """`hsup run` on a terminal of its own."""

    def __init__(self, app, *args, size=(24, 80)):
        self.text = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(app.build / "hsup", ["hsup", "run", "-d", "native", "-C", str(app.control), *args],
                      dict(app.env, TERM="xterm"))
        self.resize(*size)

    def resize(self, rows, columns):
        termios.tcsetwinsize(self.fd, (rows, columns))

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern):
        """Reads up to what matches; returns the match, and forgets what came before."""
        end = time.monotonic() + PATIENCE
        while not (m := re.search(pattern, self.text.decode(errors="replace"))):
            assert select.select([self.fd], [], [], max(0, end - time.monotonic()))[0], f"no {pattern}: {self.text}"
            try:
                more = os.read(self.fd, 65536)
            except OSError:  # its other end is closed
                more = b""
            assert more, f"ended before {pattern}: {self.text}"
            self.text += more
        self.text = self.text.decode(errors="replace")[m.end():].encode()
        return m

    def end(self):
        with contextlib.suppress(OSError):
            while os.read(self.fd, 65536):
                pass
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return code


def test_a_console(app):
    """The classic prompt, the terminal's size, Ctrl-C, job control, the exit code."""
    app.submit(app.release())

    def runs(seconds):
        """Such a sleep, not stopped: it is what the keys are for."""
        def found():
            for pid in app.processes():
                with contextlib.suppress(OSError):
                    state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                    if state == "S" and command_line(pid) == f"sleep\0{seconds}\0":
                        return True
            return False
        wait_until(found, f"a sleep of {seconds} s")
    t = Terminal(app, "bash", size=(31, 97))
    t.expect(r"\(dyno console\) ~ \$ ")
    t.type("stty size; tty\n")
    assert t.expect(r"(\d+ \d+)\r\n").group(1) == "31 97"
    t.expect(r"/dev/(pts/\d+|console)\r\n")
    t.resize(44, 120)
    t.type("sleep 0.2; stty size\n")
    t.expect(r"[^0-9]44 120\r\n")
    t.type("sleep 1000\n")
    t.expect("sleep 1000\r\n")
    runs("1000")
    t.type("\x03")
    t.expect(r"\^C\r\n.*\(dyno console\) ~ \$ ")
    t.type("sleep 999\n")
    t.expect("sleep 999\r\n")
    runs("999")
    t.type("\x1a")
    t.expect(r"Stopped")
    t.type("fg\n")
    t.expect("sleep 999\r\n")
    runs("999")
    t.type("\x03")
    t.expect(r"\^C\r\n")
    t.type("echo is $?\n")
    t.expect(r"[^ ]is 130\r\n")
    t.type("exit 42\n")
    assert t.end() == 42


def test_a_terminal_that_is_hung_up(app):
    app.submit(app.release())
    t = Terminal(app, "sh", "-c", "echo here; sleep 4713")
    t.expect("here")
    os.close(t.fd)
    os.waitpid(t.pid, 0)
    wait_until(lambda: not app.marked(), "its end, and that of who made it")


def test_pipes_are_passed_as_they_are(app):
    """Not by way of anything of ours: what is written is of the file that was given."""
    app.submit(app.release())
    with open(app.folder / "out", "wb") as out:
        subprocess.run([app.build / "hsup", "run", "-d", "native", "-C", app.control, "--", "sh", "-c",
                        "head -c 1000000 /dev/zero; test -t 0 || echo no terminal >&2"], env=app.env, check=True,
                       stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE)
    assert (app.folder / "out").stat().st_size == 1_000_000


# ---- the slug ----

def test_a_second_dyno_makes_no_work_of_the_slug(app, folder):
    """Once it is unpacked it is only mounted: nothing is read of the archive, nor written to the tree."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("hsup", "hsup-launcher", "hsup-box", "hsup-slug"):
        shutil.copy(app.build / name, programs)
    app.build = programs
    app.start()
    app.submit(app.release(("web", ["cat tool | wc -c; touch mine; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: [1-9]\d*$")
    app.wait_up("web.1")

    def tree():
        """All of the slug but when it was read."""
        return {path: [getattr(os.lstat(path), f"st_{what}") for what in
                       ("ino", "mode", "uid", "gid", "nlink", "size", "mtime_ns", "ctime_ns")]
                for path in app.folder.glob("state/apps/*/slugs/**/*")}
    before = tree()
    assert any(path.name == "tool" for path in before), os.listdir(app.folder / "state/apps")
    # Who would have to do it is not there any more, nor what it would be done with.
    (programs / "hsup-slug").unlink()
    (app.control / "slug.tgz").unlink()
    seen = len(app.lines)
    assert app.hsup("scale", "-C", app.control, "web=3").returncode == 0
    app.wait_line(r"app\[web\.[23]\]: [1-9]\d*$", count=2, since=seen)
    app.wait_up("web.2", "web.3")
    app.no_line("slug", since=seen)
    assert tree() == before


# ---- what is left ----

def test_what_has_ended_is_not_kept(app):
    """Its end is, until its next life: not its files and cgroups."""
    app.start()
    app.submit(app.release(("web", ["mkdir -p a/b; exec sleep 1000"], 4), {
        "Type": "once", "Args": ["touch c; exit 0"], "Restart": "never", "StartSeconds": 0}))
    app.wait_up("web.1", "web.2", "web.3", "web.4")

    def left(*names):
        there = [name.split(".", 1)[1] for name in app.boxes.layers]
        members = {path.name.split(".", 1)[1] for path in cgroups.of_boxes(f"{app.boxes.owner}*")}
        return {name for name in (*there, *members) if name.startswith(names)}
    wait_until(lambda: not left("once."), "what a dyno left that has ended by itself to be gone")
    assert len(left("web.")) >= 4
    assert app.hsup("stop", "-C", app.control, "web.1").returncode == 0
    assert app.hsup("scale", "-C", app.control, "web=2").returncode == 0
    wait_until(lambda: not left("web.1.", "web.3.", "web.4."), "what ended dynos left to be gone")
    assert left("web.2.")
    # There is nothing to be known of it that is gone with that.
    assert app.ps()["web.1"]["stopped_by_operator"]
    app.kill_supervisor()
    app.wait_line("release v1 is up", count=2)
    assert app.hsup("restart", "-C", app.control, "web.1").returncode == 0
    assert app.ps()["web.1"]["state"] == "up"
    wait_until(lambda: left("web.1."), "what it has anew")


# ---- deaths ----

def test_a_box_whose_init_is_killed(app):
    app.start()
    app.submit(app.release(("web", ["sleep 4714 & echo begun; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: begun$")
    app.wait_up("web.1")
    first = app.processes()
    [init] = app.boxes.inits(first)
    os.kill(init, signal.SIGKILL)
    app.wait_line(r"hsup\[web\.1\]: process was killed by SIGKILL$")
    app.wait_line(r"hsup\[web\.1\]: state changed from \w+ to up", count=2)
    assert not set(first) & set(app.processes())


def test_injected_deaths(make_driver_app):
    """A box that dies after any of its steps leaves nothing."""
    machine, deaths, step, each = Native.machine(), 0, 0, 20
    while deaths < DEATHS:
        step += 1
        app = make_driver_app("native", name=f"app{deaths}.{step}")
        app.env["HSUP_BOX_DIE_AFTER"] = str(step)
        app.start()
        app.submit(app.release({"Type": "web", "Args": SLEEP, "Quantity": each, "StartRetries": 0, "StartSeconds": 1}))

        def told(what):
            return len([line for line in app.lines if re.search(what, line)])
        try:
            wait_until(lambda: told("gave up after") + told("from starting to up") >= each, "the end of all births")
        except AssertionError as e:
            raise AssertionError(f"step {step}: {e}\n" + "\n".join(app.lines)) from None
        died = each - told("from starting to up")
        assert app.stop() == 0
        Native.judge([app], machine)
        if died == 0:
            assert step > 8, "there are more steps than that"
            step = 0
        deaths += died


def test_no_umask_keeps_a_confined_supervisor_out(app):
    """Of what root makes for it, and for the machine."""
    give_to(app, 4002)
    locks = app.folder / "locks" / "below"
    app.env["HSUP_BOX_RUN"] = str(locks)
    mask = os.umask(0o077)
    try:
        app.start("--user", "4002", "--dyno-user", "4003")
    finally:
        os.umask(mask)
    app.submit(app.release(("web", SLEEP, 1)))
    app.wait_up("web.1")
    assert [path.stat().st_mode & 0o777 for path in (locks.parent, locks)] == [0o755, 0o711]


def test_a_confined_supervisor_has_them_too(app):
    """It is nobody's but its own user's, and a dyno can say to it that it is ready."""
    give_to(app, 4002)
    app.start("--user", "4002", "--dyno-user", "4003")
    says = ("import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
            "s.connect(os.environ['NOTIFY_SOCKET']); s.send(b'READY=1')")
    app.submit(app.release({"Type": "web", "Ready": {"Notify": True}, "StartTimeout": 20,
                            "Args": [f'python3 -c "{says}"; echo uid $(id -u); exec sleep 1000']}))
    app.wait_up("web.1")
    uid = int(app.wait_line(r"app\[web\.1\]: uid (\d+)$").group(1))
    assert uid in UIDS
    status = pathlib.Path(f"/proc/{app.supervisor()}/status").read_text()
    assert "Uid:\t4002\t4002\t4002\t4002" in status and "CapEff:\t0000000000000000" in status
