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
#include <unistd.h>

/* ---- children ---- */

static struct child *add(struct children *t, uint64_t id, uint32_t generation, int32_t pid)
{
	char name[LIMIT_NAME];
	int n = snprintf(name, sizeof name, "web.%u", (unsigned)id);

	return children_add(t, &(struct wire_child){.id = id, .generation = generation}, pid, name,
		(const unsigned char *)"tag", (uint16_t)n, 3);
}

static void test_found_by_name_id_and_pid(void **state)
{
	struct children *t = children_new(LIMIT_DYNOS);

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
	struct children *t = children_new(3);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(children_next_slot(t), i);
		assert_int_equal(children_slot(t, add(t, i + 1, 1, (int32_t)i + 10)), i);
	}
	assert_int_equal(children_next_slot(t), NO_SLOT);
	assert_null(add(t, 9, 1, 90));
	children_remove(t, children_find_id(t, 2));
	assert_int_equal(children_next_slot(t), 1);
	struct child *c = add(t, 9, 1, 90);
	assert_int_equal(children_slot(t, c), 1);
	assert_ptr_equal(children_find_id(t, 9), c);
	assert_int_equal(children_alive(t), 3);
}

static void test_texts_of_every_length_survive_reuse(void **state)
{
	struct children *t = children_new(40);
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
				&(struct wire_child){.id = i + 1, .generation = round + 1},
				(int32_t)i + 1, name, tag, (uint16_t)n, (uint16_t)m));
		}
		for (unsigned i = 0; i < 40; i++) {
			struct child *c = children_find_id(t, i + 1);

			children_text(t, c, text);
			for (unsigned k = 0; k < c->name_length; k++)
				assert_int_equal(text[k], 'a' + (int)(i % 26));
			for (unsigned k = 0; k < c->tag_length; k++)
				assert_int_equal((unsigned char)text[c->name_length + k],
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
	struct children *t = children_new(10);
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
	struct children *t = children_new(10);
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
		cmocka_unit_test(test_pipes),
		cmocka_unit_test(test_no_descriptor_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
