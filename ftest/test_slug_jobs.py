"""The helper that makes slugs ready, through the whole of hsup: it may die, lie or hang, and concerns only its job."""
import http.server
import io
import os
import pathlib
import shutil
import signal
import tarfile
import threading
import time

import pytest

from hsup import children_of, command_line, wait_until

SLEEP = ["sleep", "1000"]


def slug(word):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo("./word")
        member.size = len(word)
        archive.addfile(member, io.BytesIO(word.encode()))
    return out.getvalue()


class Site(http.server.ThreadingHTTPServer):
    """Serves slugs; `gate` holds every answer back until it is set."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.gate = {}, [], threading.Event()
        self.gate.set()

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.lstrip("/")
        self.server.asked.append(name)
        self.server.gate.wait(30)
        data = self.server.files.get(name)
        try:
            self.send_response(200 if data else 404)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")
        except OSError:
            pass

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


def helpers(app):
    return [p for p in children_of(app.supervisor()) if "hsup-slug" in command_line(p)]


def test_a_helper_that_is_killed_is_started_again(app, site):
    site.files["a"] = slug("A")
    site.gate.clear()
    app.start()
    app.submit(app.release(("web", ["cat word; echo; exec sleep 1000"], 1), Slug=site.url("a")))
    for n in (1, 2):
        wait_until(lambda: len(site.asked) >= n, "the request")
        os.kill(wait_until(lambda: helpers(app), "the helper")[0], signal.SIGKILL)
    wait_until(lambda: len(site.asked) >= 3, "the third request")
    site.gate.set()
    app.wait_line(r"app\[web\.1\]: A$")
    folder = next((app.folder / "state" / "apps").glob("*/slugs"))
    wait_until(lambda: not list(folder.glob(".t*")), "what the killed ones left to go")


def test_one_that_is_killed_each_time_rejects_the_release_and_nothing_else(app, site):
    app.start()
    app.submit(app.release(("web", SLEEP, 2), Version=1))
    app.wait_line("release v1 is up")
    before = app.wait_dynos(2)
    site.gate.clear()
    app.submit(app.release(("web", SLEEP, 3), Version=2, Slug=site.url("a")))
    for n in (1, 2, 3):
        wait_until(lambda: len(site.asked) >= n, "the request")
        os.kill(wait_until(lambda: helpers(app), "the helper")[0], signal.SIGKILL)
    app.wait_rejected("Slug: the slug helper ended without an answer, 3 times")
    assert app.wait_dynos(2) == before and app.loaded()["Version"] == 1


def test_what_it_tells_is_final(app, site):
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Slug=site.url("nowhere")))
    app.wait_rejected("Slug: .*404")
    time.sleep(0.7)  # by then it would have been started again
    assert site.asked == ["nowhere"]


STUBS = {
    "ends": ("", r"ended without an answer, 3 times"),
    "garbage": ("s.send(b'garbage'); time.sleep(60)", r"said something malformed, 3 times"),
    "half a packet": ("s.send(s.recv(9000)[:10]); time.sleep(60)", r"said something malformed, 3 times"),
    "its own order back": ("s.send(s.recv(9000)); time.sleep(60)", r"said something malformed, 3 times"),
    "a packet that is too large": ("s.send(bytes(100000)); time.sleep(60)", r"said something malformed, 3 times"),
    "closes": ("s.close(); time.sleep(60)", r"ended without an answer, 3 times"),
    "crashes": ("os.kill(os.getpid(), signal.SIGSEGV)", r"ended without an answer, 3 times"),
}


@pytest.mark.parametrize("stub", STUBS)
def test_a_helper_gone_mad(make_app, reachable, stub):
    app = make_app(programs=reachable)
    what, text = STUBS[stub]
    (reachable / "hsup-slug").unlink()
    (reachable / "hsup-slug").write_text("#!/usr/bin/python3\nimport os, signal, socket, time\n"
                                         f"open({str(app.folder / 'starts')!r}, 'a').write('x')\n"
                                         f"s = socket.socket(fileno=3)\n{what}\n")
    (reachable / "hsup-slug").chmod(0o755)
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Version=1))
    app.wait_line("release v1 is up")
    app.submit(app.release(("web", SLEEP, 2), Version=2, Slug="http://127.0.0.1:1/x"))
    app.wait_rejected(text)
    assert (app.folder / "starts").read_text() == "xxx"
    assert len(app.wait_dynos(1)) == 1
    assert not helpers(app)
    assert app.stop() == 0


def test_the_release_in_force_and_the_one_before_are_fetched_together(app, site):
    """Both are needed before anything runs, when the folder of slugs was lost in a rollout."""
    site.files.update(a=slug("A"), b=slug("B"))
    command = ["cat word; echo; exec sleep 1000"]
    app.start()
    app.submit(app.release(("web", command, 1), Version=1, Slug=site.url("a")))
    app.wait_line("release v1 is up")
    app.submit(app.release({"Type": "web", "Args": command, "Quantity": 1, "StartSeconds": 15, "StartTimeout": 20},
                           Version=2, Slug=site.url("b")))
    app.wait_line("release v2 is being rolled out")
    assert app.stop() == 0
    shutil.rmtree(app.folder / "state")
    site.asked.clear()
    site.gate.clear()
    app.lines.clear()
    app.start()
    wait_until(lambda: sorted(site.asked) == ["a", "b"], "both requests at once")
    site.gate.set()
    app.wait_line(r"app\[web\.1\]: B$")


def test_a_stop_while_both_are_fetched(app, site):
    site.files.update(a=slug("A"), b=slug("B"))
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Version=1, Slug=site.url("a")))
    app.wait_line("release v1 is up")
    app.submit(app.release({"Type": "web", "Args": SLEEP, "Quantity": 1, "StartSeconds": 15}, Version=2,
                           Slug=site.url("b")))
    app.wait_line("release v2 is being rolled out")
    assert app.stop() == 0
    shutil.rmtree(app.folder / "state")
    site.asked.clear()
    site.gate.clear()
    app.start()
    wait_until(lambda: len(site.asked) == 2, "both requests")
    workers = helpers(app)
    assert len(workers) == 2
    assert app.stop() == 0
    assert not [p for p in workers if pathlib.Path(f"/proc/{p}").exists()]
