/* A big file is removed, and big memory unmapped: the caller waits for neither. */
#include <defer_drop/os.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES ((size_t)64 << 20)

int main(void)
{
	char path[] = "/tmp/defer_drop_example_XXXXXX";
	int fd = mkstemp(path);
	char *memory =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd < 0 || memory == MAP_FAILED || posix_fallocate(fd, 0, (off_t)BYTES))
		return 1;
	memset(memory, 1, BYTES);
	close(fd);
	if (defer_drop_os_unlink(path, NULL) || defer_drop_os_munmap(memory, BYTES, NULL))
		return 1;
	printf("the name is %s\n", access(path, F_OK) ? "gone" : "there");
	return defer_drop_os_flush(DEFER_DROP_FOREVER); /* now the space is free, too */
}
