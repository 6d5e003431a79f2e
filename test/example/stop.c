/* Has one thread for a moment, which unshare(2) and other calls need, and loses no drop. */
#include <defer_drop.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned count = 0;

	while (tasks && (entry = readdir(tasks)))
		count += entry->d_name[0] != '.';
	if (tasks)
		closedir(tasks);
	return count;
}

int main(void)
{
	unsigned before, meanwhile;

	if (defer_drop(malloc(100), free))
		return 1;
	before = threads();
	if (defer_drop_queue_stop(defer_drop_queue_default(), DEFER_DROP_FOREVER))
		return 1;
	meanwhile = threads();             /* here is the place for unshare(2) */
	if (defer_drop(malloc(100), free)) /* stays in the queue until it is started again */
		return 1;
	if (defer_drop_queue_start(defer_drop_queue_default()) || defer_drop_flush())
		return 1;
	printf("threads: %u, stopped %u, started %u\n", before, meanwhile, threads());
	return meanwhile >= before;
}
