/* SPDX-License-Identifier: MIT
 *
 * The helper process.
 */
#include "preload/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "defer_drop/os.h"

/* Files that are just being removed. What is beyond is destroyed by the program. */
#define MOST 256

static struct connection {
	int fd;   /* -1: none */
	int file; /* -1: it has not come yet */
} connections[MOST];

/* True if the other end is the same user's: nobody else is to have files closed here. */
static bool is_of_this_user(int fd)
{
	struct ucred other;
	socklen_t length = sizeof other;

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &length) && other.uid == geteuid();
}

/* Takes all connections that wait. */
static void take(int listener)
{
	for (unsigned i = 0; i < MOST; i++) {
		int fd;

		if (connections[i].fd >= 0)
			continue;
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		if (is_of_this_user(fd))
			connections[i] = (struct connection){fd, -1};
		else
			close(fd);
	}
}

/* Receives a descriptor. Returns it, -1 if there is none yet, or -2 at the end. */
static int receive(int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char nothing;
	struct iovec part = {&nothing, 1};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	ssize_t length = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int file;

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return -1;
	if (length <= 0)
		return -2;
	if (!head || head->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&file, CMSG_DATA(head), sizeof file);
	return file;
}

/* Looks at a connection. At its end the file is destroyed, if its name is gone. */
static void look(struct connection *at)
{
	struct defer_drop_os_options options = DEFER_DROP_OS_OPTIONS_INIT;
	int file;

	while ((file = receive(at->fd)) >= 0) {
		if (at->file >= 0)
			close(at->file);
		at->file = file;
	}
	if (file != -2)
		return;
	options.least_bytes = 1;
	if (at->file >= 0)
		defer_drop_os_close(at->file, &options);
	close(at->fd);
	at->fd = -1;
}

/* Serves until the program has ended, and nobody is connected. */
static void serve(int program, int listener)
{
	struct pollfd polled[MOST + 2];
	bool is_over = false;

	for (;;) {
		unsigned count = 2;

		polled[0] = (struct pollfd){is_over ? -1 : program, POLLIN, 0};
		polled[1] = (struct pollfd){listener, POLLIN, 0};
		take(listener);
		for (unsigned i = 0; i < MOST; i++)
			if (connections[i].fd >= 0)
				polled[count++] = (struct pollfd){connections[i].fd, POLLIN, 0};
		if (is_over && count == 2)
			return;
		if (poll(polled, count, -1) < 0 && errno != EINTR)
			return;
		is_over = is_over || polled[0].revents;
		for (unsigned i = 0; i < MOST; i++)
			if (connections[i].fd >= 0)
				look(&connections[i]);
	}
}

/* Lets go of all that the program may be waited for: its terminal, pipes and folder. */
static void leave_program(void)
{
	int nothing = open("/dev/null", O_RDWR);

	setsid();
	for (int fd = 0; nothing >= 0 && fd < 3; fd++)
		dup2(nothing, fd);
	if (nothing > 2)
		close(nothing);
	if (chdir("/"))
		_exit(1);
}

_Noreturn static void help(int program, int listener)
{
	signal(SIGPIPE, SIG_IGN);
	leave_program();
	for (unsigned i = 0; i < MOST; i++)
		connections[i].fd = -1;
	serve(program, listener);
	defer_drop_os_flush(DEFER_DROP_FOREVER);
	_exit(0);
}

/* Makes a socket with a name that the kernel chooses (unix(7), autobind). */
static int listen_anywhere(char *name, size_t name_bytes)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t length = sizeof address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&address, sizeof address.sun_family) || listen(fd, MOST) ||
		getsockname(fd, (struct sockaddr *)&address, &length)) {
		close(fd);
		return -1;
	}
	length -= (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1);
	if (length >= name_bytes)
		length = (socklen_t)name_bytes - 1;
	memcpy(name, address.sun_path + 1, length);
	name[length] = 0;
	return fd;
}

/* Forks twice: the program must not find a child that it has not made. */
static int start(int program, int listener)
{
	int status = 0;
	pid_t child = fork();

	if (!child) {
		pid_t helper = fork();

		if (!helper)
			help(program, listener);
		_exit(helper < 0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		return -errno;
	return status ? -EAGAIN : 0;
}

int dd_helper_start(char *name, size_t name_bytes)
{
	int listener = listen_anywhere(name, name_bytes);
	int program = listener < 0 ? -1 : (int)syscall(SYS_pidfd_open, getpid(), 0);
	int error = program < 0 ? -errno : start(program, listener);

	if (program >= 0)
		close(program);
	if (listener >= 0)
		close(listener);
	return error;
}
