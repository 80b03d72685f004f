"""The settings of the terminal that the launcher was started on, when its supervisor has changed them."""
import os
import pty
import signal
import termios

import pytest

from hsup import children_of, wait_until

# Makes the terminal raw, once: who is started after it leaves all as it finds it.
CHANGES = '[ -e "$0" ] || { : >"$0"; stty raw -echo; }; : >"$0.ready"; exec sleep 1000'


@pytest.fixture
def launched(build, folder):
    """On a terminal of its own: (launcher, the test's end of it); all of it ends with the test."""
    made = []

    def make(*options, background=False):
        pid, terminal = pty.fork()
        if pid == 0:
            launcher = [str(build / "hsup-launcher"), *options, "--", "/bin/sh", "-c", CHANGES, str(folder / "raw")]
            shell = ["bash", "-mc", '"$@" & wait', "bash"] if background else []
            os.execvp([*shell, *launcher][0], [*shell, *launcher])
        made.append((pid, terminal))
        wait_until((folder / "raw.ready").exists, "the supervisor")
        return children_of(pid)[0] if background else pid, terminal

    yield make
    for pid, terminal in made:
        below = children_of(pid)
        for process in [*(grandchild for child in below for grandchild in children_of(child)), *below, pid]:
            os.kill(process, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def is_raw(terminal):
    return not termios.tcgetattr(terminal)[3] & (termios.ECHO | termios.ICANON)


def kill_supervisor(launcher, folder):
    (folder / "raw.ready").unlink()
    os.kill(children_of(launcher)[0], signal.SIGKILL)
    wait_until((folder / "raw.ready").exists, "the next supervisor")


def test_they_are_put_back_when_the_supervisor_is_killed(launched, folder):
    launcher, terminal = launched("--terminal")
    assert is_raw(terminal)
    kill_supervisor(launcher, folder)
    assert not is_raw(terminal)


def test_they_are_not_the_launchers_business_otherwise(launched, folder):
    launcher, terminal = launched()
    assert is_raw(terminal)
    kill_supervisor(launcher, folder)
    assert is_raw(terminal)


def test_a_job_in_the_background_leaves_them_alone(launched, folder):
    """Whoever has the terminal now has made it what it is."""
    launcher, terminal = launched("--terminal", background=True)
    assert is_raw(terminal)
    kill_supervisor(launcher, folder)
    assert is_raw(terminal)
