/* logs: a line as it is shown, in each format. */
/* cmocka.h needs the others before it. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "base/str.h"
#include "logs/format.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#define STAMP "2026-11-21T08:00:00.123456+00:00"
#define AT    UINT64_C(1795248000123456000)

static struct log_line line_of(const char *text, size_t len)
{
	return (struct log_line){
		.wall_ns = AT,
		.source = "app",
		.procid = "web.1",
		.color = 1,
		.stream = STREAM_OUT,
		.text = text,
		.len = len,
	};
}

/* Exactly as large as it says that it needs: a sanitizer sees one byte more. */
static char *formatted(struct format *f, const struct log_line *line)
{
	size_t need = format_need(f, line);
	char *data = malloc(need);
	size_t len = (size_t)(format_line(f, line, data) - data);

	assert_true(len > 0 && len <= need);
	assert_int_equal(data[len - 1], '\n');
	char *text = malloc(len);
	memcpy(text, data, len - 1);
	text[len - 1] = '\0';
	free(data);
	return text;
}

static void expect(struct format *f, const struct log_line *line, const char *want)
{
	char *text = formatted(f, line);

	assert_string_equal(text, want);
	free(text);
}

static void heroku(void **state)
{
	struct format f = {.kind = LOG_FORMAT_HEROKU};
	struct log_line line = line_of("hi \033[1m\xff", 8);

	(void)state;
	expect(&f, &line, STAMP " app[web.1]: hi \033[1m\xff");
	line.wall_ns += 1000000000 + 999999;
	expect(&f, &line, "2026-11-21T08:00:01.124455+00:00 app[web.1]: hi \033[1m\xff");
	f.app = "shop";
	f.color = true;
	line.wall_ns = AT;
	expect(&f, &line, "\033[33m" STAMP " app[shop/web.1]:\033[0m hi \033[1m\xff");
	line = line_of(STAMP " app[x/web.1]: ho", sizeof STAMP + 17 - 1);
	line.whole = true;
	expect(&f, &line, STAMP " app[x/web.1]: ho");
	line = line_of("", 0);
	f = (struct format){0};
	expect(&f, &line, STAMP " app[web.1]: ");
}

static void raw(void **state)
{
	struct format f = {.kind = LOG_FORMAT_RAW, .app = "shop", .color = true};
	struct log_line line = line_of("hi\033", 3);

	(void)state;
	expect(&f, &line, "hi\033");
	line = line_of(STAMP " app[x/web.1]: ho: ]: hu", sizeof STAMP + 24 - 1);
	line.whole = true;
	expect(&f, &line, "ho: ]: hu");
	/* Not of that form after all. */
	line.len = 36;
	expect(&f, &line, STAMP " app");
}

#define OBJECT(middle) "{\"time\":\"" STAMP "\",\"source\":\"app\"," middle "}"

static void json(void **state)
{
	struct format f = {.kind = LOG_FORMAT_JSON, .color = true};
	struct log_line line =
		line_of("a \"b\" \\ \t\r\b\f\x01\x1b\x7f\xc2\x9b\xc2\xa0\xe2\x82\xac/", 23);

	(void)state;
	expect(&f, &line,
		OBJECT("\"dyno\":\"web.1\",\"stream\":\"out\",\"text\":\"a \\\"b\\\" \\\\ "
		       "\\t\\r\\b\\f\\u0001\\u001b\\u007f\\u009b\xc2\xa0\xe2\x82\xac/\""));
	f.app = "shop";
	line = line_of("", 0);
	line.partial = true;
	line.stream = STREAM_ERR;
	expect(&f, &line,
		OBJECT("\"app\":\"shop\",\"dyno\":\"web.1\",\"stream\":\"err\",\"text\":\"\","
		       "\"partial\":true"));
	f.app = NULL;
	for (size_t n = 1; n <= 4; n++) {
		static const char *const want[] = {"/w==", "/wA=", "/wBh", "/wBhYg=="};
		char object[300];

		line = line_of("\xff\0ab", n);
		(void)snprintf(object, sizeof object,
			OBJECT("\"dyno\":\"web.1\",\"stream\":\"out\",\"bytes\":\"%s\""),
			want[n - 1]);
		expect(&f, &line, object);
	}
	line = line_of(STAMP " app[shop/web.1]: ho", sizeof STAMP + 20 - 1);
	line.procid = "shop";
	line.whole = true;
	line.wall_ns = 1;
	expect(&f, &line,
		OBJECT("\"app\":\"shop\",\"dyno\":\"web.1\",\"stream\":\"out\",\"text\":\"ho\""));
	line.text = STAMP " hsup[supervisor]: hm";
	line.len = strlen(line.text);
	expect(&f, &line,
		"{\"time\":\"" STAMP "\",\"source\":\"hsup\",\"dyno\":\"supervisor\","
		"\"stream\":\"system\",\"text\":\"hm\"}");
}

/* Whatever the text is, the object is JSON of one line and says it again. */
static void any_text_as_json(void **state)
{
	struct format f = {.kind = LOG_FORMAT_JSON, .app = "shop"};
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		char text[40];
		size_t len = round % sizeof text;

		for (size_t i = 0; i < len; i++) {
			seed = seed * 1103515245 + 12345;
			text[i] = (char)(seed >> 16 & (round % 3 ? 0x7f : 0xff));
			if (round % 5 == 0 && (unsigned char)text[i] < ' ')
				text[i] = "\"\\ a"[i % 4];
		}
		struct log_line line = line_of(text, len);
		char *object = formatted(&f, &line);
		assert_null(strpbrk(object, "\n\r\t\033\x7f"));
		json_error_t error;
		json_t *j = json_loads(object, JSON_ALLOW_NUL, &error);
		if (!j)
			fail_msg("%s: %s", error.text, object);
		json_t *is = json_object_get(j, "text");
		bool utf8 = utf8_valid_prefix(text, len) == len;
		assert_true(utf8 == (is != NULL));
		assert_true(utf8 == (json_object_get(j, "bytes") == NULL));
		if (is) {
			assert_int_equal(json_string_length(is), len);
			assert_memory_equal(json_string_value(is), text, len);
		}
		json_decref(j);
		free(object);
	}
}

/* Every kind of byte, at every place of the eight that are looked at together. */
static void every_byte_at_every_place(void **state)
{
	struct format f = {.kind = LOG_FORMAT_JSON};

	(void)state;
	for (unsigned c = 0; c < 0x80; c++)
		for (unsigned at = 0; at < 8; at++) {
			char text[8];

			memset(text, 'a', sizeof text);
			text[at] = (char)c;
			struct log_line line = line_of(text, sizeof text);
			char *object = formatted(&f, &line);
			json_t *j = json_loads(object, JSON_ALLOW_NUL, NULL);
			assert_non_null(j);
			json_t *is = json_object_get(j, "text");
			assert_int_equal(json_string_length(is), sizeof text);
			assert_memory_equal(json_string_value(is), text, sizeof text);
			bool bare = c >= ' ' && c != '"' && c != '\\' && c != 0x7f;
			assert_true(
				bare == (strstr(object, "\"text\":\"") && !strchr(object, '\\')));
			json_decref(j);
			free(object);
		}
}

static void names(void **state)
{
	enum log_format kind = LOG_FORMAT_MAX;

	(void)state;
	assert_int_equal(format_parse("json", &kind), 0);
	assert_int_equal(kind, LOG_FORMAT_JSON);
	assert_int_equal(format_parse("heroku", &kind), 0);
	assert_int_equal(kind, LOG_FORMAT_HEROKU);
	assert_int_equal(format_parse("raw", &kind), 0);
	assert_int_equal(kind, LOG_FORMAT_RAW);
	assert_int_equal(format_parse("RAW", &kind), -EINVAL);
	assert_int_equal(kind, LOG_FORMAT_RAW);
	assert_string_equal(log_stream_name(STREAM_SYSTEM), "system");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heroku),
		cmocka_unit_test(raw),
		cmocka_unit_test(json),
		cmocka_unit_test(any_text_as_json),
		cmocka_unit_test(every_byte_at_every_place),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
