// SPDX-License-Identifier: MIT
//
// A watchdog reads which drop is being destroyed while the consumer goes from one to the next: it gets a complete
// record, whose number no other drop has, or none.
#include "model.h"

#include "core/record.h"

namespace
{

enum { DROPS = 3, LOOKS = 3 };

void destroy_with_status(void *)
{
}

struct recorded : rl::test_suite<recorded, 2> {
	dd_record record{};
	object dropped[DROPS];

	// Drops 0 and 2 differ only in their objects.
	dd_drop drop_of(int i)
	{
		return {&dropped[i], i % 2 ? destroy_with_status : destroy_object};
	}

	void consume()
	{
		for (int i = 0; i < DROPS; i++) {
			dd_drop drop = drop_of(i);

			dd_record_begin(&record, &drop, i % 2 ? DD_HAS_STATUS : 0);
			dd_record_end(&record);
		}
	}

	void look()
	{
		uint64_t numbers[DROPS] = {};

		for (int looks = 0; looks < LOOKS; looks++) {
			dd_recorded seen;

			if (!dd_record_read(&record, &seen))
				continue;
			int i = int(static_cast<object *>(seen.drop.object) - dropped);
			RL_ASSERT(seen.drop.destroy == drop_of(i).destroy);
			RL_ASSERT(!(seen.number & DD_RECORD_TYPE) == !(i % 2));
			for (int other = 0; other < DROPS; other++)
				RL_ASSERT(other == i || numbers[other] != seen.number);
			RL_ASSERT(!numbers[i] || numbers[i] == seen.number);
			numbers[i] = seen.number;
		}
	}

	void thread(unsigned index)
	{
		index ? look() : consume();
	}

	void after()
	{
		dd_recorded seen;

		RL_ASSERT(!dd_record_read(&record, &seen));
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<recorded>(3, 20000);
}
