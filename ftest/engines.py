"""Fixtures of the tests that run dynos with an engine: one engine for all, looked at after each."""
import pytest

import helpers
import roots
from driver_app import BASH, BUSYBOX, DRIVERS, DriverApp, pack
from engine import Docker, Podman
from hsup import wait_until
from native import Native

KINDS = {"docker": lambda: Docker(), "podman": lambda: Podman(), "docker-net": lambda: Docker(own_network=True)}


class Engines:
    """Each is started when it is first asked for, and ends with the session."""

    def __init__(self, folder):
        self.folder = folder
        self.running = {}
        self.archives = {}

    def archive(self, name):
        if name not in self.archives:
            make = {BUSYBOX: roots.busybox, BASH: roots.bash}[name]
            self.archives[name] = make(self.folder / f"{name.replace('/', '-')}.tar")
        return self.archives[name]

    def with_bases(self, engine):
        for name in (BUSYBOX, BASH):
            engine.base(name, self.archive(name))
        return engine

    def get(self, kind):
        if kind not in self.running:
            engine = KINDS[kind]()
            self.running[kind] = engine  # before its start: it ends in any case
            self.with_bases(engine.start())
        return self.running[kind]

    def end(self):
        faults = []
        for engine in self.running.values():
            try:
                engine.end()
            except AssertionError as e:
                faults.append(str(e))
        assert not faults, faults


@pytest.fixture(scope="session")
def engines(tmp_path_factory):
    all_of_them = Engines(tmp_path_factory.mktemp("engines"))
    yield all_of_them
    all_of_them.end()


@pytest.fixture(scope="session")
def tool(tmp_path_factory):
    """tool.c, as a slug and as a program."""
    return helpers.make("tool", tmp_path_factory.mktemp("tool") / "tool")


@pytest.fixture(scope="session")
def slug(tool):
    return pack(tool.parent / "slug.tgz", {
        "tool": tool, ".profile.d/app.sh": "export FROM_APP_PROFILE=$FROM_STACK_PROFILE+app\n"})


def judge(engine, apps):
    """After a test: no container, network, volume or process; images of an app two at most."""
    def look():
        found = engine.leftovers()
        return [found] if not found else None
    try:
        wait_until(look, "nothing to be left", 5)
    except AssertionError:
        found = engine.leftovers()
        engine.clean()
        raise AssertionError(f"left with {engine.name}: {found}") from None
    images = engine.foreign_images()
    engine.clean()
    owners = [(image["Labels"] or {}).get("hsup.owner") for image in images]
    assert None not in owners, images
    for owner in owners:
        assert owners.count(owner) <= 2, images
    assert not engine.foreign_images(), engine.foreign_images()


@pytest.fixture
def make_driver_app(build, folder, engines, slug):
    """Makes apps of a driver, or of an engine that the test says; all end, and nothing is left."""
    made, machine = [], Native.machine()

    def make(driver, name="app", engine=None, with_slug=True, **options):
        if engine is None and driver not in ("simple", "abspath") and driver not in Native.NAMES:
            engine = engines.get(driver)
        made.append(DriverApp(build, folder / name, driver, engine, slug if with_slug else None, **options))
        return made[-1]

    yield make
    faults = []
    for app in made:
        app.end()
    for engine in {app.engine for app in made if app.engine} & set(engines.running.values()):
        try:
            judge(engine, made)
        except AssertionError as e:
            faults.append(str(e))
    if any(app.boxes for app in made):
        try:
            Native.judge(made, machine)
        except AssertionError as e:
            faults.append(str(e))
    assert not faults, "\n".join(faults)
    left = [pid for app in made for pid in app.marked()]
    assert not left, f"processes left behind: {left}"


@pytest.fixture(params=DRIVERS, scope="session")
def driver(request):
    return request.param


@pytest.fixture
def app(driver, make_driver_app):
    """For the tests that import it: an app of each driver in turn."""
    return make_driver_app(driver)
