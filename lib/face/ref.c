/* SPDX-License-Identifier: MIT
 *
 * The rare parts of references: the last put, and misuse.
 */
#include "defer_drop/ref.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/report.h"

int defer_drop_ref_init(struct defer_drop_ref *ref, void *object, defer_drop_fn destroy,
	const struct defer_drop_strategy *strategy)
{
	if (!ref || !destroy)
		return -EINVAL;
	*ref = (struct defer_drop_ref){1, object, destroy, strategy};
	return 0;
}

int defer_drop_ref_put_last(struct defer_drop_ref *ref)
{
	int result;

	/* ->PUT: without acquire others could still use the object. This is a load, and not a
	 * fence, because ThreadSanitizer does not know fences. */
	__atomic_load_n(&ref->count, __ATOMIC_ACQUIRE);
	result = defer_drop_by(ref->strategy, ref->object, ref->destroy);
	if (result) /* otherwise the object, and ref with it, may be gone */
		__atomic_store_n(&ref->count, 1, __ATOMIC_RELAXED);
	return result;
}

void defer_drop_ref_misused(const struct defer_drop_ref *ref, uint64_t count)
{
	if (count)
		dd_report(NULL,
			"%p had %" PRIu64 " references, and more were got or put than there can be",
			ref->object, count);
	else
		dd_report(NULL, "%p was used after its last reference was put", ref->object);
	abort();
}
