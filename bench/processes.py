"""The processes of a measurement: started, watched and ended here, and found in /proc.

This process is a subreaper: whatever is started below it and loses its parent becomes its child, so
"everything has ended" is one wait that finds no child, and nothing can be left behind.
"""
import ctypes
import os
import signal
import struct
import time

PR_SET_CHILD_SUBREAPER = 36
RECORD = struct.Struct("=QQ")  # record.h
IGNORED = [signal.SIGPIPE, signal.SIGXFSZ]  # by Python, and what is ignored stays so across exec


class Failed(Exception):
    """Something could not be measured; the text is for the user."""


def become_subreaper():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise Failed(f"prctl: {os.strerror(ctypes.get_errno())}")


def start(argv, environ, log):
    """Starts a program in a session of its own (so Ctrl-C reaches only us); returns its pid."""
    files = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawn(argv[0], argv, environ, file_actions=files, setsid=True,
                          setsigdef=IGNORED, setsigmask=[])


def has_ended(pid):
    """A child's end, without reaping it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def wait_for_all(seconds):
    """Reaps until there is no child; returns {pid: status}. Failed after so many seconds."""
    def late(_signal, _frame):
        raise Failed(f"still waiting for {len(descendants())} processes after {seconds} s")

    ended = {}
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        while True:
            pid, status = os.waitpid(-1, 0)
            ended[pid] = status
    except ChildProcessError:
        return ended
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def descendants():
    """The pids below this process that have not ended, parents before children."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in (b"Z", b"X"):
            children.setdefault(int(parent), []).append(int(name))
    found = [os.getpid()]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def kill_all():
    """Kills and reaps everything below this process, as often as something still starts anew."""
    for _ in range(200):
        for pid in descendants():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.01)
    raise Failed(f"processes that cannot be killed: {descendants()}")


class Report:
    """The file in which children say that they run: (ns, pid) each, in the order of their start."""

    def __init__(self, path):
        self.path = path
        with open(path, "wb"):
            pass
        os.chmod(path, 0o666)

    def count(self):
        return os.stat(self.path).st_size // RECORD.size

    def records(self):
        with open(self.path, "rb") as file:
            data = file.read()
        return [RECORD.unpack_from(data, at) for at in range(0, len(data), RECORD.size)]

    def wait(self, count, seconds, first_look, still_lives):
        """Sleeps (the children's own clock tells the time, not ours) until count records are in."""
        end = time.monotonic() + seconds
        time.sleep(first_look)
        while self.count() < count:
            if time.monotonic() > end:
                raise Failed(f"{self.count()} of {count} children run after {seconds} s")
            if not still_lives():
                raise Failed(f"it ended when {self.count()} of {count} children ran")
            time.sleep(0.005)
        return self.records()


def memory_kib(pids):
    """(private dirty, PSS) of these processes together."""
    dirty = pss = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                if line.startswith("Private_Dirty:"):
                    dirty += int(line.split()[1])
                elif line.startswith("Pss:"):
                    pss += int(line.split()[1])
    return dirty, pss


def wake_ups(pids):
    """How often each thread of these processes has gone to sleep by itself so far."""
    counts = {}
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/status", encoding="utf-8") as file:
                for line in file:
                    if line.startswith("voluntary_ctxt_switches:"):
                        counts[thread] = int(line.split()[1])
    return counts


def busy_share(seconds):
    """The share of all processors' time that was used while this process slept."""
    def read():
        with open("/proc/stat", encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
        return sum(ticks), ticks[3] + ticks[4]

    total, idle = read()
    time.sleep(seconds)
    total_after, idle_after = read()
    return 1 - (idle_after - idle) / max(1, total_after - total)
