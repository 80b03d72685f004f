"""What `hsup -d native` does before it becomes the launcher: settings, folders, hsup-box --setup.

hsup-box is a script here, which writes down how it was called.
"""
import os
import pathlib
import shutil
import signal
import stat

import pytest

from hsup import command_line, wait_until

SETUP = """#!/bin/sh
for word; do echo "$word"; done >{folder}/words.new
mv {folder}/words.new {folder}/words
cat {folder}/said >&2
exit $(cat {folder}/code)
"""
SUBNET = {"LIBCONTAINER_DYNO_SUBNET": "10.201.0.0/24", "LIBCONTAINER_DYNO_UID_MIN": "4000",
          "LIBCONTAINER_DYNO_UID_MAX": "4059"}


@pytest.fixture
def native(make_app, build, folder):
    """An app, whose hsup-box is ours. Nothing of this is where the machine's own would be."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("hsup", "hsup-launcher", "hsup-slug"):
        shutil.copy(build / name, programs)
    box = programs / "hsup-box"
    box.write_text(SETUP.format(folder=folder))
    box.chmod(0o755)
    (folder / "code").write_text("0")
    (folder / "said").write_text("")
    app = make_app(programs=programs, user=None)
    app.env.update(SUBNET, HSUP_BOX_RUN=str(folder / "locks"))
    app.submit(app.release(("web", ["sleep", "1000"], 1)))
    return app


def setup_words(folder):
    wait_until((folder / "words").exists, "hsup-box --setup")
    return (folder / "words").read_text().splitlines()


def launcher_words(app):
    return wait_until(lambda: "hsup-launcher" in command_line(app.process.pid) and
                      command_line(app.process.pid).split("\0"), "the launcher")


def refused(app, *args):
    """The one line that it says."""
    app.start("-d", "native", *args)
    assert app.wait(10) == 1
    text, app.errors = app.errors, ""
    return text


def test_what_setup_and_launcher_are_told(native, folder):
    native.start("-d", "native")
    words = setup_words(folder)
    state = native.folder / "state"
    expected = {f"{name}={value}" for name, value in {
        **SUBNET, "HSUP_BOX_RUN": folder / "locks", "HSUP_BOX_STATE": f"{state}/native",
        "HSUP_BOX_STACKS": f"{state}/stacks", "HSUP_BOX_SLUGS": f"{state}/apps", "HSUP_BOX_BINDS": "/"}.items()}
    assert words[0] == "--setup" and set(words[1:]) == expected and len(words) == 1 + len(expected)
    launcher = launcher_words(native)
    assert f"--box={folder}/bin/hsup-box" in launcher
    assert {word[len("--box-option="):] for word in launcher if word.startswith("--box-option=")} == expected
    for path in (f"{state}/native", f"{state}/stacks", folder / "locks"):
        found = os.stat(path)
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o711)
    # And so is the supervisor, which must not think of others.
    environment = pathlib.Path(f"/proc/{native.process.pid}/environ").read_text().split("\0")
    assert expected <= set(environment)


def test_other_drivers_need_none_of_it(native, folder):
    native.start("-d", "simple")
    assert not (folder / "words").exists() and not (folder / "locks").exists()
    assert not any(word.startswith("--box") for word in launcher_words(native))


def test_what_setup_says_is_the_message(native, folder):
    (folder / "said").write_text("hsup-box: no nft here\n")
    (folder / "code").write_text("1")
    assert refused(native).splitlines() == ["hsup-box: no nft here"]


def test_who_starts_it_may_ignore_the_ends_of_children(native, folder):
    """And have us inherit that: then nobody could wait for one."""
    native.start("-d", "native", preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert launcher_words(native)


def test_a_setup_that_is_killed(native, folder):
    (folder / "bin/hsup-box").write_text("#!/bin/sh\nkill -9 $$\n")
    assert "hsup-box --setup ended by SIGKILL" in refused(native)


@pytest.mark.parametrize("name, value, said", [
    ("LIBCONTAINER_DYNO_SUBNET", "10.201.0.1/24", "LIBCONTAINER_DYNO_SUBNET: '10.201.0.1/24' is not"),
    ("LIBCONTAINER_DYNO_UID_MIN", "0", "LIBCONTAINER_DYNO_UID_MIN: '0' is not a uid above 0"),
    ("LIBCONTAINER_DYNO_UID_MAX", "3999", "UID_MIN (4000) is above LIBCONTAINER_DYNO_UID_MAX (3999)"),
    ("HSUP_BOX_STATE", "relative", "HSUP_BOX_STATE: 'relative' is not an absolute path"),
    ("HSUP_BOX_STACKS", "/proc/nowhere/stacks", "native dynos: HSUP_BOX_STACKS: /proc/nowhere/stacks: No such file"),
])
def test_settings_that_are_refused(native, folder, name, value, said):
    native.env[name] = value
    lines = refused(native).splitlines()
    assert len(lines) == 1 and said in lines[0]
    assert not (folder / "words").exists()


def test_an_empty_setting_is_none(native, folder):
    native.env["LIBCONTAINER_DYNO_NETWORK"] = native.env["HSUP_BOX_BINDS"] = ""
    native.start("-d", "native")
    words = setup_words(folder)
    assert "HSUP_BOX_BINDS=/" in words and not any("NETWORK" in word for word in words)


@pytest.mark.parametrize("variable", [None, "", "host", "bridge"])
def test_a_network_by_option(native, folder, variable):
    """It goes before the variable, whatever that says."""
    if variable is not None:
        native.env["LIBCONTAINER_DYNO_NETWORK"] = variable
    native.start("-d", "native", "--network", "none")
    assert [word for word in setup_words(folder) if "NETWORK" in word] == ["LIBCONTAINER_DYNO_NETWORK=none"]
    assert [word for word in launcher_words(native) if "NETWORK" in word] == \
        ["--box-option=LIBCONTAINER_DYNO_NETWORK=none"]


def test_a_network_of_another_driver(native):
    """None has it; nor is it refused, as with --warm."""
    native.start("-d", "simple", "--network", "none", "--warm", "1")
    native.wait_up("web.1")
    assert not any("NETWORK" in word for word in launcher_words(native))


@pytest.mark.parametrize("name", ["HSUP_BOX_STATE", "HSUP_BOX_STACKS", "HSUP_BOX_RUN"])
@pytest.mark.parametrize("how", ["theirs", "above", "writable"])
def test_a_folder_that_others_could_replace(native, folder, name, how):
    place = folder / "place" / "of" / "boxes"
    place.mkdir(parents=True)
    if how == "writable":
        place.chmod(0o1777)  # where they could put things, though move nothing
    else:
        os.chown(place if how == "theirs" else place.parent, 4001, 4001)
    native.env[name] = str(place)
    text = refused(native)
    assert "belongs to others or can be written by them" in text and f"with {name}" in text
    assert not (folder / "words").exists()


@pytest.mark.parametrize("name", ["HSUP_BOX_STATE", "HSUP_BOX_STACKS", "HSUP_BOX_RUN"])
def test_a_link_of_root_s(native, folder, name):
    """It is followed once, and never again."""
    (folder / "place").mkdir()
    (folder / "all").mkdir()
    (folder / "all").chmod(0o1777)
    (folder / "all" / "link").symlink_to("../place")
    native.env[name] = str(folder / "all" / "link" / "of")
    native.start("-d", "native")
    assert f"{name}={folder}/place/of" in setup_words(folder)
    assert f"--box-option={name}={folder}/place/of" in launcher_words(native)
    environment = pathlib.Path(f"/proc/{native.process.pid}/environ").read_text().split("\0")
    assert f"{name}={folder}/place/of" in environment
    assert stat.S_IMODE((folder / "place/of").stat().st_mode) == 0o711


@pytest.mark.parametrize("name", ["HSUP_BOX_STATE", "HSUP_BOX_STACKS", "HSUP_BOX_RUN"])
@pytest.mark.parametrize("how", ["shared", "theirs"])
def test_a_link_of_others_to_a_folder_of_root_s(native, folder, name, how):
    """Root would keep boxes, and sweep, in any folder of its own that they choose."""
    (folder / "place").mkdir()
    (folder / "all").mkdir()
    link = folder / "all" / "link"
    link.symlink_to(folder / "place")
    if how == "shared":
        (folder / "all").chmod(0o1777)
        os.chown(link, 4001, 4001, follow_symlinks=False)
    else:
        os.chown(folder / "all", 4001, 4001)  # whose link it is does not matter
    native.env[name] = str(link / "of" / "boxes")
    text = refused(native)
    assert f"native dynos: {name}: {link}/of/boxes: its part link is a link, which root does not follow" in text
    assert not (folder / "words").exists() and not list((folder / "place").iterdir())


@pytest.mark.parametrize("name, part", [("HSUP_BOX_STATE", "native"), ("HSUP_BOX_STACKS", "stacks")])
def test_a_state_directory_of_an_account(native, folder, name, part):
    """It leads nowhere: neither by a link of his, nor by where hsup is on its way."""
    state = native.folder / "state"
    (folder / "place").mkdir()
    state.mkdir()
    os.chown(state, 4002, 4002)
    native.env.update(HSUP_BOX_STATE=str(folder / "layers"), HSUP_BOX_STACKS=str(folder / "stacks"))
    del native.env[name]
    (state / part).symlink_to(folder / "place")
    assert f"{name}: {state}/{part}: its part {part} is a link" in refused(native)
    (state / part).unlink()
    native.env[name] = f"{state}/../../{folder.name}/place"
    assert "belongs to others or can be written by them" in refused(native)
    assert not (folder / "words").exists() and not list((folder / "place").iterdir())


def test_a_supervisor_of_its_own_user_may_bind_what_root_names(native, folder):
    """And nothing else; and where it may write root keeps nothing."""
    state = native.folder / "state"
    state.mkdir()
    for path in [native.control, *native.control.rglob("*"), state]:
        os.chown(path, 4002, 4002)
    args = ["--user", "4002", "--dyno-user", "4003"]
    assert "with HSUP_BOX_STATE" in refused(native, *args)
    native.env.update(HSUP_BOX_STATE=str(folder / "layers"), HSUP_BOX_STACKS=str(folder / "stacks"))
    native.start("-d", "native", *args)
    def binds():
        return [word.split("=", 1)[1] for word in setup_words(folder) if word.startswith("HSUP_BOX_BINDS=")]
    # The notify sockets' folder is in the app's own.
    own = binds()
    assert len(own) == 1 and own[0].startswith(f"{native.env['HSUP_RUNTIME_DIR']}/"), own
    native.stop()
    (folder / "words").unlink()
    native.env["HSUP_BOX_BINDS"] = "/srv"
    native.start("-d", "native", *args)
    assert binds() == ["/srv", *own]
