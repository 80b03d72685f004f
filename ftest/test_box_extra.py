"""What a dyno does not reach by an interface of its own on one of the machine's, eth1: on a kernel that has ipvlan, in
a virtual machine, and as macvlan on one that has not. The network around is as willing as can be: a router that
sends back to the machine whatever is for it, whoever it says it is from."""
import re
import shlex
import subprocess

import pytest

from box_machine import HERE, METADATA, OUTSIDE, SUBNET, UIDS, machine_of, until
from vm import BEGIN, Initrd, Machine as Virtual

DYNO, GATEWAY, NEIGHBOUR = "10.201.3.2", "10.201.3.1", "10.201.3.6"
EXTRAS = "198.51.100.100-198.51.100.199"
PORTS = (20000, 20099)
MODULES = ("veth", "ipvlan", "nf_tables", "nft_masq", "nft_chain_nat", "nft_fib_inet", "nft_reject_inet", "nft_ct",
           "nft_nat")
SETTINGS = {"LIBCONTAINER_DYNO_EXTRA_INTERFACE": f"up0:{EXTRAS}/24", "HSUP_BOX_PUBLISH": f"{PORTS[0]}-{PORTS[1]}"}
# Word -> where to, from which of its addresses, by which interface. By the route, or by eth1 where none leads there:
# who may choose is the dyno. With the address of eth0 answers come by that.
CALLS = {
    "parent": f"{HERE} 7000",
    "parent-by-eth0": f"{HERE} 7000 {DYNO}",
    "gateway": f"{GATEWAY} 7000 - eth1",
    "gateway-by-eth0": f"{GATEWAY} 7000 {DYNO} eth1",
    "published-by-eth0": f"{HERE} {PORTS[0] + 1} {DYNO}",
    "neighbour": f"{NEIGHBOUR} 5000 - eth1",
    "neighbour-by-eth0": f"{NEIGHBOUR} 5000 {DYNO} eth1",
    "metadata": f"{METADATA} 7000 - eth1",
    "metadata-by-eth0": f"{METADATA} 7000 {DYNO} eth1",
}
CHAINS = ("around", "around_in", "around_out")


@pytest.fixture(scope="module")
def reach(tmp_path_factory):
    path = tmp_path_factory.mktemp("reach") / "reach"
    subprocess.run(["cc", "-O1", "-static", "-w", "-o", path, __file__.replace("test_box_extra.py", "reach.c")],
                   check=True, stderr=subprocess.DEVNULL)
    path.parent.chmod(0o755)
    return path


def calls(reach, turn, also=()):
    """All at once, and each in that turn by a word of its own."""
    return "\n".join(f"{reach} call {word}-{turn} {to} &"
                     for word, to in {"out": f"{OUTSIDE} 7000", **CALLS, **dict(also)}.items()) + "\nwait\n"


INIT = BEGIN + f"""mount -t cgroup2 cgroup2 /sys/fs/cgroup
export PATH=/bin:/usr/sbin ASAN_OPTIONS=detect_leaks=0
for name in $(cat /modules/order); do insmod /modules/$name.ko || echo "no module $name"; done
export LIBCONTAINER_DYNO_UID_MIN={UIDS[0]} LIBCONTAINER_DYNO_UID_MAX={UIDS[1]} LIBCONTAINER_DYNO_SUBNET={SUBNET}
export HSUP_BOX_STATE=/tmp/state HSUP_BOX_RUN=/run/hsup
export {shlex.join(f"{name}={value}" for name, value in SETTINGS.items())}
mkdir -p /run/netns
ip2 netns add outside
ip2 link set lo up
ip2 link add up0 type veth peer name up0 netns outside
ip2 addr add {HERE}/24 dev up0
ip2 link set up0 up
ip2 route add default via {OUTSIDE}
ip2 netns exec outside sh -c '
ip2 link set lo up; ip2 addr add {OUTSIDE}/24 dev up0; ip2 addr add {METADATA}/32 dev up0; ip2 link set up0 up
ip2 route add 198.51.100.96/28 via {HERE}; ip2 route add {SUBNET} via {HERE}; echo 1 >/proc/sys/net/ipv4/ip_forward'
drive-box setup
hear() {{ # NAME COMMAND...
	name=$1
	shift
	"$@" >/tmp/$name 2>&1 &
	until grep -q up /tmp/$name; do sleep 0.1; done
}}
hear machine reach hear 7000
hear outside ip2 netns exec outside reach hear 7000
hear other drive-box box other {UIDS[0] + 1} 0 0 0 reach hear 5000
nft add element inet hsup published "{{ {PORTS[0] + 1} : {NEIGHBOUR} . 5000 }}"
export v6=$(ip2 -o -6 addr show dev up0 | sed 's/.*inet6 //;s/\\/.*//')%eth1
drive-box box first {UIDS[0]} 0 0 0 sh -c 'ip2 -d link show dev eth1; ip2 -o addr; CLOSED'
until ! ip2 link show hv{UIDS[0]} >/dev/null 2>&1; do sleep 0.1; done
reach call here-closed {HERE} {PORTS[0] + 1}
for chain in {" ".join(CHAINS)}; do nft flush chain inet hsup $chain; done
drive-box box second {UIDS[0]} 0 0 0 sh -c 'ip2 addr add fe80::5/64 nodad dev eth1; OPEN'
reach call here-open {HERE} {PORTS[0] + 1}
for name in machine outside other; do sed "s/^/$name: /" /tmp/$name; done
poweroff -f
"""


@pytest.fixture(scope="module")
def ipvlan(build, reach, tmp_path_factory):
    """What the machine's console has said."""
    initrd = Initrd()
    for path in ("/proc", "/sys", "/dev", "/run", "/tmp"):
        initrd.directory(path)
    initrd.program("/bin/busybox", "/bin/busybox")
    initrd.link("/bin/sh", "busybox")
    initrd.program("/bin/drive-box", build / "tests" / "drive-box")
    initrd.program("/bin/reach", reach)
    initrd.program("/usr/sbin/nft", "/usr/sbin/nft")
    initrd.program("/usr/sbin/ip2", "/usr/sbin/ip")  # busybox prefers its own ip
    initrd.file("/modules/order", "\n".join(initrd.modules(*MODULES)) + "\n")
    v6 = {"ipv6": "$v6 7000"}
    initrd.file("/init", INIT.replace("CLOSED", calls("reach", "closed", v6)).replace("OPEN", calls("reach", "open", v6)),
                0o755)
    virtual = Virtual(tmp_path_factory.mktemp("extra"), initrd)
    try:
        virtual.wait_line("here-open")
        virtual.wait()
        assert not virtual.matches("Kernel panic|Oops|no module"), virtual.text()
        yield virtual
    finally:
        virtual.end()


def judge(lines, refused):
    """What got through, and what got an answer: none of those with the rules."""
    text = "\n".join(lines)
    got = set(re.findall(r"(?:udp|tcp) (\S+)", text))
    connected = set(re.findall(r"^(?:\w+: )?(\S+) connected$", text, re.M))
    assert {word for word in refused if f"{word}-closed" in got | connected} == set(), text
    assert {"out-closed", "out-open"} <= got & connected, text
    return got, connected


def test_by_ipvlan(ipvlan):
    assert ipvlan.matches("ipvlan +mode l3 "), ipvlan.text()
    got, connected = judge(ipvlan.lines, CALLS)
    assert {f"{word}-open" for word in CALLS} <= got, ipvlan.text()
    assert {"parent-by-eth0-open", "published-by-eth0-open", "metadata-open"} <= connected, ipvlan.text()
    # What the machine begins it has an answer to, by whichever interface that comes.
    assert {"here-closed", "here-open"} <= connected


def test_by_ipvlan_and_ipv6(ipvlan):
    """It has no address of it there, and with one it would be heard: there are no rules for that."""
    got, _ = judge(ipvlan.lines, CALLS)
    assert "ipv6-closed" not in got and "ipv6-open" in got, ipvlan.text()
    [eth1] = [m[0] for m in ipvlan.matches("eth1 +inet.*")]
    assert "inet6" not in eth1


# ---- macvlan ----


@pytest.fixture
def machine(build, folder):
    with machine_of(build / "tests" / "drive-box", folder / "m") as m:
        m.settings.update(SETTINGS, LIBCONTAINER_DYNO_EXTRA_ROUTES=f"{SUBNET}:{OUTSIDE}:eth1")
        m.setup()
        m.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward", net=m.outside, check=True)
        m.ip("route", "add", SUBNET, "via", HERE, net=m.outside)
        yield m


def hear(machine, folder, reach, name, *words, **more):
    """Returns what it has heard, when it is asked."""
    path = folder / name
    machine.start("sh", "-c", 'exec "$@" >"$0" 2>&1', path, *words, **more)
    until(lambda: path.exists() and "up\n" in path.read_text())
    return lambda: path.read_text().splitlines()


def test_by_macvlan(machine, folder, reach):
    """The machine hears it only by a router that sends back: with the rules it does not."""
    heard = [hear(machine, folder, reach, "machine", reach, "hear", 7000),
             hear(machine, folder, reach, "outside", reach, "hear", 7000, net=machine.outside),
             hear(machine, folder, reach, "other", machine.drive, "box", machine.name("other"), UIDS[0] + 1, 0, 0, 0,
                  reach, "hear", 5000)]
    machine.run("nft", "add", "element", "inet", "hsup", "published", f"{{ {PORTS[0] + 1} : {NEIGHBOUR} . 5000 }}",
                check=True)

    def turn(name):
        box = machine.box(0, "sh", "-c", "ip -d link show dev eth1; ip -o addr; " + calls(reach, name),
                          name=machine.name(name))
        out, err = box.communicate()
        assert box.returncode == 0, err
        until(lambda: not machine.links().keys() - {f"hv{UIDS[0] + 1}"})
        return out.splitlines()
    lines = turn("closed")
    for chain in CHAINS:
        machine.run("nft", "flush", "chain", "inet", "hsup", chain, check=True)
    lines += turn("open")
    assert "macvlan mode private" in "\n".join(lines)
    assert not [line for line in lines if re.search("eth1 +inet6", line)], lines
    refused = {"parent", "parent-by-eth0", "gateway", "gateway-by-eth0", "published-by-eth0", "neighbour",
               "neighbour-by-eth0"}
    got, _ = judge(lines + [line for of in heard for line in of()], refused)
    assert {f"{word}-open" for word in refused if word.startswith(("gateway", "neighbour"))} <= got, (lines, got)
    # The router does not send back what is on this network; and whoever is on it is reached, nobody is asked.
    assert not {"parent-open", "parent-by-eth0-open", "published-by-eth0-open"} & got
    assert {f"metadata-{turn}" for turn in ("closed", "open")} <= got
