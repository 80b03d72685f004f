"""Fixtures: the real programs, in folders of the test's own, and nothing left behind.

HSUP_BUILD_DIR names the build (default: build/). A skip is a failure: what cannot be tested here
must be seen.
"""
import os
import pathlib
import shutil
import signal
import tempfile
import time

import pytest

import vm_lists
from abspath import DIFFERENCES as OF_ABSPATH
from engines import driver, engines, make_driver_app, slug, tool  # noqa: F401 (fixtures)
from hsup import App, marked_processes
from native import DIFFERENCES as OF_NATIVE
from native import ROOTLESS, ROOTLESS_ALWAYS, ROOTLESS_DIFFERENCES
from podman import DIFFERENCES as OF_PODMAN
from vm_suite import IN_VM, IN_VM_ALWAYS, Inside
from wire import Launcher

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("HSUP_BUILD_DIR", ROOT / "build")).resolve()


# What nohup and a shell's `&` have us ignore, every program of the tests would ignore, too.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def told_to_end(*_):
    raise KeyboardInterrupt


# Fixtures end what they have started: an engine would outlive a pytest that is just killed.
signal.signal(signal.SIGTERM, told_to_end)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure: {report.longrepr}"


def driver_of(item):
    of = getattr(item, "callspec", None)
    return of and of.params.get("driver")


def inside(item, name):
    return Inside.from_parent(item.parent, name=name, item=item, build=BUILD)


@pytest.hookimpl(hookwrapper=True)
def pytest_pycollect_makeitem():
    """What is always run here and there is there by its name, for who runs again what has failed."""
    made = (yield).get_result()
    if isinstance(made, list) and not os.environ.get("HSUP_TEST_DRIVERS"):
        made += [inside(item, f"{item.name}[{IN_VM}]") for item in made if vm_lists.is_always_run(item)]


def pytest_collection_modifyitems(config, items):
    """Without what is not asked for by the name of its driver, and not said to be always run. What is for the
    virtual machine goes there: when it alone is asked for, all that can."""
    asked = os.environ.get("HSUP_TEST_DRIVERS")
    always = {ROOTLESS: ROOTLESS_ALWAYS, IN_VM: IN_VM_ALWAYS}
    config.not_in_vm = [item for item in items if asked == IN_VM and vm_lists.why_not(item)]

    def left_out(item):
        return item in config.not_in_vm or (
            not asked and driver_of(item) in always and item.originalname not in always[driver_of(item)])

    config.hook.pytest_deselected(items=[item for item in items if left_out(item)])
    items[:] = [inside(item, item.name) if asked == IN_VM or driver_of(item) == IN_VM else item
                for item in items if not left_out(item)]


def pytest_terminal_summary(terminalreporter, config):
    """What was not run there is said, whatever else is not."""
    for item in getattr(config, "not_in_vm", ()):
        terminalreporter.write_line(f"not in the virtual machine: {item.nodeid}: {vm_lists.why_not(item)}")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    differences = {"podman": OF_PODMAN, "native": OF_NATIVE, "libcontainer": OF_NATIVE,
                   ROOTLESS: ROOTLESS_DIFFERENCES, "abspath": OF_ABSPATH}
    instead = differences.get(pyfuncitem.funcargs.get("driver"), {}).get(pyfuncitem.originalname)
    if instead is None:
        return None
    instead(pyfuncitem.funcargs["app"])
    return True


@pytest.fixture(scope="session")
def build():
    for program in ("hsup", "hsup-launcher", "hsup-slug", "hsup-box"):
        assert (BUILD / program).exists(), f"{BUILD / program} is missing: build first"
    return BUILD


@pytest.fixture
def folder():
    """A short path (names of sockets have limits), open to other users, removed at the end."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="hsup-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)
    assert not path.exists()


@pytest.fixture
def reachable(build, folder):
    """The programs where other users can run them: the build may be below a private home."""
    path = folder / "bin"
    path.mkdir()
    for program in ("hsup", "hsup-launcher", "hsup-slug", "hsup-box"):
        shutil.copy(build / program, path)
    return path


@pytest.fixture
def make_app(build, folder):
    """Makes any number of apps; all are stopped at the end, and none may leave a process."""
    apps = []

    def make(name="app", programs=build, **options):
        apps.append(App(programs, folder / name, **options))
        return apps[-1]

    yield make
    for app in apps:
        app.end()
    left = [p for app in apps for p in marked_processes(app.mark)]
    assert not left, f"processes left behind: {left}"


@pytest.fixture
def app(make_app):
    return make_app()


@pytest.fixture
def start(folder):
    """Starts launchers; the test is their supervisor (wire.py)."""
    started = []

    def make(**more):
        started.append(Launcher(folder, **more))
        return started[-1]

    yield make
    for launcher in started:
        if launcher.process.poll() is None:
            for _ in range(3):
                launcher.process.send_signal(signal.SIGTERM)
                time.sleep(0.02)
            launcher.process.wait(20)
        launcher.listener.close()
