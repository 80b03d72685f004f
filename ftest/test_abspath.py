"""-d abspath: what a dyno finds in a prepared root, and whose /app is (drivers/abspath*.c)."""
import fcntl
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from driver_app import SLEEP, pack
from hsup import PATIENCE, wait_until
from own_root import OwnRoot

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a root of the test's own is root's to make")

# Says what /app is for it, and cries when it becomes another. (A cat that is told to end says nothing.)
WATCH = ("first=$(cat /app/hello); echo is $first; while sleep 0.01; do "
         "case $(cat /app/hello) in $first | '') ;; *) echo MIXED ;; esac; done")


@pytest.fixture
def app(make_driver_app):
    app = make_driver_app("abspath", with_slug=False, user=None)
    slugs(app)
    return app


def slugs(app):
    for name in ("one", "two"):
        pack(app.control / f"{name}.tgz", {
            "hello": name, ".profile.d/a.sh": f"export FROM_PROFILE={name}\n",
            "bin/say": "#!/bin/sh\necho said $*\n"})


def release(app, *processes, slug="one", version=1, **fields):
    return app.release(*processes, Slug=f"{slug}.tgz" if slug else "", Version=version, **fields)


def shown(app):
    """What the root shows at /app/hello."""
    done = app.root.run("cat", "/app/hello")
    return done.stdout if done.returncode == 0 else None


def said(app, text):
    return [t for _, t in app.app_lines()].count(text)


def start(app, *args, **options):
    app.start(*args, **options)
    app.submit(release(app, ("web", [WATCH], 3), ("worker", [WATCH], 1)))
    app.wait_line(r"release v1 is up")
    wait_until(lambda: said(app, "is one") == 4, "four that have looked")
    assert shown(app) == "one"


def test_what_a_dyno_finds(app):
    app.start("-a", "shop", env={"PATH": "/elsewhere:/usr/bin:/bin", "HOME": "/root"})
    app.submit(release(app, {"Type": "web", "Args": ["pwd; bin/say a b; printenv; echo the end; exec sleep 1000"],
                             "Quantity": 1},
                       {"Type": "argv", "Args": ["bin/say", "in", "words"], "Quantity": 1}, version=7))
    app.wait_line(r"app\[web\.1\]: the end$")
    texts = app.texts("web.1")
    assert texts[:2] == ["/app", "said a b"]
    env = dict(text.split("=", 1) for text in texts if "=" in text)
    assert (env["HOME"], env["PWD"], env["DYNO"], env["FROM_PROFILE"]) == ("/app", "/app", "web.1", "one")
    assert env["HEROKU_APP_NAME"] == "shop" and env["HEROKU_RELEASE_VERSION"] == "v7"
    assert "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" in env["PATH"]  # and what profiles put before it
    assert "/elsewhere" not in env["PATH"]
    app.wait_line(r"app\[argv\.1\]: said in words$")
    assert app.root.app.is_symlink()
    assert app.stop() == 0
    assert not app.root.app.is_symlink() and not app.root.app.exists()


def test_a_directory_below_app(app):
    app.start()
    app.submit(release(app, {"Type": "web", "Args": ["pwd; exec sleep 1000"], "Directory": "bin"}))
    app.wait_line(r"app\[web\.1\]: /app/bin$")


def test_an_empty_folder_comes_back(app):
    app.root.app.mkdir(mode=0o710)
    app.root.app.chmod(0o2710)
    os.chown(app.root.app, 12, 34)
    app.before = app.root.entries()
    start(app)
    assert app.root.app.is_symlink()
    assert app.stop() == 0
    assert app.root.entries() == app.before


def test_an_empty_folder_of_an_image_comes_back(app):
    """A directory of a lower layer cannot be renamed."""
    app.root.end()
    app.root = OwnRoot(app.folder, layered=True)
    app.before = app.root.entries()
    assert ("app", 0o40750, 0, 0, "") in app.before
    start(app)
    app.submit(release(app, ("web", [WATCH], 1), slug="two", version=2))
    app.wait_line(r"app\[web\.1\]: is two$")
    assert app.stop() == 0
    assert app.root.entries() == app.before


def test_rolling_becomes_one_slug_at_a_time(app):
    start(app)
    seen = len(app.lines)
    app.submit(release(app, ("web", [WATCH], 3), ("worker", [WATCH], 1), slug="two", version=2,
                       Rollout={"Strategy": "rolling"}))
    app.wait_line(r"release v2 is up", since=seen)
    app.wait_line(r"release v2 has another slug: what runs stops first", since=seen)
    assert shown(app) == "two"
    wait_until(lambda: said(app, "is two") == 4, "four of the new")
    lines = app.lines[seen:]
    first = next(i for i, l in enumerate(lines) if "app[" in l and "is two" in l)
    ends = [i for i, l in enumerate(lines) if "process was killed by SIGTERM" in l]
    assert len(ends) == 4 and max(ends) < first, lines
    assert said(app, "is one") == 4
    app.no_line("MIXED")


def test_the_same_slug_rolls(app):
    start(app)
    seen = len(app.lines)
    app.submit(release(app, ("web", [WATCH], 3), ("worker", [WATCH], 1), version=2, Env={"NEW": "1"}))
    app.wait_line(r"release v2 is up", since=seen)
    app.no_line("stops first", since=seen)
    lines = app.lines[seen:]
    up = next(i for i, l in enumerate(lines) if "changed from starting to up" in l)
    down = next(i for i, l in enumerate(lines) if "changed from up to stopping" in l)
    assert up < down


def test_a_bad_release_is_rolled_back(app):
    start(app)
    seen = len(app.lines)
    app.submit(release(app, {"Type": "web", "Args": ["cat /app/hello; exit 1"], "StartSeconds": 5}, slug="two",
                       version=2))
    app.wait_line(r"release v2 rolled back: web.1 did not come up", since=seen)
    app.wait_line(r"hsup\[worker\.1\]: state changed from starting to up", since=seen)
    wait_until(lambda: said(app, "is one") == 8, "all of v1 again")
    assert shown(app) == "one"
    app.no_line("MIXED")


def test_without_a_slug(app):
    """Where there is nothing at /app, an empty one; and from there to one with a slug and back."""
    app.start()
    app.submit(release(app, ("web", ["pwd; ls -A; echo the end; exec sleep 1000"], 1), slug=None))
    app.wait_line(r"app\[web\.1\]: the end$")
    assert app.texts("web.1") == ["/app", "the end"]
    app.submit(release(app, ("web", [WATCH], 1), version=2))
    app.wait_line(r"app\[web\.1\]: is one$")
    app.submit(release(app, ("web", ["ls -A; echo end again; exec sleep 1000"], 1), slug=None, version=3))
    app.wait_line(r"app\[web\.1\]: end again$")
    assert app.texts("web.1")[-2:] == ["is one", "end again"]


# ---- a root that has an /app ----

def test_the_root_s_own_is_left_alone(app):
    app.root.app.mkdir()
    (app.root.app / "hello").write_text("theirs")
    app.before = app.root.entries()
    app.start()
    app.submit(release(app, ("web", SLEEP, 1)))
    app.wait_rejected(r"/app is this root's own .* and stays as it is: move it away for a release with a Slug, "
                      r"or leave the Slug out to run what is there")
    app.submit(release(app, ("web", [WATCH], 2), slug=None, version=2))
    app.wait_line(r"app\[web\.2\]: is theirs$")
    assert app.stop() == 0
    assert (app.root.app / "hello").read_text() == "theirs" and app.root.entries() == app.before


@pytest.mark.parametrize("what", ["link", "file", "mount"])
def test_what_is_no_folder_of_ours_is_left_alone(app, what):
    if what == "link":
        app.root.app.symlink_to("/srv")
    elif what == "file":
        app.root.app.write_text("x")
    else:
        app.root.app.mkdir()
        assert app.root.run("mount", "-t", "tmpfs", "app", "/app").returncode == 0
    app.before = app.root.entries()
    app.start()
    app.submit(release(app, ("web", SLEEP, 1)))
    if what == "mount":
        app.wait_line(r"hsup\[web\.1\]: could not start: /app is a mount point: hsup can put no link there")
    else:
        app.wait_rejected(r"/app is this root's own")
    assert app.stop() == 0


def test_a_root_that_cannot_be_written_to(app):
    target = None
    assert app.root.run("mount", "-o", "remount,ro", "/").returncode == 0
    app.start()
    app.submit(release(app, ("web", SLEEP, 1)))
    text = app.wait_rejected(r"/app cannot be made a link: Read-only file system; to make this root ready, as root: ln -s \S+ /app")
    target = text.split("ln -s ")[1].split()[0]
    # As it says.
    assert app.root.run("mount", "-o", "remount,rw", "/").returncode == 0
    app.root.app.symlink_to(target)
    assert app.root.run("mount", "-o", "remount,ro", "/").returncode == 0
    app.before = app.root.entries()
    app.submit(release(app, ("web", [WATCH], 1), version=2))
    app.wait_line(r"app\[web\.1\]: is one$")
    assert app.stop() == 0


def test_an_ordinary_user(app):
    for path in (app.folder, app.control, *app.control.iterdir()):
        os.chown(path, 65534, 65534)
    user = (*app.root.wrap, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    app.start(wrap=user)
    app.submit(release(app, ("web", SLEEP, 1)))
    text = app.wait_rejected(r"/app cannot be made a link: Permission denied; .* as root: ln -s \S+ /app")
    app.root.app.symlink_to(text.split("ln -s ")[1].split()[0])
    app.before = app.root.entries()
    app.submit(release(app, ("web", [WATCH], 1), version=2))
    app.wait_line(r"app\[web\.1\]: is one$")
    app.submit(release(app, ("web", [WATCH], 1), version=3, slug="two"))
    app.wait_line(r"app\[web\.1\]: is two$")


def start_for_nobody(app):
    app.folder.chmod(0o755)
    for path in (app.control, *app.control.iterdir()):
        os.chown(path, 65534, 65534)
    app.start("--user", "nobody")
    app.submit(release(app, ("web", [WATCH], 1)))
    app.wait_line(r"app\[web\.1\]: is one$")


def test_a_supervisor_with_a_user_of_its_own(app):
    """Root makes the link for him, and it stays."""
    start_for_nobody(app)
    app.submit(release(app, ("web", [WATCH], 1), version=2, slug="two"))
    app.wait_line(r"app\[web\.1\]: is two$")
    assert app.stop() == 0
    assert app.root.app.is_symlink() and not app.root.app.exists()
    app.before = app.root.entries()


# ---- what an account puts in the way of root ----

@pytest.fixture
def owned(app):
    """Was started once for nobody, whose the state directory is now, and is stopped."""
    start_for_nobody(app)
    assert app.stop() == 0
    app.state, app.place = app.folder / "state", pathlib.Path(os.readlink(app.root.app)).parent
    assert app.state.stat().st_uid == app.place.stat().st_uid == 65534
    # What root has made there: who owns the state directory can give it another name.
    app.roots = app.state / "of.root" / app.place.name
    app.roots.mkdir(parents=True)
    app.roots.chmod(0o700)
    (app.roots / "file").write_text("of root")
    app.secret = app.folder / "secret"
    app.secret.mkdir(mode=0o700)
    (app.secret / "lock").write_text("secret")
    yield app
    app.before = app.root.entries()


def look(folder):
    def one(path):
        st = path.lstat()
        return (path.relative_to(folder), st.st_uid, st.st_gid, st.st_mode, path.is_file() and path.read_text())
    return sorted(one(path) for path in (folder, *folder.rglob("*")))


SWAPS = {
    "place": ("mv abspath old; mkdir abspath; ln -s {secret} {place}", r"{place}: .* is a link"),
    "places": ("mv abspath old; mkdir {secret.parent}/state/mine; ln -s {secret} mine/{place.name}; ln -s mine abspath",
               r"{place}: .* is a link"),
    "folder of root's": ("mv abspath old; mv of.root abspath", r"{place} does not belong to user 65534: remove it"),
    "lock": ("rm {place}/lock; ln -s {secret}/lock {place}/lock", None),
    "name of root's": ("rm {place}/lock; mv {place}/linked {place}/lock", None),
}


@pytest.mark.parametrize("what", SWAPS)
def test_root_is_not_led_astray(owned, what):
    """By who owns the state directory: what it leads to would then be his."""
    app = owned
    os.link(app.roots / "file", app.place / "linked")  # as he can without fs.protected_hardlinks
    secret, roots = look(app.secret), look(app.roots)
    command, says = SWAPS[what]
    subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-e", "-c",
                    command.format(**vars(app))], cwd=app.state, check=True)
    app.start("--user", "nobody")
    assert app.wait() != 0  # nobody himself cannot work with that, either
    app.wait_line(r"hsup\[supervisor\]: error: " + str(app.place))
    assert look(app.secret) == secret
    assert look(app.place if what == "folder of root's" else app.roots) == roots
    if says:
        assert re.search("/app: " + says.format(**vars(app)), app.errors), app.errors


@pytest.mark.parametrize("what", ["places", "place"])
def test_root_without_a_user_is_not_led_astray(owned, what):
    """Nor one that is root all along, in what was another's."""
    app = owned
    secret = look(app.secret)
    subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-e", "-c",
                    SWAPS[what][0].format(**vars(app))], cwd=app.state, check=True)
    done = app.hsup("run", "-C", app.control, "true")
    assert done.returncode != 0 and "is a link" in done.stderr, done
    assert look(app.secret) == secret


def test_what_a_former_version_made_is_accepted(owned):
    """The folder of the places was root's, the place and its lock the account's."""
    app = owned
    os.chown(app.place.parent, 0, 0)
    assert app.place.stat().st_uid == (app.place / "lock").stat().st_uid == 65534
    app.start("--user", "nobody")
    app.submit(release(app, ("web", [WATCH], 1), version=2))
    app.wait_line(r"release v2 is up")
    assert shown(app) == "one"
    assert app.stop() == 0


def test_nobody_can_hold_the_turn(app):
    """Whoever can open / can lock it: a hsup that waits for that would neither start nor put back what was there."""
    with subprocess.Popen([*app.root.wrap, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                           "flock", "-x", "/", "sh", "-c", "echo held; read x"], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == "held\n"
        start(app)
        assert app.stop() == 0
        assert app.root.entries() == app.before
        holder.stdin.close()


def test_what_is_not_given_back_is_told(app):
    """As of one that was stopped in its turn."""
    start(app)
    turn = app.root.path / ".app-hsup-turn"
    with open(turn, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert app.stop() == 0
    app.wait_line(r"/app stays as it is: /app: the turn to change it \(/\.app-hsup-turn\): Resource temporarily")
    assert app.root.app.is_symlink()
    # Which another goes on from.
    app.start()
    app.wait_line(r"found|release v1 is up", count=2)
    assert app.stop() == 0
    assert not turn.exists() and app.root.entries() == app.before


# ---- several ----

@pytest.fixture
def other(app, make_app):
    """Another app, in the same root."""
    other = make_app("other", user=None)
    slugs(other)
    return other


def kill_all(app):
    """As when the machine fails."""
    os.kill(app.launcher, signal.SIGKILL)

    def look():
        for pid in app.marked():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # one of those short sleeps
                pass
        return not app.marked()
    wait_until(look, "an end of all")
    app.wait()


def lose_supervisor(app):
    """And its launcher, which is stopped, starts no other."""
    supervisor = app.supervisor()
    os.kill(app.launcher, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: supervisor not in app.marked(), "its end")


def test_a_second_hsup_is_refused(app, other):
    start(app)
    other.start("-d", "abspath", wrap=app.root.wrap)
    other.submit(other.release(("web", [WATCH], 1), Slug="two.tgz"))
    other.wait_rejected(r"/app is in use by another hsup, that of /\S+/abspath/[0-9a-f]{16}")
    assert shown(app) == "one"
    assert app.stop() == 0
    other.submit(other.release(("web", [WATCH], 1), Slug="two.tgz", Version=2))
    other.wait_line(r"app\[web\.1\]: is two$")
    assert other.stop() == 0
    app.no_line("MIXED")


def test_what_a_dead_one_left_is_taken_over(app, other):
    start(app)
    kill_all(app)
    assert app.root.app.is_symlink()
    other.start("-d", "abspath", wrap=app.root.wrap)
    other.submit(other.release(("web", [WATCH], 1), Slug="two.tgz"))
    other.wait_line(r"app\[web\.1\]: is two$")
    assert other.stop() == 0
    assert app.root.entries() == app.before


def test_a_death_of_all_then_the_same_app_again(app):
    start(app)
    kill_all(app)
    app.start()
    wait_until(lambda: said(app, "is one") == 8, "all of v1 again")
    assert app.stop() == 0


def test_the_supervisor_dies_at_any_moment_of_a_switch(app, other):
    """Its successor goes on from there; and in between nobody else gets in."""
    start(app)
    slug, version = "one", 1
    for after in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12):
        slug, version, seen = "two" if slug == "one" else "one", version + 1, len(app.lines)
        app.submit(release(app, ("web", [WATCH], 3), ("worker", [WATCH], 1), slug=slug, version=version))
        app.wait_line(rf"release v{version} is being rolled out", since=seen)
        time.sleep(after)
        os.kill(app.supervisor(), signal.SIGKILL)
        app.wait_line(rf"release v{version} is up", since=seen)
        assert shown(app) == slug
        wait_until(lambda: len(app.lives()) == 4, "four dynos")
    app.no_line("MIXED")
    app.no_line("could not start")


def test_another_hsup_while_the_supervisor_is_away(app, other):
    start(app)
    lives = app.lives()
    other.start("-d", "abspath", wrap=app.root.wrap)
    lose_supervisor(app)
    other.submit(other.release(("web", [WATCH], 1), Slug="two.tgz"))
    other.wait_rejected(r"/app is in use by another hsup")
    os.kill(app.launcher, signal.SIGCONT)
    app.wait_line(r"found 4 dynos running")
    assert app.lives() == lives and shown(app) == "one"
    app.no_line("MIXED")


# ---- run, build ----

def test_build_only_unpacks(app):
    app.submit(release(app, ("web", SLEEP, 1)))
    done = app.hsup("build", "-C", app.control)
    assert done.returncode == 0, done.stderr
    assert app.root.entries() == app.before


def test_run_alone(app):
    app.submit(release(app, ("web", SLEEP, 1)))
    done = app.hsup("run", "-C", app.control, "pwd; cat hello; echo; echo $HOME $FROM_PROFILE")
    assert (done.returncode, done.stdout.split()) == (0, ["/app", "one", "/app", "one"]), done.stderr
    assert app.root.entries() == app.before
    assert app.hsup("run", "-C", app.control, "exit 7").returncode == 7


def test_run_beside_dynos(app):
    start(app)
    done = app.hsup("run", "-C", app.control, "cat", "/app/hello")
    assert (done.returncode, done.stdout) == (0, "one"), done.stderr
    assert shown(app) == "one"  # it has not taken the link with it
    app.no_line("MIXED")


def test_no_rollout_under_a_run(app):
    """Another slug would change what a run sees: refused, until it is over."""
    start(app)
    with app.root_popen("run", "-C", app.control, "echo there; cat; cat /app/hello") as run:
        assert run.stdout.readline() == "there\n"
        app.submit(release(app, ("web", [WATCH], 1), slug="two", version=2))
        app.wait_rejected(r"/app shows another slug, which another hsup of this app \(start or run\) is using")
        run.stdin.close()
        assert run.stdout.read() == "one"
        assert run.wait(PATIENCE) == 0
    app.submit(release(app, ("web", [WATCH], 1), slug="two", version=3))
    app.wait_line(r"app\[web\.1\]: is two$")


def test_run_of_another_slug_beside_dynos(app):
    """A second hsup of this control directory is refused anyway; a run of what lies there as `new`, too. It may also be
    of what is in force, when that was not settled yet: then it finds what belongs to it."""
    start(app)
    lose_supervisor(app)
    app.submit(release(app, ("web", SLEEP, 1), slug="two", version=2))
    done = app.hsup("run", "-C", app.control, "echo $HEROKU_RELEASE_VERSION; cat /app/hello")
    if done.returncode == 0:
        assert done.stdout.split() == ["v1", "one"]
    else:
        assert "another hsup of this app (start or run) is using" in done.stderr, done
    os.kill(app.launcher, signal.SIGCONT)
    app.wait_line(r"found 4 dynos running")
    app.no_line("MIXED")


def test_a_release_phase_of_another_slug(app):
    start(app)
    app.submit(release(app, ("web", SLEEP, 1), ("release", ["true"], 1), slug="two", version=2))
    app.wait_rejected(r"release phase: others run that its dyno cannot run beside")
    app.hsup("scale", "-C", app.control, "web=0", "worker=0")
    app.wait_lives(0)
    app.submit(release(app, ("web", [WATCH], 1), ("release", ["cat", "/app/hello"], 1), slug="two", version=3))
    app.wait_line(r"app\[release\.\d+\]: two$")
    app.wait_line(r"app\[web\.1\]: is two$")


def test_check_and_help_know_it(app):
    app.submit(release(app, ("web", SLEEP, 1)))
    assert "abspath" in app.hsup("help", "start").stdout + app.hsup("help").stdout
