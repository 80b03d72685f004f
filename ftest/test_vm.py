"""A machine whose init is hsup: it boots, runs a release, and goes down as it is told.

Everything that happens in it is said by dynos; the test reads the serial console.
"""
import json

import pytest

from vm import BEGIN, Initrd, Machine, slug

INIT = BEGIN + """export PATH=/bin:/usr/bin ASAN_OPTIONS=detect_leaks=0
exec hsup start -C /srv/app
"""

WEB = """
trap 'echo stops in order; exit 0' TERM
echo "pid $$ of $(cat /proc/1/comm), uid $(id -u), slug $(cat word)"
while :; do sleep 0.1; done
"""
GREETING = r"app\[web\.\d\]: pid \d+ of hsup-launcher, uid 0, slug packed"

# Everything that lives has a parent; what hangs on PID 1 is its own, or an orphan.
TESTER = """
children() {
	grep -h '^PPid:.1$' /proc/[0-9]*/status 2>/dev/null | wc -l
}
before=$(children)
n=0
while [ $n -lt 20 ]; do n=$((n+1)); (setsid sh -c 'echo $$ >>/tmp/pids; exec sleep 1000' &); done
while [ $(children) -lt $((before+20)) ] || [ $(wc -l </tmp/pids) -lt 20 ]; do sleep 0.1; done
echo twenty orphans
kill $(cat /tmp/pids)
while [ $(children) -gt $before ]; do sleep 0.1; done
echo no orphans

old=$(pidof hsup)
kill -9 $old
while new=$(pidof hsup); [ "$new" = "$old" ] || [ -z "$new" ]; do sleep 0.1; done
echo a new supervisor

sed 's/"Version": 1/"Version": 2/' /srv/app/loaded >/srv/app/beside && mv /srv/app/beside /srv/app/new
until grep -q '"Version": 2' /srv/app/loaded; do sleep 0.1; done
echo a new release
"""

TROUBLE = r"Kernel panic|Oops|Sanitizer|runtime error|Out of memory"


@pytest.fixture
def boot(build, folder):
    machines = []

    def boot(*processes):
        initrd = Initrd()
        initrd.program("/bin/busybox", "/bin/busybox")
        initrd.link("/bin/sh", "busybox")
        for program in ("hsup", "hsup-launcher", "hsup-slug"):
            initrd.program(f"/usr/bin/{program}", build / program)
        for path in ("/proc", "/sys", "/dev", "/run", "/tmp", "/root"):
            initrd.directory(path)
        initrd.file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        initrd.file("/init", INIT, 0o755)
        initrd.file("/srv/app/slug.tgz", slug())
        initrd.file("/srv/app/new", json.dumps({"Version": 1, "Slug": "slug.tgz", "Processes": [
            {"Type": kind, "Args": ["sh", "-c", script], "Quantity": quantity, "StartSeconds": 0.05}
            for kind, script, quantity in processes]}))
        machines.append(Machine(folder, initrd))
        return machines[-1]

    yield boot
    for machine in machines:
        machine.end()


def went_down(machine, said):
    """By itself, after both web dynos have stopped in order, with the kernel's last word."""
    assert machine.wait() == 0
    assert not machine.matches(TROUBLE), machine.text()
    stops = [line for line in machine.lines if "stops in order" in line or "reboot: " in line]
    assert len(stops) == 3 and stops[2].endswith(said), machine.text()


@pytest.mark.parametrize("signo", ["TERM", "PWR"])
def test_a_machine_boots_runs_a_release_and_powers_off(boot, signo):
    machine = boot(("web", WEB, 2), ("tester", f"{TESTER}\nkill -{signo} 1; sleep 1000", 1))
    machine.wait_line(GREETING, count=2)
    machine.wait_line("release v1 is up")
    for said in ("twenty orphans", "no orphans", "a new supervisor", "a new release"):
        machine.wait_line(rf"app\[tester\.1\]: {said}")
    machine.wait_line("the supervisor was killed by SIGKILL; starting it again")
    went_down(machine, "reboot: Power down")
    assert len(machine.matches(GREETING)) == 2  # none was started again


def test_ctrl_alt_del_stops_in_order_and_boots_again(boot):
    machine = boot(("web", WEB, 2))
    machine.wait_line(GREETING, count=2)
    machine.wait_line("release v1 is up")
    machine.command("sendkey ctrl-alt-delete")
    went_down(machine, "reboot: Restarting system")
