"""A supervisor that is killed is missed by nobody: the next one is where it was."""
import os
import pathlib
import re
import signal
import subprocess
import time
from datetime import datetime

import pytest

from hsup import LINE, command_line, marked_processes, wait_until

SLEEP = ["sleep", "1000"]


def at(line):
    return datetime.fromisoformat(LINE.match(line).group(1)).timestamp()


def times(app, pattern, since=0):
    """When the lines that match were written, by their own account."""
    return [at(line) for line in app.lines[since:] if re.search(pattern, line)]


def runs(path):
    """When a command that appends the time to a file was run; seconds since 1970."""
    return [float(line) for line in path.read_text().split()] if path.exists() else []


def noting(path, rest):
    return [f"date +%s.%N >>{path}; {rest}"]


def kill_supervisor(app, how="kill -9"):
    """Returns when the next one has caught up."""
    seen, supervisor = len(app.lines), app.supervisor()
    if how == "HUP":
        app.process.send_signal(signal.SIGHUP)  # the launcher asks it to leave with 85
    else:
        os.kill(supervisor, signal.SIGKILL)
    app.wait_line(r"found \d+ dynos running", since=seen)
    return seen


def named(app, name):
    """The pid of a dyno."""
    for pid in app.dynos():
        if f"DYNO={name}".encode() in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            return pid
    raise AssertionError(f"no {name}")


# -- back-off --

@pytest.mark.parametrize("how", ["kill -9", "HUP"])
def test_a_back_off_goes_on_over_restarts(app, folder, how):
    """It is neither cut short nor begun again: the next start comes when it was due."""
    app.start()
    app.submit(app.release(("crash", noting(folder / "runs", "exit 1"), 1), ("web", SLEEP, 1)))
    ended = r"hsup\[crash\.1\]: process exited with status 1$"
    app.wait_line(ended, count=4)  # at once, 1 s, 2 s; now it waits for 4 to 5 s
    for _ in range(3):
        seen = kill_supervisor(app, how)
        app.wait_line(r"hsup\[crash\.1\]: process exited with status 1, \d\.\d s ago", since=seen)
    started = wait_until(lambda: runs(folder / "runs")[4:], "the fifth start")[0]
    due = times(app, ended)[3]
    assert due + 3.9 < started < due + 5.2 + 1.0 * float(os.environ.get("HSUP_TEST_PATIENCE", "1"))
    # The count goes on: the sixth waits for 8 s at least.
    app.wait_line(ended, count=5)
    time.sleep(5.5)
    assert len(runs(folder / "runs")) == 5


def test_start_retries_are_counted_over_restarts(app, folder):
    app.start()
    app.submit(app.release({"Type": "bad", "Args": noting(folder / "runs", "exit 1"), "Quantity": 1,
                            "StartSeconds": 1, "StartRetries": 3}))
    for n in (1, 2, 3):
        app.wait_line(r"hsup\[bad\.1\]: process exited with status 1$", count=n)
        kill_supervisor(app)
    app.wait_line(r"hsup\[bad\.1\]: gave up after 4 failed starts: exited with status 1")
    assert len(runs(folder / "runs")) == 4
    seen = kill_supervisor(app)
    app.wait_line(r"hsup\[bad\.1\]: gave up after 4 failed starts", since=seen)
    time.sleep(1.5)
    assert len(runs(folder / "runs")) == 4


def test_starts_that_fail_are_counted_over_restarts(app):
    app.start()
    app.submit(app.release({"Type": "bad", "Args": ["/nonexistent/program", "x"], "Quantity": 1, "StartRetries": 2,
                            "StartSeconds": 1}))
    app.wait_line(r"hsup\[bad\.1\]: process could not start: .*No such file", count=2)
    kill_supervisor(app)
    app.wait_line(r"hsup\[bad\.1\]: gave up after 3 failed starts")
    seen = kill_supervisor(app)
    app.wait_line(r"hsup\[bad\.1\]: gave up after 3 failed starts", since=seen)


def test_a_job_that_is_done_is_not_run_again(app, folder):
    app.start()
    app.submit(app.release(
        {"Type": "never", "Args": noting(folder / "never", "echo did it; exit 0"), "Quantity": 1, "Restart": "never"},
        {"Type": "job", "Args": noting(folder / "job", "printf 'no newline'"), "Quantity": 2, "Restart": "on-failure",
         "StartSeconds": 0},
        ("web", SLEEP, 1)))
    app.wait_line("release v1 is up")
    app.wait_line(r"process exited with status 0", count=3)
    for _ in range(2):
        seen = kill_supervisor(app)
        app.wait_line("release v1 is up", since=seen)
    app.submit(app.release(
        {"Type": "never", "Args": noting(folder / "never", "echo did it; exit 0"), "Quantity": 1, "Restart": "never"},
        {"Type": "job", "Args": noting(folder / "job", "printf 'no newline'"), "Quantity": 2, "Restart": "on-failure",
         "StartSeconds": 0},
        ("web", SLEEP, 2), Version=2))
    app.wait_line("release v2 is up")
    assert (len(runs(folder / "never")), len(runs(folder / "job"))) == (1, 2)
    # What was read once is not read again, the last line without its newline neither.
    assert [text for _, text in app.app_lines()].count("did it") <= 2  # the kill may fall before the taking
    assert app.stop() == 0


def test_what_was_drained_is_not_printed_again(app):
    app.start()
    app.submit(app.release({"Type": "job", "Args": ["echo whole; printf part"], "Quantity": 1, "Restart": "never"}))
    app.wait_line(r"app\[job\.1\]: part$")
    app.wait_line(r"hsup\[job\.1\]: process exited")
    app.submit(app.release({"Type": "job", "Args": ["echo whole; printf part"], "Quantity": 1, "Restart": "never"},
                           ("web", SLEEP, 1), Version=2))  # it has taken its lines when it takes this
    app.wait_line("release v2 is up")
    for _ in range(3):
        kill_supervisor(app)
    assert app.app_lines("job.1") == [("job.1", "whole"), ("job.1", "part")]


def test_killed_between_an_exit_and_the_restart(app, folder):
    """Again and again: every end is followed by one start, and the supervisor is missed by nobody."""
    app.start()
    app.submit(app.release(("web", noting(folder / "runs", "exec sleep 1000"), 1)))
    app.wait_line("release v1 is up")
    for n in range(1, 8):
        supervisor, dyno = app.supervisor(), app.wait_dynos(1)[0]
        os.kill(supervisor, signal.SIGSTOP)
        os.kill(dyno, signal.SIGKILL)
        if n % 2:
            os.kill(supervisor, signal.SIGCONT)
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: [d for d in app.dynos() if d != dyno], f"life {n + 1}", patience=60)
        wait_until(lambda: len(runs(folder / "runs")) == n + 1, f"start {n + 1}", patience=60)
        if n >= 3:
            break  # from here on it waits for longer and longer
    time.sleep(0.3)
    assert len(app.wait_dynos(1)) == 1
    assert len(runs(folder / "runs")) == 4


def test_many_restarts_under_a_crash_loop_lose_and_double_nothing(app, folder):
    app.start()
    app.submit(app.release(("crash", noting(folder / "runs", "sleep 0.1; exit 1"), 5), ("web", SLEEP, 5)))
    app.wait_line("release v1 is being rolled out")
    for n in range(4):  # the launcher lets one that dies often wait
        time.sleep(0.15 * n)
        supervisor = app.supervisor()
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: app.supervisor() != supervisor, "the next one")
        doubles = [command_line(p) for p in app.dynos() if command_line(p).startswith("sleep\x001000")]
        assert len(doubles) <= 5
    wait_until(lambda: len([p for p in app.dynos() if command_line(p).startswith("sleep\x001000")]) == 5, "five")
    assert app.stop() == 0


# -- rollouts --

def test_a_type_that_is_removed_stays_until_the_rest_is_up(app):
    """Also when the supervisor is killed on the way, and the release is rolled back in the end."""
    app.start()
    app.submit(app.release(("web", SLEEP, 1), ("worker", SLEEP, 2), Version=1))
    app.wait_line("release v1 is up")
    before = app.wait_dynos(3)
    app.submit(app.release({"Type": "web", "Args": ["sleep 0.5; exit 1"], "Quantity": 1, "StartSeconds": 5,
                            "StartTimeout": 20}, Version=2))
    app.wait_line("release v2 is being rolled out")
    kill_supervisor(app)
    app.wait_line("release v2 rolled back")
    assert set(before) <= set(app.dynos())
    app.no_line("worker.*no longer wanted|worker.*stopping")
    assert app.wait_dynos(3) == before


def test_failed_starts_of_a_rollout_are_counted_over_restarts(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Version=1))
    app.wait_line("release v1 is up")
    app.submit(app.release({"Type": "web", "Args": ["exit 1"], "Quantity": 1, "StartSeconds": 1}, Version=2))
    for n in (1, 2):
        app.wait_line(r"hsup\[web\.1\]: process exited with status 1$", count=n)
        kill_supervisor(app)
    app.wait_line(r"release v2 rolled back: web\.1 did not come up in 3 starts")


def test_the_release_in_force_can_be_come_back_to_though_a_dyno_of_it_waits(app):
    """It had settled before the restart: what fails now is rolled back to it, and one of its own
    that is in back-off is not the new release's fault."""
    app.start()
    flag = app.folder / "flag"
    app.submit(app.release(("web", SLEEP, 1), ("flaky", [f"test -e {flag} && exit 1; exec sleep 1000"], 1), Version=1))
    app.wait_line("release v1 is up")
    flag.touch()
    app.wait_dynos(2)
    os.kill(named(app, "flaky.1"), signal.SIGKILL)
    app.wait_line(r"hsup\[flaky\.1\]: process exited with status 1$", count=2)
    kill_supervisor(app)
    app.submit(app.release({"Type": "web", "Args": ["exit 1"], "Quantity": 1, "StartSeconds": 1},
                           ("flaky", [f"test -e {flag} && exit 1; exec sleep 1000"], 1), Version=2))
    app.wait_line(r"release v2 rolled back: web\.1 did not come up")
    assert app.loaded()["Version"] == 1


# -- the stop, and one-off runs --

@pytest.mark.parametrize("restarted", [False, True])
def test_a_stop_with_dynos_in_back_off_and_at_rest(app, restarted):
    app.start()
    app.submit(app.release(("crash", ["exit 1"], 3), ("web", SLEEP, 1),
                           {"Type": "job", "Args": ["true"], "Quantity": 3, "Restart": "never"}))
    app.wait_line(r"hsup\[crash\.\d\]: process exited with status 1$", count=6)
    if restarted:
        kill_supervisor(app)
        app.wait_line(r"hsup\[job\.3\]: process exited with status 0, ")
    begun = time.monotonic()
    assert app.stop() == 0
    assert time.monotonic() - begun < 8
    assert not marked_processes(app.mark)


def test_all_crash_at_once(app):
    """What is kept of those that ended leaves room for those that come."""
    app.start(wrap=("prlimit", "--nofile=500:500"))  # room for 200 and some in the launcher
    app.submit(app.release(("web", SLEEP, 100)))
    app.wait_line("release v1 is up")
    before = app.wait_dynos(100)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    app.wait_line(r"hsup\[web\.\d+\]: process was killed by SIGKILL", count=100)
    wait_until(lambda: len(set(app.dynos()) - set(before)) == 100, "all of them again")
    app.no_line("could not start")


def test_run_goes_on_over_a_restart(app, folder):
    app.submit(app.release())
    marks, go = folder / "marks", folder / "go"
    process = subprocess.Popen(
        [str(app.build / "hsup"), "run", "-C", str(app.control),
         f"date +%s.%N >>{marks}; echo begun; while [ ! -e {go} ]; do sleep 0.05; done; echo ended; exit 7"],
        env=app.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    app.process = process
    assert process.stdout.readline() == "begun\n"
    for _ in range(2):
        supervisor = app.supervisor()
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: app.supervisor() != supervisor, "the next one")
    # Another release in force: the command is what it was.
    app.submit(app.release(Version=2, Env={"A": "2"}))
    os.kill(app.supervisor(), signal.SIGKILL)
    time.sleep(0.3)
    go.touch()
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("ended\n", 7)
    assert len(runs(marks)) == 1


def test_run_that_ends_while_nobody_looks(app, folder):
    app.submit(app.release())
    go, marks, over = folder / "go", folder / "marks", folder / "over"
    process = subprocess.Popen(
        [str(app.build / "hsup"), "run", "-C", str(app.control),
         f"date +%s.%N >>{marks}; echo begun; while [ ! -e {go} ]; do sleep 0.02; done; >{over}; exit 9"],
        env=app.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    app.process = process
    assert process.stdout.readline() == "begun\n"
    supervisor = app.supervisor()
    os.kill(supervisor, signal.SIGSTOP)
    go.touch()
    wait_until(over.exists, "its last words")
    time.sleep(0.2)
    os.kill(supervisor, signal.SIGKILL)
    process.communicate(timeout=20)
    assert process.returncode == 9
    assert len(runs(marks)) == 1
