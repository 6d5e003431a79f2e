// SPDX-License-Identifier: MIT
//
// Three threads use an object to which each holds a reference, and put their references. The first gets another
// reference before; the second takes the object back if its reference is the only one; the third changes the
// object if its reference is the only one. The object is dropped or taken, once; the thread that has it then sees
// all its uses. An object whose drop is refused still belongs to its last user.
#include "model.h"

#include "defer_drop/strategy.h"

// ref.h uses builtins on plain fields, so that C++ can include it: here the count has the checker's type.
static model_atomic<uint64_t> *model_count;

#define __ATOMIC_RELAXED rl::mo_relaxed, $
#define __ATOMIC_ACQUIRE rl::mo_acquire, $
#define __ATOMIC_RELEASE rl::mo_release, $

#define __atomic_load_n(field, ...)           model_count->load(__VA_ARGS__)
#define __atomic_store_n(field, value, ...)   model_store(field, value, __VA_ARGS__)
#define __atomic_fetch_add(field, value, ...) model_count->fetch_add(value, __VA_ARGS__)
#define __atomic_fetch_sub(field, value, ...) model_count->fetch_sub(value, __VA_ARGS__)
#define __atomic_compare_exchange_n(field, expected, value, is_weak, ...) \
	model_count->compare_exchange_strong(*(expected), value, __VA_ARGS__)

static inline void model_store(
	uint64_t *, uint64_t value, rl::memory_order order, rl::debug_info_param info)
{
	model_count->store(value, order, info);
}

template <typename strategy>
void model_store(strategy **field, strategy *value, rl::memory_order, rl::debug_info_param)
{
	*field = value;
}

#include "face/ref.c"

namespace
{

enum { USERS = 3 };

struct used {
	defer_drop_ref ref;
	model_atomic<uint64_t> count;
	rl::var<int> uses[USERS];
	int ends = 0;     // times that it was dropped or taken
	int refusals = 0; // drops that are still to be refused

	void end()
	{
		RL_ASSERT(!ends++);
		for (auto &use : uses) {
			RL_ASSERT(use($) >= 1);
			use($) = 0;
		}
	}
};

void drop(void *object)
{
	static_cast<used *>(object)->end();
}

struct sharing : rl::test_suite<sharing, USERS> {
	using parameter = int;
	inline static parameter given; // refusals

	used object;

	void before()
	{
		defer_drop_ref_init(&object.ref, &object, drop, nullptr);
		model_count = &object.count;
		object.count.store(USERS, rl::mo_relaxed, $);
		object.refusals = given;
		for (auto &use : object.uses)
			use($) = 0;
	}

	void use(unsigned index)
	{
		object.uses[index]($) = object.uses[index]($) + 1;
	}

	void put()
	{
		while (defer_drop_ref_put(&object.ref))
			RL_ASSERT(defer_drop_ref_is_unique(&object.ref));
	}

	void use_twice()
	{
		use(0);
		defer_drop_ref_get(&object.ref);
		put();
		use(0);
		put();
	}

	void take_or_put()
	{
		use(1);
		if (defer_drop_ref_take(&object.ref))
			object.end();
		else
			put();
	}

	void change()
	{
		use(2);
		if (defer_drop_ref_is_unique(&object.ref))
			for (unsigned i = 0; i < USERS; i++)
				use(i);
		put();
	}

	void thread(unsigned index)
	{
		if (index == 0)
			use_twice();
		else if (index == 1)
			take_or_put();
		else
			change();
	}

	void after()
	{
		RL_ASSERT(object.ends == 1);
	}
};

} // namespace

// In place of face/strategy.c: destroys in place, or refuses.
int defer_drop_by(const defer_drop_strategy *, void *object, defer_drop_fn destroy)
{
	used *refused = static_cast<used *>(object);

	if (refused->refusals-- > 0)
		return -EAGAIN;
	destroy(object);
	return 0;
}

void dd_report(const char *, const char *, ...)
{
	RL_ASSERT(false);
}

int main(int count, char **arguments)
{
	model_arguments(count, arguments);
	return !(explore<sharing>(0, 4, 20000) && explore<sharing>(1, 4, 20000));
}
