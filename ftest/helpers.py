"""The small programs in C that tests need: compiled when they are asked for. HSUP_TEST_HELPERS is a folder where they are
already, on a machine without a compiler."""
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
PROBE = HERE / "probe"
SOURCES = {"tool": [HERE / "tool.c"], "probe": sorted(PROBE.glob("*.c")), "fake_box": [HERE / "fake_box.c"],
           "dying_box": [HERE / "dying_box.c"]}


def make(name, path):
    """It is linked statically: it runs in any root."""
    if os.environ.get("HSUP_TEST_HELPERS"):
        shutil.copy(pathlib.Path(os.environ["HSUP_TEST_HELPERS"]) / name, path)
    else:
        subprocess.run(["cc", "-O1", "-static", "-D_GNU_SOURCE", "-o", path, *SOURCES[name]], check=True)
    return path


def make_all(folder):
    for name in SOURCES:
        make(name, folder / name)
