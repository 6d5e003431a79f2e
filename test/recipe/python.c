/* A Python extension: drop(object) gives a reference up on another thread. */
/*
 * Python calls finish() before the interpreter ends. Without that the worker would want the lock of an interpreter
 * that is no more, which aborts the process.
 *
 *     cc -fPIC -shared python.c $(python3-config --includes) $(pkg-config --cflags --libs defer_drop) -o dropping.so
 */
#include <Python.h>
#include <defer_drop.h>

static void give_up(void *object)
{
	PyGILState_STATE state = PyGILState_Ensure();

	Py_DECREF((PyObject *)object);
	PyGILState_Release(state);
}

static PyObject *drop(PyObject *module, PyObject *object)
{
	PyThreadState *state;
	int result;

	Py_INCREF(object);
	state = PyEval_SaveThread(); /* the worker needs the lock to make room */
	result = defer_drop(object, give_up);
	PyEval_RestoreThread(state);
	if (result)
		Py_DECREF(object); /* the interpreter is ending */
	Py_RETURN_NONE;
}

static PyObject *finish(PyObject *module, PyObject *none)
{
	PyThreadState *state = PyEval_SaveThread();

	defer_drop_shutdown();
	PyEval_RestoreThread(state);
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"drop", drop, METH_O, "Gives a reference up on another thread."},
	{"finish", finish, METH_NOARGS, "Gives up what is pending, and whatever follows at once."},
	{NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT, "dropping", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_dropping(void)
{
	PyObject *module = PyModule_Create(&definition);
	PyObject *at_exit = PyImport_ImportModule("atexit");
	PyObject *function = module ? PyObject_GetAttrString(module, "finish") : NULL;

	if (!at_exit || !function || !PyObject_CallMethod(at_exit, "register", "O", function))
		return NULL;
	return module;
}
