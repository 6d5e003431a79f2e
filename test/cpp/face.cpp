/* SPDX-License-Identifier: MIT
 *
 * The C++ face.
 */
#include <defer_drop.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "../common/check.h"

/* No memory for what is aligned beyond the usual, which is nothing but the class aligned below. */
static bool has_no_memory;

void *operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t &) noexcept
{
	return has_no_memory ? nullptr : ::operator new(size, alignment);
}

namespace dd = deferdrop;

namespace deferdrop
{

/* A program can open the namespace. */
using strings = unique_ptr<std::vector<std::string>>;

} // namespace deferdrop

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

/* Lives in a pool, not on the heap; but can be moved. */
struct pooled_animal : animal {
	static void *operator new(std::size_t) = delete;
	// NOLINTNEXTLINE(misc-new-delete-overloads): a deleted one does not count there
	static void operator delete(void *)
	{
		abort();
	}
};

struct alignas(64) aligned_animal : animal {
};

/* Its moves throw when they are told to. */
struct shy_animal {
	static inline bool throws_constructed;
	static inline bool throws_assigned;
	animal inner;

	shy_animal() = default;
	shy_animal(shy_animal &&other) noexcept(false)
	    : inner(std::move(throws_constructed ? throw 1 : other.inner))
	{
	}
	shy_animal &operator=(shy_animal &&other) noexcept(false)
	{
		inner = std::move(throws_assigned ? throw 2 : other.inner);
		return *this;
	}
};

/* Only one of its moves may throw, which are not needed for more than to be asked about. */
struct shy_to_move {
	shy_to_move(shy_to_move &&) noexcept(false);
	shy_to_move &operator=(shy_to_move &&) noexcept;
};

struct shy_to_assign {
	shy_to_assign(shy_to_assign &&) noexcept;
	shy_to_assign &operator=(shy_to_assign &&) noexcept(false);
};

/* Keeps the worker busy until it is opened. */
std::atomic<bool> is_open;

struct gate {
	animal inner;

	~gate()
	{
		while (inner.legs && !is_open)
			std::this_thread::yield();
	}
	gate() = default;
	gate(gate &&) = default;
	gate &operator=(gate &&) = default;
};

bool was_destroyed_here()
{
	return destroyer == std::this_thread::get_id();
}

/* ---- Strategies of one's own ----------------------------------------------------------------- */

int refuse(const defer_drop_strategy *, void *, defer_drop_fn)
{
	return -EAGAIN;
}

int counted;
void *last_object;
defer_drop_fn last_destroy;

int count(const defer_drop_strategy *, void *object, defer_drop_fn destroy)
{
	counted++;
	last_object = object;
	last_destroy = destroy;
	destroy(object);
	return 0;
}

const ::defer_drop_strategy refusing = {DEFER_DROP_STRATEGY_VERSION, refuse, nullptr};
const ::defer_drop_strategy counting = {DEFER_DROP_STRATEGY_VERSION, count, nullptr};

using chosen_ptr = dd::unique_ptr<animal, dd::chosen>;

chosen_ptr counted_animal()
{
	counted = 0;
	return chosen_ptr(new animal, dd::chosen(&counting));
}

int refused_count;
int refused_error;

void note_refused(void *, const defer_drop_trouble *trouble)
{
	CHECK(trouble->kind == DEFER_DROP_TROUBLE_REFUSED);
	refused_error = trouble->error;
	refused_count++;
}

void flush_and_expect(int lives)
{
	CHECK(!dd::flush());
	CHECK(alive == lives);
}

/* ---- Pointers -------------------------------------------------------------------------------- */

void test_sizes()
{
	static_assert(sizeof(dd::unique_ptr<animal>) == sizeof(animal *));
	static_assert(sizeof(dd::unique_ptr<animal[], dd::rcu>) == sizeof(void *));
	static_assert(sizeof(dd::unique_ptr<animal, dd::chosen>) == 2 * sizeof(void *));
	static_assert(sizeof(dd::scoped<animal>) == sizeof(std::optional<animal>));
	static_assert(sizeof(dd::strings) == sizeof(void *));
}

void test_unique_ptr()
{
	{
		auto cat = dd::make_unique<animal>(4);
		dd::unique_ptr<animal> nobody;

		CHECK(cat->legs == 4 && alive == 1);
		nobody = std::move(cat);
		CHECK(alive == 1);
	}
	flush_and_expect(0);
	CHECK(!was_destroyed_here());
	{
		dd::unique_ptr<animal, dd::in_place> cat(new animal);
	}
	CHECK(alive == 0 && was_destroyed_here());
}

void test_derived()
{
	{
		dd::unique_ptr<animal> any = dd::make_unique<bird>();
		dd::unique_ptr<const animal[]> herd = dd::make_unique<animal[]>(2);

		CHECK(any->legs == 2 && herd[1].legs == 4);
	}
	flush_and_expect(0);
}

void test_array()
{
	{
		dd::unique_ptr<animal[]> herd(new animal[10]);
		auto numbers = dd::make_unique<int[]>(100);
		auto none = dd::make_unique<animal[], dd::in_place>(0);

		CHECK(alive == 10 && herd[9].legs == 4);
		CHECK(numbers[0] == 0 && numbers[99] == 0 && none);
		herd = dd::make_unique<animal[]>(5);
		CHECK(!dd::drop(std::move(numbers)) && !numbers);
	}
	flush_and_expect(0);
	CHECK(!dd::drop(dd::make_unique<animal[], dd::in_place>(3)));
	CHECK(alive == 0 && was_destroyed_here());
}

void test_shared_ptr()
{
	std::shared_ptr<const animal> first(new animal, dd::deleter<animal>());
	std::weak_ptr<const animal> weak = first;
	{
		std::shared_ptr<const animal> second = first;

		first.reset();
		CHECK(alive == 1);
	}
	CHECK(weak.expired());
	flush_and_expect(0);
	CHECK(!was_destroyed_here());
	{
		const dd::chosen how(&counting);
		std::shared_ptr<animal> nobody(nullptr, dd::deleter<animal, dd::chosen>(how));
	}
	CHECK(!counted);
}

void test_chosen()
{
	{
		chosen_ptr cat(new animal);
		chosen_ptr dog(new animal, dd::chosen(&defer_drop_strategy_in_place));

		dog.reset();
		CHECK(alive == 1 && was_destroyed_here());
		cat.get_deleter() = dd::chosen(&defer_drop_strategy_in_place);
	}
	CHECK(alive == 0);
}

/* ---- A strategy in a pointer's type ---------------------------------------------------------- */

void test_own_strategy()
{
	counted_animal().reset();
	CHECK(counted == 1);
	CHECK(!dd::drop(counted_animal()) && counted == 1);
	{
		dd::scoped<chosen_ptr> cat(counted_animal());

		CHECK(!counted && (*cat)->legs == 4);
	}
	CHECK(counted == 1);
	{
		dd::scoped cat(counted_animal());

		CHECK(!cat.drop() && counted == 1 && !cat.drop());
	}
	CHECK(counted == 1);
	{
		std::shared_ptr<animal> shared(counted_animal());
	}
	CHECK(counted == 1 && alive == 0 && was_destroyed_here());
}

/* Also where such pointers are parts of a value. */
void test_own_strategy_inside()
{
	std::vector<chosen_ptr> herd;

	herd.reserve(3);
	for (int i = 0; i < 3; i++)
		herd.push_back(counted_animal());
	CHECK(!dd::drop(std::move(herd)));
	flush_and_expect(0);
	CHECK(counted == 3);
}

void test_own_strategy_refuses()
{
	chosen_ptr cat(new animal, dd::chosen(&refusing));

	CHECK(dd::drop(std::move(cat)) == -EAGAIN && cat && cat->legs == 4);
	CHECK(cat.get_deleter().strategy() == &refusing);
	refused_count = 0;
	{
		dd::scoped<chosen_ptr> scoped(std::move(cat));

		CHECK(scoped.drop() == -EAGAIN && scoped && (*scoped)->legs == 4 && !refused_count);
		cat = scoped.take();
	}
	CHECK(!refused_count);
	cat.get_deleter() = dd::chosen(&defer_drop_strategy_in_place);
}

/* ---- Drops ----------------------------------------------------------------------------------- */

void test_drop_value()
{
	std::vector<bird> flock(10);
	std::map<int, std::string> plain = {{1, "one"}, {2, "two"}};

	CHECK(!dd::drop(std::move(flock)));
	CHECK(flock.empty());
	CHECK(!dd::drop(std::move(plain)));
	CHECK(!dd::drop(animal()));
	flush_and_expect(0);
	CHECK(!was_destroyed_here());
	CHECK(!dd::drop<dd::in_place>(animal()));
	CHECK(was_destroyed_here());
	CHECK(!dd::drop([cat = animal()] {}));
	CHECK(!dd::drop(std::make_shared<animal>()));
	CHECK(!dd::drop(pooled_animal()));
	CHECK(!dd::drop(aligned_animal()));
	flush_and_expect(0);
}

/* Takes one away in each slice. Its copies count how often. */
struct butcher {
	std::atomic<int> *slices;

	bool operator()(std::vector<bird> &flock) noexcept
	{
		++*slices;
		flock.pop_back();
		return flock.empty();
	}
};

void test_drop_in_slices()
{
	std::atomic<int> slices = 0;
	std::vector<bird> flock(10);
	auto cat = std::make_unique<animal>();

	CHECK(!dd::drop_in_slices(std::move(flock), butcher{&slices}));
	CHECK(flock.empty());
	flush_and_expect(1);
	CHECK(slices == 10 && !was_destroyed_here());
	flock = std::vector<bird>(3);
	CHECK(!dd::drop_in_slices<dd::in_place>(std::move(flock), butcher{&slices}));
	CHECK(slices == 13 && alive == 1 && was_destroyed_here());
	CHECK(!dd::drop_in_slices(
		std::move(cat), [](auto &owner) noexcept { return owner->legs; }));
	flush_and_expect(0);
	flock = std::vector<bird>(3);
	CHECK(dd::drop_in_slices(std::move(flock), butcher{&slices}, dd::chosen(&refusing)) < 0);
	CHECK(flock.size() == 3 && slices == 13);
}

void test_drop_pointer()
{
	auto cat = std::make_unique<animal>();
	auto herd = std::make_unique<animal[]>(3);
	auto deferred = dd::make_unique<animal, dd::in_place>();
	std::unique_ptr<const animal> constant(new animal);
	std::unique_ptr<animal> none;
	const animal *const fixed = new animal;

	/* First: beside the worker it would race for the note of the thread that destroyed. */
	CHECK(!dd::drop(std::move(deferred)) && !deferred && was_destroyed_here());
	CHECK(!dd::drop(std::move(cat)) && !cat);
	CHECK(!dd::drop(std::move(herd)) && !herd);
	CHECK(!dd::drop(std::move(constant)) && !constant);
	CHECK(!dd::drop(std::move(none)));
	CHECK(!dd::drop(dd::unique_ptr<animal>()));
	CHECK(!dd::drop(new animal));
	CHECK(!dd::drop(fixed));
	CHECK(!dd::drop(static_cast<animal *>(nullptr)));
	flush_and_expect(0);
}

void test_drop_refused()
{
	const dd::chosen how(&refusing);
	animal cat(4);
	fixed_animal spider;
	auto dog = std::make_unique<animal>();

	CHECK(dd::drop(std::move(cat), how) == -EAGAIN && cat.legs == 4);
	CHECK(dd::drop(std::move(spider), how) == -EAGAIN && spider.inner.legs == 4);
	CHECK(dd::drop(std::move(dog), how) == -EAGAIN && dog);
	CHECK(dd::drop(dog.get(), how) == -EAGAIN);
	CHECK(alive == 3);
}

void test_drop_without_memory()
{
	aligned_animal cat;

	has_no_memory = true;
	CHECK(dd::drop(std::move(cat)) == -ENOMEM && cat.legs == 4);
	{
		dd::scoped<aligned_animal> dog{aligned_animal()};

		CHECK(dog.drop() == -ENOMEM && dog && dog->legs == 4);
	}
	has_no_memory = false;
	CHECK(alive == 1 && was_destroyed_here());
}

/* The C call is there beside the namespace. */
void test_plain_call()
{
	CHECK(!defer_drop(new animal, [](void *object) { delete static_cast<animal *>(object); }));
	flush_and_expect(0);
}

/* ---- Bad use --------------------------------------------------------------------------------- */

/* No strategy is the worker, however it is said. */
void test_no_strategy()
{
	CHECK(!dd::drop(animal(), dd::chosen()));
	CHECK(!dd::drop(animal(), dd::chosen(nullptr)));
	CHECK(!dd::drop(animal(), dd::fixed<nullptr>()));
	CHECK(!dd::drop(chosen_ptr(new animal)));
	CHECK(!dd::drop(std::make_unique<animal>(), dd::own()));
	flush_and_expect(0);
	CHECK(!was_destroyed_here());
}

/* Returns what a drop answers by a strategy that is refused as a whole; nothing is destroyed. */
int answer_of(const ::defer_drop_strategy &strategy)
{
	const dd::chosen how(&strategy);
	animal cat;
	std::unique_ptr<animal> dog(new animal);
	chosen_ptr cow(new animal, how);
	const int result = dd::drop(std::move(cat), how);

	CHECK(dd::drop(std::move(dog), how) == result && dog);
	CHECK(dd::drop(std::move(cow)) == result && cow);
	CHECK(cat.legs == 4 && alive == 3);
	cow.get_deleter() = dd::chosen(&defer_drop_strategy_in_place);
	return result;
}

void test_bad_strategy()
{
	CHECK(answer_of({0, count, nullptr}) == -EINVAL);
	CHECK(answer_of({DEFER_DROP_STRATEGY_VERSION, nullptr, nullptr}) == -EINVAL);
	CHECK(answer_of({DEFER_DROP_STRATEGY_VERSION + 1, count, nullptr}) == -E2BIG);
	CHECK(alive == 0);
}

/* ---- Deleters of all kinds ------------------------------------------------------------------- */

struct close_stream {
	void operator()(FILE *stream) const
	{
		CHECK(!std::fclose(stream));
	}
};

/* What a descriptor is closed by, and the type of such a pointer. */
struct descriptor {
	int file = -1;

	descriptor(std::nullptr_t = nullptr)
	{
	}
	explicit descriptor(int number) : file(number)
	{
	}
	explicit operator bool() const
	{
		return file >= 0;
	}
	friend bool operator==(descriptor one, descriptor other)
	{
		return one.file == other.file;
	}
	friend bool operator!=(descriptor one, descriptor other)
	{
		return one.file != other.file;
	}
};

std::atomic<int> last_closed = -1;

struct close_descriptor {
	using pointer = descriptor;

	void operator()(descriptor closed) const
	{
		last_closed = closed.file;
		if (closed.file > 2)
			CHECK(!close(closed.file));
	}
};

/* One with a memory of its own. */
struct keeper {
	std::string name = "a name too long to be kept without an allocation of its own";
	std::unique_ptr<animal> companion = std::make_unique<animal>();

	void operator()(animal *object) const
	{
		CHECK(name.size() > 50 && companion->legs == 4);
		delete object;
	}
};

struct final_deleter final {
	void operator()(animal *object) const
	{
		delete object;
	}
};

void delete_animal(animal *object)
{
	delete object;
}

std::atomic<int> freed;

void free_counted(void *object)
{
	std::free(object);
	freed++;
}

void test_stateless_deleter()
{
	const auto close_it = [](FILE *stream) { close_stream()(stream); };
	std::unique_ptr<FILE, close_stream> stream(std::fopen("/dev/null", "r"));
	std::unique_ptr<FILE, decltype(close_it)> other(std::fopen("/dev/null", "r"), close_it);
	std::unique_ptr<FILE, int (*)(FILE *)> third(std::fopen("/dev/null", "r"), std::fclose);
	std::unique_ptr<bird, std::default_delete<animal>> base(new bird);
	std::unique_ptr<animal, final_deleter> last(new animal);
	const int file = fileno(stream.get());

	CHECK(!dd::drop(std::move(stream)) && !stream);
	CHECK(!dd::drop(std::move(other)) && !other);
	CHECK(!dd::drop(std::move(third)) && !third);
	CHECK(!dd::drop(std::move(base)) && !base);
	CHECK(!dd::drop(std::move(last)) && !last);
	flush_and_expect(0);
	CHECK(fcntl(file, F_GETFD) == -1);
}

void test_descriptor()
{
	using owner = std::unique_ptr<int, close_descriptor>;
	const int file = open("/dev/null", O_RDONLY);
	owner opened{descriptor(file)};

	CHECK(file > 2 && dd::drop(std::move(opened), dd::chosen(&refusing)) == -EAGAIN);
	CHECK(opened.get().file == file && last_closed == -1);
	CHECK(!dd::drop(std::move(opened)) && !opened);
	CHECK(!dd::flush() && last_closed == file && fcntl(file, F_GETFD) == -1);
	{
		dd::scoped<owner> zero(owner{descriptor(0)});
	}
	CHECK(!dd::flush() && last_closed == 0);
	CHECK(!dd::drop(owner()));
	CHECK(!dd::flush() && last_closed == 0);
}

void test_stateful_deleter()
{
	using owner = std::unique_ptr<animal, keeper>;
	owner cat(new animal);
	const auto both_are_there = [&cat] {
		return cat && cat->legs == 4 && cat.get_deleter().name.size() > 50 &&
		       cat.get_deleter().companion;
	};

	CHECK(dd::drop(std::move(cat), dd::chosen(&refusing)) == -EAGAIN && both_are_there());
	CHECK(!dd::drop(owner()));
	CHECK(alive == 2);
	CHECK(!dd::drop(std::move(cat)) && !cat && !cat.get_deleter().companion);
	flush_and_expect(0);
	{
		dd::scoped<owner> dog(owner(new animal));
	}
	flush_and_expect(0);
	CHECK(!was_destroyed_here());
}

/* A closure can be moved, but not assigned. */
void test_closure_as_deleter()
{
	auto delete_both = [other = std::make_unique<animal>()](animal *object) mutable {
		other.reset();
		delete object;
	};
	std::unique_ptr<animal, decltype(delete_both)> cat(new animal, std::move(delete_both));

	CHECK(dd::drop(std::move(cat), dd::chosen(&refusing)) == -EAGAIN && cat && alive == 2);
	CHECK(!dd::drop(std::move(cat)) && !cat);
	flush_and_expect(0);
}

/* A function that is a destructor as it is, is passed on as it is. */
void test_function_as_deleter()
{
	std::unique_ptr<char, void (*)(void *)> text(static_cast<char *>(malloc(9)), free_counted);
	std::unique_ptr<void, void (&)(void *)> memory(malloc(9), free_counted);
	std::unique_ptr<animal, void (&)(animal *)> cat(new animal, delete_animal);
	std::unique_ptr<animal, void (*const)(animal *)> dog(new animal, delete_animal);
	std::unique_ptr<animal, void (*)(animal *)> nobody(new animal, nullptr);
	void *const address = text.get();

	CHECK(!dd::drop(std::move(text), dd::chosen(&counting)) && !text);
	CHECK(last_object == address && last_destroy == free_counted);
	CHECK(!dd::drop(std::move(memory)) && !memory);
	CHECK(dd::drop(std::move(cat), dd::chosen(&refusing)) == -EAGAIN && cat);
	CHECK(!dd::drop(std::move(cat)) && !cat);
	CHECK(!dd::drop(std::move(dog)) && !dog);
	CHECK(dd::drop(std::move(nobody)) == -EINVAL && nobody);
	delete nobody.release();
	flush_and_expect(0);
	CHECK(freed == 2);
}

struct alignas(64) aligned_deleter {
	int calls = 0;

	void operator()(animal *object)
	{
		CHECK(++calls == 3);
		delete object;
	}
};

void test_deleter_without_memory()
{
	std::unique_ptr<animal, aligned_deleter> cat(new animal);

	cat.get_deleter().calls = 2;
	has_no_memory = true;
	CHECK(dd::drop(std::move(cat)) == -ENOMEM && cat && cat.get_deleter().calls == 2);
	has_no_memory = false;
	CHECK(!dd::drop(std::move(cat)) && !cat);
	flush_and_expect(0);
}

/* ---- Moves that throw ------------------------------------------------------------------------ */

void test_noexcept()
{
	static_assert(noexcept(dd::drop(std::declval<animal>())));
	static_assert(noexcept(dd::drop(std::declval<fixed_animal>())));
	static_assert(noexcept(dd::drop(std::declval<animal *&>())));
	static_assert(noexcept(dd::drop(std::declval<std::unique_ptr<shy_animal>>())));
	static_assert(noexcept(std::declval<dd::scoped<animal> &>().drop()));
	static_assert(!noexcept(dd::drop(std::declval<shy_animal>())));
	static_assert(!noexcept(dd::drop(std::declval<shy_to_move>())));
	static_assert(!noexcept(dd::drop(std::declval<shy_to_assign>())));
	static_assert(!noexcept(std::declval<dd::scoped<shy_animal> &>().drop()));
	static_assert(std::is_nothrow_destructible_v<dd::scoped<shy_animal>>);
}

/* Returns what a drop of the animal throws, or 0. */
template <class Subject> int thrown_by(Subject &&drop)
{
	int result = 0;

	try {
		drop();
	} catch (int thrown) {
		result = thrown;
	}
	shy_animal::throws_constructed = shy_animal::throws_assigned = false;
	return result;
}

void test_throwing_move()
{
	shy_animal mouse;

	CHECK(dd::drop(std::move(mouse), dd::chosen(&refusing)) == -EAGAIN && mouse.inner.legs);
	shy_animal::throws_constructed = true;
	CHECK(thrown_by([&] { (void)dd::drop(std::move(mouse)); }) == 1);
	CHECK(mouse.inner.legs == 4 && alive == 1);
	shy_animal::throws_assigned = true;
	CHECK(thrown_by([&] { (void)dd::drop(std::move(mouse), dd::chosen(&refusing)); }) == 2);
	CHECK(alive == 1);
	shy_animal::throws_assigned = true; /* nothing is assigned if it is not refused */
	CHECK(!thrown_by([&] { CHECK(!dd::drop(std::move(mouse))); }));
	flush_and_expect(1);
}

void test_scoped_throwing_move()
{
	{
		dd::scoped<shy_animal> mouse{shy_animal()};

		shy_animal::throws_constructed = true;
		CHECK(thrown_by([&] { mouse.drop(); }) == 1);
		CHECK(mouse && mouse->inner.legs == 4 && alive == 1);
		shy_animal::throws_constructed = true;
	}
	CHECK(alive == 0 && was_destroyed_here());
	shy_animal::throws_constructed = false;
	{
		dd::scoped<shy_animal, dd::chosen> mouse{shy_animal(), dd::chosen(&refusing)};

		shy_animal::throws_assigned = true;
	}
	CHECK(alive == 0);
	shy_animal::throws_assigned = false;
}

/* ---- Flushes --------------------------------------------------------------------------------- */

void test_flush()
{
	using namespace std::chrono_literals;
	const auto longest = std::chrono::hours::max();

	CHECK(!dd::flush() && !dd::flush(0ns) && !dd::flush(5ms) && !dd::flush(0.5s));
	CHECK(!dd::drop(gate()));
	CHECK(dd::flush(0ms) == -EAGAIN && dd::flush(-1h) == -EAGAIN);
	CHECK(dd::flush(1us) == -ETIMEDOUT && dd::flush(0.001s) == -ETIMEDOUT);
	CHECK(dd::flush(longest) == -EOVERFLOW);
	CHECK(dd::flush(std::numeric_limits<double>::infinity() * 1s) == -EOVERFLOW);
	CHECK(alive == 1);
	is_open = true;
	CHECK(!dd::flush(1h) && alive == 0);
}

/* ---- Scopes ---------------------------------------------------------------------------------- */

void test_scoped()
{
	{
		dd::scoped<std::vector<animal>> herd(std::vector<animal>(5));

		CHECK(herd && herd->size() == 5 && (*herd)[4].legs == 4);
	}
	flush_and_expect(0);
	CHECK(!was_destroyed_here());
	{
		dd::scoped<animal> cat{animal()};
		dd::scoped<animal> moved(std::move(cat));
		animal taken = moved.take();

		CHECK(!cat && !moved && taken.legs == 4 && alive == 1);
	}
	CHECK(alive == 0 && was_destroyed_here());
	{
		dd::scoped<animal> cat{animal()};
		bool is_empty = false;

		CHECK(!cat.drop() && !cat && !cat.drop());
		try {
			(void)cat.take();
		} catch (const std::bad_optional_access &) {
			is_empty = true;
		}
		CHECK(is_empty);
		flush_and_expect(0);
	}
}

void test_scoped_refused()
{
	{
		dd::scoped<animal, dd::chosen> cat{animal(), dd::chosen(&refusing)};
		const auto &same = cat;

		CHECK(cat.drop() == -EAGAIN && same && same->legs == 4 && (*same).legs == 4);
	}
	CHECK(alive == 0 && was_destroyed_here());
	{
		dd::scoped<animal, dd::chosen> cat{animal(), dd::chosen(&refusing)};

		cat.retarget(dd::chosen(nullptr));
	}
	flush_and_expect(0);
	CHECK(!was_destroyed_here());
}

/* ---- The end of a scope, which cannot return an error ---------------------------------------- */

/* Returns what is reported when a pointer with such a strategy goes. */
int report_of(const ::defer_drop_strategy &strategy)
{
	animal *cat = new animal;

	refused_count = 0;
	{
		chosen_ptr owner(cat, dd::chosen(&strategy));
	}
	CHECK(alive == 1 && refused_count == 1);
	refused_count = 0;
	{
		dd::scoped<chosen_ptr> owner(chosen_ptr(cat, dd::chosen(&strategy)));
	}
	CHECK(alive == 1 && refused_count == 1);
	delete cat;
	return refused_error;
}

void test_refused()
{
	defer_drop_trouble_handle(note_refused, nullptr);
	CHECK(report_of(refusing) == -EAGAIN);
	CHECK(report_of({0, count, nullptr}) == -EINVAL);
}

/* A group ends with its scope, and with it all that was dropped in its name. */
void test_group()
{
	CHECK(alive == 0);
	{
		dd::group mine;

		CHECK(!mine.drop(animal()));
		CHECK(!mine.drop(std::make_unique<bird>()));
		CHECK(!mine.drop(new animal));
		CHECK(!mine.flush());
		CHECK(alive == 0 && mine.backlog() == 0);
		CHECK(!mine.flush(std::chrono::seconds(100)));
		dd::unique_ptr<animal, dd::chosen> one(new animal, mine.strategy());
		one.reset();
		dd::scoped<animal, dd::chosen> scoped(animal(), mine.strategy());
		CHECK(!scoped.drop());
		CHECK(::defer_drop_group_backlog(mine.get()) <= 2);
		for (int i = 0; i < 100; i++)
			CHECK(!mine.drop(animal()));
		CHECK(!::defer_drop_group_end(mine.get(), 0) || mine.backlog());
		animal late;
		CHECK(mine.drop(std::move(late)) == -ESHUTDOWN && late.legs == 4);
	}
	CHECK(alive == 0);
}

void test_after_shutdown()
{
	CHECK(!defer_drop_shutdown());
	{
		auto cat = dd::make_unique<animal>();
		chosen_ptr hog(new animal);
		dd::scoped<animal> dog{animal()};
		dd::scoped<dd::unique_ptr<animal>> cow(dd::make_unique<animal>());
		dd::scoped<std::unique_ptr<animal, keeper>> hen(
			std::unique_ptr<animal, keeper>(new animal));

		CHECK(dd::drop(std::move(cat)) == -ESHUTDOWN && cat);
		CHECK(hen.drop() == -ESHUTDOWN && hen && (*hen)->legs == 4);
	}
	CHECK(alive == 0 && was_destroyed_here());
	CHECK(dd::flush() == -ESHUTDOWN);
}

dd::unique_ptr<animal> longest_lived;

} // namespace

static void test_drops()
{
	test_drop_value();
	test_drop_in_slices();
	test_drop_pointer();
	test_drop_refused();
	test_drop_without_memory();
	test_plain_call();
	test_no_strategy();
	test_bad_strategy();
	test_stateless_deleter();
	test_descriptor();
	test_stateful_deleter();
	test_closure_as_deleter();
	test_function_as_deleter();
	test_deleter_without_memory();
	test_noexcept();
	test_throwing_move();
}

int main()
{
	test_sizes();
	test_unique_ptr();
	test_derived();
	test_array();
	test_shared_ptr();
	test_chosen();
	test_group();
	test_own_strategy();
	test_own_strategy_inside();
	test_own_strategy_refuses();
	test_drops();
	test_scoped_throwing_move();
	test_flush();
	test_scoped();
	test_scoped_refused();
	test_refused();
	test_after_shutdown();
	longest_lived = dd::make_unique<animal>();
	return 0;
}
