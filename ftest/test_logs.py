"""Logs that keep: files of our own, rotated, packed, moved away, full disks; several places at once."""
import json
import os
import pathlib
import pwd
import re
import stat
import subprocess
import time

import pytest

from hsup import LINE, PATIENCE, wait_until
from test_carry import kill_supervisor

STAMP = re.compile(r"\d{8}T\d{6}\.\d{6}Z")


def files_of(log):
    """Those of one log, the oldest first."""
    old = [p for p in log.parent.iterdir() if p.name.startswith(log.name + ".") and STAMP.match(p.name[len(log.name) + 1:])]
    return sorted(old) + ([log] if log.exists() else [])


def text_of(log):
    whole = b""
    for path in files_of(log):
        data = path.read_bytes()
        if path.name.endswith(".zst"):
            data = subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
        whole += data
    return whole.decode()


def numbers(text, dyno):
    return [int(n) for n in re.findall(rf"app\[{re.escape(dyno)}\]: number-(\d+)$", text, re.MULTILINE)]


def count_to(last, pause=""):
    return f"i=0; while [ $i -lt {last} ]; do i=$((i+1)); echo number-$i; {pause} done; exec sleep 1000"


def own(folder, app):
    """A folder that the supervisor may write to."""
    path = folder / "logs"
    path.mkdir(exist_ok=True)
    app.give(path)
    return path


def test_rotation_under_load_and_kills(app, folder):
    log, last, dynos = own(folder, app) / "app.log", 20000, 3
    app.start("--log", log, "--log-max-bytes", "100K", "--log-keep", "1000")
    app.submit(app.release(("count", [count_to(last)], dynos)))
    kills = 0
    while not all(numbers(text_of(log), f"count.{i}")[-1:] == [last] for i in range(1, dynos + 1)):
        time.sleep(0.05)
        if kills < 15:
            kill_supervisor(app)
            kills += 1
        assert app.process.poll() is None
    app.stop()
    text = text_of(log)
    for i in range(1, dynos + 1):
        assert numbers(text, f"count.{i}") == list(range(1, last + 1))
    files = files_of(log)
    assert len(files) > 20
    for path in files:
        assert path.stat().st_size <= 100 << 10
        assert path.read_bytes().endswith(b"\n")
    # Nothing goes to standard output, which was not asked for.
    assert app.lines == []


def test_a_type_has_files_of_its_own(app, folder):
    logs = own(folder, app)
    app.start("--log", "stdout", "--log", logs / "all.log")
    app.submit(app.release(
        {"Type": "web", "Args": ["echo out-$DYNO; echo err-$DYNO >&2; exec sleep 1000"], "Quantity": 2,
         "Log": {"File": f"{logs}/%d.%s", "Format": "json"}},
        {"Type": "raw", "Args": ["echo only-this; exec sleep 1000"], "Quantity": 1,
         "Log": {"File": f"{logs}/raw.log", "Format": "raw", "Mode": "0604"}}))
    wait_until(lambda: (logs / "raw.log").exists() and (logs / "raw.log").read_text() == "only-this\n", "raw.log")
    for n in (1, 2):
        for stream, word in (("stdout", "out"), ("stderr", "err")):
            path = logs / f"web.{n}.{stream}"
            line = json.loads(wait_until(lambda path=path: path.exists() and path.read_text(), path))
            assert (line["dyno"], line["stream"], line["text"]) == (f"web.{n}", word, f"{word}-web.{n}")
    assert stat.S_IMODE((logs / "raw.log").stat().st_mode) == 0o604
    # And all of it where all goes.
    for text in ("app[web.1]: out-web.1", "app[web.2]: err-web.2", "app[raw.1]: only-this"):
        wait_until(lambda text=text: any(text in line for line in app.lines), text)
        wait_until(lambda text=text: text in (logs / "all.log").read_text(), text)
    assert all(LINE.match(line) for line in (logs / "all.log").read_text().splitlines())


def test_packed_and_no_more_than_are_kept(app, folder):
    log, last = own(folder, app) / "app.log", 30000
    # What was half done when somebody pulled the plug.
    half = log.with_name("app.log.20200101T000000.000000Z.zst.tmp")
    half.write_bytes(b"half")
    twice = log.with_name("app.log.20200101T000000.000001Z")
    twice.write_bytes(b"x\n")
    twice.with_name(twice.name + ".zst").write_bytes(subprocess.run(
        ["zstd", "-cq", twice], stdout=subprocess.PIPE, check=True).stdout)
    other = log.with_name("app.log.old")
    other.write_bytes(b"not ours")
    app.give(log.parent)
    app.start("--log", log, "--log-max-bytes", "100K", "--log-keep", "5", "--log-compress", "--log-mode", "0600")
    wait_until(lambda: not half.exists() and not twice.exists(), "what was half done to be gone")
    assert twice.with_name(twice.name + ".zst").exists()
    app.submit(app.release(("count", [count_to(last)], 1)))
    wait_until(lambda: log.exists() and f"number-{last}\n" in log.read_text(), "the last line", 3 * PATIENCE)

    def settled():
        old = files_of(log)[:-1]
        return len(old) == 5 and all(p.name.endswith(".zst") for p in old)
    wait_until(settled, "five packed files")
    got = numbers(text_of(log), "count.1")
    assert got == list(range(got[0], last + 1)) and got[0] > 1
    for path in files_of(log):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert other.read_bytes() == b"not ours"
    app.stop()


def test_by_time(app, folder):
    log = own(folder, app) / "app.log"
    app.start("--log", log, "--log-max-age", "1", "--log-keep", "1000")
    app.submit(app.release(("count", [count_to(1000000, "sleep 0.1;")], 1)))
    wait_until(lambda: len(files_of(log)) >= 3, "three files", 3 * PATIENCE)
    app.stop()
    got = numbers(text_of(log), "count.1")
    assert got == list(range(1, len(got) + 1))


def test_moved_away_and_followed_by_name(app, folder):
    log = own(folder, app) / "app.log"
    app.start("--log", log)
    app.submit(app.release(("count", [count_to(1000000, "sleep 0.01;")], 1)))
    wait_until(lambda: log.exists() and "number-5\n" in log.read_text(), "the first lines")
    # A follower by name sees what comes behind the move, too.
    with subprocess.Popen(["tail", "-n", "+1", "-F", log], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tail:
        moved = log.with_name("moved.by.logrotate")
        log.rename(moved)
        wait_until(lambda: log.exists() and "number-" in log.read_text(), "the new file")
        seen = b""
        while numbers(log.read_text(), "count.1")[-1] not in numbers(seen.decode(), "count.1"):
            seen += tail.stdout.read1()
            if len(seen) > 10 << 20:
                break
        tail.terminate()
    # Taken away altogether: the next line goes to a new one at once.
    first = numbers(moved.read_text() + log.read_text(), "count.1")
    assert first == list(range(1, len(first) + 1))
    log.unlink()
    wait_until(lambda: log.exists() and "number-" in log.read_text(), "another file")
    app.stop()


def test_a_folder_that_goes_and_comes_back(app, folder):
    logs = own(folder, app)
    log = logs / "app.log"
    app.start("--log", log, "--log", "stdout")
    app.submit(app.release(("count", [count_to(1000000, "sleep 0.01;")], 1)))
    wait_until(lambda: log.exists() and "number-5\n" in log.read_text(), "the first lines")
    logs.rename(folder / "gone")
    wait_until(lambda: any(f"log file {log} cannot be opened" in line for line in app.lines), "a word about it")
    at = len(app.lines)
    wait_until(lambda: len(app.lines) > at + 200, "more lines")
    own(folder, app)
    wait_until(lambda: any(f"log file {log} is written again" in line for line in app.lines), "that it goes again")
    wait_until(lambda: "number-" in log.read_text(), "lines in it")
    app.stop()
    text = log.read_text()
    dropped = int(re.match(r"\S+ hsup\[logs\]: Error L10 \(output buffer overflow\): (\d+) messages dropped since \S+$",
                           text.splitlines()[0])[1])
    assert sum("cannot be opened" in line for line in app.lines) == 1
    # What is in neither file was counted; hsup's own lines are among them.
    got = numbers((folder / "gone" / "app.log").read_text() + text, "count.1")
    missing = set(range(1, got[-1] + 1)) - set(got)
    assert len(missing) <= dropped <= len(missing) + 10 and missing


def test_a_full_disk(app, folder):
    small = folder / "small"
    small.mkdir(mode=0o777)
    log, wall = small / "app.log", small / "wall"
    app.start("--log", log, "--log", "stdout", "--log-keep", "1000", wrap=[
        "unshare", "--mount", "--propagation", "private", "sh", "-c",
        f"mount -t tmpfs -o size=1m,mode=777 none {small} && head -c 900K /dev/zero >{small}/other && exec \"$@\"", "sh"])
    inside = pathlib.Path(f"/proc/{app.launcher}/root")
    app.submit(app.release(("count", [count_to(1000000, "[ $((i % 500)) -ne 0 ] || sleep 0.1;")], 1)))
    wait_until(lambda: any("cannot be written: No space left on device" in line for line in app.lines), "a full disk")
    at = len(app.lines)
    wait_until(lambda: len(app.lines) > at + 3000, "dynos that go on")
    app.supervisor()
    full = (inside / str(log)[1:]).read_text()
    assert full.endswith("\n")
    (inside / str(log)[1:]).rename(inside / str(wall)[1:])
    (inside / str(wall)[1:]).write_text("")
    wait_until(lambda: any(f"log file {log} is written again" in line for line in app.lines), "that it goes again")
    wait_until(lambda: "number-" in (inside / str(log)[1:]).read_text(), "lines in it")
    first = (inside / str(log)[1:]).read_text().splitlines()[0]
    assert "Error L10 (output buffer overflow)" in first
    assert numbers(full, "count.1") == list(range(1, len(numbers(full, "count.1")) + 1))
    app.stop()


def test_no_newline_ever(app, folder):
    log, size = own(folder, app) / "app.log", 200 << 20
    app.start("--log", log, "--log-max-bytes", "20M", "--log-keep", "1000")
    app.submit(app.release(("long", [f"head -c {size} /dev/zero | tr '\\0' x; echo; echo the end; exec sleep 1000"], 1)))

    def came():
        return log.exists() and b"the end\n" in log.read_bytes()[-1000:]
    wait_until(came, "the end", 10 * PATIENCE)
    app.stop()
    total = 0
    for path in files_of(log):
        data = path.read_bytes()
        total += data.count(b"x")
        assert len(data) <= 20 << 20
        assert max(len(line) for line in data.split(b"\n")) < 10100
    # "app[long.1]" has none, and hsup's own words few.
    assert size <= total < size + 100


def test_a_stalled_terminal_beside_a_file(app, folder):
    """Standard output is not the first: it drops and counts, and nobody waits."""
    log, last = own(folder, app) / "app.log", 50000
    app._read_out = lambda stream: None
    app.start("--log", log, "--log", "stdout", "--log-keep", "1000")
    app.submit(app.release(("count", [count_to(last)], 1)))
    wait_until(lambda: log.exists() and f"number-{last}\n" in log.read_text(), "all lines in the file", 3 * PATIENCE)
    assert numbers(log.read_text(), "count.1") == list(range(1, last + 1))
    seen, word = b"", None
    end = time.monotonic() + PATIENCE
    os.set_blocking(app.process.stdout.fileno(), False)
    while not word and time.monotonic() < end:
        seen += app.process.stdout.read1(1 << 20) or b""
        word = re.search(rb"hsup\[logs\]: Error L10 \(output buffer overflow\): (\d+) messages dropped since", seen)
        time.sleep(0.01)
    assert word and int(word[1]) > 1000
    app.stop()


def test_a_type_that_does_not_wait(app, folder):
    """Standard output is the first, and nobody reads it: this type drops, its file has all."""
    log, last = own(folder, app) / "app.log", 50000
    app._read_out = lambda stream: None
    app.start()
    app.submit(app.release({"Type": "count", "Args": [count_to(last)], "Quantity": 1,
                            "Log": {"File": str(log), "WhenStalled": "drop"}}))
    wait_until(lambda: log.exists() and f"number-{last}\n" in log.read_text(), "all lines in the file", 3 * PATIENCE)
    assert numbers(log.read_text(), "count.1") == list(range(1, last + 1))
    seen, word = b"", None
    end = time.monotonic() + PATIENCE
    os.set_blocking(app.process.stdout.fileno(), False)
    while not word and time.monotonic() < end:
        seen += app.process.stdout.read1(1 << 20) or b""
        word = re.search(rb"hsup\[logs\]: Error L10 \(output buffer overflow\): (\d+) messages dropped since", seen)
        time.sleep(0.01)
    came = numbers(seen.decode(), "count.1")
    assert word and came == list(range(1, len(came) + 1)) and len(came) + int(word[1]) == last
    app.stop()


def test_another_file_while_it_runs(app, folder):
    logs = own(folder, app)
    app.start()
    for name in ("one", "two"):
        app.submit(app.release({"Type": "count", "Args": [count_to(1000000, "sleep 0.01;")], "Quantity": 1,
                                "Log": {"File": f"{logs}/{name}"}}, Version=1 + (name == "two")))
        wait_until(lambda name=name: (logs / name).exists() and "number-" in (logs / name).read_text(), name)
    app.stop()
    got = numbers((logs / "one").read_text() + (logs / "two").read_text(), "count.1")
    assert got == list(range(1, len(got) + 1))


@pytest.mark.skipif("os.geteuid() != 0")
def test_owner(app, folder):
    log = own(folder, app) / "app.log"
    owner = app.user or "nobody"  # who is not root has only itself to give files to: test_privileges.py
    app.start("--log", log, "--log-owner", owner)
    wait_until(log.exists, "the file")
    wait_until(lambda: log.stat().st_uid == pwd.getpwnam(owner).pw_uid, f"it to be of {owner}")
    app.stop()


def test_json_and_none(app, folder):
    app.start("--log-format", "json")
    app.submit(app.release(("hi", ["echo hello; exec sleep 1000"], 1)))
    line = wait_until(lambda: next((text for text in app.lines if '"hello"' in text), None), "a line")
    assert json.loads(line)["dyno"] == "hi.1"
    app.stop()


@pytest.mark.parametrize("words, fault", [
    (("--log-max-bytes", "ten"), "a number of bytes"),
    (("--log-format", "xml"), "heroku, json or raw"),
    (("--log-mode", "999"), "a mode as 0640"),
    (("--log", "none", "--log", "none"), "twice the same"),
])
def test_bad_options(app, words, fault):
    done = app.hsup("start", "-C", app.control, *words)
    assert done.returncode == 2 and fault in done.stderr
