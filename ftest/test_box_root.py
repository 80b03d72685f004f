"""The root of a native dyno, with all that a stack, a slug and a spec may try.

By tests/drive-box-root: hsup-box's own root, and a command in it. Everything is made in a folder of
the test's own; what is mounted is in a mount namespace that ends with the command.
"""
import ctypes
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

import pytest

UID = 4200
ROOT_OWNER, SLUG_OWNER, USER = 0, 4250, 4260
BUSYBOX = "/usr/bin/busybox"
TOOLS = "sh cat ls id stat touch echo mkdir grep head wc test readlink mount find".split()
RENAME_EXCHANGE = 2


class Machine:
    """Folders of stacks, slugs, binds and layers; and a drive to start boxes with."""

    def __init__(self, folder, build):
        self.folder, self.drive = folder, build / "tests" / "drive-box-root"
        self.stacks, self.slugs, self.binds, self.state = (
            folder / name for name in ("stacks", "slugs", "binds", "state"))
        for each in (self.stacks, self.slugs, self.binds, self.state):
            each.mkdir()
        self.canary = folder / "canary"
        self.canary.mkdir()
        (self.canary / "here").write_text("the machine's")
        self.boxes = 0

    def stack(self, name="bb", sub=True):
        stack = self.stacks / name
        root = stack / "rootfs" if sub else stack
        (root / "bin").mkdir(parents=True)
        shutil.copy(BUSYBOX, root / "bin" / "busybox")
        for tool in TOOLS:
            (root / "bin" / tool).symlink_to("busybox")
        return root

    def slug(self, name="s1", owner=SLUG_OWNER):
        slug = self.slugs / name
        slug.mkdir()
        (slug / "file").write_text("of the slug\n")
        for path in (slug, slug / "file"):
            os.chown(path, owner, owner)
        return slug

    def argv(self, *command, stack="bb", slug=None, binds=(), options=(), settings=(), name=None):
        self.boxes += 1
        argv = [self.drive, "-s", stack, "-n", name or f"box.{self.boxes}", "-u", str(UID),
                "-S", f"HSUP_BOX_STACKS={self.stacks}", "-S", f"HSUP_BOX_SLUGS={self.slugs}",
                "-S", f"HSUP_BOX_BINDS={self.binds}", "-S", f"HSUP_BOX_STATE={self.state}"]
        for setting in settings:
            argv += ["-S", setting]
        if slug:
            argv += ["-l", str(slug), "-o", str(SLUG_OWNER)]
        for bind in binds:
            argv += ["-b", bind]
        return [str(a) for a in [*argv, *options, "--", *command]]

    def start(self, script, before=(), shell="/bin/sh", **how):
        argv = [*before, *self.argv(shell, "-c", script, **how)]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    def run(self, script, **how):
        done = self.start(script, **how)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, what, **how):
        done = self.start("echo ran", **how)
        assert done.returncode == 1 and done.stdout == "", (done.stdout, done.stderr)
        assert what in done.stderr, done.stderr


def left(folder):
    """What boxes may have left: mounts (not those that other tests have at the same time), loop devices."""
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    found = [line for line in lines
             if str(folder) in line or not line.split()[4].startswith(("/run/netns/", "/tmp/"))]
    for loop in pathlib.Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            found += [loop.read_text()] if str(folder) in loop.read_text() else []
        except OSError:
            pass  # it is going
    return found


@pytest.fixture
def machine(build):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hsup-root-"))
    folder.chmod(0o755)
    before = left(folder)
    try:
        machine = Machine(folder, build)
        yield machine
        # Whatever a stack tried, the machine's own is as it was.
        assert [p.name for p in machine.canary.iterdir()] == ["here"]
        assert (machine.canary / "here").read_text() == "the machine's"
        assert left(folder) == before
    finally:
        shutil.rmtree(folder)


def table(text):
    """mountinfo: the last mount of each place: (type, root in its file system, options)."""
    found = {}
    for line in text.splitlines():
        fields = line.split()
        if "-" not in fields:
            continue
        found[fields[4]] = (fields[fields.index("-") + 1], fields[3], set(fields[5].split(",")))
    return found


OWN = {"/": "overlay", "/proc": "proc", "/sys": "sysfs", "/dev": "tmpfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs",
       "/dev/mqueue": "mqueue", "/run": "tmpfs"}
LOOK = "cat /proc/self/mountinfo"


def check_mounts(text, root="overlay"):
    found = table(text)
    for place, kind in {**OWN, "/": root}.items():
        assert found[place][0] == kind, (place, found[place])
    for place, (_, _, options) in found.items():
        assert "nosuid" in options, place
        assert "nodev" in options or place.startswith("/dev"), place
    assert "ro" in found["/"][2] and "ro" in found["/sys"][2] and "ro" in found["/dev"][2]
    for place in ("/app", "/tmp", "/var/tmp"):
        assert "rw" in found[place][2]
    return found


# ---- what a dyno sees ----

def test_a_root_has_what_programs_expect(machine):
    machine.stack()
    out = machine.run(LOOK, slug=machine.slug())
    found = check_mounts(out)
    assert found["/app"][0] == "overlay"
    assert "shared:" not in out and "master:" not in out
    # Of the machine nothing but its own layer.
    for place, (kind, root, _) in found.items():
        if place in ("/tmp", "/var/tmp"):
            assert root.endswith("/boxes/box.1/tmp")
        else:
            assert str(machine.folder) not in root, place
    assert str(machine.folder) not in out.replace("/boxes/box.1/tmp", "").replace(str(machine.state), "")


def test_what_is_ours_is_written_and_nothing_else(machine):
    machine.stack()
    slug = machine.slug()
    out = machine.run(
        "cd /app && echo more >> file && echo new > new && cat file && stat -c %u:%g file new . /tmp /run;"
        "touch /tmp/t /var/tmp/v /run/r /dev/shm/s || echo no;"
        "for f in /x /dev/x /etc/x /bin/x /var/x /proc/sys/kernel/hostname /sys/x; do"
        " (echo > $f) 2>/dev/null && echo wrote $f; done; ls /tmp; true", slug=slug)
    own = f"{UID}:{UID}"
    assert out.split("\n")[:7] == ["of the slug", "more", own, own, own, own, own]
    assert out.split("\n")[7:-1] == ["t", "v"]  # one folder
    assert (slug / "file").read_text() == "of the slug\n" and not (slug / "new").exists()
    upper = machine.state / "boxes" / "box.1" / "upper"
    assert (upper / "new").stat().st_uid == UID and oct((machine.state / "boxes").stat().st_mode)[-3:] == "700"


def test_files_show_their_right_owners(machine):
    root = machine.stack()
    (root / "owned").write_text("")
    os.chown(root / "owned", 33, 44)
    out = machine.run("stat -c %u:%g /owned / /bin/busybox /etc/passwd /dev /dev/null; id -u", slug=machine.slug())
    assert out.split() == ["33:44", *["0:0"] * 5, str(UID)]


def test_devices_are_the_real_ones(machine):
    machine.stack()
    script = ("cd /dev; stat -c '%n %t:%T' null zero full random urandom tty; echo x > /dev/null;"
              "head -c 3 /dev/zero | wc -c; for l in fd stdin ptmx; do readlink $l; done; (echo x > /dev/full) 2>&1;"
              "ls -d /dev/console 2>/dev/null; ")
    want = ["null 1:3", "zero 1:5", "full 1:7", "random 1:8", "urandom 1:9", "tty 5:0", "3", "/proc/self/fd",
            "/proc/self/fd/0", "pts/ptmx"]
    made = machine.run(script + "true")
    assert made.splitlines()[:10] == want and "No space left" in made and "console" not in made
    # Where none can be made, they are the machine's.
    no_mknod = ["setpriv", "--bounding-set", "-mknod", "--inh-caps", "-mknod"]
    bound = machine.run(script + LOOK, before=no_mknod)
    assert bound.splitlines()[:10] == want
    found = table(bound)
    assert found["/dev/null"][1] == "/null" and {"nosuid", "noexec"} <= found["/dev/null"][2]


def test_masks(machine):
    machine.stack()
    names = "acpi interrupts kcore keys scsi timer_list ../sys/firmware ../sys/devices/virtual/powercap"
    there = [name for name in names.split() if os.path.exists(f"/proc/{name}")]
    assert "interrupts" in there
    script = (f"cd /proc; for f in {' '.join(there)}; do"
              " if test -d $f; then ls $f; else cat $f; fi; done;"
              "(echo 1 > sys/kernel/panic) 2>&1;")
    out = machine.run(script + LOOK)
    assert "panic: Read-only" in out.splitlines()[0] and " - " in out.splitlines()[1], out
    found = table(out)
    for place in ("/proc/sys", "/proc/irq", "/proc/fs", "/proc/bus"):
        assert "ro" in found[place][2]
    assert "panic: Permission denied" in machine.start(script, settings=["HSUP_BOX_SKIP=readonly"]).stdout
    assert "CPU0" in machine.start(script, settings=["HSUP_BOX_SKIP=masks"]).stdout


def resolvers(machine, conf, resolved, options=()):
    """/etc/resolv.conf of a dyno, on a machine that has these."""
    (machine.folder / "conf").write_text(conf)
    script = "mount --bind $0/conf /etc/resolv.conf && mount -t tmpfs run /run && "
    if resolved is not None:
        (machine.folder / "resolved").write_text(resolved)
        script += "mkdir -p /run/systemd/resolve && cp $0/resolved /run/systemd/resolve/resolv.conf && "
    argv = machine.argv("/bin/sh", "-c", "cat /etc/resolv.conf", options=options)
    done = subprocess.run(["unshare", "-m", "sh", "-c", script + 'exec "$@"', machine.folder, *argv],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_who_resolves_names(machine):
    machine.stack()
    stub, real, host = "nameserver 127.0.0.53\noptions edns0\n", "nameserver 192.0.2.1", ["-H"]
    assert resolvers(machine, stub, real) == real + "\n"
    assert resolvers(machine, "nameserver ::1\n", real) == real + "\n"
    # There is none: the machine's own is asked.
    assert resolvers(machine, "# none\n", real) == real + "\n"
    assert resolvers(machine, stub, None) == stub
    # The loopback is the machine's.
    assert resolvers(machine, stub, real, host) == stub
    # Another one is there.
    both = stub + "nameserver 192.0.2.2\n"
    assert resolvers(machine, both, real) == both


def test_names_and_sys_with_the_machines_network(machine):
    machine.stack()
    out = machine.run("cat /etc/hosts /etc/hostname; ls /sys; " + LOOK, options=["-h", "web-1"])
    assert "\n10.201.2.2\tweb-1\nweb-1\n" in out and "devices" in out
    out = machine.run("ls -A /sys; " + LOOK, options=["-H"])
    assert "devices" not in out and table(out)["/sys"][1] == "/empty"


@pytest.mark.parametrize("attribute", ["nosuid", "nodev"])
def test_an_attribute_left_out_is_missed(machine, attribute):
    machine.stack()
    found = table(machine.run(LOOK, settings=[f"HSUP_BOX_SKIP={attribute}"]))
    assert attribute not in found["/app"][2] and attribute not in found["/"][2]


def test_without_a_slug_and_without_a_folder_for_layers(machine):
    machine.stack()
    out = machine.run("cd /app && echo x > y && ls && cat /proc/self/mountinfo")
    assert out.startswith("y\n") and table(out[2:])["/app"][1].endswith("/boxes/box.1/upper")
    argv = machine.argv("/bin/sh", "-c", "cd /app && ls && echo x > y; " + LOOK, slug=machine.slug())
    at = argv.index(f"HSUP_BOX_STATE={machine.state}")
    done = subprocess.run(argv[:at - 1] + argv[at + 1:], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("file\n") and table(done.stdout[5:])["/tmp"][0] == "tmpfs"


# ---- hostile stacks ----

PLACES = ["proc", "sys", "dev", "app", "tmp", "var", "run", "etc", "etc/passwd", "etc/hosts", "etc/resolv.conf"]


def put_in_place(root, place, what, canary):
    path = root / place
    path.parent.mkdir(exist_ok=True)
    if what == "file":
        path.write_text("a file")
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
        (path / "inside").write_text("")
    else:
        to = {"absolute": str(canary), "relative": "bin", "escaping": "../" * 20 + str(canary)[1:],
              "magic": "/proc/1/root" + str(canary), "loop": path.name}[what]
        path.symlink_to(to)


@pytest.mark.parametrize("what", ["absolute", "relative", "escaping", "magic", "loop", "file", "fifo", "folder"])
def test_what_a_stack_has_in_our_places_does_not_exist(machine, what):
    slug = machine.slug()
    for number, place in enumerate(PLACES):
        root = machine.stack(f"bad{number}")
        put_in_place(root, place, what, machine.canary)
        out = machine.run(f"{LOOK}; echo; cat /etc/passwd; echo x > /tmp/x; echo x > /app/x", slug=slug,
                          stack=f"bad{number}")
        text, passwd = out.split("\n\n")
        check_mounts(text)
        assert passwd.splitlines()[1].startswith(f"dyno:x:{UID}:{UID}:"), place


def test_a_stack_without_any_mount_point(machine):
    machine.stack(sub=False)
    check_mounts(machine.run(LOOK))


def test_the_stacks_own_users_stay_beside_ours(machine):
    root = machine.stack()
    (root / "etc").mkdir()
    lines = ["root:x:0:0:their root:/:/bin/evil", "daemon:x:1:1::/:/bin/false", "dyno:x:50:50::/:/bin/evil",
             "user:x:1000:1000::/:/bin/sh", "broken", "also:x", ":x:3:3::/:/x", "minus:x:-1:1::/:/x",
             "toor:x:0:0::/:/x", *("x" * n + ":x:7:7::/:/x" for n in (1012, 1024, 2040, 3000)), "nobody:x:99:99::/:/x", "+::::::", "last:x:999:999::/:/bin/false"]
    (root / "etc" / "passwd").write_text("\n".join(lines))
    (root / "etc" / "group").write_text("tty:x:5:\ndyno:x:60:\nusers:x:1000:\n")
    (root / "etc" / "other").write_text("kept")
    out = machine.run("cat /etc/passwd; echo; cat /etc/group; cat /etc/other")
    passwd, group = out.split("\n\n")
    assert [line.split(":")[0] for line in passwd.splitlines()] == ["root", "dyno", "daemon", "last", "nobody"]
    assert passwd.splitlines()[1] == f"dyno:x:{UID}:{UID}:dyno:/app:/bin/sh"
    assert group == f"root:x:0:\ndyno:x:{UID}:\ntty:x:5:\nnogroup:x:65534:\nkept"
    (root / "bin" / "bash").symlink_to("busybox")
    assert "dyno:/app:/bin/bash" in machine.run("cat /etc/passwd")


def test_a_stacks_endless_passwd_is_cut(machine):
    root = machine.stack()
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("".join(f"u{n}:x:{n % 900 + 1}:1::/:/x\n" for n in range(100000)))
    assert int(machine.run("wc -c < /etc/passwd")) < 68000


def exchange(folder, a, b):
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.renameat2(folder, a.encode(), folder, b.encode(), RENAME_EXCHANGE) == 0


def test_a_stack_that_changes_while_boxes_start(machine):
    """Folders become links and back: of every box that runs, all is in its place."""
    root = machine.stack()
    slug = machine.slug()
    inside = os.open(root, os.O_PATH)
    pairs = []
    for place in ("etc", "proc", "dev", "app", "tmp"):
        (root / place).mkdir()
        (root / f"{place}.bad").symlink_to(machine.canary)
        pairs.append((inside, place, f"{place}.bad"))
    (machine.stacks / "bb" / "bad").symlink_to(machine.canary)
    pairs.append((os.open(machine.stacks / "bb", os.O_PATH), "rootfs", "bad"))
    done = threading.Event()

    def storm():
        while not done.is_set():
            for pair in pairs:
                exchange(*pair)

    thread = threading.Thread(target=storm)
    thread.start()
    ran = 0
    try:
        for _ in range(150):
            box = machine.start(f"{LOOK}; echo x > /tmp/x; echo x > /app/x", slug=slug)
            if box.returncode == 0:
                check_mounts(box.stdout)
                ran += 1
            else:
                assert "mounting the stack: " in box.stderr or "/bin/sh" in box.stderr, box.stderr
    finally:
        done.set()
        thread.join()
        for folder in {pair[0] for pair in pairs}:
            os.close(folder)
    assert ran > 10


@pytest.mark.parametrize("what", ["absolute", "relative", "escaping", "file", "fifo"])
def test_a_stacks_folder_that_is_none(machine, what):
    put_in_place(machine.stacks, "bb", what, machine.canary)
    machine.refused("mounting the stack: ")
    (machine.stacks / "cc").mkdir()
    put_in_place(machine.stacks / "cc", "rootfs", what, machine.canary)
    machine.refused("mounting the stack: ", stack="cc")


def test_a_stack_that_is_not_there(machine):
    machine.refused("mounting the stack: No such file")
    assert not (machine.state / "boxes").exists()


# ---- stacks that are files ----

def make_image(machine, name="img"):
    root = machine.stack("of-image")
    (machine.stacks / name).mkdir()
    image = machine.stacks / name / "root.img"
    with image.open("wb") as f:
        f.truncate(16 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, image], check=True)
    return image


def test_a_stack_that_is_a_file(machine):
    image = make_image(machine)
    was = image.read_bytes()
    out = machine.run(f"{LOOK}; echo; stat -c %u /bin/busybox", stack="img", slug=machine.slug())
    check_mounts(out.split("\n\n")[0])
    assert out.split("\n\n")[1] == "0\n"
    assert image.read_bytes() == was
    assert not [line for line in left(machine.folder) if "root.img" in line]


@pytest.mark.parametrize("how", ["nothing", "cut", "link", "fifo", "folder"])
def test_a_stack_that_is_a_bad_file(machine, how):
    image = make_image(machine)
    if how == "nothing":
        image.write_bytes(b"\0" * 4096)
    elif how == "cut":
        image.write_bytes(image.read_bytes()[:8192])
    else:
        image.rename(machine.folder / "real.img")
        if how == "link":
            image.symlink_to(machine.folder / "real.img")
        elif how == "fifo":
            os.mkfifo(image)
        else:
            image.mkdir()
    machine.refused("mounting the stack: ", stack="img")
    assert not [line for line in left(machine.folder) if "root.img" in line]


# ---- the slug ----

def test_a_slug_outside_of_the_allowed_folders(machine):
    machine.stack()
    inside = machine.slug()
    (machine.folder / "slugs-too").mkdir()
    (machine.slugs / "link").symlink_to(machine.canary)
    (machine.slugs / "near").symlink_to("s1")
    (machine.slugs / "file").write_text("")
    for slug, error in ((machine.canary, "Permission denied"), (machine.folder / "slugs-too", "Permission denied"),
                        (machine.slugs / "link", "Too many levels"), (machine.slugs / "near", "Too many levels"),
                        (f"{inside}/../../canary", "Invalid cross-device link"), (machine.slugs / "file", "Not a dir"),
                        (machine.slugs / "none", "No such file"), ("/", "Permission denied")):
        machine.refused(f"mounting /app: {error}", slug=slug)
    assert not (machine.state / "boxes").exists()


def test_a_slug_with_links_writes_nowhere_else(machine):
    machine.stack()
    slug = machine.slug()
    (slug / "out").symlink_to(machine.canary)
    (slug / "up").symlink_to("../" * 20 + str(machine.canary)[1:])
    out = machine.start("echo x > /app/out/x; echo x > /app/up/x; ls /app").stdout
    assert out == "" or "out" in out


# ---- the layer ----

def test_a_layer_is_always_new(machine):
    machine.stack()
    machine.run("true", name="one")
    machine.refused("mounting /app: File exists", name="one")
    (machine.state / "boxes" / "two").symlink_to(machine.canary)
    machine.refused("mounting /app: File exists", name="two")


def test_links_on_the_way_to_the_layer(machine):
    machine.stack()
    (machine.state / "boxes").symlink_to(machine.canary)
    machine.refused("mounting /app: Too many levels")


def test_a_folder_of_layers_that_others_write_to(machine):
    machine.stack()
    boxes = machine.state / "boxes"
    boxes.mkdir()
    boxes.chmod(0o777)
    machine.refused("mounting /app: Operation not permitted")
    boxes.chmod(0o700)
    os.chown(boxes, USER, USER)
    machine.refused("mounting /app: Operation not permitted")
    assert not list(boxes.iterdir())


def spare(machine, name):
    """One that was made ahead."""
    parts = {"": 0o711, "work": 0o700, "upper": 0o755, "tmp": 0o1777}
    (machine.state / "spares").mkdir(mode=0o700, exist_ok=True)
    for part, mode in parts.items():
        path = machine.state / "spares" / name / part
        path.mkdir()
        path.chmod(mode)
    return path.parent


def test_a_layer_that_was_made_ahead(machine):
    machine.stack()
    inode = spare(machine, "3").stat().st_ino
    slug = machine.slug()
    look = "echo x > /app/new; echo y > /tmp/new; stat -c '%u %a' /app /tmp; cat /app/file"
    expected = f"{UID} 755\n{UID} 1777\nof the slug\n"
    assert machine.run(look, name="one", slug=slug) == expected
    layer = machine.state / "boxes" / "one"
    assert layer.stat().st_ino == inode and not list((machine.state / "spares").iterdir())
    assert sorted(p.name for p in layer.iterdir()) == ["tmp", "upper", "work"]
    assert (layer / "upper" / "new").read_text() == "x\n"
    # There is none any more: the next is as good.
    assert machine.run(look, name="two", slug=slug) == expected


def test_a_layer_that_was_made_ahead_takes_nobodys_place(machine):
    machine.stack()
    machine.run("true", name="one")
    spare(machine, "0")
    machine.refused("mounting /app: File exists", name="one")
    assert [p.name for p in (machine.state / "spares").iterdir()] == ["0"]


@pytest.mark.parametrize("how", ["link", "theirs", "open"])
def test_layers_that_others_could_have_made(machine, how):
    machine.stack()
    inode = spare(machine, "0").stat().st_ino
    spares = machine.state / "spares"
    if how == "link":
        spares.rename(machine.state / "elsewhere")
        spares.symlink_to("elsewhere")
    else:
        spares.chmod(0o777 if how == "open" else 0o700)
        os.chown(spares, 0 if how == "open" else USER, 0)
    machine.run("true", name="one")
    assert (machine.state / "boxes" / "one").stat().st_ino != inode
    assert [p.name for p in spares.iterdir()] == ["0"]


# ---- binds ----

def test_binds(machine):
    machine.stack()
    folder, file = machine.binds / "folder", machine.binds / "file"
    folder.mkdir()
    folder.chmod(0o777)
    file.write_text("bound\n")
    out = machine.run(
        f"{LOOK}; cat /etc/bound /app/deep/er/file /srv/x/file > /dev/null && echo y > /data/made;"
        "(echo x > /ro/x) 2>&1; stat -c %u /app/deep",
        slug=machine.slug(), binds=[f"{folder}:/data", f"{folder}/:/ro/:ro", f"{file}:/etc/bound:ro",
                                    f"{file}:/app/deep/er/file", f"{file}:/srv/x/file", f"{folder}:/tmp/of/it"])
    found = table(out)
    assert {"rw", "nosuid", "nodev"} <= found["/data"][2] and {"ro", "nosuid", "nodev"} <= found["/ro"][2]
    assert "Read-only" in out and out.endswith(f"\n{UID}\n")
    assert (folder / "made").stat().st_uid == UID


def test_what_is_mounted_below_a_bind_has_its_attributes_too(machine):
    machine.stack()
    (machine.binds / "folder" / "below").mkdir(parents=True)
    below = machine.binds / "folder" / "below"
    argv = machine.argv("/bin/sh", "-c", LOOK, binds=[f"{machine.binds}/folder:/data:ro"])
    done = subprocess.run(["unshare", "-m", "sh", "-c", f"mount -t tmpfs below {below} && exec \"$@\"", "sh", *argv],
                          capture_output=True, text=True, timeout=60)
    assert {"ro", "nosuid", "nodev"} <= table(done.stdout)["/data/below"][2], done.stderr


def test_binds_that_are_refused(machine):
    root = machine.stack()
    (root / "linked").symlink_to("bin")
    (machine.binds / "link").symlink_to(machine.canary)
    (machine.binds / "folder").mkdir()
    (machine.binds / "file").write_text("")
    (machine.folder / "binds2").mkdir()
    ok = f"{machine.binds}/folder"
    for bind, error in ((f"{machine.canary}:/data", "Permission denied"),
                        (f"{machine.folder}/binds2:/data", "Permission denied"),
                        (f"{machine.binds}/link:/data", "Too many levels"),
                        (f"{machine.binds}/link/here:/data", "Too many levels"),
                        (f"{machine.binds}/../canary:/data", "Invalid argument"),
                        (f"{machine.binds}/none:/data", "No such file"),
                        (f"{ok}:/proc/sys", "Permission denied"), (f"{ok}:/dev/shm", "Permission denied"),
                        (f"{ok}:/linked/x", "Too many levels"), (f"{ok}:/", "Invalid argument"),
                        (f"{ok}:data", "Invalid argument"), (f"{ok}:/etc/passwd", "Invalid argument")):
        machine.refused(f"mounting the binds: {error}", binds=[bind])


def test_a_bind_is_never_made_in_another(machine):
    """CVE-2024-45310: a mount point that is missing would be made on the machine."""
    machine.stack()
    (machine.binds / "a").mkdir()
    (machine.binds / "b").mkdir()
    both = [f"{machine.binds}/a:/data", f"{machine.binds}/b:/data/sub"]
    machine.refused("mounting the binds: No such file", binds=both)
    assert not list((machine.binds / "a").iterdir())
    (machine.binds / "a" / "sub").symlink_to(machine.canary)
    machine.refused("mounting the binds: Too many levels", binds=both)
    (machine.binds / "a" / "sub").unlink()
    (machine.binds / "a" / "sub").mkdir()
    assert "/data/sub" in table(machine.run(LOOK, binds=both))


def test_a_bind_through_a_link_of_the_slug(machine):
    machine.stack()
    slug = machine.slug()
    (slug / "out").symlink_to(machine.canary)
    (machine.binds / "a").mkdir()
    machine.refused("mounting the binds: Too many levels", slug=slug, binds=[f"{machine.binds}/a:/app/out/x"])
    machine.refused("mounting the binds: Too many levels", slug=slug, binds=[f"{machine.binds}/a:/app/out"])


# ---- the machine's own root ----

def test_the_stack_host(machine):
    out = machine.run(
        f"{LOOK}; echo; for f in shadow gshadow sudoers ssh hsup ssl/private; do ls -d /etc/$f 2>/dev/null; done;"
        "ls /; stat -c %u /usr/bin/env /etc/passwd; touch /usr/x 2>&1; cat /etc/hostname; test -e /etc/ld.so.cache",
        stack="host", slug=machine.slug(), options=["-h", "web-1"])
    text, rest = out.split("\n\n")
    found = check_mounts(text, root="tmpfs")
    assert "ro" in found["/usr"][2] and "ro" in found["/etc"][2]
    names = rest.splitlines()
    assert not [n for n in names if n.startswith("/etc/")]
    assert set(names) & {"home", "root", "boot", "srv", "mnt"} == set()
    assert names[-4:-2] == ["0", "0"] and "Read-only" in names[-2] and names[-1] == "web-1"


def test_the_stack_host_with_a_usr_that_is_a_mount(machine):
    argv = machine.argv("/bin/sh", "-c", f"cat /usr/local/here; {LOOK}", stack="host")
    script = ("mount --bind /usr /usr && mount -t tmpfs local /usr/local && echo mounted > /usr/local/here &&"
              " exec \"$@\"")
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *argv], capture_output=True, text=True,
                          timeout=60)
    assert done.stdout.startswith("mounted\n"), done.stderr
    assert {"ro", "nosuid", "nodev"} <= table(done.stdout[8:])["/usr/local"][2]


# ---- what a kernel or a file system cannot ----

def on_overlay(machine, folder, argv):
    """Runs it where `folder` is an overlay: no ids can be shown otherwise there, and no layer be on it."""
    script = (f"mount -t tmpfs t {machine.folder}/t && mkdir {machine.folder}/t/u {machine.folder}/t/w &&"
              f" mount -t overlay o -o lowerdir={folder},upperdir={machine.folder}/t/u,workdir={machine.folder}/t/w"
              f" {folder} && exec \"$@\"")
    (machine.folder / "t").mkdir()
    return subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *argv], capture_output=True, text=True,
                          timeout=60)


def test_a_stack_that_cannot_show_other_ids_is_shown_as_it_is(machine):
    machine.stack()
    done = on_overlay(machine, machine.stacks, machine.argv("/bin/sh", "-c", f"stat -c %u /bin/busybox; {LOOK}"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("65534\n")
    check_mounts(done.stdout[6:])


def test_a_layer_that_no_overlay_can_be_on_is_in_memory(machine):
    machine.stack()
    slug = machine.slug()
    done = on_overlay(machine, machine.state, machine.argv(
        "/bin/sh", "-c", f"echo x >> /app/file && cat /app/file && {LOOK}", slug=slug))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("of the slug\nx\n")
    assert table(done.stdout[len("of the slug\nx\n"):])["/app"][0] == "overlay"


# ---- rootless ----

@pytest.mark.parametrize("stack", ["bb", "host"])
def test_rootless(machine, stack):
    machine.stack()
    slug = machine.slug(owner=USER)
    os.chown(machine.state, USER, USER)
    program = machine.folder / "drive"
    shutil.copy(machine.drive, program)
    (machine.binds / "a").mkdir()
    machine.drive = program
    argv = machine.argv("/bin/sh", "-c", f"echo x >> /app/file && cat /app/file; id -u; echo > /dev/null; {LOOK}",
                        stack=stack, binds=[f"{machine.binds}/a:/data"])
    argv = argv[:1] + ["-R", "-l", str(slug), "-o", str(USER)] + argv[1:]
    done = subprocess.run(["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *argv],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    begin = f"of the slug\nx\n{UID}\n"
    assert done.stdout.startswith(begin)
    found = table(done.stdout[len(begin):])
    assert found["/dev/null"][1] == "/null" and found["/sys"][1] == "/empty"
    assert found["/proc"][0] == "proc" and found["/proc/interrupts"][1] == "/mask"
    assert (slug / "file").read_text() == "of the slug\n"
