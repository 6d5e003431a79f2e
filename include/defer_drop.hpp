/* SPDX-License-Identifier: MIT
 *
 * defer_drop in C++17: the same calls, for values and pointers whose type says how they are
 * destroyed. All of it is in this header.
 *
 *     defer_drop::drop(std::move(names));              a value: instead of leaving it to its scope
 *     defer_drop::scoped<index> index(read_index());   a value that is dropped where its scope ends
 *     auto tree = defer_drop::make_unique<tree>();     a std::unique_ptr
 *     std::shared_ptr<tree> shared(new tree, defer_drop::deleter<tree>());
 *
 * Each takes a strategy as a type (see strategy.h): in_place, leak, worker, thread or rcu, which
 * take no space; or chosen, which is chosen at run time. Without one it is the worker:
 *
 *     defer_drop::unique_ptr<tree, defer_drop::rcu> published;
 *     defer_drop::drop(std::move(names), defer_drop::chosen(&by.strategy));
 *
 * A destructor that throws ends the program (std::terminate): nobody is there to catch it. Nothing
 * here throws, except for what constructors of a T throw, and std::bad_alloc from make_unique.
 *
 * Who holds an object cannot return an error when it lets go. Where the worker or a thread refuses
 * an object then, it is destroyed in place; so objects with static storage may outlive the queue.
 * What rcu or a chosen strategy refuses others may still be using: it is told of like the object of
 * a guard (defer_drop_trouble_handle), and leaks.
 */
#ifndef DEFER_DROP_HPP
#define DEFER_DROP_HPP

#include <defer_drop/guard.h>

#include <cerrno>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

/* No namespace, since the function defer_drop has that name already; before a :: it does not
 * count. */
struct defer_drop {
	/* ---- Strategies as types ------------------------------------------------------------- */

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

	/* ---- Pointers ------------------------------------------------------------------------ */

	/* A deleter for std::unique_ptr and std::shared_ptr. T may be an array of unknown
	 * length. */
	template <class T, class Strategy = worker> struct deleter : Strategy {
		constexpr explicit deleter(Strategy strategy = Strategy()) noexcept
		    : Strategy(strategy)
		{
		}

		/* From a pointer to a derived class, as std::default_delete. */
		template <class Derived,
			class = std::enable_if_t<!std::is_array_v<T> &&
						 std::is_convertible_v<Derived *, T *>>>
		constexpr deleter(const deleter<Derived, Strategy> &other) noexcept
		    : Strategy(other)
		{
		}

		void operator()(std::remove_extent_t<T> *object) const noexcept
		{
			let_go(this->strategy(), address(object), destroy<T>);
		}
	};

	template <class T, class Strategy = worker>
	using unique_ptr = std::unique_ptr<T, deleter<T, Strategy>>;

	template <class T, class Strategy = worker, class... Arguments>
	static unique_ptr<T, Strategy> make_unique(Arguments &&...arguments)
	{
		return unique_ptr<T, Strategy>(new T(std::forward<Arguments>(arguments)...));
	}

	/* ---- Drops --------------------------------------------------------------------------- */

	/*
	 * Drops what a pointer owns, or what `delete` would destroy. Allocates nothing.
	 *
	 * Errors: those of defer_drop_by; the pointer is as it was.
	 */
	template <class Strategy = worker, class T, class Deleter>
	[[nodiscard]] static int drop(
		std::unique_ptr<T, Deleter> &&owner, Strategy strategy = Strategy()) noexcept
	{
		static_assert(is_delete<Deleter>::value, "what is its deleter but delete?");
		const int result = drop_by(strategy, address(owner.get()), destroy<T>);

		if (!result)
			(void)owner.release();
		return result;
	}

	template <class Strategy = worker, class T>
	[[nodiscard]] static int drop(T *object, Strategy strategy = Strategy()) noexcept
	{
		return drop_by(strategy, address(object), destroy<T>);
	}

	/*
	 * Drops any value that can be moved. It is moved to memory of its own first.
	 *
	 * Errors: -ENOMEM, and those of defer_drop_by; the value is as it was.
	 */
	template <class Strategy = worker, class T>
	[[nodiscard]] static int drop(T &&value, Strategy strategy = Strategy()) noexcept(
		std::is_nothrow_move_constructible_v<T>)
	{
		static_assert(!std::is_reference_v<T> && !std::is_const_v<T>, "std::move it");
		T *moved = new (std::nothrow) T(std::move(value));
		int result;

		if (!moved)
			return -ENOMEM;
		result = drop_by(strategy, moved, destroy<T>);
		if (result) {
			give_back(value, *moved);
			delete moved;
		}
		return result;
	}

	/*
	 * A value that is dropped where its scope ends, unless it is taken out before. Where that
	 * is refused it is destroyed in place, whatever the strategy: it was nobody else's.
	 */
	template <class T, class Strategy = worker> class scoped : private Strategy
	{
		static_assert(!std::is_same_v<Strategy, rcu>, "no reader finds a value that moved");
		std::optional<T> value_;

	      public:
		explicit scoped(T value, Strategy strategy = Strategy()) noexcept(
			std::is_nothrow_move_constructible_v<T>)
		    : Strategy(strategy), value_(std::move(value))
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
			(void)drop();
		}

		explicit operator bool() const noexcept
		{
			return value_.has_value();
		}

		/* Of one that holds a value. */
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
			return &*value_;
		}

		const T *operator->() const noexcept
		{
			return &*value_;
		}

		/* Takes the value out: it will not be dropped. */
		T take()
		{
			T value = std::move(*value_);

			value_.reset();
			return value;
		}

		/* Changes the strategy, where that is chosen at run time. */
		void retarget(Strategy strategy) noexcept
		{
			static_cast<Strategy &>(*this) = strategy;
		}

		/* Drops the value now; the second time it does nothing. Errors: as
		 * defer_drop::drop. */
		int drop() noexcept
		{
			const int result =
				value_ ? ::defer_drop::drop(std::move(*value_), strategy_of()) : 0;

			if (!result)
				value_.reset();
			return result;
		}

	      private:
		const Strategy &strategy_of() const noexcept
		{
			return *this;
		}
	};

      private:
	/* The destructor of a T. */
	template <class T> static void destroy(void *object) noexcept
	{
		if constexpr (std::is_array_v<T>)
			delete[] static_cast<std::remove_extent_t<T> *>(object);
		else
			delete static_cast<T *>(object);
	}

	template <class T> static void *address(T *object) noexcept
	{
		return const_cast<void *>(static_cast<const volatile void *>(object));
	}

	template <class Strategy>
	static int drop_by(const Strategy &strategy, void *object, defer_drop_fn function) noexcept
	{
		return object ? ::defer_drop_by(strategy.strategy(), object, function) : 0;
	}

	template <class Deleter> struct is_delete : std::false_type {
	};
	template <class T> struct is_delete<std::default_delete<T>> : std::true_type {
	};
	template <class T, class Strategy> struct is_delete<deleter<T, Strategy>> : std::true_type {
	};

	/* Drops, for who cannot return an error. */
	static void let_go(const ::defer_drop_strategy *strategy, void *object,
		defer_drop_fn function) noexcept
	{
		if (!::defer_drop_by(strategy, object, function))
			return;
		if (!strategy || strategy == &::defer_drop_strategy_worker ||
			strategy == &::defer_drop_strategy_thread) {
			function(object);
			return;
		}
		/* Tries once more, and tells. */
		::defer_drop_guard guard = DEFER_DROP_GUARD_INIT(object, function, strategy);
		::defer_drop_guard_leave(&guard);
	}

	template <class T> static void give_back(T &value, T &moved) noexcept
	{
		if constexpr (std::is_move_assignable_v<T>) {
			value = std::move(moved);
		} else {
			value.~T();
			::new (static_cast<void *>(&value)) T(std::move(moved));
		}
	}
};

#endif
