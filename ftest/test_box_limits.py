"""Limits of a box from the first instruction of its dyno on: cgroups of the old kind are joined later."""
import os
import pathlib
import shutil
import signal
import struct
import tempfile

import pytest

from boxes import Boxes
from hsup import children_of
from wire import record

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

BIND, DISK = 15, 16
USER = 65533


class Limited(Boxes):
    """Boxes that have the tool at /tool."""

    def __init__(self, folder, tool):
        super().__init__(folder)
        self.uids = (6700, 6749)
        self.tool = shutil.copy(tool, folder / "tool")

    def settings(self, **changed):
        return super().settings(LIBCONTAINER_DYNO_SUBNET="10.69.0.0/16", **changed)

    def first(self, *words, **how):
        """The tool is executed at once: no shell comes before it."""
        return self.start("/tool", *words, extra=record(BIND, f"{self.tool}:/tool".encode() + b"\0"), **how)


@pytest.fixture
def boxes(tool):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hsup-limits-"))
    folder.chmod(0o755)
    made = Limited(folder, tool)
    yield made
    made.close()
    shutil.rmtree(folder)


WHAT = pytest.mark.parametrize("what,said", [("forks", b"forked"), ("threads", b"threads")])


@WHAT
def test_processes_from_the_first_instruction_on(boxes, what, said):
    """Exactly: its first process is one of them, its init is none, and what other dynos have is not counted."""
    ran = [boxes.first(what, "400", limits={"processes": limit}) for limit in (7, 50)]
    for made, limit in zip(ran, (7, 50)):
        assert made.read() == b"%s %d\n" % (said, limit - 1)


@WHAT
def test_processes_without_root(boxes, what, said):
    """There it is the only limit of them. (Who has made its user namespace, here a child of the test, is in it.)"""
    for path in (boxes.run, boxes.state):
        os.chown(path, USER, USER)
    made = boxes.first(what, "400", limits={"processes": 20}, rootless=USER)
    assert made.read() == b"%s %d\n" % (said, 20 - 2)
    for init in children_of(made.pid):
        os.kill(init, signal.SIGKILL)
    made.wait()


def test_no_limit_is_none(boxes):
    assert boxes.first("forks", "400").read() == b"forked 400\n"


@pytest.mark.parametrize("memory", [True, False])
def test_what_is_written(boxes, memory):
    """In memory it is limited anywhere; on a disk without quotas it is not, and the box runs."""
    settings = boxes.settings(**({"HSUP_BOX_STATE": None} if memory else {}))
    made = boxes.shell("dd if=/dev/zero of=/tmp/x bs=64k count=50 2>/dev/null; stat -c %s /tmp/x",
                       extra=record(DISK, struct.pack("=Q", 1 << 20)), settings=settings)
    assert made.wait()[0] == 0
    assert 900 << 10 < int(made.text) <= 1 << 20 if memory else int(made.text) == 50 << 16
