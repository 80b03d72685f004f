"""Native dynos of an ordinary user: user namespaces, and what cannot be had without root.

The programs run as a user of this test's own, who has no account; the test itself is root and looks on.
"""
import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

import cgroups
from box_machine import CONNECT as CONNECT_TO
from box_machine import SERVE
from client import Client
from hsup import PATIENCE, App, command_line, wait_until
from native import DROP, USER, Native

OTHER = USER + 1
CGROUP = cgroups.UNIFIED / f"hsup-test-{os.getpid()}"
NO_TUN = '! test -e /dev/net || mount -t tmpfs tmpfs /dev/net; exec "$0" "$@"'
SLEEP = "trap 'echo ends; exit 0' TERM; while :; do sleep 0.1; done"
MISSING = [r"dynos have the machine's network: ", r"all dynos are the same user to the machine", r"Limits\.Memory is only ",
           r"Limits\.CPU has no effect"]


class UserApp(App):
    """All of hsup is USER's."""

    def __init__(self, build, folder):
        super().__init__(build, folder, user=None)
        for path in (self.folder, self.control):
            os.chown(path, USER, USER)
        self.env.update(PATH="/usr/bin:/bin", HOME=str(self.folder))
        # The command that runs it somewhere. Where a network could be passed on, none is but where it is asked for.
        self.inside = ["unshare", "-m", "sh", "-c", NO_TUN]

    def command(self, *args):
        return [*self.inside, *DROP, str(self.build / "hsup"), *map(str, args)]

    def hsup(self, command, *args, **options):
        options.setdefault("env", self.env)
        return subprocess.run(self.command(command, "-C", self.control, *args), text=True,
                              capture_output=True, timeout=3 * PATIENCE, **options)

    def run(self, script, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return self.hsup("run", "-d", "native", "--", "sh", "-c", script, **options)

    def start(self, *args, **options):
        return super().start("-d", "native", *args, wrap=[*self.inside, *DROP], **options)

    def release(self, *processes, **fields):
        return super().release(*processes, **{"Stack": "host", **fields})

    def processes(self):
        """Of dynos, which are in a pid namespace of their own: {pid: its command}."""
        found = {}
        for pid in self.marked():
            try:
                if os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid"):
                    found[pid] = pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
            except OSError:  # gone meanwhile
                pass
        return found

    def leader(self):
        """{pid: its command} of the one dyno: none of the commands that it runs, which come and go."""
        found = {pid: text for pid, text in self.processes().items() if Native.leads(pid) and "hsup-box" not in text}
        assert len(found) < 2, found
        return found

    def inits(self):
        return Native.inits(self.processes())


@pytest.fixture
def app(reachable, folder):
    made = UserApp(reachable, folder / "app")
    yield made
    made.end()
    left = made.marked()
    assert not left, f"processes left behind: {left}"
    native = made.folder / "state/native"
    assert not native.exists() or not list(native.rglob("upper")), "a layer was left behind"


@pytest.fixture
def delegated():
    """A cgroup that is the user's: what he makes below it is his. With all controllers, where those are of its kind."""
    if "memory" in (CGROUP.parent / "cgroup.controllers").read_text().split():
        (CGROUP.parent / "cgroup.subtree_control").write_text("+memory +cpu +pids")
    CGROUP.mkdir()
    for path in (CGROUP, CGROUP / "cgroup.procs", CGROUP / "cgroup.subtree_control", CGROUP / "cgroup.threads"):
        os.chown(path, USER, USER)
    yield CGROUP
    for path in sorted(CGROUP.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
    CGROUP.rmdir()


def test_a_dyno_is_apart(app):
    """Namespaces but the network's, no capability, the filter; he is who he is outside."""
    kinds = ("pid", "mnt", "uts", "ipc", "user", "cgroup", "net")
    app.submit(app.release())
    ran = app.run(f"for n in {' '.join(kinds)}; do readlink /proc/self/ns/$n; done; id -u; id -g; id -un; hostname; "
                  "cat /proc/1/comm; grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; exit 7")
    assert ran.returncode == 7, ran
    said = ran.stdout.splitlines()
    machine = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
    assert [inside == outside for inside, outside in zip(said, machine)] == [False] * 6 + [True]
    assert said[7:10] == [str(USER), str(USER), "dyno"]
    assert said[10].startswith("run-") and said[11] == "hsup-box"
    status = dict(line.split(":\t") for line in said[12:])
    assert status == {**{f"Cap{kind}": "0" * 16 for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")},
                      "NoNewPrivs": "1", "Seccomp": "2"}


def test_files(app):
    app.submit(app.release())
    ran = app.run("for d in /app /tmp /var/tmp /dev/shm /run; do echo x >$d/x && cat $d/x; done; "
                  "for d in / /usr /etc /dev; do touch $d/x 2>/dev/null && echo wrote $d; done; "
                  "for f in /etc/shadow /root /home /srv; do test ! -e $f || echo $f; done; "
                  "echo >/dev/null && head -c 1 /dev/urandom | wc -c; mount -t tmpfs x /tmp 2>/dev/null && echo mounted; "
                  "unshare -Ur true 2>/dev/null && echo unshared; exit 0")
    assert ran.stdout.splitlines() == ["x"] * 5 + ["1"], ran


def test_what_is_missing_is_said_once_and_shown(app):
    app.start()
    app.submit(app.release(
        {"Type": "web", "Args": [SLEEP], "Quantity": 2, "Limits": {"Memory": "64M", "Processes": 50, "CPU": 0.5}}))
    app.wait_up("web.1", "web.2")
    app.wait_line("release v1 is up")
    assert len([line for line in app.lines if re.search("; ".join(f"{text}[^;]*" for text in MISSING), line)]) == 1
    said = app.hsup("ps").stdout
    ports = re.findall(r"^web\.\d +up .* (\d{4}) ", said, re.M)
    assert len(set(ports)) == 2, ports  # of one network
    notes = re.findall(r"^note: (.*)$", said, re.M)
    assert len(notes) == len(MISSING) and all(map(re.match, MISSING, notes)), notes
    (socket,) = (app.folder / "run").rglob("control.sock")
    assert Client(socket).get("/v1/app").json["missing"] == notes
    assert app.stop() == 0
    assert len(re.findall(r"app\[web\.\d\]: ends", "\n".join(app.lines))) == 2


def test_a_command_beside_a_dyno(app):
    """It is asked in the dyno's own namespaces, time and again."""
    app.start()
    app.submit(app.release({"Type": "web", "Args": [f"sleep 0.3; echo up >/tmp/here; {SLEEP}"], "Quantity": 1,
                            "Ready": {"Command": ["test -s /tmp/here && test $(id -u) = " + str(USER)], "Interval": 0.1}}))
    app.wait_up("web.1")
    assert len(app.inits()) == 1
    assert app.stop() == 0


def test_run_with_a_terminal(app):
    app.submit(app.release())
    command = shlex.join(app.command("run", "-d", "native", "-C", app.control, "bash"))
    ran = subprocess.run(["script", "-qec", f"stty rows 31 cols 97; {command}", "/dev/null"], env=app.env, text=True,
                         input="stty size; tty; exit 42\n", capture_output=True, timeout=3 * PATIENCE)
    assert ran.returncode == 42, ran
    assert "(dyno console) ~ $ " in ran.stdout and re.search(r"^31 97\s*$", ran.stdout, re.M), ran.stdout
    assert re.search(r"^/dev/(pts/\d+|console)\s*$", ran.stdout, re.M), ran.stdout


def test_found_again(app):
    """By the next supervisor, and by the next launcher: the same processes, and their signals and ends."""
    app.start()
    app.submit(app.release(("web", [f"echo mine >/tmp/here; while :; do cat /tmp/here; sleep 0.1; done"], 1)))
    app.wait_up("web.1")
    app.wait_line(r"app\[web\.1\]: mine")  # it is no other program any more
    leader = wait_until(app.leader, "it to be born")
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line("found 1 dynos running")
    assert leader.items() <= app.processes().items()

    os.kill(app.launcher, signal.SIGKILL)
    app.process.wait()
    wait_until(lambda: not [pid for pid in app.marked() if "hsup-launcher" in command_line(pid)],
               "the launcher's end")
    assert leader.items() <= app.processes().items()
    app.lines.clear()
    app.start()
    app.wait_line("found 1 dynos running")
    app.wait_line("release v1 is up")
    assert leader.items() <= app.processes().items()
    app.wait_line(r"app\[web\.1\]: mine", since=len(app.lines))
    assert app.hsup("restart", "web.1").returncode == 0
    assert not leader.items() & app.processes().items()
    assert app.stop() == 0


def test_a_cgroup_that_was_delegated(app, delegated):
    """hsup itself is in it, so that it has no controllers to give away: that is told, and nothing fails for it."""
    app.inside = ["sh", "-c", f'echo $$ >{delegated}/cgroup.procs && exec "$0" "$@"']
    app.start()
    app.submit(app.release(("web", [SLEEP], 1)))
    app.wait_up("web.1")
    (pid,) = wait_until(app.leader, "it to be born")
    inside = pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1]
    assert re.fullmatch(rf"0::/{CGROUP.name}/hsup/\w+\.web\.1\.\w+\.1", inside)
    app.wait_line(r"native: not root: .*Limits\.Memory is only looked at from time to time")
    assert app.stop() == 0
    assert not [path for path in delegated.rglob("*") if path.is_dir()]


def test_another_user_is_not_let_in(app):
    """His dynos are nobody's but his: who else is no root can neither look into them nor signal them."""
    app.start()
    app.submit(app.release(("web", [SLEEP], 1)))
    app.wait_up("web.1")
    (init,) = app.inits()
    drop = [word.replace(str(USER), str(OTHER)) for word in DROP]
    for words in (["kill", "-0", str(init)], ["cat", f"/proc/{init}/environ"], ["nsenter", "-t", str(init), "-m", "true"],
                  ["ls", str(app.folder / "state/native")]):
        ran = subprocess.run([*drop, *words], capture_output=True, text=True, timeout=PATIENCE)
        assert ran.returncode != 0, words
    assert app.stop() == 0


def test_a_state_directory_that_others_could_replace(app):
    """What to do about it is his to do: nothing of it is root's."""
    app.folder.chmod(0o777)
    app.submit(app.release())
    ran = app.run("true")
    assert ran.returncode != 0
    assert re.search(rf"native dynos: {app.folder} .* choose what your dynos run: name a folder of your own with HSUP_BOX_\w+$",
                     ran.stderr, re.M), ran


# ---- a network that is passed on ----

MACHINE, OUTSIDE, ELSEWHERE = "10.70.1.1", "10.70.1.2", "10.70.2.1"
SLIRP_MACHINE, SLIRP_RESOLVER = "172.16.0.2", "172.16.0.3"  # what it would call the machine's own, and does not
# Anybody may open it where there is a user at all; not everywhere where tests run.
TUN = 'mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200 && exec "$0" "$@"'
PASSERS = ("pasta", "slirp4netns")
CONNECT = "exec 3<>/dev/tcp/{}/{} && cat <&3"


class Passing:
    """A machine of the test's own, where one of PASSERS works, or more: a network namespace with a way to an outside."""

    def __init__(self, *programs):
        self.programs = programs
        self.machine = "127.0.0.1" if "pasta" in programs else SLIRP_MACHINE  # to dynos, when it reaches their ports
        self.here, self.outside = f"hsup-rl{os.getpid()}m", f"hsup-rl{os.getpid()}o"
        self.servers = []
        for name in (self.here, self.outside):
            subprocess.run(["ip", "netns", "add", name], check=True)
        for net, words in (
                (self.here, "link set lo up"), (self.outside, "link set lo up"),
                (self.here, f"link add up0 type veth peer name up0 netns {self.outside}"),
                (self.here, f"addr add {MACHINE}/24 dev up0"), (self.here, f"addr add {ELSEWHERE}/32 dev lo"),
                (self.outside, f"addr add {OUTSIDE}/24 dev up0"), (self.here, "link set up0 up"),
                (self.outside, "link set up0 up"), (self.here, f"route add default via {OUTSIDE}")):
            subprocess.run(["ip", "-n", net, *words.split()], check=True)
        hide = "".join(f"mount --bind /dev/null {shutil.which(name)} && " for name in PASSERS if name not in programs)
        self.inside = ["nsenter", f"--net=/run/netns/{self.here}", "unshare", "-m", "sh", "-c", hide + TUN]

    def serve(self, net, port, script=SERVE):
        """Says to everybody who he is."""
        server = subprocess.Popen(["nsenter", f"--net=/run/netns/{net}", sys.executable, "-c", script, str(port)],
                                  stdout=subprocess.PIPE, text=True)
        self.servers.append(server)
        assert server.stdout.readline() == "up\n"

    def connect(self, address, port, seconds=PATIENCE / 4):
        return subprocess.run(["nsenter", f"--net=/run/netns/{self.here}", sys.executable, "-c", CONNECT_TO, address,
                               str(port), str(seconds)], capture_output=True, text=True, check=True).stdout.strip()

    def close(self):
        for server in self.servers:
            server.kill()
            server.communicate()
        for name in (self.here, self.outside):
            subprocess.run(["ip", "netns", "del", name], check=True)


def passers():
    """Those that pass networks on of dynos of ours, here or in their pid namespaces."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if path.stat().st_uid == USER and path.joinpath("comm").read_text().startswith(("pas", "slirp")):
                found.append(int(path.name))
        except OSError:  # gone meanwhile
            pass
    return found


def one_passer():
    """Nobody is there any more who began it."""
    return wait_until(lambda: len(found := passers()) == 1 and found, "one alone who passes it on")


@contextlib.contextmanager
def passed_on(app, *programs):
    assert all(map(shutil.which, PASSERS))
    machine = Passing(*programs)
    app.inside = machine.inside
    yield machine
    app.end()
    machine.close()
    wait_until(lambda: not passers(), "nobody to be left who passes a network on")


@pytest.fixture(params=PASSERS)
def passing(app, request):
    """Of this one alone."""
    with passed_on(app, request.param) as machine:
        yield machine


@pytest.fixture
def passing_all(app):
    with passed_on(app, *PASSERS) as machine:
        yield machine


@pytest.fixture
def passing_pasta(app):
    with passed_on(app, "pasta") as machine:
        yield machine


@pytest.fixture
def passing_slirp(app):
    with passed_on(app, "slirp4netns") as machine:
        yield machine


def test_a_network_of_its_own(app, passing):
    """It reaches what is outside, and nothing that listens on the machine for itself."""
    app.submit(app.release())
    passing.serve(passing.outside, 6700)
    passing.serve(passing.here, 6701)
    assert passing.connect("127.0.0.1", 6701) == "127.0.0.1"
    def tries(address, port):
        return app.run(CONNECT.format(address, port).join(["timeout 3 bash -c '", "'"]))
    ran = app.run("readlink /proc/self/ns/net; cut -d: -f1 /proc/net/dev; cat /proc/net/route; cat /proc/1/comm")
    assert os.readlink("/proc/self/ns/net") not in ran.stdout and str(os.stat(f"/run/netns/{passing.here}").st_ino) not in ran.stdout
    assert ran.returncode == 0 and ran.stdout.splitlines()[-1] == "hsup-box", ran
    assert tries(OUTSIDE, 6700).stdout == MACHINE
    by_slirp = passing.programs == ("slirp4netns",)
    loopback = (SLIRP_MACHINE, SLIRP_RESOLVER, "255.255.255.255") if by_slirp else (MACHINE,)
    for address in ("127.0.0.1", "0.0.0.0", "localhost", *loopback):
        ran = tries(address, 6701)
        assert ran.returncode != 0 and ran.stdout == "", (address, ran)
    if by_slirp:
        assert tries(MACHINE, 6701).stdout == MACHINE  # as the user himself would, as the next
    assert tries(ELSEWHERE, 6701).stdout == ELSEWHERE  # as the user himself would
    assert tries(OUTSIDE, 6701).returncode != 0  # its gateway, which is not taken for the machine


# Answers each question for an address: 192.0.2.7.
RESOLVE = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 53))
print("up", flush=True)
while True:
    asked, peer = s.recvfrom(512)
    end = asked.index(0, 12) + 5
    is_a = asked[end - 4:end - 2] == bytes([0, 1])
    s.sendto(asked[:2] + bytes([0x81, 0x80, 0, 1, 0, is_a, 0, 0, 0, 0]) + asked[12:end]
             + is_a * bytes([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 7]), peer)
"""


def test_names(app, passing):
    """They are asked for where the machine does; of a resolver on its loopback there is none to the dyno."""
    etc = app.folder / "etc"
    etc.mkdir()
    for name in ("nsswitch.conf", "host.conf", "passwd", "group"):
        shutil.copy(f"/etc/{name}", etc)
    resolv = etc / "resolv.conf"
    resolv.write_text(f"nameserver {OUTSIDE}\noptions timeout:1 attempts:1\n")
    app.inside[-1] = f"mount --bind {etc} /etc && {app.inside[-1]}"
    passing.serve(passing.outside, OUTSIDE, RESOLVE)
    passing.serve(passing.here, "127.0.0.1", RESOLVE)
    app.submit(app.release())
    ask = "getent ahostsv4 some.test | sed -n '1s/ .*//p'"
    assert app.run(ask).stdout == "192.0.2.7\n"
    resolv.write_text(resolv.read_text().replace(OUTSIDE, SLIRP_RESOLVER))
    assert app.run(ask).stdout == ""
    resolv.write_text(resolv.read_text().replace(SLIRP_RESOLVER, "127.0.0.1"))
    assert app.run(ask).stdout == ""


def test_its_port_is_reached_on_the_machine_alone(app, passing):
    """And whether it listens is seen, whoever accepts for it."""
    app.start()
    gate = app.folder / "gate"
    gate.mkdir()
    serve = f"while ! test -e {gate}/open; do sleep 0.02; done; exec python3 -c '{SERVE}' $PORT"
    app.submit(app.release({"Type": "web", "Quantity": 2, "Ready": {"Listen": True, "Interval": 0.1}, "Args": [serve]},
                           Binds=[f"{gate}:{gate}"]))
    wait_until(lambda: len(passers()) == 2, "two networks")
    app.wait_line(r"app\[web\.1\]|state changed from \w+ to starting")
    time.sleep(0.5)
    app.no_line(r"state changed from \w+ to up")
    (gate / "open").touch()
    app.wait_up("web.1", "web.2")
    said = app.hsup("ps").stdout
    assert "the machine's network" not in said
    ports = re.findall(r"^web\.\d +up .* (\d{4}) ", said, re.M)
    assert len(set(ports)) == 2, said
    for port in ports:
        assert passing.connect("127.0.0.1", port) == passing.machine
        assert passing.connect(MACHINE, port) == "ConnectionRefusedError"
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line("found 2 dynos running")
    assert passing.connect("127.0.0.1", ports[0]) == passing.machine
    assert app.hsup("stop", "web.1").returncode == 0
    wait_until(lambda: len(passers()) == 1, "one network")
    assert app.stop() == 0


def test_who_passes_it_on_is_out_of_its_reach(app, passing):
    """But for what it does to itself: it cannot be looked into; and it gets none of the dyno's signals."""
    app.start()
    look = ("for p in /proc/[0-9]*; do case $(cat $p/comm) in pa*|slirp*) n=${p#/proc/};; esac; done; "
            "for f in fd mem environ root cwd ns/net exe map_files; do (ls -l $p/$f/ || head -c1 $p/$f) >/dev/null 2>&1 && "
            "echo looks into $f; done; echo sees $n")
    look = look.replace("$p/$f", "/proc/$n/$f")
    app.submit(app.release(("web", [f"trap 'echo told' HUP; {look}; while :; do sleep 0.1; done"], 1)))
    app.wait_line(r"app\[web\.1\]: sees \d+$")
    app.no_line("looks into")
    (pid,) = passers()
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    assert int(re.search(r"^CapPrm:\t(.*)$", status, re.M).group(1), 16) != 0  # what the dyno has not
    init = app.inits()[0]
    pipes = {os.readlink(f"/proc/{init}/fd/{fd}") for fd in (1, 2)}
    held = {os.readlink(path) for path in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
    assert not held & pipes and "/dev/null" in held, held
    assert app.hsup("signal", "HUP", "web.1").returncode == 0
    app.wait_line(r"app\[web\.1\]: told$")
    assert passers() == [pid]
    os.kill(init, signal.SIGKILL)
    wait_until(lambda: len(passers()) == 1 and passers() != [pid], "another one")
    assert app.stop() == 0


def test_without_a_way_out_there_is_the_machines(app, passing_pasta):
    subprocess.run(["ip", "-n", passing_pasta.here, "route", "del", "default"], check=True)
    app.start()
    app.submit(app.release(("web", [SLEEP], 1)))
    app.wait_up("web.1")
    wait_until(lambda: "pasta does not work here" in app.errors, "a warning")
    assert "note: dynos have the machine's network" in app.hsup("ps").stdout
    assert not passers()
    assert app.stop() == 0


OWN = {"LIBCONTAINER_DYNO_NETWORK": "own"}
NETWORK = "readlink /proc/self/ns/net"
SLOW = "exec sleep 6750.5"


def fake(app, machine, script):
    """In place of the one that there is; returns what has a line for each time it was begun, but where it does not see
    that (slirp4netns, of a dyno)."""
    folder, calls, (name, *_) = app.folder / "fake", app.folder / "calls", machine.programs
    folder.mkdir()
    (folder / name).write_text(f"#!/bin/sh\necho >>{calls}\n{script}\n")
    (folder / name).chmod(0o755)
    calls.touch()
    os.chown(calls, USER, USER)
    app.env["PATH"] = f"{folder}:{app.env['PATH']}"
    return calls


def slow_ones():
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if SLOW.split()[-1] in command_line(pid)]


def test_one_that_is_slow_at_first_is_tried_again(app, passing):
    (name,) = passing.programs
    calls = fake(app, passing, f"test ! -e {app.folder}/calls || test $(wc -l <{app.folder}/calls) -gt 1 || {SLOW}; exec {shutil.which(name)} \"$@\"")
    app.submit(app.release())
    ran = app.run(NETWORK, env={**app.env, **OWN})
    assert ran.returncode == 0 and name not in ran.stderr, ran
    assert ran.stdout.strip() not in ("", os.readlink("/proc/self/ns/net"),
                                      f"net:[{os.stat(f'/run/netns/{passing.here}').st_ino}]")
    assert calls.read_text() == (3 if name == "pasta" else 2) * "\n"  # twice to try it, and then for the dyno
    assert not slow_ones()


def test_one_that_never_works(app, passing):
    """It takes too long each time: the machine's network by default, and nothing for who asks for another."""
    calls = fake(app, passing, SLOW)
    (name,) = passing.programs
    app.submit(app.release())
    ran = app.run(NETWORK)
    assert (ran.returncode, ran.stdout) == (0, f"net:[{os.stat(f'/run/netns/{passing.here}').st_ino}]\n"), ran
    assert re.search(rf"fake/{name} was tried twice and took too long; they have the machine's network$", ran.stderr, re.M), ran
    ran = app.run(NETWORK, env={**app.env, **OWN})
    assert ran.returncode != 0 and ran.stdout == "", ran
    assert re.search(r"took too long; LIBCONTAINER_DYNO_NETWORK=own cannot be had without$", ran.stderr, re.M), ran
    assert calls.read_text() == 4 * "\n" and not slow_ones()


def fails(app, machine):
    fake(app, machine, "exit 1")
    return f"fake/{machine.programs[0]} does not work here: see what ", True


def has_no_device(app, machine):
    app.inside = [*machine.inside[:-1], machine.inside[-1].replace(TUN, NO_TUN)]
    fake(app, machine, "exit 0")
    return f"fake/{machine.programs[0]} cannot be used: /dev/net/tun: No such file or directory", False


@pytest.mark.parametrize("why", [fails, has_no_device])
def test_the_machines_network_is_not_had_without_a_word(app, passing, why):
    """Nor by `run`, unless there was never another; and who has asked for one gets none instead."""
    said, by_run = why(app, passing)
    app.submit(app.release(("web", [SLEEP], 1)))
    ran = app.run(NETWORK)
    assert ran.returncode == 0 and ran.stdout.startswith("net:["), ran
    assert (said in ran.stderr and "; they have the machine's network" in ran.stderr) == by_run, ran
    ran = app.run(NETWORK, env={**app.env, **OWN})
    assert ran.returncode != 0 and ran.stdout == "", ran
    assert said in ran.stderr, ran
    app.start(env=OWN)
    assert app.wait() != 0
    assert said in app.errors and app.lines == []
    app.start()
    app.wait_up("web.1")
    wait_until(lambda: re.search(re.escape(said) + ".*; they have the machine's network", app.errors), "a warning")
    assert app.stop() == 0


def test_one_that_does_not_work_is_made_up_for(app, passing_all):
    fake(app, passing_all, "exit 1")
    app.start()
    app.submit(app.release(("web", [SLEEP], 1)))
    app.wait_up("web.1")
    wait_until(lambda: re.search("fake/pasta does not work here: .*; /usr/bin/slirp4netns is tried instead", app.errors),
               "a warning")
    (pid,) = one_passer()
    assert pathlib.Path(f"/proc/{pid}/comm").read_text() == "slirp4netns\n"
    assert "the machine's network" not in app.errors + app.hsup("ps").stdout
    assert app.stop() == 0


def test_the_first_that_works_is_taken(app, passing_all):
    app.start()
    app.submit(app.release(("web", [SLEEP], 1)))
    app.wait_up("web.1")
    (pid,) = one_passer()
    assert pathlib.Path(f"/proc/{pid}/comm").read_text().startswith("pas")
    assert app.stop() == 0


def test_slirp4netns_is_confined(app, passing_slirp):
    """It has its filter, no file of the machine's but programs, and no more capabilities than it starts with."""
    app.start()
    app.submit(app.release(("web", [SLEEP], 1)))
    app.wait_up("web.1")
    (pid,) = one_passer()
    status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Amb")} == {f"{1 << 12 | 1 << 21:016x}"}
    (init,) = app.inits()
    assert os.readlink(f"/proc/{pid}/ns/net") == os.readlink(f"/proc/{app.launcher}/ns/net") != os.readlink(f"/proc/{init}/ns/net")
    root = pathlib.Path(f"/proc/{pid}/root")
    programs = {"usr", "lib", "lib64", "bin"}
    assert {path.name for path in root.iterdir()} == programs | {"etc", "dev", "slirp4netns", "netns", "orders"}
    found = {str(path.relative_to(root)) for name in ("etc", "dev") for path in (root / name).rglob("*")}
    assert found == {"etc/ld.so.cache", "dev/net", "dev/net/tun"}
    for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        assert line.split()[4] == "/" or line.split()[5].startswith("ro,nosuid"), line
    assert app.stop() == 0


def test_nothing_is_left_of_any_that_is_killed(app, passing):
    """The launcher (its dynos run on), who passes the network on (it has none then), their init."""
    app.start()
    app.submit(app.release(("web", [f"exec python3 -c '{SERVE}' $PORT"], 1)))
    app.wait_up("web.1")
    (pid,) = one_passer()
    port = re.search(r"^web\.1 +up .* (\d{4}) ", app.hsup("ps").stdout, re.M).group(1)
    wait_until(lambda: passing.connect("127.0.0.1", port) == passing.machine, "it to listen")
    os.kill(app.launcher, signal.SIGKILL)
    app.process.wait()
    assert passing.connect("127.0.0.1", port) == passing.machine and passers() == [pid]
    app.lines.clear()
    app.start()
    app.wait_line("found 1 dynos running")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not passers(), "its end")
    (init,) = app.inits()
    assert passing.connect("127.0.0.1", port) == "ConnectionRefusedError"
    os.kill(init, signal.SIGKILL)
    wait_until(lambda: passing.connect("127.0.0.1", port) == passing.machine, "another one")
    (pid,), (init,) = one_passer(), app.inits()
    os.kill(init, signal.SIGKILL)
    wait_until(lambda: pid not in passers(), "its end with init")
    assert app.stop() == 0


def test_a_birth_that_is_killed_leaves_nobody(app, passing):
    app.submit(app.release())
    step = 0
    while True:
        step += 1
        ran = app.run("echo born", env={**app.env, **OWN, "HSUP_BOX_DIE_AFTER": str(step)})
        assert not passers() or wait_until(lambda: not passers(), f"nobody after step {step}"), step
        if ran.stdout == "born\n":
            break
        assert ran.returncode != 0, (step, ran)
    assert step > 10


def test_a_port_that_is_somebody_elses(app, passing_slirp):
    passing_slirp.serve(passing_slirp.here, 6702)
    app.submit(app.release(Env={"PORT": "6702"}))
    ran = app.run("echo runs")
    assert ran.returncode != 0 and ran.stdout == "", ran
    assert "making its network: Address already in use" in ran.stderr, ran


def test_who_names_one_has_it_untried(app, passing):
    (name,) = passing.programs
    calls = fake(app, passing, "exit 1")
    path = app.folder / "fake" / name
    app.submit(app.release())
    ran = app.run(NETWORK, env={**app.env, f"HSUP_BOX_{name.upper()}": str(path)})
    assert ran.returncode != 0 and "making its network: Machine is not on the network" in ran.stderr, ran
    assert calls.read_text() == ("\n" if name == "pasta" else "")  # of the dyno


def test_without_pasta_none_is_had_by_who_asks_for_one(app):
    tools = app.folder / "tools"
    tools.mkdir()
    for name in ("unshare", "sh", "mount", "setpriv"):
        (tools / name).symlink_to(shutil.which(name))
    app.env["PATH"] = str(tools)
    app.submit(app.release())
    ran = app.run("echo runs")
    assert (ran.returncode, ran.stdout, "pasta" in ran.stderr) == (0, "runs\n", False), ran
    ran = app.run("echo runs", env={**app.env, **OWN})
    assert ran.returncode != 0 and ran.stdout == "" and "there is neither pasta nor slirp4netns in PATH" in ran.stderr, ran
