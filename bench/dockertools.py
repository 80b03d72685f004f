"""Docker's own programs, asked for the same containers as hsup asks for."""
import json
import os
import pathlib
import shutil
import subprocess

import starters

# That of the distribution, beside its engine: another one may be found first.
DOCKER = "/usr/bin/docker"


def docker_words(body):
    """The options of `docker run` that ask for the same."""
    host = body["HostConfig"]
    words = ["--init", "--network", host["NetworkMode"], "--user", body["User"], "--workdir", body["WorkingDir"],
             "--log-driver", host["LogConfig"]["Type"]]
    for option, values in (("--cap-drop", host["CapDrop"]), ("--security-opt", host["SecurityOpt"]),
                           ("--env", body["Env"])):
        for value in values or ():
            words += [option, value]
    for where, how in (host.get("Tmpfs") or {}).items():
        words += ["--tmpfs", f"{where}:{how}"]
    for mount in host.get("Mounts") or ():
        words += ["--mount", f"type={mount['Type']},source={mount['Source']},target={mount['Target']}"]
    for name, value in body["Labels"].items():
        words += ["--label", f"{name}={value}"]
    return words


def environ(bench, engine):
    return {**bench.environ, "DOCKER_HOST": engine.host}


def docker_runs(bench, engine, body, count):
    """`docker run -d`, all at once; ns of processor time."""
    words = [DOCKER, "run", "-d", *docker_words(body)]
    log = os.path.join(bench.folder, "docker")
    return starters.run_measured([[*words, "--name", f"cli-{i}", body["Image"], *body["Cmd"]] for i in range(count)],
                        environ(bench, engine), log)


def find_compose():
    """Its words; None when it is not installed."""
    plugin = subprocess.run([DOCKER, "compose", "version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            check=False)
    if plugin.returncode == 0:
        return [DOCKER, "compose"]
    program = shutil.which("docker-compose")
    return [program] if program else None


def write_compose(bench, body):
    host = body["HostConfig"]

    def plain(value):
        return value.replace("$", "$$")
    service = {
        "image": body["Image"], "command": [plain(word) for word in body["Cmd"]], "init": True,
        "network_mode": host["NetworkMode"], "user": body["User"], "working_dir": body["WorkingDir"],
        "cap_drop": host["CapDrop"], "security_opt": host["SecurityOpt"],
        "environment": [plain(word) for word in body["Env"]],
        "labels": {name: plain(value) for name, value in body["Labels"].items()},
        "tmpfs": [f"{where}:{how}" for where, how in (host.get("Tmpfs") or {}).items()],
        "volumes": [f"{m['Source']}:{m['Target']}" for m in host.get("Mounts") or ()],
        "logging": {"driver": host["LogConfig"]["Type"]},
    }
    path = os.path.join(bench.folder, "compose.json")
    pathlib.Path(path).write_text(json.dumps({"version": "2.4", "services": {"web": service}}), encoding="utf-8")
    return path


def compose_up(bench, engine, words, path, count):
    return starters.run_measured([[*words, "-p", "compose", "-f", path, "up", "-d", "--scale", f"web={count}"]],
                        environ(bench, engine), os.path.join(bench.folder, "compose"))
