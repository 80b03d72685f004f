"""What dynos use, and what becomes of who uses too much."""
import re
import time

from client import Client
from hsup import PATIENCE, wait_until
from test_ready import program

HOG = """
    import sys, time
    held = bytearray(int(sys.argv[1]) << 20)
    for i in range(0, len(held), 4096):
        held[i] = 1
    time.sleep(1000)
"""


def hog(app, megabytes, limit, type="web"):
    return {"Type": type, "Args": program(app, "hog", HOG) + [str(megabytes)], "Quantity": 1,
            "Limits": {"Memory": limit}}


def test_more_than_its_quota_is_said(app):
    """R14: at every sample, some 20 s apart; who is within his limit is not named."""
    app.start()
    app.submit(app.release(hog(app, 60, "50M"), hog(app, 60, "500M", "fine")))
    app.wait_up("web.1", "fine.1")
    wait_until(lambda: any("R14" in l for l in app.lines), "R14", patience=3 * PATIENCE)
    lines = [l for l in app.lines if "hsup[web.1]: Process running mem=" in l or "Error R14" in l]
    mem = re.search(r"mem=(\d+)M\((\d+\.\d)%\)$", lines[0])
    assert 60 <= int(mem.group(1)) < 90 and 120 <= float(mem.group(2)) < 180
    assert lines[1].endswith("hsup[web.1]: Error R14 (Memory quota exceeded)")
    app.no_line(r"fine\.1\]: (Process running|Error)")
    app.no_line(r"state changed from up")
    assert app.stop() == 0


def test_far_more_than_its_quota_is_killed(app):
    """R15, with all of its processes counted together."""
    args = program(app, "two", """
        import os, sys, time
        os.fork()
        held = bytearray(40 << 20)
        for i in range(0, len(held), 4096):
            held[i] = 1
        time.sleep(1000)
    """)
    app.start()
    app.submit(app.release({"Type": "web", "Args": args, "Quantity": 1, "Limits": {"Memory": "40M"}}))
    app.wait_up("web.1")
    wait_until(lambda: any("R15" in l for l in app.lines), "R15", patience=3 * PATIENCE)
    app.wait_line(r"hsup\[web\.1\]: Process running mem=\d+M\(2\d\d\.\d%\)")
    app.wait_line(r"hsup\[web\.1\]: Error R15 \(Memory quota vastly exceeded\)")
    app.wait_line(r"hsup\[web\.1\]: process was killed by SIGKILL: R15, memory quota vastly exceeded$")
    app.wait_line(r"hsup\[web\.1\]: state changed from \w+ to up", count=2)
    assert app.stop() == 0


def test_what_dynos_use_is_told_to_who_asks(app):
    busy = program(app, "busy", """
        import os
        os.fork()
        while True:
            pass
    """)
    app.start("-s", app.folder / "control.sock")
    app.submit(app.release(hog(app, 50, "500M"), {"Type": "busy", "Args": busy, "Quantity": 1}))
    app.wait_up("web.1", "busy.1")
    client = Client(app.folder / "control.sock")

    def known():
        dynos = client.dynos()
        return dynos if (dynos["web.1"]["memory"] or 0) > 50 << 20 and (dynos["busy.1"]["cpu"] or 0) > 0.3 else None
    dynos = wait_until(known, "memory and processor time")
    assert dynos["web.1"]["memory"] < 100 << 20 and dynos["web.1"]["cpu"] < dynos["busy.1"]["cpu"]
    before = dynos["busy.1"]["cpu"]
    wait_until(lambda: client.dynos()["busy.1"]["cpu"] > before, "more of it")


def test_nobody_asks_nobody_looks(app):
    """No wake-up for dynos without a limit, when nobody wants to know."""
    app.start()
    app.submit(app.release(("web", ["sleep", "1000"], 20)))
    app.wait_line(r"release v1 is up")
    pid = app.supervisor()

    def woken():
        status = open(f"/proc/{pid}/status").read()
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.M).group(1))

    def calm():
        """No wake-up in a while: what followed the start is over."""
        before = woken()
        time.sleep(3)
        return woken() - before <= 1
    wait_until(calm, "a supervisor that sleeps", patience=3 * PATIENCE)
