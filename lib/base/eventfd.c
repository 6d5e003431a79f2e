/* SPDX-License-Identifier: MIT
 *
 * Signalling an eventfd.
 */
#include "base/eventfd.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

static int add_one(int eventfd)
{
	struct pollfd writable = {.fd = eventfd, .events = POLLOUT};
	uint64_t one = 1;
	int ready;

	while ((ready = poll(&writable, 1, 0)) < 0 && errno == EINTR)
		;
	if (ready < 0 && errno != EINVAL)
		return -errno;
	/* EINVAL: RLIMIT_NOFILE is 0, and poll(2) cannot tell whether it is at its maximum. */
	if (writable.revents & POLLNVAL)
		return -EBADF;
	if (writable.revents & (POLLERR | POLLHUP))
		return -EPIPE; /* not an eventfd: it will never have a reader */
	if (!ready)
		return 0;
	return write(eventfd, &one, sizeof one) < 0 ? -errno : 0;
}

int dd_eventfd_signal(int eventfd)
{
	int before = errno;
	int result;
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	result = add_one(eventfd);
	pthread_setcancelstate(state, NULL);
	errno = before;
	return result;
}

void dd_eventfd_close(int eventfd)
{
	int before = errno;
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	close(eventfd);
	pthread_setcancelstate(state, NULL);
	errno = before;
}
