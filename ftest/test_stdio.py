"""What a process has as standard input, output and error, its umask and its limits: the launcher's
part, with the test as the supervisor, then the whole of hsup."""
import os
import pathlib
import signal
import struct
import subprocess

from hsup import PATIENCE, App, wait_until
from test_keep import keep, kill, spawn, upgrade  # noqa: F401 (keep is a fixture)
from wire import EXITED, LEFT, MERGED, RESTART, RUNNING, read_all, read_some, record

BOTH = "n=0; while [ $n -lt 500 ]; do echo out $n; echo err $n >&2; n=$((n+1)); done"
IN_ORDER = "".join(f"out {n}\nerr {n}\n" for n in range(500)).encode()


def fds_of(pid):
    return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]


def is_null(fd):
    return os.fstat(fd).st_rdev == os.stat("/dev/null").st_rdev


# ---- one pipe for both outputs ----

def test_lines_of_both_outputs_stay_in_their_order(start):
    launcher = start()
    w = launcher.connect()
    w.spawn(1, "sh", "-c", BOTH, output=MERGED)
    _, pid, out, err = w.spawned()
    assert w.exited() == (1, 0)
    assert read_all(out) == IN_ORDER
    # What stands for the second leads nowhere.
    assert is_null(err)


def test_merged_output_costs_one_pipe(start):
    launcher = start()
    w = launcher.connect()

    def count():
        return sum(link.startswith("pipe:") for link in fds_of(launcher.process.pid))

    before = count()
    w.spawn(1, "sleep", "1000")
    w.spawned()
    wait_until(lambda: count() == before + 2, "the spare pipes to be made")
    w.spawn(2, "sleep", "1000", output=MERGED)
    _, pid, _, _ = w.spawned()
    wait_until(lambda: count() == before + 3, "the spare pipes to be made again")
    assert os.readlink(f"/proc/{pid}/fd/1") == os.readlink(f"/proc/{pid}/fd/2")


def test_merged_output_is_told_to_the_next_supervisor(start):
    launcher = start()
    w = launcher.connect()
    w.spawn(1, "sh", "-c", "while :; do echo out; echo err >&2; sleep 0.05; done", output=MERGED)
    _, pid, _, _ = w.spawned()
    w.order_exit(85)
    w = launcher.connect()
    entry = w.list()[1]
    assert (entry["pid"], entry["output"]) == (pid, MERGED)
    assert is_null(entry["fds"][1])
    text = b""
    while b"out\nerr\nout\n" not in text:
        text += read_some(entry["fds"][0])


def test_merged_output_is_found_after_the_launcher_was_killed(keep):
    first = keep("first")
    w = first.connect()
    _, pid, out, _ = spawn(keep, w, 1, "sh", "-c", "while :; do echo out; echo err >&2; sleep 0.05; done",
                           output=MERGED)
    assert b"out" in read_some(out)
    kill(first, w)
    second = keep("second")
    w = second.connect()
    entry = w.list()[1]
    assert (entry["state"], entry["pid"], entry["output"]) == (RUNNING, pid, MERGED)
    text = b""
    while b"out\nerr\nout\n" not in text:
        text += read_some(entry["fds"][0])
    assert "cannot be found again" not in second.text()


def test_merged_output_survives_an_upgrade_of_the_launcher(keep):
    launcher = keep("first")
    w = launcher.connect()
    _, pid, _, _ = spawn(keep, w, 1, "sh", "-c", "while :; do echo out; echo err >&2; sleep 0.05; done",
                         output=MERGED)
    upgrade(launcher)
    assert w.expect(RESTART)
    w.order_exit(85)
    w = launcher.connect()
    entry = w.list()[1]
    assert (entry["state"], entry["pid"], entry["output"]) == (RUNNING, pid, MERGED)
    text = b""
    while b"out\nerr\nout\n" not in text:
        text += read_some(entry["fds"][0])


# ---- a standard input ----

def test_a_standard_input_beside_pipes(start, folder):
    fifo = folder / "in"
    os.mkfifo(fifo)
    fd = os.open(fifo, os.O_RDWR)
    w = start().connect()
    w.spawn(1, "sh", "-c", "while read line; do echo got $line; done", stdio=[fd])
    os.close(fd)
    _, pid, out, _ = w.spawned()
    for word in ("one", "two"):  # no end of file between them
        fifo.write_text(f"{word}\n")
        assert read_some(out) == f"got {word}\n".encode()
    os.kill(pid, signal.SIGKILL)
    assert w.exited() == (1, signal.SIGKILL)


# ---- limits, umask ----

def test_a_launcher_says_what_it_can(start):
    assert start().connect().can == 7


def test_the_limit_of_processes_counts_for_one_who_is_not_root(start):
    launcher = start(options=["--dyno-ids", "2000-2999"])
    w = launcher.connect()
    # Nobody else has this uid: it may have two processes, the shell is one of them.
    as_dyno = record(6, struct.pack("=2I", 2987, 2987)) + record(9, struct.pack("=Q", 2))
    w.spawn(1, "/bin/bash", "-c", "sleep 30 & sleep 30 & wait -n", extra=as_dyno)
    _, pid, out, err = w.spawned()
    wait_until(lambda: b"fork: " in read_all(err), "the fork to be refused")
    os.killpg(pid, signal.SIGKILL)
    kind, _, _ = w.receive()
    assert kind in (LEFT, EXITED)
    assert kind == EXITED or w.exited() == (1, signal.SIGKILL)


# ---- the whole of hsup ----

def test_redirected_lines_stay_in_their_order(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": [BOTH + "; sleep 1000"], "RedirectStderr": True}))
    app.wait_line(r"app\[web\.1\]: err 499$")
    assert [text for _, text in app.app_lines("web.1")] == IN_ORDER.decode().splitlines()


def test_redirected_output_goes_on_after_a_kill_of_the_supervisor(app):
    app.start()
    app.submit(app.release({"Type": "web", "RedirectStderr": True, "Args": [
        "n=0; while :; do n=$((n+1)); echo out $n; echo err $n >&2; sleep 0.01; done"]}))
    app.wait_line(r"app\[web\.1\]: err 20$")
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line(r"hsup\[\w+\]: found 1 dynos running")
    since = len(app.lines)
    app.wait_line(r"app\[web\.1\]: err \d+5$", count=3, since=since)
    # Each number comes twice, out and err, in this order, none left out.
    texts = [text for _, text in app.app_lines("web.1")]
    for at, text in enumerate(texts):
        assert text == f"{'err' if at % 2 else 'out'} {at // 2 + 1}"


def test_umask(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["umask; sleep 1000"], "Umask": "027"},
                           {"Type": "other", "Args": ["umask; sleep 1000"]}))
    app.wait_line(r"app\[web\.1\]: 0027$")
    own = os.umask(0o022)
    os.umask(own)
    app.wait_line(rf"app\[other\.1\]: {own:04o}$")


def test_a_change_of_the_umask_replaces_the_dynos_of_that_type(app):
    def release(version, umask):
        return app.release({"Type": "web", "Args": ["umask; sleep 1000"], "Umask": umask},
                           ("other", ["sleep", "1000"]), Version=version)

    app.start()
    app.submit(release(1, "077"))
    app.wait_line(r"app\[web\.1\]: 0077$")
    app.wait_up("web.1", "other.1")
    app.submit(release(2, "007"))
    app.wait_line(r"app\[web\.1\]: 0007$")
    app.wait_line(r"release v2 is up")
    app.no_line(r"hsup\[other\.1\]: state changed from up")


def limit_of(pid, name):
    text = pathlib.Path(f"/proc/{pid}/limits").read_text()
    return next(line[26:].split()[:2] for line in text.splitlines() if line.startswith(name))


def test_limits(build, folder):
    """As nobody: root is not counted."""
    app = App(build, folder / "app", user="nobody")
    try:
        app.start()
        app.submit(app.release({"Type": "web", "Args": ["exec sleep 1000"],
                                "Limits": {"Processes": 50, "OpenFiles": 100}}))
        app.wait_up("web.1")
        pid = app.wait_dynos(1)[0]
        assert limit_of(pid, "Max processes") == ["50", "50"]
        assert limit_of(pid, "Max open files")[0] == "100"
        # Any more than nobody's processes of now is a fork refused: said by the shell itself.
        app.submit(app.release({"Type": "web", "Args": ["/bin/bash", "-c", "sleep 1 & sleep 1 & echo forked"],
                                "Limits": {"Processes": 1}}, Version=2, Rollout={"Timeout": 5}))
        app.wait_line(r"could not start: executing the program: Resource temporarily unavailable|fork: ")
        app.wait_line(r"release v2 rolled back")
        assert app.dynos() == [pid]
    finally:
        app.end()


def stdin_of(app):
    found = list((app.folder / "run").rglob("stdin/*"))
    return found[0] if len(found) == 1 else None


def test_a_standard_input_survives_the_supervisor(app):
    app.start()
    app.submit(app.release({"Type": "web", "Stdin": True, "Args": [
        "while read -r line; do echo got $line; done; echo end of file"]}))
    app.wait_up("web.1")
    fifo = wait_until(lambda: stdin_of(app), "the standard input")
    assert fifo.stat().st_mode & 0o777 == 0o600 and fifo.parent.stat().st_mode & 0o777 == 0o700
    fifo.write_text("one\n")
    app.wait_line(r"app\[web\.1\]: got one$")
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line(r"hsup\[\w+\]: found 1 dynos running")
    assert stdin_of(app) == fifo
    fifo.write_text("two\n")
    app.wait_line(r"app\[web\.1\]: got two$")
    app.no_line("end of file")
    # Its next life has one of its own.
    os.kill(app.dynos()[0], signal.SIGKILL)
    app.wait_line(r"state changed from \w+ to up", count=2)
    second = wait_until(lambda: stdin_of(app), "another standard input, alone")
    assert second != fifo
    second.write_text("three\n")
    app.wait_line(r"app\[web\.1\]: got three$")
    assert app.stop() == 0
    assert not list((app.folder / "run").rglob("stdin"))


def test_without_stdin_there_is_none(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["readlink /proc/self/fd/0; echo $NOTIFY_SOCKET.; sleep 1000"]}))
    app.wait_line(r"app\[web\.1\]: /dev/null$")
    app.wait_line(r"app\[web\.1\]: \.$")
    assert not list((app.folder / "run").rglob("stdin"))


def test_no_notify_socket_is_inherited(app):
    app.env["WATCHDOG_USEC"] = "77"
    app.start(env={"NOTIFY_SOCKET": str(app.folder / "nobody")})
    app.submit(app.release({"Type": "web", "Args": ["env; sleep 1000"]}))
    app.wait_line(r"app\[web\.1\]: DYNO=web\.1$")
    app.wait_up("web.1")
    app.no_line(r"app\[web\.1\]: (NOTIFY_SOCKET|WATCHDOG_USEC)=")


def test_a_limit_that_the_driver_cannot_give_is_warned_of_once(app):
    def release(version, **limits):
        return app.release({"Type": "web", "Args": ["sleep", "1000"], "Limits": limits}, Version=version)

    app.start()
    app.submit(release(1, CPU=0.5))
    app.wait_line(r"warning: release v1: Limits\.CPU of web has no effect: the driver simple cannot limit that")
    app.wait_up("web.1")
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line(r"found 1 dynos running")
    app.submit(release(2, OpenFiles=50))
    app.wait_line(r"release v2 is up")
    assert len([line for line in app.lines if "has no effect" in line]) == 1


def test_refused_with_all_that_is_wrong(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["x"], "After": "db", "Umask": "9"},
                           {"Type": "db", "Args": ["x"], "After": "web", "HEALTHY": {"Notify": True}}))
    text = app.wait_rejected("")
    assert "Processes[0].Umask: line 1, column" in text
    assert 'Processes[1].HEALTHY: line 1, column' in text and 'did you mean "Healthy"?' in text
    app.submit(app.release({"Type": "web", "Args": ["x"], "After": "db"},
                           {"Type": "db", "Args": ["x"], "After": "web"}))
    app.wait_rejected("web waits for db, db for web")


def test_a_log_that_nobody_reads_any_more_keeps_nothing_from_ending(app):
    """As with `hsup start -v 2>&1 | head`: what is said of a SIGPIPE was the next one."""
    log, said = os.pipe()
    process = subprocess.Popen([app.program, "start", "-v", "-C", app.control], env=app.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=said)
    try:
        os.close(said)
        assert b"the supervisor is" in os.read(log, 4096)
        os.close(log)
        process.send_signal(signal.SIGCONT)  # there is a word to say
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
