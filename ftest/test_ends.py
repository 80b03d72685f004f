"""Ends and restarts at awkward moments: nothing hangs, nothing good goes down, nothing is forgotten."""
import json
import os
import pathlib
import pty
import shutil
import signal
import socket
import subprocess
import time

import pytest

from client import Client
from hsup import PATIENCE, children_of, command_line, marked_processes, wait_until

SLEEP = ["sleep", "1000"]


@pytest.fixture
def silent_port():
    """A server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def start_unread(app, **options):
    """`hsup start` whose standard output is a pipe that nobody reads."""
    reading, writing = os.pipe()
    process = subprocess.Popen([str(app.build / "hsup"), "start", "-C", str(app.control)], env=app.env,
                               stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.DEVNULL,
                               start_new_session=True, **options)
    os.close(writing)
    return process, reading


def wait_flooded(reading):
    """Until the pipe is full, as far as anybody can tell."""
    import fcntl
    import termios
    def held():
        return int.from_bytes(fcntl.ioctl(reading, termios.FIONREAD, b"\0\0\0\0"), "little")
    wait_until(lambda: held() > 50_000, "a full pipe")


@pytest.mark.parametrize("end", ["stays", "closes", "closes after a second TERM"])
def test_a_stop_ends_though_nobody_reads_the_log(app, end):
    app.submit(app.release(("web", ["/usr/bin/yes", "flood"], 2)))
    process, reading = start_unread(app)
    try:
        wait_flooded(reading)
        process.send_signal(signal.SIGTERM)
        if end != "stays":
            time.sleep(0.3)
            if "second" in end:
                process.send_signal(signal.SIGTERM)
                time.sleep(0.3)
            os.close(reading)
            reading = -1
        assert process.wait(15) == 0
    finally:
        if reading >= 0:
            os.close(reading)
        process.kill()
        process.wait()
    assert wait_until(lambda: not marked_processes(app.mark), "no process")


def test_a_launcher_killed_under_a_stalled_reader(app):
    """The supervisor ends by itself, in order; the dynos run on."""
    app.submit(app.release(("web", ["/usr/bin/yes", "flood"], 2)))
    process, reading = start_unread(app)
    try:
        wait_flooded(reading)
        dynos = [p for p in marked_processes(app.mark) if command_line(p).startswith("/usr/bin/yes")]
        supervisor = wait_until(lambda: [p for p in children_of(process.pid) if p not in dynos], "it")[0]
        os.kill(dynos[0], signal.SIGKILL)
        time.sleep(0.2)
        process.kill()
        process.wait()
        time.sleep(0.2)
        os.close(reading)
        wait_until(lambda: supervisor not in marked_processes(app.mark), "the supervisor to end")
        assert [p for p in marked_processes(app.mark) if p in dynos[1:]] == dynos[1:]
    finally:
        for pid in marked_processes(app.mark):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not marked_processes(app.mark), "the dynos to end")


def test_a_submission_that_waits_for_its_slug_survives_a_stop(app, silent_port):
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Version=1))
    app.wait_line("release v1 is up")
    app.submit(app.release(("web", SLEEP, 2), Version=2, Slug=f"http://127.0.0.1:{silent_port}/slug.tgz"))
    app.wait_line("release v2 submitted")
    assert app.stop() == 0
    app.lines.clear()
    app.start()
    app.wait_line("release v1 is up")
    app.wait_line("release v2 submitted")


@pytest.mark.parametrize("how", ["kill -9", "stop and start"])
def test_a_rollout_interrupted_by_a_restart_still_rolls_back(app, how):
    good = {"Type": "web", "Args": SLEEP, "Quantity": 2, "StartSeconds": 0}
    app.start()
    app.submit(app.release(good, Version=1))
    app.wait_line("release v1 is up")
    before = app.wait_dynos(2)
    bad = {"Type": "web", "Args": ["sleep 0.3; exit 1"], "Quantity": 2, "StartSeconds": 5, "StartTimeout": 20}
    app.submit(app.release(bad, Version=2))
    app.wait_line("release v2 is being rolled out")
    app.wait_line(r"hsup\[web\.\d\]: state changed from \w+ to starting", count=3)
    if how == "kill -9":
        os.kill(app.supervisor(), signal.SIGKILL)
    else:
        assert app.stop() == 0
        app.lines.clear()
        app.start()
    app.wait_line("release v2 rolled back")
    assert app.loaded()["Version"] == 1
    app.wait_rejected("did not come up")
    if how == "kill -9":
        assert app.wait_dynos(2) == before
        app.no_line("process was killed by SIGTERM")
    app.wait_dynos(2)


def test_a_leader_that_goes_while_the_supervisor_catches_up(app):
    """The release in force cannot be made ready just then; what happens meanwhile is not forgotten."""
    (app.control / "env").write_text("A=1\n")
    app.start()
    app.submit(app.release(("web", ["sleep 1000; exit 1"], 1), Version=1, EnvFiles=["env"]))
    app.wait_line("release v1 is up")
    leader = app.wait_dynos(1)[0]
    (app.control / "env").unlink()
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line("release v1 in force cannot be made ready")
    os.kill(leader, signal.SIGKILL)
    time.sleep(0.2)
    (app.control / "env").write_text("A=1\n")
    app.wait_line(r"hsup\[web\.1\]: process was killed by SIGKILL")
    app.wait_line(r"hsup\[web\.1\]: state changed from \w+ to starting", count=2)


def test_dynos_that_are_still_to_be_adopted_are_not_passed_over(app):
    """A list without them would say that they do not run. (`hsup ps` asks again until they are in it.)"""
    (app.control / "env").write_text("A=1\n")
    app.start()
    app.submit(app.release(("web", SLEEP, 2), Version=1, EnvFiles=["env"]))
    app.wait_line("release v1 is up")
    (app.control / "env").unlink()
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line("release v1 in force cannot be made ready")
    client = Client(wait_until(lambda: next(app.folder.rglob("control.sock"), None), "the control socket"))
    for path in ("/v1/dynos", "/v1/dynos?name=*", "/v1/dynos?name=web"):
        answer = client.get(path)
        assert (answer.status, answer.headers["Retry-After"]) == (409, "1"), path
    with subprocess.Popen([app.build / "hsup", "ps", "--json", "-C", app.control], env=app.env,
                          stdout=subprocess.PIPE, text=True) as asking:
        time.sleep(0.2)
        assert asking.poll() is None
        (app.control / "env").write_text("A=1\n")
        app.submit(app.release(("web", SLEEP, 2), Version=2, EnvFiles=["env"]))
        assert [dyno["name"] for dyno in json.loads(asking.communicate(timeout=PATIENCE)[0])] == ["web.1", "web.2"]
    assert asking.returncode == 0


def test_a_new_release_takes_over_from_one_that_cannot_be_made_ready(app):
    (app.control / "env").write_text("A=1\n")
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Version=1, EnvFiles=["env"]))
    app.wait_line("release v1 is up")
    (app.control / "env").unlink()
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line("release v1 in force cannot be made ready")
    app.submit('{"Processes": 1}')
    app.wait_rejected("Processes")
    app.submit(app.release(("web", SLEEP, 2), Version=2))
    app.wait_line("release v2 is up")
    app.wait_dynos(2)
    assert app.loaded()["Version"] == 2


def test_oneshot_whose_commit_fails_ends(app):
    (app.control / "loaded.tmp" / "x").mkdir(parents=True)
    app.submit(app.release(("web", SLEEP, 1)))
    app.start("--oneshot")
    assert app.wait() == 1
    app.wait_line("loaded: cannot write")


def test_oneshot_runs_nothing_twice_after_a_crash(app):
    app.submit(app.release(("once", ["echo run once; exit 9"], 1), ("long", ["sleep 2; exit 1"], 1)))
    app.start("--oneshot")
    app.wait_line(r"hsup\[once\.1\]: process exited with status 9")
    time.sleep(0.1)
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line("dynos running")
    assert app.wait() == 9
    # Its line may have come twice (the kill fell between writing and taking), its start may not.
    assert len([l for l in app.lines if "hsup[once.1]: state changed from stopped to starting" in l]) == 1
    assert set(app.app_lines("once.1")) == {("once.1", "run once")}


@pytest.mark.parametrize("command", [["build"], ["run", "echo RAN"]])
def test_an_interrupted_run_or_build_has_not_done_its_work(app, silent_port, command):
    app.submit(app.release(Slug=f"http://127.0.0.1:{silent_port}/slug.tgz"))
    process = subprocess.Popen([str(app.build / "hsup"), command[0], "-C", str(app.control), *command[1:]],
                               env=app.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=15)[0] == ""
    assert process.returncode == 1


def test_run_gives_the_code_of_a_command_told_to_end(app):
    app.submit(app.release())
    process = subprocess.Popen([str(app.build / "hsup"), "run", "-C", str(app.control), "echo here; exec sleep 50"],
                               env=app.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 143
    process.stdout.close()


def test_without_the_slug_helper_nothing_is_begun(app, folder):
    bare = folder / "bare"
    bare.mkdir()
    for name in ("hsup", "hsup-launcher"):
        shutil.copy(app.build / name, bare)
    app.submit(app.release())
    ran = subprocess.run([bare / "hsup", "run", "-C", app.control, "echo hi"], env=dict(app.env, HSUP_LIBEXEC_DIR="/nowhere"),
                         capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "hsup-slug is not installed" in ran.stderr
    assert (app.control / "new").exists()


def test_a_run_in_the_background_leaves_the_terminal_to_the_shell(app):
    """An interactive shell whose job takes the terminal away reads an end of file, and ends."""
    app.submit(app.release())
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(app.env, PS1="$ ")
        os.execlp("bash", "bash", "--norc", "-i")
    def type_line(line):
        os.write(terminal, line.encode() + b"\n")
    shown = b""
    def see(text):
        nonlocal shown
        os.set_blocking(terminal, False)
        try:
            shown += os.read(terminal, 4096)
        except (BlockingIOError, OSError):
            pass
        return text in shown
    try:
        type_line(f"{app.build / 'hsup'} run -C {app.control} 'echo BACK''GROUND; sleep 1' &")
        wait_until(lambda: see(b"BACKGROUND"), "the job")
        time.sleep(0.3)
        type_line("echo still $((40+2))")
        wait_until(lambda: see(b"still 42"), f"the shell; it showed {shown!r}")
        type_line("wait; exit")
        wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid or see(b"\0"), "the shell to end")
    finally:
        os.close(terminal)


def test_the_terminal_is_as_it_was_after_a_run_that_was_killed(app):
    import termios
    app.submit(app.release())
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(app.env)
        os.execl(app.build / "hsup", "hsup", "run", "-C", str(app.control), "stty raw -echo; echo set; exec sleep 1000")
    try:
        shown = b""
        while b"set" not in shown:
            shown += os.read(terminal, 4096)
        assert not termios.tcgetattr(terminal)[3] & termios.ECHO
        sleeper = wait_until(lambda: [p for p in marked_processes(app.mark) if command_line(p).startswith("sleep")],
                             "the command")[0]
        os.kill(sleeper, signal.SIGKILL)
        wait_until(lambda: termios.tcgetattr(terminal)[3] & termios.ECHO, "the old settings")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 137
    finally:
        os.close(terminal)


def test_a_driver_that_starts_nothing_has_a_wire_too(app):
    """A supervisor that says nothing to the launcher is hung to it, and gets no word of a stop."""
    app.submit(app.release(("web", ["true"], 2)))
    app.start("-d", "null", "--watchdog", "1")
    app.wait_up("web.1", "web.2")
    supervisor = app.supervisor()
    time.sleep(2.5)  # two and a half times the launcher's patience
    assert app.supervisor() == supervisor
    begun = time.monotonic()
    assert app.stop() == 0
    assert time.monotonic() - begun < 8  # the launcher's patience with a silent one is 10 s


def test_a_stop_while_a_new_supervisor_starts_loses_no_output(app):
    """It hears of the stop before it has found the dynos: they are stopped in its way all the same."""
    script = "trap 'echo stops in order; exit 0' USR1; echo ready; while :; do sleep 0.05; done"
    app.start()
    app.submit(app.release({"Type": "web", "Args": [script], "StopSignal": "USR1"}))
    app.wait_line(r"app\[web\.1\]: ready")
    app.wait_line("release v1 is up")
    dyno, old = app.dynos()[0], app.supervisor()
    os.kill(old, signal.SIGKILL)
    new = old
    while new in (old, dyno):  # without a pause: it must not come to its hello
        new = next((p for p in children_of(app.launcher) if p not in (old, dyno)), old)
    os.kill(new, signal.SIGSTOP)
    os.kill(app.launcher, signal.SIGTERM)
    time.sleep(0.2)
    os.kill(new, signal.SIGCONT)
    assert app.wait() == 0
    assert app.app_lines("web.1")[-1:] == [("web.1", "stops in order")]
