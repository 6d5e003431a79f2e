// SPDX-License-Identifier: MIT
//
// A thread reads the handler of reports while another thread sets several, one after the other. The reader gets
// the function and the context of the same handler, and never an older handler than before.
#include "model.h"

#include "base/handler.h"

namespace
{

enum { HANDLERS = 3, LOOKS = 2 };

template <int number> void handle(void *, const char *)
{
}

const defer_drop_report_fn functions[] = {nullptr, handle<1>, handle<2>, handle<3>};

struct handled : rl::test_suite<handled, 2> {
	dd_handlers handlers{};
	char contexts[HANDLERS + 1];

	void set()
	{
		for (int i = 1; i <= HANDLERS; i++)
			dd_handler_set(&handlers, functions[i], &contexts[i]);
	}

	int look()
	{
		void *context;
		defer_drop_report_fn found = dd_handler_get(&handlers, &context);
		int i = int(std::find(functions, functions + HANDLERS, found) - functions);

		RL_ASSERT(context == (i ? &contexts[i] : nullptr));
		return i;
	}

	void thread(unsigned index)
	{
		int last = 0;

		if (!index)
			set();
		for (int looks = 0; index && looks < LOOKS; looks++) {
			int found = look();

			RL_ASSERT(found >= last);
			last = found;
		}
	}

	void after()
	{
		RL_ASSERT(look() == HANDLERS);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<handled>(3, 20000);
}
