/* SPDX-License-Identifier: MIT
 *
 * defer_drop in C++17: drops, flushes and scopes for values and pointers whose type says how they
 * are destroyed. The C++ face is this header alone.
 *
 *     deferdrop::drop(std::move(names));              drops a value before its scope ends
 *     deferdrop::scoped<index> index(read_index());   a value that is dropped when its scope ends
 *     auto tree = deferdrop::make_unique<tree>();     a std::unique_ptr that drops
 *     std::shared_ptr<tree> shared(new tree, deferdrop::deleter<tree>());
 *     deferdrop::flush(100ms);                        waits until all of it is destroyed
 *     deferdrop::session session;                     in main: all is destroyed before statics
 *     deferdrop::group mine;                          drops that end together (group.h)
 *     deferdrop::pools nodes;                         memory that comes home (pool.h)
 *     std::pmr::list<int> list(&nodes);               a container whose nodes do
 *
 * The namespace is called deferdrop because the C function defer_drop has the other name. A program
 * can open it and give it an alias. deferdrop::detail is private.
 *
 * Strategies (strategy.h) are types here: in_place, leak, worker, thread and rcu take no space;
 * chosen holds a strategy that is chosen at run time. The default is the worker. If the type of a
 * pointer has a strategy, its object is destroyed by that strategy in all cases: at the end of a
 * scope, by reset(), by a std::shared_ptr that took the pointer over, by drop() and by scoped.
 *
 *     deferdrop::unique_ptr<tree, deferdrop::rcu> published;
 *     deferdrop::drop(std::move(published));           after a grace period
 *     deferdrop::drop(std::move(names), deferdrop::chosen(&mine));
 *     deferdrop::unique_ptr<tree, deferdrop::chosen> one(new tree, deferdrop::chosen(&mine));
 *
 * What drop() takes. An empty pointer drops nothing and returns 0.
 *
 *   T *                        Deletes the object. An array from new T[] needs a unique_ptr<T[]>.
 *   unique_ptr<T, Strategy>    Deletes the object by the pointer's strategy. A second strategy for
 *                              the call does not compile.
 *   std::unique_ptr<T>         Deletes the object.
 *   std::unique_ptr<T, D>      Calls the deleter with the pointer, whatever types both have: a
 *                              FILE * and a lambda, a file descriptor and its closer. The deleter
 *                              is moved along. If pointer and deleter together are larger than a
 *                              void *, or not trivially copyable, they move to memory of their own.
 *                              A deleter of the type void (*)(void *) never needs memory.
 *   any other rvalue           Destroys the value, which moves to memory of its own first. A type
 *                              without a move constructor is copied. A std::shared_ptr is such a
 *                              value: the drop gives one reference back.
 *
 * What does not compile, with a message that says why:
 *
 *   - void, and types that are incomplete: the destructor is not known;
 *   - an lvalue, and a const value: drop() cannot move it;
 *   - a raw array: std::array, std::vector and unique_ptr<T[]> can be moved;
 *   - a value of a trivially copyable type: it owns nothing. So std::reference_wrapper,
 *     std::string_view, iterators and numbers (an open file's, too) are not taken for what they
 *     refer to. Generic code asks std::is_trivially_copyable_v first;
 *   - scoped<T *>: a raw pointer owns nothing either;
 *   - a value that cannot be moved, or that could not be moved back if it were refused. The latter
 *     is one that cannot be assigned, and either its move constructor may throw, or its class is
 *     polymorphic and not final, so that the value could be the base of a larger object;
 *   - a deleter that is a reference to an object: the object could be gone too early.
 *
 * Exceptions. A destructor or deleter that throws ends the program (std::terminate): no caller is
 * left to catch it. If moving a value throws, on the way to its memory or back after a refusal,
 * then drop() throws that. Nothing was dropped then, nothing leaks, and the value is as its own
 * move left it. scoped throws what its moves throw, and take() std::bad_optional_access if it holds
 * nothing; but the end of its scope never throws. make_unique throws std::bad_alloc and what the
 * constructor throws, and group throws std::bad_alloc. pools throws std::bad_alloc if there is no
 * memory, for itself or for a block, and std::invalid_argument for a configuration that is out of
 * range. Nothing else throws.
 *
 * The end of a scope cannot return an error. If the worker or a thread refuses an object then, the
 * object is destroyed in place; so pointers with static storage may outlive the queue. If rcu or a
 * chosen strategy refuses the object of a pointer, other threads may still be using it: the refusal
 * is reported like that of a guard (defer_drop_trouble_handle), and the object leaks.
 *
 * A static object that destructors use must be made before the first drop, at the beginning of main
 * for instance. Then it outlives the drops that are pending at exit. Otherwise call
 * defer_drop_shutdown() at the end of main.
 */
#ifndef DEFER_DROP_HPP
#define DEFER_DROP_HPP

#include <defer_drop/group.h>
#include <defer_drop/guard.h>
#include <defer_drop/pool.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

/* Not in every library of C++17. */
#if __has_include(<memory_resource>)
#include <memory_resource>
#endif

namespace deferdrop
{

/* ---- Strategies as types --------------------------------------------------------------------- */

/* A strategy as a type: any class that can be copied and has a const function strategy(), which
 * returns the pointer. */
template <const ::defer_drop_strategy *Strategy> struct fixed {
	static constexpr const ::defer_drop_strategy *strategy() noexcept
	{
		return Strategy;
	}
};

using in_place = fixed<&::defer_drop_strategy_in_place>;
using leak = fixed<&::defer_drop_strategy_leak>;
using worker = fixed<&::defer_drop_strategy_worker>;
using thread = fixed<&::defer_drop_strategy_thread>;
using rcu = fixed<&::defer_drop_strategy_rcu>;

/* Any strategy, which must last as long as it may be used; nullptr means the worker. */
class chosen
{
	const ::defer_drop_strategy *strategy_;

      public:
	constexpr explicit chosen(const ::defer_drop_strategy *strategy = nullptr) noexcept
	    : strategy_(strategy)
	{
	}

	constexpr const ::defer_drop_strategy *strategy() const noexcept
	{
		return strategy_;
	}
};

/* The default of drop() and scoped: the strategy in the type of the pointer if it has one, else the
 * worker. */
struct own : fixed<nullptr> {
};

template <class T, class Strategy> struct deleter;

/* ---- Private: what can be dropped, and how --------------------------------------------------- */

namespace detail
{

template <class T, class = void> struct is_complete : std::false_type {
};
template <class T> struct is_complete<T, decltype(void(sizeof(T)))> : std::true_type {
};

template <class T, class = void> struct is_strategy : std::false_type {
};
template <class T>
struct is_strategy<T, decltype(void(std::declval<const T &>().strategy()))>
    : std::is_convertible<decltype(std::declval<const T &>().strategy()),
	      const ::defer_drop_strategy *> {
};

/* What is known of a deleter: whether it does no more than delete a target, and whether it has a
 * strategy. */
template <class Deleter> struct known {
	static constexpr bool deletes = false;
	static constexpr bool has_strategy = false;
};
template <class T> struct known<std::default_delete<T>> {
	static constexpr bool deletes = true;
	static constexpr bool has_strategy = false;
	using target = T;
};
template <class T, class Strategy> struct known<deleter<T, Strategy>> {
	static constexpr bool deletes = true;
	static constexpr bool has_strategy = true;
	using target = T;
};

template <class Deleter> using known_of = known<std::remove_cv_t<std::remove_reference_t<Deleter>>>;

template <class T, class Deleter> constexpr bool check_owner() noexcept;

/* Whether T is a std::unique_ptr, and whether that has a strategy. */
template <class T> struct owner {
	static constexpr bool is = false;
	static constexpr bool has_strategy = false;
};
template <class T, class Deleter> struct owner<std::unique_ptr<T, Deleter>> {
	static constexpr bool is = true;
	static constexpr bool has_strategy = known_of<Deleter>::has_strategy;

	static constexpr bool check() noexcept
	{
		return check_owner<T, Deleter>();
	}
};

/* True if a refused value is given back by assignment. Of std::unique_ptr not every library says
 * whether it can be assigned. */
template <class T> struct is_assigned_back : std::is_move_assignable<T> {
};
template <class T, class Deleter>
struct is_assigned_back<std::unique_ptr<T, Deleter>> : std::is_move_assignable<Deleter> {
};

/* True if a value that cannot be assigned can be constructed again in its place: not if it could be
 * the base of a larger object. */
template <class T>
struct is_constructed_back
    : std::conjunction<std::is_nothrow_move_constructible<T>,
	      std::disjunction<std::negation<std::is_polymorphic<T>>, std::is_final<T>>> {
};

/* True if a drop of a T throws nothing. */
template <class T>
struct is_nothrow_value : std::conjunction<is_complete<T>, std::is_nothrow_move_constructible<T>,
				  std::disjunction<std::negation<is_assigned_back<T>>,
					  std::is_nothrow_move_assignable<T>>> {
};
template <class T>
inline constexpr bool is_nothrow = std::disjunction_v<std::is_pointer<T>,
	std::bool_constant<owner<std::remove_cv_t<T>>::is>, is_nothrow_value<T>>;

/* ---- Private: what does not compile, with one reason ----------------------------------------- */

template <class> inline constexpr bool never = false;

/* Checks what a pointer points to, which may be incomplete if it is not destroyed here. */
template <class T, bool IsDestroyed> constexpr bool check_target() noexcept
{
	if constexpr (std::is_void_v<T>)
		static_assert(never<T>, "deferdrop: void has no destructor: which type is it?");
	else if constexpr (!std::is_object_v<T>)
		static_assert(never<T>, "deferdrop: only an object can be destroyed");
	else if constexpr (std::extent_v<T> > 0)
		static_assert(never<T>, "deferdrop: an array with a length in its type: use T[]");
	else if constexpr (IsDestroyed && !is_complete<std::remove_extent_t<T>>::value)
		static_assert(never<T>, "deferdrop: the type is incomplete, so that its destructor "
					"is not known: include its definition");
	else
		return true;
	return false;
}

template <class T, class Deleter> constexpr bool check_owner() noexcept
{
	if constexpr (known_of<Deleter>::deletes)
		return check_target<typename known_of<Deleter>::target, true>();
	else if constexpr (std::is_reference_v<Deleter> &&
			   !std::is_function_v<std::remove_reference_t<Deleter>>)
		static_assert(never<T>, "deferdrop: the deleter is a reference, to an object that "
					"could be gone by then");
	else
		return true;
	return false;
}

/* Checks a value that is neither const nor an array nor a std::unique_ptr. */
template <class T> constexpr bool check_move() noexcept
{
	if constexpr (!is_complete<T>::value)
		return check_target<T, true>();
	else if constexpr (!std::is_move_constructible_v<T>)
		static_assert(never<T>, "deferdrop: the value cannot be moved: use "
					"deferdrop::make_unique");
	else if constexpr (std::is_trivially_copyable_v<T>)
		static_assert(never<T>, "deferdrop: the value owns nothing that could be "
					"destroyed: drop what it refers to");
	else if constexpr (!is_assigned_back<T>::value && !is_constructed_back<T>::value)
		static_assert(never<T>, "deferdrop: the value could not be moved back if it were "
					"refused: make its move noexcept and its class final, or "
					"use deferdrop::make_unique");
	else
		return true;
	return false;
}

template <class T> constexpr bool check_value() noexcept
{
	if constexpr (std::is_array_v<T>)
		static_assert(never<T>, "deferdrop: a raw array cannot be moved: use std::array, "
					"std::vector or deferdrop::unique_ptr<T[]>");
	else if constexpr (!std::is_object_v<T>)
		return check_target<T, true>();
	else if constexpr (std::is_const_v<T> || std::is_volatile_v<T>)
		static_assert(never<T>, "deferdrop: a const value cannot be moved");
	else if constexpr (owner<T>::is)
		return owner<T>::check();
	else
		return check_move<T>();
	return false;
}

template <class Strategy> constexpr bool check_strategy() noexcept
{
	static_assert(is_strategy<Strategy>::value, "deferdrop: not a strategy as a type: put a "
						    "pointer in deferdrop::chosen()");
	return is_strategy<Strategy>::value;
}

/* Checks a strategy that was given for a T. */
template <class T, class Strategy> constexpr bool check_given() noexcept
{
	if constexpr (owner<T>::has_strategy && !std::is_same_v<Strategy, own>)
		static_assert(never<T>, "deferdrop: the type of the pointer has a strategy "
					"already: give none");
	else
		return check_strategy<Strategy>();
	return false;
}

template <class Subject, class Strategy> constexpr bool check_drop() noexcept
{
	using type = std::remove_reference_t<Subject>;

	if constexpr (!check_given<std::remove_cv_t<type>, Strategy>())
		return false;
	else if constexpr (std::is_pointer_v<type>)
		return check_target<std::remove_pointer_t<type>, true>();
	else if constexpr (!std::is_lvalue_reference_v<Subject> || std::is_array_v<type> ||
			   std::is_function_v<type>)
		return check_value<type>();
	else
		static_assert(never<type>, "deferdrop: the value is not moved: std::move it");
	return false;
}

template <class T, class Strategy> constexpr bool check_scoped() noexcept
{
	if constexpr (!check_given<T, Strategy>())
		return false;
	else if constexpr (std::is_pointer_v<T>)
		static_assert(never<T>, "deferdrop: scoped<T *> would not own the object: use "
					"deferdrop::unique_ptr<T>");
	else if constexpr (std::is_same_v<Strategy, rcu>)
		static_assert(never<T>, "deferdrop: a scoped value has no readers: use "
					"deferdrop::unique_ptr<T, deferdrop::rcu>");
	else
		return check_value<T>();
	return false;
}

/* ---- Private: drops -------------------------------------------------------------------------- */

/* Destroys a T: the function of a drop. */
template <class T> void destroy(void *object) noexcept
{
	if constexpr (std::is_array_v<T>)
		delete[] static_cast<std::remove_extent_t<T> *>(object);
	else
		delete static_cast<T *>(object);
}

template <class T> void *address(T *object) noexcept
{
	return const_cast<void *>(static_cast<const volatile void *>(object));
}

template <class T> int drop_object(T *object, const ::defer_drop_strategy *strategy) noexcept
{
	return object ? ::defer_drop_by(strategy, address(object), destroy<T>) : 0;
}

/* Drops for a caller that cannot return an error. */
inline void let_go(
	const ::defer_drop_strategy *strategy, void *object, defer_drop_fn function) noexcept
{
	if (!::defer_drop_by(strategy, object, function))
		return;
	if (!strategy || strategy == &::defer_drop_strategy_worker ||
		strategy == &::defer_drop_strategy_thread) {
		function(object);
		return;
	}
	/* Tries once more, and reports. */
	::defer_drop_guard guard = DEFER_DROP_GUARD_INIT(object, function, strategy);
	::defer_drop_guard_leave(&guard);
}

/* A value in memory of its own. A T that has operators new and delete does not allocate it. */
template <class T> struct boxed {
	T value;

	explicit boxed(T &&from) noexcept(std::is_nothrow_move_constructible_v<T>)
	    : value(std::move(from))
	{
	}
};

template <class T> void give_back(T &value, T &moved) noexcept(is_nothrow<T>)
{
	if constexpr (is_assigned_back<T>::value) {
		value = std::move(moved);
	} else {
		value.~T();
		::new (static_cast<void *>(std::addressof(value))) T(std::move(moved));
	}
}

template <class T>
int drop_value(T &value, const ::defer_drop_strategy *strategy) noexcept(is_nothrow<T>)
{
	std::unique_ptr<boxed<T>> box(new (std::nothrow) boxed<T>(std::move(value)));

	if (!box)
		return -ENOMEM;
	const int result = ::defer_drop_by(strategy, box.get(), destroy<boxed<T>>);
	if (result)
		give_back(value, box->value);
	else
		(void)box.release();
	return result;
}

/* A value that is destroyed in slices, in memory of its own. */
template <class T, class Cut> struct sliced : boxed<T> {
	Cut cut;

	sliced(T &&from, Cut &&function) noexcept(std::is_nothrow_move_constructible_v<T>)
	    : boxed<T>(std::move(from)), cut(std::move(function))
	{
	}
};

/* The function of such a drop. A queue goes on later, any other strategy at once. */
template <class T, class Cut> void cut_and_destroy(void *object) noexcept
{
	auto *box = static_cast<sliced<T, Cut> *>(object);

	while (!box->cut(box->value))
		if (!::defer_drop_again(object, cut_and_destroy<T, Cut>))
			return;
	delete box;
}

/* A pointer and its deleter in the bytes of a void *. It has no functions, since their names could
 * be taken by the deleter's. */
template <class Pointer, class Deleter> struct packed : Deleter {
	Pointer subject;
};

template <class Packed> void *pack(const Packed &both) noexcept
{
	void *object = nullptr;

	std::memcpy(&object, &both, sizeof both);
	return object;
}

template <class Pointer, class Deleter> void unpack_and_call(void *object) noexcept
{
	using both = packed<Pointer, Deleter>;
	alignas(both) unsigned char bytes[sizeof(both)];

	std::memcpy(bytes, &object, sizeof bytes);
	both *unpacked = std::launder(reinterpret_cast<both *>(bytes));
	Deleter &call = *unpacked;
	call(std::move(unpacked->subject));
}

template <class Pointer, class Deleter> constexpr bool is_packed() noexcept
{
	if constexpr (std::is_class_v<Deleter> && !std::is_final_v<Deleter>)
		return sizeof(packed<Pointer, Deleter>) <= sizeof(void *) &&
		       std::is_trivially_copyable_v<packed<Pointer, Deleter>>;
	else
		return false;
}

/* True if the deleter is a pointer or reference to a function that fits a drop as it is. */
template <class Deleter>
inline constexpr bool is_destructor = !std::is_class_v<std::remove_reference_t<Deleter>> &&
				      std::is_convertible_v<Deleter, defer_drop_fn>;

/* Drops what a pointer that is not empty owns, by its own deleter. */
template <class T, class Deleter>
int drop_with_deleter(
	std::unique_ptr<T, Deleter> &owner, const ::defer_drop_strategy *strategy) noexcept
{
	using pointer = typename std::unique_ptr<T, Deleter>::pointer;
	using bare = std::remove_cv_t<Deleter>;
	int result;

	if constexpr (std::is_pointer_v<bare>) {
		if (!owner.get_deleter())
			return -EINVAL;
	}
	if constexpr (std::is_pointer_v<pointer> && is_destructor<Deleter>) {
		result = ::defer_drop_by(strategy, address(owner.get()), owner.get_deleter());
	} else if constexpr (is_packed<pointer, bare>()) {
		const packed<pointer, bare> both{bare(std::move(owner.get_deleter())), owner.get()};

		result = ::defer_drop_by(strategy, pack(both), unpack_and_call<pointer, bare>);
	} else {
		return drop_value(owner, strategy);
	}
	if (!result)
		(void)owner.release();
	return result;
}

template <class T, class Deleter>
int drop_owner(std::unique_ptr<T, Deleter> &owner, const ::defer_drop_strategy *strategy) noexcept
{
	using about = known_of<Deleter>;
	int result;

	if (!owner)
		return 0;
	if constexpr (!about::deletes) {
		return drop_with_deleter(owner, strategy);
	} else {
		using target = typename about::target;
		std::remove_extent_t<target> *object = owner.get();

		if constexpr (about::has_strategy)
			strategy = owner.get_deleter().strategy();
		result = ::defer_drop_by(strategy, address(object), destroy<target>);
		if (!result)
			(void)owner.release();
		return result;
	}
}

/* Returns a timeout for a call in C; one that is too long overflows there too. */
template <class Number, class Unit>
std::uint64_t nanoseconds(std::chrono::duration<Number, Unit> timeout) noexcept
{
	/* A duration of a larger unit may overflow every integer of nanoseconds. */
	const auto count = std::chrono::duration<long double, std::nano>(timeout).count();

	if (!(count > 0))
		return 0;
	if (count > static_cast<long double>(DEFER_DROP_TIMEOUT_MAX))
		return DEFER_DROP_TIMEOUT_MAX + 1;
	return static_cast<std::uint64_t>(count);
}

} // namespace detail

/* ---- Pointers -------------------------------------------------------------------------------- */

/* A deleter for std::unique_ptr and std::shared_ptr. T may be an array of unknown length, and, as
 * with std::default_delete, incomplete until the deleter is called. */
template <class T, class Strategy = worker> struct deleter : Strategy {
	static_assert(detail::check_strategy<Strategy>() && detail::check_target<T, false>(),
		"deferdrop: see the reason above");

	deleter() = default;

	/* From its strategy, so that a pointer can be made with a strategy for a deleter. */
	template <class Same, class = std::enable_if_t<std::is_same_v<Same, Strategy>>>
	constexpr deleter(Same strategy) noexcept : Strategy(std::move(strategy))
	{
	}

	/* From the deleter of a derived class, or of a T that is not const. */
	template <class Other, class = std::enable_if_t<!std::is_same_v<Other, T> &&
							std::is_convertible_v<Other *, T *>>>
	constexpr deleter(const deleter<Other, Strategy> &other) noexcept : Strategy(other)
	{
	}

	void operator()(std::remove_extent_t<T> *object) const noexcept
	{
		if constexpr (detail::check_target<T, true>()) {
			if (object)
				detail::let_go(this->strategy(), detail::address(object),
					detail::destroy<T>);
		}
	}
};

/* As large as a pointer if its strategy takes no space. */
template <class T, class Strategy = worker>
using unique_ptr = std::unique_ptr<T, deleter<T, Strategy>>;

template <class T, class Strategy = worker, class... Arguments,
	class = std::enable_if_t<!std::is_array_v<T> || (std::extent_v<T> > 0)>>
[[nodiscard]] unique_ptr<T, Strategy> make_unique(Arguments &&...arguments)
{
	if constexpr (detail::check_target<T, true>())
		return unique_ptr<T, Strategy>(new T(std::forward<Arguments>(arguments)...));
}

/* Makes an array of count elements, each initialized as by T(). */
template <class T, class Strategy = worker,
	class = std::enable_if_t<std::is_array_v<T> && !std::extent_v<T>>>
[[nodiscard]] unique_ptr<T, Strategy> make_unique(std::size_t count)
{
	if constexpr (detail::check_target<T, true>())
		return unique_ptr<T, Strategy>(new std::remove_extent_t<T>[count]());
}

/* ---- Drops ----------------------------------------------------------------------------------- */

/*
 * Drops the object of a pointer, or a value: see the lists at the top.
 *
 * strategy: a strategy as a type; drop<in_place>(...) names it without an object.
 * Threads, Blocks: as the strategy.
 * Errors (a pointer and its deleter, or a value, are as they were): those of defer_drop_by; and
 *   -ENOMEM  no memory to move the value, or the pointer with its deleter, to
 */
template <class Strategy = own, class Subject>
[[nodiscard]] int drop(Subject &&subject, Strategy strategy = Strategy()) noexcept(
	detail::is_nothrow<std::remove_reference_t<Subject>>)
{
	using type = std::remove_reference_t<Subject>;

	if constexpr (!detail::check_drop<Subject, Strategy>())
		return -EINVAL; /* it does not compile */
	else if constexpr (std::is_pointer_v<type>)
		return detail::drop_object(subject, strategy.strategy());
	else if constexpr (detail::owner<type>::is)
		return detail::drop_owner(subject, strategy.strategy());
	else
		return detail::drop_value(subject, strategy.strategy());
}

/*
 * Drops a value that is destroyed in slices: cut(value) destroys a part of it and returns true when
 * nothing is left that takes long. Until then it is called again, as by defer_drop_again. Then the
 * value is destroyed.
 *
 *     deferdrop::drop_in_slices(std::move(names), [](auto &names) noexcept {
 *             names.resize(names.size() - std::min<std::size_t>(names.size(), 64));
 *             return names.empty();
 *     });
 *
 * cut: a function object, moved along. It may not throw. A slice is some microseconds of work.
 * value, strategy, Threads, Blocks, Errors: as drop, for a value. A strategy other than that of a
 *   queue destroys all slices at once.
 */
template <class Strategy = worker, class T, class Cut>
[[nodiscard]] int drop_in_slices(T &&value, Cut cut, Strategy strategy = Strategy()) noexcept(
	detail::is_nothrow<std::remove_reference_t<T>>)
{
	if constexpr (!detail::check_drop<T, Strategy>()) {
		return -EINVAL; /* it does not compile */
	} else {
		static_assert(!std::is_pointer_v<T>, "deferdrop: a raw pointer does not own its "
						     "object: use std::unique_ptr");
		static_assert(std::is_nothrow_move_constructible_v<Cut> &&
				      std::is_invocable_r_v<bool, Cut &, T &>,
			"deferdrop: the slice is no function bool(T &) that can be moved");
		std::unique_ptr<detail::sliced<T, Cut>> box(new (std::nothrow)
				detail::sliced<T, Cut>(std::forward<T>(value), std::move(cut)));

		if (!box)
			return -ENOMEM;
		const int result = ::defer_drop_by(
			strategy.strategy(), box.get(), detail::cut_and_destroy<T, Cut>);
		if (result)
			detail::give_back(value, box->value);
		else
			(void)box.release();
		return result;
	}
}

/*
 * Waits until every drop pushed to the default queue before this call has been destroyed.
 *
 * Threads, Blocks, Errors, Ordering: as defer_drop_flush.
 */
[[nodiscard]] inline int flush() noexcept
{
	return ::defer_drop_flush();
}

/*
 * Flushes, and waits until its timeout is over. The timeout has a unit in its type, as everywhere
 * in C++: a bare number of nanoseconds could be mistaken for milliseconds, and does not compile.
 *
 * timeout: a negative one, as of a deadline that has passed, counts as 0.
 * Threads, Blocks, Errors, Ordering: as defer_drop_flush_timed.
 */
template <class Number, class Unit>
[[nodiscard]] int flush(std::chrono::duration<Number, Unit> timeout) noexcept
{
	return ::defer_drop_flush_timed(detail::nanoseconds(timeout));
}

/* ---- Scopes ---------------------------------------------------------------------------------- */

/*
 * Destroys all that is pending in the default queue when its scope ends, and shuts the queue down
 * (defer_drop_shutdown). Declared first in main, it comes before the end of every static object, so
 * that destructors may use those:
 *
 *     int main()
 *     {
 *             deferdrop::session session;
 *
 * Without it the library does as much by itself when main returns or the main thread calls exit,
 * with the exceptions that defer_drop.h names ("Exit"). exit in main ends no scope.
 *
 * config: as for defer_drop_start. result(): what that returned.
 */
class session
{
	int result_;

      public:
	explicit session(const ::defer_drop_config *config = nullptr) noexcept
	    : result_(::defer_drop_start(config))
	{
	}

	session(const session &) = delete;
	session &operator=(const session &) = delete;

	~session()
	{
		(void)::defer_drop_shutdown();
	}

	[[nodiscard]] int result() const noexcept
	{
		return result_;
	}
};

/*
 * A value that is dropped when its scope ends, unless it was taken out before. If the drop is
 * refused then, or the move throws, the value is destroyed in place, whatever the strategy: no
 * other thread can be using it. Only a pointer with a strategy in its type keeps to that.
 */
template <class T, class Strategy = own> class scoped : private Strategy
{
	static_assert(detail::check_scoped<T, Strategy>(), "deferdrop: see the reason above");
	std::optional<T> value_;

      public:
	explicit scoped(T value, Strategy strategy = Strategy()) noexcept(
		std::is_nothrow_move_constructible_v<T>)
	    : Strategy(std::move(strategy)), value_(std::move(value))
	{
	}

	scoped(scoped &&other) noexcept(std::is_nothrow_move_constructible_v<T>)
	    : Strategy(other), value_(std::move(other.value_))
	{
		other.value_.reset();
	}

	scoped &operator=(scoped &&) = delete;

	~scoped()
	{
		drop_last();
	}

	explicit operator bool() const noexcept
	{
		return value_.has_value();
	}

	/* Undefined if it holds no value, as with std::optional. */
	T &operator*() noexcept
	{
		return *value_;
	}

	const T &operator*() const noexcept
	{
		return *value_;
	}

	T *operator->() noexcept
	{
		return value_.operator->();
	}

	const T *operator->() const noexcept
	{
		return value_.operator->();
	}

	/* Takes the value out, which will not be dropped. Throws std::bad_optional_access if it
	 * holds none. */
	T take()
	{
		T value = std::move(value_.value());

		value_.reset();
		return value;
	}

	/* Changes a strategy that is chosen at run time. */
	void retarget(Strategy strategy) noexcept
	{
		static_cast<Strategy &>(*this) = std::move(strategy);
	}

	/* Drops the value now. If it holds none, does nothing and returns 0. Errors: as
	 * deferdrop::drop. */
	int drop() noexcept(detail::is_nothrow<T>)
	{
		if (!value_)
			return 0;
		const int result =
			deferdrop::drop(std::move(*value_), static_cast<const Strategy &>(*this));

		if (!result)
			value_.reset();
		return result;
	}

      private:
	void drop_last() noexcept
	{
#if defined(__cpp_exceptions)
		try {
			(void)drop();
		} catch (...) {
		}
#else
		(void)drop();
#endif
	}
};

/* ---- Groups ---------------------------------------------------------------------------------- */

namespace detail
{

[[noreturn]] inline void throw_no_memory()
{
#if defined(__cpp_exceptions)
	throw std::bad_alloc();
#else
	std::terminate();
#endif
}

} // namespace detail

/*
 * A group (group.h) that ends with its scope: when the destructor returns, all that was dropped in
 * its name is destroyed, and no code of it is called any more. So a plugin has one as a static
 * object, and a connection as a member.
 *
 *     deferdrop::group mine;
 *     mine.drop(std::move(names));
 *     deferdrop::unique_ptr<tree, deferdrop::chosen> one(new tree, mine.strategy());
 *
 * It can be neither copied nor moved: pointers keep its strategy, and may not outlive it. If the
 * end fails, the group stays: in a destructor that its queue runs, or if the queue was given up.
 *
 * Errors: the constructor throws std::bad_alloc.
 */
class group
{
	::defer_drop_group *group_ = nullptr;
	::defer_drop_strategy_group strategy_{};

      public:
	/* queue: nullptr means the default one. */
	explicit group(::defer_drop_queue *queue = nullptr)
	{
		if (::defer_drop_group_create(&group_, queue))
			detail::throw_no_memory();
		(void)::defer_drop_strategy_group_init(&strategy_, group_, DEFER_DROP_FOREVER);
	}

	group(const group &) = delete;
	group &operator=(const group &) = delete;

	~group()
	{
		if (!::defer_drop_group_end(group_, DEFER_DROP_FOREVER))
			(void)::defer_drop_group_free(group_);
	}

	/* For the calls of group.h. */
	::defer_drop_group *get() const noexcept
	{
		return group_;
	}

	/* For pointers, scoped, and drop_in_slices. */
	chosen strategy() const noexcept
	{
		return chosen(&strategy_.strategy);
	}

	/* Drops what deferdrop::drop does. Threads, Blocks, Errors: as defer_drop_group_push; and
	 * -ENOMEM as for deferdrop::drop. */
	template <class Subject>
	[[nodiscard]] int drop(Subject &&subject) const
		noexcept(detail::is_nothrow<std::remove_reference_t<Subject>>)
	{
		return deferdrop::drop(std::forward<Subject>(subject), strategy());
	}

	/* Threads, Blocks, Errors, Ordering: as defer_drop_group_flush. */
	[[nodiscard]] int flush() const noexcept
	{
		return ::defer_drop_group_flush(group_, DEFER_DROP_FOREVER);
	}

	template <class Number, class Unit>
	[[nodiscard]] int flush(std::chrono::duration<Number, Unit> timeout) const noexcept
	{
		return ::defer_drop_group_flush(group_, detail::nanoseconds(timeout));
	}

	[[nodiscard]] std::uint64_t backlog() const noexcept
	{
		return ::defer_drop_group_backlog(group_);
	}
};

/* ---- Pools ----------------------------------------------------------------------------------- */

namespace detail
{

[[noreturn]] inline void throw_out_of_range()
{
#if defined(__cpp_exceptions)
	throw std::invalid_argument("deferdrop::pools: the configuration is out of range");
#else
	std::terminate();
#endif
}

#if defined(__cpp_lib_memory_resource)
using memory_resource = std::pmr::memory_resource;
#else
/* In its place: so much of it that pools can be a base of a program's own. */
struct memory_resource {
	virtual ~memory_resource() = default;

      private:
	virtual void *do_allocate(std::size_t bytes, std::size_t alignment) = 0;
	virtual void do_deallocate(void *block, std::size_t bytes, std::size_t alignment) = 0;
	virtual bool do_is_equal(const memory_resource &other) const noexcept = 0;
};
#endif

} // namespace detail

/*
 * A set of size classes (defer_drop_classes_create), as a std::pmr::memory_resource: memory that a
 * thread allocates here, and that the worker gives back when it destroys a container, comes home to
 * the thread.
 *
 * Blocks that are aligned beyond alignof(std::max_align_t) come from operator new.
 *
 * It must outlive all that was allocated from it. If blocks are out, its destructor flushes the
 * default queue; if blocks are out even then, or the flush fails, the pools leak.
 *
 * Threads: any, also several at once, as in defer_drop_classes_take.
 * Blocks: as defer_drop_classes_take and defer_drop_classes_give; the destructor, as
 *   defer_drop_flush.
 */
class pools final : public detail::memory_resource
{
	::defer_drop_classes *classes_ = nullptr;

      public:
	explicit pools(const ::defer_drop_pool_config &config = DEFER_DROP_POOL_CONFIG_INIT)
	{
		const int result = ::defer_drop_classes_create(&classes_, &config);

		if (result == -ENOMEM)
			detail::throw_no_memory();
		if (result)
			detail::throw_out_of_range();
	}

	pools(const pools &) = delete;
	pools &operator=(const pools &) = delete;

	~pools() override
	{
		if (::defer_drop_classes_free(classes_) == -EBUSY && !::defer_drop_flush())
			(void)::defer_drop_classes_free(classes_);
	}

	/* For the calls of pool.h. */
	::defer_drop_classes *classes() const noexcept
	{
		return classes_;
	}

	/* Returns a block, or throws std::bad_alloc. */
	void *take(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t))
	{
		if (alignment > alignof(std::max_align_t))
			return ::operator new(bytes, std::align_val_t(alignment));
		void *block = ::defer_drop_classes_take(classes_, bytes);

		if (!block)
			detail::throw_no_memory();
		return block;
	}

	/* bytes, alignment: with which it was taken. */
	void give(void *block, std::size_t bytes,
		std::size_t alignment = alignof(std::max_align_t)) noexcept
	{
		if (alignment > alignof(std::max_align_t))
			::operator delete(block, std::align_val_t(alignment));
		else
			::defer_drop_classes_give(classes_, block, bytes);
	}

      private:
	void *do_allocate(std::size_t bytes, std::size_t alignment) override
	{
		return take(bytes, alignment);
	}

	void do_deallocate(void *block, std::size_t bytes, std::size_t alignment) override
	{
		give(block, bytes, alignment);
	}

	bool do_is_equal(const detail::memory_resource &other) const noexcept override
	{
		return this == &other;
	}
};

/*
 * An allocator for containers that are not std::pmr's:
 *
 *     std::list<int, deferdrop::pool_allocator<int>> list(nodes);
 *
 * It does without the virtual calls of a memory_resource. Containers of equal allocators, those of
 * the same pools, can be swapped and moved in constant time; so can others, which take the
 * allocator along.
 *
 * Threads, Blocks: as pools.
 */
template <class T> class pool_allocator
{
	pools *pools_;

	template <class Other> friend class pool_allocator;

      public:
	using value_type = T;
	using propagate_on_container_move_assignment = std::true_type;
	using propagate_on_container_swap = std::true_type;

	/* from: must outlive all that is allocated. */
	pool_allocator(pools &from) noexcept : pools_(&from)
	{
	}

	template <class Other>
	pool_allocator(const pool_allocator<Other> &other) noexcept : pools_(other.pools_)
	{
	}

	[[nodiscard]] T *allocate(std::size_t count)
	{
		if (count > PTRDIFF_MAX / sizeof(T))
			detail::throw_no_memory();
		return static_cast<T *>(pools_->take(count * sizeof(T), alignof(T)));
	}

	void deallocate(T *block, std::size_t count) noexcept
	{
		pools_->give(block, count * sizeof(T), alignof(T));
	}

	template <class Other>
	friend bool operator==(
		const pool_allocator &one, const pool_allocator<Other> &other) noexcept
	{
		return one.same_as(other);
	}

	template <class Other>
	friend bool operator!=(
		const pool_allocator &one, const pool_allocator<Other> &other) noexcept
	{
		return !one.same_as(other);
	}

      private:
	template <class Other> bool same_as(const pool_allocator<Other> &other) const noexcept
	{
		return pools_ == other.pools_;
	}
};

} // namespace deferdrop

#endif
