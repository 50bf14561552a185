/* What CPython's own tests of event generation need of CPython's `_testcapi`, on monitrace.h.
 *
 * Functions in C, because what is written in Python would fire events of its own. The offset of an event
 * is the number of its state too, which is how those tests choose one. */
#include <monitrace.h>

#define MAX_EVENTS 4

typedef struct {
    uint64_t version;
    Py_ssize_t length;
    PyMonitoringState states[MAX_EVENTS];
} CodeLike;

static void
free_code_like(PyObject *capsule)
{
    PyMem_Free(PyCapsule_GetPointer(capsule, "testcapi.CodeLike"));
}

static PyObject *
code_like(PyObject *module, PyObject *length)
{
    CodeLike *made = (CodeLike *)PyMem_Calloc(1, sizeof(CodeLike));
    (void)module;
    if (made == NULL) {
        return PyErr_NoMemory();
    }
    made->length = PyLong_AsSsize_t(length);
    if (made->length < 0 || made->length > MAX_EVENTS) {
        PyMem_Free(made);
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "at most %d events", MAX_EVENTS);
    }
    return PyCapsule_New(made, "testcapi.CodeLike", free_code_like);
}

/* (code-like, event ids...) */
static PyObject *
enter_scope(PyObject *module, PyObject *args)
{
    uint8_t ids[MAX_EVENTS];
    Py_ssize_t i, length = PyTuple_GET_SIZE(args) - 1;
    CodeLike *scope;
    (void)module;
    if (length < 0 || length > MAX_EVENTS) {
        return PyErr_Format(PyExc_TypeError, "a code-like and at most %d events", MAX_EVENTS);
    }
    scope = (CodeLike *)PyCapsule_GetPointer(PyTuple_GET_ITEM(args, 0), "testcapi.CodeLike");
    if (scope == NULL) {
        return NULL;
    }
    for (i = 0; i < length; i++) {
        ids[i] = (uint8_t)PyLong_AsLong(PyTuple_GET_ITEM(args, i + 1));
    }
    /* A code-like of fewer events is entered for other events later: its states are to be filled anew. */
    scope->version = 0;
    if (PyErr_Occurred() || length > scope->length) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "more events than states");
    }
    if (PyMonitoring_EnterScope(scope->states, &scope->version, ids, length) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
exit_scope(PyObject *module, PyObject *args)
{
    (void)module;
    (void)args;
    if (PyMonitoring_ExitScope() < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* (code-like, offset, values...): the state, or NULL with an exception. */
static PyMonitoringState *
state_of(PyObject *args, Py_ssize_t values, PyObject **code, int32_t *offset, PyObject **value)
{
    int index;
    CodeLike *scope;
    if (PyTuple_GET_SIZE(args) != 2 + values) {
        PyErr_SetString(PyExc_TypeError, "wrong number of arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "Oi|OO", code, &index, &value[0], &value[1])
        || (scope = (CodeLike *)PyCapsule_GetPointer(*code, "testcapi.CodeLike")) == NULL) {
        return NULL;
    }
    if (index < 0 || index >= scope->length) {
        PyErr_SetString(PyExc_IndexError, "no state for this offset");
        return NULL;
    }
    *offset = index;
    return &scope->states[index];
}

static PyObject *
finish(int result)
{
    if (result < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

#define EVENT(name, values, call)                                                \
    static PyObject *name(PyObject *module, PyObject *args)                      \
    {                                                                            \
        PyObject *code, *value[2];                                               \
        int32_t offset;                                                          \
        PyMonitoringState *state = state_of(args, values, &code, &offset, value); \
        (void)module;                                                            \
        return state == NULL ? NULL : finish(call);                              \
    }

/* The exception to be current is the last argument; None for none. It is not current any more afterwards. */
#define EXCEPTION_EVENT(name, function)                                          \
    static PyObject *name(PyObject *module, PyObject *args)                      \
    {                                                                            \
        PyObject *code, *value[2];                                               \
        int32_t offset;                                                          \
        int result;                                                              \
        PyMonitoringState *state = state_of(args, 1, &code, &offset, value);     \
        (void)module;                                                            \
        if (state == NULL) {                                                     \
            return NULL;                                                         \
        }                                                                        \
        if (value[0] != Py_None) {                                               \
            Py_INCREF(value[0]);                                                 \
            PyErr_SetRaisedException(value[0]);                                  \
        }                                                                        \
        result = function(state, code, offset);                                  \
        if (result == 0) {                                                       \
            PyErr_Clear();                                                       \
        }                                                                        \
        return finish(result);                                                   \
    }

EVENT(py_start, 0, PyMonitoring_FirePyStartEvent(state, code, offset))
EVENT(py_resume, 0, PyMonitoring_FirePyResumeEvent(state, code, offset))
EVENT(py_return, 1, PyMonitoring_FirePyReturnEvent(state, code, offset, value[0]))
EVENT(py_yield, 1, PyMonitoring_FirePyYieldEvent(state, code, offset, value[0]))
EVENT(call, 2, PyMonitoring_FireCallEvent(state, code, offset, value[0], value[1]))
EVENT(jump, 1, PyMonitoring_FireJumpEvent(state, code, offset, value[0]))
EVENT(branch_left, 1, PyMonitoring_FireBranchLeftEvent(state, code, offset, value[0]))
EVENT(branch_right, 1, PyMonitoring_FireBranchRightEvent(state, code, offset, value[0]))
EVENT(stop_iteration, 1, PyMonitoring_FireStopIterationEvent(state, code, offset, value[0]))
EXCEPTION_EVENT(py_throw, PyMonitoring_FirePyThrowEvent)
EXCEPTION_EVENT(raise, PyMonitoring_FireRaiseEvent)
EXCEPTION_EVENT(exception_handled, PyMonitoring_FireExceptionHandledEvent)
EXCEPTION_EVENT(py_unwind, PyMonitoring_FirePyUnwindEvent)

static PyMethodDef methods[] = {
    {"CodeLike", code_like, METH_O, NULL},
    {"monitoring_enter_scope", enter_scope, METH_VARARGS, NULL},
    {"monitoring_exit_scope", exit_scope, METH_NOARGS, NULL},
    {"fire_event_py_start", py_start, METH_VARARGS, NULL},
    {"fire_event_py_resume", py_resume, METH_VARARGS, NULL},
    {"fire_event_py_return", py_return, METH_VARARGS, NULL},
    {"fire_event_py_yield", py_yield, METH_VARARGS, NULL},
    {"fire_event_call", call, METH_VARARGS, NULL},
    {"fire_event_jump", jump, METH_VARARGS, NULL},
    {"fire_event_branch_left", branch_left, METH_VARARGS, NULL},
    {"fire_event_branch_right", branch_right, METH_VARARGS, NULL},
    {"fire_event_stop_iteration", stop_iteration, METH_VARARGS, NULL},
    {"fire_event_py_throw", py_throw, METH_VARARGS, NULL},
    {"fire_event_raise", raise, METH_VARARGS, NULL},
    {"fire_event_exception_handled", exception_handled, METH_VARARGS, NULL},
    {"fire_event_py_unwind", py_unwind, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "testcapi", NULL, -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit_testcapi(void)
{
    return PyModule_Create(&definition);
}
