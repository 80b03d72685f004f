/* drivers/docker/image_*: names, the tar that an engine answers with, users, what a pull says. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/clock.h"
#include "drivers/docker/image_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- names ---- */

static void becomes(const char *stack, const char *reference)
{
	char text[IMAGE_REFERENCE_SIZE] = "untouched";
	struct err err = {0};

	int r = image_of_stack(stack, text, sizeof text, &err);
	if (reference) {
		assert_int_equal(r, 0);
		assert_string_equal(text, reference);
	} else {
		assert_int_equal(r, -EINVAL);
		assert_non_null(strstr(err.text, "Stack: "));
		assert_null(strchr(err.text, '\n'));
	}
}

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void stacks(void **state)
{
	static const char *const as_they_are[] = {"busybox", "hsup/bb:1", "a.b-c__d/e:T.x_-1",
		"registry.example:5000/team/app:v1", "localhost/x", "UP.example/x:y", "cedar",
		"heroku-x", "heroku-24-build", "cedar-14:x", "x@sha256:" HEX64,
		"x/y:tag@sha256:" HEX64, HEX64, "sha256:" HEX64, "container"};
	static const char *const none[] = {"", "Busybox", "a b", "a:", "a:-x", "a:.x", "/a", "a/",
		"a//b", "-a", "a-", "a___b", "a..b", "a._b", "a@sha256:12", "a@", "a@sha256",
		"a:b:c", "a/B/c", "x:y/", "a\nb", "a?b", "../../x", "a%2fb", "host:port/x", ":5/x",
		"host:/x"};
	char longest[400];

	(void)state;
	becomes("cedar-14", "heroku/cedar:14");
	becomes("heroku-24", "heroku/heroku:24");
	becomes("heroku-22", "heroku/heroku:22");
	for (size_t i = 0; i < ARRAY_SIZE(as_they_are); i++)
		becomes(as_they_are[i], as_they_are[i]);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		becomes(none[i], NULL);
	memset(longest, 'a', sizeof longest);
	longest[255] = '\0';
	becomes(longest, longest);
	longest[255] = 'a';
	longest[256] = '\0';
	becomes(longest, NULL);
	memset(longest, 'a', sizeof longest);
	longest[1] = ':';
	longest[2 + 128] = '\0';
	becomes(longest, longest);
	longest[2 + 128] = 'a';
	longest[2 + 129] = '\0';
	becomes(longest, NULL);
}

static void which_tag_is_pulled(void **state)
{
	(void)state;
	assert_true(image_wants_tag("busybox"));
	assert_true(image_wants_tag("host:5000/busybox"));
	assert_false(image_wants_tag("busybox:1"));
	assert_false(image_wants_tag("x@sha256:" HEX64));
	assert_true(image_is_id(HEX64));
	assert_true(image_is_id("sha256:" HEX64));
	assert_false(image_is_id("sha256:0"));
}

static void repositories(void **state)
{
	static const char *const cases[][2] = {{"app", "hsup/app"}, {"My App!", "hsup/my-app"},
		{"", "hsup/app"}, {"...", "hsup/app"}, {"a__b.-c", "hsup/a-b-c"}, {"-x-", "hsup/x"},
		{"gr\xc3\xbc\xc3\x9f", "hsup/gr"}};
	char name[IMAGE_NAME_SIZE], longest[200], text[IMAGE_REFERENCE_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		image_repository(cases[i][0], name, sizeof name);
		assert_string_equal(name, cases[i][1]);
		assert_int_equal(image_of_stack(name, text, sizeof text, NULL), 0);
	}
	memset(longest, 'b', sizeof longest);
	longest[199] = '\0';
	image_repository(longest, name, sizeof name);
	assert_int_equal(strlen(name), 5 + 64);
}

/* ---- tar ---- */

static void read_back(const char *content, uint32_t mode, uint32_t id)
{
	struct strbuf _cleanup_strbuf_ b = {0};
	struct tar_file file;
	struct err err;

	image_tar_add(&b, &(struct tar_entry){"passwd", mode, id, id, content, strlen(content)});
	image_tar_end(&b);
	assert_int_equal(b.error, 0);
	assert_int_equal(b.len % 512, 0);
	assert_int_equal(image_tar_read(b.data, b.len, &file, &err), 0);
	assert_int_equal(file.mode, mode);
	assert_int_equal(file.len, strlen(content));
	assert_memory_equal(file.data, content, file.len);
}

static void what_was_written_is_read(void **state)
{
	char content[1500];

	(void)state;
	for (size_t len = 0; len < sizeof content; len += len < 3 ? 1 : 127) {
		memset(content, 'x', sizeof content);
		content[len] = '\0';
		read_back(content, 0644, 0);
	}
	read_back("x", 04751, 3000000);
}

/* The header's sum is made right again after a change. */
static void fix(char *h)
{
	char text[16];
	unsigned sum = 0;

	memset(h + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += (unsigned char)h[i];
	(void)snprintf(text, sizeof text, "%06o", sum);
	memcpy(h + 148, text, 7);
}

static void one(struct strbuf *b)
{
	image_tar_add(b, &(struct tar_entry){"passwd", 0644, 0, 0, "root:x:0:0", 10});
	image_tar_end(b);
}

static void refuses(const char *data, size_t len, int r, const char *text)
{
	struct tar_file file;
	struct err err = {0};
	/* Of just this size, for the sanitizer to see each byte too far. */
	char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, data, len);
	assert_int_equal(image_tar_read(copy, len, &file, &err), r);
	assert_non_null(strstr(err.text, text));
	free(copy);
}

static void hostile_archives(void **state)
{
	struct strbuf _cleanup_strbuf_ b = {0}, pax = {0};
	struct tar_file file;
	struct err err;

	(void)state;
	one(&b);
	for (size_t len = 0; len < 512; len++)
		refuses(b.data, len, -EBADMSG, "holds no file");
	for (size_t len = 512; len < 522; len++)
		refuses(b.data, len, -EBADMSG, "cut off");
	b.data[0] ^= 1;
	refuses(b.data, b.len, -EBADMSG, "no tar archive");
	b.data[0] ^= 1;
	for (const char *types = "1234567VSM\x7f"; *types; types++) {
		b.data[156] = *types;
		fix(b.data);
		refuses(b.data, b.len,
			*types == '5'	? -EISDIR
			: *types == '2' ? -ELOOP
					: -EINVAL,
			*types == '5'	? "directory"
			: *types == '2' ? "symbolic link"
					: "regular");
	}
	b.data[156] = '0';
	static const char *const sizes[] = {"77777777777", "\x80\0\0\0\0\0\0\0\0\0\1",
		"           ", "-0000000001", "0000000001x",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memcpy(b.data + 124, sizes[i], 12);
		fix(b.data);
		refuses(b.data, b.len, -EBADMSG, "damaged or cut off");
	}
	memcpy(b.data + 124, "00000000012", 12);
	memcpy(b.data + 100, "garbage!", 8);
	fix(b.data);
	assert_int_equal(image_tar_read(b.data, b.len, &file, &err), 0);
	assert_int_equal(file.mode, 0644);

	/* Headers about others alone, and then the end, or nothing. */
	for (int i = 0; i < 3; i++) {
		image_tar_add(&pax, &(struct tar_entry){"h", 0, 0, 0, "20 a=b", 6});
		pax.data[pax.len - 1024 + 156] = "xLK"[i];
		fix(pax.data + pax.len - 1024);
	}
	refuses(pax.data, pax.len, -EBADMSG, "holds no file");
	refuses(pax.data, pax.len - 500, -EBADMSG, "holds no file");
	one(&pax);
	assert_int_equal(image_tar_read(pax.data, pax.len, &file, &err), 0);
	assert_memory_equal(file.data, "root:x:0:0", 10);
	char *large = calloc(1, IMAGE_TAR_MAX + 1);
	refuses(large, IMAGE_TAR_MAX + 1, -EBADMSG, "larger");
	free(large);
}

/* ---- users ---- */

static int add(const char *passwd, const char *group, struct image_users *u, struct err *err)
{
	return image_users_add(passwd, passwd ? strlen(passwd) : 0, group,
		group ? strlen(group) : 0, "/bin/bash", u, err);
}

static void has(const char *passwd, const char *group, uint32_t uid, uint32_t gid,
	const char *new_passwd, const char *new_group)
{
	struct image_users u;
	struct err err = {0};

	assert_int_equal(add(passwd, group, &u, &err), 0);
	assert_int_equal(u.uid, uid);
	assert_int_equal(u.gid, gid);
	assert_int_equal(u.new_passwd, new_passwd != NULL);
	assert_int_equal(u.new_group, new_group != NULL);
	if (new_passwd)
		assert_string_equal(u.passwd.data, new_passwd);
	if (new_group)
		assert_string_equal(u.group.data, new_group);
	image_users_done(&u);
}

#define DYNO(id) "dyno:x:" id ":" id "::/app:/bin/bash\n"

static void users(void **state)
{
	(void)state;
	has(NULL, NULL, 1000, 1000, DYNO("1000"), "dyno:x:1000:\n");
	has("root:x:0:0::/:/bin/sh", "root:x:0:", 1000, 1000,
		"root:x:0:0::/:/bin/sh\n" DYNO("1000"), "root:x:0:\ndyno:x:1000:\n");
	/* A number that anything has is nobody else's. */
	has("a:x:1000:1:::\nb:x:1:1002:::\n", "c:x:1001:\n", 1003, 1003,
		"a:x:1000:1:::\nb:x:1:1002:::\n" DYNO("1003"), "c:x:1001:\ndyno:x:1003:\n");
	/* The stack's own. */
	has("dyno:x:5:6::/home:/bin/zsh\n", "", 5, 6, NULL, NULL);
	has("dyno:x:4000000000:6:::\ndyno:x:7:7:::\n", "", 4000000000U, 6, NULL, NULL);
	has("", "dyno:x:77:\n", 1000, 77, "dyno:x:1000:77::/app:/bin/bash\n", NULL);
	/* Others' lines, whatever they are, stay; names that only begin so are others. */
	has("\n::\n+::::::\ndynos:x:1:1:::\nx:x:-1:5:::\ny:x:1e3:9\n\xff\n", "#", 1000, 1000,
		"\n::\n+::::::\ndynos:x:1:1:::\nx:x:-1:5:::\ny:x:1e3:9\n\xff\n" DYNO("1000"),
		"#\ndyno:x:1000:\n");
}

static void refuses_users(const char *passwd, const char *group, int r, const char *text)
{
	struct image_users u;
	struct err err = {0};

	assert_int_equal(add(passwd, group, &u, &err), r);
	assert_non_null(strstr(err.text, text));
	image_users_done(&u);
}

static void users_that_cannot_be(void **state)
{
	struct strbuf _cleanup_strbuf_ all = {0};
	struct image_users u;
	struct err err;

	(void)state;
	refuses_users("dyno:x:0:0:::\n", "", -EINVAL, "is root");
	refuses_users("dyno:x:x:0:::\n", "", -EINVAL, "no number");
	refuses_users("dyno:x:5\n", "", -EINVAL, "no number");
	refuses_users("dyno\n", "", -EINVAL, "no number");
	refuses_users("", "dyno:x::\n", -EINVAL, "no number");
	refuses_users("dyno:x:4294967295:5:::\n", "", -EINVAL, "no number");
	for (unsigned id = 1000; id < 59999; id++)
		(void)strbuf_printf(&all, "u:x:%u:1:::\n", id);
	assert_int_equal(add(all.data, "", &u, &err), 0);
	assert_int_equal(u.uid, 59999);
	image_users_done(&u);
	(void)strbuf_puts(&all, "u:x:59999:1:::\n");
	refuses_users(all.data, "", -ENOSPC, "no number left");
	/* A NUL ends no line. */
	assert_int_equal(image_users_add("a\0b:x:1000:1\n", 13, NULL, 0, "/bin/sh", &u, &err), 0);
	assert_int_equal(u.uid, 1001);
	image_users_done(&u);
}

/* ---- pulling ---- */

static void say(struct pull *p, const char *text)
{
	pull_add(p, text, strlen(text));
}

static void pulls(void **state)
{
	static struct pull p;

	(void)state;
	pull_init(&p);
	assert_int_equal(pull_percent(&p), -1);
	say(&p, "{\"status\":\"Pulling from "
		"x\",\"id\":\"24\"}\r\n{\"status\":\"Downloading\",\"id\":");
	assert_int_equal(pull_percent(&p), -1);
	say(&p, "\"a\",\"progressDetail\":{\"current\":30,\"total\":100}}\n");
	assert_int_equal(pull_percent(&p), 30);
	say(&p, "{\"status\":\"Downloading\",\"id\":\"b\",\"progressDetail\":{\"current\":0,"
		"\"total\":300}}\n");
	assert_int_equal(pull_percent(&p), 7);
	say(&p, "{\"status\":\"Download complete\",\"id\":\"b\"}\n");
	assert_int_equal(pull_percent(&p), 82);
	say(&p, "{\"status\":\"Downloading\",\"id\":\"a\",\"progressDetail\":{\"current\":900,"
		"\"total\":100}}\n");
	assert_int_equal(pull_percent(&p), 100);
	assert_int_equal(p.failed.code, 0);
	pull_done(&p);
}

static void pulls_that_fail(void **state)
{
	static struct pull p;
	static char large[3 * PULL_LINE];

	(void)state;
	pull_init(&p);
	say(&p, "garbage\n\n[]\n3\n{\"id\":5,\"status\":[]}\n{\"status\":\"Downloading\",\"id\":"
		"\"a\","
		"\"progressDetail\":{\"current\":-5,\"total\":-1}}\n"
		"{\"status\":\"Downloading\",\"id\":\"a\",\"progressDetail\":{\"current\":1e300}}\n"
		"{\"status\":\"Downloading\",\"id\":\"a\",\"progressDetail\":7}\n");
	assert_int_equal(pull_percent(&p), -1);
	memset(large, '[', sizeof large);
	pull_add(&p, large, sizeof large);
	assert_true(p.line.len <= PULL_LINE);
	assert_int_equal(p.failed.code, 0);
	say(&p, "\n{\"errorDetail\":{\"message\":\"a\\nb\"},\"error\":\"no\\nroute\"}");
	pull_end(&p);
	assert_int_equal(p.failed.code, -EIO);
	assert_string_equal(p.failed.text, "no\\x0aroute");
	say(&p, "{\"errorDetail\":{\"message\":\"later\"}}\n");
	assert_string_equal(p.failed.text, "no\\x0aroute");
	pull_done(&p);

	pull_init(&p);
	say(&p, "{\"errorDetail\":{\"message\":\"only there\"}}\n");
	assert_string_equal(p.failed.text, "only there");
	/* More layers than any image has are not counted. */
	for (unsigned i = 0; i < 3 * PULL_LAYERS; i++) {
		char line[200];
		(void)snprintf(line, sizeof line,
			"{\"status\":\"Downloading\",\"id\":\"%u\",\"progressDetail\":{\"current\":"
			"1,"
			"\"total\":30000000000000000}}\n",
			i);
		say(&p, line);
	}
	assert_int_equal(p.n_layers, PULL_LAYERS);
	assert_int_equal(pull_percent(&p), 0);
	pull_done(&p);
}

/* ---- the helper that packs ---- */

static unsigned n_ready;

static void on_ready(void *userdata)
{
	(void)userdata;
	n_ready++;
}

/* Until the pack has come to its end. */
static int packed_by(const char *script, uint64_t patience, struct err *ret_err)
{
	char dir[] = "/tmp/test-image-XXXXXX", helper[64], data[100];
	struct image_pack *pack;
	sd_event *loop;
	ssize_t r;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(helper, sizeof helper, "%s/helper", dir);
	int fd = open(helper, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	assert_int_equal(write(fd, script, strlen(script)), strlen(script));
	assert_int_equal(close(fd), 0);
	assert_int_equal(sd_event_new(&loop), 0);
	const struct image_pack_setup setup = {
		.loop = loop,
		.helper = helper,
		.slug_path = dir,
		.patience = patience,
		.ready = on_ready,
	};
	assert_int_equal(image_pack_start(&setup, &pack, ret_err), 0);
	while ((r = image_pack_read(pack, data, sizeof data)) == -EAGAIN) {
		n_ready = 0;
		for (int i = 0; i < 100 && n_ready == 0; i++)
			assert_true(sd_event_run(loop, 100000) >= 0);
		assert_int_equal(n_ready, 1);
	}
	*ret_err = *image_pack_error(pack);
	(void)image_pack_free(pack);
	sd_event_unref(loop);
	assert_int_equal(unlink(helper), 0);
	assert_int_equal(rmdir(dir), 0);
	return (int)r;
}

static void helper_without_an_answer(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(packed_by("#!/bin/sh\n", 60 * NSEC_PER_SEC, &err), -ECANCELED);
	assert_int_equal(err.code, -EIO);
	assert_string_equal(err.text, "the slug helper ended without an answer");
}

static void silent_helper(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(
		packed_by("#!/bin/sh\nexec sleep 1000\n", 20 * NSEC_PER_MSEC, &err), -ECANCELED);
	assert_int_equal(err.code, -ETIMEDOUT);
	assert_string_equal(err.text, "the slug helper has been silent for 0.02 s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks),
		cmocka_unit_test(which_tag_is_pulled),
		cmocka_unit_test(repositories),
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(hostile_archives),
		cmocka_unit_test(users),
		cmocka_unit_test(users_that_cannot_be),
		cmocka_unit_test(pulls),
		cmocka_unit_test(pulls_that_fail),
		cmocka_unit_test(helper_without_an_answer),
		cmocka_unit_test(silent_helper),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
