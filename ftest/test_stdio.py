"""What a process has as standard input, output and error, its umask and its limits: the launcher's
part, with the test as the supervisor, then the whole of hsup."""
import os
import pathlib
import signal
import struct

import pytest

from hsup import wait_until
from test_keep import keep, kill, spawn, upgrade
from wire import MERGED, RESTART, RUNNING, alive, read_all, read_some, record

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
    _, pid, _, _ = spawn(keep, w, 1, "sh", "-c", "while :; do echo out; echo err >&2; sleep 0.05; done",
                         output=MERGED)
    kill(first, w)
    second = keep("second")
    entry = second.connect().list()[1]
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
    assert start().connect().can == 3


def test_the_limit_of_processes_counts_for_one_who_is_not_root(start):
    launcher = start(options=["--dyno-ids", "2000-2999"])
    w = launcher.connect()
    # Nobody else has this uid: it may have two processes, the shell is one of them.
    as_dyno = record(6, struct.pack("=2I", 2987, 2987)) + record(9, struct.pack("=Q", 2))
    w.spawn(1, "/bin/bash", "-c", "sleep 30 & sleep 30 & wait -n", extra=as_dyno)
    _, pid, out, err = w.spawned()
    wait_until(lambda: b"fork: " in read_all(err), "the fork to be refused")
    os.killpg(pid, signal.SIGKILL)
    assert w.exited() == (1, signal.SIGKILL)
