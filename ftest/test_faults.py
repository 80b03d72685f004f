"""Bad input and faults: what is said, and that nothing was lost.

Each test runs a good release first; after the fault the same dyno (the same process) still runs.
"""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import tarfile
import time

import pytest

from hsup import command_line, wait_until

SLEEP = ["sleep", "1000"]


@pytest.fixture
def running(app):
    """An app with one good dyno; .good is its pid."""
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Version=1))
    app.wait_line("release v1 is up")
    app.good = app.wait_dynos(1)[0]
    return app


def still_good(app):
    assert app.dynos() == [app.good]
    assert app.loaded()["Version"] == 1
    app.no_line(r"hsup\[web\.1\]: state changed from up")


def process(**fields):
    return json.dumps({"Processes": [{"Type": "web", "Args": ["true"], "Quantity": 1, **fields}]})


DOCUMENTS = {
    "empty": ("", r"empty"),
    "blank": (" \n\t ", r"empty"),
    "truncated": ('{"Processes": [', r"line 1, column \d+"),
    "not JSON": ("Processes: web", r"line 1, column \d+: is not JSON"),
    "a list": ("[]", r"must be an object"),
    "an empty object": ("{}", r"Processes: .*required"),
    "5 MB": ('{"Env": {"A": "' + "x" * 5_000_000 + '"}}', r"(?i)large|bytes"),
    "deeply nested": ("[" * 3000 + "]" * 3000, r"deep"),
    "not UTF-8": (b'{"Env": {"A": "\xff\xfe"}, "Processes": []}', r"UTF-8"),
    "wrong type": (json.dumps({"Version": "one", "Processes": []}), r"Version: .*line 1, column \d+"),
    "env of a number": (json.dumps({"Env": {"A": 1}, "Processes": []}), r"Env\.A: .*string"),
    "duplicate type": (json.dumps({"Processes": [{"Type": "web", "Args": ["a"]}, {"Type": "web", "Args": ["b"]}]}),
                       r"Processes\[1\]\.Type: .*web"),
    "duplicate key": ('{"Version": 1, "Version": 2, "Processes": []}', r"Version"),
    "unknown key": (process(Quantiy=2), r"Processes\[0\]\.?\S*: .*Quantity"),
    "negative quantity": (process(Quantity=-1), r"Processes\[0\]\.Quantity: .*-1"),
    "fractional quantity": (process(Quantity=1.5), r"Processes\[0\]\.Quantity: .*1\.5"),
    "huge quantity": (process(Quantity=2147483648), r"Processes\[0\]\.Quantity: .*2147483648"),
    "NUL in an env name": ('{"Env": {"A\\u0000B": "x"}, "Processes": []}', r"line 1, column \d+: .*NUL"),
    "= in an env name": ('{"Env": {"A=B": "x"}, "Processes": []}', r'Env\["A=B"\]: .*"="'),
    "NUL in an argument": (process(Args=["a\0b", "c"]), r"Processes\[0\]\.Args\[0\]: .*NUL"),
    "no arguments": (process(Args=[]), r"Processes\[0\]\.Args"),
    "bad signal": (process(StopSignal="TREM"), r"Processes\[0\]\.StopSignal"),
    "slug by ftp": (json.dumps({"Slug": "ftp://x/y", "Processes": []}), r"Slug: "),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_bad_document_never_replaces_a_good_one(running, name):
    text, pattern = DOCUMENTS[name]
    running.submit(text)
    said = running.wait_rejected(pattern)
    assert all(line.strip() for line in said.splitlines())
    submitted = text if isinstance(text, bytes) else text.encode()
    assert (running.control / "rejected").read_bytes() == submitted
    running.wait_line(r"hsup\[supervisor\]: .*reject")
    still_good(running)
    # and what comes next is taken
    running.submit(running.release(("web", SLEEP, 2), Version=1))
    running.wait_dynos(2)
    wait_until(lambda: not running.last_error(), "last_error to go")


def test_all_errors_of_a_document_at_once(running):
    running.submit(process(Quantity=-1, Restart="sometimes", Prioritty=3))
    said = running.wait_rejected(r"Quantity")
    assert len(said.splitlines()) == 3
    still_good(running)


@pytest.mark.parametrize("kind", ["directory", "fifo", "symlink"])
def test_new_that_is_no_file(running, kind):
    new = running.control / "new"
    beside = running.control / ".beside"
    if kind == "directory":
        beside.mkdir()
        (beside / "inside").write_text("x")
    elif kind == "fifo":
        os.mkfifo(beside)
    else:
        beside.symlink_to("/etc/passwd")
    running.give(beside)
    beside.rename(new)
    wait_until(running.last_error, "last_error")
    assert not os.path.lexists(new)
    still_good(running)
    running.submit(running.release(("web", SLEEP, 2), Version=1))
    running.wait_dynos(2)


def test_new_that_cannot_be_read(make_app, folder, reachable):
    """As an ordinary user, for whom a mode of 0 means something."""
    base = folder / "nobody"
    base.mkdir()
    os.chown(base, 65534, 65534)
    app = make_app("nobody/app", programs=reachable, user=None)
    for path in (app.folder, app.control):
        os.chown(path, 65534, 65534)
    app.start(user=65534, group=65534, extra_groups=[])
    app.submit(app.release(("web", SLEEP, 1), Version=1))
    app.wait_line("release v1 is up")
    beside = app.control / ".beside"
    beside.write_text("{}")
    beside.chmod(0)
    beside.rename(app.control / "new")
    app.wait_line(r"(?i)permission denied")
    assert len(app.dynos()) == 1
    app.submit(app.release(("web", SLEEP, 2), Version=2))
    app.wait_dynos(2)


def test_a_writer_that_keeps_new_open_is_never_read_half(running):
    text = json.dumps(running.release(("web", SLEEP, 2), Version=2)).encode()
    with open(running.control / "new", "wb", buffering=0) as writer:
        for i in range(0, len(text), 40):
            writer.write(text[i:i + 40])
            time.sleep(0.01)
        time.sleep(0.3)
        still_good(running)
        assert running.last_error() == ""
    running.wait_line("release v2 is up")
    assert running.last_error() == ""


def test_of_a_thousand_submissions_the_last_one_wins(running):
    for i in range(1, 1001):
        running.submit(running.release(("web", SLEEP, 1), Version=i))
    wait_until(lambda: running.loaded()["Version"] == 1000, "the last one to be loaded")
    running.wait_line("release v1000 is up")
    assert running.dynos() == [running.good]
    assert not (running.control / "new").exists()
    assert not running.last_error()


def test_control_directory_removed_and_made_again(running):
    shutil.rmtree(running.control)
    running.wait_line(r"(?i)control directory")
    assert running.dynos() == [running.good]
    running.control.mkdir()
    running.give(running.control)
    running.submit(running.release(("web", SLEEP, 2), Version=2))
    running.wait_line("release v2 is up")
    assert running.good in running.wait_dynos(2)


def test_disk_full_while_loaded_is_written(make_app, folder, build):
    """The control directory is a small tmpfs in a mount namespace of the test's own."""
    app = make_app("full", control=folder / "small")
    app.start(wrap=["unshare", "-m", "sh", "-c",
                    f"mount -t tmpfs -o size=256k,mode=777 none {app.control} && exec \"$@\"", "sh"])
    supervisor = app.supervisor()
    inside = pathlib.Path(f"/proc/{supervisor}/root{app.control}")
    inside_app_control, app.control = app.control, inside
    app.submit(app.release(("web", SLEEP, 1), Version=1))
    app.wait_line("release v1 is up")
    good = app.wait_dynos(1)
    big = json.dumps(app.release(("web", SLEEP, 2), Version=2, Env={"PAD": "x" * 100_000})).encode()
    (inside / ".submit").write_bytes(big)
    with open(inside / "filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass
    (inside / ".submit").rename(inside / "new")
    app.wait_line(r"No space left on device")
    assert json.loads((inside / "loaded").read_text())["Version"] == 1
    assert app.dynos() == good
    (inside / "filler").unlink()
    app.submit(app.release(("web", SLEEP, 2), Version=3))
    app.wait_line("release v3 is up")
    app.control = inside_app_control


# -- slugs, through the whole of hsup (each fault of hsup-slug itself: test_slug.py) --

def test_a_missing_local_slug_is_warned_of(running):
    running.submit(running.release(("web", SLEEP, 2), Slug="nowhere.tgz", Version=2))
    running.wait_line(r"warning: slug nowhere\.tgz does not exist")
    running.wait_line("release v2 is up")


@pytest.mark.parametrize("fault", ["refused connection", "damaged", "wrong checksum"])
def test_a_slug_that_cannot_be_had_rejects_the_release(running, fault):
    document = running.release(("web", SLEEP, 2), Version=2)
    if fault == "refused connection":
        document["Slug"] = "http://127.0.0.1:1/slug.tgz"
    else:
        (running.control / "slug.tgz").write_bytes(b"\x1f\x8b\x08\x00" + b"damaged" * 100)
        document["Slug"] = "slug.tgz"
        if fault == "wrong checksum":
            document["SlugChecksum"] = "SHA256:" + "0" * 64
    running.submit(document)
    running.wait_rejected(r"Slug: ")
    still_good(running)


def test_the_slug_in_force_is_found_again_when_its_source_is_gone(app, folder):
    (folder / "tree").mkdir()
    (folder / "tree" / "word").write_text("kept\n")
    with tarfile.open(app.control / "slug.tgz", "w:gz") as archive:
        archive.add(folder / "tree" / "word", "./app/word")
    app.start()
    app.submit(app.release(("web", ["cat word; exec sleep 1000"], 1), Slug="slug.tgz"))
    app.wait_line(r"app\[web\.1\]: kept")
    app.wait_line("release v1 is up")
    assert app.stop() == 0
    (app.control / "slug.tgz").unlink()
    app.lines.clear()
    app.start()
    app.wait_line(r"slug [0-9a-f]{12} is unpacked already")
    app.wait_line(r"app\[web\.1\]: kept")


def test_a_release_in_force_whose_slug_is_not_there_yet_is_tried_again(app, folder):
    (folder / "word").write_text("late\n")
    document = app.release(("web", ["cat word; exec sleep 1000"], 1), Slug="slug.tgz")
    with tarfile.open(app.control / "slug.tgz", "w:gz") as archive:
        archive.add(folder / "word", "./app/word")
    right = hashlib.sha256((app.control / "slug.tgz").read_bytes()).hexdigest()
    document["SlugChecksum"] = "SHA256:" + right
    (app.control / "slug.tgz").rename(app.control / "away")
    (app.control / "slug.tgz").write_text("not yet")
    (app.control / "loaded").write_text(json.dumps(document))
    app.start()
    app.wait_line(r"release v1 in force cannot be made ready: Slug: ")
    (app.control / "away").rename(app.control / "slug.tgz")
    app.wait_line(r"app\[web\.1\]: late")


# -- processes --

def test_a_command_that_does_not_exist(app):
    app.start()
    app.submit(app.release(("web", ["./no-such-program", "x"], 1)))
    app.wait_line(r"hsup\[web\.1\]: process could not start: executing the program: No such file or directory")
    app.wait_line(r"state changed from \w+ to backoff")


def test_a_directory_that_does_not_exist(app):
    app.start()
    app.submit(app.release({"Type": "web", "Args": SLEEP, "Directory": "/no/such/place"}))
    app.wait_line(r"hsup\[web\.1\]: process could not start: .*directory.*: No such file or directory")


def test_fork_that_fails(make_app, folder, reachable):
    """As an ordinary user under RLIMIT_NPROC: the dynos that fit run, the others are tried again."""
    uid = 54321
    base = folder / "limited"
    base.mkdir()
    app = make_app("limited/app", programs=reachable, user=None)
    for path in (base, app.folder, app.control):
        os.chown(path, uid, uid)
    app.start(user=uid, group=uid, extra_groups=[], wrap=["prlimit", "--nproc=8:8", "--"])
    app.submit(app.release(("web", SLEEP, 20), Version=1))
    app.wait_line(r"could not start: starting a process: Resource temporarily unavailable")
    assert app.process.poll() is None
    alive = wait_until(lambda: len(app.dynos()) >= 1 and app.dynos(), "some dynos")
    os.kill(alive[0], signal.SIGKILL)
    app.wait_line(r"process was killed by SIGKILL")
    assert app.stop() == 0


def test_inotify_queue_overflow(running):
    """More events than the kernel's queue holds, while hsup cannot read them: it looks again."""
    supervisor = running.supervisor()
    limit = int(pathlib.Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    os.kill(supervisor, signal.SIGSTOP)
    try:
        names = [running.control / f".noise-{i}" for i in range(2)]
        for i in range(limit + 100):
            with open(names[i % 2], "wb"):
                pass
        running.submit(running.release(("web", SLEEP, 2), Version=2))
    finally:
        os.kill(supervisor, signal.SIGCONT)
    running.wait_line("release v2 is up")
    running.wait_dynos(2)


def test_clock_set_back(app, build, folder):
    """The wall clock jumps a day back: timers go on, submissions are taken, the log shows it."""
    trigger = folder / "back"
    app.start(env={"LD_PRELOAD": str(build / "tests" / "libclock-back.so"), "HSUP_TEST_CLOCK_BACK": str(trigger)})
    app.submit(app.release(("web", SLEEP, 1), ("crash", ["sleep 0.2; exit 1"], 1), Version=1))
    app.wait_up("web.1")
    today = app.lines[-1][:10]
    trigger.touch()
    seen = len(app.lines)
    app.wait_line(r"hsup\[crash\.1\]: state changed from backoff to starting", since=seen)
    app.submit(app.release(("web", SLEEP, 2), Version=2))
    app.wait_line("release v2 is up", since=seen)
    assert app.lines[-1][:10] < today
    assert len(app.wait_dynos(2)) == 2


def test_corrupt_loaded_is_set_aside_and_never_blocks_new(app):
    (app.control / "loaded").write_text('{"Processes": [')
    app.submit(app.release(("web", SLEEP, 1), Version=1))
    app.start()
    app.wait_line("release v1 is up")
    app.wait_line(r"loaded\.bad")
    assert (app.control / "loaded.bad").read_text() == '{"Processes": ['


# -- the supervisor --

def test_kill_9_of_the_supervisor_loses_no_dyno_and_no_byte(app):
    count = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.005; done"
    app.start()
    app.submit(app.release(("count", [count], 20), Version=1))
    app.wait_line("release v1 is up")
    before = app.wait_dynos(20)
    for _ in range(3):
        supervisor = app.supervisor()
        os.kill(supervisor, signal.SIGKILL)
        seen = len(app.lines)
        wait_until(lambda: app.supervisor() != supervisor, "a new supervisor")
        app.wait_line(r"found 20 dynos running", since=seen)
        app.wait_line(r"release v1 is up", since=seen)
        app.wait_line(r"app\[count", count=200, since=seen)
    assert app.wait_dynos(20) == before
    assert app.stop() == 0
    for n in range(1, 21):
        numbers = [int(text) for _, text in app.app_lines(f"count.{n}") if text.isdigit()]
        # Nothing is lost; a line may come twice when the kill falls between its writing and its taking.
        assert sorted(set(numbers)) == list(range(1, max(numbers) + 1)), f"count.{n}"
        assert len(numbers) - len(set(numbers)) < 3 * 1000


def test_a_supervisor_that_hangs_is_replaced_and_no_dyno_notices(make_app):
    app = make_app()
    app.start("--watchdog", "2")
    app.submit(app.release(("web", SLEEP, 3), Version=1))
    app.wait_line("release v1 is up")
    before = app.wait_dynos(3)
    supervisor = app.supervisor()
    os.kill(supervisor, signal.SIGSTOP)
    app.wait_line("found 3 dynos running")
    said = rf"the supervisor \(pid {supervisor}\) has not answered for \d\.\d s: killed"
    wait_until(lambda: re.search(said, app.errors), said)
    assert app.supervisor() != supervisor and app.wait_dynos(3) == before
    # An idle one is asked, answers, and stays.
    supervisor = app.supervisor()
    time.sleep(3)
    assert app.supervisor() == supervisor
    assert app.stop() == 0


def test_a_line_cut_by_the_restart_comes_out_whole(app):
    script = ("printf 'first half, '; while [ ! -e go ]; do sleep 0.05; done; "
              "echo second half; exec sleep 1000")
    app.start()
    app.submit(app.release({"Type": "web", "Directory": str(app.folder), "Args": [script]}, Version=1))
    app.wait_up("web.1")
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line("found 1 dynos running")
    (app.folder / "go").touch()
    app.wait_line(r"app\[web\.1\]: first half, second half$")


def test_a_line_begun_and_then_more_than_a_pipe_in_one_write(app):
    """While that write lasts the kernel tells a reader nothing, who left the begun line in the pipe."""
    script = "printf begun,; sleep 0.3; exec dd if=numbers bs=1M status=none"
    (app.folder / "numbers").write_text("".join(f"number-{n}\n" for n in range(50000)))
    app.start("--oneshot")
    app.submit(app.release({"Type": "web", "Directory": str(app.folder), "Args": [script]}, Version=1))
    app.wait_line(r"number-49999$")
    assert [text for _, text in app.app_lines("web.1")] == \
        ["begun,number-0", *(f"number-{n}" for n in range(1, 50000))]


def test_an_exit_while_nobody_looks_is_seen(app):
    app.start()
    app.submit(app.release(("web", ["sleep", "1000"], 1), Version=1))
    app.wait_line("release v1 is up")
    pid = app.wait_dynos(1)[0]
    supervisor = app.supervisor()
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    app.wait_line(r"hsup\[web\.1\]: process was killed by SIGKILL")
    assert app.wait_dynos(1)[0] != pid


def test_a_supervisor_that_crashes_finds_its_dynos(app):
    app.start()
    app.submit(app.release(("web", SLEEP, 1), Version=1))
    app.wait_line("release v1 is up")
    good = app.wait_dynos(1)
    os.kill(app.supervisor(), signal.SIGABRT)
    app.wait_line("found 1 dynos running")
    assert app.wait_dynos(1) == good
