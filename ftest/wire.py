"""The supervisor's end of the wire, for tests that are the supervisor themselves.

The supervisor that the launcher starts is a stub of a few lines: it hands its end of the wire over
to the test and then does what the test says (exit with a code, hang, die).
"""
import array
import fcntl
import os
import pathlib
import pty
import select
import socket
import struct
import subprocess
import sys
import time

from hsup import PATIENCE

BUILD = pathlib.Path(os.environ.get("HSUP_BUILD_DIR", "build"))
LAUNCHER = BUILD / "hsup-launcher"

(HELLO, SPAWN, SPAWNED, FAILED, SIGNAL, LEFT, EXITED, LIST, ENTRY, LIST_END, ACK, PING, PONG, SHUTDOWN,
 LEAVE, UPGRADE, RESTART, TAG, KEEP, SPAWN_BOX, PARK, SPAWN_WARM) = range(1, 23)
EXITED_SIZE, RECORDS = 56, 32
STAGE_REFUSED, STAGE_SPEC, STAGE_POLICY, STAGE_DIRECTORY, STAGE_EXEC, STAGE_BOX = 1, 3, 4, 11, 12, 13
CAN_BOX, CAN_WARM = 8, 16
STAGE_WARM = 25
BOX_RUN, BOX_JOIN, BOX_SWEEP, BOX_PARK = 1, 2, 3, 4
RUNNING, ENTRY_LEFT, ENTRY_EXITED, ENTRY_KEPT = 1, 2, 3, 4
PIPES, GIVEN, MERGED = 0, 1, 2
SEALS = 0x1 | 0x2 | 0x4 | 0x8  # F_SEAL_SEAL, SHRINK, GROW, WRITE
F_ADD_SEALS = 1033

STUB = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
fd = int(os.environ["HSUP_LAUNCHER_FD"])
socket.send_fds(s, [str(os.getpid()).encode()], [fd])
os.close(fd)
order = s.recv(100)
os._exit(int(order) if order else 0)
"""


def header(kind, body, sequence=1, magic=0x68737570, version=1, length=None):
    return struct.pack("=IHHII", magic, version, kind, sequence,
                       16 + len(body) if length is None else length) + body


def record(kind, data):
    return struct.pack("=HHI", kind, 0, len(data)) + data + bytes(-len(data) % 8)


def user(uid, gid, *groups):
    """A record of a spec: who the dyno is to be."""
    return record(6, struct.pack(f"={2 + len(groups)}I", uid, gid, *groups))


def box(mode=BOX_RUN, name="web.1", stack="host", network=0, flags=0, target=0, memory=0, cpu=0, processes=0):
    """Records of a spec: hsup-box is to make a container."""
    data = record(10, struct.pack("=IIIiQII", mode, network, flags, target, memory, cpu, processes))
    for kind, text in (11, name), (12, stack):
        data += record(kind, text.encode() + b"\0") if text else b""
    return data


def spec(program, args, env=("PATH=/usr/bin:/bin",), directory=None, seal=True, raw=None, extra=b""):
    body = record(1, program.encode() + b"\0")
    body += b"".join(record(2, a.encode() + b"\0") for a in args)
    body += b"".join(record(3, e.encode() + b"\0") for e in env)
    if directory:
        body += record(4, directory.encode() + b"\0")
    body += extra
    text = struct.pack("=IIQ", 0x63707368, 1, 16 + len(body)) + body if raw is None else raw
    fd = os.memfd_create("spec", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, text)
    if seal:
        fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
    return fd


def readable(fd, timeout):
    """(Not select(): one run of all tests has more than 1,024 descriptors open.)"""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return poll.poll(timeout * 1000)


class Wire:
    """The supervisor's end: the test is the supervisor."""

    def __init__(self, control, pid, sock):
        self.control, self.pid, self.sock = control, pid, sock
        self.sequence = 0
        self.exits = []  # of the last packet, not yet received

    def send(self, kind, body=b"", fds=()):
        self.sequence += 1
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([header(kind, body, self.sequence)], rights)

    def receive(self, timeout=PATIENCE / 2, pings=False):
        """(type, body, fds), or None at the end of file."""
        deadline = time.monotonic() + timeout
        if self.exits:
            return EXITED, self.exits.pop(0), []
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not readable(self.sock, left):
                raise TimeoutError("nothing from the launcher")
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, 9000, 8)
            except ConnectionResetError:
                continue
            if not data:
                return None
            magic, version, kind, sequence, length = struct.unpack("=IHHII", data[:16])
            assert (magic, version, length) == (0x68737570, 1, len(data))
            if kind == PING and not pings:
                self.send(PONG)
                continue
            body = data[16:]
            if kind == EXITED:
                assert body and len(body) % EXITED_SIZE == 0 and len(body) <= RECORDS * EXITED_SIZE
                self.exits = [body[at:at + EXITED_SIZE] for at in range(EXITED_SIZE, len(body), EXITED_SIZE)]
                body = body[:EXITED_SIZE]
            return kind, body, fds

    def expect(self, wanted, timeout=PATIENCE / 2):
        kind, body, fds = self.receive(timeout)
        assert kind == wanted
        return body, fds

    def hello(self):
        self.send(HELLO, struct.pack("=IIII", 1, os.getpid(), 0, 0))
        body, _ = self.expect(HELLO)
        _, _, children, self.can = struct.unpack("=IIII", body)
        return children

    def spawn(self, ident, *args, generation=1, name=None, tag=b"tag", program=None, output=PIPES, stdio=(),
              kind=SPAWN, **more):
        fd = spec(program or args[0], args, **more)
        name = (name or f"web.{ident}").encode()
        body = struct.pack("=QII", ident, generation, 0) + struct.pack("=HHI", output, len(name), len(tag))
        self.send(kind, body + name + tag, [fd, *stdio])
        os.close(fd)

    def keep(self, ident, *fds, generation=1, name=None, tag=b"tag", output=None):
        name = (name or f"web.{ident}").encode()
        output = (MERGED if len(fds) == 1 else PIPES) if output is None else output
        body = self.child(ident, generation) + struct.pack("=HHI", output, len(name), len(tag))
        self.send(KEEP, body + name + tag, fds)

    def child(self, ident, generation=1):
        return struct.pack("=QII", ident, generation, 0)

    def spawned(self):
        """(id, pid, out, err) of the next SPAWNED."""
        body, fds = self.expect(SPAWNED)
        ident, _, _, pid = struct.unpack("=QIIi", body[:20])
        assert len(fds) == 2
        return ident, pid, fds[0], fds[1]

    def exited(self, timeout=PATIENCE / 2):
        body, _ = self.expect(EXITED, timeout)
        ident, generation, _, status = struct.unpack("=QIIi", body[:20])
        return ident, status

    def failed(self):
        body, _ = self.expect(FAILED)
        ident, _, _, stage, error = struct.unpack("=QIIIi", body)
        return ident, stage, error

    def list(self):
        """{id: {...}} of the entries up to the end of the list, with the exits behind them."""
        self.send(LIST)
        found = {}
        while True:
            kind, body, fds = self.receive()
            if kind == LIST_END:
                return found
            ident = struct.unpack("=Q", body[:8])[0]
            if kind == ENTRY:
                _, generation, _, pid, state, output, start, _, name_len, tag_len = struct.unpack(
                    "=QIIiHHQQII", body[:48])
                found[ident] = dict(pid=pid, state=state, fds=fds, start=start, generation=generation, output=output,
                                    name=body[48:48 + name_len], tag=body[48 + name_len:])
                assert len(found[ident]["tag"]) == tag_len
            elif kind == EXITED:
                found[ident]["status"] = struct.unpack("=i", body[16:20])[0]
            else:
                found[ident]["failed"] = struct.unpack("=Ii", body[16:24])

    def closed(self, timeout=PATIENCE / 2):
        """True when the launcher has closed the connection; what it said before is passed over."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            try:
                message = self.receive(left)
            except BrokenPipeError:
                return True
            if message is None:
                return True
            for fd in message[2]:
                os.close(fd)
        return False

    def order_exit(self, code):
        self.control.send(str(code).encode())


def connect(listener, hello=True, timeout=PATIENCE):
    """The next supervisor that the launcher starts."""
    listener.settimeout(timeout)
    control, _ = listener.accept()
    data, fds, _, _ = socket.recv_fds(control, 100, 1)
    wire = Wire(control, int(data), socket.socket(fileno=fds[0]))
    if hello:
        wire.hello()
    return wire


class Launcher:
    def __init__(self, folder, name="a", command=None, options=(), verbose=True, wrap=()):
        self.path = folder / f"{name}.sock"
        self.log = folder / f"{name}.log"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.path))
        self.path.chmod(0o777)  # a confined stub connects, too
        self.listener.listen(8)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*wrap, LAUNCHER, *(["--verbose"] if verbose else []), *options, "--"] +
                (command or [sys.executable, "-S", "-E", "-c", STUB, str(self.path)]),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def connect(self, hello=True, timeout=PATIENCE):
        return connect(self.listener, hello, timeout)

    def text(self):
        return self.log.read_text()

    def descriptors(self):
        """How many it has open, once it has nothing more to do: it makes pipes ahead when it is idle."""
        folder, before, since = f"/proc/{self.process.pid}/fd", -1, 0
        while before < 0 or time.monotonic() - since < 0.2:
            now = len(os.listdir(folder))
            if now != before:
                before, since = now, time.monotonic()
            time.sleep(0.01)
        return before


class Terminal:
    """A launcher on a terminal of its own, whose session has `leader`: the launcher, or who has put it into the
    background."""

    FOREGROUND = struct.pack("=HHII", 5, 0, 4, 1) + bytes(4)

    def __init__(self, folder, *options, background=False):
        path = folder / "tty.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(path))
        listener.listen()
        self.leader, self.master = pty.fork()
        if self.leader == 0:
            if background:
                if os.fork() > 0:
                    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
                os.setpgid(0, 0)
            os.execv(LAUNCHER, [str(LAUNCHER), *options, "--", sys.executable, "-S", "-E", "-c", STUB, str(path)])
        with listener:
            self.wire = connect(listener)
        number = struct.unpack("=i", fcntl.ioctl(self.master, 0x80045430, bytes(4)))[0]  # TIOCGPTN
        self.slave = os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY)
        self.out, self.out_w = os.pipe()

    def order(self, kind, fd):
        """What reads from the terminal, in its foreground, and writes to .out."""
        self.wire.send(kind, self.wire.child(1) + struct.pack("=HHI", 1, 5, 0) + b"run.1",
                       [fd, self.slave, self.out_w, self.out_w])
        os.close(fd)

    def end(self):
        """In order: the exit code of the leader."""
        self.wire.order_exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(self.leader, 0)[1])
        for fd in (self.slave, self.out, self.out_w, self.master):
            os.close(fd)
        return code


def read_all(fd):
    """What the pipe of a child that has ended holds. There is no end of file: the launcher holds it."""
    data = b""
    while True:
        try:
            data += os.read(fd, 65536)
        except BlockingIOError:
            return data


def read_some(fd, timeout=PATIENCE / 2):
    assert readable(fd, timeout), "no output came"
    return os.read(fd, 65536)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
