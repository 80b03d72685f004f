"""Every driver: what a dyno is born with, what becomes of what it writes, how it ends."""
import re
import signal
import subprocess
import urllib.request

import pytest

from driver_app import BUSYBOX, SLEEP
from engines import app  # noqa: F401 (fixture)
from hsup import LINE, PATIENCE, wait_until


def printed(app, dyno="web.1"):
    """What `printenv` printed."""
    app.wait_line(rf"app\[{re.escape(dyno)}\]: the end$")
    return dict(text.split("=", 1) for text in app.texts(dyno) if "=" in text)


def test_what_a_dyno_gets(app):
    app.start("-a", "shop")
    app.submit(app.release({"Type": "web", "Args": ["printenv; echo the end; exec sleep 1000"],
                            "Env": {"OF_TYPE": "t", "BOTH": "type"}},
                           Env={"OF_RELEASE": "a b \"c\" $D é", "BOTH": "release", "DYNO": "forged", "EMPTY": ""},
                           Version=7))
    env = printed(app)
    assert (env["OF_RELEASE"], env["OF_TYPE"], env["BOTH"], env["EMPTY"]) == ("a b \"c\" $D é", "t", "type", "")
    assert env["DYNO"] == "web.1"
    assert env["HEROKU_APP_NAME"] == "shop"
    assert env["HEROKU_RELEASE_VERSION"] == "v7"
    assert re.fullmatch(r"[0-9a-f-]{36}", env["HEROKU_DYNO_ID"])
    assert 1024 < int(env["PORT"]) < 65536
    assert env["PATH"] and env["HOME"] and env["PWD"]
    assert not [n for n in env if n.startswith(("HSUP_", "DOCKER_", "TINI_")) and n not in ("HSUP_TEST_MARK", "HSUP_CHILD")]


def test_home_is_the_slug(app):
    app.start()
    app.submit(app.release(("web", ["echo in $PWD $HOME; ls; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: tool$")
    where, pwd, home = app.texts("web.1")[0].split()
    assert pwd == home
    if app.engine:
        assert home == "/app"


def test_profile_scripts(app):
    """Those of the stack and of the slug, in this order, in a root of its own; a plain process has none."""
    app.start()
    app.submit(app.release(("line", ["echo got $FROM_APP_PROFILE.; exec sleep 1000"], 1),
                           ("argv", ["printenv", "FROM_APP_PROFILE"], 1)))
    if app.engine:
        app.wait_line(r"app\[line\.1\]: got yes\+app\.$")
        app.wait_line(r"app\[argv\.1\]: yes\+app$")
    else:
        app.wait_line(r"app\[line\.1\]: got \.$")
        app.wait_line(r"hsup\[argv\.1\]: process exited with status 1$")


def test_a_shell_line_and_an_argv(app):
    app.start()
    app.submit(app.release(("line", ["echo $DYNO is $((1+1)); exec sleep 1000"], 1), ("argv", ["echo", "$DYNO  *"], 1)))
    app.wait_line(r"app\[line\.1\]: line\.1 is 2$")
    app.wait_line(r"app\[argv\.1\]: \$DYNO  \*$")


def test_lines_as_they_were_written(app):
    """Long ones, empty ones, bytes that are no text, and a last one without its end."""
    app.start()
    long = 20_000
    script = (f"printf 'one\\n\\ntwo\\n'; head -c {long} /dev/zero | tr '\\0' x; echo; "
              "printf 'a\\001b\\n'; sleep 0.2; printf 'tail\\nno newline'; exit 3")
    app.submit(app.release({"Type": "web", "Args": [script], "Restart": "never", "StartSeconds": 0}))
    app.wait_line(r"hsup\[web\.1\]: process exited with status 3$")
    app.wait_line(r"no newline$")
    texts = app.texts("web.1")
    assert texts[:3] == ["one", "", "two"]
    assert "".join(texts[3:-3]) == "x" * long
    assert texts[-3].startswith("a") and texts[-3].endswith("b")
    assert texts[-2:] == ["tail", "no newline"]
    assert all(LINE.match(line) for line in app.lines), [line for line in app.lines if not LINE.match(line)]


def test_streams_are_told_apart(app):
    lines = 300
    app.start()
    app.submit(app.release(("web", [f"n=0; while [ $n -lt {lines} ]; do echo out $n; echo err $n >&2; n=$((n+1)); done; "
                                    "echo done; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: done$")
    app.wait_line(rf"app\[web\.1\]: err {lines - 1}$")
    for stream, last in (("out", ["done"]), ("err", [])):
        said = app.hsup("logs", "-C", app.control, "-n", "5000", "--stream", stream, "--format", "raw", "-p", "web.1")
        assert said.stdout.splitlines() == [f"{stream} {n}" for n in range(lines)] + last, said.stderr


def test_one_stream_keeps_its_order(app):
    app.start()
    app.submit(app.release({"Type": "web", "RedirectStderr": True, "Args": [
        "n=0; while [ $n -lt 200 ]; do echo out $n; echo err $n >&2; n=$((n+1)); done; exec sleep 1000"]}))
    app.wait_line(r"app\[web\.1\]: err 199$")
    assert app.texts("web.1") == [f"{word} {n}" for n in range(200) for word in ("out", "err")]


@pytest.mark.parametrize("script, said", [
    ("exit 0", "exited with status 0"), ("exit 7", "exited with status 7"),
    ("kill -9 $$", "was killed by SIGKILL"), ("kill -TERM $$", "was killed by SIGTERM"),
], ids=["0", "7", "KILL", "TERM"])
def test_how_it_ended(app, script, said):
    app.start()
    app.submit(app.release({"Type": "web", "Args": [f"echo begun; {script}"], "Restart": "never", "StartSeconds": 0}))
    app.wait_line(rf"hsup\[web\.1\]: process {said}$")
    app.wait_line(r"app\[web\.1\]: begun$")  # it may come after the end, but it comes
    assert app.texts("web.1") == ["begun"]


def test_a_program_that_does_not_exist(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": ["./nothing", "x"], "StartRetries": 0, "StartSeconds": 1}))
    app.wait_line(r"hsup\[web\.1\]: process could not start: .*[Nn]o such file|"
                  r"hsup\[web\.1\]: process exited with status 127$")
    app.wait_line(r"hsup\[web\.1\]: gave up after 1 failed start")


def test_directory_user_and_umask(app):
    app.start()
    app.submit(app.release(
        {"Type": "web", "Args": ["echo $PWD $(id -un) $(umask); exec sleep 1000"], "Directory": "/tmp", "User": "nobody",
         "Umask": "027"},
        {"Type": "below", "Args": ["echo ${PWD##*/}; exec sleep 1000"], "Directory": ".profile.d"}))
    app.wait_line(r"app\[web\.1\]: /tmp nobody 0027$")
    app.wait_line(r"app\[below\.1\]: \.profile\.d$")


def test_a_user_that_does_not_exist(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": SLEEP, "User": "no-such-user", "StartRetries": 0}))
    app.wait_line(r"no-such-user")
    assert not app.lives()


def test_binds(app):
    app.start()
    app.write("question", "42\n")
    app.submit(app.release(("web", [f"cat {app.shared}/question; echo answer > {app.shared}/answer; exec sleep 1000"], 1)))
    app.wait_line(r"app\[web\.1\]: 42$")
    wait_until(lambda: (app.shared / "answer").exists() and (app.shared / "answer").read_text() == "answer\n", "the answer")


def test_ports_are_each_dyno_s_own(app):
    """Where they share a network; and the answer is the dyno's that has the port."""
    app.start()
    app.submit(app.release({"Type": "web", "Quantity": 3, "Ready": {"Listen": True, "Interval": 0.05}, "Args": [
        f"printf 'HTTP/1.1 200 OK\\r\\n\\r\\n%s' $DYNO > {app.shared}/$DYNO; exec ./tool serve {app.shared}/$DYNO"]}))
    app.wait_up("web.1", "web.2", "web.3")
    dynos = app.ps()
    assert len({d["port"] for d in dynos.values()}) == 3
    for name, dyno in dynos.items():
        with urllib.request.urlopen(f"http://{dyno['address'] or '127.0.0.1'}:{dyno['port']}/", timeout=5) as answer:
            assert answer.read().decode() == name


# ---- one-off ----

@pytest.mark.parametrize("script, code", [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -9 $$", 137)],
                         ids=["0", "7", "TERM", "KILL"])
def test_run_gives_the_code(app, script, code):
    app.submit(app.release())
    ran = app.hsup("run", "-C", app.control, script)
    assert ran.returncode == code, ran.stderr


def test_run_passes_all_through(app):
    app.submit(app.release(Env={"NAME": "x"}))
    ran = app.hsup("run", "-C", app.control, "--", "sh", "-c", "printf 'no newline'; printf err >&2; cat",
                   input="from stdin")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "no newlinefrom stdin", "err")


def test_run_of_much_both_ways(app):
    app.submit(app.release())
    text = "".join(f"line {n}\n" for n in range(50_000))
    ran = app.hsup("run", "-C", app.control, "--", "cat", input=text)
    assert ran.returncode == 0 and ran.stdout == text


def test_run_of_a_command_that_does_not_exist(app):
    app.submit(app.release())
    ran = app.hsup("run", "-C", app.control, "--", "no-such-program", "x")
    assert ran.returncode == 127
    assert re.search("[Nn]o such file|not found", ran.stderr), ran.stderr


def test_run_has_the_variables(app):
    app.submit(app.release(Env={"NAME": "CONTENTS"}, Version=4))
    ran = app.hsup("run", "-a", "shop", "-C", app.control, "--", "printenv")
    env = dict(line.split("=", 1) for line in ran.stdout.splitlines())
    assert (env["NAME"], env["HEROKU_RELEASE_VERSION"], env["HEROKU_APP_NAME"]) == ("CONTENTS", "v4", "shop")
    assert env["DYNO"].startswith("run.")


def test_run_told_to_end(app):
    app.submit(app.release())
    process = subprocess.Popen([str(app.build / "hsup"), "run", "-d", app.name_of_driver, "-C", str(app.control),
                                "echo here; exec sleep 50"], env=app.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "here\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 143
    process.stdout.close()


def test_run_beside_a_running_app(app):
    """It uses what is loaded, and touches none of what runs."""
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Env={"WHO": "holder"}))
    app.wait_up("web.1")
    before = app.lives()
    ran = app.hsup("run", "-C", app.control, "--", "printenv", "WHO")
    assert (ran.returncode, ran.stdout) == (0, "holder\n"), ran.stderr
    assert app.lives() == before


def test_build_prepares_and_leaves(app):
    app.submit(app.release(("web", SLEEP, 1)))
    built = app.hsup("build", "-C", app.control)
    assert built.returncode == 0, built.stderr
    assert app.loaded()["Version"] == 1
    assert not app.lives()


def test_oneshot_gives_the_largest_code(app):
    app.submit(app.release(("a", ["exit 3"], 1), ("b", ["exit 9"], 2), ("c", ["true"], 1)))
    app.start("--oneshot")
    assert app.wait() == 9
    app.no_line("to backoff")


def test_a_root_without_bash(app):
    """Its shell is /bin/sh; a plain process has this machine's."""
    app.submit(app.release(("web", ["echo $0 ${BASH_VERSION:-none}"], 1), **({"Stack": BUSYBOX} if app.engine else {})))
    app.start("--oneshot")
    assert app.wait() == 0
    assert app.texts("web.1")[0].endswith(" none") == bool(app.engine), app.texts("web.1")
