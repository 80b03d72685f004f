"""An engine that misbehaves: in front of a real one, it spoils what a test says and passes on the rest."""
import contextlib
import pathlib
import re
import socket
import threading


class Spoiled:
    """One kind of answer: those to requests whose first line matches, so many times (None: always)."""

    def __init__(self, pattern, how, times, body):
        self.pattern, self.how, self.times, self.body = re.compile(pattern), how, times, body
        self.seen = 0


class FakeEngine:
    HEAD = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"

    def __init__(self, real, path):
        self.real, self.path = str(real), pathlib.Path(path)
        self.rules, self.asked = [], []
        self.over = threading.Event()
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen(64)
        self.threads = []
        self._run(self._accept)

    def _run(self, what, *args):
        thread = threading.Thread(target=what, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    # -- what a test says --

    def spoil(self, pattern, how, times=None, body=b""):
        """how: "500", "garbage" (200 and `body`), "hang" (no answer), "half" (half of the real answer,
        then nothing), "cut" (half of it, then an end)."""
        rule = Spoiled(pattern, how, times, body)
        self.rules.insert(0, rule)
        return rule

    def mend(self):
        self.rules = []

    def close(self):
        self.over.set()
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for thread in self.threads:
            thread.join(5)
        self.path.unlink(missing_ok=True)

    # -- serving --

    def _accept(self):
        while not self.over.is_set():
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            self._run(self._serve, client)

    def _serve(self, client):
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                part = client.recv(65536)
                if not part:
                    return
                head += part
            head, _, rest = head.partition(b"\r\n\r\n")
            line = head.split(b"\r\n")[0].decode()
            self.asked.append(line)
            rule = next((r for r in self.rules if r.times != 0 and r.pattern.search(line)), None)
            if rule and rule.times is not None:
                rule.times -= 1
            with contextlib.suppress(OSError):
                if rule:
                    rule.seen += 1
                    self._spoiled(client, rule, head, rest)
                else:
                    self._pass(client, head, rest)

    def _spoiled(self, client, rule, head, rest):
        if rule.how == "500":
            body = rule.body or b'{"message":"the disk is on fire"}'
            client.sendall(self.HEAD % (b"500 Internal Server Error", b"application/json", len(body)) + body)
        elif rule.how == "garbage":
            client.sendall(self.HEAD % (b"200 OK", b"application/json", len(rule.body)) + rule.body)
        elif rule.how == "hang":
            self._wait(client)
        else:
            self._pass(client, head, rest, only_half=True)
            if rule.how == "half":
                self._wait(client)

    def _wait(self, client):
        """Until the client has enough of it, or the test is over."""
        client.settimeout(0.1)
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                if not client.recv(65536):
                    return

    def _pass(self, client, head, rest, only_half=False):
        # One request per connection, so that each is seen.
        if b"upgrade" not in head.lower():
            head = re.sub(rb"\r\n[Cc]onnection:[^\r]*", b"", head) + b"\r\nConnection: close"
        with socket.socket(socket.AF_UNIX) as real:
            real.connect(self.real)
            real.sendall(head + b"\r\n\r\n" + rest)
            if only_half:
                self._half(real, client)
                return
            forth = threading.Thread(target=self._pump, args=(client, real), daemon=True)
            forth.start()
            self._pump(real, client)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            forth.join(5)

    @staticmethod
    def _half(real, client):
        real.settimeout(0.5)
        data = b""
        with contextlib.suppress(TimeoutError):
            while part := real.recv(65536):
                data += part
        head, _, body = data.partition(b"\r\n\r\n")
        client.sendall(head + b"\r\n\r\n" + body[:max(1, len(body) // 2)])

    @staticmethod
    def _pump(a, b):
        with contextlib.suppress(OSError):
            while part := a.recv(65536):
                b.sendall(part)
            b.shutdown(socket.SHUT_WR)
