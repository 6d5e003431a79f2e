/* SPDX-License-Identifier: MIT
 *
 * The C++ face.
 */
#include <defer_drop.hpp>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "../claim.h"

namespace
{

/* Counts its lives, moves and deaths, and who destroyed it. */
std::atomic<int> alive;
std::thread::id destroyer;

struct animal {
	int legs;

	explicit animal(int count = 4) noexcept : legs(count)
	{
		alive++;
	}
	animal(animal &&other) noexcept : legs(std::exchange(other.legs, 0))
	{
		alive++;
	}
	animal &operator=(animal &&other) noexcept
	{
		legs = std::exchange(other.legs, 0);
		return *this;
	}
	virtual ~animal()
	{
		if (legs)
			destroyer = std::this_thread::get_id();
		alive--;
	}
};

struct bird : animal {
	std::string song = "a song too long to be kept without an allocation of its own";

	bird() noexcept : animal(2)
	{
	}
};

/* Can be moved, but not assigned. */
struct fixed_animal {
	const int legs = 8;
	animal inner;

	fixed_animal() = default;
	fixed_animal(fixed_animal &&) = default;
};

bool was_destroyed_here()
{
	return destroyer == std::this_thread::get_id();
}

int refuse(const defer_drop_strategy *, void *, defer_drop_fn)
{
	return -EAGAIN;
}

const ::defer_drop_strategy refusing = {refuse, nullptr};

int refused_count;

void note_refused(void *, const defer_drop_trouble *trouble)
{
	CHECK(trouble->kind == DEFER_DROP_TROUBLE_REFUSED && trouble->error == -EAGAIN);
	refused_count++;
}

void flush_and_expect(int count)
{
	CHECK(!defer_drop_flush());
	CHECK(alive == count);
}

/* ---- Pointers -------------------------------------------------------------------------------- */

void test_sizes()
{
	static_assert(sizeof(defer_drop::unique_ptr<animal>) == sizeof(animal *));
	static_assert(sizeof(defer_drop::unique_ptr<animal[], defer_drop::rcu>) == sizeof(void *));
	static_assert(
		sizeof(defer_drop::unique_ptr<animal, defer_drop::chosen>) == 2 * sizeof(void *));
}

void test_unique_ptr()
{
	{
		auto cat = defer_drop::make_unique<animal>(4);
		defer_drop::unique_ptr<animal> nobody;

		CHECK(cat->legs == 4 && alive == 1);
		nobody = std::move(cat);
		CHECK(alive == 1);
	}
	flush_and_expect(0);
	CHECK(!was_destroyed_here());
	{
		defer_drop::unique_ptr<animal, defer_drop::in_place> cat(new animal);
	}
	CHECK(alive == 0 && was_destroyed_here());
}

void test_derived()
{
	{
		defer_drop::unique_ptr<animal> any = defer_drop::make_unique<bird>();

		CHECK(any->legs == 2);
	}
	flush_and_expect(0);
}

void test_array()
{
	{
		defer_drop::unique_ptr<animal[]> herd(new animal[10]);

		CHECK(alive == 10 && herd[9].legs == 4);
	}
	flush_and_expect(0);
}

void test_shared_ptr()
{
	std::shared_ptr<const animal> first(new animal, defer_drop::deleter<animal>());
	std::weak_ptr<const animal> weak = first;
	{
		std::shared_ptr<const animal> second = first;

		first.reset();
		CHECK(alive == 1);
	}
	CHECK(weak.expired());
	flush_and_expect(0);
	CHECK(!was_destroyed_here());
}

void test_chosen()
{
	using pointer = defer_drop::unique_ptr<animal, defer_drop::chosen>;
	using deleter = pointer::deleter_type;
	{
		pointer cat(new animal);
		pointer dog(new animal, deleter(defer_drop::chosen(&defer_drop_strategy_in_place)));

		dog.reset();
		CHECK(alive == 1 && was_destroyed_here());
		cat.get_deleter() = deleter(defer_drop::chosen(&defer_drop_strategy_in_place));
	}
	CHECK(alive == 0);
}

/* ---- Drops ----------------------------------------------------------------------------------- */

void test_drop_value()
{
	std::vector<bird> flock(10);
	std::map<int, std::string> plain = {{1, "one"}, {2, "two"}};

	CHECK(!defer_drop::drop(std::move(flock)));
	CHECK(flock.empty());
	CHECK(!defer_drop::drop(std::move(plain)));
	CHECK(!defer_drop::drop(animal()));
	flush_and_expect(0);
	CHECK(!was_destroyed_here());
	CHECK(!defer_drop::drop<defer_drop::in_place>(animal()));
	CHECK(was_destroyed_here());
	CHECK(!defer_drop::drop([cat = animal()] {}));
	flush_and_expect(0);
}

void test_drop_pointer()
{
	auto cat = std::make_unique<animal>();
	auto herd = std::make_unique<animal[]>(3);
	auto deferred = defer_drop::make_unique<animal>();
	std::unique_ptr<const animal> constant(new animal);
	std::unique_ptr<animal> none;

	/* First: beside the worker it would race for who destroyed. */
	CHECK(!defer_drop::drop<defer_drop::in_place>(std::move(deferred)) && !deferred);
	CHECK(!defer_drop::drop(std::move(cat)) && !cat);
	CHECK(!defer_drop::drop(std::move(herd)) && !herd);
	CHECK(!defer_drop::drop(std::move(constant)) && !constant);
	CHECK(!defer_drop::drop(std::move(none)));
	CHECK(!defer_drop::drop(new animal));
	CHECK(!defer_drop::drop(static_cast<animal *>(nullptr)));
	flush_and_expect(0);
}

void test_drop_refused()
{
	const defer_drop::chosen how(&refusing);
	animal cat(4);
	fixed_animal spider;
	auto dog = std::make_unique<animal>();

	CHECK(defer_drop::drop(std::move(cat), how) == -EAGAIN && cat.legs == 4);
	CHECK(defer_drop::drop(std::move(spider), how) == -EAGAIN && spider.inner.legs == 4);
	CHECK(defer_drop::drop(std::move(dog), how) == -EAGAIN && dog);
	CHECK(defer_drop::drop(dog.get(), how) == -EAGAIN);
	CHECK(alive == 3);
}

/* The C call is there beside the struct of its name. */
void test_plain_call()
{
	CHECK(!defer_drop(new animal, [](void *object) { delete static_cast<animal *>(object); }));
	flush_and_expect(0);
}

/* ---- Scopes ---------------------------------------------------------------------------------- */

void test_scoped()
{
	{
		defer_drop::scoped<std::vector<animal>> herd(std::vector<animal>(5));

		CHECK(herd && herd->size() == 5 && (*herd)[4].legs == 4);
	}
	flush_and_expect(0);
	CHECK(!was_destroyed_here());
	{
		defer_drop::scoped<animal> cat{animal()};
		defer_drop::scoped<animal> moved(std::move(cat));
		animal taken = moved.take();

		CHECK(!cat && !moved && taken.legs == 4 && alive == 1);
	}
	CHECK(alive == 0 && was_destroyed_here());
	{
		defer_drop::scoped<animal> cat{animal()};

		CHECK(!cat.drop() && !cat && !cat.drop());
		flush_and_expect(0);
	}
}

void test_scoped_refused()
{
	{
		defer_drop::scoped<animal, defer_drop::chosen> cat{
			animal(), defer_drop::chosen(&refusing)};
		const auto &same = cat;

		CHECK(cat.drop() == -EAGAIN && same && same->legs == 4 && (*same).legs == 4);
	}
	CHECK(alive == 0 && was_destroyed_here());
	{
		defer_drop::scoped<animal, defer_drop::chosen> cat{
			animal(), defer_drop::chosen(&refusing)};

		cat.retarget(defer_drop::chosen(nullptr));
	}
	flush_and_expect(0);
	CHECK(!was_destroyed_here());
}

/* ---- Who cannot return an error -------------------------------------------------------------- */

void test_refused()
{
	using pointer = defer_drop::unique_ptr<animal, defer_drop::chosen>;
	animal *cat = new animal;

	defer_drop_trouble_handle(note_refused, nullptr);
	{
		pointer owner(cat, pointer::deleter_type(defer_drop::chosen(&refusing)));
	}
	CHECK(alive == 1 && refused_count == 1);
	delete cat;
}

void test_after_shutdown()
{
	CHECK(!defer_drop_shutdown());
	{
		auto cat = defer_drop::make_unique<animal>();
		defer_drop::scoped<animal> dog{animal()};
	}
	CHECK(alive == 0 && was_destroyed_here());
}

defer_drop::unique_ptr<animal> longest_lived;

} // namespace

int main()
{
	test_sizes();
	test_unique_ptr();
	test_derived();
	test_array();
	test_shared_ptr();
	test_chosen();
	test_drop_value();
	test_drop_pointer();
	test_drop_refused();
	test_plain_call();
	test_scoped();
	test_scoped_refused();
	test_refused();
	test_after_shutdown();
	longest_lived = defer_drop::make_unique<animal>();
	return 0;
}
