/* SPDX-License-Identifier: MIT
 *
 * Sleeping and waking: attention, the bell, and a system without membarrier(2).
 */
#include "unit.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "core/park.h"

TestSuite(park, .timeout = 60);

static struct dd_park park;

/* ---- Attention ------------------------------------------------------------------------------- */

Test(park, what_is_announced_is_heeded_and_stays)
{
	cr_assert_eq(dd_heed(&park.attention), 0);
	cr_assert(dd_membarrier_register());
	dd_announce(&park.attention, DD_ASLEEP);
	cr_assert_eq(dd_heed(&park.attention), DD_ASLEEP);
	dd_announce(&park.attention, DD_CLOSED);
	cr_assert_eq(dd_settle(&park.attention), DD_ASLEEP | DD_CLOSED);
	cr_assert_eq(dd_heed(&park.attention), DD_ASLEEP | DD_CLOSED);
}

Test(park, one_caller_rouses_and_clears_nothing_else)
{
	atomic_store(&park.attention, DD_ASLEEP | DD_CLOSED | DD_FENCED);
	cr_assert(dd_rouse(&park.attention));
	cr_assert_not(dd_rouse(&park.attention));
	cr_assert_eq(atomic_load(&park.attention), DD_CLOSED | DD_FENCED);
}

static pthread_barrier_t barrier;

static void *rouse_many(void *argument)
{
	uintptr_t roused = 0;

	(void)argument;
	for (unsigned round = 0; round < 200; round++) {
		pthread_barrier_wait(&barrier);
		roused += dd_rouse(&park.attention);
		pthread_barrier_wait(&barrier);
	}
	return number(roused);
}

Test(park, of_many_threads_that_rouse_at_once_one_does)
{
	pthread_t threads[3];
	uintptr_t roused = 0;

	pthread_barrier_init(&barrier, NULL, 4);
	for (unsigned i = 0; i < 3; i++)
		threads[i] = spawn(rouse_many, NULL);
	for (unsigned round = 0; round < 200; round++) {
		atomic_store(&park.attention, DD_ASLEEP);
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		cr_assert_eq(atomic_load(&park.attention), 0);
	}
	for (unsigned i = 0; i < 3; i++)
		roused += (uintptr_t)join_thread(threads[i]);
	cr_assert_eq(roused, 200);
}

/* ---- The bell -------------------------------------------------------------------------------- */

Test(park, a_bell_rung_before_the_rest_is_not_slept_through)
{
	cr_assert_not(dd_bell_ring(&park.bell));
	cr_assert_not(dd_bell_is_napping(&park.bell));
	/* If it slept, it would sleep for ever. */
	cr_assert_not(dd_bell_rest(&park.bell, FOREVER));
	cr_assert_eq(atomic_load(&park.bell), DD_BELL_AWAKE);
}

Test(park, a_rest_ends_at_its_deadline_and_no_sooner)
{
	uint64_t until_ns = dd_now_ns() + 2000000;

	cr_assert(dd_bell_rest(&park.bell, until_ns));
	cr_assert_geq(dd_now_ns(), until_ns);
	cr_assert_eq(atomic_load(&park.bell), DD_BELL_AWAKE);
}

static void *rest(void *argument)
{
	(void)argument;
	return number(dd_bell_rest(&park.bell, FOREVER));
}

Test(park, a_bell_wakes_the_thread_that_rests)
{
	for (unsigned i = 0; i < 100; i++) {
		pthread_t thread = spawn(rest, NULL);

		while (!dd_bell_is_napping(&park.bell))
			sched_yield();
		cr_assert(dd_bell_ring(&park.bell));
		cr_assert_eq(join_thread(thread), number(1));
		cr_assert_eq(atomic_load(&park.bell), DD_BELL_AWAKE);
	}
}

/* ---- Without membarrier ---------------------------------------------------------------------- */

/* From now on membarrier(2) is unknown to this process. */
static void forbid_membarrier(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(77);
	if (dd_membarrier_register())
		_exit(78);
}

static atomic_uint *shared_counter;

static void *push_some(void *argument)
{
	for (unsigned i = 0; i < 2000; i++)
		if (defer_drop_queue_push(argument, shared_counter, count_up, FOREVER))
			_exit(2);
	return NULL;
}

static void use_without_membarrier(uint32_t max_lanes)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;
	struct defer_drop_queue *queue;
	pthread_t threads[2];

	config.queue_size = 16;
	config.max_lanes = max_lanes;
	config.quiet_spell_ns = 1000000;
	if (defer_drop_queue_create(&queue, &config))
		_exit(1);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 2; i++)
			if (pthread_create(&threads[i], NULL, push_some, queue))
				_exit(3);
		for (unsigned i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		if (defer_drop_queue_flush(queue, FOREVER))
			_exit(4);
		await(is_asleep(queue));
	}
	if (defer_drop_queue_shutdown(queue, FOREVER) ||
		defer_drop_queue_push(queue, NULL, note, FOREVER) != -ESHUTDOWN ||
		defer_drop_queue_free(queue))
		_exit(5);
}

static void push_and_flush(void)
{
	push_some(defer_drop_queue_default());
	if (defer_drop_flush())
		_exit(6);
}

static void live_without_membarrier(void)
{
	forbid_membarrier();
	use_without_membarrier(LANES);
	use_without_membarrier(0);
	push_and_flush();
	if (run_child(push_and_flush))
		_exit(7);
	push_some(defer_drop_queue_default());
}

Test(park, all_goes_its_way_where_the_kernel_has_no_membarrier)
{
	int status;

	shared_counter = share(4096);
	status = run_child(live_without_membarrier);
	if (status == 77)
		cr_skip_test("no filters for system calls here");
	cr_assert_eq(status, 0);
	cr_assert_eq(atomic_load(shared_counter), 2 * 3 * 2 * 2000 + 3 * 2000);
}
