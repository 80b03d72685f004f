"""What is otherwise with podman: by the name of a test of the drivers', what is asserted in its place.
hsup-docker(7) says the same to users, under "podman"."""
import os
import pathlib
import signal

from driver_app import SLEEP
from hsup import PATIENCE, wait_until


def input_ends_with_the_supervisor(app):
    """Who types comes and goes; but with the last that is attached, a dyno's input ends."""
    app.start()
    app.submit(app.release({"Type": "web", "Stdin": True,
                            "Args": ["while read -r line; do echo got $line; done; echo end of file"]},
                           ("none", ["readlink /proc/self/fd/0; exec sleep 1000"], 1)))
    app.wait_up("web.1")
    app.wait_line(r"app\[none\.1\]: /dev/null$")
    app.type_line("web.1", "one", "got one")
    app.type_line("web.1", "two", "got two")
    app.no_line("end of file")
    os.kill(app.supervisor(), signal.SIGKILL)
    app.wait_line(r"app\[web\.1\]: end of file$")
    app.wait_line(r"hsup\[web\.1\]: process exited with status 0")
    app.wait_line(r"hsup\[web\.1\]: state changed from starting to up", count=2)


def last_lines_may_come_late(app):
    """When its log is taken up while it is being written: with the next that it writes, or with its end.
    None is lost, and none comes twice."""
    from test_driver_reattach import assert_all_once, kill_quickly
    last = 40_000
    kill_quickly(app, last)
    wait_until(lambda: (app.shared / "at").read_text() == str(last), "all to be written", 3 * PATIENCE)
    assert app.stop() == 0
    assert_all_once(app, last)


def may_raise_limits():
    status = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    return bool(int(status["CapEff"], 16) >> 24 & 1)  # CAP_SYS_RESOURCE


def open_files_need_more_processes(app):
    """With a limit of its own podman asks for 1048576 processes, too, which a machine may not
    grant."""
    app.start()
    app.submit(app.release({"Type": "web", "Args": SLEEP, "Limits": {"OpenFiles": 123}}))
    app.wait_line(r"hsup\[web\.1\]: podman: .*error setting rlimit type 6")
    app.wait_line(r"hsup\[web\.1\]: process could not start: .*Permission denied")
    app.submit(app.release({"Type": "web", "User": "nobody", "Args": ["exec ./tool forks 60"],
                            "Limits": {"Processes": 40}}, Version=2))
    assert 1 < int(app.wait_line(r"app\[web\.1\]: forked (\d+)$").group(1)) < 40


DIFFERENCES = {
    "test_attach": input_ends_with_the_supervisor,
    "test_no_line_is_lost_over_quick_kills_of_a_fast_writer": last_lines_may_come_late,
}
if not may_raise_limits():
    DIFFERENCES["test_open_files_and_processes"] = open_files_need_more_processes
