// control: what the other files here do wrong, done right; this one compiles.
// SPDX-License-Identifier: MIT
#include <defer_drop.hpp>

#include <chrono>
#include <string>

namespace face = deferdrop;

namespace deferdrop
{
using text = unique_ptr<std::string, rcu>;
}

/* Complete in another file only; a pointer to it can be a member. */
struct hidden;

struct holder {
	deferdrop::unique_ptr<hidden> pointer;

	holder();
	~holder();
};

int control();
int control()
{
	int closed = 0;
	const auto close = [&closed](int *) { closed++; };
	std::unique_ptr<int, decltype(close)> guarded(&closed, close);
	std::unique_ptr<std::string, std::default_delete<std::string>> text(new std::string);
	face::scoped<face::text> published(face::make_unique<std::string, face::rcu>("text"));
	auto array = face::make_unique<std::string[]>(3);
	const ::defer_drop_strategy *strategy = &::defer_drop_strategy_leak;
	int result = face::drop(std::move(text), face::in_place());

	result += face::drop(std::move(guarded), face::in_place());
	result += face::drop(std::move(array));
	result += face::drop(std::string("text"), face::chosen(strategy));
	result += face::drop<face::in_place>(new std::string);
	return result + face::flush(std::chrono::milliseconds(5));
}
