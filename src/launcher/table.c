#include "launcher/table.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE_MAGIC UINT32_C(0x68737462) /* "hstb" */
#define CHUNK	    ((size_t)16384)	 /* allocated at once */

static int read_boot(char ret_boot[40])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret_boot, 36);
	int r = n == 36 ? 0 : n < 0 ? -errno : -EIO;

	(void)fd_close(fd);
	ret_boot[n == 36 ? 36 : 0] = '\0';
	return r;
}

static int map(struct table_file *f)
{
	/* The hole behind what is allocated costs nothing. */
	if (ftruncate(f->fd, sizeof *f->table) < 0)
		return errno == ENOSPC ? -ENOSPC : -EIO;
	void *at = mmap(NULL, sizeof *f->table, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	if (at == MAP_FAILED)
		return errno == EACCES ? -EACCES : -ENOMEM;
	(void)madvise(at, sizeof *f->table, MADV_DONTFORK);
	f->table = at;
	return 0;
}

static int allocate(int fd, size_t from, size_t to)
{
	if (fallocate(fd, 0, (off_t)from, (off_t)(to - from)) == 0)
		return 0;
	/* A file system without it: then there is no more that we can do. */
	return errno == EOPNOTSUPP || errno == ENOSYS ? 0 : -errno;
}

/* Allocates *ready..want of an array of `size` each at `at`, in whole chunks, at most `max`. */
static int grow(int fd, size_t at, size_t size, unsigned want, unsigned max, unsigned *ready)
{
	if (want > max)
		want = max;
	if (want <= *ready)
		return 0;
	size_t end = (want * size + CHUNK - 1) / CHUNK * CHUNK;
	unsigned more = (unsigned)(end / size);
	if (more > max)
		more = max;
	int r = allocate(fd, at + *ready * size, at + more * size);
	if (r == 0)
		*ready = more;
	return r;
}

int table_grow(struct table_file *f, unsigned slots, unsigned blocks)
{
	int r = grow(f->fd, offsetof(struct table, slots), sizeof(struct child), slots, LIMIT_DYNOS,
		&f->slots_ready);

	return r < 0 ? r
		     : grow(f->fd, offsetof(struct table, blocks), sizeof(struct block), blocks,
			       BLOCKS, &f->blocks_ready);
}

void table_forget(const struct table_file *f)
{
	/* When it cannot be done the next one finds that nobody of it lives. */
	if (ftruncate(f->fd, 0) < 0)
		return;
}

void table_close(struct table_file *f)
{
	if (f->table)
		(void)munmap(f->table, sizeof *f->table);
	f->table = NULL;
	f->fd = fd_close(f->fd);
}

int table_open_file(const char *path, const char *name, struct err *err)
{
	struct stat st;
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)
		      : memfd_create(name, MFD_CLOEXEC);

	if (fd < 0)
		return err_errno(err, -errno, "%s", path ? path : name);
	/* Another user's file would let that user tell us whom to signal. */
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
		(path && (st.st_mode & 077))) {
		(void)fd_close(fd);
		return err_set(err, -EPERM, "%s is not a file of ours alone: remove it", path);
	}
	return fd;
}

/* A record lock, because it is the process's: a child between fork and exec, which may outlive us,
 * does not hold it, and whom we become by execve does. */
static int lock(struct table_file *f, const char *path, struct err *err)
{
	struct flock own = {.l_type = F_WRLCK, .l_whence = SEEK_SET}, other = own;

	if (fcntl(f->fd, F_SETLK, &own) == 0)
		return 0;
	if (errno != EAGAIN && errno != EACCES)
		return err_errno(err, -errno, "%s", path);
	if (fcntl(f->fd, F_GETLK, &other) < 0 || other.l_type == F_UNLCK)
		other.l_pid = 0;
	return err_set(
		err, -EBUSY, "it runs already, as pid %d, which holds %s", (int)other.l_pid, path);
}

static int make_new(struct table_file *f, const char *boot)
{
	uint64_t key;

	/* Also what another boot has left: nothing of it may show through. */
	if (ftruncate(f->fd, 0) < 0 || ftruncate(f->fd, sizeof *f->table) < 0)
		return -errno;
	int r = allocate(f->fd, 0, offsetof(struct table, slots));
	if (r < 0)
		return r;
	if (getrandom(&key, sizeof key, 0) != sizeof key)
		return -EIO;
	f->table->layout = TABLE_LAYOUT;
	f->table->key = key;
	memcpy(f->table->boot, boot, sizeof f->table->boot);
	f->table->magic = TABLE_MAGIC;
	return 0;
}

/* Looked at before it is mapped, so that another version's stays as it is. 1 = it is what a
 * launcher of this boot has left, 0 = nothing that could be of use. */
static int recognise(int fd, const char *boot, const char *name, struct err *err)
{
	union {
		struct {
			uint32_t magic, layout;
			char boot[40];
		};
		char bytes[64];
	} head;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, -errno, "%s", name);
	if (pread(fd, &head, sizeof head, 0) < (ssize_t)sizeof head || head.magic != TABLE_MAGIC ||
		strncmp(head.boot, boot, sizeof head.boot) != 0)
		return 0;
	if (head.layout >= TABLE_LAYOUT_OLDEST && head.layout <= TABLE_LAYOUT &&
		st.st_size == (off_t)sizeof(struct table))
		return 1;
	return err_set(err, -EPROTO,
		"%s was left by another version of hsup, whose dynos may still run: start that "
		"version, or end them and remove the file",
		name);
}

_Static_assert(offsetof(struct table, boot) == 8, "as recognise() has it");

static int open_table(struct table_file *f, const char *path, const char *name, struct err *err)
{
	char boot[40] = "";

	int r = read_boot(boot);
	if (r < 0)
		return err_errno(err, r, "/proc/sys/kernel/random/boot_id (is /proc mounted?)");
	if (path) {
		r = lock(f, path, err);
		if (r < 0)
			return r;
	}
	int old = recognise(f->fd, boot, name, err);
	if (old < 0)
		return old;
	r = map(f);
	if (r == 0 && !old)
		r = make_new(f, boot);
	else if (r == 0)
		f->table->layout = TABLE_LAYOUT;
	/* A count out of range would be an index out of range. */
	if (r == 0 && (f->table->fresh > LIMIT_DYNOS || f->table->fresh_block > BLOCKS))
		r = -EBADMSG;
	return r < 0 ? err_errno(err, r, "%s", name) : old;
}

int table_open(const char *path, struct table_file *ret_file, bool *ret_old, struct err *err)
{
	struct table_file f = {.fd = table_open_file(path, "hsup-children", err)};

	if (f.fd < 0)
		return err->code;
	int r = open_table(&f, path, path ? path : "table of children", err);
	if (r < 0) {
		table_close(&f);
		return r;
	}
	*ret_old = r == 1;
	*ret_file = f;
	return 0;
}

int table_check(int fd, struct err *err)
{
	char boot[40] = "";

	int r = read_boot(boot);
	if (r < 0)
		return err_errno(err, r, "/proc/sys/kernel/random/boot_id");
	r = recognise(fd, boot, "the table of children", err);
	return r == 0 ? err_set(err, -EPROTO, "this is no table of children") : r < 0 ? r : 0;
}

int table_resume(int fd, struct table_file *ret_file, struct err *err)
{
	struct table_file f = {.fd = fd};

	int r = table_check(fd, err);
	if (r < 0)
		return r;
	r = map(&f);
	if (r < 0)
		return err_errno(err, r, "the table of children");
	f.table->layout = TABLE_LAYOUT;
	*ret_file = f;
	return 0;
}
