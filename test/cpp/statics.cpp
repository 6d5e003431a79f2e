// SPDX-License-Identifier: MIT
//
// statics HOW: destructors use a static object that is made after the first drop, and so is destroyed
// before the handler of exit that the first drop has set. HOW: main returns; it calls exit; a static
// object drops late, when it is destroyed; main has a session.
#include <defer_drop.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>

namespace
{

bool is_gone;
int after;
int destroyed;

// Made before the first drop: the last to go.
struct judge {
	int wanted = 500;

	~judge()
	{
		if (!after && destroyed == wanted)
			return;
		std::fprintf(
			stderr, "%d destroyed, %d of them after the logger\n", destroyed, after);
		_exit(1);
	}
};

judge the_judge;

struct logger {
	bool drops_late = false;

	~logger();
};

// Made at its first use.
logger &log()
{
	static logger one;

	return one;
}

struct client {
	~client()
	{
		usleep(200);
		(void)log();
		after += is_gone;
		destroyed++;
	}
};

// Queues are still open.
logger::~logger()
{
	if (drops_late && (deferdrop::drop(std::make_unique<client>()) || deferdrop::flush()))
		_exit(2);
	is_gone = true;
}

void drop_all()
{
	for (int i = 0; i < 500; i++) {
		if (deferdrop::drop(std::make_unique<client>()))
			_exit(3);
		(void)log();
	}
}

} // namespace

int main(int argc, char **argv)
{
	const std::string how = argc > 1 ? argv[1] : "return";

	if (how == "session") {
		deferdrop::session session;

		if (session.result())
			return 4;
		drop_all();
		return 0;
	}
	drop_all();
	if (how == "exit")
		std::exit(0);
	if (how == "late") {
		log().drops_late = true;
		the_judge.wanted++;
	}
	return 0;
}
