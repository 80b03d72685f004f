"""`--warm N`: boxes that are parked, and become dynos when one is started. That it was so is said by the launcher:
"web.1 is pid 4711, which was parked"."""
import errno
import os
import pathlib
import re
import shutil
import signal
import struct
import time

import pytest

from hsup import PATIENCE, children_of, wait_until
from test_box_wire import program  # noqa: F401 (a fixture)
from wire import (BOX_PARK, BOX_RUN, BUILD, CAN_WARM, GIVEN, PARK, PIPES, RUNNING, SIGNAL, SPAWNED, SPAWN_BOX, SPAWN_WARM,
                  STAGE_POLICY, STAGE_SPEC, STAGE_WARM, box, read_some, record, spec, user)

SETTINGS = {"LIBCONTAINER_DYNO_UID_MIN": "6500", "LIBCONTAINER_DYNO_UID_MAX": "6549",
            "LIBCONTAINER_DYNO_SUBNET": "10.65.0.0/16"}
SAY = "echo from $DYNO on $(hostname); exec sleep 1000"


@pytest.fixture
def app(make_driver_app):
    app = make_driver_app("native")
    app.env.update(SETTINGS)
    return app


def waits(init):
    """It has all it needs, has said so, and sleeps until an order comes, or a signal: between the descriptor for those
    and its sleep it does nothing but say so."""
    process = pathlib.Path("/proc", str(init))
    try:
        return (process / "comm").read_text() == "hsup-box\n" and \
            any(os.readlink(process / "fd" / fd) == "anon_inode:[signalfd]" for fd in os.listdir(process / "fd")) and \
            (process / "stat").read_text().rpartition(")")[2].split()[0] == "S"
    except OSError:  # one that was open is not any more, or it has ended
        return False


def parked(app):
    """{init: its mark}, of those that wait. Their launcher knows them by ids that no dyno has."""
    found = {}
    for init in children_of(app.launcher):
        try:
            mark = pathlib.Path(f"/proc/{init}/environ").read_bytes().split(b"\0")[0].decode()
            if int(mark.split(".")[1]) >> 61 == 5 and waits(init):
                found[init] = mark
        except (OSError, IndexError):
            continue
    return found


def wait_parked(app, n):
    def look():
        found = parked(app)
        return [found] if len(found) == n else None
    return wait_until(look, f"{n} to be parked")[0]


def wait_other(app, *gone):
    return wait_until(lambda: set(parked(app)) - set(gone), "another to be parked").pop()


def end(app, name, signo=signal.SIGKILL):
    """The dyno's own process, from outside; its init is what hsup shows."""
    dyno, = children_of(app.ps()[name]["pid"])
    os.kill(dyno, signo)


def taken(app, name):
    """The pids of all its lives that began in a parked box."""
    return [int(pid) for pid in re.findall(rf"{re.escape(name)} is pid (\d+), which was parked", app.errors)]


def wait_taken(app, name, n=1):
    """taken(), once it has as many: the launcher's lines come by another pipe than the dyno's."""
    def look():
        found = taken(app, name)
        return found if len(found) >= n else None
    found = wait_until(look, f"{n} lives of {name} to begin in a parked box")
    assert len(found) == n, found
    return found


def begin(app, n, *processes, **more):
    app.submit(app.release(*processes, **more))
    app.start("--warm", str(n), "--verbose")


# ---- starts ----

def test_a_start_takes_one(app):
    begin(app, 2, ("web", [SAY], 1))
    app.wait_line(r"app\[web\.1\]: from web\.1 on web-1$")
    before = wait_parked(app, 2)
    assert taken(app, "web.1") == []  # the first of its kind
    assert list(app.ps()) == ["web.1"]
    end(app, "web.1")
    app.wait_line(r"app\[web\.1\]: from web\.1 on web-1$", count=2)
    [pid] = wait_taken(app, "web.1")
    assert app.ps()["web.1"]["pid"] == pid and pid in before
    # Another one has taken its place.
    assert len(set(wait_parked(app, 2)) & set(before)) == 1


def test_it_is_off_unless_it_is_asked_for(app):
    app.submit(app.release(("web", [SAY], 1)))
    app.start("--verbose")
    app.wait_line(r"from web\.1")
    time.sleep(0.5)
    assert parked(app) == {}


def test_by_the_environment(app):
    app.env["HSUP_WARM"] = "1"
    app.submit(app.release(("web", [SAY], 1)))
    app.start("--verbose")
    app.wait_line(r"from web\.1")
    wait_parked(app, 1)


def test_values_that_are_none(app):
    app.submit(app.release())
    ran = app.hsup("start", "--warm", "65", "-C", app.control)
    assert ran.returncode == 2 and "'--warm' must be a whole number from 0 to 64" in ran.stderr
    app.env["HSUP_WARM"] = "many"
    ran = app.hsup("start", "-C", app.control)
    assert ran.returncode != 0 and "HSUP_WARM" in ran.stderr


def test_a_warm_dyno_is_as_a_cold_one(app):
    """All that a dyno sees of itself, and what of it is seen from outside, in either life."""
    script = ("for v in DYNO PORT HOME FROM_APP_PROFILE WORD; do eval echo $v=\\$$v; done; id -u >/dev/null; id -un; "
              "hostname; cat /etc/hostname; grep -c \"$(hostname)\" /etc/hosts; ulimit -n; umask; pwd; "
              "cut -d: -f3 /proc/self/cgroup | sort -u; grep -E '^(Cap|NoNewPrivs|Seccomp:|Sig)' /proc/self/status; "
              "ls /proc/self/fd; ls -ld /proc/1/fd 2>&1 | wc -l; cat /proc/1/cmdline | tr -d '\\0'; "
              "ip -o -4 address show eth0 | wc -l; touch /app/x /tmp/x /dev/shm/x; sleep 0.3; echo done; exec sleep 1000")
    begin(app, 1, {"Type": "web", "Args": [script], "Limits": {"OpenFiles": 123, "Processes": 40, "Memory": 64 << 20}},
          Env={"WORD": "said"})
    app.wait_line(r"app\[web\.1\]: done$")
    cold = app.texts("web.1")
    wait_parked(app, 1)
    end(app, "web.1")
    app.wait_line(r"app\[web\.1\]: done$", count=2)
    warm = app.texts("web.1")[len(cold):]
    wait_taken(app, "web.1")
    assert "WORD=said" in cold and "FROM_APP_PROFILE=+app" in cold and "123" in cold and "web-1" in cold
    # A cold one begins before it is in the cgroups of version 1.
    assert [line for line in warm if "/" not in line or line == "/app"] == \
        [line for line in cold if "/" not in line or line == "/app"]
    assert app.ps()["web.1"]["address"].startswith("10.65.")


def test_limits(app):
    """From the first instruction on: it is in its cgroups before it runs."""
    begin(app, 1, {"Type": "web", "Args": ["exec ./tool forks 60"], "Limits": {"Processes": 20}})
    app.wait_line(r"app\[web\.1\]: forked (\d+)$")
    wait_parked(app, 1)
    end(app, "web.1")
    assert 1 < int(app.wait_line(r"app\[web\.1\]: forked (\d+)$", count=2).group(1)) < 20
    wait_taken(app, "web.1")


@pytest.mark.parametrize("how, said", [("exit 7", "exited with status 7"), ("kill -SEGV $$", "killed by SIGSEGV")])
def test_how_it_has_ended(app, how, said):
    begin(app, 1, {"Type": "web", "Args": [f"trap '{how}' USR1; echo on; while :; do sleep 0.05; done"]})
    app.wait_line(r"app\[web\.1\]: on$")
    wait_parked(app, 1)
    end(app, "web.1")
    app.wait_line(r"app\[web\.1\]: on$", count=2)
    wait_taken(app, "web.1")
    seen = len(app.lines)
    end(app, "web.1", signal.SIGUSR1)
    app.wait_line(rf"hsup\[web\.1\]: .*{said}", since=seen)


def test_output_that_is_merged_and_an_input(app):
    begin(app, 1, {"Type": "web", "Stdin": True, "RedirectStderr": True,
                   "Args": ["echo begun; while read x; do echo got $x >&2; done"]})
    app.wait_line(r"app\[web\.1\]: begun$")
    wait_parked(app, 1)
    end(app, "web.1")
    app.wait_line(r"app\[web\.1\]: begun$", count=2)
    wait_taken(app, "web.1")
    app.type_line("web.1", "word", "got word")


def test_signals_reach_it_and_it_is_stopped(app):
    begin(app, 1, {"Type": "web", "Args": ["trap 'echo asked; exit 3' TERM; echo on; while :; do sleep 0.05; done"]})
    app.wait_line(r"app\[web\.1\]: on$")
    wait_parked(app, 1)
    end(app, "web.1")
    app.wait_line(r"app\[web\.1\]: on$", count=2)
    wait_taken(app, "web.1")
    assert app.hsup("scale", "-C", app.control, "web=0").returncode == 0
    app.wait_line(r"app\[web\.1\]: asked$")


def test_kinds_with_other_limits_have_their_own(app):
    begin(app, 1, {"Type": "web", "Args": [SAY]}, {"Type": "big", "Args": [SAY], "Limits": {"Memory": 128 << 20}})
    app.wait_up("web.1", "big.1")
    app.wait_line(r"from big\.1 on big-1$")
    before = wait_parked(app, 2)
    end(app, "big.1")
    app.wait_line(r"from big\.1 on big-1$", count=2)
    wait_taken(app, "big.1")
    wait_parked(app, 2)
    assert len(before) == 2 and taken(app, "web.1") == []


# ---- what a pool is to survive, or not ----

def test_of_an_old_release_nothing_stays_parked(app):
    begin(app, 2, ("web", [SAY], 1))
    app.wait_up("web.1")
    before = wait_parked(app, 2)
    # The same containers: whatever else is new, they serve.
    app.submit(app.release(("web", ["echo second; " + SAY], 1), Version=2))
    app.wait_line(r"app\[web\.1\]: second$")
    app.wait_line("release v2 is up")
    assert wait_taken(app, "web.1")[0] in before
    before = wait_parked(app, 2)
    other = app.folder / "other"
    other.mkdir()
    app.submit(app.release(("web", ["echo third; ls -d /other; " + SAY], 1), Version=3,
                           Binds=[f"{app.shared}:{app.shared}", f"{other}:/other"]))
    app.wait_line(r"app\[web\.1\]: third$")
    app.wait_line(r"app\[web\.1\]: /other$")
    wait_taken(app, "web.1")
    wait_until(lambda: not set(before) & set(children_of(app.launcher)), "those of v2 to be gone")
    wait_parked(app, 2)


def test_a_parked_box_that_is_killed_is_replaced(app):
    begin(app, 1, ("web", [SAY], 1))
    app.wait_up("web.1")
    [first] = wait_parked(app, 1)
    os.kill(first, signal.SIGKILL)
    second = wait_other(app, first)
    # So is one whose dyno's process is.
    dyno, = children_of(second)
    os.kill(dyno, signal.SIGKILL)
    wait_other(app, first, second)
    wait_until(lambda: len(app.boxes.layers) == 2, "what the others left to be swept")


def test_one_that_ends_as_it_is_wanted_costs_no_start(app):
    """Killed at the moment of the order, again and again: the dyno starts without."""
    begin(app, 1, ("web", [SAY], 1))
    app.wait_up("web.1")
    app.wait_line(r"app\[web\.1\]: from web\.1 on web-1$")
    lives = 1
    for _ in range(3):
        [one] = wait_parked(app, 1)
        dyno, = children_of(app.ps()["web.1"]["pid"])
        os.kill(one, signal.SIGKILL)
        os.kill(dyno, signal.SIGKILL)
        lives += 1
        app.wait_line(r"app\[web\.1\]: from web\.1 on web-1$", count=lives)
    app.no_line("could not start")


def test_the_supervisor_is_killed(app):
    begin(app, 2, ("web", [SAY], 1))
    app.wait_up("web.1")
    app.wait_line(r"from web\.1 on web-1$")
    before = wait_parked(app, 2)
    end(app, "web.1")
    app.wait_line(r"from web\.1 on web-1$", count=2)
    before = wait_parked(app, 2)
    pid = app.ps()["web.1"]["pid"]
    assert wait_taken(app, "web.1") == [pid]
    app.kill_supervisor()
    assert app.ps()["web.1"]["pid"] == pid
    wait_until(lambda: not set(before) & set(children_of(app.launcher)), "its parked ones to be gone")
    # The pool of the new one begins with its first start.
    end(app, "web.1")
    app.wait_line(r"from web\.1 on web-1$", count=3)
    wait_parked(app, 2)


def test_the_launcher_is_killed(app):
    """Parked boxes end with it; a dyno that was one is found again, with its output."""
    begin(app, 2, ("web", ["echo on; while :; do echo tick; sleep 0.1; done"], 1))
    app.wait_up("web.1")
    app.wait_line(r"app\[web\.1\]: on$")
    wait_parked(app, 2)
    end(app, "web.1")
    app.wait_line(r"app\[web\.1\]: on$", count=2)
    before = wait_parked(app, 2)
    pid = app.ps()["web.1"]["pid"]
    assert wait_taken(app, "web.1") == [pid]
    app.process.kill()
    app.process.wait()
    wait_until(lambda: not any(pathlib.Path(f"/proc/{one}").exists() for one in before), "the parked ones to end")
    app.start("--warm", "2", "--verbose")
    app.wait_line(r"found 1 dynos running")
    seen = len(app.lines)
    app.wait_line(r"app\[web\.1\]: tick$", since=seen)
    assert app.ps()["web.1"]["pid"] == pid
    wait_until(lambda: len(app.boxes.layers) == 1, "what the parked ones left to be swept")


def test_an_upgrade_in_place(app):
    begin(app, 2, ("web", [SAY], 1))
    app.wait_up("web.1")
    app.wait_line(r"from web\.1 on web-1$")
    wait_parked(app, 2)
    end(app, "web.1")
    app.wait_line(r"from web\.1 on web-1$", count=2)
    before = wait_parked(app, 2)
    pid = app.ps()["web.1"]["pid"]
    os.kill(app.launcher, signal.SIGUSR2)
    app.wait_line(r"found 1 dynos running")
    wait_until(lambda: not any(pathlib.Path(f"/proc/{one}").exists() for one in before), "the parked ones to end")
    assert app.ps()["web.1"]["pid"] == pid
    end(app, "web.1")
    app.wait_line(r"from web\.1 on web-1$", count=3)
    wait_parked(app, 2)
    end(app, "web.1")
    app.wait_line(r"from web\.1 on web-1$", count=4)
    wait_taken(app, "web.1", 2)


def test_a_stop_leaves_nothing(app):
    begin(app, 4, ("web", [SAY], 2))
    app.wait_up("web.1", "web.2")
    before = wait_parked(app, 4)
    begun = time.monotonic()
    assert app.stop() == 0
    assert time.monotonic() - begun < PATIENCE / 2
    assert not any(pathlib.Path(f"/proc/{one}").exists() for one in before)
    assert app.boxes.layers == []


def test_parked_boxes_have_not_the_last_uids(app):
    app.env["LIBCONTAINER_DYNO_UID_MAX"] = "6503"
    begin(app, 8, ("web", [SAY], 1), ("other", [SAY], 0))
    app.wait_up("web.1")
    wait_parked(app, 2)
    assert app.hsup("scale", "-C", app.control, "web=4").returncode == 0
    app.wait_up("web.1", "web.2", "web.3", "web.4")
    app.no_line("could not start")


def test_gc_leaves_parked_boxes_alone(app, folder):
    app.env["HSUP_BOX_RUN"] = str(folder / "locks")
    begin(app, 1, ("web", [SAY], 1))
    app.wait_up("web.1")
    before = wait_parked(app, 1)
    ran = app.hsup("gc", "-d", "native")
    assert (ran.returncode, ran.stdout) == (0, "nothing to remove\n"), ran
    assert wait_parked(app, 1) == before


# ---- a supervisor in an enemy's hands ----

class House:
    """A launcher with the real hsup-box, or what the test has in its place, and its wire in our hands."""

    def __init__(self, start, folder, program=BUILD.resolve() / "hsup-box"):
        self.folder = folder / "boxes"
        for name in ("state", "stacks", "run"):
            (self.folder / name).mkdir(parents=True)
        self.settings = [f"{name}={value}" for name, value in {
            **SETTINGS, "LIBCONTAINER_DYNO_NETWORK": "host", "HSUP_BOX_STATE": self.folder / "state",
            "HSUP_BOX_STACKS": self.folder / "stacks", "HSUP_BOX_RUN": self.folder / "run", "HSUP_BOX_SLUGS": "/",
            "HSUP_BOX_BINDS": "/"}.items()]
        # So that what all boxes share goes with the last of them.
        assert os.spawnv(os.P_WAIT, BUILD / "hsup-box", ["hsup-box", "--setup", *self.settings]) == 0
        options = [word for setting in self.settings for word in ("--box-option", setting)]
        self.launcher = start(options=["--box", str(program), *options])
        self.w = self.launcher.connect()
        self.null = os.open("/dev/null", os.O_RDWR)
        self.names = []

    def body(self, ident, name, tag=b"", output=PIPES):
        return self.w.child(ident) + struct.pack("=HHI", output, len(name), len(tag))

    def spec(self, mode, name, *args, extra=b"", network=2, seal=True, **more):
        self.names.append(name)
        return spec(args[0], args, directory="/", seal=seal, extra=box(mode, name, network=network, **more) + extra)

    def park(self, ident, mode=BOX_PARK, kind=PARK, ready=True, program="park", **more):
        fd = self.spec(mode, f"test-{os.getpid()}-{ident}", program, **more)
        self.w.send(kind, self.body(ident, b"~warm", output=GIVEN) + b"~warm", [fd] + [self.null] * 3)
        os.close(fd)
        pid = struct.unpack("=i", self.w.expect(SPAWNED)[0][16:20])[0]
        if ready:
            wait_until(lambda: waits(pid), "it to be ready")
        return pid

    def warm(self, ident, of, *args, mode=BOX_RUN, fd=None, fds=(), **more):
        fd = self.spec(mode, f"test-{os.getpid()}-x{ident}", *args, **more) if fd is None else fd
        self.w.send(SPAWN_WARM, self.body(ident, b"web.1") + self.w.child(of) + b"web.1", [fd, *fds])
        os.close(fd)

    def close(self):
        os.close(self.null)


@pytest.fixture
def house(request, start, folder):
    """The parameter: a fixture, the program that is in hsup-box's place."""
    fake = getattr(request, "param", None)
    house = House(start, folder, *([request.getfixturevalue(fake)] if fake else []))
    yield house
    house.close()
    launcher = house.launcher.process
    for _ in range(3):
        launcher.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    launcher.wait(20)
    # What they left, by those who make it.
    os.spawnv(os.P_WAIT, BUILD / "hsup-box", ["hsup-box", "--sweep", *house.settings])
    assert list(house.folder.glob("state/boxes/*")) == []
    shutil.rmtree(house.folder)


def test_the_wire_of_a_warm_start(house):
    assert house.w.can & CAN_WARM
    pid = house.park(5)
    house.warm(7, 5, "/bin/sh", "-c", "hostname; echo $0 $#; exit 9", "one", "two",
               extra=record(14, b"its-own\0"))
    ident, same, out, _ = house.w.spawned()
    assert (ident, same) == (7, pid)
    assert house.w.exited() == (7, 9 << 8)
    assert read_some(out) == b"its-own\none 1\n"
    assert list(house.w.list()) == [7]


def test_an_order_that_is_read_late(house):
    """When the launcher's end of the socket is closed already."""
    pid = house.park(5)
    os.kill(pid, signal.SIGSTOP)
    house.warm(7, 5, "/bin/sh", "-c", "exit 9")
    house.w.spawned()
    assert list(house.w.list()) == [7]
    os.kill(pid, signal.SIGCONT)
    assert house.w.exited() == (7, 9 << 8)


@pytest.mark.parametrize("of", [
    pytest.param(99, id="unknown"), pytest.param(6, id="never parked"), pytest.param(5, id="taken already")])
def test_who_is_not_parked_is_not_had(house, of):
    house.park(5)
    fd = house.spec(BOX_RUN, f"test-{os.getpid()}-6", "/bin/sleep", "1000")
    house.w.send(SPAWN_BOX, house.body(6, b"web.6") + b"web.6", [fd])
    os.close(fd)
    house.w.spawned()
    if of == 5:
        house.warm(7, 5, "/bin/sleep", "1000")
        house.w.spawned()
    house.warm(8, of, "/bin/true")
    assert house.w.failed() == (8, STAGE_WARM, errno.ESRCH)
    alive = house.w.list()
    assert 8 not in alive and all(one["state"] == RUNNING for one in alive.values())


def test_one_that_is_gone_is_refused(house):
    pid = house.park(5)
    os.kill(pid, signal.SIGKILL)
    assert house.w.exited()[0] == 5
    house.warm(7, 5, "/bin/true")
    assert house.w.failed() == (7, STAGE_WARM, errno.ESRCH)


@pytest.mark.parametrize("house", ["program"], indirect=True, ids=["a fake"])
def test_one_that_is_not_ready_is_refused(house):
    """However long that takes it: this one never says so."""
    house.park(6, ready=False, program="wait")
    house.warm(8, 6, "/bin/true")
    assert house.w.failed() == (8, STAGE_WARM, errno.EAGAIN)


def test_a_name_that_is_there_already(house):
    house.park(5)
    house.warm(5, 5, "/bin/true")
    assert house.w.failed() == (5, 1, errno.EEXIST)


BAD = {
    "for another stack": (dict(stack="other"), STAGE_WARM, errno.EINVAL),
    "with other limits": (dict(memory=1 << 30), STAGE_WARM, errno.EINVAL),
    "on another network": (dict(network=1), STAGE_WARM, errno.EINVAL),
    "with a terminal": (dict(flags=1), STAGE_WARM, errno.EINVAL),
    "with a bind": (dict(extra=record(15, b"/etc:/mnt\0")), STAGE_WARM, errno.EINVAL),
    "with a slug": (dict(extra=record(13, b"/etc\0")), STAGE_WARM, errno.EINVAL),
    "to be parked once more": (dict(mode=BOX_PARK), STAGE_WARM, errno.EINVAL),
    "with a user": (dict(extra=user(0, 0)), STAGE_POLICY, errno.EPERM),
    "not sealed": (dict(seal=False), STAGE_SPEC, errno.EPERM),
}


@pytest.mark.parametrize("how", BAD)
def test_an_order_that_does_not_fit_is_the_end_of_the_box(house, how):
    more, stage, error = BAD[how]
    pid = house.park(5)
    house.warm(7, 5, "/bin/sh", "-c", "echo hostile", **more)
    _, same, out, _ = house.w.spawned()
    assert same == pid and house.w.failed() == (7, stage, error)
    with pytest.raises(BlockingIOError):
        os.read(out, 100)


@pytest.mark.parametrize("kind, mode, verdict", [
    pytest.param(SPAWN_BOX, BOX_PARK, (STAGE_SPEC, errno.EBADMSG), id="parked without a socket"),
    pytest.param(PARK, BOX_RUN, (STAGE_SPEC, errno.EBADMSG), id="a dyno that is parked"),
])
def test_parking_the_wrong_way(house, kind, mode, verdict):
    house.park(5, mode=mode, kind=kind, ready=False)
    assert house.w.failed() == (5, *verdict)


def test_only_so_many_are_parked(house):
    """The launcher's own bound, whoever asks."""
    fd = house.spec(BOX_PARK, "bad", "park", seal=False)  # they fail at once, but not before all are ordered
    os.kill(house.launcher.process.pid, signal.SIGSTOP)
    for ident in range(100, 165):
        house.w.send(PARK, house.body(ident, b"~warm", output=GIVEN) + b"~warm", [fd] + [house.null] * 3)
    os.kill(house.launcher.process.pid, signal.SIGCONT)
    os.close(fd)
    failed = {}
    while len(failed) < 65:
        kind, body, fds = house.w.receive()
        for one in fds:
            os.close(one)
        if kind == 4:
            ident, _, _, stage, error = struct.unpack("=QIIIi", body)
            failed[ident] = (stage, error)
    assert failed.pop(164) in ((STAGE_WARM, errno.EAGAIN), (STAGE_SPEC, errno.EPERM))
    assert set(failed.values()) <= {(STAGE_SPEC, errno.EPERM), (STAGE_WARM, errno.EAGAIN)}
    # Nothing of them is kept.
    house.park(5)
    house.warm(7, 5, "/bin/true")
    house.w.spawned()
    assert house.w.exited() == (7, 0)


def test_a_parked_box_is_told_to_end(house):
    pid = house.park(5)
    house.w.send(SIGNAL, house.w.child(5) + struct.pack("=iI", signal.SIGTERM, 0))
    assert house.w.failed() == (5, STAGE_WARM, errno.ECANCELED)
    assert not pathlib.Path(f"/proc/{pid}").exists()


def test_a_signal_behind_the_order_is_the_dyno_s(house):
    house.park(5)
    house.warm(7, 5, "/bin/sleep", "1000")
    house.w.send(SIGNAL, house.w.child(7) + struct.pack("=iI", signal.SIGTERM, 0))
    house.w.spawned()
    assert house.w.exited() == (7, signal.SIGTERM)
