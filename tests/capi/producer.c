/* A producer of events: one Python function for each function of the Monitoring C API, on scopes that
 * Python holds. C99 and C++11.
 *
 * It passes on what it is given, mistakes included: the constant NULL of the module stands for NULL.
 * It must never repair an argument, and reports what no caller may see: -1 without an exception, 0 with
 * one, and a current exception that is not the one from before. */
#include <monitrace.h>

#include <stdlib.h>
#include <string.h>

typedef struct {
    uint64_t version;
    Py_ssize_t length;
    uint8_t *ids;
    PyMonitoringState *states;
} Scope;

/* What all functions that fire take. `current` is set as the current exception before the call. */
typedef struct {
    PyMonitoringState *state;
    PyObject *codelike;
    int32_t offset;
    PyObject *current;
    PyObject *values[2];
} Fire;

static PyObject *null_object = NULL;

static PyObject *
or_null(PyObject *object)
{
    return object == null_object ? NULL : object;
}

static Scope *
scope_of(PyObject *capsule)
{
    return (Scope *)PyCapsule_GetPointer(capsule, "producer.scope");
}

static void
free_scope(PyObject *capsule)
{
    Scope *scope = scope_of(capsule);
    free(scope->ids);
    free(scope->states);
    free(scope);
}

/* Each array has memory of its own, exactly as long as it has to be: a look beyond it can be caught. */
static PyObject *
new_scope(PyObject *module, PyObject *ids)
{
    Scope *scope;
    char *bytes;
    Py_ssize_t length;
    (void)module;
    if (PyBytes_AsStringAndSize(ids, &bytes, &length) < 0) {
        return NULL;
    }
    scope = (Scope *)calloc(1, sizeof(Scope));
    if (scope == NULL) {
        return PyErr_NoMemory();
    }
    scope->length = length;
    scope->ids = (uint8_t *)malloc((size_t)length);
    scope->states = (PyMonitoringState *)calloc((size_t)length, sizeof(PyMonitoringState));
    if (length != 0) {
        memcpy(scope->ids, bytes, (size_t)length);
    }
    return PyCapsule_New(scope, "producer.scope", free_scope);
}

static PyObject *
active(PyObject *module, PyObject *capsule)
{
    Scope *scope = scope_of(capsule);
    PyObject *bytes;
    Py_ssize_t i;
    (void)module;
    if (scope == NULL) {
        return NULL;
    }
    bytes = PyBytes_FromStringAndSize(NULL, scope->length);
    for (i = 0; bytes != NULL && i < scope->length; i++) {
        PyBytes_AS_STRING(bytes)[i] = (char)scope->states[i].active;
    }
    return bytes;
}

static PyObject *
set_active(PyObject *module, PyObject *args)
{
    PyObject *capsule;
    Py_ssize_t slot;
    unsigned char value;
    Scope *scope;
    (void)module;
    if (!PyArg_ParseTuple(args, "Onb", &capsule, &slot, &value) || (scope = scope_of(capsule)) == NULL) {
        return NULL;
    }
    scope->states[slot].active = value;
    Py_RETURN_NONE;
}

static PyObject *
version(PyObject *module, PyObject *capsule)
{
    Scope *scope = scope_of(capsule);
    (void)module;
    return scope == NULL ? NULL : PyLong_FromUnsignedLongLong(scope->version);
}

static void
set_current(PyObject *current)
{
    if (current != NULL) {
        Py_INCREF(current);
        PyErr_SetRaisedException(current);
    }
}

/* What the caller gets, if the result and the current exception are as they must be. */
static PyObject *
finish(int result, PyObject *current)
{
    PyObject *raised;
    if (result == -1) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_SystemError, "-1 without an exception");
        }
        return NULL;
    }
    raised = PyErr_GetRaisedException();
    if (result != 0) {
        PyErr_Format(PyExc_SystemError, "neither 0 nor -1: %d", result);
    }
    else if (raised != current) {
        PyErr_Format(PyExc_SystemError, "%R is current instead of %R", raised == NULL ? Py_None : raised,
                     current == NULL ? Py_None : current);
    }
    Py_XDECREF(raised);
    if (PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* enter(scope, mistake, current); the mistake is the argument to spoil, or "". */
static PyObject *
enter(PyObject *module, PyObject *args)
{
    PyObject *capsule, *current;
    const char *mistake;
    Scope *scope;
    (void)module;
    if (!PyArg_ParseTuple(args, "OsO", &capsule, &mistake, &current) || (scope = scope_of(capsule)) == NULL) {
        return NULL;
    }
    current = or_null(current);
    set_current(current);
    return finish(PyMonitoring_EnterScope(strcmp(mistake, "state_array") == 0 ? NULL : scope->states,
                                          strcmp(mistake, "version") == 0 ? NULL : &scope->version,
                                          strcmp(mistake, "event_types") == 0 ? NULL : scope->ids,
                                          strcmp(mistake, "length") == 0 ? -1 : scope->length),
                  current);
}

static PyObject *
leave(PyObject *module, PyObject *args)
{
    (void)module;
    (void)args;
    return finish(PyMonitoring_ExitScope(), NULL);
}

static PyObject *
import_table(PyObject *module, PyObject *args)
{
    (void)module;
    (void)args;
    return finish(Monitrace_Import(), NULL);
}

/* (scope, slot, codelike, offset, current, values...) */
static int
parse(PyObject *args, Py_ssize_t values, Fire *fire)
{
    PyObject *capsule, *slot, *codelike, *current;
    int offset;
    fire->values[0] = fire->values[1] = NULL;
    if (PyTuple_GET_SIZE(args) != 5 + values) {
        PyErr_Format(PyExc_TypeError, "%zd arguments instead of %zd", PyTuple_GET_SIZE(args), 5 + values);
        return 0;
    }
    if (!PyArg_ParseTuple(args, "OOOiO|OO", &capsule, &slot, &codelike, &offset, &current, &fire->values[0],
                          &fire->values[1])) {
        return 0;
    }
    fire->state = NULL;
    if (or_null(slot) != NULL) {
        Scope *scope = scope_of(capsule);
        Py_ssize_t index = PyLong_AsSsize_t(slot);
        if (scope == NULL || PyErr_Occurred()) {
            return 0;
        }
        if (index < 0 || index >= scope->length) {
            PyErr_SetString(PyExc_IndexError, "slot out of range");
            return 0;
        }
        fire->state = &scope->states[index];
    }
    fire->codelike = or_null(codelike);
    fire->offset = (int32_t)offset;
    fire->current = or_null(current);
    fire->values[0] = or_null(fire->values[0]);
    fire->values[1] = or_null(fire->values[1]);
    set_current(fire->current);
    return 1;
}

#define PLACE_EVENT(name, function)                                                            \
    static PyObject *name(PyObject *module, PyObject *args)                                    \
    {                                                                                          \
        Fire fire;                                                                             \
        (void)module;                                                                          \
        if (!parse(args, 0, &fire)) {                                                          \
            return NULL;                                                                       \
        }                                                                                      \
        return finish(function(fire.state, fire.codelike, fire.offset), fire.current);         \
    }

#define VALUE_EVENT(name, function)                                                            \
    static PyObject *name(PyObject *module, PyObject *args)                                    \
    {                                                                                          \
        Fire fire;                                                                             \
        (void)module;                                                                          \
        if (!parse(args, 1, &fire)) {                                                          \
            return NULL;                                                                       \
        }                                                                                      \
        return finish(function(fire.state, fire.codelike, fire.offset, fire.values[0]), fire.current); \
    }

PLACE_EVENT(fire_py_start, PyMonitoring_FirePyStartEvent)
PLACE_EVENT(fire_py_resume, PyMonitoring_FirePyResumeEvent)
VALUE_EVENT(fire_py_return, PyMonitoring_FirePyReturnEvent)
VALUE_EVENT(fire_py_yield, PyMonitoring_FirePyYieldEvent)
VALUE_EVENT(fire_jump, PyMonitoring_FireJumpEvent)
VALUE_EVENT(fire_branch, PyMonitoring_FireBranchEvent)
VALUE_EVENT(fire_branch_left, PyMonitoring_FireBranchLeftEvent)
VALUE_EVENT(fire_branch_right, PyMonitoring_FireBranchRightEvent)
VALUE_EVENT(fire_c_return, PyMonitoring_FireCReturnEvent)
PLACE_EVENT(fire_py_throw, PyMonitoring_FirePyThrowEvent)
PLACE_EVENT(fire_raise, PyMonitoring_FireRaiseEvent)
PLACE_EVENT(fire_c_raise, PyMonitoring_FireCRaiseEvent)
PLACE_EVENT(fire_reraise, PyMonitoring_FireReraiseEvent)
PLACE_EVENT(fire_exception_handled, PyMonitoring_FireExceptionHandledEvent)
PLACE_EVENT(fire_py_unwind, PyMonitoring_FirePyUnwindEvent)
VALUE_EVENT(fire_stop_iteration, PyMonitoring_FireStopIterationEvent)

static PyObject *
fire_call(PyObject *module, PyObject *args)
{
    Fire fire;
    (void)module;
    if (!parse(args, 2, &fire)) {
        return NULL;
    }
    return finish(
        PyMonitoring_FireCallEvent(fire.state, fire.codelike, fire.offset, fire.values[0], fire.values[1]),
        fire.current);
}

static PyObject *
fire_line(PyObject *module, PyObject *args)
{
    Fire fire;
    int line = 0;
    (void)module;
    if (PyTuple_GET_SIZE(args) == 6) {
        line = (int)PyLong_AsLong(PyTuple_GET_ITEM(args, 5));
    }
    if (PyErr_Occurred() || !parse(args, 1, &fire)) {
        return NULL;
    }
    return finish(PyMonitoring_FireLineEvent(fire.state, fire.codelike, fire.offset, line), fire.current);
}

static PyObject *
is_instrumented(PyObject *module, PyObject *id)
{
    long event = PyLong_AsLong(id);
    (void)module;
    if (PyErr_Occurred()) {
        return NULL;
    }
    return PyBool_FromLong(PY_MONITORING_IS_INSTRUMENTED_EVENT(event));
}

/* Reads beyond a scope's states, to see that such a thing is caught where it has to be. */
static PyObject *
overrun(PyObject *module, PyObject *capsule)
{
    Scope *scope = scope_of(capsule);
    volatile PyMonitoringState *states;
    (void)module;
    if (scope == NULL) {
        return NULL;
    }
    states = scope->states;
    return PyLong_FromLong(states[scope->length].active);
}

static PyMethodDef methods[] = {
    {"new_scope", new_scope, METH_O, NULL},
    {"active", active, METH_O, NULL},
    {"set_active", set_active, METH_VARARGS, NULL},
    {"version", version, METH_O, NULL},
    {"enter", enter, METH_VARARGS, NULL},
    {"leave", leave, METH_NOARGS, NULL},
    {"import_table", import_table, METH_NOARGS, NULL},
    {"fire_py_start", fire_py_start, METH_VARARGS, NULL},
    {"fire_py_resume", fire_py_resume, METH_VARARGS, NULL},
    {"fire_py_return", fire_py_return, METH_VARARGS, NULL},
    {"fire_py_yield", fire_py_yield, METH_VARARGS, NULL},
    {"fire_call", fire_call, METH_VARARGS, NULL},
    {"fire_line", fire_line, METH_VARARGS, NULL},
    {"fire_jump", fire_jump, METH_VARARGS, NULL},
    {"fire_branch", fire_branch, METH_VARARGS, NULL},
    {"fire_branch_left", fire_branch_left, METH_VARARGS, NULL},
    {"fire_branch_right", fire_branch_right, METH_VARARGS, NULL},
    {"fire_c_return", fire_c_return, METH_VARARGS, NULL},
    {"fire_py_throw", fire_py_throw, METH_VARARGS, NULL},
    {"fire_raise", fire_raise, METH_VARARGS, NULL},
    {"fire_c_raise", fire_c_raise, METH_VARARGS, NULL},
    {"fire_reraise", fire_reraise, METH_VARARGS, NULL},
    {"fire_exception_handled", fire_exception_handled, METH_VARARGS, NULL},
    {"fire_py_unwind", fire_py_unwind, METH_VARARGS, NULL},
    {"fire_stop_iteration", fire_stop_iteration, METH_VARARGS, NULL},
    {"is_instrumented", is_instrumented, METH_O, NULL},
    {"overrun", overrun, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "producer", NULL, -1, methods, NULL, NULL, NULL, NULL,
};

static PyObject *
event_ids(void)
{
    return Py_BuildValue("{si si si si si si si si si si si si si si si si si si si}",
                         "PY_START", PY_MONITORING_EVENT_PY_START,
                         "PY_RESUME", PY_MONITORING_EVENT_PY_RESUME,
                         "PY_RETURN", PY_MONITORING_EVENT_PY_RETURN,
                         "PY_YIELD", PY_MONITORING_EVENT_PY_YIELD,
                         "CALL", PY_MONITORING_EVENT_CALL,
                         "LINE", PY_MONITORING_EVENT_LINE,
                         "INSTRUCTION", PY_MONITORING_EVENT_INSTRUCTION,
                         "JUMP", PY_MONITORING_EVENT_JUMP,
                         "BRANCH", PY_MONITORING_EVENT_BRANCH,
                         "BRANCH_LEFT", PY_MONITORING_EVENT_BRANCH_LEFT,
                         "BRANCH_RIGHT", PY_MONITORING_EVENT_BRANCH_RIGHT,
                         "STOP_ITERATION", PY_MONITORING_EVENT_STOP_ITERATION,
                         "RAISE", PY_MONITORING_EVENT_RAISE,
                         "EXCEPTION_HANDLED", PY_MONITORING_EVENT_EXCEPTION_HANDLED,
                         "PY_UNWIND", PY_MONITORING_EVENT_PY_UNWIND,
                         "PY_THROW", PY_MONITORING_EVENT_PY_THROW,
                         "RERAISE", PY_MONITORING_EVENT_RERAISE,
                         "C_RETURN", PY_MONITORING_EVENT_C_RETURN,
                         "C_RAISE", PY_MONITORING_EVENT_C_RAISE);
}

PyMODINIT_FUNC
PyInit_producer(void)
{
    PyObject *module = PyModule_Create(&definition);
    PyObject *ids = event_ids();
    null_object = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    if (module == NULL || PyModule_AddObjectRef(module, "IDS", ids) < 0
        || PyModule_AddObjectRef(module, "NULL", null_object) < 0) {
        Py_CLEAR(module);
    }
    Py_XDECREF(ids);
    return module;
}
