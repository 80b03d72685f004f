"""Tests that run in a virtual machine: a Debian of this machine's packages, another kernel, cgroup v2 alone.

A test that is to run there is one of pytest's here, too, and waits for what became of it in there: what -k or
a node id chooses is run, and what was not run there has failed here.
"""
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile
import time

import pytest

import debian_root
import helpers
from hsup import PATIENCE
from vm import Machine, modules

ROOT = pathlib.Path(__file__).resolve().parent.parent
IN_VM = "native-vm"
PACKAGES = ["python3-pytest", "python3-jsonschema", "python3-prometheus-client", "bash", "busybox-static", "coreutils",
            "e2fsprogs", "erofs-utils", "findutils", "grep", "iproute2", "mount", "nftables", "passt", "perl", "procps",
            "sed", "squashfs-tools", "strace", "tar", "util-linux"]
PROGRAMS = ("hsup", "hsup-launcher", "hsup-slug", "hsup-box")
# What the kernel would ask modprobe for.
MODULES = ("overlay", "loop", "squashfs", "erofs", "veth", "dummy", "ipvlan", "nf_tables", "nft_masq", "nft_chain_nat",
           "nft_fib_inet", "nft_reject_inet", "nft_ct", "nft_nat", "tun",
           "vsock", "fuse", "xfrm_user")
# The part of the drivers' suite that is always run there; the rest, when the driver is named.
IN_VM_ALWAYS = {
    "test_exactly_the_wanted_dynos_run", "test_a_crash_is_restarted", "test_another_slug_replaces_all",
    "test_every_process_of_a_dyno_is_told", "test_every_process_of_a_deaf_dyno_is_killed",
    "test_an_exit_meanwhile_is_seen", "test_kill_of_supervisor_and_launcher_and_a_new_start",
    "test_what_a_dyno_gets", "test_streams_are_told_apart", "test_how_it_ended", "test_directory_user_and_umask",
    "test_binds", "test_ports_are_each_dyno_s_own", "test_run_passes_all_through", "test_run_told_to_end", "test_ps",
    "test_attach", "test_ready_command", "test_ready_notify", "test_open_files_and_processes", "test_cpu",
}
# Its processors are emulated, beside whatever else this machine does.
SLOWER = 5
# Between two tests in there.
LIMIT = 30 * PATIENCE

INIT = """#!/bin/bash
export PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for name in $(cat /vm/order); do busybox insmod /vm/$name.ko || echo "no module $name"; done
ip link set lo up
mkdir -p /usr/local /home/somebody && touch /root/.profile /etc/resolv.conf
ip link add eth0 type dummy && ip address add 100.64.7.2/24 dev eth0 && ip link set eth0 up
cd /hsup
. /vm/environment
mapfile -t tests </vm/tests
python3 -m pytest -p vm_results -q -rN --tb=short --color=no -p no:cacheprovider "${tests[@]}" </dev/null
cat /vm/reports/* 2>/dev/null
busybox poweroff -f
"""
TROUBLE = r"Kernel panic|Oops|Sanitizer|runtime error|no module"


def environment():
    """Of the tests in there: what is said to all tests, but for what is otherwise there."""
    told = {name: value for name, value in os.environ.items() if name.startswith("HSUP_TEST_")}
    told.update(HSUP_TEST_DRIVERS="native", HSUP_TEST_HELPERS="/hsup/helpers", HSUP_BUILD_DIR="/hsup/build",
                HSUP_TEST_IN_VM="yes", HSUP_TEST_PATIENCE=str(SLOWER * PATIENCE / 20), PYTHONPATH="/hsup/ftest",
                ASAN_OPTIONS="detect_leaks=0:verify_asan_link_order=0:log_path=/vm/reports/report")
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(told.items()))


def compiled(root):
    """What python would compile first of all: it is in no package, but made when one is installed."""
    for folder in [path for path in (root / "usr/lib").glob("python3*/**") if path.is_dir()]:
        made = pathlib.Path("/") / folder.relative_to(root) / "__pycache__"
        if made.is_dir():
            shutil.copytree(made, folder / "__pycache__")


def install(root, build):
    """The programs where the build has them, and libraries that no package in there brings: a sanitizer's."""
    place = root / "hsup/build"
    (place / "tests").mkdir(parents=True)
    for program in [build / name for name in PROGRAMS] + [p for p in build.glob("tests/drive-*") if p.is_file()]:
        shutil.copy2(program, place / program.relative_to(build))
        listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
        for library in {word for word in listed.split() if word.startswith("/")}:
            there = root / library.lstrip("/")
            if not there.exists():
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(library, there)
    (root / "hsup/helpers").mkdir()
    helpers.make_all(root / "hsup/helpers")


def make_root(folder, build, tests):
    """A folder with all that the machine has on its disk."""
    root = folder / "root"
    root.mkdir(0o755)
    archive = debian_root.make(folder / "root.tar", sorted({*debian_root.setup_packages(ROOT, "--run"), *PACKAGES}))
    subprocess.run(["tar", "-xpf", archive, "-C", root], check=True)
    archive.unlink()
    compiled(root)
    for name in ("ftest", "scripts", "docs"):
        shutil.copytree(ROOT / name, root / "hsup" / name, ignore=shutil.ignore_patterns("__pycache__"))
    install(root, build)
    settings = root / "vm"
    (settings / "reports").mkdir(parents=True)
    (settings / "reports").chmod(0o1777)
    found = modules(*MODULES)
    for name, data in found:
        (settings / f"{name}.ko").write_bytes(data)
    (settings / "order").write_text("".join(f"{name}\n" for name, _ in found))
    (settings / "tests").write_text("".join(f"{test}\n" for test in tests))
    (settings / "environment").write_text(environment())
    (settings / "init").write_text(INIT)
    (settings / "init").chmod(0o755)
    return root


def make_disk(folder, root):
    disk = folder / "disk"
    with disk.open("wb") as f:
        f.truncate(2 << 30)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-I", "256", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", root,
                    disk], check=True)
    shutil.rmtree(root)
    return disk


class NotRun(Exception):
    pass


class Failed(Exception):
    """In there."""


class Told:
    """What vm_results.py has written of each test by now."""

    def __init__(self, path, machine):
        self.channel, self.machine = path.open(), machine
        self.rest, self.of, self.ended = "", {}, False
        self.explained = False

    def read(self):
        """True when there was something new."""
        *lines, self.rest = (self.rest + self.channel.read()).split("\n")
        for line in map(json.loads, lines):
            self.of[line.get("test")] = line
            self.ended |= "end" in line
        return bool(lines)

    def wait(self, test):
        begin = time.monotonic()
        while test not in self.of:
            off = self.machine.process.poll() is not None
            if self.read():
                begin = time.monotonic()
            elif off or self.ended:
                raise NotRun(f"{test} was not run{self.why()}")
            elif time.monotonic() > begin + LIMIT:
                self.machine.process.kill()  # nor will the tests after this one be run
                raise NotRun(f"{test} has not ended within {LIMIT:.0f} s{self.why()}")
            else:
                time.sleep(0.05)
        if not self.of[test]["passed"]:
            raise Failed(self.of[test]["text"])

    def why(self):
        """Once is enough."""
        if self.explained:
            return ""
        self.explained = True
        return f"; the machine said:\n{self.machine.text()}"

    def close(self):
        self.channel.close()


class Suite:
    """One machine that runs all of a session's tests which are to run there, in their order."""

    def __init__(self, build, tests):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hsup-vm-"))
        self.machine = self.told = None
        try:
            disk = make_disk(self.folder, make_root(self.folder, build, tests))
            results = self.folder / "results"
            results.touch()
            self.machine = Machine(
                self.folder, options="root=/dev/nvme0n1 rootwait rw init=/vm/init", memory="2G",
                hardware=["-smp", "2", "-serial", f"file:{results}", "-device", "nvme,drive=disk,serial=disk",
                          "-drive", f"file={disk},format=raw,if=none,id=disk,cache=unsafe"])
            self.told = Told(results, self.machine)
        except BaseException:
            self.end()
            raise

    def judge(self):
        """When all is run: it goes off by itself, and no kernel or sanitizer has complained."""
        assert self.machine.wait() == 0
        assert not self.machine.matches(TROUBLE), self.machine.text()

    def end(self):
        if self.machine:
            self.machine.end()
        if self.told:
            self.told.close()
        shutil.rmtree(self.folder)


class Inside(pytest.Item):
    """What stands for an item here, when that is to run in there."""

    def __init__(self, *, item, build, **more):
        super().__init__(**more)
        self.item, self.build = item, build
        self.there = item.nodeid.replace(IN_VM, "native", 1) if IN_VM in item.name else item.nodeid

    def runtest(self):
        config, all_of_them = self.config, [i for i in self.session.items if isinstance(i, Inside)]
        if not hasattr(config, "suite_in_vm"):
            config.suite_in_vm = None
            config.suite_in_vm = Suite(self.build, [i.there for i in all_of_them])
            config.add_cleanup(config.suite_in_vm.end)
        assert config.suite_in_vm, "there is no machine"
        config.suite_in_vm.told.wait(self.there)
        if self is all_of_them[-1]:
            config.suite_in_vm.judge()

    def repr_failure(self, excinfo, style=None):
        if excinfo.errisinstance((Failed, NotRun)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.item.reportinfo()
