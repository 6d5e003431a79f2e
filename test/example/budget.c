/* Bounds the bytes that wait to be freed, and learns when they become many. */
#include <defer_drop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB 1048576

static void tell(void *context, const struct defer_drop_level *level)
{
	fprintf(context, "%s: %llu MiB\n", level->is_high ? "much is pending" : "no more",
		(unsigned long long)level->backlog_bytes / MIB);
}

static int drop_block(size_t size)
{
	void *block = malloc(size);

	if (!block)
		return 1;
	memset(block, 1, size);
	/* Waits while more than the budget would be pending. */
	return defer_drop_bytes(block, free, size);
}

int main(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.max_bytes = 16 * MIB;
	config.high_bytes = 12 * MIB;
	config.low_bytes = 4 * MIB;
	config.watermark = tell;
	config.context = stdout;
	if (defer_drop_start(&config))
		return 1;
	for (unsigned i = 0; i < 100; i++)
		if (drop_block(MIB))
			return 1;
	return defer_drop_flush();
}
