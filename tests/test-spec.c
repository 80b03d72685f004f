#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd.h"
#include "wire/spec.h"
#include "wire/spec_format.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static struct spec spec;
static _Alignas(8) char text[LIMIT_SPEC];

/* Seals what was built and reads it back. */
static int seal_and_parse(struct spec_builder *b, size_t *ret_len)
{
	_cleanup_close_ int fd = spec_seal(b);

	if (fd < 0)
		return fd;
	ssize_t n = pread(fd, text, sizeof text, 0);
	assert_true(n > 0);
	*ret_len = (size_t)n;
	return spec_parse(text, (size_t)n, &spec);
}

static void build_minimal(struct spec_builder *b)
{
	spec_begin(b);
	assert_int_equal(spec_program(b, "true"), 0);
	assert_int_equal(spec_arg(b, "true"), 0);
}

static void test_everything_comes_back(void **state)
{
	struct spec_builder b = {0};
	size_t len;

	(void)state;
	for (int round = 0; round < 2; round++) { /* the builder is used again */
		spec_begin(&b);
		(void)spec_env(&b, "A", "1");
		(void)spec_program(&b, "/bin/prog");
		(void)spec_arg(&b, "prog");
		(void)spec_arg(&b, "");
		(void)spec_arg(&b, "two words");
		(void)spec_env(&b, "EMPTY", "");
		(void)spec_env(&b, "EQ", "a=b");
		(void)spec_directory(&b, "/app");
		(void)spec_session(&b, SPEC_SESSION_FOREGROUND);
		(void)spec_user(&b, 1000, 1001, (gid_t[]){7, 8}, 2);
		(void)spec_umask(&b, 027);
		(void)spec_nofile(&b, 4096);
		(void)spec_nproc(&b, 200);
		assert_int_equal(seal_and_parse(&b, &len), 0);
		assert_string_equal(spec.program, "/bin/prog");
		assert_int_equal(spec.n_args, 3);
		assert_string_equal(spec.argv[1], "");
		assert_string_equal(spec.argv[2], "two words");
		assert_null(spec.argv[3]);
		assert_int_equal(spec.n_env, 3);
		assert_string_equal(spec.env[0], "A=1");
		assert_string_equal(spec.env[1], "EMPTY=");
		assert_string_equal(spec.env[2], "EQ=a=b");
		assert_null(spec.env[3]);
		assert_string_equal(spec.directory, "/app");
		assert_int_equal(spec.session, SPEC_SESSION_FOREGROUND);
		assert_true(spec.has_user && spec.has_umask && spec.has_nofile);
		assert_int_equal(spec.uid, 1000);
		assert_int_equal(spec.gid, 1001);
		assert_int_equal(spec.n_groups, 2);
		assert_int_equal(spec.groups[1], 8);
		assert_int_equal(spec.umask, 027);
		assert_int_equal(spec.nofile, 4096);
		assert_true(spec.has_nproc);
		assert_int_equal(spec.nproc, 200);
	}
	/* What the last one had must not show in the next. */
	build_minimal(&b);
	assert_int_equal(seal_and_parse(&b, &len), 0);
	assert_null(spec.directory);
	assert_null(spec.env[0]);
	assert_null(spec.argv[1]);
	assert_false(spec.has_user || spec.has_umask || spec.has_nofile || spec.has_nproc);
	assert_int_equal(spec.session, SPEC_SESSION_OWN);
	spec_builder_done(&b);
}

static void test_the_memfd_cannot_change(void **state)
{
	struct spec_builder b = {0};

	(void)state;
	build_minimal(&b);
	_cleanup_close_ int fd = spec_seal(&b);
	assert_true(fd > 2);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 100000), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), -1);
	assert_ptr_equal(mmap(NULL, 16, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	spec_builder_done(&b);
}

static void test_the_builder_refuses(void **state)
{
	struct spec_builder b = {0};
	gid_t groups[LIMIT_GROUPS + 1] = {0};
	static char big[LIMIT_SPEC];

	(void)state;
	build_minimal(&b);
	assert_int_equal(spec_env(&b, "", "x"), -EINVAL);
	assert_int_equal(spec_seal(&b), -EINVAL);
	build_minimal(&b);
	assert_int_equal(spec_env(&b, "A=B", "x"), -EINVAL);
	/* The first error stays. */
	assert_int_equal(spec_user(&b, 1, 1, groups, LIMIT_GROUPS + 1), -EINVAL);
	build_minimal(&b);
	assert_int_equal(spec_user(&b, 1, 1, groups, LIMIT_GROUPS + 1), -E2BIG);
	spec_begin(&b);
	assert_int_equal(spec_program(&b, ""), -EINVAL);
	build_minimal(&b);
	memset(big, 'x', sizeof big - 1);
	assert_int_equal(spec_arg(&b, big), -E2BIG);
	assert_int_equal(spec_seal(&b), -E2BIG);
	build_minimal(&b);
	for (unsigned i = 1; i < SPEC_MAX_ARGS; i++)
		assert_int_equal(spec_arg(&b, "x"), 0);
	assert_int_equal(spec_arg(&b, "x"), -E2BIG);
	build_minimal(&b);
	for (unsigned i = 0; i < SPEC_MAX_ENV; i++)
		assert_int_equal(spec_env(&b, "x", ""), 0);
	assert_int_equal(spec_env(&b, "x", ""), -E2BIG);
	spec_builder_done(&b);
}

/* ---- hostile bytes ---- */

static size_t at;

static void begin(void)
{
	struct spec_header h = {SPEC_MAGIC, SPEC_VERSION, 0};

	memcpy(text, &h, sizeof h);
	at = sizeof h;
}

static void add(unsigned type, const void *data, size_t len)
{
	struct spec_record r = {(uint16_t)type, 0, (uint32_t)len};

	memcpy(text + at, &r, sizeof r);
	memset(text + at + sizeof r, 0, spec_padded(len));
	memcpy(text + at + sizeof r, data, len);
	at += sizeof r + spec_padded(len);
}

static void begin_minimal(void)
{
	begin();
	add(SPEC_PROGRAM, "p", 2);
	add(SPEC_ARG, "p", 2);
}

static int parse(void)
{
	uint64_t size = at;

	memcpy(text + offsetof(struct spec_header, size), &size, sizeof size);
	return spec_parse(text, at, &spec);
}

#define REFUSED(type, data, len)                                                                   \
	do {                                                                                       \
		begin_minimal();                                                                   \
		assert_int_equal(parse(), 0);                                                      \
		add(type, data, len);                                                              \
		assert_int_equal(parse(), -EBADMSG);                                               \
	} while (0)

static void test_bad_records(void **state)
{
	(void)state;
	REFUSED(0, "", 0);
	REFUSED(SPEC_RECORD_MAX, "", 0);
	REFUSED(UINT16_MAX, "", 0);
	REFUSED(SPEC_PROGRAM, "q", 2); /* twice */
	REFUSED(SPEC_ARG, "no terminator", 3);
	REFUSED(SPEC_ARG, "in\0side", 8);
	REFUSED(SPEC_ARG, "", 0);
	REFUSED(SPEC_ENV, "NAME", 5);
	REFUSED(SPEC_ENV, "=value", 7);
	REFUSED(SPEC_DIRECTORY, "", 1);
	REFUSED(SPEC_SESSION, &(uint32_t){2}, 4);
	REFUSED(SPEC_SESSION, &(uint64_t){1}, 8);
	REFUSED(SPEC_UMASK, &(uint32_t){01000}, 4);
	REFUSED(SPEC_NOFILE, &(uint64_t){0}, 8);
	REFUSED(SPEC_NOFILE, &(uint32_t){9}, 4);
	REFUSED(SPEC_NPROC, &(uint64_t){0}, 8);
	REFUSED(SPEC_NPROC, &(uint32_t){9}, 4);
	REFUSED(SPEC_BOX_DISK, &(uint64_t){0}, 8);
	REFUSED(SPEC_BOX_DISK, &(uint64_t){9}, 8); /* of what is no box */
}

static void test_bad_users(void **state)
{
	uint32_t many[2 + LIMIT_GROUPS + 1] = {0};

	(void)state;
	REFUSED(SPEC_USER, ((uint32_t[]){1}), 4);
	REFUSED(SPEC_USER, ((uint32_t[]){1, 1}), 7);
	/* -1 is "leave it": the child would stay root. */
	REFUSED(SPEC_USER, ((uint32_t[]){UINT32_MAX, 1}), 8);
	REFUSED(SPEC_USER, ((uint32_t[]){1, UINT32_MAX}), 8);
	REFUSED(SPEC_USER, ((uint32_t[]){1, 1, UINT32_MAX}), 12);
	REFUSED(SPEC_USER, many, sizeof many);
}

static void test_bad_sizes(void **state)
{
	(void)state;
	begin_minimal();
	assert_int_equal(parse(), 0);
	for (size_t len = 0; len < at; len++)
		assert_int_equal(spec_parse(text, len, &spec), -EBADMSG);
	for (size_t cut = sizeof(struct spec_header); cut < at; cut++) {
		uint64_t size = cut;

		/* Cut between two records a spec is sound, but for what it lacks. */
		memcpy(text + offsetof(struct spec_header, size), &size, sizeof size);
		assert_int_equal(spec_parse(text, cut, &spec), -EBADMSG);
	}
	assert_int_equal(parse(), 0);
	uint32_t lengths[] = {UINT32_MAX, UINT32_MAX - 7, 1000, 9};
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		begin_minimal();
		memcpy(text + at - 8 - sizeof(uint32_t), &lengths[i], sizeof(uint32_t));
		assert_int_equal(parse(), -EBADMSG);
	}
	begin_minimal();
	text[at - 8 - 6] = 1; /* the field that is zero */
	assert_int_equal(parse(), -EBADMSG);
	begin();
	add(SPEC_ARG, "p", 2);
	assert_int_equal(parse(), -EBADMSG); /* no program */
	begin();
	add(SPEC_PROGRAM, "p", 2);
	assert_int_equal(parse(), -EBADMSG); /* no argument */
}

static void test_too_many(void **state)
{
	(void)state;
	begin_minimal();
	for (unsigned i = 1; i < SPEC_MAX_ARGS; i++)
		add(SPEC_ARG, "x", 2);
	assert_int_equal(parse(), 0);
	assert_null(spec.argv[SPEC_MAX_ARGS]);
	add(SPEC_ARG, "x", 2);
	assert_int_equal(parse(), -EBADMSG);
	begin_minimal();
	for (unsigned i = 0; i < SPEC_MAX_ENV; i++)
		add(SPEC_ENV, "x=", 3);
	assert_int_equal(parse(), 0);
	assert_null(spec.env[SPEC_MAX_ENV]);
	add(SPEC_ENV, "x=", 3);
	assert_int_equal(parse(), -EBADMSG);
}

static const struct spec_box run = {
	.mode = SPEC_BOX_RUN,
	.network = SPEC_BOX_NET_HOST,
	.flags = SPEC_BOX_PTY,
	.memory = 1 << 20,
	.cpu_percent = 150,
	.processes = 10,
};

static void test_a_box_comes_back(void **state)
{
	struct spec_builder b = {0};
	size_t len;

	(void)state;
	for (int round = 0; round < 2; round++) {
		build_minimal(&b);
		(void)spec_box(&b, &run);
		(void)spec_box_name(&b, "app-web.1-0");
		(void)spec_box_stack(&b, "host");
		(void)spec_box_slug(&b, "/slugs/0a");
		(void)spec_hostname(&b, "web.1");
		(void)spec_box_disk(&b, 1 << 20);
		(void)spec_bind(&b, "/srv:/data:ro");
		(void)spec_bind(&b, "/a:/b");
		assert_int_equal(seal_and_parse(&b, &len), 0);
		assert_true(spec.has_box);
		assert_memory_equal(&spec.box, &run, sizeof run);
		assert_string_equal(spec.box_name, "app-web.1-0");
		assert_string_equal(spec.box_stack, "host");
		assert_string_equal(spec.box_slug, "/slugs/0a");
		assert_string_equal(spec.hostname, "web.1");
		assert_int_equal(spec.box_disk, 1 << 20);
		assert_int_equal(spec.n_binds, 2);
		assert_string_equal(spec.binds[0], "/srv:/data:ro");
		assert_string_equal(spec.binds[1], "/a:/b");
	}
	build_minimal(&b);
	assert_int_equal(seal_and_parse(&b, &len), 0);
	assert_false(spec.has_box);
	assert_null(spec.box_name);
	assert_null(spec.box_slug);
	assert_int_equal(spec.n_binds, 0);
	build_minimal(&b);
	for (unsigned i = 0; i < SPEC_BOX_BINDS; i++)
		assert_int_equal(spec_bind(&b, "/a:/b"), 0);
	assert_int_equal(spec_bind(&b, "/a:/b"), -E2BIG);
	assert_int_equal(spec_seal(&b), -E2BIG);
	spec_builder_done(&b);
}

static void begin_box(const struct spec_box *box, const char *name, const char *stack)
{
	begin_minimal();
	add(SPEC_BOX, box, sizeof *box);
	if (name)
		add(SPEC_BOX_NAME, name, strlen(name) + 1);
	if (stack)
		add(SPEC_BOX_STACK, stack, strlen(stack) + 1);
}

static int parse_box(struct spec_box box)
{
	begin_box(&box, "n", "s");
	return parse();
}

static void test_bad_boxes(void **state)
{
	struct spec_box longer[2] = {run};

	(void)state;
	assert_int_equal(parse_box(run), 0);
	begin_minimal();
	add(SPEC_BOX_NAME, "n", 2);
	add(SPEC_BOX_STACK, "s", 2);
	add(SPEC_BOX, &run, sizeof run - 1);
	assert_int_equal(parse(), -EBADMSG);
	begin_minimal();
	add(SPEC_BOX_NAME, "n", 2);
	add(SPEC_BOX_STACK, "s", 2);
	add(SPEC_BOX, longer, sizeof run + 8);
	assert_int_equal(parse(), -EBADMSG);
	assert_int_equal(parse_box((struct spec_box){.mode = 0}), -EBADMSG);
	assert_int_equal(parse_box((struct spec_box){.mode = SPEC_BOX_MODE_MAX}), -EBADMSG);
	assert_int_equal(parse_box((struct spec_box){.mode = UINT32_MAX}), -EBADMSG);
	assert_int_equal(
		parse_box((struct spec_box){.mode = 1, .network = SPEC_BOX_NET_MAX}), -EBADMSG);
	assert_int_equal(parse_box((struct spec_box){.mode = 1, .flags = 2}), -EBADMSG);
	assert_int_equal(parse_box((struct spec_box){.mode = 1, .target = -1}), -EBADMSG);
	begin_box(&run, "n", "s");
	add(SPEC_BOX, &run, sizeof run); /* twice */
	assert_int_equal(parse(), -EBADMSG);
}

static void test_what_a_mode_needs(void **state)
{
	struct spec_box join = {.mode = SPEC_BOX_JOIN, .target = 7},
			sweep = {.mode = SPEC_BOX_SWEEP};

	(void)state;
	begin_box(&run, NULL, "s");
	assert_int_equal(parse(), -EBADMSG);
	begin_box(&run, "n", NULL);
	assert_int_equal(parse(), -EBADMSG);
	begin_box(&join, "n", NULL);
	assert_int_equal(parse(), 0);
	begin_box(&join, NULL, NULL);
	assert_int_equal(parse(), -EBADMSG);
	join.target = 0;
	begin_box(&join, "n", NULL);
	assert_int_equal(parse(), -EBADMSG);
	begin_box(&sweep, NULL, NULL);
	assert_int_equal(parse(), 0);
	add(SPEC_ARG, "app-web.1-0", 12);
	assert_int_equal(parse(), 0);
	add(SPEC_ARG, "../x", 5);
	assert_int_equal(parse(), -EBADMSG);
	begin_box(&sweep, NULL, NULL);
	add(SPEC_ARG, "", 1);
	assert_int_equal(parse(), -EBADMSG);
}

/* Without a box none of the others; a string twice; one that is empty, or does not end. */
static void test_bad_records_of_boxes(void **state)
{
	static const unsigned types[] = {
		SPEC_BOX_NAME, SPEC_BOX_STACK, SPEC_BOX_SLUG, SPEC_HOSTNAME, SPEC_BIND};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		bool there = types[i] <= SPEC_BOX_STACK, many = types[i] == SPEC_BIND;
		const char *value = types[i] == SPEC_BOX_SLUG ? "/s" : "xy";

		REFUSED(types[i], value, 3);
		begin_box(&run, there ? NULL : "n", there ? NULL : "s");
		if (there)
			add(types[i] == SPEC_BOX_NAME ? SPEC_BOX_STACK : SPEC_BOX_NAME, "o", 2);
		add(types[i], value, 3);
		assert_int_equal(parse(), 0);
		add(types[i], value, 3);
		assert_int_equal(parse(), many ? 0 : -EBADMSG);
		begin_box(&run, types[i] == SPEC_BOX_NAME ? NULL : "n",
			types[i] == SPEC_BOX_STACK ? NULL : "s");
		add(types[i], "", 1);
		assert_int_equal(parse(), -EBADMSG);
		begin_box(&run, types[i] == SPEC_BOX_NAME ? NULL : "n",
			types[i] == SPEC_BOX_STACK ? NULL : "s");
		add(types[i], value, 2);
		assert_int_equal(parse(), -EBADMSG);
	}
	begin_box(&run, "n", "s");
	add(SPEC_BOX_SLUG, "relative", 9);
	assert_int_equal(parse(), -EBADMSG);
	begin_box(&run, "n", "s");
	for (unsigned i = 0; i < SPEC_BOX_BINDS; i++)
		add(SPEC_BIND, "/a:/b", 6);
	assert_int_equal(parse(), 0);
	add(SPEC_BIND, "/a:/b", 6);
	assert_int_equal(parse(), -EBADMSG);
}

static void test_names_of_boxes(void **state)
{
	static const char *const bad[] = {
		".", "..", ".hidden", "a/b", "/a", "a b", "a\n", "\xc3\xa4", "a:b", "a,b"};
	char longest[SPEC_BOX_NAME_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		begin_box(&run, bad[i], "s");
		assert_int_equal(parse(), -EBADMSG);
		begin_box(&run, "n", bad[i]);
		assert_int_equal(parse(), -EBADMSG);
		begin_box(&run, "n", "s");
		add(SPEC_HOSTNAME, bad[i], strlen(bad[i]) + 1);
		assert_int_equal(parse(), -EBADMSG);
	}
	memset(longest, 'x', sizeof longest);
	longest[SPEC_BOX_NAME_MAX] = '\0';
	begin_box(&run, longest, "A-Z.0_9");
	assert_int_equal(parse(), 0);
	longest[SPEC_BOX_NAME_MAX] = 'x';
	longest[SPEC_BOX_NAME_MAX + 1] = '\0';
	begin_box(&run, longest, "s");
	assert_int_equal(parse(), -EBADMSG);
}

static void test_every_stage_has_a_text(void **state)
{
	(void)state;
	for (unsigned stage = 1; stage < WIRE_STAGE_MAX; stage++)
		assert_string_not_equal(wire_stage_text(stage), wire_stage_text(0));
	assert_string_equal(wire_stage_text(WIRE_STAGE_MAX), wire_stage_text(0));
	assert_string_equal(wire_stage_text(WIRE_STAGE_EXEC), "executing the program");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_comes_back),
		cmocka_unit_test(test_the_memfd_cannot_change),
		cmocka_unit_test(test_the_builder_refuses),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_bad_users),
		cmocka_unit_test(test_bad_sizes),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_a_box_comes_back),
		cmocka_unit_test(test_bad_boxes),
		cmocka_unit_test(test_what_a_mode_needs),
		cmocka_unit_test(test_bad_records_of_boxes),
		cmocka_unit_test(test_names_of_boxes),
		cmocka_unit_test(test_every_stage_has_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
