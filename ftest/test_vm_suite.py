"""What becomes here of a test that is run in the virtual machine: its own pytest, with neither machine nor programs."""
import os
import pathlib
import re
import subprocess
import types

import pytest

import vm_lists
from vm_suite import Failed, NotRun, Told

INNER = """
import pytest

def test_passes():
    print("is not told")

def test_fails():
    print("what it said")
    assert 1 + 1 == 3

def test_skips():
    pytest.skip("cannot")

@pytest.fixture
def leaves():
    yield
    raise RuntimeError("something is left")

def test_leaves(leaves):
    pass
"""


class Off:
    """A machine that is off."""

    process = types.SimpleNamespace(poll=lambda: 0)

    @staticmethod
    def text():
        return "Power down"


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inner")
    (folder / "test_inner.py").write_text(INNER)
    results = folder / "results"
    results.touch()
    # (Of our conftest.py the rule that to skip is to fail.)
    done = subprocess.run(
        ["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "vm_results", "-p", "conftest", "-p", "no:cacheprovider",
         "--noconftest", folder / "test_inner.py"], cwd=folder, capture_output=True, text=True,
        env=dict(os.environ, HSUP_TEST_CHANNEL=str(results), PYTHONPATH=str(pathlib.Path(__file__).parent)))
    assert done.returncode == 1, (done.stdout, done.stderr)
    told = Told(results, Off)
    yield lambda test: told.wait(f"test_inner.py::{test}")
    told.close()


def test_who_passes_passes(told):
    told("test_passes")


@pytest.mark.parametrize("test, text", [
    ("test_fails", r"assert \(1 \+ 1\) == 3(.|\n)*what it said"), ("test_leaves", "something is left"),
    ("test_skips", "skipped, which counts as a failure")])
def test_who_fails_fails_with_the_same_words(told, test, text):
    with pytest.raises(Failed, match=text):
        told(test)


def test_who_was_not_run_fails(told):
    with pytest.raises(NotRun, match="test_else was not run; the machine said:\nPower down"):
        told("test_else")
    with pytest.raises(NotRun, match="test_third was not run$"):
        told("test_third")


# ---- which tests are run there ----

HERE = pathlib.Path(__file__).parent


def collected(drivers, *tests):
    """(node ids, what is said of those that are not)"""
    env = {**os.environ, "HSUP_TEST_DRIVERS": drivers}
    done = subprocess.run(["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only",
                           *(HERE / test for test in tests)], cwd=HERE, capture_output=True, text=True, env=env)
    assert done.returncode == 0, (done.stdout, done.stderr)
    lines = done.stdout.splitlines()
    return [line for line in lines if "::" in line and " " not in line], [line for line in lines if " in the virtual" in line]


@pytest.mark.parametrize("name", sorted({*vm_lists.LACKS, *vm_lists.ALWAYS}))
def test_what_is_listed_is_there(name):
    file, test = re.fullmatch(r"(\w+\.py)::(\w+)(?:\[.+\])?", name).groups()
    assert f"\ndef {test}(" in (HERE / file).read_text()


def test_what_cannot_be_run_there_is_said():
    ids, said = collected("native-vm", "test_box_cgroup.py")
    assert "test_box_cgroup.py::test_memory_is_limited" in ids
    assert not [name for name in ids if "test_unified" in name]
    assert "not in the virtual machine: test_box_cgroup.py::test_unified: " + vm_lists.A_MACHINE in said


def test_some_are_run_here_and_there():
    file, name = "test_native_security.py", "test_native_security.py::test_nothing_is_open"
    ids, said = collected("", file)
    assert {name, f"{name}[native-vm]"} <= set(ids) and not said
    assert collected("", f"{name}[native-vm]")[0] == [f"{name}[native-vm]"]
    assert name in collected("native-vm", file)[0]
    assert not [name for name in collected("native", file)[0] if "native-vm" in name]
