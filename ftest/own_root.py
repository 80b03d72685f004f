"""A root of the test's own: the machine's, but for /app, which is the test's to make.

It is a tmpfs with the machine's directories bound into it, in a mount namespace of its own: nothing
of it is seen outside, and it goes with the process that holds it."""
import os
import pathlib
import signal
import subprocess

MAKE = r"""
set -e
root=$1
mount -t tmpfs -o mode=755 root "$root"
if [ -n "$2" ]; then
	# As an engine makes it: what an image has, it has not got for itself.
	mkdir "$root/lower" "$root/upper" "$root/work" "$root/all"
	mkdir -m 750 "$root/lower/app"
	mount -t overlay -o "lowerdir=$root/lower,upperdir=$root/upper,workdir=$root/work" root "$root/all"
	root=$root/all
fi
for entry in /*; do
	name=${entry#/}
	[ "$name" != app ] || continue
	if [ -L "$entry" ]; then
		ln -s "$(readlink "$entry")" "$root/$name"
	elif [ -d "$entry" ]; then
		mkdir "$root/$name"
		mount --rbind "$entry" "$root/$name"
	fi
done
echo made
exec chroot "$root" cat
"""


class OwnRoot:
    """layered: an image's, with an empty /app in a layer below."""

    def __init__(self, folder, layered=False):
        place = pathlib.Path(folder) / ("layered" if layered else "root")
        place.mkdir()
        self.process = subprocess.Popen(["unshare", "--mount", "sh", "-c", MAKE, "sh", place,
                                         "layered" if layered else ""],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        assert self.process.stdout.readline() == b"made\n"
        self.process.stdin.write(b"there\n")  # by cat: the root is its root
        self.process.stdin.flush()
        assert self.process.stdout.readline() == b"there\n"

    @property
    def wrap(self):
        """What runs a program there, as the same process."""
        return ("nsenter", "-t", str(self.process.pid), "--mount", "--root", "--wd")

    @property
    def path(self):
        return pathlib.Path(f"/proc/{self.process.pid}/root")

    @property
    def app(self):
        return self.path / "app"

    def run(self, *words, **options):
        return subprocess.run([*self.wrap, *map(str, words)], capture_output=True, text=True, timeout=60, **options)

    def entries(self):
        """All of /, as it stands: what must be the same behind a test."""
        def one(path):
            st = path.lstat()
            return (path.name, st.st_mode, st.st_uid, st.st_gid, os.readlink(path) if path.is_symlink() else "")
        return sorted(one(path) for path in self.path.iterdir())

    def end(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
