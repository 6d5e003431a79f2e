/* SPDX-License-Identifier: MIT
 *
 * Reads the lines that the demo makes an index from: out of files, folders or package lists.
 */
#include "demo.h"

#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PACKAGE_LISTS "/var/lib/dpkg/info/*.list"
#define FALLBACK      "/usr"

/* Folders that a walk keeps open; deeper ones are closed and opened again. */
#define WALK_DESCRIPTORS 16

/* nftw(3) has no room for an argument. */
static struct input *walked_input;

/* ---- Lines ----------------------------------------------------------------------------------- */

static void *resize(void *memory, size_t bytes)
{
	memory = realloc(memory, bytes);
	if (!memory)
		fail(ENOMEM, "input, %zu MB", bytes / 1000000);
	return memory;
}

static void add_line(struct input *input, const char *line, size_t bytes)
{
	if (!bytes)
		return;
	while (input->text_room - input->bytes < bytes) {
		input->text_room = input->text_room ? input->text_room * 2 : 1 << 20;
		input->text = resize(input->text, input->text_room);
	}
	if (input->starts_room < input->lines + 2) {
		input->starts_room = input->starts_room ? input->starts_room * 2 : 1 << 16;
		input->starts = resize(input->starts, input->starts_room * sizeof(size_t));
	}
	memcpy(input->text + input->bytes, line, bytes);
	input->starts[input->lines++] = input->bytes;
	input->bytes += bytes;
	input->starts[input->lines] = input->bytes;
}

static void read_file(struct input *input, const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t length;

	if (!file)
		fail(errno, "%s", path);
	errno = 0;
	while ((length = getline(&line, &room, file)) >= 0) {
		size_t bytes = (size_t)length;

		add_line(input, line, bytes && line[bytes - 1] == '\n' ? bytes - 1 : bytes);
		errno = 0;
	}
	/* getline(3) fails for lack of memory too, and then leaves no mark on the file. */
	if (ferror(file) || !feof(file))
		fail(errno ? errno : EIO, "%s", path);
	free(line);
	fclose(file);
	input->files++;
}

/* ---- Folders --------------------------------------------------------------------------------- */

static int visit(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	if (type == FTW_DNR && !place->level)
		fail(EACCES, "%s", path);
	/* A private folder of some user is no reason to do without the rest. */
	if (type == FTW_DNR)
		walked_input->left_out++;
	add_line(walked_input, path, strlen(path));
	if (walked_input->lines % 65536 == 0)
		progress("reading: %zu names", walked_input->lines);
	return 0;
}

static void read_folder(struct input *input, const char *path)
{
	/*
	 * FTW_PHYS does not follow links, which could lead in circles. The path itself may be a
	 * link.
	 */
	char *resolved = realpath(path, NULL);

	if (!resolved)
		fail(errno, "%s", path);
	walked_input = input;
	if (nftw(resolved, visit, WALK_DESCRIPTORS, FTW_PHYS))
		fail(errno, "%s", path);
	free(resolved);
	input->folders++;
}

/* ---- All ------------------------------------------------------------------------------------- */

static void read_path(struct input *input, const char *path)
{
	struct stat status;

	if (stat(path, &status))
		fail(errno, "%s", path);
	if (S_ISDIR(status.st_mode))
		read_folder(input, path);
	else if (S_ISREG(status.st_mode))
		read_file(input, path);
	else
		fail(0, "%s: neither a regular file nor a folder", path);
}

static void read_package_lists(struct input *input)
{
	glob_t found;
	int result = glob(PACKAGE_LISTS, 0, NULL, &found);

	if (result && result != GLOB_NOMATCH)
		fail(result == GLOB_NOSPACE ? ENOMEM : EACCES, "%s", PACKAGE_LISTS);
	for (size_t i = 0; !result && i < found.gl_pathc; i++)
		read_file(input, found.gl_pathv[i]);
	globfree(&found);
}

void input_read(struct input *input, char **paths)
{
	progress("reading");
	*input = (struct input){.source = "the paths named"};
	for (size_t i = 0; paths[i]; i++)
		read_path(input, paths[i]);
	if (!paths[0]) {
		input->source = "the package lists " PACKAGE_LISTS;
		read_package_lists(input);
		if (!input->lines) {
			*input = (struct input){.source = "the names below " FALLBACK};
			read_folder(input, FALLBACK);
		}
	}
	progress_clear();
	if (!input->lines)
		fail(0, "%s: no lines to make an index from",
			paths[0] && !paths[1] ? paths[0] : input->source);
}

void input_free(struct input *input)
{
	free(input->text);
	free(input->starts);
}
