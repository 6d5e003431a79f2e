/* SPDX-License-Identifier: MIT
 *
 * Looking at a program before it is run: the dynamic linker ignores preloaded libraries in programs
 * that change their user, and other programs have no dynamic linker.
 */
#include "preload/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NOT_FOUND  127
#define NOT_RUN    126
#define HEAD_BYTES 4096
/* Scripts whose interpreters are scripts: the kernel follows four. */
#define MAX_SCRIPTS 4

struct why {
	char *text;
	size_t bytes;
};

__attribute__((format(printf, 2, 3))) static int refuse(
	const struct why *why, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why->text, why->bytes, format, arguments);
	va_end(arguments);
	return NOT_RUN;
}

/* ---- What it is ------------------------------------------------------------------------------ */

/* Reads the beginning of a file. Returns how much, or -1. */
static ssize_t read_head(const char *path, char *head)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, head, HEAD_BYTES - 1);

	if (fd >= 0)
		close(fd);
	if (length >= 0)
		head[length] = 0;
	return length;
}

static bool has_interpreter(const char *head, size_t length, const Elf64_Ehdr *elf)
{
	for (unsigned i = 0; i < elf->e_phnum; i++) {
		Elf64_Phdr part;
		size_t at = elf->e_phoff + i * sizeof part;

		if (at + sizeof part > length)
			return true; /* too far behind to tell */
		memcpy(&part, head + at, sizeof part);
		if (part.p_type == PT_INTERP)
			return true;
	}
	return false;
}

/* The architecture that this command, and the preload library, was built for. */
static bool is_of_this_machine(const Elf64_Ehdr *elf)
{
	Elf64_Ehdr own;
	char head[HEAD_BYTES];

	if (read_head("/proc/self/exe", head) < (ssize_t)sizeof own)
		return true;
	memcpy(&own, head, sizeof own);
	return own.e_ident[EI_CLASS] == elf->e_ident[EI_CLASS] &&
	       own.e_ident[EI_DATA] == elf->e_ident[EI_DATA] && own.e_machine == elf->e_machine;
}

static int check_elf(const char *path, const char *head, size_t length, const struct why *why)
{
	Elf64_Ehdr elf;

	if (length < sizeof elf)
		return refuse(why, "%s: is no program", path);
	memcpy(&elf, head, sizeof elf);
	if (!is_of_this_machine(&elf))
		return refuse(why, "%s: is for another architecture", path);
	if (!has_interpreter(head, length, &elf))
		return refuse(why, "%s: is statically linked, so nothing can be preloaded", path);
	return 0;
}

/* Checks what may be run. A program that changes its user or has capabilities of its own would run
 * without the library. */
static int check_rights(const char *path, const struct why *why)
{
	struct stat about;

	if (stat(path, &about) || access(path, X_OK))
		return refuse(why, "%s: %s", path, strerror(errno));
	if (!S_ISREG(about.st_mode))
		return refuse(why, "%s: is no file", path);
	if (about.st_mode & (S_ISUID | S_ISGID))
		return refuse(
			why, "%s: is set-user-ID or set-group-ID, so nothing is preloaded", path);
	if (getxattr(path, "security.capability", NULL, 0) > 0)
		return refuse(why, "%s: has capabilities, so nothing is preloaded", path);
	return 0;
}

/* Returns the interpreter of a script, within its head, or NULL. */
static char *interpreter_of(char *head)
{
	char *begin = head + 2;

	begin += strspn(begin, " \t");
	begin[strcspn(begin, " \t\r\n")] = 0;
	return *begin ? begin : NULL;
}

static int check(const char *path, const struct why *why)
{
	char head[HEAD_BYTES];
	char script[HEAD_BYTES];

	for (unsigned i = 0; i <= MAX_SCRIPTS; i++) {
		int error = check_rights(path, why);
		ssize_t length = error ? 0 : read_head(path, head);

		/* A program that may be run but not read is left to the system. */
		if (error || length < 0)
			return error;
		if (!strncmp(head, ELFMAG, SELFMAG))
			return check_elf(path, head, (size_t)length, why);
		if (strncmp(head, "#!", 2) != 0 || !interpreter_of(head))
			return 0; /* as execvp(3): a script for sh(1), or an error of its own */
		path = strcpy(script, interpreter_of(head));
	}
	return refuse(why, "%s: too many scripts", path);
}

/* ---- Where it is ----------------------------------------------------------------------------- */

/* Puts the first file of that name in the folders of PATH that may be run, or else the first
 * one. */
static bool search(const char *name, char *path, size_t path_bytes)
{
	const char *folders = getenv("PATH");
	bool is_found = false;

	for (const char *at = folders ? folders : "/bin:/usr/bin"; at; at = strchr(at, ':')) {
		char tried[HEAD_BYTES];
		struct stat about;
		size_t length;

		at += *at == ':';
		length = strcspn(at, ":");
		if (snprintf(tried, sizeof tried, "%.*s%s%s", (int)length, at, length ? "/" : "",
			    name) >= (int)path_bytes ||
			stat(tried, &about) || !S_ISREG(about.st_mode))
			continue;
		if (!is_found || !access(tried, X_OK))
			strcpy(path, tried);
		is_found = true;
		if (!access(path, X_OK))
			return true;
	}
	return is_found;
}

int dd_program_find(
	const char *name, char *path, size_t path_bytes, char *why_text, size_t why_bytes)
{
	struct why why = {why_text, why_bytes};
	struct stat about;

	if (!strchr(name, '/')) {
		if (!*name || !search(name, path, path_bytes)) {
			refuse(&why, "%s: no such program", name);
			return NOT_FOUND;
		}
	} else if (snprintf(path, path_bytes, "%s", name) >= (int)path_bytes ||
		   (stat(path, &about) && (errno == ENOENT || errno == ENOTDIR))) {
		refuse(&why, "%s: no such program", name);
		return NOT_FOUND;
	}
	return check(path, &why);
}
