"""What people run in dynos runs unmodified under the filter of its system calls: languages, with the
threads, processes and sockets they make, and the debuggers of a bad day."""
import itertools
import os
import subprocess

import pytest

from boxes import NET_OWN, PROGRAM, Box, Boxes
from wire import box, record, spec

UIDS = (4540, 4599)
SUBNET = "10.201.5.0/24"
serial = itertools.count()

PYTHON = """
import asyncio, concurrent.futures, ctypes, mmap, multiprocessing, multiprocessing.shared_memory, os, select, signal
import socket, sqlite3, ssl, subprocess, tempfile, threading, time
def square(n): return n * n
if __name__ == "__main__":
    said = []
    t = threading.Thread(target=lambda: said.append("thread")); t.start(); t.join()
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool: assert pool.map(square, range(5))[-1] == 16
    with concurrent.futures.ProcessPoolExecutor(2) as e: assert list(e.map(square, [3])) == [9]
    m = multiprocessing.shared_memory.SharedMemory(create=True, size=64); m.buf[0] = 1; m.close(); m.unlink()
    assert subprocess.run(["sh", "-c", "exit 3"]).returncode == 3
    async def main():
        async def answer(r, w): w.write(await r.readline()); await w.drain(); w.close()
        s = await asyncio.start_server(answer, "127.0.0.1", 0)
        r, w = await asyncio.open_connection(*s.sockets[0].getsockname())
        w.write(b"hello\\n"); assert await r.readline() == b"hello\\n"
        p = await asyncio.create_subprocess_exec("true"); assert await p.wait() == 0
        await asyncio.to_thread(time.sleep, 0.01)
    asyncio.run(main())
    a, b = socket.socketpair(); a.send(b"x"); assert b.recv(1) == b"x"
    socket.getaddrinfo("localhost", 80); assert socket.if_nameindex()
    with tempfile.TemporaryFile() as f: f.write(b"x"); f.flush(); mmap.mmap(f.fileno(), 1).close()
    sqlite3.connect("/tmp/x.db").execute("create table t (a)").connection.commit()
    signal.signal(signal.SIGALRM, lambda *_: said.append("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.pause(); os.sched_setaffinity(0, os.sched_getaffinity(0)); os.mkfifo("/tmp/fifo")
    select.epoll().close(); os.memfd_create("m"); os.pidfd_open(os.getpid()); os.nice(1)
    assert said == ["thread", "alarm"], said
    print("fine")
"""

NODE = """
const {Worker, isMainThread, parentPort} = require("worker_threads");
const {execFileSync} = require("child_process"), fs = require("fs"), net = require("net");
if (!isMainThread) parentPort.postMessage("fine");
else {
  execFileSync("true"); fs.writeFileSync("/tmp/a", "x"); fs.watch("/tmp").close();
  const s = net.createServer(c => c.end("x")).listen(0, "127.0.0.1", () =>
    net.connect(s.address().port).on("data", () => { s.close();
      new Worker(__filename).on("message", m => console.log(m)); }));
}
"""

PERL = """
use IO::Socket::INET; use Socket; use threads; use POSIX ":sys_wait_h"; use File::Temp; use IPC::SysV qw(IPC_PRIVATE);
my $pid = fork() // die; exit 3 unless $pid; waitpid($pid, 0); die unless $? >> 8 == 3;
threads->create(sub { 1 })->join; my $q = msgget(IPC_PRIVATE, 0600) // die $!; msgctl($q, 0, 0);
my $s = IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1") or die; die unless `echo x` eq "x\\n";
print "fine\\n";
"""

JAVA = """
public class Fine { public static void main(String[] a) throws Exception {
  var e = java.util.concurrent.Executors.newFixedThreadPool(4); e.submit(() -> {}).get(); e.shutdown();
  if (new ProcessBuilder("true").start().waitFor() != 0) throw new Exception();
  new java.net.ServerSocket(0).close(); System.gc(); System.out.println("fine"); } }
"""

GO = """
package main
import ("fmt"; "net"; "os/exec")
func main() { c := make(chan error); go func() { c <- exec.Command("true").Run() }()
  if e := <-c; e != nil { panic(e) }
  l, e := net.Listen("tcp", "127.0.0.1:0"); if e != nil { panic(e) }; l.Close(); fmt.Println("fine") }
"""

RUBY = """
require "socket"; require "open3"
Thread.new { 1 }.join; pid = fork { exit 3 }; Process.wait(pid); raise unless $?.exitstatus == 3
TCPServer.new("127.0.0.1", 0).close; raise unless Open3.capture2("cat", stdin_data: "x")[0] == "x"; puts "fine"
"""

BASH = """
set -e; coproc cat; echo x >&"${COPROC[1]}"; read -r -u "${COPROC[0]}" x; [[ $x == x ]]
diff <(echo a) <(echo a); sleep 0.01 & wait $!; trap : USR1; kill -USR1 $$; ulimit -n 512; mkdir /tmp/d; ls -la / >/dev/null
tar -C /tmp -czf /tmp/d.tgz d; find /app /tmp | sort >/dev/null; nice true; timeout 5 true; setsid true; echo fine
"""

# What must be there, and what is tried where it is.
PROGRAMS = {
    "python3": ("x.py", PYTHON, ["/usr/bin/python3", "{}"]),
    "perl": ("x.pl", PERL, ["/usr/bin/perl", "{}"]),
    "bash": ("x.sh", BASH, ["/bin/bash", "{}"]),
    "busybox": ("y.sh", "busybox nc -h 2>&1 | busybox grep -c . >/dev/null; busybox mktemp >/dev/null && echo fine",
                ["/bin/busybox", "sh", "{}"]),
    "strace": ("z.sh", "strace -f -o /tmp/trace sh -c 'true; true' && grep -q exit_group /tmp/trace && echo fine",
               ["/bin/sh", "{}"]),
}
WHERE_INSTALLED = {
    "node": ("x.js", NODE, ["/usr/bin/node", "{}"]),
    "java": ("Fine.java", JAVA, ["/usr/bin/java", "{}"]),
    "ruby": ("x.rb", RUBY, ["/usr/bin/ruby", "{}"]),
    "go": ("x.go", GO, ["/bin/sh", "-c", "HOME=/tmp go run {}"]),
    "gdb": ("g.sh", "gdb -batch -nx -ex run -ex 'info registers' -ex c /bin/true 2>&1 | grep -q 'exited normally' && echo fine",
            ["/bin/sh", "{}"]),
}
HERE = {**PROGRAMS, **{n: p for n, p in WHERE_INSTALLED.items() if os.access(f"/usr/bin/{n}", os.X_OK)}}


@pytest.fixture
def boxes(folder):
    made = Boxes(folder)
    made.uids = (UIDS[0] + next(serial) * 3 % 48, UIDS[1])
    made.plain = made.settings(LIBCONTAINER_DYNO_SUBNET=SUBNET, LIBCONTAINER_DYNO_NETWORK="own")
    subprocess.run([PROGRAM, "--setup", *made.plain], check=True)
    yield made
    made.close()


def run(boxes, folder, program):
    """In a dyno: what it wrote, and how it ended."""
    name, text, args = program
    slug = folder / "slug"
    slug.mkdir()
    (slug / name).write_text(text)
    args = [a.replace("{}", f"/app/{name}") for a in args]
    made_name = f"program-{os.getpid()}-{next(serial)}"
    extra = record(13, str(slug).encode() + b"\0")
    fd = spec(args[0], args, env=["PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/app", "LANG=C.UTF-8"],
              directory="/app", extra=box(name=made_name, network=NET_OWN) + extra)
    made = Box(fd, boxes.plain)
    made.name, made.first = made_name, True
    os.close(fd)
    boxes.made.append(made)
    status, _ = made.wait(60)
    return status, made.text.decode(errors="replace")


@pytest.mark.parametrize("name", sorted(HERE))
def test_a_program_runs_unmodified(boxes, folder, name):
    assert run(boxes, folder, HERE[name]) == (0, "fine\n")
