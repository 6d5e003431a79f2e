/* A plugin that may be unloaded: it drops to a queue of its own, and ends that before its code goes. */
/*
 *     cc -fPIC -shared plugin.c $(pkg-config --cflags --libs defer_drop) -o plugin.so
 */
#include <defer_drop.h>
#include <stdlib.h>

static struct defer_drop_queue *queue;

static void record_free(void *record)
{
	free(record); /* code of the plugin: nothing may call it after the plugin is closed */
}

int plugin_open(void)
{
	struct defer_drop_config config = DEFER_DROP_CONFIG_INIT;

	config.name = "plugin";
	return defer_drop_queue_create(&queue, &config);
}

int plugin_work(void)
{
	return defer_drop_queue_push(queue, malloc(100), record_free, DEFER_DROP_FOREVER);
}

int plugin_close(void)
{
	int result = defer_drop_queue_shutdown(queue, DEFER_DROP_FOREVER);

	return result ? result : defer_drop_queue_free(queue);
}
