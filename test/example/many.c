/* Drops all sessions of a server at once, and waits until every one has said goodbye. */
#include <defer_drop.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SESSIONS 1000

struct session {
	unsigned number;
};

static int say_goodbye(void *object)
{
	struct session *session = object;
	int status = session->number % 400 == 399 ? -ECONNRESET : 0;

	free(session);
	return status;
}

int main(void)
{
	struct defer_drop_completion gone = DEFER_DROP_COMPLETION_INIT;
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	void *sessions[SESSIONS];
	int status;

	for (unsigned i = 0; i < SESSIONS; i++) {
		struct session *session = malloc(sizeof *session);

		if (!session)
			return 1;
		session->number = i;
		sessions[i] = session;
	}
	options.destroy_status = say_goodbye;
	options.completion = &gone; /* one for all; it keeps the first status that is not 0 */
	if (defer_drop_queue_push_many(defer_drop_queue_default(), sessions, SESSIONS, NULL,
		    DEFER_DROP_FOREVER, &options, NULL))
		return 1;
	if (defer_drop_completion_wait(&gone, DEFER_DROP_FOREVER, &status))
		return 1;
	printf("%u sessions are gone: %s\n", SESSIONS, strerror(-status));
	return status != -ECONNRESET;
}
