"""README's day with hsup, typed line by line by a user who has nothing else."""
import os
import pathlib
import re
import signal
import subprocess
import threading

import pytest

from daemon import Daemon
from hsup import PATIENCE as ONE_PATIENCE

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATIENCE = 6 * ONE_PATIENCE


def steps():
    """(command, lines of output as README shows them)."""
    section = (ROOT / "README.md").read_text().partition("## A day with hsup\n")[2].partition("\n## ")[0]
    found = []
    for line in section.splitlines():
        if line.startswith("    $ "):
            found.append((line[6:], []))
        elif line.startswith("    ") and found:
            found[-1][1].append(line[4:])
    assert len(found) > 20
    return found


def pattern_of(lines):
    """`...` is anything in a line; alone it is any lines, none as well. Blanks count as one."""
    parts = []
    for line in lines:
        if line == "...":
            parts.append(r"(?:.*\n)*?")
            continue
        words = [r"[^\n]*?".join(map(re.escape, word.split("..."))) for word in line.split()]
        lead = "[ ]*" if line.startswith(" ") else ""
        # What stands between may be nothing at all: a note that is empty.
        parts.append(lead + (r"[ ]*".join(words) if "..." in line else r"[ ]+".join(words)) + r"[ ]*\n")
    return "".join(parts)


class Shell:
    """bash, as a user has it: one for the whole day."""

    def __init__(self, folder, env):
        self.process = subprocess.Popen(["bash", "--norc"], cwd=folder, env=env, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        # What it has started holds its output open, too.
        self.guard = threading.Timer(PATIENCE, os.killpg, (self.process.pid, signal.SIGKILL))
        self.guard.start()

    def type(self, command):
        self.process.stdin.write(command + "\necho; echo '--done--'\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            if line == "--done--\n":
                # The empty line in front of it is ours.
                return "".join(lines)[:-1]
            lines.append(line)
        raise AssertionError(f"the shell has ended: {lines}")

    def end(self):
        self.guard.cancel()
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def day(build, folder):
    daemon = Daemon(build, folder)
    tree = folder / "tree"
    tree.mkdir()
    (tree / "build").symlink_to(build)
    (tree / "control-examples").symlink_to(ROOT / "control-examples")
    (folder / "tmp").mkdir()
    daemon.env.update(TMPDIR=str(folder / "tmp"), TERM="dumb")
    daemon.env["PATH"] = "/usr/local/bin:/usr/bin:/bin"
    shell = Shell(tree, {name: value for name, value in daemon.env.items() if not name.startswith("BASH")})
    yield shell
    shell.end()
    daemon.end()


def test_a_day_with_hsup(day):
    for command, expected in steps():
        said = day.type(command)
        pattern = pattern_of(expected)
        assert re.fullmatch(pattern, said), \
            f"$ {command}\n{said}\n--- but README shows ---\n" + "\n".join(expected)


def test_the_day_is_whole():
    """Every command of an operator that the section names exists, and the day ends with nothing left."""
    commands = " ".join(command for command, _ in steps())
    for word in ("deploy", "ps", "logs", "scale", "releases", "rollback", "stop", "start", "restart", "upgrade", "down"):
        assert f"hsup {word}" in commands
