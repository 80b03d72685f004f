#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fd.h"
#include "launcher/children.h"
#include "launcher/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- children ---- */

static struct children *table_of(unsigned limit)
{
	struct table_file file;
	struct err err;
	bool old;

	assert_int_equal(table_open(NULL, &file, &old, &err), 0);
	assert_false(old);
	struct children *t = children_new(&file, limit);
	assert_non_null(t);
	return t;
}

static struct child *add(struct children *t, uint64_t id, uint32_t generation, int32_t pid)
{
	char name[LIMIT_NAME];
	int n = snprintf(name, sizeof name, "web.%u", (unsigned)id);

	struct child *c = children_add(t, &(struct wire_child){.id = id, .generation = generation},
		name, (const unsigned char *)"tag", (uint16_t)n, 3);
	if (c)
		children_forked(t, c, pid);
	return c;
}

static void test_found_by_name_id_and_pid(void **state)
{
	struct children *t = table_of(LIMIT_DYNOS);

	(void)state;
	assert_non_null(t);
	/* Pids that fall on one head of the index. */
	struct child *a = add(t, 1, 1, 100), *b = add(t, 2, 1, 100 + 4096),
		     *c = add(t, 1, 2, 100 + 8192);
	assert_ptr_equal(children_find_pid(t, 100), a);
	assert_ptr_equal(children_find_pid(t, 4196), b);
	assert_ptr_equal(children_find_pid(t, 8292), c);
	assert_null(children_find_pid(t, 7));
	assert_ptr_equal(children_find(t, &(struct wire_child){.id = 1, .generation = 1}), a);
	assert_ptr_equal(children_find(t, &(struct wire_child){.id = 1, .generation = 2}), c);
	assert_null(children_find(t, &(struct wire_child){.id = 2, .generation = 2}));
	assert_int_equal(children_count(t), 3);

	children_set_state(t, c, CHILD_LEFT);
	assert_null(children_find_pid(t, 8292)); /* the number may be another's soon */
	assert_int_equal(children_alive(t), 3);
	children_set_state(t, c, CHILD_ENDED);
	assert_int_equal(children_alive(t), 2);
	assert_ptr_equal(children_find_id(t, 1), a);
	children_set_state(t, a, CHILD_ENDED);
	assert_null(children_find_id(t, 1));
	children_remove(t, a);
	assert_null(children_find(t, &(struct wire_child){.id = 1, .generation = 1}));
	assert_ptr_equal(children_find(t, &(struct wire_child){.id = 1, .generation = 2}), c);
	assert_ptr_equal(children_find_pid(t, 4196), b);
	assert_int_equal(children_count(t), 2);
}

static void test_the_table_is_bounded_and_slots_return(void **state)
{
	struct children *t = table_of(3);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(children_slot(t, add(t, i + 1, 1, (int32_t)i + 10)), i);
	}
	assert_null(add(t, 9, 1, 90));
	assert_int_equal(errno, EAGAIN);
	children_remove(t, children_find_id(t, 2));
	struct child *c = add(t, 9, 1, 90);
	assert_int_equal(children_slot(t, c), 1);
	assert_ptr_equal(children_find_id(t, 9), c);
	assert_int_equal(children_alive(t), 3);
}

static void test_texts_of_every_length_survive_reuse(void **state)
{
	struct children *t = table_of(40);
	unsigned char tag[LIMIT_TAG];
	char name[LIMIT_NAME], text[LIMIT_NAME + LIMIT_TAG];

	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 40; i++) {
			unsigned n = 1 + (i * 7 + round) % LIMIT_NAME,
				 m = (i * 131 + round * 53) % (LIMIT_TAG + 1);

			memset(name, 'a' + (int)(i % 26), n);
			memset(tag, (int)(i + round), m);
			assert_non_null(children_add(t,
				&(struct wire_child){.id = i + 1, .generation = round + 1}, name,
				tag, (uint16_t)n, (uint16_t)m));
		}
		for (unsigned i = 0; i < 40; i++) {
			struct child *c = children_find_id(t, i + 1);

			children_text(t, c, text);
			for (unsigned k = 0; k < c->text.name_length; k++)
				assert_int_equal(text[k], 'a' + (int)(i % 26));
			for (unsigned k = 0; k < c->text.tag_length; k++)
				assert_int_equal((unsigned char)text[c->text.name_length + k],
					(unsigned char)(i + round));
		}
		/* In another order each time, so that blocks are shuffled. */
		for (unsigned i = 0; i < 40; i++)
			children_remove(t, children_find_id(t, (i * 11 + round) % 40 + 1));
		assert_int_equal(children_count(t), 0);
	}
}

static void test_news_come_in_order_and_go(void **state)
{
	struct children *t = table_of(10);
	struct child *a = add(t, 1, 1, 1), *b = add(t, 2, 1, 2), *c = add(t, 3, 1, 3);

	(void)state;
	assert_null(children_first_news(t));
	children_told(t, a, NEWS_ENDED); /* of what was never news */
	children_tell(t, b, NEWS_SPAWNED);
	children_tell(t, a, NEWS_SPAWNED);
	children_tell(t, c, NEWS_LEFT);
	children_tell(t, b, NEWS_ENDED); /* keeps its place */
	assert_ptr_equal(children_first_news(t), b);
	children_told(t, b, NEWS_SPAWNED);
	assert_ptr_equal(children_first_news(t), b);
	children_remove(t, a); /* from the middle */
	children_told(t, b, NEWS_ENDED);
	assert_ptr_equal(children_first_news(t), c);
	children_told(t, c, c->news);
	assert_null(children_first_news(t));
}

static void test_those_that_are_left(void **state)
{
	struct children *t = table_of(10);
	struct child *c[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		c[i] = add(t, i + 1, 1, (int32_t)i + 1);
		children_set_state(t, c[i], CHILD_LEFT);
		children_set_state(t, c[i], CHILD_LEFT);
	}
	children_set_state(t, c[0], CHILD_ENDED);
	children_set_state(t, c[2], CHILD_ENDED);
	assert_ptr_equal(children_first_left(t), c[1]);
	assert_ptr_equal(children_next_left(t, c[1]), c[3]);
	assert_null(children_next_left(t, c[3]));
	children_remove(t, c[0]);
	assert_ptr_equal(children_next(t, NULL), c[1]);
	assert_ptr_equal(children_next(t, c[2]), c[3]);
	assert_null(children_next(t, c[3]));
}

static void test_one_that_is_still_to_be_reaped(void **state)
{
	const struct wire_child name = {.id = 1, .generation = 1};
	struct children *t = table_of(2);
	struct child *a = add(t, 1, 1, 10), *b = add(t, 2, 1, 20);

	(void)state;
	children_over(t, a);
	assert_int_equal(a->state, CHILD_ENDED);
	assert_int_equal(children_alive(t), 1);
	assert_int_equal(children_unreaped(t), 1);
	assert_ptr_equal(children_find_pid(t, 10), a);
	assert_ptr_equal(children_find(t, &name), a);
	assert_null(children_find_id(t, 1)); /* the next life may come */
	assert_null(add(t, 1, 2, 30));	     /* but for the limit it is there */
	children_tell(t, a, NEWS_ENDED);
	children_acknowledge(t, a);
	assert_null(children_first_news(t));
	assert_null(children_find(t, &name));
	assert_ptr_equal(children_find_pid(t, 10), a);
	assert_int_equal(children_count(t), 1);
	/* It has its slot as long as it has its number. */
	struct child *c = add(t, 1, 2, 10 + 4096);
	assert_int_equal(children_slot(t, c), 2);
	assert_ptr_equal(children_find_id(t, 1), c);
	children_reaped(t, a);
	assert_null(children_find_pid(t, 10));
	assert_int_equal(a->state, CHILD_FREE);
	assert_int_equal(children_unreaped(t), 0);
	assert_int_equal(children_count(t), 2);
	children_remove(t, b);
	assert_int_equal(children_slot(t, add(t, 3, 1, 40)), 1);

	/* Reaped first, acknowledged then. */
	children_over(t, c);
	children_reaped(t, c);
	assert_null(children_find_pid(t, 10 + 4096));
	assert_int_equal(c->state, CHILD_ENDED);
	children_acknowledge(t, c);
	assert_int_equal(c->state, CHILD_FREE);
	assert_int_equal(children_count(t), 1);
}

/* There are as many slots as there may be children: one that waits for the reap counts then. */
static void test_a_table_whose_slots_wait_for_reaps(void **state)
{
	struct children *t = table_of(LIMIT_DYNOS);

	(void)state;
	for (unsigned i = 0; i < LIMIT_DYNOS; i++)
		assert_non_null(add(t, i + 1, 1, (int32_t)i + 10));
	struct child *c = children_find_id(t, 7);
	children_over(t, c);
	children_acknowledge(t, c);
	assert_null(add(t, 7, 2, 9));
	assert_int_equal(errno, EAGAIN);
	children_reaped(t, c);
	assert_ptr_equal(add(t, 7, 2, 9), c);
}

/* ---- what a launcher leaves ---- */

/* The same table as the next launcher sees it. */
static struct children *again(struct children *t)
{
	struct table_file file;
	struct err err;

	assert_int_equal(table_resume(dup(children_table(t)->fd), &file, &err), 0);
	t = children_new(&file, LIMIT_DYNOS);
	assert_non_null(t);
	return t;
}

static void assert_text(struct children *t, struct child *c, const char *expected)
{
	char text[LIMIT_NAME + LIMIT_TAG];

	children_text(t, c, text);
	assert_int_equal(c->text.name_length + c->text.tag_length, strlen(expected));
	assert_memory_equal(text, expected, strlen(expected));
}

static void test_a_table_with_one_to_be_reaped_is_taken_up(void **state)
{
	struct children *t = table_of(100);
	struct child *told = add(t, 1, 1, 10), *acknowledged = add(t, 2, 1, 20);

	(void)state;
	children_over(t, told);
	children_tell(t, told, NEWS_ENDED);
	children_over(t, acknowledged);
	children_acknowledge(t, acknowledged);
	t = again(t);
	assert_int_equal(children_count(t), 1);
	assert_int_equal(children_alive(t), 0);
	assert_int_equal(children_unreaped(t), 2);
	told = children_find_pid(t, 10);
	assert_ptr_equal(children_first_news(t), told);
	acknowledged = children_find_pid(t, 20);
	assert_non_null(acknowledged);
	children_reaped(t, acknowledged);
	assert_int_equal(acknowledged->state, CHILD_FREE);

	/* Who is nobody's child is never reaped. */
	children_set_found(t, told);
	assert_int_equal(children_unreaped(t), 0);
	assert_null(children_find_pid(t, 10));
	children_acknowledge(t, told);
	assert_int_equal(children_count(t), 0);
}

static void test_a_table_is_taken_up(void **state)
{
	struct children *t = table_of(100);
	unsigned char long_tag[LIMIT_TAG];

	(void)state;
	memset(long_tag, 'x', sizeof long_tag);
	struct child *running = add(t, 1, 1, 10), *left = add(t, 2, 1, 20),
		     *gone = add(t, 3, 1, 30), *ended = add(t, 4, 7, 40);
	children_set_state(t, left, CHILD_LEFT);
	children_set_state(t, ended, CHILD_ENDED);
	children_tell(t, ended, NEWS_ENDED);
	assert_int_equal(children_set_tag(t, running, long_tag, sizeof long_tag), 0);
	assert_int_equal(children_set_tag(t, running, (const unsigned char *)"new", 3), 0);
	children_remove(t, gone);
	/* Killed before it knew the pid of this one. */
	assert_non_null(children_add(
		t, &(struct wire_child){.id = 5, .generation = 1}, "web.5", NULL, 5, 0));

	t = again(t);
	assert_int_equal(children_count(t), 4);
	assert_int_equal(children_alive(t), 3);
	running = children_find_pid(t, 10);
	assert_non_null(running);
	assert_text(t, running, "web.1new");
	assert_ptr_equal(children_find_id(t, 1), running);
	assert_null(children_find_pid(t, 20));
	assert_int_equal(children_first_left(t)->id, 2);
	assert_int_equal(children_first_news(t)->id, 4);
	assert_int_equal(children_find(t, &(struct wire_child){.id = 4, .generation = 7})->state,
		CHILD_ENDED);
	assert_int_equal(children_find_id(t, 5)->state, CHILD_FORKING);
	/* One that was found can be nobody's child. */
	children_set_found(t, running);
	assert_null(children_find_pid(t, 10));
	/* Slots and blocks that were free are, the others are not. */
	for (unsigned i = 10; i < 60; i++)
		assert_non_null(add(t, i, 1, (int32_t)i + 1000));
	assert_text(t, children_find_id(t, 1), "web.1new");
	assert_text(t, children_find_id(t, 2), "web.2tag");
	assert_int_equal(children_table(t)->table->fresh, 54);
}

static void test_what_is_half_written_is_not_believed(void **state)
{
	struct children *t = table_of(100);
	struct table *table = children_table(t)->table;

	(void)state;
	for (unsigned i = 1; i <= 9; i++)
		(void)add(t, i, 1, (int32_t)i);
	table->slots[0].id = 0;
	table->slots[1].state = 77;
	table->slots[2].pid = -1; /* kill(1) would be everybody */
	table->slots[3].failure.stage = 999;
	table->slots[4].text.first = NO_SLOT - 1;
	table->slots[5].text.first = table->slots[6].text.first; /* whose is it? */
	table->slots[7].text.name_length = LIMIT_NAME + 1;

	t = again(t);
	assert_int_equal(children_count(t), 5);
	for (uint64_t id = 1; id <= 4; id++)
		assert_null(children_find_id(t, id));
	assert_text(t, children_find_id(t, 5), "unknown");
	assert_text(t, children_find_id(t, 6), "unknown");
	assert_text(t, children_find_id(t, 7), "web.7tag");
	assert_text(t, children_find_id(t, 8), "unknown");
	assert_text(t, children_find_id(t, 9), "web.9tag");
}

static void test_a_chain_of_blocks_that_ends_nowhere(void **state)
{
	struct children *t = table_of(100);
	unsigned char tag[LIMIT_TAG] = {0};

	(void)state;
	struct child *c = add(t, 1, 1, 1);
	assert_int_equal(children_set_tag(t, c, tag, sizeof tag), 0);
	struct block *blocks = children_table(t)->table->blocks;
	blocks[c->text.first].next = c->text.first; /* round and round */
	t = again(t);
	assert_text(t, children_find_id(t, 1), "unknown");
}

static void test_tables_of_others(void **state)
{
	char path[] = "/tmp/hsup-table-XXXXXX";
	struct table_file file, second;
	struct err err;
	bool old;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "nothing of ours", 15), 15);
	assert_int_equal(table_open(path, &file, &old, &err), 0);
	assert_false(old);
	assert_int_equal(file.table->fresh, 0);
	/* Held: by its pid, for everybody else. */
	pid_t child = fork();
	if (child == 0) {
		char pid[24];

		(void)snprintf(pid, sizeof pid, "as pid %d, ", (int)getppid());
		_exit(table_open(path, &second, &old, &err) == -EBUSY && strstr(err.text, pid) ? 0
											       : 1);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* Left behind. */
	struct children *t = children_new(&file, 10);
	(void)add(t, 1, 1, 1);
	table_close(&file);
	assert_int_equal(table_open(path, &file, &old, &err), 0);
	assert_true(old);
	assert_int_equal(file.table->fresh, 1);
	/* By another version: refused, and as it was. */
	file.table->layout++;
	table_close(&file);
	assert_int_equal(table_open(path, &file, &old, &err), -EPROTO);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(pwrite(fd, &(uint32_t){TABLE_LAYOUT}, 4, 4), 4);
	/* In another boot: its pids are others' now. */
	assert_int_equal(pwrite(fd, "x", 1, offsetof(struct table, boot)), 1);
	assert_int_equal(table_open(path, &file, &old, &err), 0);
	assert_false(old);
	assert_int_equal(file.table->fresh, 0);
	assert_int_equal(file.table->slots[0].id, 0);
	table_close(&file);
	/* One that others may write, or that is a link, could tell us whom to signal. */
	assert_int_equal(fchmod(fd, 0622), 0);
	assert_int_equal(table_open(path, &file, &old, &err), -EPERM);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(table_open(path, &file, &old, &err), -ELOOP);
	assert_int_equal(unlink(path), 0);
	(void)fd_close(fd);
}

/* ---- the store ---- */

static void close_all(struct pipes *pair)
{
	for (int i = 0; i < 2; i++) {
		pair->ends[i] = fd_close(pair->ends[i]);
		pair->own[i] = fd_close(pair->own[i]);
	}
}

static void test_pipes(void **state)
{
	struct store s;
	struct pipes a, b;
	struct err err;
	struct stat st;
	char byte;

	(void)state;
	assert_int_equal(store_open(&s, &err), 0);
	assert_int_equal(store_make(&s, &a), 0);
	assert_int_equal(fstat(a.own[0], &st), 0);
	assert_true(S_ISFIFO(st.st_mode) && (st.st_mode & 0777) == 0600);
	for (int i = 0; i < 2; i++) {
		assert_true(fcntl(a.ends[i], F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(a.own[i], F_GETFD) & FD_CLOEXEC);
		assert_int_equal(fcntl(a.own[i], F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
		/* No end of file while the child's end is open, though nothing was written. */
		assert_int_equal(read(a.ends[i], &byte, 1), -1);
		assert_int_equal(errno, EAGAIN);
	}
	assert_int_equal(write(a.own[0], "x", 1), 1);
	a.own[0] = fd_close(a.own[0]);
	assert_int_equal(read(a.ends[0], &byte, 1), 1);
	/* Nor when it was closed: that the child has ended is told by the launcher. */
	assert_int_equal(read(a.ends[0], &byte, 1), -1);
	assert_int_equal(errno, EAGAIN);

	/* A spare is a pair like any other. */
	store_refill(&s);
	assert_int_equal(s.n_spares, STORE_SPARES);
	assert_int_equal(store_make(&s, &b), 0);
	assert_int_equal(s.n_spares, STORE_SPARES - 1);
	assert_int_equal(write(b.own[1], "y", 1), 1);
	assert_int_equal(read(b.ends[1], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	close_all(&a);
	close_all(&b);
	store_close(&s);
}

/* The number that the next descriptor will have. */
static int next_fd(void)
{
	int fd = 0;

	while (fcntl(fd, F_GETFD) >= 0)
		fd++;
	return fd;
}

static void test_no_descriptor_left(void **state)
{
	struct rlimit old, low;
	struct store s;
	struct pipes pair;
	struct err err;

	(void)state;
	assert_int_equal(store_open(&s, &err), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	int first = next_fd();
	/* A pair takes six for a moment, and keeps four. */
	for (unsigned room = 0; room < 6; room++) {
		low = (struct rlimit){.rlim_cur = (rlim_t)first + room, .rlim_max = old.rlim_max};
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
		assert_int_equal(store_make(&s, &pair), -EMFILE);
		store_refill(&s);
		assert_int_equal(s.n_spares, 0);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		assert_int_equal(next_fd(), first);
	}
	low.rlim_cur = (rlim_t)first + 6;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(store_make(&s, &pair), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close_all(&pair);
	assert_int_equal(next_fd(), first);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_by_name_id_and_pid),
		cmocka_unit_test(test_the_table_is_bounded_and_slots_return),
		cmocka_unit_test(test_texts_of_every_length_survive_reuse),
		cmocka_unit_test(test_news_come_in_order_and_go),
		cmocka_unit_test(test_those_that_are_left),
		cmocka_unit_test(test_one_that_is_still_to_be_reaped),
		cmocka_unit_test(test_a_table_whose_slots_wait_for_reaps),
		cmocka_unit_test(test_a_table_with_one_to_be_reaped_is_taken_up),
		cmocka_unit_test(test_a_table_is_taken_up),
		cmocka_unit_test(test_what_is_half_written_is_not_believed),
		cmocka_unit_test(test_a_chain_of_blocks_that_ends_nowhere),
		cmocka_unit_test(test_tables_of_others),
		cmocka_unit_test(test_pipes),
		cmocka_unit_test(test_no_descriptor_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
