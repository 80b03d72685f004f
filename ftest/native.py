"""Native dynos, for the suite of the drivers: what they are on this machine, what of them must not
stay, and what is otherwise with them (hsup-native(7) says the same to users)."""
import os
import pathlib
import shlex
import shutil
import subprocess
import urllib.request

import cgroups
from hsup import PATIENCE, children_of, is_reserve, wait_until

UIDS = range(6000, 6500)
SUBNET = "10.203.0.0/16"
RUN = pathlib.Path("/run/hsup")
ROOTLESS = "native-rootless"
USER = 6750  # without an account, and root's of nothing
DROP = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]


class Native:
    """What one app's native dynos have on this machine."""

    NAMES = ("native", "libcontainer", ROOTLESS)
    SETTINGS = {"LIBCONTAINER_DYNO_UID_MIN": str(UIDS[0]), "LIBCONTAINER_DYNO_UID_MAX": str(UIDS[-1]),
                "LIBCONTAINER_DYNO_SUBNET": SUBNET}

    def __init__(self, app):
        self.app = app

    @property
    def owner(self):
        """What the names of its boxes begin with."""
        path = self.app.control / ".hsup/owner"
        return path.read_text().strip()[:16] if path.exists() else "none"

    @property
    def layers(self):
        """Of the boxes that are there: their own folders."""
        folder = self.app.folder / "state/native/boxes"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    @staticmethod
    def leads(pid):
        """A dyno itself: in its pid namespace it is always the second."""
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return False
        pids = next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
        return len(pids) > 1 and pids[-1] == "2"

    def settled(self, look):
        """What `look` finds, {(dyno, pid)}, when no box is being born: hsup counts StartSeconds from their order on,
        and the suite's are few. A program that is just being executed has no environment, and is not found."""
        def comm(pid):
            return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()

        def leaders():
            """Of those that have begun; raises when one has not."""
            found = set()
            for child in children_of(self.app.launcher):
                if is_reserve(child):
                    continue
                name, first = comm(child), children_of(child)[:1]
                if name == "hsup-launcher" or name == "hsup-box" and (not first or comm(first[0]) == "hsup-box"):
                    raise ProcessLookupError
                found |= {pid for pid in first if name == "hsup-box" and self.leads(pid)}
            return found

        def seen():
            try:
                before = leaders()
                found = look()
                return [found] if not before & leaders() - {pid for _, pid in found} else None
            except OSError:  # one has ended just now
                return [look()] if self.app.process.poll() is not None else None
        if self.app.process is None or self.app.process.poll() is not None:
            return look()
        return wait_until(seen, "all births to end")[0]

    @staticmethod
    def inits(pids):
        """The first processes of these ones' pid namespaces: hsup-box."""
        found = set()
        for pid in pids:
            try:
                parent = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
                if pathlib.Path(f"/proc/{parent}/comm").read_text().strip() == "hsup-box":
                    found.add(parent)
            except OSError:
                pass
        return sorted(found)

    @staticmethod
    def machine():
        """What native dynos may leave, by kind: of these tests' uids, as others' may come and go meanwhile."""
        links = {path.name for path in pathlib.Path("/sys/class/net").iterdir()
                 if path.name.startswith("hv") and path.name[2:].isdigit() and int(path.name[2:]) in UIDS}
        empty = set()
        for path in cgroups.of_boxes("*/cgroup.procs"):
            try:
                if not path.read_text():
                    empty.add(str(path.parent))
            except OSError:  # gone meanwhile
                pass
        mounts = set(pathlib.Path("/proc/self/mountinfo").read_text().splitlines())
        processes = set()
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if path.stat().st_uid in UIDS:
                    processes.add(path.name)
            except OSError:
                pass
        loops = set(subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True).stdout.splitlines())
        rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        elements = {line.strip() for line in rules.splitlines() if "10.203." in line and SUBNET not in line}
        return {"links": links, "cgroups": empty, "mounts": mounts, "processes": processes, "loops": loops,
                "nft": elements}

    @classmethod
    def judge(cls, apps, before):
        """After a test: the machine is as it was, and no box has a folder left."""
        def left():
            now = cls.machine()
            owners = [app.boxes.owner for app in apps if app.boxes]
            now["cgroups"] = {path for path in now["cgroups"] if os.path.basename(path).startswith(tuple(owners))}
            now["mounts"] = {line for line in now["mounts"] if any(str(app.folder) in line for app in apps)}
            found = {kind: now[kind] - before[kind] for kind in now if now[kind] - before[kind]}
            layers = [name for app in apps if app.boxes for name in app.boxes.layers]
            return {**found, **({"folders": layers} if layers else {})}
        try:
            wait_until(lambda: not left(), "nothing to be left", PATIENCE / 2)
        except AssertionError:
            raise AssertionError(f"left by native dynos: {left()}") from None
        # The environment of hsup-box does not say where a sanitizer is to write: it writes to the dyno's output.
        reports = [line for app in apps for line in app.lines if "Sanitizer" in line or "runtime error:" in line]
        assert not reports, "\n".join(reports)


def scripts_of_the_slug_only(app):
    """The machine's own root is the stack: no profile script of a test's is there."""
    app.start()
    app.submit(app.release(("line", ["echo got $FROM_APP_PROFILE.; exec sleep 1000"], 1),
                           ("argv", ["printenv", "FROM_APP_PROFILE"], 1)))
    app.wait_line(r"app\[line\.1\]: got \+app\.$")
    app.wait_line(r"app\[argv\.1\]: \+app$")


def a_user_cannot_be_chosen(app):
    """Each dyno has one of its own, so that none can do anything to another."""
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["true"], "User": "nobody"}))
    app.wait_rejected("a native dyno has a user of its own and cannot be nobody")
    app.submit(app.release(
        {"Type": "web", "Args": ["echo $PWD $(id -un) $(umask); exec sleep 1000"], "Directory": "/tmp", "Umask": "027"},
        {"Type": "below", "Args": ["echo ${PWD##*/}; exec sleep 1000"], "Directory": ".profile.d"}, Version=2))
    app.wait_line(r"app\[web\.1\]: /tmp dyno 0027$")
    app.wait_line(r"app\[below\.1\]: \.profile\.d$")


def ports_are_the_same(app):
    """Each has a network of its own: the addresses differ, and there it is reached."""
    app.start()
    app.submit(app.release({"Type": "web", "Quantity": 3, "Ready": {"Listen": True, "Interval": 0.05}, "Args": [
        "printf 'HTTP/1.1 200 OK\\r\\n\\r\\n%s' $DYNO > /tmp/answer; exec ./tool serve /tmp/answer"]}))
    app.wait_up("web.1", "web.2", "web.3")
    dynos = app.ps()
    assert len({dyno["address"] for dyno in dynos.values()}) == 3
    assert {dyno["port"] for dyno in dynos.values()} == {5000}
    for name, dyno in dynos.items():
        with urllib.request.urlopen(f"http://{dyno['address']}:{dyno['port']}/", timeout=5) as answer:
            assert answer.read().decode() == name


def limits_are_the_dyno_s_own(app):
    """Also while its cgroup is not joined yet."""
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["ulimit -n; exec ./tool forks 60"],
                            "Limits": {"OpenFiles": 123, "Processes": 40}}))
    app.wait_line(r"app\[web\.1\]: 123$")
    assert 1 < int(app.wait_line(r"app\[web\.1\]: forked (\d+)$").group(1)) < 40


def cpu_can_be_limited(app):
    """test_native.py says what that does."""
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["exec sleep 1000"], "Limits": {"CPU": 0.5}}))
    app.wait_up("web.1")
    app.no_line("Limits.CPU")


def make_rootless(app):
    """All of hsup is USER's: `app.build` has an hsup that becomes him, whoever runs it."""
    programs, app.build = app.folder / "programs", app.folder / "bin"
    for folder in (programs, app.build):
        folder.mkdir()
    for name in ("hsup", "hsup-launcher", "hsup-slug", "hsup-box"):
        shutil.copy(app.program.parent / name, programs)
    app.program = programs / "hsup"
    (app.build / "hsup").write_text(f'#!/bin/sh\nexec {shlex.join(DROP)} {app.program} "$@"\n')
    (app.build / "hsup").chmod(0o755)
    for path in (app.folder, app.control):
        os.chown(path, USER, USER)
    app.env.update(PATH="/usr/bin:/bin", HOME=str(app.folder))


def cpu_without_cgroups(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["exec sleep 1000"], "Limits": {"CPU": 0.5}}))
    app.wait_up("web.1")
    app.wait_line(r"warning: Limits\.CPU of web has no effect: this machine has no cgroups for it")


DIFFERENCES = {
    "test_profile_scripts": scripts_of_the_slug_only,
    "test_directory_user_and_umask": a_user_cannot_be_chosen,
    "test_ports_are_each_dyno_s_own": ports_are_the_same,
    "test_open_files_and_processes": limits_are_the_dyno_s_own,
    "test_cpu": cpu_can_be_limited,
}
# Of who is not root: all are on the machine's network, and are he.
ROOTLESS_DIFFERENCES = {
    "test_profile_scripts": scripts_of_the_slug_only,
    "test_directory_user_and_umask": a_user_cannot_be_chosen,
    "test_open_files_and_processes": limits_are_the_dyno_s_own,
    "test_cpu": cpu_without_cgroups,
}
# The part of the drivers' suite that is always run without root: a bit of everything. The rest is what
# root's is, and is run when the driver is named (scripts/ftest --driver native-rootless).
ROOTLESS_ALWAYS = {
    "test_exactly_the_wanted_dynos_run", "test_a_crash_is_restarted", "test_another_slug_replaces_all",
    "test_every_process_of_a_dyno_is_told", "test_every_process_of_a_deaf_dyno_is_killed",
    "test_an_exit_meanwhile_is_seen", "test_kill_of_supervisor_and_launcher_and_a_new_start",
    "test_what_a_dyno_gets", "test_streams_are_told_apart", "test_how_it_ended", "test_directory_user_and_umask",
    "test_binds", "test_ports_are_each_dyno_s_own", "test_run_gives_the_code", "test_run_passes_all_through",
    "test_run_told_to_end", "test_run_beside_a_running_app", "test_ps", "test_attach", "test_ready_command",
    "test_ready_notify", "test_open_files_and_processes", "test_cpu",
}
