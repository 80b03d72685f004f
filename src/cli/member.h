/* Members of the objects that hsup answers with: what is not there, null, or of another type is as
 * good as not said. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

static inline const char *member_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static inline double member_number(const json_t *object, const char *name, double otherwise)
{
	const json_t *value = json_object_get(object, name);

	return json_is_number(value) ? json_number_value(value) : otherwise;
}

static inline json_int_t member_int(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_integer(value) ? json_integer_value(value) : 0;
}

static inline bool member_true(const json_t *object, const char *name)
{
	return json_is_true(json_object_get(object, name));
}

static inline void member_decrefp(json_t **json)
{
	json_decref(*json);
}

#define _cleanup_json_ __attribute__((cleanup(member_decrefp)))
