"""A box's cgroups: on this machine, and on one whose controllers are all on the unified hierarchy."""
import os
import re
import shutil
import signal

import pytest

import cgroups
from box_machine import machine_of, until
from hsup import PATIENCE
from vm import BEGIN, Initrd, Machine as Virtual

MEMORY = 64 << 20


@pytest.fixture
def machine(build, folder):
    with machine_of(build / "tests" / "drive-box", folder / "m") as m:
        yield m


def value(machine, n, controller, name):
    return (cgroups.hierarchy(controller) / "hsup" / machine.name(n) / name).read_text().strip()


def members(machine, n, controller):
    try:
        return set(value(machine, n, controller, "cgroup.procs").split())
    except FileNotFoundError:
        return set()


# Of what is to be limited: not before it is. What can be seen is a file, and the test makes it.
WAIT = """
import os, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""


def when_joined(machine, n, code, **more):
    """A box with this code, which is run when it is in all its cgroups."""
    go = machine.folder / f"go{n}"
    box = machine.python(n, WAIT + code, go, **more)
    limited = ["memory", *(["pids"] if more.get("processes") else [])]
    until(lambda: all(members(machine, n, controller) for controller in limited))
    go.touch()
    return box


def test_limits_are_set(machine):
    machine.setup()
    machine.living(0, memory=MEMORY, cpu=150, processes=20)
    until(lambda: members(machine, 0, "memory"))
    assert value(machine, 0, "memory", "memory.limit_in_bytes") == str(MEMORY)
    assert value(machine, 0, "memory", "memory.memsw.limit_in_bytes") == str(MEMORY)
    assert value(machine, 0, "cpu", "cpu.cfs_quota_us") == "150000"
    assert value(machine, 0, "cpu", "cpu.cfs_period_us") == "100000"
    assert value(machine, 0, "pids", "pids.max") == "20"


def test_without_limits_only_memory_is_joined(machine):
    machine.setup()
    machine.living(0)
    until(lambda: members(machine, 0, "memory"))
    assert [p.parts[4] for p in machine.cgroups(0)] == ["memory", "unified"]
    assert members(machine, 0, "memory") == members(machine, 0, "unified")


def test_memory_is_limited(machine):
    machine.setup()
    eat = "x = bytearray(200 << 20); print(len(x))"
    box = when_joined(machine, 0, eat, memory=MEMORY)
    box.communicate(timeout=1.5 * PATIENCE)
    assert box.returncode == 128 + signal.SIGKILL
    box = when_joined(machine, 1, eat)
    assert box.communicate(timeout=1.5 * PATIENCE)[0] == f"{200 << 20}\n"


def test_processes_are_limited(machine):
    machine.setup()
    fork = """
n = 1
try:
    while n < 100:
        if os.fork() == 0:
            time.sleep(60)
        n += 1
except OSError as e:
    print(type(e).__name__, n)
"""
    assert when_joined(machine, 0, fork, processes=7).communicate(timeout=1.5 * PATIENCE)[0] == "BlockingIOError 7\n"


@pytest.mark.parametrize("unified", [True, False])
@pytest.mark.parametrize("storm", [True, False])
def test_all_of_its_processes_are_joined(machine, unified, storm):
    """Those that were there, and those that are born while they are being joined."""
    machine.setup()
    code = """
import os, sys, time
if sys.argv[1] == "storm":
    # Each lives for as long as it takes to have a successor; there are always some.
    for _ in range(3):
        if os.fork() == 0:
            break
    end = time.monotonic() + 2
    while time.monotonic() < end:
        if os.fork() > 0:
            os._exit(0) if os.getppid() != 0 and os.getpid() != 2 else os.wait()
for _ in range(30):
    if os.fork() == 0:
        break
time.sleep(60)
"""
    settings = {"DRIVE_JOIN_MS": "700"}
    if not unified:
        settings["DRIVE_NO_UNIFIED"] = "1"
    machine.python(0, code, "storm" if storm else "calm", settings=settings)
    until(lambda: len(members(machine, 0, "unified")) > 30)
    until(lambda: members(machine, 0, "memory") == members(machine, 0, "unified"))


def test_more_than_can_be_counted(machine):
    """Then the dyno is held until all are inside, and goes on."""
    machine.setup()
    code = """
import os, time
for _ in range(1500):
    if os.fork() == 0:
        time.sleep(60)
print("done", flush=True)
time.sleep(60)
"""
    # The join is late here: all are there before it begins.
    box = machine.box(0, "python3", "-c", code, settings={"DRIVE_JOIN_MS": "6000"})
    assert box.stdout.readline() == "done\n"
    until(lambda: len(members(machine, 0, "memory")) > 1500 and
          members(machine, 0, "memory") == members(machine, 0, "unified"), PATIENCE)
    until(lambda: "frozen 0" in value(machine, 0, "unified", "cgroup.events"))


def test_a_cgroup_is_used_once(machine):
    machine.setup()
    assert machine.box(0, "true").wait(30) == 0
    _, err = machine.box(0, "true").communicate(timeout=1.5 * PATIENCE)
    assert "cgroup_make: File exists" in err
    assert machine.sweep(machine.name(0)).returncode == 0
    assert machine.box(0, "true").wait(30) == 0


@pytest.mark.parametrize("delegated", [True, False])
def test_of_a_user(machine, delegated):
    """A cgroup of his own, where ours is his; else none."""
    home = cgroups.UNIFIED / f"{machine.mark}-home"
    program = shutil.copy(machine.drive, machine.folder / "drive-box")
    state = machine.folder / "his"
    state.mkdir()
    settings = {"HSUP_BOX_RUN": str(state / "run"), "HSUP_BOX_STATE": str(state)}

    def his(*words):
        return machine.run("sh", "-c", 'echo $$ > "$0/cgroup.procs"; exec setpriv --reuid=65534 --clear-groups "$@"',
                           home, program, *words, settings=settings)

    home.mkdir()
    try:
        if delegated:
            for path in (state, home, home / "cgroup.procs"):
                os.chown(path, 65534, 65534)
        else:
            os.chown(state, 65534, 65534)
        done = his("cgroup", machine.name(0), MEMORY, 50, 10)
        assert (done.returncode, done.stderr) == (0, "")
        ours = home / "hsup" / machine.name(0)
        assert done.stdout == (f"{ours} 0\n" if delegated else "none 0\n")
        assert ours.exists() == delegated
        assert his("sweep", machine.name(0)).returncode == 0
        assert not ours.exists()
    finally:
        for path in (home / "hsup", home):
            if path.exists():
                path.rmdir()


INIT = BEGIN + """mount -t cgroup2 cgroup2 /sys/fs/cgroup
export PATH=/bin ASAN_OPTIONS=detect_leaks=0
export LIBCONTAINER_DYNO_NETWORK=none HSUP_BOX_STATE=/tmp/state HSUP_BOX_RUN=/run/hsup
cd /sys/fs/cgroup
say() { echo "test: $*"; }
say setup $(drive-box setup 2>&1; echo $?)
drive-box box a 4300 67108864 150 20 sh -c 'say() { echo "test: $*"; }
cd /sys/fs/cgroup/hsup/a
say in $(cat /proc/self/cgroup)
for f in memory.max memory.swap.max memory.oom.group cpu.max pids.max; do [ ! -e $f ] || say $f $(cat $f); done'
say ended $?
drive-box box b 4301 16777216 0 0 sh -c 'sleep 1000 & x=$(head -c 40000000 /dev/zero | tr "\\0" a); echo survived'
say ended $?
say $(grep oom_kill hsup/b/memory.events)
drive-box box c 4302 0 0 0 true
say ended $?
say unlimited $(cat hsup/c/memory.max) used $(cat hsup/c/memory.peak 2>/dev/null || cat hsup/c/memory.current)
drive-box box d 4303 67108864 0 0 sleep 1000 & victim=$!
until grep -qs . hsup/d/cgroup.procs; do sleep 0.1; done
drive-box sweep d 2>&1
say alive $?
kill -9 $victim
until ! grep -q . hsup/d/cgroup.procs; do sleep 0.1; done
drive-box sweep a b
say swept $? $(ls -d hsup/?)
drive-box sweep
say swept $? $(ls -d hsup /run/hsup 2>/dev/null)
poweroff -f
"""


def initrd_with(build, init):
    initrd = Initrd()
    for path in ("/proc", "/sys", "/dev", "/run", "/tmp"):
        initrd.directory(path)
    initrd.program("/bin/busybox", "/bin/busybox")
    initrd.link("/bin/sh", "busybox")
    initrd.program("/bin/drive-box", build / "tests" / "drive-box")
    initrd.file("/init", init, 0o755)
    return initrd


def test_unified(build, folder):
    virtual = Virtual(folder, initrd_with(build, INIT))
    try:
        # It emulates: each part has the patience of a whole one.
        for line in ("pids.max 20", "ended 137", "alive 127"):
            virtual.wait_line(f"test: {line}")
        virtual.wait()
        said = [m[1] for m in virtual.matches("test: (.*)")]
        used = re.search(r"unlimited max used (\d+)", virtual.text())
        killed = re.search(r"oom_kill (\d+)", virtual.text())
        assert used and killed, virtual.text()
        assert said == [
            "setup 0", "in 0::/hsup/a", "memory.max 67108864", "memory.swap.max 0", "memory.oom.group 1",
            "cpu.max 150000 100000", "pids.max 20", "ended 0", "ended 137", killed[0], "ended 0", used[0],
            "alive 127", "swept 0 hsup/c hsup/d", "swept 0"], virtual.text()
        # Its shell, and the sleep that had done nothing.
        assert int(killed[1]) >= 2
    finally:
        virtual.end()


LACKS = INIT[:INIT.index("drive-box box a")] + """drive-box box a 4300 67108864 150 20 sh -c 'cd /sys/fs/cgroup/hsup/a
for f in memory.max cpu.max pids.max; do [ ! -e $f ] || echo "test: $f $(cat $f)"; done'
say ended $?
drive-box sweep a
say swept $? $(ls -d hsup /run/hsup 2>/dev/null)
poweroff -f
"""


@pytest.mark.parametrize("lacking,left", [("pids", ["memory.max 67108864", "cpu.max 150000 100000"]),
                                          ("memory", ["cpu.max 150000 100000", "pids.max 20"])])
def test_a_unified_hierarchy_that_lacks_a_controller(build, folder, lacking, left):
    """Limited is what can be."""
    virtual = Virtual(folder, initrd_with(build, LACKS), f"cgroup_disable={lacking}")
    try:
        virtual.wait_line("test: ended")
        virtual.wait()
        said = [m[1] for m in virtual.matches("test: (.*)")]
        assert said[:-1] == ["setup 0", *left, "ended 0"] and said[-1].startswith("swept 0"), virtual.text()
    finally:
        virtual.end()


# What each has before it is in its cgroup, of its limit: half, next to nothing, and more. (Whoever has taken it before
# says so; he is not asked how much that is, but the kernel.)
BRINGS = INIT[:INIT.index("cd /sys/fs/cgroup\n")].replace("mount -t cgroup2 cgroup2 /sys/fs/cgroup", """
mount -t tmpfs tmpfs /sys/fs/cgroup
mkdir /sys/fs/cgroup/memory /sys/fs/cgroup/unified
mount -t cgroup -o memory memory /sys/fs/cgroup/memory
mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified""") + """
say() { echo "test: $*"; }
say setup $(drive-box setup 2>&1; echo $?)
hold() { # NAME UID LIMIT MEGABYTES
	DRIVE_JOIN_WHEN=/tmp/go.$1 drive-box box $1 $2 $3 0 0 tool hold $4 >/tmp/$1 2>&1 &
	until grep -q holds /tmp/$1; do sleep 0.1; done
	top=/sys/fs/cgroup/memory/hsup/$1
	say before $1 $(grep "^rss " $top/memory.stat) $(cat $top/cgroup.procs)
	>/tmp/go.$1
	until grep -q . $top/cgroup.procs; do sleep 0.1; done
	# It is in, and its memory is on the way, or not, until this is as it was.
	until grep -q "^0" $top/memory.move_charge_at_immigrate; do sleep 0.1; done
	say $1 $(grep "^rss " $top/memory.stat) of $(cat $top/memory.limit_in_bytes)
	say alive $1 $(cat /proc/$(head -n 1 $top/cgroup.procs)/comm) $(cat /tmp/$1)
}
hold half 4300 50331648 24
hold little 4301 50331648 1
hold more 4302 16777216 24
poweroff -f
"""


def test_what_it_has_comes_with_it(build, folder, tool):
    """Into a cgroup of the old kind, where the kernel can do that. More than the limit stays where it was."""
    initrd = initrd_with(build, BRINGS)
    initrd.program("/bin/tool", tool)
    virtual = Virtual(folder, initrd)
    try:
        virtual.wait_line("test: alive more")
        virtual.wait()
        said = [m[1].split() for m in virtual.matches("test: (.*)")]
        assert [line for line in said if line[0] == "before"] == [
            ["before", name, "rss", "0"] for name in ("half", "little", "more")], virtual.text()
        rss = {line[0]: int(line[2]) for line in said if line[1] == "rss"}
        assert 24 << 20 <= rss["half"] < 26 << 20, virtual.text()
        assert rss["little"] < 1 << 20 and rss["more"] < 1 << 20, virtual.text()
        assert [line[2:] for line in said if line[0] == "alive"] == [
            ["tool", "holds", n] for n in ("24", "1", "24")], virtual.text()
    finally:
        virtual.end()
