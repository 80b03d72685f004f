"""Natively run dynos are closed: what a hostile program tries is refused, and would be noticed if it
were not.

The probe program runs in a box as hsup-box makes it; on the machine itself, where it must find open
what it would find open; and without one step of the sandbox after the other."""
import ipaddress
import itertools
import json
import os
import pathlib
import pty
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

import probing
from boxes import NET_OWN, PROGRAM, PTY, Box, Boxes
from driver_app import BUSYBOX, pack
from wire import box, record, spec

ROOT = pathlib.Path(__file__).resolve().parent.parent
UIDS = (4500, 4599)
SUBNET = "10.201.5.0/24"
PORTS = (21500, 21599)
STACK = "probe-1"
serial = itertools.count()

# What is open in a dyno, with the reason why that is no way out.
EXPLAINED = {
    "ns-time": "its clocks are the machine's: a time namespace would shift them, and hide nothing else",
    "mounts-host-path-of-tmp": "a name only: it is a folder of the box's own, on disk, and mounts say of which",
    "cgroup-path": "version 1 cgroups are joined when the dyno already runs: the way there from those it began in",
}
# What says nothing in a dyno, and where it is asked instead.
NOT_ASKED = {
    "tty-standard": "its standard input is no terminal: test_a_dynos_terminal",
}

# What the machine itself refuses, to its root: the reference machine's kernel does not have it (a
# kernel that has it must show it as open), or its root has not the capability.
NO_RAISE = "root of this machine has no CAP_SYS_RESOURCE"
NO_SUCH = "this kernel does not have it"
REFUSED_BY_MACHINE = {
    "limit-raise": NO_RAISE, "write-oom-score": NO_RAISE, "write-max-userns": NO_RAISE,
    "call-unknown": "no kernel has it: open means that the filter hides that",
    **dict.fromkeys((
        "device-mem", "folder-boot", "read-kcore", "read-sched-debug", "read-latency-stats", "read-kpagecount",
        "read-acpi", "read-asound", "read-scsi", "read-powercap", "read-debugfs", "read-tracefs", "read-security",
        "read-bpffs", "write-sysrq", "write-sysrq-trigger", "write-modprobe", "write-uevent-helper",
        "call-kexec-load", "call-kexec-file-load", "call-init-module", "call-finit-module", "call-delete-module",
        "call-iopl", "call-ioperm", "call-x32", "socket-vsock-datagram", "socket-alg", "socket-key",
        "socket-bluetooth", "socket-tipc", "socket-can", "socket-rds", "socket-kcm", "socket-smc", "socket-x25",
        "socket-appletalk", "socket-netlink-crypto", "socketpair-tipc"), NO_SUCH),
}
# In the virtual machine besides.
if os.environ.get("HSUP_TEST_IN_VM"):
    REFUSED_BY_MACHINE.update({
        "call-cachestat": NO_SUCH, "call-listmount": NO_SUCH, "device-kvm": NO_SUCH,
        "cgroup-path": "the tests themselves are in the first of all cgroups",
    })

# Steps that can be left out, and what then opens, each of it.
MUTATIONS = {
    "caps": {"cap-bounding"},
    "nnp": {"no-new-privs"},
    "seccomp": {"seccomp-mode", "socket-vsock", "call-io-uring-setup", "call-process-vm", "new-user-unshare",
                "socket-netlink-generic"},
    "groups": {"id-groups"},
    "userns": {"ns-user", "id-root-mapped"},
    "masks": {"read-interrupts"},
    "readonly": {"write-ns-last-pid"},
    "nosuid": {"mounts-suid"},
    "nodev": {"mounts-dev"},
    "dumpable": {"init-fd", "init-stack", "init-syscall", "init-oom-score"},
}
# Steps behind another that does the same: what they are there for cannot be had with one left out.
SECOND_LOCKS = {
    "closefds": "what came along is closed when hsup-box begins, and all that it opens closes itself: fd-leaked",
    "getcwd": "it goes to its folder by path when it is in its root: cwd",
}


@pytest.fixture(scope="module")
def place():
    path = pathlib.Path(tempfile.mkdtemp(prefix="hsup-probe-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def probe(place):
    program = probing.build(place)
    program.chmod(0o755)
    return program


@pytest.fixture(scope="module")
def slug(place, probe):
    """With a program that would be root's, were it to become who its owner is."""
    path = place / "slug"
    path.mkdir()
    shutil.copy(probe, path)
    shutil.copy(probe, path / "setuid")
    (path / "setuid").chmod(0o4755)
    return path


@pytest.fixture(scope="module")
def machine(place):
    with probing.machine(place) as facts:
        yield facts


@pytest.fixture
def boxes(folder, slug):
    made = Boxes(folder)
    # (A link is still there for a moment when its dyno has ended.)
    made.uids = (UIDS[0] + next(serial) * 7 % 64, UIDS[1])
    made.slug = slug
    made.plain = made.settings(LIBCONTAINER_DYNO_SUBNET=SUBNET, LIBCONTAINER_DYNO_NETWORK="own",
                               HSUP_BOX_PUBLISH=f"{PORTS[0]}-{PORTS[1]}")
    subprocess.run([PROGRAM, "--setup", *made.plain], check=True)
    yield made
    made.close()


def start(boxes, *args, facts=None, stack="host", skip=None, flags=0, **how):
    if stack == STACK and not (boxes.stacks / STACK).exists():
        make_stack(boxes.stacks / STACK, boxes.slug / "probe")
    settings = boxes.plain + ([f"HSUP_BOX_SKIP={skip}"] if skip else [])
    facts = {**(facts or {}), "PROBE_STATE": boxes.state}
    env = ["PATH=/usr/bin:/bin", *(f"{k}={v}" for k, v in facts.items())]
    name = f"probe-{os.getpid()}-{next(serial)}"
    records = box(name=name, network=NET_OWN, stack=stack, flags=flags)
    fd = spec(args[0], args, env=env, directory="/", extra=records + record(13, str(boxes.slug).encode() + b"\0"))
    made = Box(fd, settings, **how)
    made.name, made.first = name, True
    os.close(fd)
    boxes.made.append(made)
    return made


def answers(dyno, patience=120):
    status, told = dyno.wait(patience)
    assert status == 0, (status, told, dyno.text)
    return probing.Answers(dyno.text)


def make_stack(path, probe):
    for name in ("bin", "usr/bin", "etc", "sbin", "lib"):
        (path / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", path / "bin/busybox")
    (path / "bin/sh").symlink_to("busybox")
    shutil.copy("/bin/busybox", path / "usr/bin/env")
    shutil.copy(probe, path / "usr/bin/setuid")
    (path / "usr/bin/setuid").chmod(0o4755)
    (path / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")


def inside(machine):
    return {**machine, "PROBE_SUID_APP": "/app/setuid", "PROBE_LINK_LOCAL": "fe80::1",
            "PROBE_PUBLISHED": machine["PROBE_PORT"]}


def test_nothing_is_open(boxes, machine):
    other = start(boxes, "/app/probe", "--listen", machine["PROBE_PORT"], facts={"PORT": machine["PROBE_PORT"]})
    assert other.read() == b"listens\n"
    address = ipaddress.ip_address(address_of(other))
    published = PORTS[0] + (int(address) - int(ipaddress.ip_network(SUBNET)[0])) // 4
    facts = {**inside(machine), "PROBE_OTHER": address, "PROBE_PUBLISHED": published}
    # Who may gets there.
    with socket.create_connection((machine["PROBE_HOST"], published), timeout=5) as there:
        assert there.getpeername()[1] == published
    found = answers(start(boxes, "/app/probe", facts=facts))
    assert found.open.keys() <= EXPLAINED.keys(), found.open
    assert found.having("n/a").keys() - {"setuid-stack"} == NOT_ASKED.keys(), found.having("n/a")


def test_nothing_is_open_in_a_stack_of_its_own(boxes, machine):
    """Where a program has the setuid bit, and is root's, inside."""
    facts = {**inside(machine), "PROBE_SUID_STACK": "/usr/bin/setuid", "PROBE_OTHER": "192.0.2.1"}
    found = answers(start(boxes, "/app/probe", facts=facts, stack=STACK))
    assert found.open.keys() <= EXPLAINED.keys(), found.open
    assert found.having("n/a").keys() == NOT_ASKED.keys(), found.having("n/a")
    assert found["setuid-stack"] == ("closed", "its effective uid")


def test_nothing_is_open_in_what_hsup_runs(make_driver_app, machine, probe):
    """From the command line on: with what hsup itself adds to a dyno."""
    app = make_driver_app("native", with_slug=False)
    app.slug = pack(app.control / "slug.tgz", {"probe": probe}).name
    app.env.update(LIBCONTAINER_DYNO_UID_MIN=str(UIDS[0]), LIBCONTAINER_DYNO_UID_MAX=str(UIDS[1]),
                   LIBCONTAINER_DYNO_SUBNET=SUBNET)
    app.submit(app.release(Binds=[]))
    facts = {**machine, "PROBE_LINK_LOCAL": "fe80::1", "PROBE_STATE": app.folder, "PROBE_OTHER": "192.0.2.1",
             "PROBE_PUBLISHED": machine["PROBE_PORT"]}
    words = [f"{k}={v}" for k, v in facts.items()]
    ran = app.hsup("run", "-C", app.control, "--", "env", *words, "/app/probe", timeout=120)
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    found = probing.Answers(ran.stdout.encode())
    assert found.open.keys() <= EXPLAINED.keys(), found.open


def test_a_dynos_terminal(boxes, machine):
    """It is one of its own, and nobody types into it."""
    master, slave = pty.openpty()
    dyno = start(boxes, "/app/probe", "tty-standard", "tty-sti", "tty-sti-high", "tty-linux", "tty-others",
                 facts=inside(machine), flags=PTY, stdin=slave, output=slave)
    os.close(slave)
    text = b""
    while not text.endswith(b"probed 5\r\n"):
        text += os.read(master, 4096)
    os.close(master)
    dyno.wait()
    found = probing.Answers(text)
    assert {verdict for verdict, _ in found.values()} == {"closed"}, found


def address_of(dyno):
    """Of a dyno: the second of the /30 that its uid has."""
    pid = int(pathlib.Path(f"/proc/{dyno.pid}/task/{dyno.pid}/children").read_text().split()[0])
    text = subprocess.run(["nsenter", "-t", str(pid), "-n", "ip", "-4", "-o", "address", "show", "eth0"],
                          check=True, capture_output=True, text=True).stdout
    return re.search(r"inet ([0-9.]+)/30", text)[1]


# ---- would it have been noticed? ----

def on_machine(probe, *args, facts, before=(), **how):
    done = subprocess.run([*before, probe, *args], env={"PATH": "/usr/bin:/bin", "HSUP_CHILD": "x", **facts},
                          capture_output=True, timeout=200, **how)
    return probing.Answers(done.stdout)


# A network with another behind it: its gateway listens, has a link-local address, and plays the
# service that tells machines in a cloud who they are.
NEIGHBOUR = """
ip link set lo up
"$1" --listen $PROBE_PORT &
unshare -n sh -c 'until ip link set eth0 up; do sleep 0.05; done 2>&-; ip address add 10.255.0.2/30 dev eth0
    ip -6 address add fe80::2/64 dev eth0 nodad
    ip route add default via 10.255.0.1; sleep 0.3; exec "$@"' sh "$@" &
pid=$!
while [ "$(readlink /proc/$pid/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
ip link add other type veth peer name eth0 netns $pid
ip address add 10.255.0.1/30 dev other
ip address add 169.254.169.254/32 dev other
ip -6 address add fe80::1/64 dev other nodad
ip link set other up
wait $pid
"""


def test_all_is_open_on_the_machine(folder, probe, slug, machine):
    """In namespaces of its own where something would be changed."""
    setuid = {"PROBE_SUID_APP": str(slug / "setuid"), "PROBE_SUID_STACK": str(slug / "setuid")}
    known = {**machine, **setuid, "PROBE_LINK_LOCAL": "fe80::1", "PROBE_OTHER": machine["PROBE_HOST"],
             "PROBE_PUBLISHED": machine["PROBE_PORT"]}
    looks = [n for n in names(probe) if n.startswith(("ns-", "host-"))]
    found = {**on_machine(probe, *looks, facts=known).open}
    gone = folder / "gone"
    gone.mkdir()
    stdin = os.open("/", os.O_RDONLY)
    master, slave = pty.openpty()
    private = ["setpriv", "--groups=0,1", "--inh-caps=+net_admin", "--ambient-caps=+net_admin", "--", "unshare",
               "-mupf", "--propagation", "private", "sh", "-c",
               f'mount -t proc proc /proc && mount --bind "$PROBE_STATE" /mnt && mount --bind /mnt /var/tmp &&'
               f'cd {gone} && rmdir {gone} && exec "$@"', "sh"]
    found |= on_machine(probe, facts=known, before=private, stdin=stdin, pass_fds=[slave]).open
    found |= on_machine(probe, "net-gateway", "net-published-gateway", "net-metadata", "net-link-local", facts=known, before=[
        "unshare", "-mnpf", "--mount-proc", "sh", "-c", NEIGHBOUR, "sh"]).open
    found |= on_machine(probe, "tty-standard", facts=known, stdin=slave,
                        before=["setsid", "--ctty"]).open
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    found.pop("setuid-app"), found.pop("setuid-stack")
    found |= on_machine(probe, "setuid-app", "setuid-stack", facts=known, before=user).open
    for fd in (stdin, master, slave):
        os.close(fd)
    never = set(names(probe)) - found.keys()
    assert never <= REFUSED_BY_MACHINE.keys(), " ".join(sorted(never - REFUSED_BY_MACHINE.keys()))


def names(probe):
    """Of all probes, from a run that learns nothing."""
    text = "".join((probing.SOURCES / f).read_text() for f in os.listdir(probing.SOURCES))
    found = re.findall(r'^\t(?:\{|SOCKET\()"([a-z0-9-]+)",(?! CLONE)', text, re.M)
    spaces = re.findall(r'^\tNEW\("([a-z]+)"\)', text, re.M)
    sockets = re.findall(r'^\tSOCKET\("([a-z0-9-]+)"', text, re.M)
    found = [f"socket-{n}" if n in sockets else n for n in found]
    return found + [f"new-{s}-{how}" for s in spaces for how in ("unshare", "clone", "clone3")]


def test_every_step_has_a_probe():
    text = "".join(p.read_text() for p in (ROOT / "src" / "box").glob("*.c"))
    assert set(re.findall(r'box_skips\(b, "(\w+)"\)', text)) == MUTATIONS.keys() | SECOND_LOCKS.keys()


@pytest.mark.parametrize("step", sorted(MUTATIONS))
def test_without_a_step_something_is_open(boxes, machine, step):
    how = {"junk": ["/"] * 3, "before": lambda: os.setgroups([1, 2, 3])}
    whole = answers(start(boxes, "/app/probe", facts=inside(machine), **how))
    assert whole.open.keys() <= EXPLAINED.keys(), whole.open
    found = answers(start(boxes, "/app/probe", facts=inside(machine), skip=step, **how))
    assert MUTATIONS[step] <= found.open.keys(), (step, found.open)


# ---- beside others ----

# A folder's name in the list of mounts. Theirs is kept by a layer, or is not there.
OURS_ALONE = {"mounts-host-path-of-tmp"}


@pytest.fixture(scope="module")
def docker(engines):
    return engines.get("docker")


def as_docker_runs(engine, probe, facts):
    told = [f"--env={k}={v}" for k, v in facts.items()]
    done = subprocess.run(["docker", "-H", engine.host, "run", "--rm", "--network=none", f"--volume={probe}:/probe:ro",
                           *told, BUSYBOX, "/probe"], capture_output=True, timeout=200)
    return probing.Answers(done.stdout)


def settings_of_docker(engine, probe):
    """What it hands to its runtime for a container: capabilities, masks, filter."""
    ask = ["docker", "-H", engine.host]
    done = subprocess.run([*ask, "run", "-d", "--network=none", BUSYBOX, "sleep", "1000"], check=True, text=True,
                          capture_output=True)
    found = list(engine.folder.glob(f"**/{done.stdout.strip()}/config.json"))
    text = next(p.read_text() for p in found if '"ociVersion"' in p.read_text())
    subprocess.run([*ask, "rm", "-f", done.stdout.strip()], check=True, capture_output=True)
    return json.loads(text)


def as_crun_runs(settings, folder, probe, facts):
    """With the same, but for cgroups, which it can make nothing of on a machine with both versions."""
    make_stack(folder / "rootfs", probe)
    for name in ("proc", "sys", "dev", "tmp", "app"):
        (folder / "rootfs" / name).mkdir()
    settings["root"] = {"path": str(folder / "rootfs"), "readonly": False}
    settings["process"].update(args=["/usr/bin/setuid"], terminal=False,
                               env=["PATH=/usr/bin:/bin", *(f"{k}={v}" for k, v in facts.items())])
    settings["mounts"] = [m for m in settings["mounts"] if m["type"] not in ("bind", "cgroup")]
    settings.pop("hooks", None)
    settings["linux"].pop("cgroupsPath", None)
    settings["linux"].pop("resources", None)
    for space in settings["linux"]["namespaces"]:
        space.pop("path", None)
    (folder / "config.json").write_text(json.dumps(settings))
    hidden = ["unshare", "-m", "sh", "-c", "umount -l /sys/fs/cgroup/unified 2>&-; exec \"$@\"", "sh"]
    done = subprocess.run([*hidden, "crun", "--root", folder / "state", "--cgroup-manager=disabled", "run", "--bundle", folder,
                           f"probe-{os.getpid()}"], capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return probing.Answers(done.stdout)


def test_less_is_open_than_with_docker_and_crun(boxes, machine, folder, probe, docker):
    """The same program in a container with Docker's default settings."""
    facts = inside(machine)
    # What is explained counts, too: without it there is nothing that could be more than theirs.
    ours = answers(start(boxes, "/app/probe", facts=facts)).open.keys() - OURS_ALONE
    (folder / "bundle").mkdir()
    crun = as_crun_runs(settings_of_docker(docker, probe), folder / "bundle", probe, facts).open.keys()
    theirs = as_docker_runs(docker, probe, facts).open.keys()
    print(f"open: dyno {len(ours)}, crun {len(crun)}, docker {len(theirs)}")
    for others in (crun, theirs):
        assert ours <= others, ours - others
        assert len(others) > 10, others
