/* A cache of a million entries is dropped in slices: a file that another thread drops need not wait. */
#include <defer_drop.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define ENTRIES 1000000
#define SLICE   1000 /* some microseconds */

struct cache {
	void **entries;
	size_t left;
};

static int free_some(void *object)
{
	struct cache *cache = object;

	for (size_t i = 0; i < SLICE && cache->left; i++)
		free(cache->entries[--cache->left]);
	if (cache->left)
		return DEFER_DROP_AGAIN;
	free(cache->entries);
	free(cache);
	return 0;
}

static void close_file(void *file)
{
	fclose(file);
	puts("the file is closed");
}

static void *drop_file(void *file)
{
	if (!file || defer_drop(file, close_file))
		abort();
	return NULL;
}

int main(void)
{
	struct defer_drop_options options = DEFER_DROP_OPTIONS_INIT;
	struct cache *cache = malloc(sizeof *cache);
	pthread_t other;

	if (!cache || !(cache->entries = malloc(ENTRIES * sizeof *cache->entries)))
		return 1;
	for (cache->left = 0; cache->left < ENTRIES; cache->left++)
		cache->entries[cache->left] = malloc(16);
	options.destroy_status = free_some;
	if (defer_drop_with(cache, NULL, DEFER_DROP_FOREVER, &options))
		return 1;
	pthread_create(&other, NULL, drop_file, tmpfile());
	pthread_join(other, NULL);
	if (defer_drop_flush())
		return 1;
	puts("the cache is gone");
	return 0;
}
