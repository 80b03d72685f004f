/* What an operator does: releases that come and go. */
#include "supervisor/operate.h"

#include "supervisor/private.h"

#include <errno.h>
#include <stdio.h>

int operate_submit(struct supervisor *s, const char *text, size_t len, const struct asker *asker,
	int64_t *ret_version, struct release_errors *errors, struct err *err)
{
	int r = operate_may_change(s, err);

	if (r < 0)
		return r;
	if (!s->setup->source->submit)
		return err_set(err, -EINVAL,
			"a release is for an app: submit it there, or by hsup deploy -a APP");
	router_note(s->router, NULL, "a release submitted by %s", asker->who);
	return s->setup->source->submit(
		s->source_state, text, len, false, NULL, ret_version, errors, err);
}

/* The newest before the one in force that had come up. */
static int64_t version_before(struct supervisor *s)
{
	struct source_version found[LIMIT_HISTORY + 1];
	size_t n = s->setup->source->history(s->source_state, found, ARRAY_SIZE(found)), i = 0;

	while (i < n && !found[i].in_force)
		i++;
	for (i++; i < n; i++)
		if (!found[i].failed)
			return found[i].version;
	return 0;
}

static int go_back(struct supervisor *s, int64_t version, const struct asker *asker,
	int64_t *ret_version, struct err *err)
{
	struct release_errors errors = {0};
	_cleanup_free_ char *text = NULL;
	char note[100];
	size_t len;

	int r = s->setup->source->read(s->source_state, version, &text, &len, err);
	if (r < 0)
		return r;
	(void)snprintf(note, sizeof note, "rollback to v%lld", (long long)version);
	router_note(s->router, NULL, "%s by %s", note, asker->who);
	record_text(s, RECORD_OPERATOR, "", version, "%s by %s", note, asker->who);
	s->going_back = true;
	r = s->setup->source->submit(
		s->source_state, text, len, true, note, ret_version, &errors, err);
	s->going_back = false;
	if (r == -EINVAL && errors.n > 0)
		r = err_set(err, r, "v%lld is not valid any more: %.200s", (long long)version,
			errors.list[0].text);
	release_errors_done(&errors);
	return r;
}

int operate_rollback(struct supervisor *s, int64_t version, const struct asker *asker,
	int64_t *ret_version, struct err *err)
{
	const struct release *r = operate_release(s);
	int e = operate_may_change(s, err);

	if (e < 0)
		return e;
	if (!s->setup->source->history || !s->setup->source->submit)
		return err_set(err, -EINVAL, "this is about an app: name one with -a APP");
	if (version == 0 && engine_rolling(s->engine) && s->in_force &&
		s->in_force != engine_release(s->engine)) {
		const struct known_release *back = release_known(s, s->in_force);
		int64_t to = back ? back->release->version : 0;

		e = operate_abort(s, asker, err);
		if (e == 0)
			*ret_version = to;
		return e;
	}
	if (version == 0)
		version = version_before(s);
	if (version == 0)
		return err_set(err, -ENOENT, "there is no release before the one in force");
	if (r && r->version == version)
		return err_set(err, -EINVAL, "v%lld is in force already", (long long)version);
	return go_back(s, version, asker, ret_version, err);
}

int operate_abort(struct supervisor *s, const struct asker *asker, struct err *err)
{
	int r = operate_may_change(s, err);

	if (r < 0)
		return r;
	if (!engine_abortable(s->engine))
		return err_set(
			err, -ENOENT, "no release is being rolled out that could be given up");
	operate_note(s, "rollout", asker, "given up");
	feed(s, &(struct engine_event){.type = ENGINE_ABORT});
	return 0;
}
