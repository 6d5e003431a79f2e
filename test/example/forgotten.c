/* SPDX-License-Identifier: MIT
 *
 * A connection that the program must close explicitly, since closing it can fail: if the program
 * forgets that, a handler gets the line where the guard was made.
 */
#include <defer_drop/guard.h>
#include <stdio.h>

struct connection {
	int is_open;
};

static int hang_up(void *object)
{
	((struct connection *)object)->is_open = 0;
	return 0;
}

static unsigned forgotten_count;

static void note(void *context, const struct defer_drop_trouble *trouble)
{
	(void)context;
	if (trouble->kind != DEFER_DROP_TROUBLE_FORGOTTEN)
		return;
	printf("%s:%u: a connection was not closed\n", trouble->file, trouble->line);
	forgotten_count++;
}

static int talk(struct connection *connection, int is_forgetful)
{
	DEFER_DROP_SCOPED_STATUS(guard, connection, hang_up, NULL);

	if (defer_drop_guard_must_close(&guard))
		return 1;
	connection->is_open = 1;
	return is_forgetful ? 0 : defer_drop_guard_drop(&guard);
}

int main(void)
{
	struct connection connection;

	defer_drop_trouble_handle(note, NULL);
	if (talk(&connection, 0) || forgotten_count != 0 || connection.is_open)
		return 1;
	if (talk(&connection, 1) || forgotten_count != 1)
		return 1;
	return connection.is_open; /* it was closed all the same */
}
