"""Native dynos, for the suite of the drivers: what they are on this machine, what of them must not
stay, and what is otherwise with them (hsup-native(7) says the same to users)."""
import os
import pathlib
import subprocess

from hsup import PATIENCE, wait_until

UIDS = range(6000, 6500)
SUBNET = "10.203.0.0/16"
CGROUPS = pathlib.Path("/sys/fs/cgroup")
RUN = pathlib.Path("/run/hsup")


class Native:
    """What one app's native dynos have on this machine."""

    NAMES = ("native", "libcontainer")
    SETTINGS = {"LIBCONTAINER_DYNO_UID_MIN": str(UIDS[0]), "LIBCONTAINER_DYNO_UID_MAX": str(UIDS[-1]),
                "LIBCONTAINER_DYNO_SUBNET": SUBNET}

    def __init__(self, app):
        self.app = app

    @property
    def layers(self):
        """Of the boxes that are there: their own folders."""
        folder = self.app.folder / "state/native"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

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
        """What native dynos of these tests may leave, by kind; others' may come and go meanwhile."""
        links = {path.name for path in pathlib.Path("/sys/class/net").iterdir()
                 if path.name.startswith("hv") and path.name[2:].isdigit() and int(path.name[2:]) in UIDS}
        cgroups = set()
        for path in [*CGROUPS.glob("hsup/*/cgroup.procs"), *CGROUPS.glob("*/hsup/*/cgroup.procs")]:
            try:
                if not path.read_text():
                    cgroups.add(str(path.parent))
            except OSError:  # gone meanwhile
                pass
        mounts = {line for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
                  if "/hsup-" in line or "native" in line}
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
        return {"links": links, "cgroups": cgroups, "mounts": mounts, "processes": processes, "loops": loops,
                "nft": elements}

    @classmethod
    def judge(cls, apps, before):
        """After a test: the machine is as it was, and no box has a folder left."""
        def left():
            now = cls.machine()
            found = {kind: now[kind] - before[kind] for kind in now if now[kind] - before[kind]}
            layers = [name for app in apps if app.boxes for name in app.boxes.layers]
            return {**found, **({"folders": layers} if layers else {})}
        try:
            wait_until(lambda: not left(), "nothing to be left", PATIENCE / 2)
        except AssertionError:
            raise AssertionError(f"left by native dynos: {left()}") from None


DIFFERENCES = {}
