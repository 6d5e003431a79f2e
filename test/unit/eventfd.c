/* SPDX-License-Identifier: MIT
 *
 * Signalling an eventfd.
 */
#include "queues.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include "base/eventfd.h"

TestSuite(eventfd, .timeout = 60);

Test(eventfd, each_signal_adds_one)
{
	int made = eventfd(0, EFD_NONBLOCK);

	for (uint64_t count = 1; count < 4; count++) {
		for (uint64_t i = 0; i < count; i++)
			answers(0, dd_eventfd_signal(made));
		cr_assert_eq(read_from(made), count);
	}
	dd_eventfd_close(made);
	cr_assert_eq(fcntl(made, F_GETFD), -1);
}

Test(eventfd, one_at_its_maximum_is_readable_already_and_never_blocks)
{
	const int flags[] = {0, EFD_NONBLOCK};

	for (unsigned i = 0; i < 2; i++) {
		uint64_t most = UINT64_MAX - 1;
		int made = eventfd(0, flags[i]);

		cr_assert_eq(write(made, &most, sizeof most), sizeof most);
		answers(0, dd_eventfd_signal(made));
		cr_assert_eq(read_from(made), most);
		dd_eventfd_close(made);
	}
}

Test(eventfd, one_that_is_closed_or_not_for_writing_answers_ebadf)
{
	int made = eventfd(0, 0);
	int readable = open("/dev/null", O_RDONLY);

	dd_eventfd_close(made);
	answers(-EBADF, dd_eventfd_signal(made));
	answers(-EBADF, dd_eventfd_signal(readable));
}

Test(eventfd, a_pipe_without_a_reader_answers_epipe_and_raises_no_signal)
{
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	errno = 77;
	answers(0, dd_eventfd_signal(ends[1])); /* 8 bytes are written to any descriptor */
	cr_assert_eq(read_from(ends[0]), 1);
	close(ends[0]);
	answers(-EPIPE, dd_eventfd_signal(ends[1])); /* SIGPIPE would end the test */
	cr_assert_eq(errno, 77);
	dd_eventfd_close(ends[1]);
}

Test(eventfd, errno_stays_as_it_was)
{
	int made = eventfd(0, 0);

	errno = 77;
	answers(0, dd_eventfd_signal(made));
	cr_assert_eq(errno, 77);
	dd_eventfd_close(made);
	cr_assert_eq(errno, 77);
	answers(-EBADF, dd_eventfd_signal(made));
	dd_eventfd_close(made);
	cr_assert_eq(errno, 77);
}
