/* Loops over events of C code, for capi_loops.py.
 *
 * It is written for CPython's own header: the compiler is given monitrace.h by -include, or not. All states
 * of an event go through the same loop. Each is a function by whose name (measured_*) callgrind is told where
 * to count. */
#include <Python.h>

#include <string.h>
#include <time.h>

static PyMonitoringState state;
static uint64_t version;
static const uint8_t event = PY_MONITORING_EVENT_LINE;

/* So that nothing is kept from one turn to the next, in no loop. */
#define TURN(i) __asm__ volatile("" : "+r"(i) : : "memory")

static __attribute__((noinline)) int
measured_empty(Py_ssize_t n, PyObject *code)
{
    Py_ssize_t i;
    (void)code;
    for (i = 0; i < n; i++) {
        TURN(i);
    }
    return 0;
}

/* The least that an event can cost. */
static __attribute__((noinline)) int
measured_byte(Py_ssize_t n, PyObject *code)
{
    Py_ssize_t i;
    (void)code;
    for (i = 0; i < n; i++) {
        TURN(i);
        if (state.active) {
            return -1;
        }
    }
    return 0;
}

static __attribute__((noinline)) int
measured_enter(Py_ssize_t n, PyObject *code)
{
    Py_ssize_t i;
    (void)code;
    for (i = 0; i < n; i++) {
        TURN(i);
        if (PyMonitoring_EnterScope(&state, &version, &event, 1) < 0) {
            return -1;
        }
    }
    return 0;
}

static __attribute__((noinline)) int
measured_fire(Py_ssize_t n, PyObject *code)
{
    Py_ssize_t i;
    for (i = 0; i < n; i++) {
        TURN(i);
        if (PyMonitoring_FireLineEvent(&state, code, 0, 1) < 0) {
            return -1;
        }
    }
    return 0;
}

static const struct {
    const char *name;
    int (*run)(Py_ssize_t, PyObject *);
} loops[] = {
    {"empty", measured_empty},
    {"byte", measured_byte},
    {"enter", measured_enter},
    {"fire", measured_fire},
};

static long long
nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return 1000000000LL * now.tv_sec + now.tv_nsec;
}

/* run(loop, n, code): the nanoseconds of processor time that it took. */
static PyObject *
run(PyObject *module, PyObject *arguments)
{
    const char *name;
    Py_ssize_t n;
    PyObject *code;
    size_t i;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "snO", &name, &n, &code)) {
        return NULL;
    }
    for (i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
        if (strcmp(name, loops[i].name) == 0) {
            long long start = nanoseconds();
            if (loops[i].run(n, code) < 0) {
                if (!PyErr_Occurred()) {
                    PyErr_SetString(PyExc_RuntimeError, "the state is active");
                }
                return NULL;
            }
            return PyLong_FromLongLong(nanoseconds() - start);
        }
    }
    PyErr_SetString(PyExc_ValueError, "no such loop");
    return NULL;
}

static PyObject *
enter(PyObject *module, PyObject *arguments)
{
    (void)module;
    (void)arguments;
    if (PyMonitoring_EnterScope(&state, &version, &event, 1) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"run", run, METH_VARARGS, NULL},
    {"enter", enter, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "capi_loops", NULL, -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit_capi_loops(void)
{
    return PyModule_Create(&definition);
}
