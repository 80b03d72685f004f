/* hsup-slug: fetches, verifies and unpacks one slug. The only program of hsup that touches what an
 * untrusted archive holds; it gives away its rights before it does. */
#include "base/fd.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/str.h"
#include "slug/job.h"
#include "slug/pack.h"
#include "slug/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOB_FD 3

static volatile sig_atomic_t stop;

static void on_signal(int signo)
{
	(void)signo;
	stop = 1;
}

static const char usage_text[] =
	"usage: hsup-slug [options] SOURCE TARGETDIR   unpack into TARGETDIR/<sha256>, print that\n"
	"       hsup-slug --remove TARGETDIR           remove TARGETDIR/.trash-*\n"
	"       hsup-slug --job [--progress]           one job (to pack, too) by packets on "
	"descriptor 3\n"
	"\n"
	"SOURCE is a path, file://, http:// or https://: a tar, plain or packed by gzip, zstd, xz "
	"or\n"
	"bzip2. Started as root it becomes the owner of TARGETDIR.\n"
	"\n"
	"  --checksum SHA256:HEX    of the packed slug\n"
	"  --max-bytes N            unpacked\n"
	"  --max-entries N\n"
	"  --max-download N         packed bytes\n"
	"  --tries N                of a download (3)\n"
	"  --low-speed-time S       seconds below 1 kB/s that end a try (30)\n"
	"  --progress               a bar on standard error even for --job\n";

enum mode {
	MODE_UNPACK,
	MODE_JOB,
	MODE_REMOVE,
};

struct options {
	enum mode mode;
	bool progress;
	const char *directory; /* of MODE_UNPACK and MODE_REMOVE */
	struct job job;
	struct report report; /* the job's */
};

static int usage_error(const char *text)
{
	(void)fprintf(stderr, "hsup-slug: %s\n%s", text, usage_text);
	return 2;
}

static int option_number(const char *text, uint64_t max, uint64_t *ret_value)
{
	uint64_t value;

	if (parse_u64(text, max, &value) < 0 || value == 0)
		return usage_error("an option wants a number above 0");
	*ret_value = value;
	return 0;
}

static int parse_option(int c, struct options *o)
{
	uint64_t number;
	int r;

	switch (c) {
	case 'j':
		o->mode = MODE_JOB;
		return 0;
	case 'r':
		o->mode = MODE_REMOVE;
		return 0;
	case 'p':
		o->progress = true;
		return 0;
	case 'c':
		o->job.checksum = optarg;
		return 0;
	case 'b':
		return option_number(optarg, INT64_MAX, &o->job.limits.max_bytes);
	case 'e':
		return option_number(optarg, INT64_MAX, &o->job.limits.max_entries);
	case 'd':
		return option_number(optarg, INT64_MAX, &o->job.max_download);
	case 't':
		r = option_number(optarg, 100, &number);
		if (r == 0)
			o->job.tries = (unsigned)number;
		return r;
	case 's':
		r = option_number(optarg, 86400, &number);
		if (r == 0)
			o->job.low_speed_seconds = (unsigned)number;
		return r;
	default:
		return usage_error("this option is not known, or wants a value");
	}
}

/* 0, or the exit code. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{"job", no_argument, NULL, 'j'},
		{"remove", no_argument, NULL, 'r'},
		{"progress", no_argument, NULL, 'p'},
		{"checksum", required_argument, NULL, 'c'},
		{"max-bytes", required_argument, NULL, 'b'},
		{"max-entries", required_argument, NULL, 'e'},
		{"max-download", required_argument, NULL, 'd'},
		{"tries", required_argument, NULL, 't'},
		{"low-speed-time", required_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};

	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
		int r = parse_option(c, o);
		if (r != 0)
			return r;
	}
	int operands = argc - optind;
	if (operands != (o->mode == MODE_JOB ? 0 : o->mode == MODE_REMOVE ? 1 : 2))
		return usage_error("wrong number of operands");
	if (o->mode == MODE_UNPACK)
		o->job.source = argv[optind];
	if (operands > 0)
		o->directory = argv[argc - 1];
	return 0;
}

static void catch_signals(void)
{
	struct sigaction catch = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};

	(void)sigaction(SIGTERM, &catch, NULL);
	(void)sigaction(SIGINT, &catch, NULL);
	(void)sigaction(SIGHUP, &catch, NULL);
	/* What they would say comes as EPIPE and EFBIG. */
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGXFSZ, &ignore, NULL);
}

/* Opens o->directory as the job's target. Root becomes who owns it: an archive is no work for root,
 * and what is unpacked belongs to whom the directory belongs. */
static int open_target(struct options *o, struct err *err)
{
	struct stat st;
	int fd = open(o->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = -errno;
		char shown[200];

		(void)fd_close(fd);
		(void)str_printable(o->directory, strlen(o->directory), shown, sizeof shown);
		return err_errno(err, r, "%s", shown);
	}
	o->job.target = fd;
	if (geteuid() == 0 && st.st_uid != 0) {
		o->job.uid = st.st_uid;
		o->job.gid = st.st_gid;
		o->job.limits.shared = true;
	}
	return 0;
}

static int say(const struct err *err)
{
	(void)fprintf(stderr, "hsup-slug: %s\n", err->text);
	return 1;
}

static int run_unpack(struct options *o)
{
	struct job_done done;
	struct err err = {0};

	int r = open_target(o, &err);
	if (r == 0) {
		o->report.terminal = isatty(STDERR_FILENO);
		r = job_run(&o->job, &done, &err);
		report_end(&o->report);
	}
	if (r < 0)
		return say(&err);
	(void)printf("%s/%.*s\n", o->directory, (int)sizeof done.digest, done.digest);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int run_remove(struct options *o)
{
	struct err err = {0};
	int r = open_target(o, &err);

	if (r == 0)
		r = job_remove_trash(o->job.target, o->job.uid, o->job.gid, &err);
	return r < 0 ? say(&err) : 0;
}

static int send_failed(const struct err *err)
{
	struct job_failed failed = {
		.error = -err->code, .text_length = (uint32_t)strlen(err->text)};
	struct packet_part parts[] = {{&failed, sizeof failed}, {err->text, strlen(err->text)}};

	(void)!job_send(JOB_FD, JOB_FAILED, parts, ARRAY_SIZE(parts), -1);
	return 1;
}

/* Takes the order off the packet into o. The strings are copied: *ret_text is to be freed. */
static int take_slug_order(struct packet *p, struct options *o, char **ret_text)
{
	struct job_slug order;
	const char *source, *checksum;

	if (job_parse_slug(p, &order, &source, &checksum) < 0)
		return usage_error("the order on descriptor 3 is malformed");
	char *text = calloc(1, (size_t)order.source_length + order.checksum_length + 2);
	if (!text)
		return 1;
	o->job.source = memcpy(text, source, order.source_length);
	o->job.checksum = memcpy(text + order.source_length + 1, checksum, order.checksum_length);
	o->job.target = p->fds[0];
	o->job.limits.max_bytes = order.max_bytes;
	o->job.limits.max_entries = order.max_entries;
	o->job.limits.shared = order.uid != SANDBOX_STAY;
	o->job.max_download = order.max_download;
	o->job.uid = order.uid;
	o->job.gid = order.gid;
	o->job.dies_with_parent = true;
	*ret_text = text;
	return 0;
}

static int answer(int r, const struct job_done *done, const struct err *err)
{
	struct packet_part part = {done, sizeof *done};

	if (r < 0)
		return send_failed(err);
	return job_send(JOB_FD, JOB_DONE, &part, 1, -1) < 0 ? 1 : 0;
}

static int run_slug_job(struct packet *p, struct options *o)
{
	struct job_done done;
	struct err err = {0};
	_cleanup_free_ char *text = NULL;

	int r = take_slug_order(p, o, &text);
	if (r != 0)
		return r;
	o->report.socket = JOB_FD;
	o->report.terminal = o->progress && isatty(STDERR_FILENO);
	r = job_run(&o->job, &done, &err);
	report_end(&o->report);
	return answer(r, &done, &err);
}

static int run_pack_job(struct packet *p)
{
	struct pack pack = {.stop = &stop};
	struct job_done done;
	struct err err = {0};

	if (job_parse_pack(p, &pack.order) < 0)
		return usage_error("the order on descriptor 3 is malformed");
	pack.folder = p->fds[0];
	pack.out = p->fds[1];
	int r = pack_run(&pack, &done, &err);
	return answer(r, &done, &err);
}

static int run_stack_job(struct packet *p, struct options *o)
{
	bool makes = packet_header(p)->type == JOB_STACK;
	struct stack_job job = {.report = &o->report, .stop = &stop};
	struct job_stack_done done;
	struct err err = {0};

	int r = makes ? job_parse_stack(p, &job.order) : job_parse_verify(p, &job.verify);
	if (r < 0)
		return usage_error("the order on descriptor 3 is malformed");
	o->report.socket = JOB_FD;
	o->report.terminal = o->progress && isatty(STDERR_FILENO);
	job.source = makes ? p->fds[0] : -1;
	job.folder = p->fds[makes];
	job.out = makes ? -1 : p->fds[1];
	r = makes ? stack_make(&job, &done, &err) : stack_verify(&job, &done, &err);
	report_end(&o->report);
	if (r < 0)
		return send_failed(&err);
	struct packet_part part = {&done, sizeof done};
	return job_send(JOB_FD, JOB_STACK_DONE, &part, 1, -1) < 0 ? 1 : 0;
}

static int run_job(struct options *o)
{
	static struct packet p;

	/* The fetching child must not hold the line open when we are gone. */
	if (fd_cloexec(JOB_FD, true) < 0)
		return usage_error("there is no descriptor 3");
	if (job_receive(JOB_FD, true, &p) <= 0)
		return usage_error("no order came on descriptor 3");
	switch (packet_header(&p)->type) {
	case JOB_PACK:
		return run_pack_job(&p);
	case JOB_STACK:
	case JOB_VERIFY:
		return run_stack_job(&p, o);
	default:
		return run_slug_job(&p, o);
	}
}

int main(int argc, char **argv)
{
	struct options o = {
		.report = {.socket = -1},
		.job =
			{
				.target = -1,
				.limits = {.max_bytes = LIMIT_SLUG_BYTES,
					.max_entries = LIMIT_SLUG_ENTRIES},
				.max_download = LIMIT_SLUG_DOWNLOAD,
				.tries = 3,
				.low_speed_seconds = 30,
				.uid = SANDBOX_STAY,
				.gid = SANDBOX_STAY,
				.report = &o.report,
				.stop = &stop,
			},
	};

	log_open("hsup-slug", getenv("HSUP_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	/* libarchive converts names of the pax format by the locale. */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	(void)umask(022);
	int r = parse_options(argc, argv, &o);
	if (r != 0)
		return r;
	catch_signals();
	if (o.mode == MODE_JOB)
		return run_job(&o);
	return o.mode == MODE_REMOVE ? run_remove(&o) : run_unpack(&o);
}
