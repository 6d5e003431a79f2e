/* SPDX-License-Identifier: MIT
 *
 * The command defer-drop.
 */
#include <defer_drop.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/helper.h"
#include "preload/program.h"
#include "preload/settings.h"

#define USAGE_STATUS 2
#define PATH_BYTES   4096
#define LIBRARY      "libdefer_drop_preload.so"

static const char usage[] =
	"usage: defer-drop run [OPTION]... PROGRAM [ARGUMENT]...\n"
	"       defer-drop --help | --version\n"
	"\n"
	"Runs a program so that it does not wait while the kernel destroys big files and memory.\n"
	"  --defer=WHAT          all, or some of close+free+munmap+rename+unlink [all]\n"
	"  --file-bytes=SIZE     the least size of a file [8M, and as measured]\n"
	"  --memory-bytes=SIZE   the least size of a mapping or a block of malloc [16M]\n"
	"  --max-bytes=SIZE      no more than that is pending at a time [8G]\n"
	"  --slice-bytes=SIZE    how much is destroyed at a time [32M]\n"
	"  --rate=SIZE           no more than that in a second, for each object [no limit]\n"
	"  --exit=TIME           how long exit waits for what is pending [1s]\n"
	"  --report[=FILE]       report at exit what was deferred, to standard error or a file\n"
	"  --children=yes|no     do so too in programs that the program starts [yes]\n"
	"  --helper              a process of its own finishes what is pending when the program "
	"ends\n"
	"Sizes may end in k, M or G, times in ns, us, ms, s or m. See defer-drop(1).\n";

_Noreturn __attribute__((format(printf, 2, 3))) static void stop(
	int status, const char *format, ...)
{
	va_list arguments;

	fputs("defer-drop: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(status);
}

/* ---- Options --------------------------------------------------------------------------------- */

/* The names of the settings; those of the options have - for _. */
static const struct option options[] = {
	{"defer", required_argument, NULL, 1},
	{"file-bytes", required_argument, NULL, 1},
	{"memory-bytes", required_argument, NULL, 1},
	{"max-bytes", required_argument, NULL, 1},
	{"slice-bytes", required_argument, NULL, 1},
	{"rate", required_argument, NULL, 1},
	{"exit", required_argument, NULL, 1},
	{"report", optional_argument, NULL, 1},
	{"children", required_argument, NULL, 1},
	{"helper", no_argument, NULL, 'p'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* Adds a setting to the text that is passed on, and checks it. */
static void add(char *text, const char *option, const char *value)
{
	struct dd_settings settings;
	char one[DD_SETTINGS_BYTES];
	char why[160];
	size_t length = strlen(text);

	snprintf(one, sizeof one, "%s=%s", option, value ? value : "-");
	for (char *at = one; *at && *at != '='; at++)
		if (*at == '-')
			*at = '_';
	if (strchr(one, ','))
		stop(USAGE_STATUS, "--%s=%s: want a value without a comma", option, value);
	dd_settings_init(&settings);
	if (!dd_settings_read(&settings, one, why, sizeof why))
		stop(USAGE_STATUS, "--%s", why);
	if (length + strlen(one) + 2 > DD_SETTINGS_BYTES)
		stop(USAGE_STATUS, "the options are longer than %d bytes", DD_SETTINGS_BYTES);
	snprintf(text + length, DD_SETTINGS_BYTES - length, "%s%s", length ? "," : "", one);
}

/* Reads the options into the text. The variable of the environment comes first, so that the command
 * line overrides it. */
static void read_options(int count, char **arguments, char *text, bool *has_helper)
{
	const char *inherited = getenv(DD_SETTINGS_VARIABLE);
	struct dd_settings settings;
	char why[160];
	int found;
	int index;

	dd_settings_init(&settings);
	if (inherited && !dd_settings_read(&settings, inherited, why, sizeof why))
		stop(USAGE_STATUS, "%s: %s", DD_SETTINGS_VARIABLE, why);
	snprintf(text, DD_SETTINGS_BYTES, "%s", inherited ? inherited : "");
	opterr = 0;
	while ((found = getopt_long(count, arguments, "+:h", options, &index)) != -1) {
		if (found == 'p') {
			*has_helper = true;
			continue;
		}
		if (found == 'h') {
			fputs(usage, stdout);
			exit(0);
		}
		if (found == ':')
			stop(USAGE_STATUS, "%s: want a value", arguments[optind - 1]);
		if (found != 1)
			stop(USAGE_STATUS, "%s: no such option; see defer-drop --help",
				arguments[optind - 1]);
		add(text, options[index].name, optarg);
	}
}

/* ---- Running --------------------------------------------------------------------------------- */

/* Finds the library beside the command, where it is built, or else where it is installed. */
static void find_library(char *path)
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_BYTES - sizeof LIBRARY);
	char *name;

	path[length > 0 ? length : 0] = 0;
	name = strrchr(path, '/');
	strcpy(name ? name + 1 : path, LIBRARY);
	if (access(path, R_OK))
		snprintf(path, PATH_BYTES, "%s", DD_LIBRARY_FOLDER "/" LIBRARY);
	if (access(path, R_OK))
		stop(USAGE_STATUS, "%s: %s", path, strerror(errno));
	if (strpbrk(path, ": "))
		stop(USAGE_STATUS, "%s: has a colon or a space, which LD_PRELOAD cannot name",
			path);
}

/* Puts the library first. */
static void preload(const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	char text[2 * PATH_BYTES];

	if (snprintf(text, sizeof text, "%s%s%s", library, others && *others ? ":" : "",
		    others ? others : "") >= (int)sizeof text)
		stop(USAGE_STATUS, "LD_PRELOAD: is too long");
	if (setenv("LD_PRELOAD", text, 1))
		stop(USAGE_STATUS, "LD_PRELOAD: %s", strerror(errno));
}

/* Exit leaves everything to the helper. */
static void start_helper(char *text)
{
	char name[64];
	int error = dd_helper_start(name, sizeof name);

	if (error)
		stop(USAGE_STATUS, "--helper: %s", strerror(-error));
	add(text, "helper", name);
	add(text, "exit", "0s");
}

_Noreturn static void run(int count, char **arguments)
{
	char text[DD_SETTINGS_BYTES];
	char library[PATH_BYTES];
	char path[PATH_BYTES];
	char why[PATH_BYTES + 100];
	bool has_helper = false;
	int status;

	read_options(count, arguments, text, &has_helper);
	if (optind == count)
		stop(USAGE_STATUS, "run: want a program; see defer-drop --help");
	status = dd_program_find(arguments[optind], path, sizeof path, why, sizeof why);
	if (status)
		stop(status, "%s", why);
	find_library(library);
	preload(library);
	if (has_helper)
		start_helper(text);
	if (setenv(DD_SETTINGS_VARIABLE, text, 1))
		stop(USAGE_STATUS, "%s: %s", DD_SETTINGS_VARIABLE, strerror(errno));
	execvp(arguments[optind], arguments + optind);
	stop(errno == ENOENT ? 127 : 126, "%s: %s", path, strerror(errno));
}

int main(int count, char **arguments)
{
	const char *verb = count > 1 ? arguments[1] : "";

	if (!strcmp(verb, "run"))
		run(count - 1, arguments + 1);
	if (!strcmp(verb, "--help") || !strcmp(verb, "-h"))
		return fputs(usage, stdout) < 0;
	if (!strcmp(verb, "--version")) {
		uint32_t version = DEFER_DROP_VERSION;

		return printf("defer-drop %u.%u.%u\n", version / 10000, version / 100 % 100,
			       version % 100) < 0;
	}
	stop(USAGE_STATUS, "%s: want run, --help or --version", *verb ? verb : "no command");
}
