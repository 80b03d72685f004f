#include "slug/unpack.h"

#include "base/str.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define WHITEOUT  ".wh."
#define OPAQUE	  WHITEOUT WHITEOUT ".opq"
#define OWNER_MAX 65535 /* a user namespace of a dyno has no more */

#define TAR_END	 1024		      /* zero bytes: the mark at the end of a tar */
#define TAIL_MAX ((uint64_t)16 << 20) /* bytes behind it: padding to a tape record, and no bomb */
#define LOOK_MAX ((uint64_t)64 << 20) /* bytes read on to find out why a tar is broken */

/* What the first members and the top level look like, to know whether the slug is made of
 * "./app/..." (Heroku's) or of the files themselves. */
struct layout {
	bool saw_root;	   /* an entry for the archive's own root */
	bool saw_other;	   /* anything at the top beside "app" */
	bool saw_procfile; /* at the top */
	bool first_in_app; /* the first member that is not the root */
	bool saw_any;
};

struct unpacker {
	struct feed *feed;
	struct archive *archive;
	struct writer *writer;
	struct layout layout;
	struct unpack_stack *stack; /* NULL = a slug */
	unpack_tick_fn tick;
	void *userdata;
	struct entry_name name;
};

static void layout_note(struct layout *l, const struct entry_name *name)
{
	bool in_app = strncmp(name->path, "app", 3) == 0 &&
		      (name->path[3] == '/' || name->path[3] == '\0');

	if (name->len == 0) {
		l->saw_root = true;
		return;
	}
	if (!l->saw_any)
		l->first_in_app = in_app;
	l->saw_any = true;
	if (!in_app)
		l->saw_other = true;
	if (strcmp(name->path, "Procfile") == 0)
		l->saw_procfile = true;
}

/* Heroku's slugs are made of "./app/..." and anything outside is ignored. An app without the
 * prefix may well have a folder "app" of its own (every Rails app has): then there is more beside
 * it, and either the archive has an entry for its root ("tar -C DIR ."), or a Procfile lies at the
 * top, or the first member is another one. */
static bool layout_in_app(const struct layout *l, int root)
{
	struct stat st;

	if (fstatat(root, "app", &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
		return false;
	return !l->saw_other || (l->first_in_app && !l->saw_root && !l->saw_procfile);
}

static la_ssize_t input(struct archive *a, void *userdata, const void **ret_block)
{
	struct unpacker *u = userdata;
	ssize_t n = feed_read(u->feed, ret_block);

	if (n < 0)
		archive_set_error(a, EIO, "the packed data ended badly");
	return (la_ssize_t)n;
}

/* Puts the entry's name in front, fit for a terminal. */
static int blame(const struct archive_entry *entry, int r, struct err *err)
{
	/* libarchive's getters convert in place, so they lack the const. */
	struct archive_entry *e;
	memcpy(&e, &entry, sizeof e);
	const char *raw = archive_entry_pathname(e);
	char shown[160];

	if (!raw)
		raw = "";
	(void)str_printable(raw, strlen(raw), shown, sizeof shown);
	(void)err_wrap(err, "entry '%s'", shown);
	return r;
}

static int broken_tar(struct unpacker *u, struct err *err)
{
	const char *text = archive_error_string(u->archive);
	char shown[200];

	/* A broken tar is mostly the consequence of a damaged packing, whose CRC comes later. */
	const void *block;
	ssize_t n = 1;
	for (uint64_t seen = 0; n > 0 && seen < LOOK_MAX; seen += (uint64_t)n)
		n = feed_read(u->feed, &block);
	int r = feed_error(u->feed, err);
	if (r < 0)
		return r;
	if (!text)
		text = "no reason given";
	(void)str_printable(text, strlen(text), shown, sizeof shown);
	return err_set(err, archive_errno(u->archive) == ENOMEM ? -ENOMEM : -EBADMSG,
		"not a sound tar archive: %s", shown);
}

static int write_file(struct unpacker *u, struct archive_entry *entry, struct err *err)
{
	int r = writer_file(u->writer, &u->name, archive_entry_perm(entry),
		(uint64_t)archive_entry_size(entry), err);

	while (r == 0) {
		const void *data;
		size_t len;
		la_int64_t offset;
		int a = archive_read_data_block(u->archive, &data, &len, &offset);

		if (a == ARCHIVE_EOF)
			break;
		if (a != ARCHIVE_OK)
			return broken_tar(u, err);
		r = offset < 0 ? err_set(err, -EBADMSG, "its data is at a negative offset")
			       : writer_data(u->writer, data, len, (uint64_t)offset, err);
		if (r == 0)
			r = u->tick(u->userdata, err);
	}
	if (r < 0)
		return r;
	struct timespec mtime = {
		.tv_sec = archive_entry_mtime(entry), .tv_nsec = archive_entry_mtime_nsec(entry)};
	return writer_end(u->writer, &mtime, err);
}

static int write_hardlink(
	struct unpacker *u, struct archive_entry *entry, const char *raw, struct err *err)
{
	struct entry_name target;
	const char *why = entry_name_parse(raw, &target);

	if (why)
		return err_set(err, -EBADMSG, "it is a hard link to outside: there, %s", why);
	if (archive_entry_size_is_set(entry) && archive_entry_size(entry) != 0)
		return err_set(err, -EBADMSG, "it is a hard link with data of its own");
	return writer_hardlink(u->writer, &u->name, &target, err);
}

static int write_by_type(struct unpacker *u, struct archive_entry *entry, struct err *err)
{
	const char *hardlink = archive_entry_hardlink(entry);

	if (hardlink)
		return write_hardlink(u, entry, hardlink, err);
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return write_file(u, entry, err);
	case AE_IFDIR:
		return writer_directory(u->writer, &u->name, archive_entry_perm(entry), err);
	case AE_IFLNK:
		return writer_symlink(u->writer, &u->name, archive_entry_symlink(entry), err);
	default:
		break;
	}
	/* Where a dyno runs, no device may be opened, and the box has its own. */
	if (u->stack) {
		u->stack->dropped++;
		return 0;
	}
	switch (archive_entry_filetype(entry)) {
	case AE_IFCHR:
	case AE_IFBLK:
		return err_set(err, -EBADMSG, "it is a device");
	case AE_IFIFO:
		return err_set(err, -EBADMSG, "it is a FIFO");
	case AE_IFSOCK:
		return err_set(err, -EBADMSG, "it is a socket");
	default:
		return err_set(err, -EBADMSG, "it is of an unknown kind");
	}
}

static int take_owner(struct unpacker *u, struct archive_entry *entry, struct err *err)
{
	la_int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
	struct err wrong = {0};

	if (uid < 0 || uid > OWNER_MAX || gid < 0 || gid > OWNER_MAX) {
		(void)err_set(&wrong, -EBADMSG,
			"its owner %lld:%lld is none of 0 to %d, which is all that a dyno has",
			(long long)uid, (long long)gid, OWNER_MAX);
		if (u->stack->as == UNPACK_LAYER && err)
			*err = wrong;
		if (u->stack->as == UNPACK_LAYER)
			return wrong.code;
		if (u->stack->owner.code == 0) {
			(void)blame(entry, 0, &wrong);
			u->stack->owner = wrong;
		}
		uid = gid = 0;
	}
	writer_owner(u->stack->writer, (uid_t)uid, (gid_t)gid);
	return 0;
}

/* 1 = it says that something is hidden, or is a note of the storage driver that made the layer
 * (".wh..wh.plnk"): it is no file. */
static int take_whiteout(struct unpacker *u, struct err *err)
{
	bool removes = u->stack->as == UNPACK_HIDES;
	struct entry_name name = u->name;
	size_t at = 0;

	for (const char *part = name.path;; part = name.path + at) {
		size_t len = strcspn(part, "/");

		if (strncmp(part, WHITEOUT WHITEOUT, 2 * strlen(WHITEOUT)) == 0) {
			if (strcmp(part, OPAQUE) != 0 || !removes)
				return 1;
			name.depth--;
			name.len = at > 0 ? at - 1 : 0;
			name.path[name.len] = '\0';
			int r = writer_empty(u->writer, &name, err);
			return r < 0 ? r : 1;
		}
		if (strncmp(part, WHITEOUT, strlen(WHITEOUT)) == 0)
			break;
		if (!part[len])
			return 0;
		at += len + 1;
	}

	const char *hidden = name.path + at + strlen(WHITEOUT);
	if (strchr(hidden, '/'))
		return err_set(err, -EBADMSG, "it lies below a whiteout");
	if (!*hidden || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return err_set(err, -EBADMSG, "it is a whiteout of nothing that could be there");
	memmove(name.path + at, hidden, strlen(hidden) + 1);
	name.len = strlen(name.path);
	int r = removes ? writer_remove(u->writer, &name, err) : 0;
	return r < 0 ? r : 1;
}

static int write_entry(struct unpacker *u, struct archive_entry *entry, struct err *err)
{
	const char *why = entry_name_parse(archive_entry_pathname(entry), &u->name);

	if (why)
		return err_set(err, -EBADMSG, "%s", why);
	if (u->stack && u->stack->as != UNPACK_ROOT) {
		int hides = take_whiteout(u, err);
		if (hides != 0 || u->stack->as == UNPACK_HIDES)
			return hides < 0 ? hides : 0;
	}
	la_int64_t size = archive_entry_filetype(entry) == AE_IFREG ? archive_entry_size(entry) : 0;
	if (size < 0)
		return err_set(err, -EBADMSG, "its size is negative");
	int r = writer_count(u->writer, (uint64_t)size, err);
	if (r < 0)
		return r;
	layout_note(&u->layout, &u->name);
	if (u->stack && writer_keeps_owners(u->writer)) {
		r = take_owner(u, entry, err);
		if (r < 0)
			return r;
	}
	return write_by_type(u, entry, err);
}

static int write_entries(struct unpacker *u, struct archive_entry *entry, struct err *err)
{
	for (;;) {
		int a = archive_read_next_header2(u->archive, entry);

		if (a == ARCHIVE_EOF)
			break;
		/* A warning is about a name that is not UTF-8: its bytes are kept as they are. */
		if (a != ARCHIVE_OK && a != ARCHIVE_WARN)
			return broken_tar(u, err);
		int r = write_entry(u, entry, err);
		if (r < 0)
			return feed_error(u->feed, NULL) ? r : blame(entry, r, err);
		r = u->tick(u->userdata, err);
		if (r < 0)
			return r;
	}
	if (!u->layout.saw_any && (!u->stack || u->stack->as == UNPACK_ROOT))
		return err_set(err, -EBADMSG, "the archive is empty");
	return 0;
}

/* Behind the tar's end mark comes what proves the packed file whole: its CRC, its own end. */
static int drain(struct unpacker *u, struct err *err)
{
	uint64_t tail = 0;
	const void *block;
	ssize_t n;

	while ((n = feed_read(u->feed, &block)) > 0) {
		tail += (uint64_t)n;
		if (tail > TAIL_MAX)
			return err_set(
				err, -EBADMSG, "there is more data behind the archive's end");
		int r = u->tick(u->userdata, err);
		if (r < 0)
			return r;
	}
	if (n < 0)
		return feed_error(u->feed, err);
	/* libarchive takes a tar that was cut between two entries for a whole one. */
	if (feed_zeros(u->feed) < TAR_END)
		return err_set(err, -EBADMSG, "the archive is cut off: its end mark is missing");
	return 0;
}

static int run(struct unpacker *u, struct err *err)
{
	struct archive_entry *entry = archive_entry_new();
	int r;

	if (!entry)
		return err_set(err, -ENOMEM, "out of memory");
	if (archive_read_support_format_tar(u->archive) != ARCHIVE_OK ||
		archive_read_open(u->archive, u, NULL, input, NULL) != ARCHIVE_OK)
		r = broken_tar(u, err);
	else
		r = write_entries(u, entry, err);
	archive_entry_free(entry);
	return r < 0 ? r : drain(u, err);
}

int unpack(struct feed *feed, int root, const struct writer_limits *limits, unpack_tick_fn tick,
	void *userdata, struct unpack_result *ret_result, struct err *err)
{
	struct unpacker u = {.feed = feed, .tick = tick, .userdata = userdata};

	int r = writer_new(root, limits, &u.writer);
	if (r < 0)
		return err_set(err, r, "out of memory");
	u.archive = archive_read_new();
	r = u.archive ? run(&u, err) : err_set(err, -ENOMEM, "out of memory");
	if (r == 0)
		*ret_result = (struct unpack_result){.bytes = writer_bytes(u.writer),
			.entries = writer_entries(u.writer),
			.in_app = layout_in_app(&u.layout, root)};
	if (u.archive)
		(void)archive_read_free(u.archive);
	(void)writer_free(u.writer);
	return r;
}

int unpack_stack(struct feed *feed, struct unpack_stack *stack, unpack_tick_fn tick, void *userdata,
	struct err *err)
{
	struct unpacker u = {.feed = feed,
		.writer = stack->writer,
		.stack = stack,
		.tick = tick,
		.userdata = userdata,
		.archive = archive_read_new()};

	if (!u.archive)
		return err_set(err, -ENOMEM, "out of memory");
	int r = run(&u, err);
	(void)archive_read_free(u.archive);
	return r;
}
