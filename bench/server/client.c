/* SPDX-License-Identifier: MIT
 *
 * One connection of the client that measures.
 */
#include "client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

#define READ_BYTES 65536

static _Noreturn void fail(const char *what, int error)
{
	fprintf(stderr, "drop_client: %s: %s\n", what, strerror(error));
	exit(1);
}

void client_open(struct client *client, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int one = 1;

	*client = (struct client){.room = 1024};
	client->due_ns = malloc(client->room * sizeof *client->due_ns);
	client->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->socket < 0 || !client->due_ns)
		fail("socket", errno);
	if (connect(client->socket, (struct sockaddr *)&address, sizeof address))
		fail("--port", errno);
	setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void client_close(struct client *client)
{
	close(client->socket);
	buffer_free(&client->in);
	buffer_free(&client->out);
	free(client->due_ns);
}

static void make_room(struct client *client)
{
	uint64_t *due_ns = malloc(client->room * 2 * sizeof *due_ns);

	if (!due_ns)
		fail("answers to wait for", ENOMEM);
	for (uint64_t i = client->answered; i < client->sent; i++)
		due_ns[i & (client->room * 2 - 1)] = client->due_ns[i & (client->room - 1)];
	free(client->due_ns);
	client->due_ns = due_ns;
	client->room *= 2;
}

void client_request(
	struct client *client, uint64_t due_ns, const char *const *words, unsigned count)
{
	if (client->sent - client->answered == client->room)
		make_room(client);
	client->due_ns[client->sent++ & (client->room - 1)] = due_ns;
	buffer_print(&client->out, "*%u\r\n", count);
	for (unsigned i = 0; i < count; i++) {
		buffer_print(&client->out, "$%zu\r\n", strlen(words[i]));
		buffer_append(&client->out, words[i], strlen(words[i]));
		buffer_append(&client->out, "\r\n", 2);
	}
	if (client->out.is_broken)
		fail("requests", ENOMEM);
}

void client_send(struct client *client)
{
	struct buffer *out = &client->out;
	ssize_t count;

	if (!buffer_length(out))
		return;
	count = send(
		client->socket, buffer_bytes(out), buffer_length(out), MSG_NOSIGNAL | MSG_DONTWAIT);
	if (count >= 0)
		buffer_consume(out, (size_t)count);
	else if (errno != EAGAIN && errno != EINTR)
		fail("send", errno);
}

/* Returns the length of the first answer, a line or a string. 0: not all of it is there. */
static size_t answer_length(const char *bytes, size_t count)
{
	const char *end = memchr(bytes, '\n', count);
	size_t line = end ? (size_t)(end + 1 - bytes) : 0;
	long length;

	if (!line || *bytes != '$')
		return line;
	length = strtol(bytes + 1, NULL, 10);
	if (length < 0)
		return line;
	line += (size_t)length + 2;
	return line <= count ? line : 0;
}

static void take_answers(struct client *client, struct histogram *histogram)
{
	struct buffer *in = &client->in;
	uint64_t now_ns = bench_now_ns();
	size_t length;

	while ((length = answer_length(buffer_bytes(in), buffer_length(in)))) {
		client->errors += *buffer_bytes(in) == '-';
		if (client_is_idle(client))
			fail("an answer that nothing was asked for", EPROTO);
		if (histogram)
			histogram_record(histogram,
				now_ns - client->due_ns[client->answered & (client->room - 1)]);
		client->answered++;
		buffer_consume(in, length);
	}
}

void client_receive(struct client *client, struct histogram *histogram)
{
	struct buffer *in = &client->in;
	ssize_t count;

	if (!buffer_reserve(in, READ_BYTES))
		fail("answers", ENOMEM);
	count = recv(client->socket, in->memory + in->end, in->room - in->end, MSG_DONTWAIT);
	if (!count)
		fail("recv", ECONNRESET);
	if (count < 0 && errno != EAGAIN && errno != EINTR)
		fail("recv", errno);
	if (count < 0)
		return;
	in->end += (size_t)count;
	take_answers(client, histogram);
}
