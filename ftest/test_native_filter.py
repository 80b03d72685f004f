"""The packet filter of native dynos, when somebody else of the machine loads his own anew.

The machine is a network namespace of the test's own: hsup, its dynos and whoever flushes the ruleset are in it, and
nobody else."""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import time

import pytest

from box_machine import HERE, SERVE, machine_of
from hsup import PATIENCE, children_of, command_line, marked_processes, wait_until
from test_native_warm import SAY, end, taken, wait_parked

UIDS, PORTS, SUBNET = (5200, 5299), (20200, 20299), "10.203.52.0/22"
AGAIN = "the packet filter of dynos was removed by somebody, and is made again"
EMPTIED = "rules of the packet filter of dynos were removed by somebody: they are made again"
# Whether it reaches the machine, at its first instruction.
PROBE = ("/usr/bin/python3 -c 'import errno, socket, sys\n"
         "s = socket.socket()\n"
         "s.settimeout(5)\n"
         "e = s.connect_ex((sys.argv[1], int(sys.argv[2])))\n"
         "print(\"reached\" if e == 0 else errno.errorcode.get(e, e))' " + f"{HERE} 7000; exec sleep 1000")


@pytest.fixture
def machine(build, folder):
    with machine_of(build / "tests" / "drive-box", folder / "m") as m:
        yield m


@pytest.fixture
def app(machine, make_driver_app):
    app = make_driver_app("native")
    app.machine = machine
    app.env.update(LIBCONTAINER_DYNO_UID_MIN=str(UIDS[0]), LIBCONTAINER_DYNO_UID_MAX=str(UIDS[1]),
                   LIBCONTAINER_DYNO_SUBNET=SUBNET, HSUP_BOX_RUN=str(app.folder / "run"),
                   HSUP_BOX_STATE=str(app.folder / "state/native"))
    return app


def begin(app, *options, process=("web", [SAY], 1), wrap=()):
    app.start("--verbose", *options, wrap=[*app.machine.command(), *wrap])
    app.submit(app.release(process))
    app.wait_up("web.1")


def nft(app, *words):
    return app.machine.run("nft", *words, check=True).stdout


def flush(app):
    """As most firewalls do before they load their rules."""
    nft(app, "flush", "ruleset")


def wait_table(app):
    wait_until(app.machine.has_table, "the table to be made again")


def stop(app):
    """Our own last sweep takes it away (unless others of this machine are just using its cgroups): that is no removal."""
    before = app.errors.count(AGAIN), app.errors.count("stands again")
    assert app.stop() == 0
    assert (app.errors.count(AGAIN), app.errors.count("stands again")) == before


def other_nft(app, condition):
    """How to start hsup with an nft that says `condition` of a file first, which is returned, too."""
    folder, flag = app.folder / "nft", app.folder / "nft/flag"
    folder.mkdir()
    shutil.copy("/usr/sbin/nft", folder / "real")
    (folder / "other").write_text(f"#!/bin/sh\n{condition.format(flag)}\nexec {folder}/real \"$@\"\n")
    (folder / "other").chmod(0o755)
    script = 'mount --bind "$0" "$(readlink -f /usr/sbin/nft)" && exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, str(folder / "other")], flag


def test_of_those_that_run(app):
    """None is parked, and none is started: nobody looks but the one who is told."""
    begin(app)
    before = nft(app, "list", "table", "inet", "hsup")
    for _ in range(3):
        flush(app)
        wait_table(app)
        assert nft(app, "list", "table", "inet", "hsup") == before
    wait_until(lambda: app.errors.count(AGAIN) == 3, "it to be said")
    nft(app, "delete", "table", "inet", "hsup")
    wait_until(lambda: app.errors.count(AGAIN) == app.errors.count("stands again") == 4, "the last one to be said")
    assert app.machine.has_table()
    stop(app)


def test_what_runs_reaches_nothing_again(app):
    app.machine.serve(7000)
    script = "while read x; do " + PROBE.partition("; exec")[0] + "; done"
    wrap, waits = other_nft(app, "while [ -e {} ]; do sleep 0.05; done")
    begin(app, process={"Type": "web", "Stdin": True, "Args": [script]}, wrap=wrap)
    app.type_line("web.1", "go", "EHOSTUNREACH")
    waits.touch()
    nft(app, "flush", "chain", "inet", "hsup", "input")
    # It is this table that keeps it from there.
    app.type_line("web.1", "go", "reached")
    waits.unlink()
    wait_until(lambda: app.errors.count("stands again") == 1, "the rules to be made again")
    app.type_line("web.1", "go", "EHOSTUNREACH")
    flush(app)
    wait_until(lambda: app.errors.count("stands again") == 2, "the table to be made again")
    app.type_line("web.1", "go", "EHOSTUNREACH")


def handle(app, chain):
    """Of its first rule."""
    return re.search(r"# handle (\d+)$", nft(app, "-a", "list", "chain", "inet", "hsup", chain).partition("policy")[2],
                     re.M)[1]


def parts(app):
    """The sets and chains of the table, in any order."""
    return sorted(re.findall(r"^\t(?:set|map|chain) .*?^\t}$", nft(app, "list", "table", "inet", "hsup"), re.M | re.S))


def test_one_that_is_emptied(app):
    """Its name is left: of all its rules, of a chain, or of one of them."""
    begin(app)
    before = parts(app)
    for n, words in enumerate((lambda: "flush table inet hsup", lambda: "flush chain inet hsup forward",
                               lambda: f"delete rule inet hsup arrive handle {handle(app, 'arrive')}",
                               lambda: "add table ip other; flush chain inet hsup leave; add chain ip other c",
                               lambda: "flush chain inet hsup input; delete chain inet hsup input"), 1):
        nft(app, words())
        wait_until(lambda: app.errors.count("stands again") == n, "it to be made again")
        assert parts(app) == before
    assert app.errors.count(EMPTIED) == n and AGAIN not in app.errors
    stop(app)


def test_one_of_several(app, make_driver_app):
    """Each makes it again, once, and is no news for the other."""
    other = make_driver_app("native", name="other")
    other.machine = app.machine
    other.env.update(HSUP_BOX_RUN=app.env["HSUP_BOX_RUN"], LIBCONTAINER_DYNO_UID_MIN="5300", LIBCONTAINER_DYNO_UID_MAX="5399",
                     LIBCONTAINER_DYNO_SUBNET="10.203.56.0/22", HSUP_BOX_STATE=str(other.folder / "state/native"),
                     LIBCONTAINER_DYNO_EXTRA_INTERFACE="up0:198.51.100.100-198.51.100.199/24")
    begin(app)
    begin(other)
    before = parts(app)
    nft(app, "flush table inet hsup")
    wait_until(lambda: [a.errors.count("stands again") for a in (app, other)] == [1, 1], "both to have made it again")
    time.sleep(0.5)
    assert [(a.errors.count("stands again"), a.errors.count(EMPTIED)) for a in (app, other)] == [(1, 1)] * 2
    assert parts(app) == before


def test_what_is_as_much_as_before_is_left(app):
    """Rules that are made anew at once, as a mending of another hsup's does, and what others add; then less."""
    begin(app)
    rules = nft(app, "list", "table", "inet", "hsup")
    nft(app, "flush table inet hsup; " + "; ".join(
        f"add rule inet hsup {chain} {line.strip()}" for chain, text in re.findall(r"chain (\w+) {(.*?)\n\t}", rules, re.S)
        for line in text.splitlines()[2:]))
    nft(app, "insert rule inet hsup forward accept")
    time.sleep(0.5)
    assert "stands again" not in app.errors and EMPTIED not in app.errors
    nft(app, "delete rule inet hsup forward handle " + handle(app, "forward"))
    wait_until(lambda: app.errors.count("stands again") == 1, "it to be looked at")
    assert app.errors.count(EMPTIED) == 1
    assert nft(app, "list", "table", "inet", "hsup") == rules


def test_ports_lead_to_those_that_run_again(app):
    """And to the dyno's own, though that is not the one that others have."""
    app.env["HSUP_BOX_PUBLISH"] = f"{PORTS[0]}-{PORTS[1]}"
    app.write("serve.py", SERVE)
    command = f"exec /usr/bin/python3 {app.shared}/serve.py $PORT"
    begin(app, "--warm", "1", process={"Type": "web", "Quantity": 2, "Ready": {"Listen": True, "Interval": 0.05},
                                       "Args": [command], "Env": {"PORT": "5123"}})
    app.wait_up("web.2")
    wait_parked(app, 1)
    published = [dyno["published"] for dyno in app.ps().values()]

    def answers():
        return [app.machine.connect(HERE, port) for port in published]
    assert answers() == [HERE] * 2
    before = nft(app, "list", "map", "inet", "hsup", "published")
    assert before.count("5123") == 3, before
    flush(app)
    wait_until(lambda: "stands again" in app.errors, "the ports to lead there again")
    assert nft(app, "list", "map", "inet", "hsup", "published") == before
    assert answers() == [HERE] * 2
    # What is parked is still good for a start, and what it takes is swept as ever.
    end(app, "web.1")
    wait_until(lambda: taken(app, "web.1"), "one to be taken")
    stop(app)


def cold_then_parked(app):
    """Filtered both: the one after the first takes none that is parked, the one behind it does as ever."""
    app.wait_line(r"app\[web\.1\]: EHOSTUNREACH$", count=2)
    assert taken(app, "web.1") == []
    wait_until(lambda: "stands again" in app.errors, "the launcher to know")
    wait_parked(app, 1)
    end(app, "web.1")
    app.wait_line(r"app\[web\.1\]: EHOSTUNREACH$", count=3)
    assert len(taken(app, "web.1")) == 1
    app.no_line("could not start|reached")


def test_the_next_one_is_filtered(app):
    """Warm or cold, and however long it takes until there is a table again."""
    app.machine.serve(7000)
    wrap, waits = other_nft(app, "while [ -e {} ]; do sleep 0.05; done")
    begin(app, "--warm", "1", process=("web", [PROBE], 1), wrap=wrap)
    app.wait_line(r"app\[web\.1\]: EHOSTUNREACH$")
    wait_parked(app, 1)
    waits.touch()
    flush(app)
    end(app, "web.1")
    # It waits for the table itself: what is parked is not taken.
    time.sleep(1)
    assert not app.machine.has_table()
    assert len(app.texts("web.1")) == 1
    waits.unlink()
    cold_then_parked(app)


def test_it_cannot_be_made(app):
    """That is said once, and is tried again when there is somebody whom it would be for: who waits for it."""
    app.machine.serve(7000)
    wrap, fails = other_nft(app, "[ -e {} ] && echo no rules today && exit 1")
    begin(app, "--warm", "1", process=("web", [PROBE], 1), wrap=wrap)
    app.wait_line(r"app\[web\.1\]: EHOSTUNREACH$")
    wait_parked(app, 1)
    fails.touch()
    flush(app)
    said = "could not be made again: /usr/sbin/nft does not take the rules: no rules today"
    wait_until(lambda: said in app.errors, "it to be said")
    fails.unlink()
    nft(app, "add table ip other")
    time.sleep(0.5)
    assert app.errors.count("hsup-box: ") == 1 and not app.machine.has_table()
    end(app, "web.1")
    cold_then_parked(app)


def mending(app):
    """hsup-box and nft, when they are at it."""
    boxes = [pid for pid in children_of(app.launcher) if "--mend" in command_line(pid)]
    return [*boxes, *(child for pid in boxes for child in children_of(pid))]


def test_again_while_it_is_being_made(app):
    """Who is making it may have done so before it was removed."""
    wrap, waits = other_nft(app, "while [ -e {} ]; do sleep 0.05; done")
    begin(app, wrap=wrap)
    waits.touch()
    flush(app)
    wait_until(lambda: len(mending(app)) == 2, "nft to be run")
    nft(app, "add table inet hsup; delete table inet hsup")
    time.sleep(0.2)
    assert "stands again" not in app.errors
    waits.unlink()
    wait_until(lambda: app.errors.count("stands again") == 2, "it to be made twice")
    assert app.machine.has_table()


def test_one_that_hangs_is_ended(app):
    wrap, waits = other_nft(app, "while [ -e {} ]; do sleep 0.05; done")
    begin(app, "--warm", "1", wrap=wrap)
    wait_parked(app, 1)
    waits.touch()
    flush(app)
    wait_until(lambda: len(mending(app)) == 2, "nft to be run")
    pids = mending(app)
    wait_until(lambda: "could not be made again within 10 s" in app.errors, "it to be given up", patience=2 * PATIENCE)
    wait_until(lambda: not any(map(command_line, pids)), "both to be ended")
    assert not app.machine.has_table()
    waits.unlink()
    end(app, "web.1")
    app.wait_line(r"hsup\[web\.1\]: state changed from \w+ to up", count=2)
    wait_table(app)


def test_what_nobody_heard(app):
    """The launcher was killed: ports of those that live on lead to them again."""
    app.env["HSUP_BOX_PUBLISH"] = f"{PORTS[0]}-{PORTS[1]}"
    app.write("serve.py", SERVE)
    begin(app, process={"Type": "web", "Ready": {"Listen": True, "Interval": 0.05},
                        "Args": [f"exec /usr/bin/python3 {app.shared}/serve.py $PORT"]})
    [published] = [dyno["published"] for dyno in app.ps().values()]
    before = nft(app, "list", "map", "inet", "hsup", "published")
    supervisor = app.supervisor()
    os.kill(app.launcher, signal.SIGKILL)
    app.process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: supervisor not in marked_processes(app.mark), "the supervisor's end")
    flush(app)
    got = len(app.lines)
    app.start("--verbose", wrap=app.machine.command())
    app.wait_line(r"found 1 dynos? running", since=got)
    wait_until(lambda: nft(app, "list", "map", "inet", "hsup", "published") == before, "the port to lead there again")
    assert app.machine.connect(HERE, published) == HERE


def test_many_that_begin_meanwhile(app):
    """One after the other, from the moment of the flush on: whichever is first, the box or the table, none is without,
    and none is lost."""
    app.machine.serve(7000)
    names = [f"web.{n}" for n in range(1, 7)]
    begin(app, "--warm", "6", process=("web", [PROBE], 6))
    app.wait_up(*names)
    app.wait_line(r"app\[web\.\d\]: EHOSTUNREACH$", count=6)
    wait_parked(app, 6)
    inits = {name: dyno["pid"] for name, dyno in app.ps().items()}
    leaders = [children_of(inits[name])[0] for name in names]
    flush(app)
    for leader in leaders:
        os.kill(leader, signal.SIGKILL)
        time.sleep(0.002)
    app.wait_line(r"app\[web\.\d\]: EHOSTUNREACH$", count=12)
    wait_parked(app, 6)
    app.no_line("could not start|reached")
    assert app.machine.has_table()


def test_news_that_are_lost(app):
    """More than the socket holds while the launcher has no time for them."""
    begin(app)
    os.kill(app.launcher, signal.SIGSTOP)
    try:
        for n in range(150):
            nft(app, "add table ip other; flush table ip other; " +
                "; ".join(f"add chain ip other c{n}x{i}" for i in range(20)))
            if n == 140:
                nft(app, "delete", "table", "inet", "hsup")
        drops = [line.split() for line in pathlib.Path(f"/proc/{app.launcher}/net/netlink").read_text().splitlines()
                 if line.split()[1:4:2] == ["12", "00000040"]]
        assert [int(words[8]) > 0 for words in drops] == [True]
        assert not app.machine.has_table()
    finally:
        os.kill(app.launcher, signal.SIGCONT)
    wait_table(app)


def test_other_tables_are_none_of_ours(app):
    begin(app)
    for table in ("ip hsup", "inet hsup2", "inet hsu", "inet other"):
        nft(app, f"add table {table}; add chain {table} c; add rule {table} c drop")
        nft(app, f"delete table {table}")
    nft(app, "add element inet hsup subnets { 192.0.2.0/24 }")
    time.sleep(0.5)
    # It was not even looked at.
    assert "192.0.2.0/24" in nft(app, "list", "set", "inet", "hsup", "subnets")
    assert "hsup-box" not in app.errors and "stands again" not in app.errors
    # Among others' news, and behind them.
    nft(app, "add table ip other; delete table inet hsup; delete table ip other")
    wait_table(app)


def test_the_socket_is_nobody_elses(app):
    """Neither the supervisor, nor who is parked, nor a dyno or its init can hear what the firewall's rules are."""
    begin(app, "--warm", "1", process=("web", ["ls /proc/self/fd | tr '\\n' ' '; echo; exec sleep 1000"], 1))
    heard = [line.split()[9] for line in pathlib.Path(f"/proc/{app.launcher}/net/netlink").read_text().splitlines()
             if line.split()[1:4:2] == ["12", "00000040"]]
    [inode] = heard

    def has(pid):
        folder = pathlib.Path(f"/proc/{pid}/fd")
        return f"socket:[{inode}]" in {os.readlink(folder / fd) for fd in os.listdir(folder)}
    [waiting] = wait_parked(app, 1)
    init = app.ps()["web.1"]["pid"]
    wait_until(lambda: len(children_of(init)) == len(app.texts("web.1")) == 1, "it to be by itself")
    others = [app.supervisor(), init, *children_of(init), waiting, *children_of(waiting)]
    assert has(app.launcher)
    assert [pid for pid in others if has(pid)] == []
    end(app, "web.1")
    wait_until(lambda: taken(app, "web.1"), "one to be taken")
    wait_until(lambda: len(app.texts("web.1")) == 2, "it to say what it has")
    assert len(set(app.texts("web.1"))) == 1


def test_after_an_upgrade_of_the_launcher(app):
    begin(app)
    flush(app)
    wait_table(app)
    os.kill(app.launcher, signal.SIGUSR2)
    wait_until(lambda: "hsup-launcher now" in app.errors or "is hsup-launcher" in app.errors, "the upgrade")
    flush(app)
    wait_table(app)


def test_as_all_are_told_to_end(app):
    begin(app, process={"Type": "web", "StopTimeout": 20,
                        "Args": [f"trap '' TERM; echo deaf; while [ ! -e {app.shared}/end ]; do sleep 0.05; done"]})
    app.wait_line(r"app\[web\.1\]: deaf$")
    app.process.send_signal(signal.SIGTERM)
    app.wait_line("stopping|SIGTERM|TERM")
    flush(app)
    wait_table(app)
    app.write("end", "")
    assert app.process.wait(30) == 0
    assert app.errors.count(AGAIN) == app.errors.count("stands again") == 1


def test_without_a_network_of_its_own_nothing_is_made(app):
    app.env["LIBCONTAINER_DYNO_NETWORK"] = "none"
    begin(app)
    nft(app, "add table inet hsup")
    nft(app, "delete table inet hsup")
    wait_until(lambda: "stands again" in app.errors, "it to have been looked at")
    assert not app.machine.has_table() and AGAIN not in app.errors


# ---- a start of which nothing comes ----

@pytest.fixture
def alone(app):
    """How to start it where no cgroups are to be seen: those of other tests would keep the table."""
    return [*app.machine.command(), "unshare", "-m", "sh", "-c", 'umount -l /sys/fs/cgroup; exec "$0" "$@"']


def test_the_driver_is_refused(app, alone):
    app.env["HSUP_NATIVE_STACK"] = "nonsense"
    assert app.start(wrap=alone).wait() == 86
    assert "HSUP_NATIVE_STACK=nonsense: must be host" in "\n".join([*app.lines, app.errors])
    assert not app.machine.has_table() and not (app.folder / "run/present").exists()


def test_the_launcher_is_refused(app, alone, make_driver_app):
    """As another driver's runs on the same directory."""
    other = make_driver_app("simple", name="other")
    other.start()
    wait_until(lambda: other.hsup("ps", "-C", other.control).returncode == 0, "it to run")
    app.control = other.control
    app.env.update(HSUP_STATE_DIR=other.env["HSUP_STATE_DIR"], HSUP_RUNTIME_DIR=other.env["HSUP_RUNTIME_DIR"])
    assert app.start(wrap=alone).wait() == 1
    assert "it runs already" in app.errors
    assert not app.machine.has_table() and not (app.folder / "run/present").exists()
    app.errors = ""


def test_one_is_refused_beside_one_that_runs(app, alone, make_driver_app):
    """It takes nothing away from who has to do with it."""
    begin(app)
    other = make_driver_app("native", name="other")
    other.env.update(HSUP_BOX_RUN=app.env["HSUP_BOX_RUN"], LIBCONTAINER_DYNO_UID_MIN="5300", HSUP_NATIVE_STACK="nonsense",
                     LIBCONTAINER_DYNO_UID_MAX="5399", LIBCONTAINER_DYNO_SUBNET="10.203.56.0/22",
                     HSUP_BOX_STATE=str(other.folder / "state/native"))
    assert other.start(wrap=alone).wait() == 86
    assert app.machine.has_table() and (app.folder / "run/present").exists()
    assert AGAIN not in app.errors
