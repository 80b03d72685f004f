#include "wire/spec.h"

#include "base/fd.h"
#include "wire/spec_format.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static int refuse(struct spec_builder *b, int error)
{
	if (b->text.error == 0)
		b->text.error = error;
	return b->text.error;
}

void spec_begin(struct spec_builder *b)
{
	struct spec_header header = {.magic = SPEC_MAGIC, .version = SPEC_VERSION};

	b->text.limit = LIMIT_SPEC;
	b->n_args = b->n_env = b->n_binds = 0;
	strbuf_reset(&b->text);
	(void)strbuf_add(&b->text, &header, sizeof header);
}

static int record_open(struct spec_builder *b, enum spec_record_type type, size_t len)
{
	struct spec_record record = {.type = (uint16_t)type, .length = (uint32_t)len};

	if (len > LIMIT_SPEC)
		return refuse(b, -E2BIG);
	return strbuf_add(&b->text, &record, sizeof record);
}

static int record_close(struct spec_builder *b)
{
	static const char zeros[8];

	return strbuf_add(&b->text, zeros, spec_padded(b->text.len) - b->text.len);
}

static int record(struct spec_builder *b, enum spec_record_type type, const void *data, size_t len)
{
	(void)record_open(b, type, len);
	(void)strbuf_add(&b->text, data, len);
	return record_close(b);
}

static int record_string(struct spec_builder *b, enum spec_record_type type, const char *text)
{
	return record(b, type, text, strlen(text) + 1);
}

int spec_program(struct spec_builder *b, const char *program)
{
	if (!program[0])
		return refuse(b, -EINVAL);
	return record_string(b, SPEC_PROGRAM, program);
}

int spec_arg(struct spec_builder *b, const char *arg)
{
	if (b->n_args++ >= SPEC_MAX_ARGS)
		return refuse(b, -E2BIG);
	return record_string(b, SPEC_ARG, arg);
}

int spec_env(struct spec_builder *b, const char *name, const char *value)
{
	size_t name_len = strlen(name), value_len = strlen(value);

	if (name_len == 0 || strchr(name, '='))
		return refuse(b, -EINVAL);
	if (b->n_env++ >= SPEC_MAX_ENV)
		return refuse(b, -E2BIG);
	(void)record_open(b, SPEC_ENV, name_len + 1 + value_len + 1);
	(void)strbuf_add(&b->text, name, name_len);
	(void)strbuf_add(&b->text, "=", 1);
	(void)strbuf_add(&b->text, value, value_len + 1);
	return record_close(b);
}

int spec_directory(struct spec_builder *b, const char *path)
{
	return record_string(b, SPEC_DIRECTORY, path);
}

int spec_session(struct spec_builder *b, enum spec_terminal session)
{
	uint32_t value = session;

	return record(b, SPEC_SESSION, &value, sizeof value);
}

int spec_user(struct spec_builder *b, uid_t uid, gid_t gid, const gid_t *groups, unsigned n_groups)
{
	uint32_t ids[2 + LIMIT_GROUPS] = {uid, gid};

	if (n_groups > LIMIT_GROUPS)
		return refuse(b, -E2BIG);
	for (unsigned i = 0; i < n_groups; i++)
		ids[2 + i] = groups[i];
	return record(b, SPEC_USER, ids, sizeof ids[0] * (2 + n_groups));
}

int spec_umask(struct spec_builder *b, mode_t mask)
{
	uint32_t value = mask;

	return record(b, SPEC_UMASK, &value, sizeof value);
}

int spec_nofile(struct spec_builder *b, uint64_t soft)
{
	return record(b, SPEC_NOFILE, &soft, sizeof soft);
}

int spec_nproc(struct spec_builder *b, uint64_t limit)
{
	return record(b, SPEC_NPROC, &limit, sizeof limit);
}

int spec_box(struct spec_builder *b, const struct spec_box *box)
{
	return record(b, SPEC_BOX, box, sizeof *box);
}

int spec_box_name(struct spec_builder *b, const char *name)
{
	return record_string(b, SPEC_BOX_NAME, name);
}

int spec_box_stack(struct spec_builder *b, const char *name)
{
	return record_string(b, SPEC_BOX_STACK, name);
}

int spec_box_slug(struct spec_builder *b, const char *path)
{
	return record_string(b, SPEC_BOX_SLUG, path);
}

int spec_box_disk(struct spec_builder *b, uint64_t bytes)
{
	return record(b, SPEC_BOX_DISK, &bytes, sizeof bytes);
}

int spec_hostname(struct spec_builder *b, const char *name)
{
	return record_string(b, SPEC_HOSTNAME, name);
}

int spec_bind(struct spec_builder *b, const char *bind)
{
	if (b->n_binds++ >= SPEC_BOX_BINDS)
		return refuse(b, -E2BIG);
	return record_string(b, SPEC_BIND, bind);
}

int spec_seal(struct spec_builder *b)
{
	if (b->text.error)
		return b->text.error;

	uint64_t size = b->text.len;
	memcpy(b->text.data + offsetof(struct spec_header, size), &size, sizeof size);

	_cleanup_close_ int fd =
		memfd_create("hsup-spec", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	/* Kernels before 6.3 do not know the last flag; some later ones insist on it. */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("hsup-spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	int r = fd_write_all(fd, b->text.data, b->text.len);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return TAKE_FD(fd);
}

void spec_builder_done(struct spec_builder *b)
{
	strbuf_done(&b->text);
}
