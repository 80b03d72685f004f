"""A box's network, between network namespaces of the test's own."""
import json
import os
import pathlib
import re
import signal
import sys
import time

import pytest

from box_machine import CONNECT, HERE, METADATA, OUTSIDE, UIDS, machine_of, until
from hsup import PATIENCE

GATEWAY, DYNO = "10.201.3.1", "10.201.3.2"


@pytest.fixture
def machine(build, folder):
    with machine_of(build / "tests" / "drive-box", folder / "m") as m:
        yield m


def test_pair_addresses_and_route(machine):
    machine.setup()
    box = machine.box(0, "sh", "-c", "ip -j addr; ip -j route; sleep 60")
    inside = {i["ifname"]: i for i in json.loads(box.stdout.readline())}
    routes = json.loads(box.stdout.readline())
    assert set(inside) == {"lo", "eth0"}
    assert "UP" in inside["lo"]["flags"] and "UP" in inside["eth0"]["flags"]
    assert [(a["local"], a["prefixlen"]) for a in inside["eth0"]["addr_info"] if a["family"] == "inet"] == [(DYNO, 30)]
    assert [(r["gateway"], r["dev"]) for r in routes if r["dst"] == "default"] == [(GATEWAY, "eth0")]
    outer = machine.links()[f"hv{UIDS[0]}"]
    assert "UP" in outer["flags"]
    assert [(a["local"], a["prefixlen"]) for a in outer["addr_info"] if a["family"] == "inet"] == [(GATEWAY, 30)]


def test_each_uid_has_its_own_network(machine):
    machine.setup()
    machine.living(0), machine.living(63)
    assert set(machine.links()) == {f"hv{UIDS[0]}", f"hv{UIDS[0] + 63}"}
    assert machine.connect(DYNO, 5000) == GATEWAY
    assert machine.connect("10.201.3.254", 5000) == "10.201.3.253"


def test_outside_sees_the_machine(machine):
    machine.setup()
    machine.serve(7000, net=machine.outside)
    assert machine.try_to_connect(0, OUTSIDE, 7000) == HERE


def test_a_dyno_reaches_neither_the_machine_nor_its_neighbours(machine):
    machine.setup()
    machine.serve(7000)
    machine.serve(80, net=machine.outside)
    machine.living(1)
    # All of them are there, for who may.
    assert machine.connect(HERE, 7000, net=machine.outside) == OUTSIDE
    assert machine.connect("10.201.3.6", 5000) == "10.201.3.5"
    assert machine.connect(METADATA, 80) == HERE
    wanted = [(GATEWAY, 7000), (HERE, 7000), ("10.201.3.5", 7000), ("10.201.3.6", 5000), (METADATA, 80)]
    for address, port in wanted:
        # Refused, and not just without an answer, a TimeoutError: who tries by mistake is told at once.
        assert machine.try_to_connect(0, address, port) == "OSError", address
    # It is the table, and nothing else, that keeps them apart. (Where it is missing a box makes it.)
    rules = machine.run("nft", "list", "table", "inet", "hsup", check=True).stdout
    assert "reject" in rules
    for chain in ("input", "forward", "arrive"):
        machine.run("nft", "flush", "chain", "inet", "hsup", chain, check=True)
    for address, port in wanted:
        assert re.match(r"[\d.]+$", machine.try_to_connect(0, address, port)), address


def test_no_ipv6(machine):
    machine.setup()
    machine.serve(7000)
    code = """
import socket, sys, time
time.sleep(2)
s = socket.socket(socket.AF_INET6)
s.settimeout(2)
try:
    s.connect((sys.stdin.readline().strip() or sys.argv[1], 7000, 0, socket.if_nametoindex("eth0")))
    print("connected")
except OSError as e:
    print(type(e).__name__)
"""

    def attempt(n):
        # The machine's end has the address once its carrier is there.
        box = machine.box(n, "sh", "-c", "while [ ! -e $0 ]; do sleep 0.05; done; exec python3 -c \"$1\" $(cat $0)",
                          machine.folder / f"to{n}", code)
        def link_local():
            link = machine.links().get(f"hv{UIDS[0] + n}", {"addr_info": []})
            return [a["local"] for a in link["addr_info"] if a["family"] == "inet6"]
        (machine.folder / f"part{n}").write_text(until(link_local)[0])
        os.rename(machine.folder / f"part{n}", machine.folder / f"to{n}")
        out, err = box.communicate(timeout=1.5 * PATIENCE)
        assert not err, err
        return out.strip()

    assert attempt(0) != "connected"
    machine.run("nft", "flush", "chain", "inet", "hsup", "arrive", check=True)
    machine.run("nft", "flush", "chain", "inet", "hsup", "input", check=True)
    assert attempt(1) == "connected"


def test_a_false_sender_is_dropped(machine):
    machine.setup()
    listen = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7000))
print("up", flush=True)
while True:
    print(s.recv(100).decode(), flush=True)
"""
    send = """
import socket, subprocess, sys
subprocess.run(["ip", "addr", "add", "10.99.9.9/32", "dev", "eth0"], check=True)
for source in ("10.99.9.9", "0.0.0.0"):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((source, 0))
    s.sendto((sys.argv[2] + source).encode(), (sys.argv[1], 7000))
"""
    outside = machine.start("python3", "-c", listen, net=machine.outside)
    assert outside.stdout.readline() == "up\n"
    assert machine.python(0, send, OUTSIDE, "a").wait(30) == 0
    assert outside.stdout.readline() == "a0.0.0.0\n"
    machine.run("nft", "flush", "chain", "inet", "hsup", "arrive", check=True)
    assert machine.python(1, send, OUTSIDE, "b").wait(30) == 0
    assert outside.stdout.readline() == "b10.99.9.9\n"


def test_whoever_flushes_all_tables_has_not_opened_the_machine(machine):
    machine.setup()
    machine.run("nft", "flush", "ruleset", check=True)
    machine.serve(7000)
    assert machine.try_to_connect(0, GATEWAY, 7000) == "OSError"
    assert machine.has_table()


@pytest.mark.parametrize("stopped", [False, True])
def test_a_killed_box_leaves_no_link(machine, stopped):
    machine.setup()
    box = machine.living(0)
    assert machine.links()
    if stopped:
        box.send_signal(signal.SIGSTOP)
    machine.kill(box)
    until(lambda: not machine.links())


def test_the_uid_of_who_has_just_died(machine):
    machine.setup()
    for i in range(20):
        box = machine.box(0, "ip", "-j", "link", name=machine.name(f"again{i}"))
        out, err = box.communicate(timeout=1.5 * PATIENCE)
        assert box.returncode == 0, err
        assert "eth0" in out


def test_a_living_pair_is_not_taken(machine):
    machine.setup()
    first = machine.living(0)
    second = machine.box(0, "true", name=machine.name("second"))
    started = time.monotonic()
    _, err = second.communicate(timeout=1.5 * PATIENCE)
    assert "link_make: File exists" in err
    assert time.monotonic() - started > 0.15
    assert first.poll() is None
    assert machine.connect(DYNO, 5000) == GATEWAY


def test_fifty_at_once(machine):
    machine.setup()
    machine.serve(7000, net=machine.outside)
    code = f"""
import socket, time
s = socket.create_connection(("{OUTSIDE}", 7000), timeout=20)
print(s.recv(100).decode(), s.getsockname()[0], flush=True)
time.sleep(60)
"""
    boxes = [machine.python(n, code) for n in range(50)]
    seen = [b.stdout.readline().split() for b in boxes]
    assert seen == [[HERE, f"10.201.3.{4 * n + 2}"] for n in range(50)]
    assert len(machine.links()) == 50
    for box in boxes:
        machine.kill(box)
    until(lambda: not machine.links())
    assert machine.sweep(*[machine.name(n) for n in range(50)]).returncode == 0
    assert not [c for n in range(50) for c in machine.cgroups(n)]


def test_loopback_only(machine):
    settings = {"LIBCONTAINER_DYNO_NETWORK": "none"}
    machine.setup(settings=settings)
    box = machine.box(0, "ip", "-j", "addr", settings=settings)
    out, err = box.communicate(timeout=1.5 * PATIENCE)
    assert [(i["ifname"], "UP" in i["flags"]) for i in json.loads(out)] == [("lo", True)], err
    assert not machine.has_table()


def has_ipvlan(machine):
    word = machine.run("ip", "link", "add", "probe0", "link", "up0", "type", "ipvlan", "mode", "l3")
    if word.returncode == 0:
        machine.ip("link", "del", "probe0")
    return word.returncode == 0


def lead_to(machine, *addresses):
    """An ipvlan does not say who has an address: the network around is to have routes. On a kernel without it is a
    macvlan, which does."""
    if has_ipvlan(machine):
        for address in addresses:
            machine.ip("route", "add", f"{address}/32", "via", HERE, net=machine.outside)


def test_extra_interface_and_routes(machine):
    settings = {"LIBCONTAINER_DYNO_EXTRA_INTERFACE": "up0:198.51.100.77/24",
                "LIBCONTAINER_DYNO_EXTRA_ROUTES":
                    f"203.0.113.0/24:{OUTSIDE}:eth1,192.0.2.0/24:default:eth0,default:{OUTSIDE}:eth1"}
    machine.setup(settings=settings)
    lead_to(machine, "198.51.100.77")
    machine.serve(7000, net=machine.outside)
    box = machine.box(0, "sh", "-c", 'ip -j addr show dev eth1; ip -j route; exec python3 -c "$0" "$@"',
                      "import socket, sys\n"
                      "s = socket.create_connection((sys.argv[1], 7000), timeout=5)\n"
                      "print(s.recv(100).decode())", OUTSIDE, settings=settings)
    out, err = box.communicate(timeout=1.5 * PATIENCE)
    assert box.returncode == 0, err
    lines = out.splitlines()
    eth1 = json.loads(lines[0])[0]
    assert [(a["local"], a["prefixlen"]) for a in eth1["addr_info"] if a["family"] == "inet"] == [("198.51.100.77", 24)]
    routes = {(r["dst"], r.get("gateway"), r["dev"]) for r in json.loads(lines[1])}
    assert {("default", OUTSIDE, "eth1"), ("203.0.113.0/24", OUTSIDE, "eth1"),
            ("192.0.2.0/24", GATEWAY, "eth0")} <= routes
    assert len([r for r in routes if r[0] == "default"]) == 1
    assert lines[2] == "198.51.100.77"


def test_extra_addresses(machine):
    """With a range each dyno has one of its own, and is called there."""
    settings = {"LIBCONTAINER_DYNO_EXTRA_INTERFACE": "up0:198.51.100.100-198.51.100.199/24",
                "LIBCONTAINER_DYNO_EXTRA_ROUTES": f"default:{OUTSIDE}:eth1"}
    assert "EXTRA_INTERFACE" not in machine.setup(settings=settings).stderr
    lead_to(machine, *(f"198.51.100.{100 + n}" for n in (0, 1, 63)))
    for n in (0, 1, 63):
        machine.living(n, settings=settings)
    for n in (0, 1, 63):
        assert machine.connect(f"198.51.100.{100 + n}", 5000, net=machine.outside) == OUTSIDE
    assert machine.connect("198.51.100.102", 5000, net=machine.outside) == "OSError"
    # From one to another nothing leads, by this way either.
    box = machine.python(2, CONNECT, "198.51.100.100", 5000, 2, settings=settings)
    assert box.communicate(timeout=1.5 * PATIENCE)[0].strip() in ("OSError", "TimeoutError")


def test_an_extra_address_for_all_is_told(machine):
    extra = {"LIBCONTAINER_DYNO_EXTRA_INTERFACE": "up0:198.51.100.77/24"}
    said = machine.setup(settings=extra).stderr
    assert "LIBCONTAINER_DYNO_EXTRA_INTERFACE gives every dyno the same address" in said
    assert "EXTRA" not in machine.setup(settings={**extra, "LIBCONTAINER_DYNO_UID_MAX": str(UIDS[0])}).stderr


def test_a_kernel_without_ipvlan_is_told(machine):
    """And nothing is made to find that out."""
    before = machine.ip("-o", "link")
    said = machine.setup(settings={"LIBCONTAINER_DYNO_EXTRA_INTERFACE": "up0:198.51.100.100-198.51.100.199/24"}).stderr
    note = "hsup-box: note: this kernel has no ipvlan: eth1 of dynos is a macvlan"
    assert said.splitlines().count(note) == (0 if has_ipvlan(machine) else 1), said
    assert machine.ip("-o", "link") == before
    assert "ipvlan" not in machine.setup().stderr


def test_extra_interface_of_nothing(machine):
    settings = {"LIBCONTAINER_DYNO_EXTRA_INTERFACE": "nope0:198.51.100.77/24"}
    machine.setup(settings=settings)
    _, err = machine.box(0, "true", settings=settings).communicate(timeout=1.5 * PATIENCE)
    assert "link_make: No such device" in err
    until(lambda: not machine.links())


# ---- what is made once ----


def forwarding(machine, value=None):
    path = "/proc/sys/net/ipv4/ip_forward"
    if value is not None:
        machine.run("sh", "-c", f"echo {value} > {path}", check=True)
    return machine.run("cat", path, check=True).stdout.strip()


def table(machine):
    return machine.run("nft", "list", "table", "inet", "hsup", check=True).stdout


def test_setup_again_changes_nothing(machine):
    forwarding(machine, 0)
    assert "ip_forward was 0 and is 1" in machine.setup().stderr
    assert forwarding(machine) == "1"
    first = table(machine)
    assert machine.setup().stderr == ""
    assert table(machine) == first
    assert "10.201.3.0/24" in first


def test_setup_in_a_container_that_may_not_set_the_kernel(machine):
    def setup():
        script = 'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$0" setup'
        done = machine.run("unshare", "-m", "sh", "-c", script, machine.drive)
        return done.returncode, done.stderr
    forwarding(machine, 0)
    assert setup() == (1, "hsup-box: cannot set /proc/sys/net/ipv4/ip_forward: Read-only file system\n")
    forwarding(machine, 1)
    assert setup() == (0, "")


def test_others_of_the_subnet_s_addresses_keep_theirs(machine):
    """The subnet may be large (172.16.0.0/12, by default): the machine's own, or those of
    an engine's containers, may be in it."""
    machine.setup()
    own = "10.201.3.250"
    machine.ip("addr", "add", f"{own}/32", "dev", "up0")
    machine.ip("route", "add", own, "via", HERE, net=machine.outside)
    machine.serve(7000, net=machine.outside)
    connect = (f"import socket; s = socket.create_connection(('{OUTSIDE}', 7000), timeout=5, "
               f"source_address=('{own}', 0)); print(s.recv(100).decode())")
    assert machine.run(sys.executable, "-c", connect, check=True).stdout.strip() == own
    assert machine.try_to_connect(0, OUTSIDE, 7000) == HERE


def test_several_subnets(machine):
    machine.setup()
    machine.setup(settings={"LIBCONTAINER_DYNO_SUBNET": "10.201.3.128/25"})
    assert "{ 10.201.3.0/24 }" in table(machine)
    machine.setup(settings={"LIBCONTAINER_DYNO_SUBNET": "172.16.0.0/12"})
    assert "10.201.3.0/24, 172.16.0.0/12" in re.sub(r"\s+", " ", table(machine))


def test_setups_at_once(machine):
    setups = [machine.start(machine.drive, "setup",
                            settings={"LIBCONTAINER_DYNO_SUBNET": f"10.202.{n}.0/24"}) for n in range(0, 40, 2)]
    for s in setups:
        _, err = s.communicate(timeout=6 * PATIENCE)
        assert s.returncode == 0, err
    for n in range(0, 40, 2):
        assert f"10.202.{n}.0/24" in table(machine)


def without_nft(machine, settings=None):
    """In a mount namespace where nft is nothing that can be executed."""
    return machine.run("unshare", "-m", "sh", "-c",
                       'for f in /usr/sbin/nft /sbin/nft; do mount --bind /dev/null $f; done; exec "$0" setup',
                       machine.drive, settings=settings)


def test_setup_without_nft(machine):
    forwarding(machine, 1)  # else that is said, too
    done = without_nft(machine)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    for word in ("nftables", "LIBCONTAINER_DYNO_NETWORK=host", "none"):
        assert word in done.stderr
    for network in ("host", "none"):
        done = without_nft(machine, {"LIBCONTAINER_DYNO_NETWORK": network})
        assert (done.returncode, done.stderr) == (0, "")


def test_setup_with_an_nft_that_refuses(machine):
    forwarding(machine, 1)
    done = machine.run("unshare", "-m", "sh", "-c",
                       'printf "#!/bin/sh\\necho first word >&2; echo more >&2; exit 1\\n" > "$1"; chmod +x "$1"; '
                       'mount --bind "$1" $(readlink -f /usr/sbin/nft); exec "$0" setup',
                       machine.drive, machine.folder / "fake-nft")
    assert done.returncode == 1
    assert done.stderr.endswith("does not take the rules: first word\n")
    assert done.stderr.count("\n") == 1


def test_setup_is_for_root(machine):
    reachable = machine.folder / "drive-box"
    reachable.write_bytes(pathlib.Path(machine.drive).read_bytes())
    reachable.chmod(0o755)
    machine.folder.chmod(0o755)
    done = machine.run("setpriv", "--reuid=65534", "--clear-groups", str(reachable), "setup")
    assert (done.returncode, done.stderr) == (1, "hsup-box: native dynos are set up by root\n")


def test_folders_of_setup(machine):
    machine.setup(settings={"HSUP_BOX_STATE": str(machine.folder / "a/b/state")})
    assert (machine.folder / "a/b/state/boxes").stat().st_mode & 0o777 == 0o700
    assert (machine.run_folder / "native.uids").stat().st_mode & 0o777 == 0o600
    assert (machine.run_folder / "present").stat().st_mode & 0o777 == 0o644
    done = machine.setup(check=False, settings={"HSUP_BOX_STATE": "/proc/nowhere"})
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "HSUP_BOX_STATE=/proc/nowhere" in done.stderr


def test_links_are_quick(machine):
    """A generous bound: creating here and moving there would cost 16 ms of the kernel's time."""
    machine.setup()
    taken = []
    for n in range(10):
        box = machine.box(n, "true", settings={"DRIVE_TIMES": "1"})
        _, err = box.communicate(timeout=1.5 * PATIENCE)
        made, configured = re.search(r"make (\d+) configure (\d+)", err).groups()
        taken.append(int(made) + int(configured))
    assert min(taken) < 8000, taken
