"""What the dynos of a campaign wrote, and whether hsup's output says exactly that.

Each life of a dyno (pid, start time) keeps an account in a file of shared memory (bench/writer.c):
what it was about to write and what it has written. Ledger compares hsup's output with it, line by
line: each number of each stream once, in order, with the right text, up to the last one written.
"""
import collections
import fcntl
import os
import pathlib
import re
import select
import struct
import termios
import threading

ACCOUNT = struct.Struct("=14Q64s")
FIELDS = ("pid start generation bytes order begun_out begun_err done_out done_err failed error "
          "shorter longest_ns own_end name")
ORDER_AT = 4 * 8
STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"
LINE = re.compile(rb"%s (app|hsup)\[([^\]]+)\]: (.*)" % STAMP.encode(), re.DOTALL)
HEAD = re.compile(rb"(\d+) (\d+) (\d+) ([oe]) (\d+) ")
ON_ITS_WAY = 256 << 10  # bytes that hsup may have on their way out (CARRY_BYTES)


class Account(collections.namedtuple("Account", FIELDS)):
    """One reading of an account."""

    @classmethod
    def read(cls, path):
        fields = list(ACCOUNT.unpack(path.read_bytes()))
        fields[-1] = fields[-1].rstrip(b"\0").decode()
        return cls(*fields)

    def begun(self, stream):
        return (self.begun_out, self.begun_err)[stream]

    def done(self, stream):
        return (self.done_out, self.done_err)[stream]

    @property
    def life(self):
        return self.pid, self.start


def start_time(pid):
    """The start time of a process that has not ended; None of one that has."""
    try:
        words = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if words[0] in "ZX" else int(words[19])


def alive(account):
    return start_time(account.pid) == account.start


class Reader:
    """Reads a pipe as fast as it fills, unless told to pause."""

    def __init__(self, fd):
        self.fd = fd
        self.chunks = collections.deque()
        self.lock = threading.Lock()
        self.go = threading.Event()
        self.go.set()
        self.thread = threading.Thread(target=self._run, args=(fd,), daemon=True)
        self.thread.start()

    def _run(self, fd):
        while True:
            self.go.wait()
            select.select([fd], [], [])
            with self.lock:
                data = os.read(fd, 1 << 20)
                if not data:
                    break
                self.chunks.append(data)
        os.close(fd)

    def has_all(self):
        """All that was written so far is in chunks."""
        with self.lock:
            return struct.unpack("i", fcntl.ioctl(self.fd, termios.FIONREAD, bytes(4)))[0] == 0


class Seen:
    """What came out of one stream of one life."""

    def __init__(self):
        self.last = 0  # number
        self.piece = False  # then the beginning of a line that was never ended


class Again:
    """What of one stream may come once more, after launcher and supervisor were killed in one moment: how far they
    were is told by two pipes, which are gone with them, and in doubt a line is repeated, not lost. Either it was out,
    and nobody knew yet: one of the last. Or it was on its way out, and had been taken from its dyno or not."""

    def __init__(self, lowest, last, begun):
        self.lowest = lowest  # of those that were out and may have been on their way
        self.last = last  # that was out
        self.begun = begun  # by its dyno
        self.next = self.until = 0  # when it has begun to


class Ledger:
    def __init__(self, folder, reader, now, log=None):
        self.folder = pathlib.Path(folder)  # the accounts
        self.reader = reader
        self.now = now  # says where in the campaign we are
        self.log = open(log, "w", encoding="utf-8") if log else None
        self.rest = b""
        self.seen = {}  # (pid, start, stream) -> Seen
        self.bytes_of = {}  # life -> padding, as its account says
        self.recent = collections.deque(maxlen=4000)
        self.bytes = 0
        self.late = collections.deque()  # (where it ends, (pid, start, stream), number): all that may be on its way
        self.again = {}  # (pid, start, stream) -> Again
        self.doubtful = None  # the one of them that was being taken from
        self.lines_again = 0
        self.notes = collections.deque(maxlen=20000)  # hsup's own, (count, dyno, text)
        self.n_notes = 0
        self.lines = self.repeats = self.lost = 0
        self.faults = []
        self.repeated = []  # (life, stream, number, where)
        self.closed = {}  # life -> the last numbers it was about to write
        self.lives = self.pieces = 0
        self.cut_off = collections.Counter()  # why -> lives
        self.lost_in_pipes = collections.Counter()  # why -> lines
        self.longest_ns = 0

    # -- launcher and supervisor are dead, and all that they wrote was read --

    def outage(self, accounts):
        self.take()
        lowest, begun = {}, {(*a.life, stream): a.begun(stream) for a in accounts.values() for stream in (0, 1)}
        for _, key, number in self.late:
            lowest.setdefault(key, number)
        self.again = {}
        self.doubtful = None
        for key in lowest.keys() | begun.keys():
            last = self.seen.get(key, Seen()).last
            self.again[key] = Again(lowest.get(key, last + 1), last, begun.get(key, last))

    def _comes_again(self, key, number, last):
        a = self.again.get(key)
        if not a:
            return False
        if number > last:
            if a.next <= a.until and a.next:
                self.fault(f"{key}: what was before {a.next} came twice, {a.next}..{a.until} did not")
            return False
        if not a.next and (a.lowest <= number <= a.last or
                           (number == a.last + 1 and last <= a.begun and not self.doubtful)):
            self.doubtful = key if number > a.last else self.doubtful
            a.next, a.until = number, last
        if not a.next == number <= a.until:
            return False
        a.next += 1
        self.lines_again += 1
        return True

    # -- lines --

    def take(self):
        """Looks at all that has come."""
        while self.reader.chunks:
            parts = (self.rest + self.reader.chunks.popleft()).split(b"\n")
            self.rest = parts.pop()
            for part in parts:
                self._line(part)

    def fault(self, text):
        if len(self.faults) < 50:
            self.faults.append(f"{self.now()}: {text}")

    def _line(self, raw):
        self.recent.append(raw)
        self.bytes += len(raw) + 1
        match = LINE.fullmatch(raw)
        if not match:
            self.fault(f"not a line: {raw[:300]!r}")
        elif match[1] == b"hsup":
            self.n_notes += 1
            if self.log:
                print(raw.decode(errors="replace"), file=self.log)
            self.notes.append((self.n_notes, match[2].decode(), match[3].decode()))
        else:
            self._written(match[2], match[3], raw)

    def _padding(self, life):
        if life not in self.bytes_of:
            paths = list(self.folder.glob(f"*,{life[0]},{life[1]}"))
            if not paths:
                return None
            self.bytes_of[life] = Account.read(paths[0]).bytes
        return self.bytes_of[life]

    def _written(self, dyno, text, raw):
        head = HEAD.match(text)
        if not head:
            self.fault(f"not a dyno's line: {raw[:300]!r}")
            return
        self.lines += 1
        life, stream, number = (int(head[1]), int(head[2])), b"oe".index(head[4]), int(head[5])
        size = self._padding(life)
        if size is None:
            self.fault(f"a line of an unknown life: {raw[:300]!r}")
            return
        seen = self.seen.setdefault((*life, stream), Seen())
        body = bytes([97 + number % 26]) * (number * 37 % size if size else 0) + b";"
        whole = text[head.end():] == body
        if not whole and not body.startswith(text[head.end():]):
            self.fault(f"not what {dyno.decode()} wrote: {raw[:300]!r}")
        if life in self.closed and number > self.closed[life][stream]:
            self.fault(f"{dyno.decode()} {life}: {number} was never written")
        self._note_late((*life, stream), number)
        if self._comes_again((*life, stream), number, seen.last):
            return
        if seen.piece and number == seen.last:
            self.fault(f"{dyno.decode()} {life} stream {stream}: {number} was cut in two")
        elif number <= seen.last:
            self.repeats += 1
            if len(self.repeated) < 1000:
                self.repeated.append((dyno.decode(), life, stream, number, seen.last, self.now()))
            return
        if number > seen.last + 1:
            self.lost += number - seen.last - 1
            self.fault(f"{dyno.decode()} {life} stream {stream}: {seen.last + 1}.."
                       f"{number - 1} are missing")
        if seen.piece and number > seen.last:
            self.fault(f"{dyno.decode()} {life} stream {stream}: only a piece of {seen.last}")
        seen.last, seen.piece = number, not whole

    def _note_late(self, key, number):
        self.late.append((self.bytes, key, number))
        while self.late[0][0] <= self.bytes - ON_ITS_WAY:
            self.late.popleft()

    # -- lives --

    def accounts(self):
        """Every account that is not closed: path -> what it says now."""
        return {path: Account.read(path) for path in self.folder.iterdir()
                if not path.name.startswith(".")}

    def behind(self, accounts, cut_off=()):
        """What is still to come: of all that was written when the accounts were read. An ended
        life in cut_off may have lost the end of its output."""
        missing = []
        for a in accounts.values():
            for stream in (0, 1):
                seen = self.seen.get((*a.life, stream))
                last = seen.last - seen.piece if seen else 0
                if last < a.done(stream) and a.life not in cut_off:
                    missing.append(f"{a.name} {a.life} stream {stream}: {last + 1}..{a.done(stream)}")
        return missing

    def close(self, path, a, cut_off):
        """Ends the account of a life whose output is all there. cut_off: life -> why the end of its
        output may be lost."""
        for stream in (0, 1):
            seen = self.seen.get((*a.life, stream), Seen())
            if seen.last > a.begun(stream):
                self.fault(f"{a.name} {a.life} stream {stream}: {seen.last} came out, but only "
                           f"{a.begun(stream)} was written")
            if seen.piece and seen.last <= a.done(stream) and a.life not in cut_off:
                self.fault(f"{a.name} {a.life} stream {stream}: only a piece of {seen.last}")
            self.pieces += seen.piece
            lost = a.done(stream) - (seen.last - seen.piece)
            if lost > 0 and a.life in cut_off:
                self.lost_in_pipes[cut_off[a.life]] += lost
            elif lost > 0:
                self.lost += lost
                self.fault(f"{a.name} {a.life} stream {stream}: the last {lost} are missing")
        if a.life in cut_off:
            self.cut_off[cut_off[a.life]] += 1
        self.check_writes(a)
        self.lives += 1
        self.closed[a.life] = a.begun_out, a.begun_err
        path.unlink()

    def check_writes(self, a):
        self.longest_ns = max(self.longest_ns, a.longest_ns)
        if a.failed or a.shorter:
            self.fault(f"{a.name} {a.life}: {a.failed} writes failed "
                       f"({os.strerror(a.error) if a.failed else 'none'}), {a.shorter} were short")

    def order_end(self, path, how):
        """Tells a dyno to end by itself: an exit code, or 256 + a signal."""
        with open(path, "r+b", buffering=0) as file:
            file.seek(ORDER_AT)
            file.write(struct.pack("=Q", how + 1))

    def tail(self, n):
        return [line.decode(errors="replace") for line in list(self.recent)[-n:]]
