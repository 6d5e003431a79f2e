/* SPDX-License-Identifier: MIT
 *
 * The options of a call on kernel objects, checked, and what deferring needs of the calling thread.
 */
#ifndef DD_OS_TERMS_H
#define DD_OS_TERMS_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/deadline.h"
#include "config/versioned.h"
#include "defer_drop/os.h"

DD_FIRST_VERSION(struct defer_drop_os_options, bytes_per_second, 32);

/* Copies and checks options. Returns 0 or an error of the calls. */
static inline int dd_os_terms(
	const struct defer_drop_os_options *options, struct defer_drop_os_options *terms)
{
	static const uint64_t most = UINT64_C(1) << 62;
	struct defer_drop_os_options built_in = DEFER_DROP_OS_OPTIONS_INIT;
	int error;

	*terms = built_in;
	if (!options)
		return 0;
	error = dd_versioned_copy(terms, sizeof *terms, sizeof *terms, options);
	if (error)
		return error;
	if (terms->least_bytes > most && terms->least_bytes != DEFER_DROP_UNSET)
		return -EINVAL;
	if (terms->slice_bytes < 4096 || terms->slice_bytes > most)
		return -EINVAL;
	return terms->bytes_per_second > most ? -EINVAL : 0;
}

static inline uint64_t dd_os_least(
	const struct defer_drop_os_options *terms, uint64_t built_in_bytes)
{
	return terms->least_bytes == DEFER_DROP_UNSET ? built_in_bytes : terms->least_bytes;
}

/* What a call leaves as it was: errno, and cancellation, since no call is a cancellation point. */
struct dd_os_caller {
	int error;
	int cancel;
};

static inline struct dd_os_caller dd_os_begin(void)
{
	struct dd_os_caller caller = {.error = errno};

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &caller.cancel);
	return caller;
}

static inline int dd_os_end(const struct dd_os_caller *caller, int result)
{
	pthread_setcancelstate(caller->cancel, NULL);
	errno = caller->error;
	return result;
}

#endif
