/* GLib: a tree is destroyed in the background, a label by the thread of the main context. */
/*
 *     cc glib.c $(pkg-config --cflags --libs defer_drop glib-2.0) -o glib
 */
#include <defer_drop/glib.h>
#include <stdio.h>

static struct defer_drop_strategy_glib here;
static GMainLoop *loop;

static void free_tree(void *tree)
{
	g_tree_destroy(tree);
}

static void free_label(void *label)
{
	printf("%s is destroyed by the main loop\n", (char *)label);
	g_free(label);
	g_main_loop_quit(loop);
}

static gboolean replace(gpointer tree)
{
	defer_drop(tree, free_tree); /* on the library's worker */
	defer_drop_by(&here.loop.strategy, g_strdup("a label"), free_label); /* here */
	return G_SOURCE_REMOVE;
}

int main(void)
{
	GTree *tree = g_tree_new((GCompareFunc)g_strcmp0);

	loop = g_main_loop_new(NULL, FALSE);
	if (defer_drop_strategy_glib_open(&here, NULL, 1000000))
		return 1;
	g_tree_insert(tree, "key", "value");
	g_idle_add(replace, tree);
	g_main_loop_run(loop);
	defer_drop_strategy_glib_close(&here);
	g_main_loop_unref(loop);
	return defer_drop_flush();
}
