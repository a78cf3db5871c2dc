/* A CUDA runtime and driver of host memory, under CuPy's own compiled code.
 *
 * Design:
 * (a) CuPy's modules find the functions of its runtime and driver modules in `__pyx_capi__` when
 *     they are imported. Replaced before, arrays, memory pools, streams and kernels of CuPy work
 *     without a device; nothing of CuPy itself is changed.
 * (b) What allocates memory, loads a module, or launches a kernel goes to Python (`hooks`).
 * (c) Everything happens at once, so synchronising and events do nothing. Calls are counted.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { LAUNCH, MEMSET, COPY, ALLOCATION, SYNCHRONIZE, SET_DEVICE, KINDS };
static const char *const kinds[KINDS] = {"launch", "memset",      "copy",
                                         "allocation", "synchronize", "set_device"};
static long long counts[KINDS];
static int attributes[256], capturing, idle;
static PyObject *hook_allocate, *hook_release, *hook_module, *hook_function, *hook_launch;

static intptr_t fresh(void) { /* a handle */
    static intptr_t last = 0x1000;
    return last += 16;
}
static intptr_t asked(PyObject *result) { /* a hook's answer */
    if (result == NULL) return 0;
    const intptr_t value = PyLong_AsSsize_t(result);
    Py_DECREF(result);
    return value;
}

/* Without an effect; named after what they take beside Cython's last argument. */
static PyObject *nothing(int skip) { Py_RETURN_NONE; }
static PyObject *nothing_p(intptr_t a, int skip) { Py_RETURN_NONE; }
static PyObject *nothing_pp(intptr_t a, intptr_t b, int skip) { Py_RETURN_NONE; }
static intptr_t handle(int skip) { return fresh(); }
static intptr_t handle_u(unsigned a, int skip) { return fresh(); }
static intptr_t handle_ui(unsigned a, int b, int skip) { return fresh(); }
static intptr_t same(intptr_t a, int skip) { return a; }

static PyObject *synchronize(int skip) {
    counts[SYNCHRONIZE]++;
    Py_RETURN_NONE;
}
static PyObject *synchronize_p(intptr_t a, int skip) { return synchronize(0); }
static PyObject *set_device(int device, int skip) {
    counts[SET_DEVICE]++;
    Py_RETURN_NONE;
}
static int get_device(int skip) { return 0; }
static int one(int skip) { return 1; }
static int version(int skip) { return 13000; }
static int attribute(int which, int device, int skip) { return attributes[which & 255]; }
static int unknown_memory(intptr_t p, int skip) { return 0; }
static float no_time(intptr_t a, intptr_t b, int skip) { return 1.0f; }

static intptr_t allocate(size_t size, int skip) {
    counts[ALLOCATION]++;
    return asked(PyObject_CallFunction(hook_allocate, "n", (Py_ssize_t)size));
}
static intptr_t allocate_async(size_t size, intptr_t stream, int skip) {
    return allocate(size, skip);
}
static intptr_t allocate_host(size_t size, unsigned flags, int skip) {
    return (intptr_t)PyMem_RawMalloc(size);
}
static PyObject *release(intptr_t p, int skip) {
    if (!Py_IsInitialized()) Py_RETURN_NONE;
    return PyObject_CallFunction(hook_release, "n", (Py_ssize_t)p);
}
static PyObject *release_async(intptr_t p, intptr_t stream, int skip) { return release(p, skip); }

static PyObject *set_bytes(intptr_t p, int value, size_t size, int skip) {
    counts[MEMSET]++;
    memset((void *)p, value, size);
    Py_RETURN_NONE;
}
static PyObject *set_bytes_async(intptr_t p, int value, size_t size, intptr_t stream, int skip) {
    return set_bytes(p, value, size, skip);
}
static PyObject *copy(intptr_t to, intptr_t from, size_t size, int kind, int skip) {
    counts[COPY]++;
    memmove((void *)to, (void *)from, size);
    Py_RETURN_NONE;
}
static PyObject *copy_async(intptr_t to, intptr_t from, size_t size, int kind, intptr_t stream,
                            int skip) {
    return copy(to, from, size, kind, skip);
}

static PyObject *begin_capture(intptr_t stream, int skip, void *mode) {
    capturing = 1;
    Py_RETURN_NONE;
}
static intptr_t end_capture(intptr_t stream, int skip) {
    capturing = 0;
    return fresh();
}
static int is_capturing(intptr_t stream, int skip) { return capturing; }

static intptr_t load_module(PyObject *image, int skip) {
    return asked(PyObject_CallFunction(hook_module, "O", image));
}
static intptr_t get_function(intptr_t module, PyObject *name, int skip) {
    return asked(PyObject_CallFunction(hook_function, "nO", (Py_ssize_t)module, name));
}
static PyObject *launch(intptr_t function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                        unsigned by, unsigned bz, unsigned shared, intptr_t stream,
                        intptr_t arguments, intptr_t extra, int skip) {
    counts[LAUNCH]++;
    if (idle) Py_RETURN_NONE;
    if (gy != 1 || gz != 1 || by != 1 || bz != 1)
        return PyErr_Format(PyExc_NotImplementedError, "a grid of several axes");
    return PyObject_CallFunction(hook_launch, "nIIn", (Py_ssize_t)function, gx, bx,
                                 (Py_ssize_t)arguments);
}

struct replacement {
    const char *name;
    void *function;
};
static const struct replacement runtime[] = {
    {"_ensure_context", nothing}, {"getDevice", get_device}, {"setDevice", set_device},
    {"getDeviceCount", one}, {"deviceGetAttribute", attribute}, {"runtimeGetVersion", version},
    {"driverGetVersion", version}, {"deviceSynchronize", synchronize},
    {"malloc", allocate}, {"mallocAsync", allocate_async}, {"hostAlloc", allocate_host},
    {"pointerGetMemoryType", unknown_memory}, {"free", release}, {"freeAsync", release_async}, {"freeHost", nothing_p},
    {"memset", set_bytes}, {"memsetAsync", set_bytes_async}, {"memcpy", copy},
    {"memcpyAsync", copy_async}, {"streamCreate", handle}, {"streamCreateWithFlags", handle_u},
    {"streamCreateWithPriority", handle_ui}, {"streamDestroy", nothing_p},
    {"streamSynchronize", synchronize_p}, {"streamBeginCapture", begin_capture},
    {"streamEndCapture", end_capture}, {"streamIsCapturing", is_capturing},
    {"eventCreate", handle}, {"eventCreateWithFlags", handle_u}, {"eventDestroy", nothing_p},
    {"eventQuery", nothing_p}, {"eventSynchronize", synchronize_p},
    {"eventRecord", nothing_pp}, {"eventElapsedTime", no_time}, {"graphDestroy", nothing_p},
    {"graphExecDestroy", nothing_p}, {"graphInstantiate", same}, {"graphLaunch", nothing_pp},
    {0, 0}};
static const struct replacement driver[] = {
    {"moduleLoadData", load_module}, {"moduleUnload", nothing_p},
    {"moduleGetFunction", get_function}, {"launchKernel", launch}, {0, 0}};

static int replace(PyObject *module, const struct replacement *r) {
    PyObject *table = PyObject_GetAttrString(module, "__pyx_capi__");
    if (table == NULL) return -1;
    for (; r->name; r++) {
        PyObject *old = PyDict_GetItemString(table, r->name);
        if (old == NULL) return PyErr_Format(PyExc_KeyError, "%s", r->name), -1;
        /* the name is the signature, and must outlive the capsule */
        PyObject *own = PyCapsule_New(r->function, PyCapsule_GetName(old), NULL);
        Py_INCREF(old);
        if (own == NULL || PyDict_SetItemString(table, r->name, own)) return -1;
        Py_DECREF(own);
    }
    Py_DECREF(table);
    return 0;
}

static PyObject *install(PyObject *self, PyObject *args) {
    PyObject *of_runtime, *of_driver;
    if (!PyArg_ParseTuple(args, "OOOOOOO", &of_runtime, &of_driver, &hook_allocate, &hook_release,
                          &hook_module, &hook_function, &hook_launch))
        return NULL;
    Py_INCREF(args); /* the hooks stay */
    if (replace(of_runtime, runtime) || replace(of_driver, driver)) return NULL;
    Py_RETURN_NONE;
}
static PyObject *set_attribute(PyObject *self, PyObject *args) {
    int which, value;
    if (!PyArg_ParseTuple(args, "ii", &which, &value)) return NULL;
    attributes[which & 255] = value;
    Py_RETURN_NONE;
}
static PyObject *set_idle(PyObject *self, PyObject *args) { /* launch nothing, to time the host */
    if (!PyArg_ParseTuple(args, "p", &idle)) return NULL;
    Py_RETURN_NONE;
}
static PyObject *get_counts(PyObject *self, PyObject *args) {
    PyObject *result = PyDict_New();
    for (int k = 0; result && k < KINDS; k++) {
        PyObject *n = PyLong_FromLongLong(counts[k]);
        PyDict_SetItemString(result, kinds[k], n);
        Py_XDECREF(n);
    }
    return result;
}
static PyMethodDef methods[] = {{"install", install, METH_VARARGS, 0},
                                {"set_attribute", set_attribute, METH_VARARGS, 0},
                                {"set_idle", set_idle, METH_VARARGS, 0},
                                {"counts", get_counts, METH_NOARGS, 0},
                                {0}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "stand_in", 0, -1, methods};
PyMODINIT_FUNC PyInit_stand_in(void) { return PyModule_Create(&definition); }
