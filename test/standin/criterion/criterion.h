/* SPDX-License-Identifier: MIT
 *
 * Stands in for Criterion where there is none for the machine or the C library that is built for:
 * as much of its interface as the units use. Each test runs in a process of its own, one after the
 * other.
 *
 *     unit_NAME [--filter SUITE/NAME]
 *
 * Exit status: 0 if all passed, 1 if one failed, 2 if nothing was run.
 */
#ifndef STANDIN_CRITERION_H
#define STANDIN_CRITERION_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STANDIN_FAILED = 1, STANDIN_SKIPPED = 77 };

struct standin_test {
	const char *suite;
	const char *name; /* NULL: the options of all tests of the suite */
	void (*run)(void);
	struct standin_test *next;
	unsigned timeout; /* seconds; 0: that of the suite */
	int signal;       /* by which the test must end */
	bool disabled;
};

static struct standin_test *standin_first;
static struct standin_test **standin_end = &standin_first;

static inline void standin_add(struct standin_test *test)
{
	*standin_end = test;
	standin_end = &test->next;
}

#define TestSuite(in, ...)                                                      \
	__attribute__((constructor)) static void in##_add(void)                 \
	{                                                                       \
		static struct standin_test suite = {.suite = #in, __VA_ARGS__}; \
		standin_add(&suite);                                            \
	}                                                                       \
	struct standin_test

#define Test(in, called, ...)                                                                    \
	static void in##_##called##_run(void);                                                   \
	__attribute__((constructor)) static void in##_##called##_add(void)                       \
	{                                                                                        \
		static struct standin_test test = {                                              \
			.suite = #in, .name = #called, .run = in##_##called##_run, __VA_ARGS__}; \
		standin_add(&test);                                                              \
	}                                                                                        \
	static void in##_##called##_run(void)

/* ---- Claims ---------------------------------------------------------------------------------- */

__attribute__((format(printf, 4, 5))) static inline void standin_end_test(
	int status, const char *place, const char *text, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	fprintf(stderr, "%s: %s.", place, text);
	vfprintf(stderr, format, values);
	fputc('\n', stderr);
	va_end(values);
	_exit(status);
}

#define STANDIN_STRING(line) #line
#define STANDIN_PLACE(line)  __FILE__ ":" STANDIN_STRING(line)
#define STANDIN_CLAIM(holds, text, ...)                                      \
	((holds) ? (void)0                                                   \
		 : standin_end_test(STANDIN_FAILED, STANDIN_PLACE(__LINE__), \
			   text " does not hold", " " __VA_ARGS__))
#define STANDIN_COMPARED(a, operator, b, ...) \
	STANDIN_CLAIM((a) operator(b), #a " " #operator" " #b, __VA_ARGS__)

#define cr_assert(claim, ...)          STANDIN_CLAIM(claim, #claim, __VA_ARGS__)
#define cr_assert_not(claim, ...)      STANDIN_CLAIM(!(claim), "not " #claim, __VA_ARGS__)
#define cr_assert_null(value, ...)     STANDIN_COMPARED(value, ==, NULL, __VA_ARGS__)
#define cr_assert_not_null(value, ...) STANDIN_COMPARED(value, !=, NULL, __VA_ARGS__)
#define cr_assert_eq(a, b, ...)        STANDIN_COMPARED(a, ==, b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...)       STANDIN_COMPARED(a, !=, b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...)        STANDIN_COMPARED(a, <, b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...)       STANDIN_COMPARED(a, <=, b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...)        STANDIN_COMPARED(a, >, b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...)       STANDIN_COMPARED(a, >=, b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)    STANDIN_CLAIM(!strcmp(a, b), #a " is " #b, __VA_ARGS__)
#define cr_assert_str_empty(a, ...)    STANDIN_CLAIM(!*(a), #a " is empty", __VA_ARGS__)
#define cr_assert_arr_eq(a, b, bytes, ...) \
	STANDIN_CLAIM(!memcmp(a, b, bytes), #a " is " #b, __VA_ARGS__)
#define cr_skip_test(...) \
	standin_end_test(STANDIN_SKIPPED, STANDIN_PLACE(__LINE__), "skipped", " " __VA_ARGS__)
#define cr_skip cr_skip_test

/* ---- Running --------------------------------------------------------------------------------- */

static inline unsigned standin_timeout(const struct standin_test *test)
{
	if (test->timeout)
		return test->timeout;
	for (const struct standin_test *at = standin_first; at; at = at->next)
		if (!at->name && !strcmp(at->suite, test->suite))
			return at->timeout;
	return 60;
}

static inline bool standin_passes(const struct standin_test *test)
{
	pid_t child = fork();
	int status;

	if (!child) {
		alarm(standin_timeout(test));
		test->run();
		fflush(NULL);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		perror("standin");
		return false;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) != test->signal)
		fprintf(stderr, "%s/%s ended by signal %d\n", test->suite, test->name,
			WTERMSIG(status));
	if (WIFSIGNALED(status) || test->signal)
		return WIFSIGNALED(status) && WTERMSIG(status) == test->signal;
	return !WEXITSTATUS(status) || WEXITSTATUS(status) == STANDIN_SKIPPED;
}

static inline bool standin_is_asked_for(const struct standin_test *test, const char *filter)
{
	char name[256];

	if (!test->name || test->disabled)
		return false;
	snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
	return !filter || !strcmp(name, filter);
}

int main(int count, char **arguments)
{
	const char *filter = count == 3 && !strcmp(arguments[1], "--filter") ? arguments[2] : NULL;
	unsigned ran = 0;
	unsigned failed = 0;

	if (count > 1 && !filter) {
		fprintf(stderr, "usage: %s [--filter SUITE/NAME]\n", arguments[0]);
		return 2;
	}
	for (const struct standin_test *test = standin_first; test; test = test->next) {
		if (!standin_is_asked_for(test, filter))
			continue;
		ran++;
		if (standin_passes(test))
			continue;
		failed++;
		printf("[FAIL] %s/%s\n", test->suite, test->name);
	}
	printf("%u tests, %u failed\n", ran, failed);
	return ran ? failed > 0 : 2;
}

#endif
