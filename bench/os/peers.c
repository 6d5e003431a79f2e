/* SPDX-License-Identifier: MIT
 *
 * What a user would pick instead: a thread with a mutex and a list, and io_uring. Both leave the
 * name of a file, the number of a descriptor or the addresses of a mapping in use until the work is
 * done.
 */
#include <pthread.h>
#include <stdlib.h>

#include "bench.h"
#include "os.h"

#ifdef HAVE_URING
#include <liburing.h>
#endif

/* ---- A thread -------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_changed = PTHREAD_COND_INITIALIZER;
static struct object *waiting; /* there is never more than one */
static bool is_over;
static pthread_t thread;

static void *consume(void *unused)
{
	pthread_mutex_lock(&lock);
	while (!is_over) {
		struct object *object = waiting;

		if (!object) {
			pthread_cond_wait(&has_changed, &lock);
			continue;
		}
		pthread_mutex_unlock(&lock);
		object_destroy(object);
		pthread_mutex_lock(&lock);
		waiting = NULL;
		pthread_cond_broadcast(&has_changed);
	}
	pthread_mutex_unlock(&lock);
	return unused;
}

void thread_start(void)
{
	bench_check(pthread_create(&thread, NULL, consume, NULL));
}

void thread_drop(struct object *object)
{
	pthread_mutex_lock(&lock);
	waiting = object;
	pthread_cond_broadcast(&has_changed);
	pthread_mutex_unlock(&lock);
}

void thread_flush(void)
{
	pthread_mutex_lock(&lock);
	while (waiting)
		pthread_cond_wait(&has_changed, &lock);
	pthread_mutex_unlock(&lock);
}

void thread_end(void)
{
	pthread_mutex_lock(&lock);
	is_over = true;
	pthread_cond_broadcast(&has_changed);
	pthread_mutex_unlock(&lock);
	bench_check(pthread_join(thread, NULL));
}

/* ---- io_uring -------------------------------------------------------------------------------- */

#ifdef HAVE_URING

static struct io_uring ring;

bool uring_start(void)
{
	return !io_uring_queue_init(4, &ring, 0);
}

const char *uring_version(void)
{
	return HAVE_URING;
}

/* Without IOSQE_ASYNC a close is done inside the submission. */
void uring_drop(struct object *object)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&ring);

	if (object->kind == UNLINK)
		io_uring_prep_unlink(entry, object->path, 0);
	else
		io_uring_prep_close(entry, object->fd);
	io_uring_sqe_set_flags(entry, IOSQE_ASYNC);
	if (io_uring_submit(&ring) != 1)
		abort();
}

void uring_flush(void)
{
	struct io_uring_cqe *entry;

	bench_check(io_uring_wait_cqe(&ring, &entry));
	bench_check(entry->res);
	io_uring_cqe_seen(&ring, entry);
}

void uring_end(void)
{
	io_uring_queue_exit(&ring);
}

#else

bool uring_start(void)
{
	return false;
}

const char *uring_version(void)
{
	return NULL;
}

void uring_drop(struct object *object)
{
	(void)object;
}

void uring_flush(void)
{
}

void uring_end(void)
{
}

#endif
