/* SPDX-License-Identifier: MIT
 *
 * reader with | without: a pointer whose type says rcu is dropped, and a scope ends that holds one,
 * while a reader of liburcu's is looking at the object: it is not destroyed before the reader has
 * left.
 *
 * without has the worker in the type instead: the reader then sees that the object is destroyed,
 * and the program must fail.
 */
#define URCU_API_MAP /* the names without a flavor */
#include <urcu/urcu-memb.h>

#include <defer_drop.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "../common/check.h"

namespace
{

std::atomic<bool> is_destroyed;

struct tree {
	~tree()
	{
		is_destroyed = true;
	}
};

tree *published;
std::atomic<bool> is_inside;

/* Stays inside for a while, and at least as long as it takes to see the object destroyed, if that
 * is what it is to see. */
void read(bool is_protected)
{
	rcu_register_thread();
	rcu_read_lock();
	const tree *seen = rcu_dereference(published);
	is_inside = true;
	for (int i = 0; i < 100 || (!is_protected && !is_destroyed); i++) {
		CHECK(seen && !is_destroyed);
		std::this_thread::sleep_for(std::chrono::milliseconds(1));
	}
	CHECK(!is_destroyed);
	rcu_read_unlock();
	rcu_unregister_thread();
}

/* Publishes an object, and removes it under the eyes of a reader, by a function that lets the
 * owner's object go. */
template <class Strategy, class LetGo> void remove_under_reader(LetGo let_go)
{
	auto owner = deferdrop::make_unique<tree, Strategy>();

	is_destroyed = is_inside = false;
	rcu_assign_pointer(published, owner.get());
	std::thread reader(read, std::is_same_v<Strategy, deferdrop::rcu>);
	while (!is_inside)
		std::this_thread::yield();
	rcu_assign_pointer(published, static_cast<tree *>(nullptr));
	let_go(std::move(owner));
	reader.join();
	CHECK(!deferdrop::flush() && is_destroyed);
}

template <class Strategy> void test()
{
	using owner_type = deferdrop::unique_ptr<tree, Strategy>;

	remove_under_reader<Strategy>(
		[](owner_type owner) { CHECK(!deferdrop::drop(std::move(owner))); });
	remove_under_reader<Strategy>(
		[](owner_type owner) { deferdrop::scoped<owner_type> scoped(std::move(owner)); });
	remove_under_reader<Strategy>([](owner_type owner) { owner.reset(); });
	remove_under_reader<Strategy>(
		[](owner_type owner) { const std::shared_ptr<tree> shared(std::move(owner)); });
}

} // namespace

int main(int count, char **arguments)
{
	const char *argument = count == 2 ? arguments[1] : "";

	if (!std::strcmp(argument, "with")) {
		test<deferdrop::rcu>();
	} else if (!std::strcmp(argument, "without")) {
		test<deferdrop::worker>();
	} else {
		std::fprintf(stderr, "reader: %s: want with or without\n", argument);
		return 2;
	}
	return 0;
}
