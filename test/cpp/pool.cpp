/* SPDX-License-Identifier: MIT
 *
 * The C++ face of pools: containers whose nodes come home when the worker destroys them.
 */
#include <defer_drop.hpp>

#include <list>
#include <map>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "../common/check.h"

namespace dd = deferdrop;

namespace
{

::defer_drop_pool_counts counts_of(const dd::pools &memory)
{
	::defer_drop_pool_counts counts = DEFER_DROP_POOL_COUNTS_INIT;

	CHECK(!defer_drop_classes_stats(memory.classes(), &counts));
	return counts;
}

/* What a container held comes home when it was dropped and the worker has destroyed it. */
template <class Make> void test_comes_home(Make make)
{
	dd::pools memory;
	std::uint64_t backing = 0;

	for (int i = 0; i < 5; i++) {
		auto container = make(memory);

		CHECK(counts_of(memory).out > 0);
		CHECK(!dd::drop(std::move(container)));
		CHECK(!dd::flush());
		(void)container.size(); /* what was moved from may keep a node of its own */
	}
	CHECK(counts_of(memory).out == 0);
	backing = counts_of(memory).from_backing_total;
	/* Each time all nodes anew would be five times as many. */
	CHECK(counts_of(memory).taken_total > 2 * backing);
}

void test_pmr_containers()
{
	test_comes_home([](dd::pools &memory) {
		std::pmr::list<int> list(&memory);

		for (int i = 0; i < 5000; i++)
			list.push_back(i);
		return list;
	});
	test_comes_home([](dd::pools &memory) {
		std::pmr::map<int, std::pmr::string> map(&memory);

		for (int i = 0; i < 5000; i++)
			map.emplace(i, std::string(static_cast<std::size_t>(i % 300), 'x'));
		return map;
	});
}

void test_plain_containers()
{
	test_comes_home([](dd::pools &memory) {
		std::list<int, dd::pool_allocator<int>> list{dd::pool_allocator<int>(memory)};

		for (int i = 0; i < 5000; i++)
			list.push_back(i);
		return list;
	});
	test_comes_home([](dd::pools &memory) {
		using pair = std::pair<const int, double>;
		std::unordered_map<int, double, std::hash<int>, std::equal_to<int>,
			dd::pool_allocator<pair>>
			map(16, std::hash<int>(), std::equal_to<int>(),
				dd::pool_allocator<pair>(memory));

		for (int i = 0; i < 5000; i++)
			map[i] = i;
		return map;
	});
}

void test_allocators_compare()
{
	dd::pools one;
	dd::pools other;
	dd::pool_allocator<int> ints(one);
	dd::pool_allocator<char> chars(ints);

	CHECK(ints == chars && !(ints != chars));
	CHECK(ints != dd::pool_allocator<int>(other));
	CHECK(one.is_equal(one) && !one.is_equal(other));
}

void test_move_between_pools()
{
	dd::pools one;
	dd::pools other;
	std::vector<int, dd::pool_allocator<int>> source({1, 2, 3}, dd::pool_allocator<int>(one));
	std::vector<int, dd::pool_allocator<int>> target({4}, dd::pool_allocator<int>(other));
	const int *place = source.data();

	target = std::move(source);
	CHECK(target.data() == place && target.size() == 3);
	CHECK(counts_of(other).out == 0);
}

struct alignas(256) wide {
	char bytes[256];
};

void test_alignment()
{
	dd::pools memory;
	std::pmr::vector<wide> pmr(10, &memory);
	std::vector<wide, dd::pool_allocator<wide>> plain(10, dd::pool_allocator<wide>(memory));

	CHECK(reinterpret_cast<std::uintptr_t>(pmr.data()) % 256 == 0);
	CHECK(reinterpret_cast<std::uintptr_t>(plain.data()) % 256 == 0);
	CHECK(counts_of(memory).out == 0);
}

void test_large_blocks()
{
	dd::pools memory;
	std::pmr::vector<char> vector(&memory);

	vector.resize(1000000, 'x');
	CHECK(counts_of(memory).out_bytes >= 1000000);
	vector.clear();
	vector.shrink_to_fit();
	CHECK(counts_of(memory).out == 0);
}

template <class Error, class Call> bool throws(Call call)
{
	try {
		call();
	} catch (const Error &) {
		return true;
	}
	return false;
}

void *no_memory(void *, std::size_t, std::size_t)
{
	return nullptr;
}

void no_give(void *, void *, std::size_t, std::size_t)
{
}

void test_errors()
{
	::defer_drop_pool_config config = DEFER_DROP_POOL_CONFIG_INIT;

	config.block_bytes = 8;
	CHECK(throws<std::invalid_argument>([&] { dd::pools memory(config); }));
	config.block_bytes = 0;
	config.backing_take = no_memory;
	config.backing_give = no_give;
	dd::pools memory(config);
	CHECK(throws<std::bad_alloc>([&] { (void)memory.take(8); }));
	CHECK(throws<std::bad_alloc>([&] { std::pmr::list<int> list(3, &memory); }));
	dd::pool_allocator<int> ints(memory);
	CHECK(throws<std::bad_alloc>([&] { (void)ints.allocate(SIZE_MAX / 2); }));
}

/* The end of pools waits for what was dropped. */
void test_end_waits()
{
	for (int i = 0; i < 100; i++) {
		dd::pools memory;
		std::pmr::list<int> list(1000, &memory);

		CHECK(!dd::drop(std::move(list)));
	}
}

/* Made by some threads, destroyed by the worker, whose nodes any of them takes. */
void test_threads()
{
	dd::pools memory;
	std::vector<std::thread> threads;

	threads.reserve(4);
	for (int i = 0; i < 4; i++)
		threads.emplace_back([&memory] {
			for (int j = 0; j < 200; j++) {
				std::pmr::list<std::pmr::string> list(&memory);

				for (int k = 0; k < 100; k++)
					list.emplace_back(static_cast<std::size_t>(k), 'x');
				CHECK(!dd::drop(std::move(list)));
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	CHECK(!dd::flush());
	CHECK(counts_of(memory).out == 0);
}

} // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): an exception ends the test, as it should
int main()
{
	test_pmr_containers();
	test_plain_containers();
	test_allocators_compare();
	test_move_between_pools();
	test_alignment();
	test_large_blocks();
	test_errors();
	test_end_waits();
	test_threads();
	return 0;
}
