/* A connection ends what is its own, and does not wait for the others. */
#include <defer_drop/group.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct connection {
	struct defer_drop_group *group;
	atomic_uint replies; /* that are not destroyed yet */
};

struct reply {
	struct connection *from; /* which must be there until the reply is destroyed */
	char text[100];
};

static void reply_free(void *object)
{
	struct reply *reply = object;

	atomic_fetch_sub(&reply->from->replies, 1);
	free(reply);
}

static int answer(struct connection *connection)
{
	struct reply *reply = malloc(sizeof *reply);

	if (!reply)
		return 1;
	reply->from = connection;
	snprintf(reply->text, sizeof reply->text, "hello");
	atomic_fetch_add(&connection->replies, 1);
	return defer_drop_group_push(connection->group, reply, reply_free, DEFER_DROP_FOREVER);
}

/* Now no destructor uses the connection any more. */
static int close_connection(struct connection *connection)
{
	int failures = defer_drop_group_end(connection->group, DEFER_DROP_FOREVER) != 0;

	failures += defer_drop_group_free(connection->group) != 0;
	return failures + (atomic_load(&connection->replies) != 0);
}

int main(void)
{
	static struct connection connections[2];
	int failures = 0;

	for (unsigned i = 0; i < 2; i++)
		failures += defer_drop_group_create(&connections[i].group, NULL) != 0;
	for (unsigned i = 0; i < 1000; i++)
		failures += answer(&connections[i % 2]) != 0;
	failures += close_connection(&connections[0]);
	puts("the first connection is gone");
	failures += close_connection(&connections[1]);
	return failures;
}
