"""--user: who runs as whom, with which rights, and that nothing else changes for that.

docs/security.md has the table of privileges; here it is read and held against /proc.
"""
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import threading

import pytest

from client import Client, Events
from hsup import children_of, wait_until
from native import UIDS

ROOT = pathlib.Path(__file__).resolve().parent.parent
SUPERVISOR, DYNO = "daemon", "nobody"
TEST_USER = pwd.getpwnam(SUPERVISOR)
DYNO_USER = pwd.getpwnam(DYNO)
SLEEP = ["exec sleep 1000"]


@pytest.fixture
def make(make_app, reachable):
    """Apps whose supervisor is SUPERVISOR and whose dynos are DYNO, unless told otherwise."""
    def make(*args, **options):
        return make_app(*args, programs=reachable, **{"user": SUPERVISOR, "dyno_user": DYNO, **options})
    return make


@pytest.fixture
def app(make):
    return make()


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def slug(path, members):
    """A tar of {name: (text, mode)}; returns the path."""
    source = path.parent / "source"
    source.mkdir()
    for name, (text, mode) in members.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
        (source / name).chmod(mode)
    with tarfile.open(path, "w:gz") as archive:
        archive.add(source, arcname=".")
    path.chmod(0o644)
    return path


# ---- the table of docs/security.md ----

def table():
    """{program: {column: cell}} of the table of privileges."""
    text = (ROOT / "docs" / "security.md").read_text()
    rows = [[cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
            for line in text.splitlines() if line.startswith("|")]
    head = next(row for row in rows if row[0] == "process")
    body = rows[rows.index(head) + 2:]
    return {row[0]: dict(zip(head, row)) for row in body if len(row) == len(head)}


NO_CAPABILITY = "0" * 16


def hold_against(row, pid, ids):
    """One row against one process. ids: what the words for users in it stand for."""
    s = status(pid)
    uid, gid, groups = ids[row["user"]]
    assert s["Uid"].split() == [str(uid)] * 4 and s["Gid"].split() == [str(gid)] * 4
    assert sorted(map(int, s["Groups"].split())) == sorted(groups)
    everything = status("self")["CapBnd"]
    for column, keys in (("capabilities", ("CapEff", "CapPrm")), ("bounding set", ("CapBnd",))):
        for key in keys:
            assert s[key] == {"none": NO_CAPABILITY, "all": everything}[row[column]], key
    if row["capabilities"] == "none":
        assert s["CapInh"] == s["CapAmb"] == NO_CAPABILITY
    assert s["NoNewPrivs"] == {"yes": "1", "no": "0"}[row["no_new_privs"]]
    assert s["Seccomp"] == ("0" if row["system calls"] == "no limit" else "2")


class Slow:
    """A web server on loopback that holds a slug back until it is let go."""

    def __init__(self, data):
        self.data, self.go, self.asked = data, threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d/slug.tgz" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.data))
            connection.sendall(self.data[:10])
            self.asked.set()
            self.go.wait(60)
            connection.sendall(self.data[10:])


def test_the_table_is_true(app, folder):
    rows = table()
    assert set(rows) == {"hsup-launcher", "supervisor", "hsup-slug", "hsup-slug, fetching", "dyno", "hsup-box", "native init",
                         "native dyno"}
    groups = os.getgrouplist(DYNO, DYNO_USER.pw_gid)
    ids = {"root": (0, 0, os.getgroups()), "--user": (TEST_USER.pw_uid, TEST_USER.pw_gid, []),
           "its own": (DYNO_USER.pw_uid, DYNO_USER.pw_gid, groups)}
    server = Slow(slug(folder / "slug.tgz", {"run": ("#!/bin/sh\nexec sleep 1000\n", 0o755)}).read_bytes())
    app.start()
    supervisor = app.supervisor()
    app.submit(app.release(("web", ["./run"], 1), Slug=server.url))
    try:
        assert server.asked.wait(20)
        # It fetches: hsup-slug waits for a child of its own, which talks to the web.
        helper = wait_until(lambda: children_of(supervisor), "the slug helper")[0]
        fetching = wait_until(lambda: children_of(helper), "the child that fetches")[0]
        hold_against(rows["hsup-launcher"], app.launcher, ids)
        hold_against(rows["supervisor"], supervisor, ids)
        hold_against(rows["hsup-slug"], helper, ids)
        hold_against(rows["hsup-slug, fetching"], fetching, ids)
    finally:
        server.go.set()
        server.listener.close()
    app.wait_up("web.1")
    hold_against(rows["dyno"], app.wait_dynos(1)[0], ids)
    assert app.stop() == 0


@pytest.mark.parametrize("network", ["own", "host"])
def test_the_table_is_true_of_native_dynos(make_driver_app, network):
    """(hsup-box itself is root for some milliseconds, in which nothing of the dyno's runs.)"""
    rows = table()
    app = make_driver_app("native")
    app.env["LIBCONTAINER_DYNO_NETWORK"] = network
    app.start()
    app.submit(app.release(("web", ["echo runs; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: runs$")
    [(_, dyno)] = app.wait_lives(1)
    [init] = app.boxes.inits([dyno])
    uid = int(status(dyno)["Uid"].split()[0])
    assert uid in UIDS
    wait_until(lambda: status(init)["Seccomp"] == "2", "init to have nothing left")
    ids = {"a uid of the range": (uid, uid, [])}
    hold_against(rows["native dyno"], dyno, ids)
    hold_against(rows["native init"], init, ids)
    hold_against(rows["hsup-launcher"], app.launcher, {"root": (0, 0, os.getgroups())})
    assert app.stop() == 0


# ---- the confined supervisor ----

PROBE = r"""
import ctypes, errno, json, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
launcher = os.getppid()

def call(*args):
    ctypes.set_errno(0)
    value = libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    return errno.errorcode.get(ctypes.get_errno(), value) if value < 0 else value

def dies(number):
    pid = os.fork()
    if pid == 0:
        call(number)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

calls = json.loads(sys.argv[2])
answers = {name: call(*(launcher if a == "launcher" else a.encode() if isinstance(a, str) else a for a in args))
           for name, args in calls.items()}
answers["kill the launcher"] = call(62, launcher, 9)
answers["x32 getpid"] = dies(0x40000000 | 39)
for path in ("/etc/shadow", f"/proc/{launcher}/mem", f"/proc/{launcher}/environ"):
    try:
        os.close(os.open(path, os.O_RDONLY))
        answers[path] = "opened"
    except OSError as e:
        answers[path] = errno.errorcode[e.errno]
answers["a child"] = os.waitstatus_to_exitcode(os.system("exec /bin/true"))
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
s.send(json.dumps(answers).encode())
s.recv(1)
"""

# By their numbers on x86-64.
FORBIDDEN = {
    "mount": [165, "none", "/tmp", "tmpfs", 0, 0], "umount2": [166, "/tmp", 0], "ptrace attach": [101, 16, "launcher", 0, 0],
    "ptrace traceme": [101, 0, 0, 0, 0], "setuid": [105, 0], "setgid": [106, 0], "setresuid": [117, 0, 0, 0],
    "setgroups": [116, 0, 0], "unshare user": [272, 0x10000000], "setns": [308, 0, 0], "chroot": [161, "/"],
    "pivot_root": [155, "/", "/"], "bpf": [321, 0, 0, 0], "keyctl": [250, 0, 0], "add_key": [248, 0, 0],
    "kexec_load": [246, 0, 0, 0, 0], "init_module": [175, 0, 0, 0], "finit_module": [313, 0, 0, 0],
    "reboot": [169, 0, 0, 0, 0], "perf_event_open": [298, 0, 0, 0, 0, 0], "userfaultfd": [323, 0],
    "io_uring_setup": [425, 1, 0], "personality": [135, 0xffffffff], "swapon": [167, "/x", 0],
    "clock_settime": [227, 0, 0], "settimeofday": [164, 0, 0], "quotactl": [179, 0, 0, 0, 0],
    "mknod": [133, "/tmp/x", 0x1000, 0], "mknodat": [259, -100, "/tmp/x", 0x1000, 0], "iopl": [172, 3],
    "process_vm_readv": [310, "launcher", 0, 0, 0, 0, 0], "process_vm_writev": [311, "launcher", 0, 0, 0, 0, 0],
    "pidfd_getfd": [438, 0, 0, 0], "open_by_handle_at": [304, 0, 0, 0], "fsopen": [430, "tmpfs", 0],
    "clone into a user namespace": [56, 0x10000000 | 17, 0, 0, 0, 0], "prlimit of another": [302, "launcher", 7, 0, 0],
    "TIOCSTI": [16, 0, 0x5412, "x"], "TIOCLINUX": [16, 0, 0x541c, "x"], "packet socket": [41, 17, 3, 0],
    "setpriority of another": [141, 0, "launcher", 5], "setpriority": [141, 0, 0, 5],
    "sched_setscheduler": [144, 0, 0, "\0\0\0\0"], "ioprio_set": [251, 1, 0, 2 << 13 | 4],
    "chown": [92, "/tmp", 0, 0], "a call that does not exist": [1000],
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="system calls are given by number")
def test_what_is_forbidden_gives_eperm(start, folder):
    launcher = start(options=["--user", f"{TEST_USER.pw_uid}:{TEST_USER.pw_gid}"],
                     command=[sys.executable, "-S", "-E", "-c", PROBE, str(folder / "a.sock"), json.dumps(FORBIDDEN)])
    launcher.listener.settimeout(20)
    control, _ = launcher.listener.accept()
    answers = json.loads(control.recv(65536))
    assert {name: answers[name] for name in FORBIDDEN} == {name: "EPERM" for name in FORBIDDEN}
    assert answers["kill the launcher"] == "EPERM"
    assert answers["x32 getpid"] == -signal.SIGSYS
    assert answers["/etc/shadow"] == "EACCES"
    assert answers[f"/proc/{launcher.process.pid}/mem"] == answers[f"/proc/{launcher.process.pid}/environ"] == "EACCES"
    assert answers["a child"] == 0
    control.close()


def test_the_memory_of_the_supervisor_is_closed(make):
    """To dynos of its own user: they could use its end of the wire."""
    app = make(dyno_user=SUPERVISOR)
    app.start()
    supervisor = app.supervisor()
    wait_until(lambda: os.stat(f"/proc/{supervisor}/environ").st_uid == 0, "it to be closed")
    script = (f"import os, ctypes\nfor name in 'mem', 'environ', 'maps':\n"
              f"  try: os.open('/proc/{supervisor}/' + name, 0); print('opened', name, flush=True)\n"
              f"  except OSError as e: print('refused', e.errno, flush=True)\n"
              f"print('attach', ctypes.CDLL(None).ptrace(16, {supervisor}, 0, 0), flush=True)\n"
              f"import time; time.sleep(1000)")
    app.submit(app.release(("web", ["/usr/bin/python3", "-c", script], 1)))
    app.wait_line(r"app\[web\.1\]: attach -1")
    assert [t for _, t in app.app_lines("web.1")][:3] == ["refused 13"] * 3
    assert app.stop() == 0


# ---- the main job, the same ----

def test_the_main_job(app, folder):
    """Deploy with a slug, roll out, lose the supervisor, run, build, stop; all of it not root's."""
    # 0700: what the owner may, dynos of other users may.
    packed = slug(folder / "slug.tgz", {"bin/web": ("#!/bin/sh\necho $1 as $(id -un)\nexec sleep 1000\n", 0o700)})
    app.start()
    app.submit(app.release(("web", ["./bin/web", "one"], 2), Slug=str(packed)))
    app.wait_line(rf"app\[web\.2\]: one as {DYNO}")
    app.wait_line("release v1 is up")
    app.submit(app.release(("web", ["./bin/web", "two"], 2), Slug=str(packed), Version=2))
    app.wait_line("release v2 is up")
    dynos = app.wait_dynos(2)
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line("found 2 dynos running")
    assert app.dynos() == dynos
    assert {status(pid)["Uid"].split()[0] for pid in dynos} == {str(DYNO_USER.pw_uid)}
    assert status(app.supervisor())["Uid"].split()[0] == str(TEST_USER.pw_uid)
    ran = app.hsup("run", "-C", app.control, "id -un; ls bin; exit 3")
    assert (ran.returncode, ran.stdout) == (3, f"{DYNO}\nweb\n")
    assert app.stop() == 0
    app.submit(app.release(("web", ["./bin/web", "three"], 1), Slug=str(packed), Version=3))
    built = app.hsup("build", "-C", app.control)
    assert built.returncode == 0, built.stderr
    assert app.loaded()["Version"] == 3
    owners = {entry.stat(follow_symlinks=False).st_uid for entry in (folder / "app" / "state").rglob("*")}
    assert owners == {TEST_USER.pw_uid}


# ---- who is who ----

class Accounts:
    """A mount namespace in which the machine has these accounts."""

    def __init__(self, folder, *names):
        text, groups = "root:x:0:0::/root:/bin/sh\n", "root:x:0:\n"
        for n, name in enumerate(names, 7001):
            text += f"{name}:x:{n}:{n}::/home/{name}:/bin/sh\n"
            groups += f"{name}:x:{n}:\n"
        groups += f"build:x:7101:{names[-1]}\nlogs:x:7102:{names[-1]}\nlow:x:50:{names[0]}\n"
        (folder / "passwd").write_text(text)
        (folder / "group").write_text(groups)
        self.wrap = ["unshare", "-m", "sh", "-c", f"mount --bind {folder}/passwd /etc/passwd && "
                     f"mount --bind {folder}/group /etc/group && exec \"$@\"", "sh"]


IDENTITY = ["id -u; id -g; id -G; echo $HOME $USER $LOGNAME; umask; stat -Lc '%u:%g %a' /proc/self/fd/1; "
            "echo again > /dev/stdout; echo and > /dev/stderr; pwd; exec sleep 1000"]


@pytest.mark.parametrize("given", ["by name", "by number"])
def test_user_of_a_process_type(make_app, reachable, folder, given):
    accounts = Accounts(folder, "hsup", "shop")
    app = make_app(programs=reachable)
    app.users = ["--user", "7001", "--dyno-user", "hsup"]
    os.chown(app.control, 7001, 7001)
    (folder / "home").mkdir()
    os.chown(folder / "home", 7002, 7101)
    (folder / "home").chmod(0o750)
    app.start(wrap=accounts.wrap)
    app.submit(app.release({"Type": "web", "Args": IDENTITY, "User": "shop" if given == "by name" else "7002",
                            "Directory": str(folder / "home")},
                           {"Type": "other", "Args": IDENTITY, "Directory": str(folder / "home")}))
    app.wait_line(rf"app\[web\.1\]: {re.escape(str(folder))}/home")
    app.wait_line(r"app\[web\.1\]: and$")
    umask = os.umask(0o22)
    os.umask(umask)
    lines = [text for _, text in app.app_lines("web.1")]
    lines.remove("and")  # of the other stream, which is read by itself
    assert set(lines[2].split()) == {"7002", "7101", "7102"}
    assert lines[:2] + lines[3:6] == ["7002", "7002", "/home/shop shop shop", f"{umask:04o}", "7002:7002 600"]
    assert lines[6] == "again"
    # The directory is entered as the user.
    app.wait_line(r"hsup\[other\.1\]: .*entering the directory: Permission denied")
    assert app.stop() == 0


def test_no_umask_keeps_the_user_out_of_the_runtime_directory(make_app, reachable):
    app = make_app(programs=reachable)
    app.users = ["--user", "7001", "--dyno-user", "7001"]
    os.chown(app.control, 7001, 7001)
    mask = os.umask(0o077)
    try:
        app.start()
    finally:
        os.umask(mask)
    app.submit(app.release(("web", ["exec sleep 1000"], 1)))
    app.wait_up("web.1")
    assert "web.1" in app.hsup("ps", "-C", app.control).stdout
    assert app.stop() == 0
    assert app.errors == ""


def test_the_default_is_an_account_for_dynos(make_app, reachable, folder):
    accounts = Accounts(folder, "hsup", "hsup-dyno")
    app = make_app(programs=reachable)
    app.users = ["--user", "hsup"]
    os.chown(app.control, 7001, 7001)
    app.start(wrap=accounts.wrap)
    app.submit(app.release(("web", ["id -un; id -G; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: hsup-dyno")
    app.wait_line(r"app\[web\.1\]: 7002 7101 7102")
    assert app.stop() == 0
    assert app.errors == ""


def test_without_such_an_account_it_is_the_supervisors_and_said_once(make_app, reachable, folder):
    accounts = Accounts(folder, "hsup", "shop")
    app = make_app(programs=reachable)
    app.users = ["--user", "shop"]
    os.chown(app.control, 7002, 7002)
    app.start(wrap=accounts.wrap)
    app.submit(app.release(("web", ["id -un; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: shop")
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line("found 1 dynos running")
    assert app.stop() == 0
    assert app.errors.count("could end it; give them another with --dyno-user") == 1


def test_a_group_of_the_dyno_user_comes_along_and_no_other(make_app, reachable, folder):
    """What --dyno-user has below the range is granted: group 50 here. User 33 is not."""
    accounts = Accounts(folder, "low", "hsup")
    app = make_app(programs=reachable)
    app.users = ["--user", "hsup", "--dyno-user", "low", "--dyno-ids", "7002"]
    os.chown(app.control, 7002, 7002)
    app.start(wrap=accounts.wrap)
    app.submit(app.release(("web", ["id -G; exec sleep 1000"], 1),
                           {"Type": "other", "Args": SLEEP, "User": "33"}))
    app.wait_line(r"app\[web\.1\]: (7001 50|50 7001)")
    app.wait_line(r"hsup\[other\.1\]: could not start: User: 33: its uid 33 is not one that dynos may have; hsup has "
                  "to be started with --dyno-ids for it")
    assert app.stop() == 0


@pytest.mark.parametrize("confined", [True, False])
def test_root_dynos_have_to_be_allowed_at_launch(make_app, reachable, confined):
    app = make_app(programs=reachable, user=SUPERVISOR if confined else None, dyno_user=DYNO)
    release = app.release({"Type": "web", "Args": ["id -u; exec sleep 1000"], "User": "root"})
    app.start()
    app.submit(release)
    app.wait_line(r"hsup\[web\.1\]: could not start: User: root is root or of group root: hsup has to be started "
                  "with --allow-root-dynos")
    assert not app.dynos()
    assert app.stop() == 0
    app.lines.clear()
    app.start("--allow-root-dynos")
    app.submit(release)
    app.wait_line(r"app\[web\.1\]: 0$")
    assert app.stop() == 0


# ---- what is refused at the start ----

def refusal(app, *options, command="start", **more):
    ran = app.hsup(command, "-C", app.control, *options, **more)
    assert ran.returncode == 1 and ran.stdout == ""
    lines = ran.stderr.splitlines()
    assert len(lines) == 1, ran.stderr
    return lines[0]


def test_only_root_can_ask_for_it(make_app, reachable):
    app = make_app(programs=reachable, user=None)
    as_nobody = dict(user=DYNO_USER.pw_uid, group=DYNO_USER.pw_gid, extra_groups=[])
    for option in ("--user", "--dyno-user"):
        assert refusal(app, option, "daemon", **as_nobody) == \
            f"hsup: option '{option}' is for root: others run all as themselves"


def test_users_that_will_not_do(make_app, reachable):
    app = make_app(programs=reachable, user=None)
    assert refusal(app, "--user", "no-such-user") == \
        "hsup: option '--user': User: there is no user \"no-such-user\" on this machine"
    for root in ("root", "0"):
        assert "is root or of group root, which is what it is to prevent" in refusal(app, "--user", root)
    app.give(app.control)
    os.chown(app.control, TEST_USER.pw_uid, TEST_USER.pw_gid)
    assert "that needs '--allow-root-dynos'" in refusal(app, "--user", SUPERVISOR, "--dyno-user", "root")
    assert "no-such-user" in refusal(app, "--user", SUPERVISOR, "--dyno-user", "no-such-user")
    assert "that needs '--allow-root-dynos'" in refusal(app, "--dyno-user", "root")


def test_a_supervisor_with_another_group(make_app, reachable):
    """As that of an engine's socket: the supervisor has it alone, and no dyno does."""
    app = make_app(programs=reachable, user=None)
    app.users = ["--user", f"{SUPERVISOR}:60", "--dyno-user", DYNO]
    os.chown(app.control, TEST_USER.pw_uid, TEST_USER.pw_gid)
    app.start()
    app.submit(app.release(("web", ["id -G; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: (?!.*\b60\b)")
    status = pathlib.Path(f"/proc/{app.supervisor()}/status").read_text()
    assert re.search(r"^Gid:\t60\t60\t60\t60$", status, re.M)
    assert re.search(r"^Groups:\s*$", status, re.M)
    assert app.stop() == 0
    assert "there is no group nothing-of-the-kind" in refusal(app, "--user", f"{SUPERVISOR}:nothing-of-the-kind")
    assert "root or of group root" in refusal(app, "--user", f"{SUPERVISOR}:root")


@pytest.mark.parametrize("what", ["all of it", ".hsup", "releases", "loaded"])
@pytest.mark.parametrize("command", ["start", "build"])
def test_a_control_directory_of_somebody_else(make, what, command):
    app = make()
    path = app.control
    if what == "all of it":
        os.chown(path, 0, 0)
    elif what == "loaded":
        (path / what).write_text("{}")
        (path / what).chmod(0o600)
    else:
        (path / what).mkdir(mode=0o700)
    said = refusal(app, command=command)
    verb, name = ("read", what) if what == "loaded" else ("write to", "it" if what == "all of it" else what)
    chown = f"chown -R {TEST_USER.pw_uid}:{TEST_USER.pw_gid} {path}"
    assert said == (f"hsup: control directory {path}: user {SUPERVISOR} cannot {verb} {name}: Permission denied; "
                    f"to mend it: {chown}")
    # What it says does mend it.
    subprocess.run(chown.split(), check=True)
    app.start()
    app.submit(app.release(("web", SLEEP, 1)))
    app.wait_line("release v1 is up")
    assert app.stop() == 0


def test_a_control_directory_behind_a_closed_door(make, folder):
    (folder / "private").mkdir(mode=0o700)
    app = make("private/app")
    assert "cannot write to it: Permission denied" in refusal(app)


def test_the_state_directory(make, folder):
    app = make()
    state = folder / "some" / "where" / "state"
    app.env["HSUP_STATE_DIR"] = str(state)
    app.submit(app.release(("web", SLEEP, 1)))
    assert app.hsup("build", "-C", app.control).returncode == 0
    made = {p: (p.stat().st_uid, stat.S_IMODE(p.stat().st_mode)) for p in (state, state.parent)}
    assert made == {state: (TEST_USER.pw_uid, 0o755), state.parent: (0, 0o755)}
    shutil.rmtree(state / "apps")
    os.chown(state, 0, 0)
    assert f"state directory {state}: user {SUPERVISOR} cannot write to it" in refusal(app)
    # A link is not followed to somewhere else.
    shutil.rmtree(state)
    state.symlink_to("/nowhere")
    assert "state directory" in refusal(app)
    assert not pathlib.Path("/nowhere").exists()


def test_a_state_directory_behind_a_link_of_the_account(make, folder):
    """Root would make it, and give it away, wherever the link leads."""
    app = make()
    secret, theirs = folder / "secret", folder / "theirs"
    secret.mkdir(mode=0o711)
    theirs.mkdir()
    os.chown(theirs, TEST_USER.pw_uid, TEST_USER.pw_gid)
    os.symlink(secret, theirs / "link")
    os.chown(theirs / "link", TEST_USER.pw_uid, TEST_USER.pw_gid, follow_symlinks=False)
    app.env["HSUP_STATE_DIR"] = str(theirs / "link" / "state")
    assert refusal(app).startswith(f"hsup: state directory: {theirs}/link/state: its part link is a link, which root")
    assert not list(secret.iterdir())
    # One of root's own, in a folder of root's own, is followed.
    (folder / "link").symlink_to(secret)
    app.env["HSUP_STATE_DIR"] = str(folder / "link" / "state")
    app.submit(app.release(("web", SLEEP, 1)))
    assert app.hsup("build", "-C", app.control).returncode == 0
    assert (secret / "state").stat().st_uid == TEST_USER.pw_uid


def test_the_launcher_itself_is_strict(build, folder):
    def launcher(*options, **more):
        return subprocess.run([str(build / "hsup-launcher"), *options, "--", "/bin/true"], capture_output=True,
                              text=True, timeout=20, **more)

    for bad in (["--user", "0:1"], ["--user", "1:0"], ["--user", "daemon"], ["--user", "1"], ["--user", "1:1:1"],
                ["--dyno-ids", "9-1"], ["--dyno-ids", ""], ["--dyno-ids", "1"] * 17):
        ran = launcher(*bad)
        assert ran.returncode == 2 and ran.stderr.startswith("Usage:"), bad
    # Of another user it could not be told; it must not run as who it should not be either.
    copy = folder / "hsup-launcher"
    shutil.copy(build / "hsup-launcher", copy)
    ran = subprocess.run([str(copy), "--user", "1:1", "--", "/bin/true"], capture_output=True, text=True, timeout=20,
                         user=DYNO_USER.pw_uid, group=DYNO_USER.pw_gid, extra_groups=[])
    assert ran.returncode == 1
    assert "only root can start its supervisor as another user" in ran.stderr


# ---- the control API and the logs, the same ----

SERVER = ("import http.server, os\nhttp.server.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), "
          "http.server.SimpleHTTPRequestHandler).serve_forever()")
NOTIFIER = ("import os, socket, time\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            "s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])\ntime.sleep(1000)")


def refused_calls(trace, *others):
    """Calls that the filter has refused; those of the processes `others` are no concern of it. (That a
    user has no more room for larger pipes is the kernel's word.)"""
    found = set()
    for line in trace.read_text(errors="replace").splitlines():
        if "F_SETPIPE_SZ" in line:
            continue
        m = re.match(r"(\d+) +(\w+)\(.* = -1 (EPERM|ENOSYS) ", line)
        if m and int(m.group(1)) not in others:
            found.add((m.group(2), m.group(3)))
    return found


def test_what_operators_do_needs_no_call_that_is_forbidden(app, folder):
    """Who asks over the sockets, checks, logs that are rotated, packed and opened again: strace sees
    every call that the filter refuses, also those whose failure is only less polite."""
    logs, tokens, trace = folder / "logs", folder / "tokens", folder / "trace"
    logs.mkdir()
    tokens.write_text(f"operate:{'o' * 30}\n")
    tokens.chmod(0o600)
    app.give(logs)
    app.give(tokens)
    app.start("-s", app.folder / "sock", "--log", logs / "app.log", "--log", "stdout", "--log-max-bytes", "100K",
              "--log-keep", "2", "--log-compress", "--log-owner", SUPERVISOR, "--listen", "127.0.0.1:0",
              "--token-file", tokens, wrap=["strace", "-D", "-f", "-qq", "-Z", "-o", str(trace)])
    check = {"Interval": 0.1}
    first = [
        {"Type": "web", "Args": ["/usr/bin/python3", "-c", SERVER], "Quantity": 1, "Ready": {"HTTP": "/"},
         "Healthy": {"HTTP": "/", **check}, "Limits": {"Memory": "500M"}},
        {"Type": "told", "Args": ["/usr/bin/python3", "-c", NOTIFIER], "Quantity": 1, "Ready": {"Notify": True}},
        {"Type": "asked", "Args": SLEEP, "Quantity": 1, "Ready": {"Command": ["true"]},
         "Healthy": {"Command": ["true"], **check}},
        ("talks", ["for i in $(seq 3000); do echo a line to fill the file with; done; exec sleep 1000"], 1)]
    app.submit(app.release(*first))
    app.wait_up("web.1", "told.1", "asked.1", "talks.1")
    port = int(app.wait_line(r"control: listens at 127\.0\.0\.1:(\d+)").group(1))
    supervisor = app.supervisor()
    client, tcp = Client(app.folder / "sock"), Client(port=port, token="o" * 30)
    events, follower = Events(client), client.open()
    follower.request("GET", "/v1/logs?follow=1")
    follower.getresponse().read(1000)
    for target in ("/health", "/status", "/v1/app", "/v1/dynos", "/v1/releases", "/v1/config?secrets=1", "/v1/logs",
                   "/v1/diag", "/metrics"):
        assert client.get(target).status == tcp.get(target).status == 200, target
    for target, body in (("/v1/scale", {"web": 2}), ("/v1/dynos/restart", {"names": ["told"]}),
                         ("/v1/dynos/signal", {"names": ["web.1"], "signal": "CONT"}), ("/v1/logs/reopen", {})):
        assert client.post(target, body).status in (200, 202), target
    client.wait_state("up", "web.2", "told.1")
    assert client.post("/v1/releases", app.release(*first[1:], Version=2)).status in (200, 202)
    app.wait_line("release v2 is up")
    assert client.post("/v1/rollback", {}).status in (200, 202)
    app.wait_line("release v3 is up")
    wait_until(lambda: list(logs.glob("*.zst")), "an old log file that is packed")
    assert {path.stat().st_uid for path in logs.iterdir()} == {TEST_USER.pw_uid}
    events.close()
    follower.close()
    client.close()
    tcp.close()
    launcher = app.launcher
    assert app.stop() == 0
    assert str(supervisor) in trace.read_text()
    # Newer C libraries ask for clone3 first; a filter cannot see what it would do.
    assert refused_calls(trace, launcher) <= {("clone3", "ENOSYS")}


def test_a_log_of_somebody_else(app, folder):
    """Who is not root cannot give files away; it says so and runs on."""
    (folder / "logs").mkdir()
    app.give(folder / "logs")
    app.start("--log", folder / "logs" / "app.log", "--log", "stdout", "--log-owner", DYNO)
    app.submit(app.release(("web", SLEEP, 1)))
    app.wait_up("web.1")
    app.wait_line(r"app\.log.*Operation not permitted")
    assert app.stop() == 0
