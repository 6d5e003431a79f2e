/* SPDX-License-Identifier: MIT
 *
 * The thread that answers what only reads.
 */
#include "reader.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <urcu.h>

#include "listener.h"
#include "reply.h"

static struct loop loop;
static struct listener listener;
static pthread_t thread;
static int wake = -1; /* an eventfd that ends the thread */
static bool is_ending;

static void woken(struct watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	is_ending = true;
}

static void *read_until_end(void *argument)
{
	(void)argument;
	rcu_register_thread();
	while (!is_ending)
		loop_turn(&loop, -1);
	connection_close_all(&loop);
	rcu_unregister_thread();
	return NULL;
}

int reader_start(const char *address, uint16_t port, unsigned max_clients)
{
	static struct watch watch = {woken};
	int result = loop_open(&loop, max_clients);

	if (result)
		return result;
	loop.is_reader = true;
	result = listener_open(&listener, &loop, address, port);
	wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!result)
		result = wake < 0 ? -errno : loop_watch(&loop, &watch, wake, EPOLLIN);
	if (!result)
		result = -pthread_create(&thread, NULL, read_until_end, NULL);
	if (!result)
		printf("reading on %s port %u\n", address, listener.port);
	return result;
}

void reader_stop(void)
{
	eventfd_write(wake, 1);
	pthread_join(thread, NULL);
	listener_close(&listener);
	loop_close(&loop);
	close(wake);
}

void reader_run(const struct command *command, struct call *call)
{
	if (!(command->flags & COMMAND_READS)) {
		reply_error(call->out, "READONLY this port only reads strings");
		return;
	}
	rcu_read_lock();
	command->run(call);
	rcu_read_unlock();
}
