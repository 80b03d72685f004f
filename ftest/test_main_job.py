"""The main job: drop a release and its processes run."""
import json
import os
import pathlib
import re
import signal
import subprocess
import tarfile
import time
import urllib.request

import pytest

from hsup import LINE, PATIENCE, wait_until

SLEEP = ["sleep", "1000"]


def ask(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return answer.read().decode()


def test_exactly_the_wanted_dynos_run(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 2), ("worker", SLEEP, 1)))
    app.wait_up("web.1", "web.2", "worker.1")
    assert len(app.dynos()) == 3
    assert app.loaded()["Version"] == 1
    assert not (app.control / "new").exists()
    assert app.stop() == 0
    app.no_line("SIGKILL")


def test_loaded_is_the_submission_byte_for_byte(app):
    app.start()
    text = b'{ "Processes":\n [ ] ,\t"Env": {"A": "\xc3\xa9"} }\n\n'
    app.submit(text)
    wait_until(lambda: (app.control / "loaded").exists(), "loaded")
    assert (app.control / "loaded").read_bytes() == text
    assert (app.control / "loaded").stat().st_mode & 0o777 == 0o600


def test_a_crash_is_restarted(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 1)))
    app.wait_up("web.1")
    pid = app.wait_dynos(1)[0]
    os.kill(pid, signal.SIGKILL)
    app.wait_line(r"hsup\[web\.1\]: process was killed by SIGKILL")
    app.wait_line(r"hsup\[web\.1\]: state changed from \w+ to up", count=2)
    assert app.wait_dynos(1)[0] != pid


def test_scaling_touches_nobody_else(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 2), ("worker", SLEEP, 1)))
    app.wait_up("web.1", "web.2", "worker.1")
    before = set(app.dynos())
    app.submit(app.release(("web", SLEEP, 4), ("worker", SLEEP, 1), Version=2))
    app.wait_up("web.3", "web.4")
    assert before < set(app.wait_dynos(5))
    app.submit(app.release(("web", SLEEP, 1), ("worker", SLEEP, 1), Version=3))
    after = set(app.wait_dynos(2))
    assert after < before
    app.wait_line(r"release v3 is up")
    app.no_line(r"hsup\[(web\.1|worker\.1)\]: state changed from up")


def test_a_change_of_environment_replaces_one_type_only(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": SLEEP, "Quantity": 2, "Env": {"A": "1"}},
                           ("worker", SLEEP, 1)))
    app.wait_up("web.1", "web.2", "worker.1")
    app.submit(app.release({"Type": "web", "Args": SLEEP, "Quantity": 2, "Env": {"A": "2"}},
                           ("worker", SLEEP, 1), Version=2))
    app.wait_line(r"release v2 is up")
    app.wait_line(r"hsup\[web\.\d\]: state changed from stopping to stopped", count=2)
    app.no_line(r"hsup\[worker\.1\]: state changed from up")
    for pid in app.wait_dynos(3):
        environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        if b"DYNO=worker.1" not in environ:
            assert b"A=2" in environ


def test_a_release_that_never_comes_up_is_rolled_back(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 2)))
    app.wait_line(r"release v1 is up")
    before = set(app.dynos())
    app.submit(app.release(("web", ["false", "now"], 2), Version=2))
    app.wait_line(r"release v2 rolled back")
    assert "web" in app.wait_rejected(r"web")
    assert app.loaded()["Version"] == 1
    assert before == set(app.wait_dynos(2))
    app.no_line(r"hsup\[web\.\d\]: state changed from up")


def test_what_cannot_be_read_only_is_refused(app):
    """Its dynos see the machine as it is."""
    app.start()
    app.submit(app.release(("web", ["true"], 1), Binds=["/usr:/usr:ro"]))
    assert "Binds: /usr read-only: dynos of the driver simple see the machine as it is" in app.wait_rejected(r"Binds")


def test_recreate_stops_the_old_before_the_new(app):
    app.start()
    web = {"Type": "web", "Quantity": 2, "Args": ["sleep", "1000"]}
    app.submit(app.release(web, Rollout={"Strategy": "recreate"}))
    app.wait_line(r"release v1 is up")
    app.submit(app.release({**web, "Args": ["sleep", "2000"]}, Rollout={"Strategy": "recreate"}, Version=2))
    app.wait_line(r"release v2 is up")
    states = [l for l in app.lines if "state changed" in l]
    live = worst = 0
    for line in states:
        live += "to starting" in line
        live -= "to stopped" in line
        worst = max(worst, live)
    assert worst == 2


def test_what_a_dyno_gets(app):
    app.start("-a", "shop")
    app.submit(app.release(("web", ["printenv", "-0"], 1), ("once", ["true", "x"], 0),
                           Env={"NAME": "CON TENTS", "DYNO": "forged"}, Version=7))
    app.wait_line(r"app\[web\.1\]")
    environ = dict(pair.split("=", 1) for pair in app.app_lines("web.1")[0][1].split("\0") if pair)
    assert environ["NAME"] == "CON TENTS"
    assert environ["DYNO"] == "web.1"
    assert environ["HEROKU_APP_NAME"] == "shop"
    assert environ["HEROKU_RELEASE_VERSION"] == "v7"
    assert re.fullmatch(r"[0-9a-f-]{36}", environ["HEROKU_DYNO_ID"])
    assert 5001 <= int(environ["PORT"]) < 65536
    assert environ["PATH"] and environ["HOME"]
    assert not [name for name in environ if name.startswith("HSUP_") and name not in ("HSUP_TEST_MARK", "HSUP_CHILD")]


def test_ports_are_each_dyno_s_own_and_busy_ones_are_skipped(app):
    web = ["/usr/bin/python3", "-c",
           "import os,http.server as h\n"
           "class H(h.BaseHTTPRequestHandler):\n"
           " def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(os.environ['DYNO'].encode())\n"
           "h.HTTPServer(('127.0.0.1', int(os.environ['PORT'])), H).serve_forever()"]
    app.start()
    app.submit(app.release(("web", web, 3)))
    app.wait_up("web.1", "web.2", "web.3")
    answers = {}
    for pid in app.wait_dynos(3):
        environ = dict(pair.split("=", 1) for pair in
                       pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in pair)
        def answer(port=environ["PORT"]):
            try:
                return ask(port)
            except OSError:
                return None
        answers[environ["PORT"]] = wait_until(answer, f"an answer on {environ['PORT']}")
    assert sorted(answers.values()) == ["web.1", "web.2", "web.3"]


def test_a_dyno_keeps_its_port_over_restarts(app):
    app.start()
    app.submit(app.release(("web", ["echo port $PORT; exec sleep 1000"], 1)))
    for n in range(1, 4):
        app.wait_line(r"app\[web\.1\]: port", count=n)
        os.kill(app.wait_dynos(1)[0], signal.SIGKILL)
        app.wait_line("process was killed by SIGKILL", count=n)
    app.wait_line(r"app\[web\.1\]: port", count=4)
    assert len({text for _, text in app.app_lines("web.1")}) == 1


def test_lines_are_heroku_s(app):
    app.start()
    long = "x" * 10_000
    script = f"printf 'one\\ntwo\\n'; printf '%s' {long}; printf 'tail\\nno newline'; exec sleep 1000"
    app.submit(app.release(("web", [script.replace('exec sleep 1000', 'exit 3')], 1)))
    app.wait_line(r"no newline")
    texts = [text for _, text in app.app_lines("web.1")][:5]
    assert texts == ["one", "two", long, "tail", "no newline"]
    assert all(LINE.match(l) for l in app.lines), [l for l in app.lines if not LINE.match(l)]
    app.wait_line(r"hsup\[web\.1\]: process exited with status 3")


def test_a_shell_line_and_an_argv(app):
    app.start()
    app.submit(app.release(("line", ["echo $DYNO is $((1+1))"], 1), ("argv", ["echo", "$DYNO"], 1)))
    app.wait_line(r"app\[line\.1\]: line\.1 is 2")
    app.wait_line(r"app\[argv\.1\]: \$DYNO")


def test_stop_is_graceful_and_a_second_signal_kills(app):
    app.start()
    app.submit(app.release(("deaf", ["trap '' TERM; echo ready; while :; do sleep 1; done"], 1)))
    app.wait_line(r"app\[deaf\.1\]: ready")
    app.wait_up("deaf.1")
    app.process.send_signal(signal.SIGTERM)
    app.wait_line(r"stopping; once more kills at once")
    app.wait_line(r"waiting for deaf\.1 to end")
    begin = time.monotonic()
    assert app.stop() == 0
    assert time.monotonic() - begin < 5
    app.wait_line(r"hsup\[deaf\.1\]: process was killed by SIGKILL")


def test_grace_over_means_kill(app):
    app.start()
    app.submit(app.release({"Type": "deaf", "Quantity": 1, "StopTimeout": 0.5,
                            "Args": ["trap '' TERM; echo ready; while :; do sleep 1; done"]}))
    app.wait_line(r"app\[deaf\.1\]: ready")
    app.wait_up("deaf.1")
    assert app.stop() == 0
    app.wait_line(r"Error R12 \(Exit timeout\)")


def test_every_process_of_a_dyno_is_stopped(app):
    app.start()
    app.submit(app.release(("tree", ["sleep 1000 & sleep 1000 & echo ready; wait"], 1)))
    app.wait_line(r"app\[tree\.1\]: ready")
    app.wait_up("tree.1")
    assert app.stop() == 0


def test_what_a_dead_leader_leaves_is_stopped_before_the_restart(app):
    app.start()
    app.submit(app.release(("tree", ["trap 'echo bye; exit' TERM; (trap 'echo rest gone; exit' TERM; "
                                     "while :; do sleep 0.05; done) & echo pid $!; sleep 0.3; kill -9 $$"], 1)))
    app.wait_line(r"app\[tree\.1\]: rest gone")
    app.wait_line(r"hsup\[tree\.1\]: process was killed by SIGKILL")
    app.wait_line(r"app\[tree\.1\]: pid", count=2)


def test_a_slug_is_unpacked_and_is_the_working_directory(app, folder):
    tree = folder / "tree"
    (tree / "app").mkdir(parents=True)
    (tree / "app" / "hello").write_text("#!/bin/sh\necho from $(basename $PWD | cut -c1-4) $0 $1\n")
    (tree / "app" / "hello").chmod(0o755)
    with tarfile.open(app.control / "slug.tgz", "w:gz") as archive:
        archive.add(tree / "app", "./app")
    app.start()
    app.submit(app.release(("web", ["./hello", "you"], 1), Slug="slug.tgz"))
    app.wait_line(r"slug [0-9a-f]{12} unpacked")
    app.wait_line(r"app\[web\.1\]: from [0-9a-f]{4} \./hello you")


def test_start_arguments_override_quantities(app):
    app.submit(app.release(("web", SLEEP, 1), ("worker", SLEEP, 3), ("other", SLEEP, 1)))
    app.start("web=2", "worker")
    app.wait_up("web.1", "web.2", "worker.1")
    assert len(app.wait_dynos(3)) == 3
    app.no_line(r"other\.1")


def test_cold_start_runs_what_was_loaded(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Version=3))
    app.wait_up("web.1")
    assert app.stop() == 0
    app.lines.clear()
    app.start()
    app.wait_up("web.1")
    app.wait_line(r"release v3")


def test_a_control_directory_has_one_holder(app, make_app, build):
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Env={"WHO": "holder"}))
    app.wait_up("web.1")
    second = app.hsup("start", "-C", app.control)
    assert second.returncode == 1
    assert f"it runs already, as pid {app.launcher}, which holds" in second.stderr
    # Also when it knows nothing of the other's table.
    second = app.hsup("start", "-C", app.control, "--runtime-dir", app.folder / "other")
    assert second.returncode == 1
    assert f"pid {app.supervisor()}" in second.stderr + second.stdout
    # run uses what is loaded, and leaves `new` to the holder
    ran = app.hsup("run", "-C", app.control, "--", "printenv", "WHO")
    assert (ran.returncode, ran.stdout) == (0, "holder\n")


# -- one-shot --

@pytest.mark.parametrize("script,code", [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -9 $$", 137)])
def test_run_gives_the_code(app, script, code):
    app.submit(app.release())
    assert app.hsup("run", "-C", app.control, script).returncode == code


def test_run_is_silent_and_passes_all_through(app):
    app.submit(app.release(Env={"NAME": "x"}))
    ran = app.hsup("run", "-C", app.control, "--", "sh", "-c", "printf 'no newline'; printf err >&2; cat",
                   input="from stdin")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "no newlinefrom stdin", "err")


def test_run_of_a_command_that_does_not_exist(app):
    app.submit(app.release())
    ran = app.hsup("run", "-C", app.control, "--", "no-such-program", "x")
    assert ran.returncode == 127
    assert "executing the program" in ran.stderr and "No such file or directory" in ran.stderr


def test_both_forms_of_options(app):
    app.submit(app.release(Env={"NAME": "CONTENTS"}))
    first = app.hsup("-d", "simple", "-C", app.control, "run", "printenv", "NAME")
    second = app.hsup("run", "-d", "simple", "-a", "x", "-C", app.control, "--", "echo", "hello")
    assert (first.stdout, second.stdout) == ("CONTENTS\n", "hello\n")


def test_the_classic_example(app):
    (app.control / "new").write_text("""{
    "Version": 1,
    "Env": {
        "NAME": "CONTENTS"
    },
    "Slug": "sample-slug.tgz",
    "Stack": "cedar-14",
    "Processes": [
        {
            "Args": ["./web-server", "arg"],
            "Quantity": 2,
            "Type": "web"
        },
        {
            "Args": ["./worker", "arg"],
            "Quantity": 2,
            "Type": "worker"
        }
    ]
}
""")
    ran = app.hsup("run", "/usr/bin/printenv", env={"HSUP_CONTROL_DIR": str(app.control)})
    assert ran.returncode == 0
    assert "NAME=CONTENTS" in ran.stdout.splitlines()
    assert "PORT=5000" in ran.stdout.splitlines() or re.search(r"^PORT=\d+$", ran.stdout, re.M)
    assert sorted(p.name for p in app.control.iterdir() if not p.name.startswith(".")) in (
        ["loaded"], ["loaded", "releases"])


def test_oneshot_gives_the_largest_code(app):
    app.submit(app.release(("a", ["exit 3"], 1), ("b", ["exit 9"], 2), ("c", ["true"], 1)))
    app.start("--oneshot")
    assert app.wait() == 9
    app.no_line("to backoff")


def test_oneshot_of_a_program_that_does_not_exist_does_not_hang(app):
    app.submit(app.release(("a", ["./nothing", "x"], 1)))
    app.start("--oneshot")
    assert app.wait() == 127
    app.wait_line(r"executing the program: No such file or directory")


@pytest.mark.parametrize("document", ['{"Processes": [', '{"Processes": [], "Slug": "http://127.0.0.1:1/x.tgz"}'])
def test_oneshot_of_a_refused_release_ends(app, document):
    app.submit(document)
    app.start("--oneshot")
    assert app.wait() == 1
    app.wait_line("reject")


def test_more_dynos_than_there_may_be(app):
    refused = app.hsup("start", "-C", app.control, "a=4000", "b=97")
    assert refused.returncode == 2
    assert "4097 dynos in all; at most 4096 are possible" in refused.stderr


def test_a_type_that_the_release_does_not_have_is_warned_of(app):
    app.submit(app.release(("web", SLEEP, 1)))
    app.start("web", "wroker=2")
    app.wait_line(r'warning: release v1 has no process type "wroker"')
    app.wait_up("web.1")


def test_build_prepares_and_leaves(app):
    app.submit(app.release(("web", SLEEP, 1)))
    built = app.hsup("build", "-C", app.control)
    assert built.returncode == 0, built.stderr
    assert app.loaded()["Version"] == 1
