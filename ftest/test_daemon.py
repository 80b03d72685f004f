"""The daemon: hsup up, down, deploy, paths, boot, upgrade."""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from client import Client
from daemon import SLEEP, Daemon, copy_programs
from hsup import LINE, PATIENCE, children_of, command_line, marked_processes, wait_until

STUBBORN = ["/usr/bin/python3", "-c",
            "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\ntime.sleep(1000)"]


@pytest.fixture
def make_daemon(build, folder):
    daemons = []

    def make(programs=build, **options):
        daemons.append(Daemon(programs, folder, **options))
        return daemons[-1]

    yield make
    for daemon in daemons:
        daemon.end()


@pytest.fixture
def daemon(make_daemon):
    return make_daemon()


def kill_and_wait(*pids, signo=signal.SIGKILL):
    held = [os.pidfd_open(pid) for pid in pids]
    for fd in held:
        signal.pidfd_send_signal(fd, signo)
    for pid, fd in zip(pids, held):
        wait_until(lambda fd=fd: select_readable(fd), f"{pid} to end")
        os.close(fd)


def select_readable(fd):
    import select
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return poll.poll(0)


def state_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def is_dead(pid):
    """Gone, or dead and not waited for by whom it was left to."""
    try:
        return state_of(pid) == "Z"
    except FileNotFoundError:
        return True


def stop_processes(*pids):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        wait_until(lambda pid=pid: state_of(pid) == "T", f"{pid} to stop")


# ---- up and down ----

def test_up_a_second_up_and_down(daemon):
    first = daemon.up()
    pid = daemon.launcher
    assert f"pid {pid}" in first and "0 apps" in first and str(daemon.apps) in first
    second = daemon.up()
    identity = daemon.identity()
    assert f"runs already: pid {pid} since {identity['since']}" in second
    assert daemon.launcher == pid
    assert identity["version"] in daemon.hsup("version").stdout
    assert f"pid {pid}" in daemon.down()
    assert marked_processes(daemon.mark) == []
    assert "no daemon runs" in daemon.down()
    assert (daemon.run / "hsup.lock").exists()
    daemon.up()
    assert daemon.launcher != pid


def test_many_at_once_make_one_daemon(daemon):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        done = [f.result() for f in [pool.submit(daemon.hsup, "up") for _ in range(8)]]
    assert [d.returncode for d in done] == [0] * 8, [d.stderr for d in done]
    assert sum("runs already" not in d.stdout for d in done) == 1
    assert len({re.search(r"pid (\d+)", d.stdout).group(1) for d in done}) == 1


def test_what_the_daemon_is(daemon):
    daemon.up()
    pid = daemon.launcher
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.readlink(f"/proc/{pid}/fd/0") == str(daemon.run / "hsup.lock")
    assert os.readlink(f"/proc/{pid}/fd/1") == os.readlink(f"/proc/{pid}/fd/2") == str(daemon.log_file)
    assert re.search(r"^Umask:\s+0022$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)
    sid = os.getsid(pid)
    assert sid not in (pid, os.getsid(0))  # not a session's leader: no terminal can become its own
    assert (daemon.run.stat().st_mode & 0o777) == 0o711


def test_a_daemon_that_cannot_begin(daemon, make_daemon):
    (daemon.folder / "file").write_text("")
    done = daemon.hsup("up", "--state-dir", daemon.folder / "file" / "state")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Not a directory" in done.stderr and len(done.stderr.splitlines()) == 1

    daemon.config.write_text('{\n "autolaunch": ["shop"]}')
    done = daemon.hsup("up")
    assert done.returncode == 1
    assert done.stderr == (f'hsup up: {daemon.config}:2:2: autolaunch: unknown key "autolaunch"; '
                           'did you mean "Autolaunch"?\n')
    daemon.config.write_text('{"Autolaunch": ["shop", "no good", "shop"]}')
    done = daemon.hsup("up")
    assert len(done.stderr.splitlines()) == 2 and "Autolaunch[1]" in done.stderr
    daemon.config.unlink()

    daemon.run.mkdir(exist_ok=True)
    daemon.run.chmod(0o777)
    done = daemon.hsup("up")
    assert done.returncode == 1 and "can be written by" in done.stderr
    daemon.run.chmod(0o700)
    done = daemon.hsup("up", "--dir", daemon.state / "apps")
    assert done.returncode == 1 and "cannot be the folder of the apps" in done.stderr
    assert marked_processes(daemon.mark) == []
    daemon.up()


def test_what_a_daemon_that_failed_said_last(build, folder, make_daemon):
    programs = copy_programs(build, folder / "bin", "hsup", "hsup-launcher")
    daemon = make_daemon(programs, env={"HSUP_LIBEXEC_DIR": str(folder / "nowhere")})
    done = daemon.hsup("up")
    assert done.returncode == 1
    assert "the daemon did not start" in done.stderr and "hsup-slug is not installed" in done.stderr
    assert "no daemon runs" in daemon.down()


def test_a_daemon_that_is_not_ready_in_time(build, folder, make_daemon):
    programs = copy_programs(build, folder / "bin", "hsup", "hsup-slug")
    launcher = programs / "hsup-launcher"
    launcher.write_text("#!/bin/sh\necho first words >&2\nexec sleep 1000\n")
    launcher.chmod(0o755)
    daemon = make_daemon(programs)
    done = daemon.hsup("up", "--timeout", 1)
    assert done.returncode == 1
    assert "is not ready after 1 s" in done.stderr and "first words" in done.stderr
    pid = daemon.launcher
    done = daemon.hsup("up", "--timeout", 1)
    assert done.returncode == 1
    assert f"pid {pid} since" in done.stderr and "not answered for 1 s" in done.stderr
    daemon.down()
    assert marked_processes(daemon.mark) == []


def test_a_stale_file_never_blocks_and_nobody_else_is_touched(daemon):
    """The file names a process that lives, but is no daemon."""
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        daemon.run.mkdir(mode=0o700)
        start = pathlib.Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19]
        (daemon.run / "hsup.lock").write_text(f"pid {stranger.pid}\nstart {start}\nsince long ago\n")
        assert "no daemon runs" in daemon.down("--kill")
        daemon.up("--force")
        assert daemon.launcher != stranger.pid
        daemon.down()
        (daemon.run / "hsup.lock").write_bytes(b"\0garbage\xff" * 9000)
        daemon.up()
        assert stranger.poll() is None
        stranger.kill()


def test_down_waits_says_so_and_kills_only_when_told(daemon):
    daemon.make_app("shop", args=STUBBORN, process={"StopTimeout": 1000})
    daemon.up()
    dyno = daemon.wait_dynos(1)[0]
    daemon.wait_log("app[shop/web.1]: deaf")  # it is up before that: python takes its time
    done = daemon.hsup("down", "--timeout", 2)
    assert done.returncode == 1
    assert "waiting for shop to stop" in done.stdout and "still runs after 2 s" in done.stderr
    assert daemon.dynos() == [dyno]
    out = daemon.down("--timeout", 1, "--kill")
    assert "killing the dynos" in out and "all below it" not in out
    assert marked_processes(daemon.mark) == []


def test_down_kills_a_daemon_that_is_stopped_and_all_below_it(daemon):
    daemon.make_app("shop", 2)
    daemon.up()
    daemon.wait_dynos(2)
    stop_processes(daemon.launcher, daemon.supervisor())
    done = daemon.hsup("down", "--timeout", 1)
    assert done.returncode == 1
    done = daemon.hsup("down", "--timeout", 1, "--kill", timeout=PATIENCE + 30)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: not marked_processes(daemon.mark), "all to be gone")


# ---- apps ----

def test_apps_come_and_go_and_nobody_else_is_touched(daemon):
    daemon.make_app("shop", 2)
    daemon.up()
    shop = daemon.wait_dynos(2, "shop")
    daemon.make_app("blog")
    blog = daemon.wait_dynos(1, "blog")
    launchers = daemon.app_launchers()
    assert set(launchers) == {"shop", "blog"}
    daemon.take_away("blog")
    daemon.wait_dynos(0, "blog")
    wait_until(lambda: set(daemon.app_launchers()) == {"shop"}, "blog's launcher to be gone")
    daemon.make_app("blog")
    assert daemon.wait_dynos(1, "blog") != blog
    assert daemon.dynos("shop") == shop
    assert daemon.app_launchers()["shop"] == launchers["shop"]


def test_what_is_no_app_is_said_once_and_passed_over(daemon):
    daemon.make_app("no.good")
    daemon.make_app(".hidden")
    (daemon.apps / "file").write_text("")
    (daemon.apps / "elsewhere").symlink_to(daemon.folder / "elsewhere")
    daemon.up()
    daemon.make_app("shop")
    daemon.wait_dynos(1)
    assert daemon.log().count("no.good is passed over: the name of an app must be") == 1
    assert "hidden" not in daemon.log() and "file" not in daemon.log()
    assert set(daemon.app_launchers()) == {"shop"}
    (daemon.folder / "elsewhere").mkdir()
    daemon.make_app("another")
    wait_until(lambda: set(daemon.app_launchers()) == {"shop", "another", "elsewhere"}, "three apps")


def test_a_folder_that_goes_stops_nothing(daemon):
    daemon.make_app("shop")
    daemon.up()
    dynos = daemon.wait_dynos(1)
    daemon.apps.rename(daemon.folder / "away")
    daemon.wait_log("what runs goes on, until it is there again")
    (daemon.folder / "away").rename(daemon.apps)
    daemon.wait_log("is there again")
    daemon.make_app("blog")
    daemon.wait_dynos(1, "blog")
    assert daemon.dynos("shop") == dynos


def test_an_app_that_ends_is_started_again(daemon):
    daemon.make_app("shop")
    daemon.up()
    daemon.wait_dynos(1)
    launcher = daemon.app_launchers()["shop"]
    os.kill(launcher, signal.SIGTERM)
    wait_until(lambda: daemon.app_launchers().get("shop") not in (None, launcher), "another launcher")
    daemon.wait_dynos(1)


def test_what_an_app_and_its_dynos_get(daemon):
    daemon.env.update(NOTIFY_SOCKET="@nobody", WATCHDOG_USEC="1000000", LISTEN_FDS="1", OPERATOR="yes")
    daemon.make_app("shop")
    daemon.up()
    dyno = daemon.wait_dynos(1)[0]
    for pid, own in (daemon.app_launchers()["shop"], True), (dyno, False):
        environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        names = {pair.split(b"=")[0].decode() for pair in environ.split(b"\0") if pair}
        assert not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS"}, names
        assert ("OPERATOR" in names) == own


def test_apps_are_told_of_the_network(daemon):
    daemon.make_app("shop")
    daemon.up("--network", "none")
    daemon.wait_dynos(1, "shop")
    assert "--network=none" in command_line(daemon.app_launchers()["shop"]).split("\0")


def test_every_line_names_its_app_and_has_one_stamp(daemon):
    talk = ["/bin/sh", "-c", "echo '2026-01-01T00:00:00.000000+00:00 app[forged.1]: a lie'; "
            "printf '%10000s\\n' end; exec sleep 1000"]
    daemon.make_app("shop", args=talk)
    daemon.up()
    daemon.wait_log("app[shop/web.1]", 2)
    lines = [LINE.match(line) for line in daemon.log().splitlines()]
    assert all(lines), daemon.log()[:2000]
    said = [m.group(4) for m in lines if m.group(3) == "shop/web.1" and m.group(2) == "app"]
    assert said[0] == "2026-01-01T00:00:00.000000+00:00 app[forged.1]: a lie"
    assert said[1] == "end".rjust(10000)
    assert len(said) == 2


def test_the_system_s_log(daemon):
    path = daemon.folder / "syslog"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        log.settimeout(PATIENCE)
        daemon.make_app("shop", args=["/bin/sh", "-c", "echo hello; exec sleep 1000"])
        daemon.up("--log", f"syslog:{path}")
        seen = ""
        while "app[shop/web.1]: hello" not in seen:
            message = log.recv(20000).decode()
            assert re.match(r"<30>hsup\[\d+\]: (app|hsup)\[", message), message
            seen += message + "\n"
    # It is gone, and comes back: what was lost meanwhile is counted.
    path.unlink()
    daemon.make_app("blog", args=SLEEP)
    daemon.wait_dynos(1, "blog")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        log.settimeout(PATIENCE)
        daemon.take_away("blog")
        assert re.search(r"\d+ lines were lost", log.recv(20000).decode())


def test_the_journal(daemon):
    """In its own protocol: a field says which app and dyno it was, and on which stream."""
    path = daemon.folder / "journal"
    want = {"MESSAGE": "hello", "HSUP_APP": "shop", "HSUP_DYNO": "web.1", "SYSLOG_IDENTIFIER": "shop/web.1",
            "HSUP_STREAM": "out", "PRIORITY": "6"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(path))
        journal.settimeout(PATIENCE)
        daemon.make_app("shop", args=["/bin/sh", "-c", "echo hello; exec sleep 1000"])
        daemon.up("--log", f"journal:{path}")
        while True:
            message = journal.recv(20000).decode()
            assert message.endswith("\n"), message
            fields = dict(line.split("=", 1) for line in message.splitlines())
            if fields["MESSAGE"] == "hello":
                break
            assert fields["SYSLOG_IDENTIFIER"] == "hsup", message
    assert fields == want


# ---- which apps are launched ----

def test_autolaunch(daemon):
    daemon.config.write_text('{"Autolaunch": ["shop", "absent"]}')
    for app in "shop", "blog":
        daemon.make_app(app, submit=False)
        (daemon.apps / app / "loaded").write_text(json.dumps(daemon.document(app)))
    daemon.up()
    daemon.wait_dynos(1, "shop")
    assert set(daemon.app_launchers()) == {"shop"}
    done = daemon.hsup("deploy", daemon.file(daemon.document("blog", 2)))
    assert done.returncode == 0, done.stderr
    blog = daemon.wait_dynos(2, "blog")

    kill_and_wait(daemon.supervisor())
    assert "2 apps" in daemon.up()
    daemon.make_app("third", submit=False)
    daemon.wait_log("hsup.json does not launch it")
    assert daemon.dynos("blog") == blog

    daemon.down()
    daemon.up()
    daemon.wait_dynos(1, "shop")
    assert set(daemon.app_launchers()) == {"shop"}


def test_a_file_that_is_spoilt_later_stops_nothing(daemon):
    daemon.make_app("shop")
    daemon.up()
    dynos = daemon.wait_dynos(1)
    daemon.config.write_text("{")
    kill_and_wait(daemon.supervisor())
    daemon.wait_log("nothing new is launched until it is mended")
    assert daemon.dynos() == dynos
    kill_and_wait(daemon.app_launchers()["shop"], signo=signal.SIGTERM)
    assert daemon.wait_dynos(1) != dynos


# ---- the supervisor's and the launcher's death ----

def test_apps_never_notice_the_supervisor_s_death(daemon):
    daemon.make_app("shop", 2)
    daemon.make_app("blog")
    daemon.up()
    dynos, launchers = daemon.wait_dynos(3), daemon.app_launchers()
    for _ in range(3):
        before = daemon.supervisor()
        kill_and_wait(before)
        wait_until(lambda: daemon.supervisor() != before, "another supervisor")
        assert "2 apps" in daemon.up()
    assert daemon.dynos() == dynos
    assert daemon.app_launchers() == launchers


def test_force_takes_over_from_a_hung_daemon_and_no_dyno_notices(daemon):
    daemon.make_app("shop", 2)
    daemon.up()
    dynos = daemon.wait_dynos(2)
    daemon.wait_log("release v1 is up")
    launcher, supervisor, apps = daemon.launcher, daemon.supervisor(), daemon.app_launchers()
    assert "runs already" in daemon.up("--force")  # a healthy one is left alone
    stop_processes(launcher, supervisor)
    done = daemon.hsup("up")
    assert done.returncode == 1
    assert f"pid {launcher} since" in done.stderr and "it is stopped" in done.stderr
    assert f"taking over from pid {launcher}" in daemon.up("--force")
    assert daemon.launcher != launcher
    assert is_dead(supervisor)
    assert_in_control(daemon, apps, dynos)


def assert_in_control(daemon, apps, dynos):
    """The daemon that runs now looks after what ran before it, and nothing was started twice."""
    assert f"{len(apps)} app" in daemon.up()
    assert (daemon.app_launchers(), daemon.dynos()) == (apps, dynos)
    # It hears of its apps' ends, and stops them with itself.
    name = sorted(apps)[0]
    os.kill(apps[name], signal.SIGTERM)
    wait_until(lambda: daemon.app_launchers().get(name) not in (None, apps[name]), "another launcher")
    daemon.wait_dynos(len(dynos))
    daemon.down()
    assert marked_processes(daemon.mark) == []


def test_force_takes_over_when_only_the_supervisor_is_left(daemon):
    daemon.make_app("shop")
    daemon.up()
    dynos = daemon.wait_dynos(1)
    daemon.wait_log("release v1 is up")
    launcher, supervisor, apps = daemon.launcher, daemon.supervisor(), daemon.app_launchers()
    stop_processes(supervisor)
    kill_and_wait(launcher)
    done = daemon.hsup("up")
    assert done.returncode == 1 and "its launcher is dead" in done.stderr
    assert "its launcher is dead" in daemon.hsup("down").stderr
    daemon.up("--force")
    assert daemon.launcher != launcher
    assert is_dead(supervisor)
    assert_in_control(daemon, apps, dynos)


def test_a_killed_daemon_blocks_nobody_and_its_apps_are_not_started_twice(daemon):
    daemon.make_app("shop")
    daemon.up()
    daemon.config.write_text('{"Autolaunch": []}')  # launched by its submission, as deploy does
    dynos, apps = daemon.wait_dynos(1), daemon.app_launchers()
    daemon.wait_log("release v1 is up")
    kill_and_wait(daemon.launcher)
    wait_until(lambda: daemon.hsup("down").stdout.startswith("no daemon runs"), "the lock to be free")
    daemon.up()
    assert_in_control(daemon, apps, dynos)


# ---- deploy ----

def test_deploy_starts_the_daemon_and_waits_for_loaded(daemon):
    text = json.dumps(daemon.document("shop", 2), indent=3)
    done = daemon.hsup("deploy", daemon.file(text))
    assert done.returncode == 0, done.stderr
    assert "the daemon runs" in done.stdout and "shop: loaded\nshop: v1 runs\n" in done.stdout
    assert (daemon.apps / "shop" / "loaded").read_text() == text
    assert (daemon.apps / "shop").stat().st_mode & 0o777 == 0o700
    daemon.wait_dynos(2)
    done = daemon.hsup("deploy", "--no-wait", daemon.file(text))  # the same once more
    assert (done.returncode, done.stdout) == (0, "shop: loaded\n")
    done = daemon.hsup("deploy", "-a", "blog", "--no-wait", "-", input=json.dumps(daemon.document("shop")))
    assert (done.returncode, done.stdout) == (0, "blog: loaded\n")
    assert set(daemon.app_launchers()) == {"shop", "blog"}
    assert [p.name for p in (daemon.apps / "shop").iterdir() if p.name.startswith(".new")] == []


def test_deploy_refuses_what_check_refuses_without_a_daemon(daemon):
    bad = daemon.file('{"Name": "shop",\n "Processes": [{"Type": "web", "Args": 7}]}')
    done = daemon.hsup("deploy", bad)
    assert done.returncode == 1
    assert done.stdout == daemon.hsup("check", bad).stdout != ""
    assert not daemon.apps.exists() and not daemon.run.exists()
    done = daemon.hsup("deploy", daemon.file({"Processes": []}))
    assert done.returncode == 2 and "-a NAME" in done.stderr
    done = daemon.hsup("deploy", daemon.file({"Name": "a.b", "Processes": []}))
    assert done.returncode == 2 and "not 'a.b'" in done.stderr
    done = daemon.hsup("deploy", "-a", "shop", daemon.folder / "none.json")
    assert done.returncode == 1 and "none.json: No such file" in done.stderr
    assert daemon.hsup("deploy").returncode == 2


def test_deploy_tells_why_it_was_rejected(daemon):
    good = daemon.file(daemon.document("shop"))
    assert daemon.hsup("deploy", good).returncode == 0
    slug = daemon.file({**daemon.document("shop"), "Slug": "/etc/hostname"}, "slug.json")
    for _ in range(2):
        done = daemon.hsup("deploy", slug)
        assert done.returncode == 1
        assert done.stdout.startswith(f"{slug}: Slug: /etc/hostname: ")
        assert done.stderr == f"hsup deploy: {slug}: rejected\n"
    assert (daemon.apps / "shop" / "loaded").read_text() == good.read_text()


def test_deploy_gives_up_in_time(daemon):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        slug = f"http://127.0.0.1:{silent.getsockname()[1]}/slug.tgz"
        release = daemon.file({**daemon.document("shop"), "Slug": slug})
        done = daemon.hsup("deploy", "--timeout", 1, release)
        assert done.returncode == 1
        assert "neither loaded nor rejected after 1 s" in done.stderr and str(daemon.log_file) in done.stderr


def test_deploy_without_starting(daemon):
    release = daemon.file(daemon.document("shop"))
    done = daemon.hsup("deploy", "--no-start", release)
    assert done.returncode == 0 and "no daemon runs" in done.stdout
    assert (daemon.apps / "shop" / "new").read_text() == release.read_text()
    assert marked_processes(daemon.mark) == []
    daemon.up()
    daemon.wait_dynos(1)
    done = daemon.hsup("deploy", "--dir", daemon.folder, release)
    assert done.returncode == 1 and f"looks after {daemon.apps}, not {daemon.folder}" in done.stderr


def test_deploy_hears_that_the_daemon_ended(daemon):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        slug = f"http://127.0.0.1:{silent.getsockname()[1]}/slug.tgz"
        release = daemon.file({**daemon.document("shop"), "Slug": slug})
        daemon.up()
        waiting = subprocess.Popen([daemon.build / "hsup", "deploy", release], env=daemon.env, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        silent.settimeout(PATIENCE)
        silent.accept()[0].close()
        daemon.down()
        out, err = waiting.communicate(timeout=PATIENCE)
        assert waiting.returncode == 1, (out, err)


# ---- in the foreground ----

def messages(notify):
    fields = {}
    try:
        while True:
            for line in notify.recv(4096).decode().splitlines():
                key, _, value = line.partition("=")
                fields.setdefault(key, []).append(value)
    except (BlockingIOError, TimeoutError):
        return fields


def test_in_the_foreground_systemd_is_told(daemon):
    path = daemon.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.setblocking(False)
        heard = {}

        def hear(key, value=None, count=1):
            def look():
                for name, values in messages(notify).items():
                    heard.setdefault(name, []).extend(values)
                found = [v for v in heard.get(key, []) if value in (None, v)]
                return len(found) >= count
            wait_until(look, f"{key}={value}; heard {heard}")

        daemon.make_app("shop")
        # WATCHDOG_PID names the process that systemd started: the one that becomes the launcher.
        command = f'export WATCHDOG_PID=$$; exec "{daemon.build}/hsup" up --foreground'
        with open(daemon.folder / "out", "wb") as out:
            daemon.foreground = subprocess.Popen(
                ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=dict(daemon.env, NOTIFY_SOCKET=str(path), WATCHDOG_USEC="200000"))
        hear("READY", "1")
        assert daemon.launcher == daemon.foreground.pid
        hear("STATUS", "1 app")
        hear("WATCHDOG", "1", 3)
        daemon.make_app("blog")
        hear("STATUS", "2 apps")
        kill_and_wait(daemon.supervisor())
        hear("READY", "1", 2)
        heard.pop("WATCHDOG")
        hear("WATCHDOG", "1", 3)  # of the new one too
        ready = len(heard["READY"])
        daemon.foreground.send_signal(signal.SIGHUP)  # as ExecReload does
        hear("RELOADING", "1")
        hear("READY", "1", ready + 1)
        assert re.fullmatch(r"\d+", heard["MONOTONIC_USEC"][0])
        daemon.foreground.terminate()
        hear("STOPPING", "1")
        assert daemon.foreground.wait(PATIENCE) == 0
    assert "hsup[shop/web.1]: state changed" in (daemon.folder / "out").read_text()
    assert not daemon.log_file.exists()


def test_hsup_start_tells_systemd_too(make_app):
    app = make_app()
    path = app.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(PATIENCE)
        app.start(env={"NOTIFY_SOCKET": str(path)})
        assert notify.recv(4096).decode() == "READY=1\nSTATUS=0 dynos"
        app.submit(app.release(("web", SLEEP, 2)))
        while notify.recv(4096).decode() != "STATUS=2 dynos":
            pass
        for pid in app.wait_dynos(2):
            assert b"NOTIFY_SOCKET" not in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        assert app.stop() == 0


# ---- paths ----

def test_paths(daemon, reachable):
    def boxes(state, locks, why):
        return [f"native   {state}/native (in the state directory)", f"stacks   {state}/stacks (in the state directory)",
                f"locks    {locks} ({why})"]

    daemon.env.update(HSUP_BOX_STATE="/b/layers", HSUP_BOX_STACKS="")
    lines = dict(line.split(None, 1) for line in daemon.hsup("paths", "--config", "/c.json").stdout.splitlines())
    assert lines == {
        "state": f"{daemon.state} (HSUP_STATE_DIR)", "runtime": f"{daemon.run} (HSUP_RUNTIME_DIR)",
        "apps": f"{daemon.apps} (in the state directory)",
        "log": f"{daemon.log_file} (in the state directory)", "config": "/c.json (--config)",
        "native": "/b/layers (HSUP_BOX_STATE)", "stacks": f"{daemon.state}/stacks (in the state directory)",
        "locks": "/run/hsup (of root)"}

    def paths(user, **env):
        done = subprocess.run([reachable / "hsup", "paths"], env=env, text=True, user=user, group=user,
                              extra_groups=[], capture_output=True, timeout=PATIENCE)
        return done.returncode, done.stdout, done.stderr

    assert paths(0, HOME="/root", XDG_STATE_HOME="/x")[1].splitlines() == [
        "state    /var/lib/hsup (of root)", "runtime  /run/hsup (of root)",
        "apps     /var/lib/hsup/control (in the state directory)",
        "log      /var/lib/hsup/hsup.log (in the state directory)", "config   /etc/hsup/hsup.json (of root)",
        *boxes("/var/lib/hsup", "/run/hsup", "of root")]
    assert paths(65534, HOME="/h", XDG_RUNTIME_DIR="/run/user/7")[1].splitlines() == [
        "state    /h/.local/state/hsup (HOME)", "runtime  /run/user/7/hsup (XDG_RUNTIME_DIR)",
        "apps     /h/.local/state/hsup/control (in the state directory)",
        "log      /h/.local/state/hsup/hsup.log (in the state directory)",
        "config   /h/.config/hsup/hsup.json (HOME)",
        *boxes("/h/.local/state/hsup", "/run/user/7/hsup", "the runtime directory")]
    code, _, errors = paths(65534)
    assert code == 2 and errors.startswith("hsup paths: HOME is not set")
    code, _, errors = paths(0, HOME="/root", HSUP_BOX_RUN="locks")
    assert code == 2 and errors.startswith("hsup paths: HSUP_BOX_RUN: 'locks' is not an absolute path")


# ---- boot ----

def with_systemd(root):
    (root / "usr/lib/systemd").mkdir(parents=True)
    (root / "usr/lib/systemd/systemd").write_text("")
    return root


def test_boot_installs_a_unit_and_removes_it(daemon):
    root = with_systemd(daemon.folder / "root")
    unit = root / "etc/systemd/system/hsup.service"
    install = ("boot", "install", "--root", root, "--dir", "/srv/my apps")
    done = daemon.hsup(*install)
    assert done.returncode == 0 and str(unit) in done.stdout
    assert "systemctl daemon-reload && systemctl enable --now hsup" in done.stdout
    text = unit.read_text()
    assert text == daemon.hsup("boot", "show", "--root", root, "--dir", "/srv/my apps").stdout
    for line in ("Type=notify", "NotifyAccess=all", "KillMode=process", "Delegate=yes",
                 f'ExecStart="{daemon.build}/hsup" up --foreground --dir "/srv/my apps"'):
        assert line in text.splitlines(), text
    before = unit.stat().st_ino
    done = daemon.hsup(*install)
    assert done.returncode == 0 and "is installed already" in done.stdout
    assert unit.stat().st_ino == before
    done = daemon.hsup("boot", "remove", "--root", root)
    assert done.returncode == 0 and not unit.exists()
    assert daemon.hsup("boot", "remove", "--root", root).returncode == 0
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    for verb in "install", "remove":
        done = daemon.hsup("boot", verb, "--root", root)
        assert done.returncode == 1 and "left alone" in done.stderr
    assert unit.exists()
    assert daemon.hsup("boot", "insert").returncode == 2


def test_the_unit_is_one_that_systemd_takes(daemon):
    if not shutil.which("systemd-analyze"):
        return
    root = with_systemd(daemon.folder / "root")
    for user in (), ("--user",):
        unit = daemon.folder / "hsup.service"
        unit.write_text(daemon.hsup("boot", "show", "--root", root, *user, "--dir", "/srv/100% of $x").stdout)
        done = subprocess.run(["systemd-analyze", *user, "verify", "--man=no", "--recursive-errors=no", unit],
                              text=True, capture_output=True, timeout=PATIENCE, env=daemon.env)
        assert "hsup.service:" not in done.stderr, done.stderr


def test_boot_of_a_user(daemon):
    root = with_systemd(daemon.folder / "root")
    done = daemon.hsup("boot", "install", "--user", "--root", root, env={"XDG_CONFIG_HOME": "/h/.config"})
    unit = root / "h/.config/systemd/user/hsup.service"
    assert done.returncode == 0 and "loginctl enable-linger" in done.stdout
    assert "WantedBy=default.target" in unit.read_text()


def test_boot_without_systemd(daemon):
    root = daemon.folder / "root"
    root.mkdir()
    done = daemon.hsup("boot", "install", "--root", root)
    line = (root / "etc/cron.d/hsup").read_text().splitlines()[1]
    assert done.returncode == 0 and line == f"@reboot root '{daemon.build}/hsup' up"
    assert daemon.hsup("boot", "remove", "--root", root).returncode == 0
    assert not (root / "etc/cron.d/hsup").exists()

    crontab = daemon.folder / "bin" / "crontab"
    crontab.parent.mkdir()
    crontab.write_text(f'#!/bin/sh\nf="{daemon.folder}/tab"\n[ "$1" = -l ] && exec cat "$f"\nexec cat >"$f"\n')
    crontab.chmod(0o755)
    env = {"PATH": f"{crontab.parent}:{os.environ['PATH']}"}
    table = daemon.folder / "tab"
    table.write_text("5 4 * * * sunday\n")
    boot = ("--user", "--root", root, "--dir", "/srv/it's 5%")
    for _ in range(2):
        assert daemon.hsup("boot", "install", *boot, env=env).returncode == 0
    lines = table.read_text().splitlines()
    assert len(lines) == 2 and lines[0] == "5 4 * * * sunday"
    assert lines[1].startswith(f"@reboot '{daemon.build}/hsup' up --dir '/srv/it'\\''s 5'\\%'' # ")
    assert daemon.hsup("boot", "remove", *boot, env=env).returncode == 0
    assert table.read_text() == "5 4 * * * sunday\n"
    assert "no line of hsup" in daemon.hsup("boot", "remove", *boot, env=env).stdout


# ---- upgrade ----

STUB = """
import fcntl, os, signal, sys, time
folder, refuses = sys.argv[1], sys.argv[2] == "refuses"
count = next((int(w.rpartition(":")[2]) for w in sys.argv if w.startswith("--resume=")), 0)
def again(*_):
    if not refuses:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        os.execv(sys.executable, [sys.executable, __file__, *sys.argv[1:3], f"--resume=7:{count + 1}"])
signal.signal(signal.SIGUSR2, again)
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
if count == 0:
    if os.fork() == 0:
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        lock = open(folder + "/.hsup/lock", "w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()}\\n")
        lock.flush()
        time.sleep(1000)
while True:
    time.sleep(1000)
"""


@pytest.mark.parametrize("temper", ["obeys", "refuses"])
def test_upgrade_of_one_app(daemon, temper):
    """The other side of the seam is a process that replaces itself as a launcher does."""
    launcher = daemon.folder / "hsup-launcher"
    shutil.copy(os.path.realpath(sys.executable), launcher)
    script = daemon.folder / "stub.py"
    script.write_text(STUB)
    control = daemon.folder / "control"
    (control / ".hsup").mkdir(parents=True)
    done = daemon.hsup("upgrade", "-C", control)
    assert done.returncode == 1 and "no hsup holds" in done.stderr
    stub = subprocess.Popen([launcher, script, control, temper], env=daemon.env)
    wait_until(lambda: (control / ".hsup/lock").exists() and (control / ".hsup/lock").read_text(), "the lock")
    for _ in range(2):
        done = daemon.hsup("upgrade", "-C", control, "--timeout", 1 if temper == "refuses" else 20)
        if temper == "refuses":
            assert done.returncode == 1 and "refused" in done.stderr
        else:
            assert done.returncode == 0, done.stderr
            assert f"the launcher (pid {stub.pid}) was replaced" in done.stdout
    for pid in children_of(stub.pid):
        os.kill(pid, signal.SIGKILL)
    stub.kill()
    stub.wait()


def test_upgrade_of_the_daemon_and_its_apps(daemon):
    daemon.make_app("shop", 2)
    daemon.make_app("blog")
    daemon.up()
    dynos, launchers, pid = daemon.wait_dynos(3), daemon.app_launchers(), daemon.launcher
    for name in "shop", "blog":
        daemon.wait_log(f"hsup[{name}/supervisor]: release v1 is up")
    for _ in range(2):
        done = daemon.hsup("upgrade")
        assert done.returncode == 0, done.stderr
        assert [line.split(":")[0] for line in sorted(done.stdout.splitlines())] == [
            "blog", "shop", "the daemon"]
    assert "2 apps" in daemon.up()
    assert (daemon.dynos(), daemon.app_launchers(), daemon.launcher) == (dynos, launchers, pid)
    assert os.readlink(f"/proc/{pid}/fd/0") == str(daemon.run / "hsup.lock")


def test_upgrade_without_a_daemon(daemon):
    done = daemon.hsup("upgrade")
    assert done.returncode == 1 and "no daemon runs" in done.stderr


@pytest.mark.parametrize("name", ["apps", "control"])
def test_what_root_has_elsewhere_is_not_given_away(reachable, make_daemon, name):
    """Who owns the state directory can give anything in it the name of what would become his."""
    daemon = make_daemon(reachable)
    there = daemon.state / name
    there.mkdir(parents=True, mode=0o700)
    (there / "file").write_text("of root")
    os.chown(daemon.state, 65534, 65534)
    up = daemon.hsup("up", "--user", "nobody", "--dyno-user", "daemon")
    assert up.returncode != 0, up
    assert f"{there} is not what hsup has made there for user nobody" in up.stderr + daemon.log()
    assert f"chown 65534:65534 {there}" in up.stderr + daemon.log()
    assert there.stat().st_uid == 0
    # Where nobody but root can have put it, and what is empty, it is.
    os.chown(daemon.state, 0, 0)
    up = daemon.hsup("up", "--user", "nobody", "--dyno-user", "daemon")
    assert up.returncode == 0, up.stderr
    assert there.stat().st_uid == 65534


NAMES = {
    "link": "ln -s {secret} hsup.log",
    "link to none": "ln -s {secret}.new hsup.log",
    "second name": "mv of.root hsup.log",
    "fifo": "mkfifo hsup.log",
}


@pytest.mark.parametrize("what", NAMES)
def test_root_s_log_is_not_led_astray(folder, make_daemon, what):
    """By who owns the state directory since a `start --user`: root would append to any file."""
    daemon = make_daemon()
    secret = folder / "secret"
    secret.write_text("of root")
    daemon.apps.mkdir(parents=True)
    os.chown(daemon.state, 65534, 65534)
    os.link(secret, daemon.state / "of.root")  # as he can without fs.protected_hardlinks
    subprocess.run(["sh", "-ec", NAMES[what].format(secret=secret)], cwd=daemon.state, check=True)
    up = daemon.hsup("up")
    assert up.returncode != 0, up
    assert f"log {daemon.log_file} is no file of that name alone, in a directory that others can change" in up.stderr
    assert secret.read_text() == "of root" and not (folder / "secret.new").exists()


@pytest.mark.parametrize("whose", [0, 65534])
def test_a_log_that_is_the_operator_s(folder, make_daemon, whose):
    """A plain one of either is appended to; one that is named, and a link of root's, is followed."""
    daemon = make_daemon()
    daemon.apps.mkdir(parents=True)
    daemon.log_file.write_text("before\n")
    for path in (daemon.state, daemon.log_file):
        os.chown(path, whose, whose)
    daemon.up()
    daemon.down()
    assert daemon.log_file.read_text().startswith("before\n") and daemon.log_file.stat().st_uid == whose
    elsewhere, link = folder / "elsewhere", daemon.state / "link"
    link.symlink_to(elsewhere)
    daemon.up("--log", link)
    daemon.down()
    assert elsewhere.exists()
    if whose == 0:
        elsewhere.unlink()
        daemon.log_file.unlink()
        daemon.log_file.symlink_to(elsewhere)
        daemon.up()
        daemon.down()
        assert elsewhere.exists()


def test_the_apps_of_a_daemon_with_a_user_are_confined(reachable, make_daemon):
    """Its own supervisor stays root: it reads no more than hsup.json and the names of folders."""
    daemon = make_daemon(reachable)
    up = daemon.hsup("up", "--user", "nobody", "--dyno-user", "daemon")
    assert up.returncode == 0, up.stderr
    script = "grep -E '^(Uid|NoNewPrivs)' /proc/self/status; exec sleep 1000"
    deployed = daemon.hsup("deploy", "-", "-a", "shop", input=json.dumps(
        {"Version": 1, "Env": {}, "Processes": [{"Type": "web", "Args": [script], "Quantity": 1}]}))
    assert deployed.returncode == 0, deployed.stderr
    wait_until(lambda: re.search(r"app\[shop/web\.1\]: Uid:\s+1\s+1\s+1\s+1\n", daemon.log()), "the dyno's user")
    supervisors = [pid for pid in marked_processes(daemon.mark) if "--log-app\0shop" in command_line(pid)
                   and command_line(pid).split("\0")[0].endswith("/hsup")]
    status = pathlib.Path(f"/proc/{supervisors[0]}/status").read_text()
    assert re.search(r"^Uid:\s+65534\s+65534\s+65534\s+65534$", status, re.M)
    assert re.search(r"^CapEff:\s+0+$", status, re.M) and re.search(r"^Seccomp:\s+2$", status, re.M)
    assert daemon.hsup("down").returncode == 0


def test_the_api_of_the_daemon(daemon):
    """Its dynos are apps: they are started and stopped, and the rest is theirs."""
    daemon.make_app("shop", 2)
    daemon.make_app("billing", 1)
    daemon.up()
    assert daemon.hsup("wait", "shop", "billing").returncode == 0
    sockets = {Client(path).get("/v1/app").json["mode"]: path for path in daemon.run.rglob("control.sock")}
    client = Client(sockets["up"])
    apps = {app["name"]: app for app in client.get("/v1/apps").json}
    assert set(apps) == {"shop", "billing"}
    assert Client(apps["shop"]["socket"]).get("/v1/app").json["name"] == "shop"
    before = sorted(daemon.dynos())
    for target, body in [("/v1/scale", {"shop": 2}), ("/v1/rollback", {}), ("/v1/releases", {"Processes": []}),
                         ("/v1/dynos/roll", {"names": ["shop"]})]:
        assert client.post(target, body).status == 422, target
    assert sorted(daemon.dynos()) == before
    assert client.post("/v1/dynos/stop", {"names": ["shop"]}).status == 200
    wait_until(lambda: not daemon.dynos("shop"), "shop to be gone")
    kill_and_wait(daemon.supervisor())

    def states():
        try:
            answer = Client(sockets["up"]).get("/v1/apps")
        except OSError:
            return None  # there is no other one yet
        return {app["name"]: app["state"] for app in answer.json} if answer.status == 200 else None
    wait_until(lambda: states() == {"shop": "stopped", "billing": "up"}, "the same apps")
    assert Client(sockets["up"]).post("/v1/dynos/start", {"names": ["shop"]}).status == 200
    wait_until(lambda: len(daemon.dynos("shop")) == 2, "shop to be back")
