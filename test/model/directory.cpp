// SPDX-License-Identifier: MIT
//
// A thread sets a queue up and enters it in the directory. Threads that know its id find it complete, or not at
// all yet.
#include "model_queue.h"

#include "core/directory.h"

namespace
{

struct found : rl::test_suite<found, 3> {
	queue_model model;
	std::unique_ptr<dd_directory> directory;
	rl::var<int> made;

	void before()
	{
		directory = std::make_unique<dd_directory>();
	}

	void thread(unsigned index)
	{
		if (!index) {
			made($) = 1;
			dd_directory_enter(directory.get(), &model.queue);
			return;
		}
		while (dd_directory_look_up(directory.get(), MODEL_QUEUE_ID) != &model.queue)
			model_yield();
		RL_ASSERT(made($) == 1);
	}
};

} // namespace

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !explore<found>(3, 500);
}
