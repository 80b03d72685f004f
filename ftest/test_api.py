"""The control API, asked by a plain HTTP client."""
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys

import pytest

import openapi
from client import Client, Events, exchange, plug
from hsup import PATIENCE, TEST_USER, wait_until



def short(value):
    """Names of parameters: some are huge."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return re.sub(r"[^!-~]|\[|\]", ".", text[:30])


SLEEPER = ["exec sleep 1000"]
TOKEN, WATCH = "operate-" + "o" * 20, "watching-" + "w" * 20


@pytest.fixture
def serve(make_app, folder):
    """Starts an app with its socket at a short path, and waits until its dynos are up."""
    def make(*processes, options=(), name="app", wait=True, env=None, **fields):
        app = make_app(name)
        app.socket = app.folder / "sock"
        processes = processes or (("web", SLEEPER, 2), ("worker", SLEEPER, 1))
        app.submit(app.release(*processes, **fields))
        app.start("-s", app.socket, *options, env=env)
        app.client = Client(app.socket)
        wait_until(app.socket.exists, "the control socket")
        if wait:
            wait_until(lambda: app.client.get("/v1/app").json["status"] == "up", "the app to be up")
        return app
    return make


@pytest.fixture
def served(serve):
    return serve()


def private_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(n) for n in re.findall(r"^Private_(?:Dirty|Clean): +(\d+) kB", text, re.M))


# -- to see --

def test_classic_calls(served):
    c = served.client
    assert c.get("/health").text == "OK"
    assert c.post("/health").text == "OK"
    status = c.get("/status").json
    assert set(status["Processes"]) == {"web", "worker"}
    assert set(status["Processes"]["web"]) == {"Status", "IPAddress", "Port"}
    assert status["Processes"]["web"]["Status"] == "Started"
    assert c.post("/status").status == 405
    stopped = c.post("/control/stop", {"Processes": ["web", "nothing"]})
    assert stopped.json == {"StoppedProcesses": ["web", "web"]}
    c.wait_state("stopped", "web.1", "web.2")
    assert c.get("/status").json["Processes"]["web"]["Status"] == "Stopped"
    bad = c.post("/control/stop", "{")
    assert bad.status == 500 and bad.type == "text/plain"


def test_app_and_apps(served):
    app = served.client.get("/v1/app").json
    assert app["mode"] == "start" and app["status"] == "up" and app["version"] == 1
    assert app["dynos"] == app["ready"] == 3
    assert app["pid"] == served.supervisor()
    assert app["control_dir"] == str(served.control) and app["missing"] == []
    assert [(t["type"], t["quantity"], t["command"]) for t in app["types"]] == [
        ("web", 2, SLEEPER[0]), ("worker", 1, SLEEPER[0])]
    apps = served.client.get("/v1/apps").json
    assert [(a["socket"], a["pid"]) for a in apps] == [(str(served.socket), app["pid"])]


def test_dynos(served):
    c = served.client
    dynos = c.dynos()
    assert list(dynos) == ["web.1", "web.2", "worker.1"]
    web = dynos["web.1"]
    assert web["state"] == "up" and web["desired"] == "run" and web["version"] == 1
    assert web["pid"] in served.dynos()
    assert web["uptime"] > 0 and web["restarts"] == 0 and web["last_exit"] is None
    assert list(c.dynos("web")) == ["web.1", "web.2"]
    assert list(c.dynos("web.*", "worker.1")) == ["web.1", "web.2", "worker.1"]
    assert list(c.dynos("w*.1")) == ["web.1", "worker.1"]
    answer = c.get("/v1/dynos?name=webb")
    assert answer.status == 404 and answer.json["id"] == "not_found"
    assert 'did you mean "web"' in answer.json["message"]


def test_a_dyno_that_is_killed_is_seen_at_once(served):
    c = served.client
    before = c.dynos()["web.1"]
    os.kill(before["pid"], 9)
    after = c.wait_dynos(lambda d: d["web.1"]["generation"] == 2, "a second life")["web.1"]
    assert after["last_exit"]["kind"] == "signal" and after["last_exit"]["signal"] == "KILL"
    assert after["last_exit"]["text"] == "was killed by SIGKILL"
    assert after["restarts"] == 1 and after["id"] == before["id"]


def test_one_that_cannot_start_says_the_stage(serve):
    app = serve({"Type": "web", "Args": ["/nowhere/program", "x"], "Quantity": 1, "StartRetries": 0},
                wait=False)
    web = app.client.wait_dynos(lambda d: d.get("web.1", {}).get("last_exit"), "an end")["web.1"]
    assert web["last_exit"]["kind"] == "stage" and web["last_exit"]["error"] == "ENOENT"
    assert web["last_exit"]["stage"]


def test_config_masks_secrets(serve):
    app = serve({"Type": "web", "Args": SLEEPER, "Quantity": 1, "Env": {"B": "three", "C": "four"}},
                Env={"A": "one", "B": "two"})
    c = app.client
    env = c.get("/v1/config").json["env"]
    assert set(env) == {"HSUP_TEST_MARK", "A", "B"} and set(env.values()) == {"********"}
    env = c.get("/v1/config?type=web&secrets=1").json["env"]
    assert (env["A"], env["B"], env["C"]) == ("one", "three", "four")
    assert c.get("/v1/config?type=webb").status == 404
    assert c.get("/v1/config?secrets=yes").status == 400


def test_releases(served):
    c = served.client
    first = c.get("/v1/releases").json
    assert [(r["version"], r["in_force"], r["settled"]) for r in first] == [(1, True, True)]
    assert c.get("/v1/releases/1").json["Processes"][0]["Type"] == "web"
    assert c.get("/v1/releases/v1").status == 200
    for nothing in ("0", "7", "x", "-1", "99999999999999999999"):
        assert c.get(f"/v1/releases/{nothing}").status == 404

    submitted = c.post("/v1/releases", served.release(("web", SLEEPER, 1), Version=2))
    assert submitted.status == 202 and submitted.json["version"] == 2
    c.wait_dynos(lambda d: list(d) == ["web.1"] and d["web.1"]["version"] == 2
                 and d["web.1"]["state"] == "up", "the second release")
    wait_until(lambda: c.get("/v1/app").json["status"] == "up", "the second release to be up")

    back = c.post("/v1/rollback", {})
    assert back.status == 202 and back.json["version"] > 2
    c.wait_dynos(lambda d: len(d) == 3 and all(x["state"] == "up" for x in d.values()), "the first again")
    wait_until(lambda: c.get("/v1/app").json["status"] == "up", "it to be up")
    assert "rollback" in c.get("/v1/releases").json[0]["note"]
    assert c.post("/v1/rollback", {"version": 77}).status == 404
    assert c.post("/v1/rollback", {"version": "one"}).status == 400
    assert c.post("/v1/abort", {}).status == 404


def test_a_release_that_is_not_valid(served):
    answer = served.client.post("/v1/releases", '{"Version": 2,\n "Procces": []}')
    assert answer.status == 422 and answer.json["id"] == "invalid"
    wrong = {e["path"]: e for e in answer.json["errors"]}
    assert wrong["Procces"]["line"] == 2 and "Processes" in wrong["Procces"]["message"]
    assert served.client.post("/v1/releases", "").status == 422
    assert served.client.post("/v1/releases", "null").status == 422
    assert len(served.client.dynos()) == 3


def test_diag(served):
    text = served.client.get("/v1/diag")
    assert text.status == 200 and "web.1" in text.text


# -- to do --

def test_stop_start_restart(served):
    c = served.client
    answer = c.post("/v1/dynos/stop", {"names": ["web.1"]})
    assert answer.status == 200 and answer.json["dynos"] == ["web.1"]
    stopped = c.wait_state("stopped", "web.1")
    assert stopped["web.1"]["stopped_by_operator"] and stopped["web.2"]["state"] == "up"
    answer = c.post("/v1/dynos/start", {"names": ["web"]})
    assert answer.json["dynos"] == ["web.1", "web.2"]
    before = c.wait_state("up", "web.1", "web.2")
    answer = c.post("/v1/dynos/restart", {"names": ["web.*", "web.2"]})
    assert answer.json["dynos"] == ["web.1", "web.2"]
    after = c.wait_dynos(lambda d: all(d[n]["generation"] > before[n]["generation"] and d[n]["state"] == "up"
                                       for n in ("web.1", "web.2")), "both again")
    assert after["web.2"]["generation"] == before["web.2"]["generation"] + 1
    assert after["worker.1"]["generation"] == 1


def test_roll(served):
    c = served.client
    before = {d["pid"] for d in c.dynos("web").values()}
    assert c.post("/v1/dynos/roll", {"names": ["web"]}).status == 200
    c.wait_dynos(lambda d: all(x["state"] == "up" for x in d.values()) and len(d) == 3
                 and not before & {x["pid"] for x in d.values()}, "all of web to be new")
    assert c.post("/v1/dynos/roll", {"names": ["web", "worker.1"]}).status == 422


def test_names_that_fit_a_dyno_in_common(serve):
    app = serve(("web", SLEEPER, 300))
    c = app.client
    done = c.post("/v1/dynos/restart", {"names": ["web", "*", "web.1", "web.?", *(f"web.{n}" for n in range(2, 301))]})
    assert done.status == 200 and len(done.json["dynos"]) == 300
    c.wait_dynos(lambda d: all(x["state"] == "up" and x["generation"] == 2 for x in d.values()), "each, once again")
    assert c.post("/v1/dynos/restart", {"names": ["web", "wbe.1"]}).status == 404
    assert all(d["generation"] == 2 for d in c.dynos().values())


def test_what_is_under_way_is_given_up(serve, folder):
    app = serve(("web", SLEEPER, 2))
    c = app.client
    before = app.dynos()
    # A release phase,
    job = {"Type": "release", "Args": ["sleep", "1000"], "Quantity": 1}
    app.submit(app.release(("web", ["sleep", "2000"], 2), job, Version=2))
    c.wait_state("up", "release.1")
    assert c.post("/v1/abort", {}).status == 202
    app.wait_rejected("given up by the operator")
    assert app.dynos() == before and app.loaded()["Version"] == 1
    wait_until(lambda: set(c.dynos()) == {"web.1", "web.2"}, "the release phase to be gone")
    # a release that is rolled out,
    never = {"Type": "web", "Args": SLEEPER, "Quantity": 2, "Ready": {"Command": ["false"]}, "StartTimeout": 1000}
    app.submit(app.release(never, Version=3))
    app.wait_line("release v3 is being rolled out")
    assert c.post("/v1/abort", {}).status == 202
    app.wait_line("release v3 rolled back: given up by the operator")
    wait_until(lambda: app.dynos() == before, "the old ones alone")
    # a renewal of what is in force.
    ready = folder / "ready"
    ready.touch()
    slow = {"Type": "web", "Args": SLEEPER, "Quantity": 2, "StartTimeout": 1000,
            "Ready": {"Command": ["test", "-e", str(ready)]}}
    app.submit(app.release(slow, Version=4))
    app.wait_line("release v4 is up")
    ready.unlink()
    before = app.dynos()
    assert c.post("/v1/dynos/roll", {"names": ["web"]}).status == 200
    wait_until(lambda: len(app.dynos()) > 2, "a new one")
    assert c.post("/v1/abort", {}).status == 202
    wait_until(lambda: app.dynos() == before, "the old ones alone")
    assert c.post("/v1/abort", {}).status == 404


def test_signal(serve):
    app = serve(("web", ["trap 'echo got it' USR1; while :; do sleep 0.05; done"], 1))
    # The shell may not have come to its trap yet: then the signal ends it.
    app.client.post("/v1/dynos/signal", {"names": ["all"], "signal": "USR1"})
    wait_until(lambda: app.client.post("/v1/dynos/signal", {"names": ["web"], "signal": "SIGUSR1"}).status
               == 200 and ("web.1", "got it") in app.app_lines(), "the signal")
    assert app.client.post("/v1/dynos/signal", {"names": ["web"], "signal": "NONE"}).status == 422
    assert app.client.post("/v1/dynos/signal", {"names": ["web"]}).status == 400


def test_scale(served):
    c = served.client
    answer = c.post("/v1/scale", {"web": 3, "worker": "+1"})
    assert answer.status == 200
    assert {t["type"]: (t["quantity"], t["release_quantity"]) for t in answer.json["types"]} == {
        "web": (3, 2), "worker": (2, 1)}
    c.wait_state("up", "web.3", "worker.2")
    c.post("/v1/scale", {"web": "-2"})
    c.wait_dynos(lambda d: list(d) == ["web.1", "worker.1", "worker.2"], "less of web")
    for wrong, status in (({"web": -1}, 422), ({"web": 5000}, 422), ({"web": "+99999999999999999999"}, 400),
                          ({"web": 1.5}, 400), ({"web": None}, 400), ({"web": "x"}, 400), ({}, 400),
                          ({"nothing": 1}, 404), ({"web": 4000, "worker": 4000}, 422),
                          ({"web": 2, "nothing": 1}, 404), ([1], 400)):
        assert c.post("/v1/scale", wrong).status == status, wrong
    assert list(c.dynos()) == ["web.1", "worker.1", "worker.2"]  # all or nothing


@pytest.mark.parametrize("body, status", [
    ("{", 400), ("[]", 400), ("null", 400), ('{"names": 1}', 400), ('{"names": [1]}', 400), ("{}", 400),
    ('{"names": []}', 400), ('{"name": ["web"]}', 400), ('{"names": ["web"], "names": ["web"]}', 400),
    ('{"names": ["nothing"]}', 404), ('{"names": [""]}', 404), ('{"names": ["web.9"]}', 404),
    ('{"names": ["web", "nothing"]}', 404), ("[" * 60000, 400), ('{"names": ["\\ud800"]}', 400),
    ('{"names": ["\\u0000"]}', 400), (b"\xff\xfe", 400), (b'{"names": ["\xff"]}', 400),
    ('{"names": ["web"]} x', 400)], ids=short)
def test_wrong_bodies(served, body, status):
    answer = served.client.post("/v1/dynos/stop", body)
    assert answer.status == status, answer
    assert answer.json["message"] and "\n" not in answer.json["message"]
    assert all(d["state"] == "up" for d in served.client.dynos().values())


@pytest.mark.parametrize("target, status", [
    ("/v1/nothing", 404), ("/v1/dynos/", 404), ("/v1//dynos", 404), ("/", 404), ("/v1/dynos?nam=x", 400),
    ("/v1/dynos?name=%zz", 400), ("/v1/dynos?name=%00", 400), ("/v1/dynos?name=%ff", 400),
    ("/v1/dynos?name=", 404), ("/v1/dynos?" + "name=web&" * 65, 413), ("/v1/dynos?name=" + "x" * 9000, 413),
    ("/a/b/c/d/e/f/g/h/i/j", 404), ("/v1/logs?last=-1", 400), ("/v1/logs?since=yesterday", 400),
    ("/v1/logs?stream=both", 400), ("/v1/logs?format=xml", 400), ("/v1/logs?follow=yes", 400),
    ("/v1/events?from=x", 400), ("/v1/events?kind=dyno.stat", 400)], ids=short)
def test_wrong_targets(served, target, status):
    answer = served.client.get(target)
    assert answer.status == status, answer
    assert answer.json["id"]


def test_every_call_that_is_documented_was_made(served):
    """The others' answers were held against the document as well."""
    c = served.client
    for path, methods in openapi.DOCUMENT["paths"].items():
        for method, operation in methods.items():
            target = path.replace("{name}", "web.1").replace("{version}", "1")
            if "text/event-stream" in operation["responses"].get("200", {}).get("content", {}):
                continue  # it has no end
            if path != "/v1/stop":
                assert c.ask(method.upper(), target, "{}" if method == "post" else None).status in (
                    200, 202, 400, 404, 409, 422), (method, path)
    good = {(method, path) for method, path, status in openapi.checked if status < 300}
    assert {("get", "/v1/dynos"), ("get", "/v1/app"), ("get", "/v1/apps"), ("get", "/v1/releases"),
            ("get", "/metrics"), ("get", "/status"), ("get", "/v1/config"), ("get", "/v1/diag")} <= good


def test_methods(served):
    answer = served.client.ask("DELETE", "/v1/dynos")
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD"
    answer = served.client.ask("PUT", "/v1/releases")
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD, POST"
    head = served.client.ask("HEAD", "/v1/app")
    assert head.status == 200 and head.body == b""


# -- the end --

def test_stop_by_the_api(served):
    answer = served.client.post("/v1/stop", {})
    assert answer.status == 202
    assert served.wait() == 0
    assert not served.socket.exists()


def test_it_answers_while_it_stops_and_refuses_changes(serve):
    app = serve({"Type": "web", "Args": ["trap '' TERM; echo deaf; while :; do sleep 0.05; done"],
                 "Quantity": 1, "StopTimeout": 1000})
    app.wait_line(r"app\[web.1\]: deaf")
    c = app.client
    assert c.post("/v1/stop").status == 202
    wait_until(lambda: c.get("/v1/app").json["status"] == "stopping", "it to be stopping")
    assert c.dynos()["web.1"]["state"] == "stopping"
    for target, body in (("/v1/dynos/start", {"names": ["web"]}), ("/v1/scale", {"web": 2}),
                         ("/v1/dynos/restart", {"names": ["web"]}), ("/v1/rollback", {}),
                         ("/v1/releases", app.release(("web", SLEEPER, 1), Version=2))):
        answer = c.post(target, body)
        assert answer.status == 409 and answer.json["id"] == "conflict", (target, answer)
    events = Events(c)
    c.post("/v1/stop", {"now": True})
    assert app.wait() == 0
    assert events.until(lambda e: e["sse"] == "dyno.exit")["name"] == "web.1"


def test_every_change_is_logged_with_who(served):
    served.client.post("/v1/scale", {"web": 1})
    served.wait_line(rf"hsup\[\S+\]: .*by uid {os.getuid()} \(pid {os.getpid()}\)")


# -- events --

def test_events(served):
    events = Events(served.client, "?name=web.1")
    assert events.status == 200
    asked = served.client.post("/v1/dynos/restart", {"names": ["web.1", "worker.1"]}).json
    up = events.until(lambda e: e["sse"] == "dyno.state" and e["to"] == "up")
    assert up["id"] >= asked["event"] and up["generation"] == 2
    assert {e["name"] for e in events.seen} == {"web.1"}
    states = [(e["from"], e["to"]) for e in events.seen if e["sse"] == "dyno.state"]
    assert states == [("up", "stopping"), ("stopping", "starting"), ("starting", "up")] or \
        states[-1] == ("starting", "up")
    ends = [e for e in events.seen if e["sse"] == "dyno.exit"]
    assert len(ends) == 1 and ends[0]["exit"]["signal"] == "TERM"
    ids = [e["id"] for e in events.seen]
    assert ids == sorted(set(ids))
    events.close()

    again = Events(served.client, f"?from={asked['event']}&name=web.1")
    assert [again.next()["id"] for _ in ids] == ids
    again.close()
    behind = Events(served.client, "?name=web.1", Last_Event_ID=str(ids[0]))
    assert behind.next()["id"] == ids[1]
    behind.close()
    kinds = Events(served.client, f"?from={asked['event']}&kind=dyno.exit")
    assert {kinds.next()["sse"] for _ in range(2)} == {"dyno.exit"}
    kinds.close()


def test_what_is_forgotten_is_a_gap(served):
    events = Events(served.client, "?from=1")
    gap = events.next()
    assert gap["sse"] == "gap" and gap["from"] == 1 and gap["to"] > 1
    first = events.next()
    assert first["id"] > gap["to"]
    events.close()


def test_followers_are_limited_and_their_places_given_back(served):
    followers = [Events(served.client) for _ in range(64)]
    assert {f.status for f in followers} == {200}
    over = served.client.get("/v1/events")
    assert over.status == 429 and over.json["id"] == "too_many"
    for f in followers:
        f.close()

    def free():
        f = Events(served.client)
        f.close()
        return f.status == 200
    wait_until(free, "a place")


# -- logs --

def read_lines(response, n):
    return [response.readline().decode().rstrip("\n") for _ in range(n)]


def test_logs(serve):
    app = serve(("web", ["echo out; echo err >&2; exec sleep 1000"], 1), ("worker", ["echo two; exec sleep 1000"], 1))
    c = app.client
    app.wait_line(r"app\[web.1\]: err")
    app.wait_line(r"app\[worker.1\]: two")
    everything = c.get("/v1/logs")
    assert everything.type == "text/plain"
    assert re.search(r"^\S+ app\[web\.1\]: out$", everything.text, re.M)
    assert re.search(r"hsup\[web\.1\]: state changed", everything.text)
    times = [line.split(" ")[0] for line in everything.text.splitlines()]
    assert times == sorted(times)
    assert sorted(c.get("/v1/logs?name=w*&stream=out&format=raw").text.split()) == ["out", "two"]
    assert c.get("/v1/logs?name=web&stream=err&format=raw").text == "err\n"
    assert len(c.get("/v1/logs?last=2").text.splitlines()) == 2
    assert c.get("/v1/logs?since=2100-01-01T00:00:00Z").text == ""
    as_json = c.get("/v1/logs?name=web.1&stream=out&format=json")
    assert as_json.type == "application/x-ndjson"
    line, = map(json.loads, as_json.text.splitlines())
    assert (line["dyno"], line["stream"], line["text"]) == ("web.1", "out", "out")


def test_logs_are_followed(serve):
    app = serve(("web", ["n=0; while :; do n=$((n+1)); echo line $n; sleep 0.02; done"], 1))
    connection = app.client.open()
    connection.request("GET", "/v1/logs?name=web.1&follow=1&last=3&format=raw")
    lines = read_lines(connection.getresponse(), 30)
    numbers = [int(line.split()[1]) for line in lines if line.startswith("line ")]
    assert len(numbers) >= 29 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    connection.close()


def test_a_follower_that_does_not_read_is_told_what_it_lost(serve):
    app = serve(("web", ["exec yes " + "x" * 100], 1), ("quiet", SLEEPER, 1), options=("--watchdog", "0"))
    s = plug(app.socket)
    s.sendall(b"GET /v1/logs?follow=1&last=0&format=raw&name=web HTTP/1.1\r\nHost: x\r\n\r\n")
    # All of its buffers, here and in the kernel, have been full for long then.
    began = len(app.lines)
    wait_until(lambda: len(app.lines) > began + 10000, "many lines")
    assert app.client.dynos()["quiet.1"]["state"] == "up"
    got = b""
    while b"Error L11" not in got:
        part = s.recv(1 << 16)
        assert part
        got = got[-1000:] + part
    lost = re.search(rb"Error L11 \(Tail buffer overflow\): (\d+) lines lost", got)
    assert int(lost.group(1)) > 0
    s.close()


# -- metrics --

def test_metrics_are_openmetrics(served):
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    answer = served.client.get("/metrics")
    assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    families = {f.name: f for f in parser.text_string_to_metric_families(answer.text)}
    value = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families.values() for s in f.samples}
    assert value[("hsup_dynos_by_state", (("state", "up"),))] == 3
    assert value[("hsup_type_quantity", (("type", "web"),))] == 2
    assert len(families["hsup_dyno_up"].samples) == 3
    assert families["hsup_exits"].type == "counter"
    assert value[("hsup_engine_wrong_total", ())] == 0
    os.kill(served.client.dynos()["web.1"]["pid"], 9)
    wait_until(lambda: 'hsup_exits_total{reason="signal"} 1' in served.client.get("/metrics").text, "the exit")
    assert "\nhsup_stops_total 0\n" in served.client.get("/metrics").text
    assert served.client.post("/v1/dynos/stop", {"names": ["web.2"]}).status == 200
    wait_until(lambda: "\nhsup_stops_total 1\n" in served.client.get("/metrics").text, "the stop")


# -- the socket --

def test_the_socket_is_there_by_default_and_goes(make_app):
    app = make_app()
    app.submit(app.release(("web", SLEEPER, 1)))
    app.start()
    app.wait_up("web.1")
    found = list((app.folder / "run").glob("*/control.sock"))
    assert len(found) == 1
    assert stat.S_IMODE(found[0].lstat().st_mode) == 0o600
    assert Client(found[0]).get("/health").status == 200
    assert app.stop() in (0, 1)
    assert not list((app.folder / "run").glob("*/*.sock")) and not list((app.folder / "run").glob("*/.*"))


def test_none_serves_nothing(make_app):
    app = make_app()
    app.submit(app.release(("web", SLEEPER, 1)))
    app.start("-s", "none")
    app.wait_up("web.1")
    assert not list((app.folder / "run").glob("*/*.sock"))
    app.no_line("control")


def test_a_long_path(make_app, folder):
    deep = folder / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    deep.chmod(0o777)
    app = make_app()
    app.submit(app.release(("web", SLEEPER, 1)))
    app.start("-s", deep / "s.sock")
    app.wait_up("web.1")
    link = folder / "short"
    link.symlink_to(deep)
    assert Client(link / "s.sock").get("/health").status == 200


def test_mode_and_owner(serve):
    app = serve(options=("--socket-mode", "0640"))
    assert stat.S_IMODE(app.socket.stat().st_mode) == 0o640
    app.hsup("start", "--socket-mode", "999")
    wrong = app.hsup("start", "-C", app.control, "--socket-mode", "0999")
    assert wrong.returncode == 2 and "must be a mode" in wrong.stderr


def test_a_live_socket_is_left_alone(served, make_app):
    other = make_app("other")
    other.submit(other.release(("web", SLEEPER, 1)))
    other.start("-s", served.socket)
    other.wait_up("web.1")
    other.wait_line("another supervisor's")
    assert served.client.get("/v1/app").json["pid"] == served.supervisor()
    assert other.stop() in (0, 1)
    assert served.socket.exists()
    assert Client(served.socket).get("/health").status == 200
    left = [p.name for p in served.socket.parent.iterdir() if p.name.startswith(".")]
    assert not left


def test_a_dead_socket_is_replaced(served):
    os.kill(served.supervisor(), 9)
    served.client.close()

    def answers():
        try:
            return Client(served.socket).get("/health").status == 200
        except OSError:
            return False
    wait_until(answers, "the next supervisor to answer")
    assert [d["state"] for d in served.client.dynos().values()] == ["up"] * 3


def test_what_is_no_socket_is_left_alone(make_app, folder):
    app = make_app()
    (app.folder / "precious").write_text("mine")
    app.submit(app.release(("web", SLEEPER, 1)))
    app.start("-s", app.folder / "precious")
    app.wait_up("web.1")
    app.wait_line("is no socket")
    assert (app.folder / "precious").read_text() == "mine"


# -- who may --

NOBODY = 65534

ASK_AS = """
import os, sys, json
sys.path.insert(0, {ftest!r})
os.setgroups({groups})
os.setgid({gid}); os.setuid({uid})
from client import Client
c = Client({path!r})
print(json.dumps([c.ask(m, t, b).status for m, t, b in json.loads({asks!r})]))
"""


def ask_as(path, uid, asks, gid=NOBODY, groups=()):
    code = ASK_AS.format(ftest=os.path.dirname(__file__), uid=uid, gid=gid, groups=list(groups),
                         path=str(path), asks=json.dumps(asks))
    done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


ASKS = [["GET", "/v1/dynos", None], ["GET", "/v1/config", None], ["GET", "/v1/config?secrets=1", None],
        ["GET", "/v1/releases/1", None], ["POST", "/v1/scale", '{"web": 2}']]


def test_roles_by_uid_and_group(serve):
    app = serve(options=("--watch-uid", "1234", "--operate-uid", "1235", "--watch-gid", "2345",
                         "--operate-gid", "2346"))
    assert stat.S_IMODE(app.socket.stat().st_mode) == 0o666
    operate, watch, none = [200] * 5, [200, 200, 403, 403, 403], [403] * 5
    assert ask_as(app.socket, 1235, ASKS) == operate
    assert ask_as(app.socket, 1234, ASKS) == watch
    assert ask_as(app.socket, 1236, ASKS) == none
    assert ask_as(app.socket, 1236, ASKS, gid=2346) == operate
    assert ask_as(app.socket, 1236, ASKS, groups=[7, 2345]) == watch
    app.wait_line(r"control: uid 123\d \(pid \d+\) was refused: (GET|POST) /v1/")


def test_others_cannot_even_connect(served):
    with pytest.raises(AssertionError, match="PermissionError"):
        ask_as(served.socket, 1234, ASKS)


def test_a_user_that_is_not_there(served):
    wrong = served.hsup("start", "-C", served.control, "--watch-uid", "no-such-user")
    assert wrong.returncode == 2 and "there is no user 'no-such-user'" in wrong.stderr


# -- TCP --

def write_tokens(path, text, mode=0o600):
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.chmod(mode)
    if TEST_USER:
        shutil.chown(beside, TEST_USER)
    beside.rename(path)


@pytest.fixture
def tcp(serve, folder):
    tokens = folder / "tokens"
    write_tokens(tokens, f"# ours\noperate:ops:{TOKEN}\n\nwatch:{WATCH}\n")
    app = serve(options=("--listen", "127.0.0.1:0", "--token-file", tokens))
    port = int(app.wait_line(r"control: listens at 127\.0\.0\.1:(\d+)").group(1))
    app.tokens = tokens
    app.tcp = lambda token=None, **more: Client(port=port, token=token, **more)
    return app


def test_tokens(tcp):
    assert tcp.tcp(TOKEN).get("/v1/dynos").status == 200
    assert tcp.tcp(TOKEN).post("/v1/scale", {"web": 1}).status == 200
    tcp.wait_line(r"by token ops \(127\.0\.0\.1:\d+\)")
    assert tcp.tcp(WATCH).get("/v1/dynos").status == 200
    assert tcp.tcp(WATCH).post("/v1/scale", {"web": 1}).status == 403
    for wrong in (None, TOKEN[:-1], TOKEN + "o", WATCH[:-1] + "x", "x" * 300, "ops", "operate:" + TOKEN):
        answer = tcp.tcp(wrong).get("/health")
        assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Bearer", wrong


def test_a_token_that_is_taken_out_is_stale_at_once(tcp):
    client = tcp.tcp(TOKEN)
    assert client.get("/health").status == 200
    write_tokens(tcp.tokens, f"watch:{WATCH}\n")
    assert client.get("/health").status == 401
    assert tcp.tcp(WATCH).get("/health").status == 200
    write_tokens(tcp.tokens, f"watch:{WATCH}\n", mode=0o644)
    assert tcp.tcp(WATCH).get("/health").status == 401
    tcp.tokens.unlink()
    assert tcp.tcp(WATCH).get("/health").status == 401


def test_the_host_must_be_of_this_machine(tcp):
    assert tcp.tcp(TOKEN, host="localhost:1").get("/health").status == 200
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", ""):
        assert tcp.tcp(TOKEN, host=host or " ").get("/health").status == 401, host


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:80", "[::]:0", "localhost:80", "127.0.0.1",
                                     "127.0.0.1:99999", "127.0.0.1:x"])
def test_only_loopback(make_app, folder, address):
    tokens = folder / "tokens"
    write_tokens(tokens, f"watch:{WATCH}\n")
    app = make_app()
    app.submit(app.release(("web", SLEEPER, 1)))
    app.start("-s", app.folder / "s.sock", "--listen", address, "--token-file", tokens)
    app.wait_up("web.1")
    app.wait_line(re.escape(address) + ".* must be")
    assert Client(app.folder / "s.sock").get("/health").status == 200


@pytest.mark.parametrize("text, mode, what", [
    (f"watch:{WATCH}\n", 0o644, "nobody else can read"), ("watch:short\n", 0o600, "line 1: a token has"),
    (f"# x\nadmin:{WATCH}\n", 0o600, "line 2 is neither"), (f"watch:{WATCH} x\n", 0o600, "visible"),
    (None, 0o600, "No such file")])
def test_token_files_that_cannot_be_used(make_app, folder, text, mode, what):
    tokens = folder / "tokens"
    if text is not None:
        write_tokens(tokens, text, mode)
    app = make_app()
    app.submit(app.release(("web", SLEEPER, 1)))
    app.start("--listen", "127.0.0.1:0", "--token-file", tokens)
    app.wait_up("web.1")
    app.wait_line(what)
    app.no_line("listens at")
    app.no_line(WATCH)


# -- hostile --

@pytest.mark.parametrize("data", [
    b"\r\n\r\n", b"GET\r\n\r\n", b"GET /v1/dynos\r\n\r\n", b"\0" * 1000 + b"\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
    b"GET /health HTTP/1.1\r\n\r\n", b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n",
    b"POST /v1/scale HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{}",
    b"POST /v1/scale HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    b"POST /v1/scale HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    b"POST /v1/scale HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnonsense\r\n0\r\n\r\n",
    b"POST /v1/scale HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    b"POST /v1/scale HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}",
    b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X-Large: " + b"x" * 40000 + b"\r\n\r\n",
    b"GET /" + b"x" * 40000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
    b"POST /v1/releases HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf",
    b"GET /health HTTP/1.1\r\nHost: x\r", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], ids=short)
def test_malformed_requests(served, data):
    got = exchange(served.socket, data)
    assert not got or re.match(rb"HTTP/1\.[01] [45]\d\d |HTTP/1\.1 200 ", got)
    assert served.client.get("/health").status == 200
    assert all(d["state"] == "up" and d["generation"] == 1 for d in served.client.dynos().values())


def test_large_bodies(served):
    big = b" " * (5 << 20)
    assert served.client.post("/v1/releases", big).status == 413
    served.client.close()
    assert served.client.post("/v1/scale", b" " * (65 << 10)).status == 413
    assert served.client.post("/v1/scale", b'{"web": 2}' + b" " * (60 << 10)).status == 200
    # Chunked, without a length.
    with plug(served.socket) as s:
        s.sendall(b"POST /v1/releases HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
                  (b"10000\r\n" + b" " * 65536 + b"\r\n") * 80 + b"0\r\n\r\n")
        assert s.recv(1000).startswith(b"HTTP/1.1 413 ")
    served.client.close()
    # It does not end at all: it is cut off.
    with plug(served.socket) as s:
        s.sendall(b"POST /v1/releases HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(1000):
                s.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
    assert served.client.get("/health").status == 200


def test_a_thousand_idle_clients(served):
    served.client.close()
    idle = [plug(served.socket) for _ in range(1000)]
    refused = 0
    for s in idle[260:]:
        got = s.recv(1000)
        assert got.startswith(b"HTTP/1.1 429 "), got
        refused += 1
    assert refused == 740
    served.no_line("state changed from up")
    for s in idle:
        s.close()

    def answers():
        served.client.close()
        return served.client.get("/health").status == 200
    wait_until(answers, "a place")


def test_who_only_watches_cannot_keep_the_operator_out(serve):
    app = serve(options=("--watch-uid", "1234"))
    code = ("import os,sys,socket,time\nos.setuid(1234)\nl=[]\nfor _ in range(400):\n"
            " s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); l.append(s)\nprint('there',flush=True)\n"
            "sys.stdin.read()")
    crowd = subprocess.Popen([sys.executable, "-c", code, str(app.socket)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    assert crowd.stdout.readline() == b"there\n"
    app.client.close()
    assert app.client.get("/health").status == 200
    crowd.stdin.close()
    crowd.wait(PATIENCE)
    crowd.stdout.close()


def test_a_client_that_never_reads(served):
    lazy = []
    for _ in range(20):
        s = plug(served.socket)
        s.sendall(b"GET /v1/dynos HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
        lazy.append(s)
    for _ in range(100):
        assert served.client.get("/health").status == 200
    assert served.client.post("/v1/dynos/restart", {"names": ["worker"]}).status == 200
    served.client.wait_dynos(lambda d: d["worker.1"]["generation"] == 2, "a restart")
    for s in lazy:
        s.close()


# -- what it costs --

def test_ten_thousand_requests_leave_nothing_behind(serve):
    # A sanitizer keeps what is freed, to see who uses it again: here that would look like a leak.
    keeps_nothing = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
    served = serve(env={"ASAN_OPTIONS": keeps_nothing})
    c = served.client
    c.documented = False  # it takes its time

    def round_of(n):
        for i in range(n):
            assert c.get(("/v1/dynos", "/v1/app", "/metrics", "/v1/dynos?name=web", "/v1/nothing", "/v1/releases",
                          "/v1/config", "/v1/logs?last=5", "/status", "/health")[i % 10]).status in (200, 404)
            if i % 100 == 0:
                c.close()
            if i % 500 == 0:
                assert c.post("/v1/scale", "{").status == 400
                Events(c).close()
    # A leak is there in each of the rounds; what an allocator keeps for the next time is not.
    round_of(1000)
    sizes = [private_kib(served.supervisor())]
    for _ in range(4):
        round_of(2500)
        sizes.append(private_kib(served.supervisor()))
    assert min(b - a for a, b in zip(sizes, sizes[1:])) < 64, f"KiB: {sizes}"


def test_nobody_pays_for_the_library_until_somebody_asks(make_app):
    app = make_app()
    app.submit(app.release(("web", SLEEPER, 1)))
    app.start()
    app.wait_up("web.1")
    maps = pathlib.Path(f"/proc/{app.supervisor()}/maps")
    assert "libmicrohttpd" not in maps.read_text()
    assert Client(next((app.folder / "run").glob("*/control.sock"))).get("/health").status == 200
    assert "libmicrohttpd" in maps.read_text()


# -- the daemon --

def test_the_daemon_names_the_sockets_of_its_apps(build, folder):
    env = dict(os.environ, HSUP_RUNTIME_DIR=str(folder / "run"), HSUP_STATE_DIR=str(folder / "state"))
    (folder / "apps/shop").mkdir(parents=True)
    (folder / "apps/shop/new").write_text(json.dumps(
        {"Version": 1, "Processes": [{"Type": "web", "Args": SLEEPER, "Quantity": 1, "StartSeconds": 0}]}))
    daemon = subprocess.Popen([str(build / "hsup"), "up", "--foreground", "--dir", str(folder / "apps"), "-s",
                               str(folder / "sock")], env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until((folder / "sock").exists, "the daemon's socket")
        def listed():
            """The first list that there is, which is not empty."""
            answer = Client(folder / "sock").get("/v1/apps")
            if answer.status == 409:
                assert answer.headers["Retry-After"] == "1"
                return None
            return [answer.json]
        [apps] = wait_until(listed, "a list")
        assert [(a["name"], a["control_dir"]) for a in apps] == [("shop", str(folder / "apps/shop"))]
        wait_until(pathlib.Path(apps[0]["socket"]).exists, "the app's socket")
        shop = Client(apps[0]["socket"])
        shop.wait_state("up", "web.1")
        assert shop.get("/v1/apps").json[0]["socket"] == apps[0]["socket"]
        assert Client(folder / "sock").get("/v1/app").json["mode"] == "up"
    finally:
        daemon.terminate()
        assert daemon.wait(PATIENCE) in (0, 1)
