#include "base/fd.h"
#include "box/mnt.h"
#include "box/root_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define RDONLY (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define TRIES  32 /* of finding a free loop device before another has it */

/* By the magic number: nothing else is asked what a file that others made may be. */
static const char *type_of(int image)
{
	static const struct {
		const char *type;
		off_t at;
		size_t len;
		unsigned char magic[4];
	} known[] = {
		{"squashfs", 0, 4, "hsqs"},
		{"erofs", 1024, 4, {0xe2, 0xe1, 0xf5, 0xe0}},
		{"ext4", 1024 + 56, 2, {0x53, 0xef}},
	};
	unsigned char found[4];

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (pread(image, found, known[i].len, known[i].at) == (ssize_t)known[i].len &&
			memcmp(found, known[i].magic, known[i].len) == 0)
			return known[i].type;
	return NULL;
}

static int mount_from(const char *type, const char *source)
{
	/* A journal that is not clean is not replayed: the image is never written. */
	bool journal = strcmp(type, "ext4") == 0;
	const struct mnt_option options[] = {
		{"source", source}, {"ro", NULL}, {journal ? "noload" : NULL, NULL}, {NULL, NULL}};

	return mnt_new(type, options, RDONLY);
}

/* A device that goes when nothing is mounted of it any more. */
static int loop_of(int image, char *ret_path, size_t size)
{
	struct loop_config config = {
		.fd = (unsigned)image, .info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR};
	_cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		return -errno;
	for (unsigned i = 0; i < TRIES; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			return -errno;
		(void)snprintf(ret_path, size, "/dev/loop%d", number);
		_cleanup_close_ int loop = open(ret_path, O_RDONLY | O_CLOEXEC);
		if (loop < 0)
			return -errno;
		if (ioctl(loop, LOOP_CONFIGURE, &config) == 0)
			return TAKE_FD(loop);
		if (errno != EBUSY)
			return -errno;
	}
	return -EBUSY;
}

int image_mount(int stack)
{
	_cleanup_close_ int image =
		mnt_open(stack, "root.img", O_RDONLY | O_NONBLOCK, RESOLVE_BENEATH | MNT_STRICT);
	char path[64];
	struct stat st;

	if (image < 0)
		return image;
	const char *type = fstat(image, &st) == 0 && S_ISREG(st.st_mode) ? type_of(image) : NULL;
	if (!type)
		return -EMEDIUMTYPE;
	/* Straight from the file, where the kernel can (erofs, 6.12). */
	if (strcmp(type, "erofs") == 0) {
		(void)snprintf(path, sizeof path, "/proc/self/fd/%d", image);
		int mount = mount_from(type, path);
		if (mount >= 0)
			return mount;
	}
	_cleanup_close_ int loop = loop_of(image, path, sizeof path);
	return loop < 0 ? loop : mount_from(type, path);
}
