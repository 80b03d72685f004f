#include "box/plan_private.h"

#include <errno.h>
#include <linux/mount.h>
#include <string.h>

static bool is_clean(const char *path, size_t len)
{
	if (len < 2 || path[0] != '/')
		return false;
	for (size_t i = 1, from = 1; i <= len; i++) {
		if (i < len && path[i] != '/')
			continue;
		size_t n = i - from;
		if (n == 0 || (n == 1 && path[from] == '.') ||
			(n == 2 && path[from] == '.' && path[from + 1] == '.'))
			return false;
		from = i + 1;
	}
	return true;
}

static size_t without_slash(const char *path, size_t len)
{
	return len > 1 && path[len - 1] == '/' ? len - 1 : len;
}

int plan_bind_parse(const char *text, struct plan_bind *ret)
{
	const char *colon = strchr(text, ':');

	if (!colon)
		return -EINVAL;
	struct plan_bind b = {.source = text, .target = colon + 1};
	const char *option = strchr(b.target, ':');
	size_t target = option ? (size_t)(option - b.target) : strlen(b.target);
	if (option && strcmp(option, ":ro") != 0)
		return -EINVAL;
	b.read_only = option;
	b.source_len = without_slash(text, (size_t)(colon - text));
	b.target_len = without_slash(b.target, target);
	if (!is_clean(b.source, b.source_len) || !is_clean(b.target, b.target_len))
		return -EINVAL;
	*ret = b;
	return 0;
}

const char *plan_below(const char *path, size_t len, const char *folder)
{
	size_t n = without_slash(folder, strlen(folder));

	if (n == 1 && folder[0] == '/')
		n = 0; /* "/": below it is all */
	if (len < n || memcmp(path, folder, n) != 0)
		return NULL;
	if (len == n)
		return path + n;
	return path[n] == '/' ? path + n + 1 : NULL;
}

static const char *keep(struct planning *p, const char *text, size_t len)
{
	struct plan *to = p->plan;

	if (len + 1 > sizeof to->chars - to->n_chars) {
		p->error = -E2BIG;
		return "";
	}
	char *kept = memcpy(to->chars + to->n_chars, text, len);
	kept[len] = '\0';
	to->n_chars += len + 1;
	return kept;
}

static bool below(const char *target, const char *folder)
{
	return plan_below(target, strlen(target), folder);
}

/* Whose is the folder that a target lies in? */
enum place {
	IN_SKELETON,
	IN_PRIVATE, /* the dyno's, and made for it */
	IN_FOREIGN, /* the machine's, by a mount that comes before */
	IN_KERNEL,  /* never mounted upon */
	IN_LINK,
};

static enum place place_of_host(const struct plan_facts *f, const char *target)
{
	for (unsigned i = 0; i < PLAN_HOST_NAMES && f->host; i++)
		if (f->host_names[i].there && below(target, plan_host_names[i]))
			return f->host_names[i].link[0] ? IN_LINK : IN_FOREIGN;
	return f->host && below(target, "var/run") ? IN_LINK : IN_SKELETON;
}

static enum place place_of(const struct planning *p, unsigned bind)
{
	static const char *const kernel[] = {"proc", "sys", "dev"};
	static const char *const private[] = {"app", "tmp", "var/tmp", "run"};
	const char *target = p->targets[bind];

	for (unsigned i = 0; i < ARRAY_SIZE(kernel); i++)
		if (below(target, kernel[i]))
			return IN_KERNEL;
	for (unsigned i = 0; i < bind; i++)
		if (below(target, p->targets[i]))
			return IN_FOREIGN;
	for (unsigned i = 0; i < ARRAY_SIZE(private); i++)
		if (below(target, private[i]))
			return IN_PRIVATE;
	return place_of_host(p->facts, target);
}

static bool is_planned(const struct plan *plan, const char *target)
{
	for (unsigned i = 0; i < plan->n; i++)
		if (strcmp(plan->steps[i].target, target) == 0)
			return true;
	return false;
}

static void make_in_skeleton(struct planning *p, const char *target, bool folder)
{
	for (const char *slash = strchr(target, '/'); slash && p->error == 0;
		slash = strchr(slash + 1, '/')) {
		const char *parent = keep(p, target, (size_t)(slash - target));
		if (is_planned(p->plan, parent))
			continue;
		(void)plan_add(p, PLAN_NO_LINK, parent);
		plan_add(p, PLAN_DIR, parent)->mode = 0755;
	}
	if (p->error == 0 && !is_planned(p->plan, target))
		plan_add(p, folder ? PLAN_DIR : PLAN_FILE, target)->mode = folder ? 0755 : 0444;
}

void plan_bind_targets(struct planning *p)
{
	for (unsigned i = 0; i < p->spec->n_binds && p->error == 0; i++) {
		struct plan_bind b;

		p->error = plan_bind_parse(p->spec->binds[i], &b);
		if (p->error < 0)
			return;
		p->targets[i] = keep(p, b.target + 1, b.target_len - 1);
		enum place place = place_of(p, i);
		if (place == IN_KERNEL)
			p->error = -EACCES;
		else if (place == IN_LINK)
			p->error = -ELOOP;
		else if (place == IN_SKELETON)
			make_in_skeleton(p, p->targets[i], p->facts->folder[i]);
	}
}

void plan_binds(struct planning *p)
{
	for (unsigned i = 0; i < p->spec->n_binds && p->error == 0; i++) {
		struct plan_bind b;

		p->error = plan_bind_parse(p->spec->binds[i], &b);
		if (p->error < 0)
			return;
		plan_mount(p, PLAN_BIND, p->targets[i],
			MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				(b.read_only ? (uint64_t)MOUNT_ATTR_RDONLY : 0));
		struct plan_step *s = &p->plan->steps[p->plan->n - 1];
		s->index = i;
		s->make = place_of(p, i) != IN_PRIVATE ? PLAN_TARGET_IS
			  : below(s->target, "app")    ? PLAN_TARGET_GIVEN
						       : PLAN_TARGET_MADE;
	}
}
