/* Prefork, as nginx does it: each process has a queue of its own, which starts at its first push. */
/*
 * The master flushes before it forks, or what is pending stays its own.
 *
 *     cc prefork.c $(pkg-config --cflags --libs defer_drop) -o prefork
 */
#include <defer_drop.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS  4
#define REQUESTS 1000

static void *request_new(void)
{
	return calloc(1, 10000);
}

static int serve(void)
{
	for (int i = 0; i < REQUESTS; i++)
		if (defer_drop(request_new(), free))
			return 1;
	return 0; /* exit destroys what is pending */
}

int main(void)
{
	int status, failed = 0;

	if (defer_drop(request_new(), free) || defer_drop_flush())
		return 1;
	for (int i = 0; i < WORKERS; i++)
		if (!fork())
			return serve();
	while (wait(&status) > 0)
		failed |= status;
	printf("%d workers have ended, status %d\n", WORKERS, failed);
	return failed != 0;
}
