"""What boxes leave, also those that were killed in the middle."""
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

import cgroups
from box_machine import Machine, lock, machine_of, until
from hsup import PATIENCE

MEMORY = 64 << 20


@pytest.fixture
def machine(build, folder):
    with machine_of(build / "tests" / "drive-box", folder / "m") as m:
        yield m


def swept(machine, n):
    return not (machine.cgroups(n) or (machine.state / "boxes" / machine.name(n)).exists() or
                (machine.run_folder / "boxes" / machine.name(n)).exists())


# ---- who is swept ----


def test_the_living_are_left_alone(machine):
    machine.setup()
    alive = machine.living(0, memory=MEMORY)
    layer = machine.layer(0)
    (layer / "upper" / "file").write_text("mine")
    machine.kill(machine.living(1, memory=MEMORY))
    machine.layer(1)
    done = machine.sweep()
    assert (done.returncode, done.stderr) == (0, "")
    assert swept(machine, 1)
    assert machine.has_table()
    done = machine.sweep(machine.name(0))
    assert done.returncode == 127
    assert done.stderr == "drive-box: removing what it left: Device or resource busy\n"
    assert alive.poll() is None
    assert (layer / "upper" / "file").read_text() == "mine"
    assert machine.connect("10.201.3.2", 5000) == "10.201.3.1"
    assert len(machine.cgroups(0)) == len(cgroups.WITHOUT_LIMITS)
    machine.kill(alive)
    assert machine.sweep(machine.name(0)).returncode == 0
    assert swept(machine, 0)


def test_a_name_in_use_is_not_given_twice(machine):
    machine.setup()
    machine.living(0)
    _, err = machine.box(1, "true", name=machine.name(0)).communicate(timeout=1.5 * PATIENCE)
    assert "box_claim: Device or resource busy" in err


def test_names_that_are_not_there(machine):
    machine.setup()
    assert machine.sweep(machine.name(0), machine.name(1)).returncode == 0
    assert not list((machine.run_folder / "boxes").iterdir())


def test_what_a_reboot_leaves(machine):
    """RUN is gone with all locks; the layers are not."""
    machine.setup()
    machine.layer(0)
    assert not (machine.run_folder / "boxes").exists()
    assert machine.sweep().returncode == 0
    assert swept(machine, 0)


def test_the_living_of_another_run(machine):
    """They have the same STATE: a sweep sees their layers, and none of their claims."""
    machine.setup()
    alive, layer = machine.living(0, memory=MEMORY), machine.layer(0)
    other = {"HSUP_BOX_RUN": str(machine.folder / "other")}
    # Who they are is known by their locks, also where no cgroups are to be seen.
    for sweep in (sweep_alone, Machine.sweep, lambda m, **more: m.sweep(m.name(0), **more)):
        done = sweep(machine, settings=other)
        assert (done.returncode, "busy" in done.stderr) in ((0, False), (127, True)), done.stderr
        assert alive.poll() is None and layer.exists() and len(machine.cgroups(0)) == len(cgroups.WITHOUT_LIMITS)
    assert machine.connect("10.201.3.2", 5000) == "10.201.3.1"
    machine.kill(alive)
    assert machine.sweep(settings=other).returncode == 0
    assert not layer.exists() and not machine.cgroups(0)


def test_the_living_of_another_run_and_of_a_version_without_the_lock(machine):
    machine.setup()
    layer, cgroup = machine.layer(0), cgroups.hierarchy("memory") / "hsup" / machine.name(0)
    other = {"HSUP_BOX_RUN": str(machine.folder / "other")}
    cgroup.mkdir(parents=True)
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (cgroup / "cgroup.procs").write_text(str(sleeper.pid))
        for _ in range(2):
            assert machine.sweep(settings=other).returncode == 0
            assert sleeper.poll() is None and layer.exists() and cgroup.exists()
    finally:
        sleeper.kill()
        sleeper.wait()
    until(lambda: machine.sweep(settings=other).returncode == 0 and swept(machine, 0))


def test_a_lock_of_all_layers_that_goes_while_it_is_waited_for(machine):
    """The last one's sweep removes the file: who comes then is alone in another."""
    machine.setup()
    lock_file = machine.state / "boxes.lock"
    assert machine.sweep(machine.name(0)).returncode == 0
    assert lock_file.stat().st_mode & 0o7777 == 0o600
    with open(lock_file, "r+") as f:
        lock(f, 1, 12345, 1)
        assert sweep_alone(machine).returncode == 0
        assert lock_file.exists()
    machine.setup()
    assert sweep_alone(machine).returncode == 0
    assert not lock_file.exists()


def test_cgroups_of_another_run(machine):
    """Of whom we know nothing: only what is old and empty goes."""
    machine.setup()
    young, old, used = (cgroups.hierarchy("memory") / "hsup" / machine.name(n) for n in ("young", "old", "used"))
    for path in (young, old, used):
        path.mkdir(parents=True)
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (used / "cgroup.procs").write_text(str(sleeper.pid))
        for path in (old, used):
            os.utime(path, (1, 1))
        assert machine.sweep().returncode == 0
        assert (young.exists(), old.exists(), used.exists()) == (True, False, True)
        assert sleeper.poll() is None
        # And they are behind the table, too.
        assert machine.has_table()
    finally:
        sleeper.kill()
        sleeper.wait()
        for path in (young, used):
            until(lambda: not path.exists() or not (path / "cgroup.procs").read_text())
            path.rmdir()


def test_processes_that_are_left_are_killed(machine):
    """Not of the namespace of its init: somebody put them into its cgroups."""
    machine.setup()
    box = machine.living(0)
    sleeper = subprocess.Popen(["sleep", "60"])
    for path in machine.cgroups(0):
        (path / "cgroup.procs").write_text(str(sleeper.pid))
    machine.kill(box)
    assert machine.sweep(machine.name(0)).returncode == 0
    assert sleeper.wait(PATIENCE / 2) == -signal.SIGKILL
    assert swept(machine, 0)


# ---- all of it ----


def sweep_alone(machine, **more):
    """Where no cgroups are to be seen: those of other tests would keep the table."""
    return machine.run("unshare", "-m", "sh", "-c", 'umount -l /sys/fs/cgroup; exec "$0" sweep', machine.drive, **more)


def test_nobody_left(machine):
    machine.setup()
    machine.kill(machine.living(0))
    assert machine.sweep(machine.name(0)).returncode == 0
    assert machine.has_table()
    done = sweep_alone(machine)
    assert (done.returncode, done.stderr) == (0, "")
    assert not machine.has_table()
    assert not machine.run_folder.exists()
    assert not list(machine.state.iterdir())
    # Without it, a sweep is nothing to do; and all can begin again.
    assert sweep_alone(machine).returncode == 0
    machine.setup()
    machine.living(0)


@pytest.mark.parametrize("file, kind, start", [("present", 0, 0), ("native.uids", 1, 4321)])
def test_somebody_left(machine, file, kind, start):
    """A driver, or a box that has a uid and has claimed no name yet."""
    machine.setup()
    with open(machine.run_folder / file, "r+") as f:
        lock(f, kind, start, 1 if start else 0)
        assert sweep_alone(machine).returncode == 0
        assert machine.has_table()
        assert (machine.run_folder / "native.uids").exists()
    assert sweep_alone(machine).returncode == 0
    assert not machine.has_table()


def test_a_port_when_the_file_of_its_lock_has_gone(machine):
    machine.setup()
    claim = machine.run_folder / "boxes" / machine.name(0)
    claim.parent.mkdir(mode=0o700, exist_ok=True)
    claim.write_text("6100\n5000\n0\n")
    (machine.run_folder / "native.uids").unlink()
    done = machine.sweep(machine.name(0))
    assert (done.returncode, done.stderr) == (0, "")
    assert swept(machine, 0)


# ---- hostile layers ----


def test_a_deep_tree(machine):
    machine.setup()
    layer = machine.layer(0)
    fd = os.open(layer / "upper", os.O_DIRECTORY)
    for _ in range(10000):
        os.mkdir("d" * 200, dir_fd=fd)
        below = os.open("d" * 200, os.O_DIRECTORY, dir_fd=fd)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=below))
        os.close(fd)
        fd = below
    os.close(fd)
    done = machine.sweep(machine.name(0))
    assert (done.returncode, done.stderr) == (0, "")
    assert swept(machine, 0)


def test_odd_content(machine):
    machine.setup()
    canary = machine.folder / "canary"
    canary.mkdir()
    (canary / "file").write_text("alive")
    upper = machine.layer(0) / "upper"
    for name in (b"x" * 255, b"\xff\xfe\n", b"...", b"hsup-0", b" ", "\u202e".encode()):
        os.mkdir(os.path.join(os.fsencode(upper), name))
        os.close(os.open(os.path.join(os.fsencode(upper), name, name), os.O_CREAT))
        os.mkdir(os.path.join(os.fsencode(upper), name, b"d" + name[:200]))
        os.close(os.open(os.path.join(os.fsencode(upper), name, b"d" + name[:200], b"f"), os.O_CREAT))
    (upper / "hsup-0" / "hsup-1" / "hsup-0" / "hsup-0").mkdir(parents=True)
    for target in (canary, "..", "/", canary / "file", "nowhere"):
        (upper / f"link{hash(str(target))}").symlink_to(target)
    os.mkfifo(upper / "fifo")
    os.mknod(upper / "whiteout", 0o20000, 0)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(upper / "socket"))
    shut = upper / "shut" / "below"
    shut.mkdir(parents=True)
    (shut / "file").write_text("x")
    os.link(canary / "file", upper / "hard")
    for path in (shut / "file", shut, upper / "shut"):
        path.chmod(0)
    done = machine.sweep(machine.name(0))
    assert (done.returncode, done.stderr) == (0, "")
    assert swept(machine, 0)
    assert (canary / "file").read_text() == "alive"


def test_a_dyno_that_has_filled_the_disk(machine, request):
    """There is no room for its folders in another one, until its files have gone."""
    disk = machine.folder / "disk"
    machine.state.mkdir()
    with open(disk, "wb") as file:
        file.truncate(24 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "1024", "-O", "^has_journal", disk], check=True)
    subprocess.run(["mount", "-o", "loop", disk, machine.state], check=True)
    request.addfinalizer(lambda: subprocess.run(["umount", machine.state], check=True))
    machine.setup()
    upper = machine.layer(0) / "upper"
    for i in range(400):
        (upper / f"{i:0200}" / "x" / "y").mkdir(parents=True)
    with open(upper / "all", "wb", 0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"x" * 4096)
    done = machine.sweep(machine.name(0))
    assert (done.returncode, done.stderr) == (0, "")
    assert swept(machine, 0)


def test_a_layer_that_is_a_link(machine):
    machine.setup()
    canary = machine.folder / "canary"
    canary.mkdir()
    (canary / "file").write_text("alive")
    (machine.state / "boxes" / machine.name(0)).symlink_to(canary)
    assert machine.sweep(machine.name(0)).returncode == 127
    assert (canary / "file").read_text() == "alive"
    os.unlink(machine.state / "boxes" / machine.name(0))


def test_many_files(machine):
    machine.setup()
    layer = machine.layer(0)
    for sub in ("upper/a", "upper/b/c", "tmp"):
        path = layer / sub
        path.mkdir(parents=True, exist_ok=True)
        for i in range(10000):
            os.close(os.open(path / f"{i}", os.O_CREAT | os.O_WRONLY))
    for i in range(3000):
        (layer / "tmp" / f"d{i}" / "x" / "y").mkdir(parents=True)
    assert machine.sweep(machine.name(0)).returncode == 0
    assert swept(machine, 0)


def test_what_is_mounted_in_it_is_not_crossed(machine):
    machine.setup()
    layer = machine.layer(0)
    canary = machine.folder / "canary"
    canary.mkdir()
    (canary / "file").write_text("alive")
    for sub in ("upper/m", "upper/deep/er/m", "tmp"):
        (layer / sub).mkdir(parents=True, exist_ok=True)
    done = machine.run("unshare", "-m", "sh", "-c",
                       'for p in upper/m upper/deep/er/m tmp; do mount --bind "$2" "$1/$p" || exit 99; done; '
                       'exec "$0" sweep "$3"', machine.drive, layer, canary, machine.name(0))
    assert done.returncode == 127
    assert (canary / "file").read_text() == "alive"
    # It is found again: its claim has not gone.
    assert machine.sweep().returncode == 0
    assert swept(machine, 0)


def test_one_file_that_cannot_go(machine):
    machine.setup()
    layer = machine.layer(0)
    stays = layer / "upper" / "a" / "b" / "stays"
    stays.parent.mkdir(parents=True)
    stays.write_text("x")
    for i in range(100):
        (layer / "upper" / "a" / f"f{i}").write_text("x")
    subprocess.run(["chattr", "+i", stays], check=True)
    done = machine.sweep(machine.name(0))
    assert done.returncode == 127
    assert "Operation not permitted" in done.stderr
    left = [p for p in layer.rglob("*") if not p.is_dir()]
    assert [p.name for p in left] == ["stays"]
    subprocess.run(["chattr", "-i", left[0]], check=True)
    assert machine.sweep().returncode == 0
    assert swept(machine, 0)


def test_a_sweep_that_is_killed_is_taken_up_again(machine):
    machine.setup()
    layer = machine.layer(0)
    for i in range(2000):
        (layer / "upper" / f"{i}" / "x" / "y").mkdir(parents=True)
    sweep = machine.start(machine.drive, "sweep", machine.name(0))
    until(lambda: (machine.run_folder / "boxes" / machine.name(0)).exists() or sweep.poll() is not None)
    time.sleep(0.02)
    machine.kill(sweep)
    until(lambda: machine.sweep().returncode == 0 and swept(machine, 0))


def test_births_and_sweeps_at_once(machine):
    """Whoever is just being born is no remains."""
    machine.setup()
    code = "import time; time.sleep(0.05)"
    for turn in range(5):
        boxes = [machine.python(n, code, name=machine.name(f"{turn}x{n}")) for n in range(10)]
        while any(b.poll() is None for b in boxes):
            assert machine.sweep().returncode == 0
        for b in boxes:
            assert b.returncode == 0, b.stderr.read()
    assert machine.sweep().returncode == 0
    assert not cgroups.of_boxes(f"{machine.mark}*")


# ---- layers that are made ahead ----


def spares(machine):
    """Their names; each is complete, of root, and nobody has had it."""
    found = sorted((machine.state / "spares").iterdir())
    for spare in found:
        assert sorted(p.name for p in spare.iterdir()) == ["tmp", "upper", "work"]
        modes = [p.stat().st_mode & 0o7777 for p in (spare, spare / "tmp", spare / "upper", spare / "work")]
        assert modes == [0o711, 0o1777, 0o755, 0o700]
        assert all(p.stat().st_uid == 0 and not list(p.iterdir()) for p in spare.iterdir())
    return [p.name for p in found]


def test_a_sweep_makes_layers_ahead(machine):
    machine.setup()
    alive = machine.living(0)
    assert machine.sweep(machine.name(1)).returncode == 0
    all_of_them = [str(i) for i in range(8)]
    assert spares(machine) == all_of_them
    # One was taken, and who made another has died.
    shutil.rmtree(machine.state / "spares" / "3")
    (machine.state / "spares" / "new" / "work").mkdir(parents=True)
    (machine.state / "spares" / "new").chmod(0o711)
    (machine.state / "spares" / "new" / "work").chmod(0o700)
    assert machine.sweep(machine.name(1)).returncode == 0
    assert spares(machine) == all_of_them
    # As long as somebody lives he may be followed by others.
    assert machine.sweep().returncode == 0
    assert spares(machine) == all_of_them
    machine.kill(alive)
    assert machine.sweep().returncode == 0
    assert not (machine.state / "spares").exists()


def test_layers_are_made_ahead_by_one_at_a_time(machine):
    machine.setup()
    (machine.state / "spares").mkdir(mode=0o700)
    fd = os.open(machine.state / "spares", os.O_DIRECTORY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert machine.sweep(machine.name(0)).returncode == 0
    assert spares(machine) == []
    os.close(fd)
    assert machine.sweep(machine.name(0)).returncode == 0
    assert len(spares(machine)) == 8


@pytest.mark.parametrize("how", ["link", "theirs", "open"])
def test_no_layer_is_made_in_a_folder_of_others(machine, folder, how):
    machine.setup()
    place, elsewhere = machine.state / "spares", folder / "elsewhere"
    elsewhere.mkdir()
    if how == "link":
        place.symlink_to(elsewhere)
    else:
        place.mkdir()
        place.chmod(0o777 if how == "open" else 0o700)
        os.chown(place, 0 if how == "open" else 4250, 0)
    assert machine.sweep(machine.name(0)).returncode == 0
    assert not list(place.iterdir()) and not list(elsewhere.iterdir())
    # Nor is what others hold in it looked at.
    machine.sweep()
    assert elsewhere.exists()
