/* SPDX-License-Identifier: MIT
 *
 * Lines: how they are put together, which handler gets them, and what stderr gets.
 */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "base/report.h"

TestSuite(report, .timeout = 60);

/* ---- A line ---------------------------------------------------------------------------------- */

Test(report, a_line_grows_piece_by_piece)
{
	struct dd_line line = {0};

	dd_line_add(&line, "%d", 12);
	cr_assert_str_eq(line.text, "12");
	dd_line_add(&line, "%s", "");
	dd_line_add(&line, "-%s", "x");
	cr_assert_str_eq(line.text, "12-x");
	cr_assert_eq(line.length, 4);
}

Test(report, control_characters_become_question_marks)
{
	struct dd_line line = {0};

	dd_line_add(&line, "a\nb\tc\rd\x7f");
	dd_line_add(&line, "%s", "\x1b[1m \xc3\xa4~");
	cr_assert_str_eq(line.text, "a?b?c?d??[1m \xc3\xa4~");
}

Test(report, what_is_too_long_is_cut_off)
{
	struct dd_line line = {0};

	for (unsigned i = 0; i < DD_LINE_BYTES; i++)
		dd_line_add(&line, "%03u", i);
	cr_assert_eq(line.length, DD_LINE_BYTES - 1);
	cr_assert_eq(strlen(line.text), DD_LINE_BYTES - 1);
	cr_assert_eq(strncmp(line.text, "000001002", 9), 0);
	memset(&line, 0, sizeof line);
	dd_line_add(&line, "%0*d", 5000, 7);
	cr_assert_eq(strlen(line.text), DD_LINE_BYTES - 1);
}

/* ---- The program's handler ------------------------------------------------------------------- */

static char line_heard[2000];
static void *context_heard;
static atomic_uint heard;

static void hear(void *context, const char *line)
{
	snprintf(line_heard, sizeof line_heard, "%s", line);
	context_heard = context;
	errno = EXDEV;
	atomic_fetch_add(&heard, 1);
}

/* PROCESS[PID], and what follows. */
static const char *line_of(const char *rest)
{
	static char line[400];

	snprintf(line, sizeof line, "%s[%ld]: %s", program_invocation_short_name, (long)getpid(),
		rest);
	return line;
}

Test(report, a_handler_gets_the_line_and_its_context)
{
	defer_drop_report_handle(hear, &heard);
	errno = EBADF;
	dd_report(NULL, "%s of %d", "the answer", 42);
	cr_assert_eq(errno, EBADF);
	cr_assert_eq(heard, 1);
	cr_assert_eq(context_heard, &heard);
	cr_assert_str_eq(line_heard, line_of("defer_drop: the answer of 42"));
}

Test(report, a_line_names_its_queue_unless_that_is_the_default_one)
{
	defer_drop_report_handle(hear, NULL);
	dd_report("defer_drop", "x");
	cr_assert_str_eq(line_heard, line_of("defer_drop: x"));
	dd_report("io", "x");
	cr_assert_str_eq(line_heard, line_of("defer_drop io: x"));
	dd_report("defer_drop2", "x");
	cr_assert_str_eq(line_heard, line_of("defer_drop defer_drop2: x"));
}

Test(report, a_line_has_no_newline_inside)
{
	defer_drop_report_handle(hear, NULL);
	dd_report("a\nb", "c\nd%s", "\n");
	cr_assert_str_eq(line_heard, line_of("defer_drop a?b: c?d?"));
}

Test(report, a_child_has_its_own_number)
{
	pid_t child;
	int status;

	defer_drop_report_handle(hear, NULL);
	child = fork();
	if (!child) {
		dd_report(NULL, "x");
		_exit(strcmp(line_heard, line_of("defer_drop: x")) != 0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
}

Test(report, the_last_handler_counts_and_null_is_the_built_in_one)
{
	defer_drop_report_handle(NULL, NULL);
	defer_drop_report_handle(hear, number(1));
	defer_drop_report_handle(hear, number(2));
	dd_report(NULL, "x");
	cr_assert_eq(context_heard, number(2));
	defer_drop_report_handle(NULL, number(3));
	dd_report(NULL, "for stderr");
	cr_assert_eq(heard, 1);
}

/* ---- Handlers that change -------------------------------------------------------------------- */

static atomic_uint mixed;
static int first_context;
static int second_context;

static void hear_first(void *context, const char *line)
{
	if (context != &first_context || !strstr(line, "defer_drop: "))
		atomic_fetch_add(&mixed, 1);
}

static void hear_second(void *context, const char *line)
{
	if (context != &second_context || !strstr(line, "defer_drop: "))
		atomic_fetch_add(&mixed, 1);
}

static void *change_handlers(void *object)
{
	atomic_bool *is_over = object;

	while (!atomic_load(is_over)) {
		defer_drop_report_handle(hear_first, &first_context);
		defer_drop_report_handle(hear_second, &second_context);
	}
	return NULL;
}

Test(report, a_handler_never_gets_the_context_of_another)
{
	atomic_bool is_over = false;
	pthread_t threads[2];

	defer_drop_report_handle(hear_first, &first_context);
	for (unsigned i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, change_handlers, &is_over), 0);
	for (unsigned i = 0; i < 100000; i++)
		dd_report(NULL, "%u", i);
	atomic_store(&is_over, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(mixed, 0);
}

/* The fork finds the lock taken, as if another thread were setting a handler. */
Test(report, a_child_can_set_a_handler)
{
	pid_t child;
	int status;

	dd_report_lock();
	child = fork();
	if (!child) {
		dd_report_unlock();
		defer_drop_report_handle(hear, NULL);
		dd_report(NULL, "x");
		_exit(heard != 1);
	}
	dd_report_unlock();
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	defer_drop_report_handle(hear, NULL);
	dd_report(NULL, "x");
	cr_assert_eq(heard, 1);
}

Test(report, a_line_is_reported_while_a_handler_is_being_set)
{
	defer_drop_report_handle(hear, NULL);
	dd_report_lock();
	dd_report(NULL, "x");
	dd_report_unlock();
	cr_assert_eq(heard, 1);
}

/* ---- stderr ---------------------------------------------------------------------------------- */

static int stderr_before = -1;

/* What is written there can be read from the answer; each write is a message of its own if the type
 * is SOCK_SEQPACKET. */
static int catch_stderr(int type)
{
	int ends[2];

	cr_assert_eq(socketpair(AF_UNIX, type, 0, ends), 0);
	stderr_before = dup(STDERR_FILENO);
	cr_assert_geq(dup2(ends[1], STDERR_FILENO), 0);
	close(ends[1]);
	return ends[0];
}

static void give_stderr_back(void)
{
	dup2(stderr_before, STDERR_FILENO);
	close(stderr_before);
}

Test(report, stderr_gets_the_line_and_its_newline_in_one_write)
{
	int end = catch_stderr(SOCK_SEQPACKET);
	char text[2000];
	char word[1500];
	ssize_t length;

	errno = EBADF;
	dd_report("io", "%d", 5);
	memset(word, 'w', sizeof word);
	dd_report(NULL, "%.*s", (int)sizeof word, word);
	cr_assert_eq(errno, EBADF);
	give_stderr_back();
	length = recv(end, text, sizeof text, 0);
	cr_assert_gt(length, 0);
	text[length] = 0;
	cr_assert_str_eq(text, line_of("defer_drop io: 5\n"));
	length = recv(end, text, sizeof text, 0);
	cr_assert_eq(length, DD_LINE_BYTES);
	cr_assert_eq(text[length - 1], '\n');
	cr_assert_eq(text[length - 2], 'w');
	cr_assert_eq(recv(end, text, sizeof text, 0), 0);
}

#define MANY 2000

static void *report_many(void *object)
{
	for (unsigned i = 0; i < MANY; i++)
		dd_report(object, "line %u of many, which is neither short nor long", i);
	return NULL;
}

static unsigned read_lines(int end)
{
	FILE *file = fdopen(end, "r");
	unsigned next[2] = {0, 0};
	char line[300];

	while (fgets(line, sizeof line, file)) {
		unsigned which = strstr(line, "defer_drop b: ") != NULL;
		char want[200];

		snprintf(want, sizeof want,
			"defer_drop %c: line %u of many, which is neither short nor long\n",
			"ab"[which], next[which]++);
		cr_assert_str_eq(line, line_of(want));
	}
	fclose(file);
	return next[0] + next[1];
}

Test(report, lines_of_two_threads_do_not_mix)
{
	pthread_t threads[2];
	char a[] = "a";
	char b[] = "b";
	char path[] = "/tmp/defer_drop.XXXXXX";
	int file = mkstemp(path);

	cr_assert_geq(file, 0);
	unlink(path);
	fflush(stderr);
	stderr_before = dup(STDERR_FILENO);
	dup2(file, STDERR_FILENO);
	pthread_create(&threads[0], NULL, report_many, a);
	pthread_create(&threads[1], NULL, report_many, b);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	give_stderr_back();
	lseek(file, 0, SEEK_SET);
	cr_assert_eq(read_lines(file), 2 * MANY);
}

/* The rest of a line that is written in part fails here: the file may not grow further. */
Test(report, a_line_that_cannot_be_written_is_lost_and_nothing_else)
{
	const struct rlimit limit = {10, RLIM_INFINITY};
	const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
	char path[] = "/tmp/defer_drop.XXXXXX";
	int file = mkstemp(path);

	cr_assert_geq(file, 0);
	unlink(path);
	signal(SIGXFSZ, SIG_IGN);
	stderr_before = dup(STDERR_FILENO);
	dup2(file, STDERR_FILENO);
	setrlimit(RLIMIT_FSIZE, &limit);
	errno = EXDEV;
	dd_report(NULL, "x");
	setrlimit(RLIMIT_FSIZE, &none);
	cr_assert_eq(errno, EXDEV);
	close(STDERR_FILENO);
	dd_report(NULL, "x");
	cr_assert_eq(errno, EXDEV);
	give_stderr_back();
	cr_assert_eq(lseek(file, 0, SEEK_END), 10);
}

static void ignore_signal(int signal_number)
{
	(void)signal_number;
}

static void *report_once(void *object)
{
	dd_report(NULL, "after a signal");
	atomic_store((atomic_bool *)object, true);
	return NULL;
}

/* Reads up to a newline, and leaves the zeros out. */
static void read_text(int end, char *text)
{
	do {
		cr_assert_eq(recv(end, text, 1, 0), 1);
		if (*text)
			text++;
	} while (text[-1] != '\n');
	*text = 0;
}

/* stderr is full of zeros, so that the write of a line waits; a signal interrupts that. */
Test(report, a_line_survives_a_signal)
{
	const struct sigaction action = {.sa_handler = ignore_signal};
	int end = catch_stderr(SOCK_STREAM);
	atomic_bool is_over = false;
	pthread_t thread;
	char text[1000] = "";

	sigaction(SIGUSR1, &action, NULL);
	while (send(STDERR_FILENO, "", 1, MSG_DONTWAIT) > 0)
		;
	pthread_create(&thread, NULL, report_once, &is_over);
	for (unsigned i = 0; i < 20; i++) {
		usleep(5000);
		pthread_kill(thread, SIGUSR1);
	}
	cr_assert_not(atomic_load(&is_over));
	read_text(end, text + 1);
	pthread_join(thread, NULL);
	give_stderr_back();
	cr_assert_str_eq(text + 1, line_of("defer_drop: after a signal\n"));
}

static void *report_cancelled(void *object)
{
	pthread_cancel(pthread_self());
	dd_report(NULL, "x");
	atomic_fetch_add((atomic_uint *)object, 1);
	pthread_testcancel();
	atomic_fetch_add((atomic_uint *)object, 1);
	return NULL;
}

Test(report, a_cancellation_waits_until_the_line_is_out)
{
	int end = catch_stderr(SOCK_SEQPACKET);
	atomic_uint steps = 0;
	pthread_t thread;
	char line[200];
	void *result;

	pthread_create(&thread, NULL, report_cancelled, &steps);
	pthread_join(thread, &result);
	give_stderr_back();
	cr_assert_eq(result, PTHREAD_CANCELED);
	cr_assert_eq(steps, 1);
	cr_assert_gt(recv(end, line, sizeof line, 0), 0);
}
