"""What the supervisor lately did: asked for by USR1, and told when it dies of a fault."""
import os
import signal

import hsup


def test_usr1_tells_what_it_lately_did(app):
    app.submit(app.release(("web", ["sleep", "1000"], 2)))
    app.start()
    app.wait_up("web.1", "web.2")
    os.kill(app.launcher, signal.SIGUSR1)
    app.wait_line(r"hsup\[supervisor\]: diag: \d+ \d+\.\d{6} supervisor: started, pid \d+")
    app.wait_line(r"diag: \d+ \S+ release.submitted v1")
    app.wait_line(r"diag: \d+ \S+ dyno.state web.1/1 v1 stopped -> starting \(wanted\)")
    app.wait_line(r"diag: \d+ \S+ dyno.state web.2/1 v1 starting -> up")
    app.wait_line(r"diag: \d+ \S+ release.settled v1: is up")
    assert app.stop() == 0


def test_usr1_before_there_is_a_supervisor_ends_nobody(app):
    app.start()
    # Before it had one it may not have come to look after its signals; this one has not said hello yet.
    app.supervisor()
    for _ in range(50):
        os.kill(app.launcher, signal.SIGUSR1)
    app.submit(app.release(("web", ["sleep", "1000"], 1)))
    app.wait_up("web.1")
    assert app.stop() == 0


def test_a_fault_tells_what_came_before(app):
    app.submit(app.release(("web", ["sleep", "1000"], 1)))
    app.start()
    app.wait_up("web.1")
    dynos, supervisor = app.dynos(), app.supervisor()
    os.kill(supervisor, signal.SIGABRT)
    hsup.wait_until(lambda: "the supervisor dies of a fault; what it did lately:" in app.errors, "its last words")
    hsup.wait_until(lambda: "dyno.state web.1/1 v1 starting -> up" in app.errors, "what it did")
    app.wait_line("found 1 dynos running")
    hsup.wait_until(lambda: "the supervisor was killed by SIGABRT" in app.errors, "the launcher's word")
    assert app.dynos() == dynos
    assert app.stop() == 0
