/* SPDX-License-Identifier: MIT
 *
 * Handing a file to the helper.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "preload/helper.h"

/* Connects to a socket that has a name but no file (unix(7)). */
static int dial(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	memcpy(address.sun_path + 1, name, length);
	if (!connect(fd, (struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)))
		return fd;
	close(fd);
	return -1;
}

static int send_descriptor(int connection, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof fd)];
	} control = {.bytes = {0}};
	char nothing = 0;
	struct iovec part = {&nothing, 1};
	struct msghdr message = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
	return sendmsg(connection, &message, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

int dd_helper_hold(const char *name, int folder, const char *path)
{
	int fd = openat(folder, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	int connection = fd < 0 ? -1 : dial(name);

	if (connection >= 0 && send_descriptor(connection, fd)) {
		close(connection);
		connection = -1;
	}
	if (fd >= 0)
		close(fd);
	return connection;
}
