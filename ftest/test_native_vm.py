"""Native dynos on another kernel: 6.1, cgroup v2 alone, ipvlan, and hsup-launcher as PID 1.

One machine for all: its init is hsup, beside which one script does and looks at everything that the
tests ask for. What it found are the lines of the console that begin with the name of a test's topic.
"""
import json
import re
import shutil
import subprocess

import pytest

from vm import Initrd, Machine, slug

UIDS = range(4600, 4700)
SUBNET = "10.201.6"
APPLETS = ("sh", "cat", "grep", "id", "ls", "nc")
# What the kernel would ask modprobe for.
MODULES = ("overlay", "loop", "squashfs", "erofs", "veth", "dummy", "ipvlan", "nf_tables", "nft_masq", "nft_chain_nat",
           "nft_fib_inet", "nft_reject_inet", "nft_ct", "nft_nat", "quota_v2", "xfs")

# A file system that the kernel has unpacked cannot be left by pivot_root().
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin:/usr/sbin
mount -t tmpfs -o mode=755 tmpfs /new
for name in /*; do [ $name = /new ] || cp -a $name /new; done
exec switch_root /new /second
"""

SECOND = f"""#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
export PATH=/bin:/usr/bin:/usr/sbin ASAN_OPTIONS=detect_leaks=0
export LIBCONTAINER_DYNO_UID_MIN={UIDS[0]} LIBCONTAINER_DYNO_UID_MAX={UIDS[-1]}
export LIBCONTAINER_DYNO_SUBNET={SUBNET}.0/24 HSUP_BOX_PUBLISH=20000-20063
for name in $(cat /modules/order); do insmod /modules/$name.ko || echo "no module $name"; done
ip2 link set lo up
ip2 link add parent0 type dummy && ip2 link set parent0 up
mkdir -p /var/lib/hsup
losetup /dev/loop0 /disk && mount -t ext4 -o prjquota /dev/loop0 /var/lib/hsup
cp -a /stacks /var/lib/hsup/stacks
mkdir -p /mnt/xfs
losetup /dev/loop1 /disk-xfs && mount -t xfs -o prjquota /dev/loop1 /mnt/xfs
sh /look &
exec hsup start -d native -C /srv/app
"""

WEB = """
echo cgroup $(cat /proc/self/cgroup)
trap 'echo stops in order; exit 0' TERM
echo "ids $(id -u) $(id -g) $(id -un), slug $(cat word), init $(cat /proc/1/comm)"
for n in 1 2 3 4 5 6 7 8 9 10; do (setsid sleep 0.2 &); done
sleep 0.5
while [ $(ls -d /proc/[0-9]* | wc -l) -gt 5 ]; do sleep 0.1; done
echo no orphans
while :; do sleep 0.1; done
"""
HOG = "sleep 0.5; dd if=/dev/zero of=/dev/null bs=100M count=1; echo not killed"
FORKS = "sh -c 'while :; do sleep 1000 & done'; echo forks end; exec sleep 1000"
# A quarter of what it may have, in one place; then as much as goes, in the other; and files with nothing in them.
FULL = """
dd if=/dev/zero of=/tmp/a bs=64k count=4 2>/dev/null; echo a $(du -k /tmp/a | cut -f1)
dd if=/dev/zero of=b bs=64k count=40 2>&1 | sed "s/^/b: /;q"
echo b $(du -k b | cut -f1); rm b
(n=0; while :; do : >/tmp/n$n; n=$((n + 1)); done) 2>&1 | sed "s/^/n: /"; echo n $(ls /tmp | wc -l)
sleep 1000
"""
# The same, where another word is said of it: XFS takes it for a disk that is full.
FULL_XFS = FULL.replace("sleep 1000", "echo done; sleep 1000")
BESIDE = "dd if=/dev/zero of=b bs=64k count=40 2>/dev/null && echo b $(du -k b | cut -f1); sleep 1000"
BUSY = "while :; do :; done"

LOOK = r"""
say() {
	topic=$1
	shift
	echo "$topic: $*"
}
all() { # TOPIC COMMAND...: every line that it says, and its code
	topic=$1
	shift
	"$@" >/tmp/said 2>&1 </dev/null
	code=$?
	sed "s/^/$topic: /" /tmp/said
	echo "$topic: code $code"
}
until_true() { # in a minute
	n=0
	until eval "$1"; do
		n=$((n + 1))
		[ $n -lt 300 ] || { echo "in vain: $1"; return 1; }
		sleep 0.2
	done
}
export HSUP_CONTROL_DIR=/srv/app
top=/sys/fs/cgroup/hsup
until_true 'hsup ps 2>/dev/null | grep -q "web.2 .* up"'

web=$(ls -d $top/*.web.1.*)
for name in memory.max memory.oom.group pids.max cpu.max; do say limits $name $(cat $web/$name); done
say member $(cat /proc/$(head -1 $web/cgroup.procs)/cgroup) of ${web#/sys/fs/cgroup}
until_true 'drive-box quotas /var/lib/hsup | grep -q "1024 1024 [1-9]"'
all quotas drive-box quotas /var/lib/hsup
until_true 'grep -q "max [1-9]" $top/*.forks.1.*/pids.events'
say forks $(cat $top/*.forks.1.*/pids.current) of $(cat $top/*.forks.1.*/pids.max)
until_true 'grep -q "nr_throttled [1-9]" $top/*.busy.1.*/cpu.stat'
say busy throttled
until_true 'hsup ps --json busy.1 | grep -q "\"cpu_pressure\": *[1-9]"'
for key in memory processes memory_pressure cpu_pressure; do
	say usage $(hsup ps --json web.1 | tr ',{' '\n' | grep "\"$key\"")
done
until_true 'hsup ps | grep -q "hog.1 *stopped"'
all ps hsup ps
all stop hsup stop forks.1 busy.1
two=$(ls -d $top/*.web.2.*)
all restart hsup restart web.1
all scale hsup scale web=1 full=0 beside=0
until_true '! drive-box quotas /var/lib/hsup | grep -q .'
until_true '[ ! -e $web ] && [ ! -e $two ]'
say left $(cd $top && ls -d *.web.*) $(cd /var/lib/hsup/native/boxes && ls -d *.web.*) $(ls /sys/class/net)

all run hsup run -d native 'id -u; cat /proc/self/cgroup; exit 7'
export LIBCONTAINER_DYNO_EXTRA_INTERFACE=parent0:10.77.1.2/24
export LIBCONTAINER_DYNO_EXTRA_ROUTES=10.88.0.0/16:10.77.1.1:eth1,10.89.0.0/16:default:eth0
all extra hsup run -d native 'ip2 -d link show eth1; ip2 -o addr; ip2 route'
hsup run -d native 'echo alone; exec sleep 1000' </dev/null >/tmp/alone 2>&1 &
until_true 'grep -q alone /tmp/alone'
all twice hsup run -d native true
kill $!
export LIBCONTAINER_DYNO_EXTRA_INTERFACE=parent0:10.77.1.2-10.77.1.65/24
all range hsup run -d native 'ip2 -o addr'
unset LIBCONTAINER_DYNO_EXTRA_INTERFACE LIBCONTAINER_DYNO_EXTRA_ROUTES
(export LIBCONTAINER_DYNO_UID_MIN=4690 LIBCONTAINER_DYNO_UID_MAX=4690 LIBCONTAINER_DYNO_SUBNET=10.201.7.0/30
export HSUP_BOX_PUBLISH=20090-20090
all listens hsup run -d native 'echo hello | nc -l -p $PORT' &)
until_true 'nc 10.201.7.1 20090 </dev/null >/tmp/heard 2>/dev/null && grep -q hello /tmp/heard'
all ports cat /tmp/heard
all ports hsup ps --json
all map nft list map inet hsup published
look='ls -ln /bin/busybox; id -u; cat word; echo new >new && cat new; grep "^[^ ]* /\(app\)\? " /proc/mounts'
all tree hsup run -d native -C /srv/tree "$look; echo more >>word && cat word"
for stack in squashfs erofs; do all $stack hsup run -d native -C /srv/$stack "$look"; done
mkdir -p /run/state/stacks
cp -a /stacks/tree-1 /run/state/stacks
all tmpfs hsup run -d native -C /srv/tree --state-dir /run/state "$look"
hsup start -d native -C /srv/xfs --state-dir /mnt/xfs >/tmp/xfs 2>&1 </dev/null &
xfs=$!
until_true 'grep -q "full.1\]: done" /tmp/xfs && grep -q "beside.1\]: b " /tmp/xfs'
all xfs-quotas drive-box quotas /mnt/xfs
kill -TERM $xfs
all xfs-stop wait $xfs
until_true '! drive-box quotas /mnt/xfs | grep -q .'
say xfs-left end $(ls /mnt/xfs/native/boxes)
all xfs cat /tmp/xfs

old=$(pidof hsup)
dyno=$(head -1 $top/*.web.1.*/cgroup.procs)
for n in 1 2 3 4 5 6 7 8 9 10; do (setsid sleep 0.2 &); done
kill -9 $old
until_true '[ -n "$(pidof hsup)" ] && [ "$(pidof hsup)" != "$old" ] && hsup ps 2>/dev/null | grep -q "web.1 .* up"'
until_true '! grep -q "^State:.Z" /proc/[0-9]*/status 2>/dev/null'
say same $dyno $(head -1 $top/*.web.1.*/cgroup.procs)
all again hsup ps
say end
kill -TERM 1
"""

TROUBLE = r"Kernel panic|Oops|Sanitizer|runtime error|no module|in vain"


def images(folder):
    """{stack: its image}: a busybox each."""
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin")
    for name in APPLETS:
        (root / "bin" / name).symlink_to("busybox")
    subprocess.run(["mksquashfs", root, folder / "squashfs", "-quiet", "-no-progress", "-all-root"], check=True)
    subprocess.run(["mkfs.erofs", "--all-root", "--quiet", folder / "erofs", root], check=True)
    return {name: (folder / name).read_bytes() for name in ("squashfs", "erofs")}


def disk_of(folder, name, size, *make):
    """The bytes of a file system that can have quotas for projects; it is mostly holes."""
    disk = folder / name
    with disk.open("wb") as f:
        f.truncate(size)
    subprocess.run([*make, disk], check=True, stderr=subprocess.PIPE)
    return disk.read_bytes()


def initrd_of(build, folder):
    initrd = Initrd()
    initrd.program("/bin/busybox", "/bin/busybox")
    initrd.link("/bin/sh", "busybox")
    for program in ("hsup", "hsup-launcher", "hsup-slug", "hsup-box"):
        initrd.program(f"/usr/bin/{program}", build / program)
    initrd.program("/usr/bin/drive-box", build / "tests" / "drive-box")
    initrd.program("/usr/sbin/nft", "/usr/sbin/nft")
    initrd.program("/usr/sbin/ip2", "/usr/sbin/ip")  # busybox prefers its own ip
    for library in ("libcurl.so.4", "libmicrohttpd.so.12"):  # hsup loads them when it needs them
        initrd.library(library)
    for path in ("/proc", "/sys", "/dev", "/run", "/tmp", "/root", "/new"):
        initrd.directory(path)
    initrd.file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    initrd.file("/etc/group", "root:x:0:\n")
    initrd.file("/init", INIT, 0o755)
    initrd.file("/second", SECOND, 0o755)
    initrd.file("/look", LOOK)
    initrd.file("/modules/order", "\n".join(initrd.modules(*MODULES)) + "\n")
    initrd.program("/stacks/tree-1/rootfs/bin/busybox", "/bin/busybox")
    for name in APPLETS:
        initrd.link(f"/stacks/tree-1/rootfs/bin/{name}", "busybox")
    for name, image in images(folder).items():
        initrd.file(f"/stacks/{name}-1/root.img", image)
    initrd.file("/disk", disk_of(folder, "disk", 16 << 20, "mke2fs", "-q", "-t", "ext4", "-I", "256", "-O",
                                 "^has_journal,quota,project", "-E", "quotatype=prjquota"))
    # (Not to be used for data that somebody needs, says mkfs, as it is so small.)
    initrd.file("/disk-xfs", disk_of(folder, "disk-xfs", 32 << 20, "mkfs.xfs", "-q", "--unsupported"))
    return initrd


@pytest.fixture(scope="module")
def machine(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("native-vm")
    initrd = initrd_of(build, folder)

    def app(name, stack, *processes):
        initrd.file(f"/srv/{name}/slug.tgz", slug())
        initrd.file(f"/srv/{name}/new", json.dumps({
            "Version": 1, "Slug": "slug.tgz", "Stack": stack,
            "Processes": [{"StartSeconds": 0.05, **process} for process in processes]}))

    def once(kind, script, **limits):
        return {"Type": kind, "Args": ["sh", "-c", script], "Quantity": 1, "Restart": "never", "Limits": limits}

    app("app", "host",
        {"Type": "web", "Args": ["sh", "-c", WEB], "Quantity": 2,
         "Limits": {"Memory": "32M", "CPU": 0.5, "Processes": 40}},
        once("hog", HOG, Memory="16M"), once("forks", FORKS, Processes=10), once("busy", BUSY, CPU=0.1),
        once("seven", "exit 7"), once("full", FULL, Disk="1M"), once("beside", BESIDE))
    app("xfs", "host", once("full", FULL_XFS, Disk="1M"), once("beside", BESIDE))
    for stack in ("tree", "squashfs", "erofs"):
        app(stack, stack)
    machine = Machine(folder, initrd)
    try:
        # It emulates: each part has the patience of a whole one.
        for line in ("quotas: code", "run: code", "tmpfs: code", "xfs: code", "end:"):
            machine.wait_line(f"^{line}")
        assert machine.wait() == 0
        assert not machine.matches(TROUBLE), machine.text()
        yield machine
    finally:
        machine.end()


def said(machine, topic):
    """What the script said of it."""
    begin = f"{topic}: "
    lines = [line[len(begin):] for line in machine.lines if line.startswith(begin)]
    assert lines, machine.text()
    return lines


def logged(machine, dyno, text):
    assert machine.matches(rf"hsup\[{re.escape(dyno)}\]: {text}"), machine.text()


# ---- cgroup v2 ----

def test_limits_are_those_of_the_unified_hierarchy(machine):
    assert said(machine, "limits") == [
        "memory.max 67108864", "memory.oom.group 1", "pids.max 40", "cpu.max 50000 100000"]


def test_a_dyno_is_born_in_its_cgroup(machine):
    """To itself, who looks first of all, it is the root: a cgroup namespace begins where its maker is."""
    assert len(machine.matches(r"app\[web\.\d\]: cgroup 0::/$")) == 3
    (member,) = said(machine, "member")
    assert re.fullmatch(r"0::(/hsup/\w+\.web\.1\.\w+\.1) of \1", member)


def test_who_is_out_of_memory_is_killed_as_one_and_that_is_told(machine):
    logged(machine, "hog.1", r"Error R15 \(Memory quota vastly exceeded\)")
    logged(machine, "hog.1", "process was killed by SIGKILL: R15, memory quota vastly exceeded$")
    assert not machine.matches("not killed")


def test_no_more_processes_than_its_limit(machine):
    count, of, limit = said(machine, "forks")[0].split()
    assert (of, limit) == ("of", "10") and 8 <= int(count) <= 10
    assert machine.matches(r"app\[forks\.1\]: forks end")
    assert machine.matches(r"app\[forks\.1\]: sh: can't fork: Resource temporarily unavailable")


def test_no_more_processor_than_its_limit(machine):
    assert said(machine, "busy") == ["throttled"]


def test_no_more_of_the_disk_than_its_limit(machine):
    """Of both of its folders together, and files; who is beside it is not limited. With it goes its quota: that was
    waited for."""
    def says(what):
        return machine.matches(rf"app\[full\.1\]: {what}")
    assert says("a 256$") and says("b: dd: .*Disk quota exceeded$") and says("n: .*Disk quota exceeded$")
    written, files = int(says(r"b (\d+)$")[0][1]), int(says(r"n (\d+)$")[0][1])
    assert 600 <= written <= 768 and 900 <= files <= 1024
    assert machine.matches(r"app\[beside\.1\]: b 2560$")
    (quota, code) = said(machine, "quotas")
    assert re.fullmatch(r"(\d+) 1024 1024 \d+", quota) and int(quota.split()[0]) >= 1 << 30 and code == "code 0"
    assert not machine.matches("Limits.Disk")


def test_no_more_of_an_xfs_than_its_limit(machine):
    """There it is as if the disk were full."""
    lines = [line.partition(" ")[2] for line in said(machine, "xfs") if " app[" in line or "Limits." in line]

    def says(what):
        found = [m for line in lines if (m := re.search(rf"app\[{what}", line))]
        assert len(found) == 1, (what, lines)
        return found[0]
    assert says(r"full\.1\]: a 256$") and says(r"full\.1\]: b: dd: .*No space left on device$")
    assert says(r"full\.1\]: n: .*No space left on device$")
    written, files = int(says(r"full\.1\]: b (\d+)$")[1]), int(says(r"full\.1\]: n (\d+)$")[1])
    assert 600 <= written <= 768 and 900 <= files <= 1024
    assert says(r"beside\.1\]: b 2560$")
    (quota, code) = said(machine, "xfs-quotas")
    assert re.fullmatch(r"(\d+) 1024 1024 \d+", quota) and int(quota.split()[0]) >= 1 << 30 and code == "code 0"
    assert not [line for line in lines if "Limits.Disk" in line]
    assert said(machine, "xfs-stop") == ["code 0"] and said(machine, "xfs-left") == ["end"]


def test_what_it_uses_is_told(machine):
    """Who is throttled waits: that was waited for."""
    used = {key: float(value) for key, value in (re.match(r'"(\w+)": *([\d.]+)', line).groups()
                                                 for line in said(machine, "usage"))}
    assert 100 << 10 < used["memory"] < 32 << 20 and 1 <= used["processes"] <= 16, used
    assert 0 <= used["memory_pressure"] <= 100 and 0 <= used["cpu_pressure"] <= 100, used


def test_what_is_left_of_a_life_goes_with_the_next(machine):
    """web.1 was restarted, web.2 is wanted no more: cgroups, folders and interfaces are web.1's."""
    (left,) = said(machine, "left")
    cgroup, layer, *links = left.split()
    assert cgroup == layer and re.search(r"\.web\.1\.\w+\.2$", cgroup), left
    assert len([name for name in links if name.startswith("hv")]) == 1, left


# ---- PID 1 ----

def test_the_machines_init_starts_and_stops_native_dynos(machine):
    assert len(machine.matches(r"app\[web\.\d\]: ids (46\d\d) \1 dyno, slug packed, init hsup-box")) == 3
    assert len(machine.matches(r"app\[web\.\d\]: no orphans")) == 3
    assert len(machine.matches(r"app\[web\.\d\]: stops in order")) == 3
    logged(machine, "seven.1", "process exited with status 7")
    for topic in ("stop", "restart", "scale"):
        assert said(machine, topic)[-1] == "code 0"
    assert machine.lines[-1].endswith("reboot: Power down")


def test_run(machine):
    uid, *rest = said(machine, "run")
    assert int(uid) in UIDS and rest == ["0::/", "code 7"]


def test_dynos_outlive_the_supervisor(machine):
    assert machine.matches("the supervisor was killed by SIGKILL; starting it again")
    before, after = said(machine, "same")[0].split()
    assert before == after
    assert re.match(r"web\.1 +up ", said(machine, "again")[1])


# ---- ipvlan ----

def addresses(lines):
    return dict(re.findall(r"^\d+: (\w+) +inet (\S+)", "\n".join(lines), re.M))


def test_an_extra_interface_and_routes(machine):
    lines = said(machine, "extra")
    assert lines[-1] == "code 0"
    assert [line for line in lines if re.search(r"^ +ipvlan +mode l3 ", line)], lines
    assert "has no ipvlan" not in "\n".join(lines)
    found = addresses(lines)
    assert found["eth1"] == "10.77.1.2/24" and found["eth0"].startswith(f"{SUBNET}."), lines
    gateway = next(line for line in lines if line.startswith("default via ")).split()[2]
    assert "10.88.0.0/16 via 10.77.1.1 dev eth1 proto static" in [line.strip() for line in lines]
    assert f"10.89.0.0/16 via {gateway} dev eth0 proto static" in [line.strip() for line in lines]


def test_extra_addresses(machine):
    """An ipvlan does not have the same one twice."""
    lines = said(machine, "twice")
    assert "could not start: making its network: Address already in use" in "\n".join(lines)
    assert any("gives every dyno the same address" in line for line in lines)
    found = addresses(said(machine, "range"))
    n = (int(found["eth0"].split("/")[0].split(".")[3]) - 2) // 4
    assert n > 0 and found["eth1"] == f"10.77.1.{2 + n}/24", found


def test_ports_of_the_machine(machine):
    lines = said(machine, "ports")
    assert lines[:2] == ["hello", "code 0"] and lines[-1] == "code 0"
    dynos = {d["name"]: d for d in json.loads("\n".join(lines[2:-1])) if d["published"]}
    assert dynos["web.1"]["published"] in range(20000, 20064), dynos
    elements = dict(re.findall(r"(\d+) : ([0-9.]+ \. \d+)", "\n".join(said(machine, "map"))))
    for dyno in dynos.values():
        assert elements[str(dyno["published"])] == f"{dyno['address']} . {dyno['port']}"


# ---- what this kernel cannot do ----

@pytest.mark.parametrize("stack, owner", [("tree", 0), ("erofs", 0), ("squashfs", 65534), ("tmpfs", 65534)])
def test_a_stack_is_mounted_whether_its_owners_can_be_shown_or_not(machine, stack, owner):
    """6.1 shows neither squashfs nor tmpfs through a user namespace: theirs is nobody."""
    shell, uid, *more = said(machine, stack)
    assert shell.split()[2:4] == [str(owner)] * 2, shell
    assert int(uid) in UIDS
    assert more[:2] == ["packed", "new"] and more[-1] == "code 0", more
    root, app = more[2:4]
    assert root.startswith("none / overlay ro,") and app.startswith("none /app overlay rw,")


def test_what_the_slug_has_is_the_dynos(machine):
    assert said(machine, "tree")[-3:] == ["packed", "more", "code 0"]
