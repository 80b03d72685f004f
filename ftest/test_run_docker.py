"""`hsup run` with an engine: the container's terminal, input and output are the caller's."""
import contextlib
import fcntl
import hashlib
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from engine import Docker
from hsup import PATIENCE, children_of, command_line, wait_until


@pytest.fixture
def app(make_driver_app):
    app = make_driver_app("docker", with_slug=False)
    app.submit(app.release(Version=1))
    assert app.hsup("build", "-C", app.control).returncode == 0  # what follows is `run` alone
    return app


def command(app, *words):
    return [str(app.build / "hsup"), "run", "-d", "docker", "-C", str(app.control), *words]


def start(app, *words, **options):
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command(app, *words), env=app.env, **options)


def run(app, *words, **options):
    return subprocess.run(command(app, *words), env=app.env, capture_output=True, timeout=3 * PATIENCE, **options)


def containers(app):
    return [c for c in app.engine.rest.containers() if "hsup.kind" in c["Labels"]]


def gone(app):
    wait_until(lambda: not containers(app), "its container to be gone")
    return True


# ---- pipes ----

def test_input_and_its_end(app):
    ran = run(app, "cat", input=b"x\n")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"x\n", b"")
    assert gone(app)


def test_both_outputs_apart(app):
    ran = run(app, "echo out; echo err >&2; printf unterminated", stdin=subprocess.DEVNULL)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"out\nunterminated", b"err\n")


def test_several_words_are_a_program_and_its_arguments(app):
    assert run(app, "printf", "%s|", "a b", "$HOME", "").stdout == b"a b|$HOME||"


@pytest.mark.parametrize("words, code", [
    (["exit 7"], 7), (["nosuchprogram"], 127), (["/etc/passwd"], 126), (["/nosuch/program", "argument"], 127),
    (["/etc/passwd", "argument"], 126), (["kill -9 $$"], 137), (["kill -TERM $$; sleep 9"], 143)])
def test_the_exit_code_is_that_of_the_simple_driver(app, make_driver_app, words, code):
    assert run(app, *words, stdin=subprocess.DEVNULL).returncode == code
    simple = make_driver_app("simple", name="other", with_slug=False)
    simple.submit(simple.release())
    assert simple.hsup("run", "-C", simple.control, *words).returncode == code


def test_much_goes_through_unchanged(app, folder):
    data = os.urandom(10_000_000)
    (folder / "data").write_bytes(data)
    with open(folder / "data", "rb") as file:
        from_file = subprocess.run(command(app, "cat"), env=app.env, stdin=file, stdout=subprocess.PIPE, timeout=60)
    from_pipe = run(app, "cat", input=data)
    for ran in (from_file, from_pipe):
        assert (ran.returncode, len(ran.stdout)) == (0, len(data))
        assert hashlib.sha256(ran.stdout).digest() == hashlib.sha256(data).digest()


def test_a_slow_reader_gets_all_and_holds_up_the_container(app):
    process = start(app, "seq 1000000; echo done >&2", stdin=subprocess.DEVNULL)
    assert process.stdout.read(2) == b"1\n"
    time.sleep(1)
    poll = select.poll()
    poll.register(process.stderr, select.POLLIN)
    assert poll.poll(0) == []
    assert process.stdout.read() == b"".join(b"%d\n" % n for n in range(2, 1_000_001))
    assert process.wait(PATIENCE) == 0
    assert process.stderr.read() == b"done\n"


def test_a_reader_that_goes_ends_the_writer(app):
    process = start(app, "yes", stdin=subprocess.DEVNULL)
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()
    assert process.wait(PATIENCE) == 141
    assert gone(app)


def test_a_writer_that_does_not_hear_of_it_is_stopped(app):
    process = start(app, "trap '' PIPE; while :; do echo x; sleep 0.1; done", stdin=subprocess.DEVNULL)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(PATIENCE) == 143
    assert gone(app)


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_command(app, signo):
    process = start(app, "trap 'echo told; exit 3' TERM; echo here; while :; do sleep 0.1; done")
    assert process.stdout.readline() == b"here\n"
    process.send_signal(signo)
    assert process.wait(PATIENCE) == 3
    assert process.stdout.read() == b"told\n"
    assert gone(app)


def test_a_reader_that_never_reads_does_not_outlast_a_stop(app):
    process = start(app, "seq 100000; exec sleep 1000", stdin=subprocess.DEVNULL)
    assert process.stdout.read(2) == b"1\n"
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)
    assert gone(app)


def test_no_log_is_kept_of_it(app):
    process = start(app, "echo here; cat")
    assert process.stdout.readline() == b"here\n"
    [container] = containers(app)
    assert app.engine.rest.inspect(container["Id"])["HostConfig"]["LogConfig"]["Type"] == "none"
    process.stdin.close()
    assert process.wait(PATIENCE) == 0


# ---- a terminal ----

class Terminal:
    """A job on a terminal of its own. After the last command it stays open, to look at its settings."""

    def __init__(self, words, env, rows=44, columns=132):
        self.shown = b""
        ours, theirs = os.openpty()
        self.fd, self.theirs = ours, theirs
        self.resize(rows, columns, tell=False)
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
            for fd in range(3):
                os.dup2(theirs, fd)
            os.execve(words[0], words, env)
        self.code = None

    def resize(self, rows, columns, tell=True):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("=HHHH", rows, columns, 0, 0))

    def see(self, pattern):
        def look():
            with contextlib.suppress(BlockingIOError):
                self.shown += os.read(self.fd, 65536)
            return re.search(pattern, self.shown)
        os.set_blocking(self.fd, False)
        try:
            found = wait_until(look, pattern)
        except AssertionError as e:
            raise AssertionError(f"{e}; shown was {self.shown!r}") from None
        self.shown = self.shown[found.end():]
        return found

    def type(self, text):
        os.write(self.fd, text)

    def is_raw(self):
        return not termios.tcgetattr(self.theirs)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    def wait(self):
        def ended():
            with contextlib.suppress(BlockingIOError):
                self.shown += os.read(self.fd, 65536)  # or it waits for us
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            return [status] if pid else None
        os.set_blocking(self.fd, False)
        self.code = os.waitstatus_to_exitcode(wait_until(ended, "it to end", 2 * PATIENCE)[0])
        return self.code

    def close(self):
        if self.code is None:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        os.close(self.fd)
        os.close(self.theirs)


@pytest.fixture
def on_terminal(app):
    made = []

    def make(*words, **env):
        made.append(Terminal(command(app, *words), dict(app.env, TERM="vt220", **env)))
        return made[-1]

    yield make
    for terminal in made:
        terminal.close()


def test_a_terminal_of_its_size_and_kind(app, on_terminal):
    terminal = on_terminal('stty size; echo "$TERM"; tty; exit 5')
    terminal.see(rb"44 132\r\nvt220\r\n/dev/")
    assert terminal.wait() == 5
    assert not terminal.is_raw()
    assert gone(app)


def test_a_program_that_asks_at_once_is_told_its_size(on_terminal):
    terminal = on_terminal("stty", "size")
    terminal.see(rb"^44 132\r\n")
    assert terminal.wait() == 0


def test_the_size_follows(on_terminal):
    terminal = on_terminal("trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done")
    terminal.see(rb"ready")
    terminal.resize(20, 70)
    terminal.see(rb"20 70")
    for columns in range(80, 120):
        terminal.resize(30, columns)
    terminal.see(rb"30 119")
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.wait() == 143


def test_keys_go_to_the_program_inside(app, on_terminal):
    terminal = on_terminal("trap 'echo interrupted' INT; echo ready; read line; echo got $line; sleep 1000; exit 4")
    terminal.see(rb"ready")
    wait_until(terminal.is_raw, "the terminal to be raw")
    terminal.type(b"hello\r")
    terminal.see(rb"got hello")
    time.sleep(0.3)
    terminal.type(b"\x03")
    terminal.see(rb"interrupted")
    assert terminal.wait() == 4
    assert not terminal.is_raw()
    assert gone(app)


def test_no_key_lets_go_of_it(on_terminal):
    """Docker's own client takes Ctrl-P Ctrl-Q for itself, and holds back each Ctrl-P. An engine always
    has such keys: ours are no text, and what might be their beginning comes with the next key."""
    terminal = on_terminal("stty raw -echo; echo ready; dd bs=1 count=7 2>/dev/null | od -An -tx1")
    terminal.see(rb"ready")
    time.sleep(0.2)
    terminal.type(b"\x10\x11\x1a\x1c\xfe\xffa")
    terminal.see(rb"10 11 1a 1c fe ff 61")
    assert terminal.wait() == 0


def test_the_bytes_of_a_terminal_are_not_changed(on_terminal):
    terminal = on_terminal(r"stty raw; printf 'a\nb\r\033[2J\n'; sleep 0.2")
    terminal.see(rb"a\nb\r\x1b\[2J\n")
    assert terminal.wait() == 0


def test_an_output_that_is_no_terminal_makes_none(app):
    """Then the terminal stays as it is: Ctrl-C is a signal to us."""
    ours, theirs = os.openpty()
    try:
        process = start(app, "tty; read x; echo got $x", stdin=theirs)
        assert process.stdout.readline() == b"not a tty\n"
        assert termios.tcgetattr(theirs)[3] & termios.ICANON
        os.write(ours, b"hello\n")
        assert process.stdout.read() == b"got hello\n"
        assert process.wait(PATIENCE) == 0
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_job_in_the_background_leaves_the_terminal_alone(app, on_terminal):
    words = " ".join(f"'{w}'" for w in command(app, "tty; cat; echo BACK''GROUND"))
    terminal = Terminal(["/bin/bash", "--norc", "-i"], dict(app.env, PS1="$ "))
    try:
        terminal.type(f"{words.replace(chr(39) * 2, chr(34) * 2)} &\n".encode())
        terminal.see(rb"not a tty")
        terminal.see(rb"BACKGROUND")
        terminal.type(b"echo still $((40+2))\n")
        terminal.see(rb"still 42")
        terminal.type(b"wait; exit\n")
        assert terminal.wait() == 0
    finally:
        terminal.close()
    assert gone(app)


def supervisor_of(launcher):
    return next(pid for pid in children_of(launcher) if "hsup\0run" in command_line(pid))


def test_a_supervisor_that_is_killed(app, on_terminal):
    terminal = on_terminal("echo ready; exec sleep 1000")
    terminal.see(rb"ready")
    wait_until(terminal.is_raw, "the terminal to be raw")
    os.kill(supervisor_of(terminal.pid), signal.SIGKILL)
    assert terminal.wait() in (137, 255)
    assert not terminal.is_raw()
    assert gone(app)


def test_output_that_was_lost_with_the_supervisor_is_no_success(app):
    process = start(app, "echo begun; sleep 2; echo done", stdin=subprocess.DEVNULL)
    assert process.stdout.readline() == b"begun\n"
    os.kill(supervisor_of(process.pid), signal.SIGKILL)
    assert process.wait(PATIENCE) in (137, 255)
    assert gone(app)


def test_a_launcher_that_is_killed(app, on_terminal):
    terminal = on_terminal("echo ready; exec sleep 1000")
    terminal.see(rb"ready")
    wait_until(terminal.is_raw, "the terminal to be raw")
    supervisor = supervisor_of(terminal.pid)
    os.kill(terminal.pid, signal.SIGKILL)
    assert terminal.wait() == -signal.SIGKILL
    wait_until(lambda: not terminal.is_raw(), "the old settings")
    wait_until(lambda: not command_line(supervisor), "the supervisor to end")
    assert "removed container" in app.hsup("gc", "-d", "docker").stdout
    assert gone(app)


def test_a_terminal_that_is_gone_ends_it(app, on_terminal):
    terminal = on_terminal("echo ready; exec sleep 1000")
    terminal.see(rb"ready")
    os.close(terminal.theirs)
    terminal.theirs = os.open("/dev/null", os.O_RDONLY)
    os.close(terminal.fd)
    terminal.fd = os.open("/dev/null", os.O_RDONLY)
    # Told by the terminal, or to stop by the HUP that it leaves its job with.
    assert terminal.wait() in (129, 143)
    assert gone(app)


def test_an_engine_that_is_killed(engines, make_driver_app):
    engine = Docker()
    try:
        engines.with_bases(engine.start())
        app = make_driver_app("docker", name="own", engine=engine, with_slug=False)
        app.submit(app.release(Version=1))
        job = Terminal(command(app, "echo ready; exec sleep 1000"), app.env)
        try:
            job.see(rb"ready")
            wait_until(job.is_raw, "the terminal to be raw")
            engine.kill()
            wait_until(lambda: not job.is_raw(), "the old settings")
            engine.start()
            # 126: it was killed before it had answered that the container is started.
            assert job.wait() in (126, 137, 143, 255)
        finally:
            job.close()
        wait_until(lambda: not containers(app), "its container to be gone")
    finally:
        engine.end()
