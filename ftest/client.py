"""A plain HTTP client of the control API: http.client over a Unix socket, and bare sockets."""
import http.client
import json
import socket
import time

import openapi
from hsup import PATIENCE, wait_until


class Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout=PATIENCE):
        super().__init__("hsup", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = plug(self.path, self.timeout)


def plug(path, timeout=PATIENCE):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)

    def connected():
        try:
            s.connect(str(path))
            return True
        except BlockingIOError:  # its queue is full
            return False
    wait_until(connected, "room in the queue of the socket")
    return s


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.type = response.headers.get_content_type()
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        assert self.type == "application/json", (self.status, self.body)
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Client:
    """Asks over one connection that is kept, or by `token` over TCP. What is answered must be
    documented."""

    documented = True

    def __init__(self, path=None, port=None, token=None, host=None):
        self.path, self.port, self.token, self.host = path, port, token, host
        self.connection = None

    def open(self):
        return (Connection(self.path) if self.path else
                http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE))

    def ask(self, method, target, body=None, **headers):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.host:
            headers["Host"] = self.host
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.connection is None:
            self.connection = self.open()
        try:
            self.connection.request(method, target, body, headers)
            answer = Answer(self.connection.getresponse())
        except Exception:
            self.close()
            raise
        if self.documented:
            openapi.check(method, target, answer.status, answer.type, answer.body)
        return answer

    def get(self, target, **headers):
        return self.ask("GET", target, **headers)

    def post(self, target, body=None, **headers):
        return self.ask("POST", target, body, **headers)

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def dynos(self, *names):
        """Of a supervisor that does not know yet what runs: when it does."""
        target = "/v1/dynos" + "".join(f"{'&' if i else '?'}name={n}" for i, n in enumerate(names))

        def known():
            answer = self.get(target)
            return None if answer.status == 409 else answer
        answer = wait_until(known, "what runs to be known")
        assert answer.status == 200, answer
        return {d["name"]: d for d in answer.json}

    def wait_dynos(self, condition, what):
        def look():
            dynos = self.dynos()
            return dynos if condition(dynos) else None
        return wait_until(look, what)

    def wait_state(self, state, *names):
        return self.wait_dynos(lambda d: all(n in d and d[n]["state"] == state for n in names),
                               f"{names} to be {state}")


class Events:
    """Follows /v1/events; each is a dict of its data, with `sse` its name."""

    def __init__(self, client, query="", **headers):
        self.connection = client.open()
        self.connection.request("GET", "/v1/events" + query, headers={
            **({"Authorization": f"Bearer {client.token}"} if client.token else {}),
            **{k.replace("_", "-"): v for k, v in headers.items()}})
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.seen = []

    def next(self):
        event = {}
        while True:
            line = self.response.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                event["sse"] = line[7:]
            elif line.startswith("data: "):
                event.update(json.loads(line[6:]))
            elif not line and "sse" in event:
                event["read_at"] = time.time()
                self.seen.append(event)
                return event
            elif not line and self.response.isclosed():
                raise EOFError("the events have ended")

    def until(self, condition):
        while True:
            event = self.next()
            if condition(event):
                return event

    def close(self):
        self.response.close()
        self.connection.close()


def exchange(path, data, seconds=0.3):
    """Sends bytes, returns what comes until the other side closes, or for a moment."""
    with plug(path) as s:
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        s.settimeout(seconds)
        got = b""
        while True:
            try:
                part = s.recv(65536)
            except (ConnectionResetError, TimeoutError):
                return got
            if not part:
                return got
            got += part
