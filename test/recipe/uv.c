/* With libuv: a list is destroyed in the background, a handle on the loop, which may close it. */
/*
 *     cc uv.c $(pkg-config --cflags --libs defer_drop libuv) -o uv
 */
#include <defer_drop/uv.h>
#include <stdio.h>

static struct defer_drop_strategy_uv here;
static uv_timer_t timer;

static void free_list(void *list)
{
	for (void *next; list; list = next) {
		next = *(void **)list;
		free(list);
	}
}

static void close_timer(void *handle)
{
	uv_close(handle, NULL);
	defer_drop_strategy_uv_close(&here, NULL);
}

static void tick(uv_timer_t *handle)
{
	static int ticks;
	void **list = NULL;

	for (int i = 0; i < 100000; i++) {
		void **node = malloc(64);

		*node = list;
		list = node;
	}
	defer_drop(list, free_list); /* on the library's worker */
	printf("tick %d\n", ++ticks);
	if (ticks == 3)
		defer_drop_by(&here.loop.strategy, handle, close_timer); /* on this loop */
}

int main(void)
{
	uv_loop_t *loop = uv_default_loop();

	if (defer_drop_strategy_uv_open(&here, loop, 1000000) || uv_timer_init(loop, &timer) ||
		uv_timer_start(&timer, tick, 10, 10))
		return 1;
	return uv_run(loop, UV_RUN_DEFAULT);
}
