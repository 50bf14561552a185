/* The Monitoring C API of CPython 3.14, for CPython 3.11 to 3.15, in C99 and C++11.
 *
 * Include it instead of, before or after <Python.h>, or with the compiler's option -include. Names,
 * signatures and rules are those of https://docs.python.org/3.14/c-api/monitoring.html. On 3.13 and
 * later, types and event ids are CPython's own.
 *
 * What an active event does is in the Python package monitrace, which is imported at the first
 * PyMonitoring_EnterScope(). Where it is not installed, scopes are inactive on 3.11 and 3.12, and on
 * 3.13 and later the interpreter's own functions do what they can. Nothing has to be linked.
 *
 * Needs the GIL, as CPython's own. SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef MONITRACE_H
#define MONITRACE_H

#ifndef PY_SSIZE_T_CLEAN
#  define PY_SSIZE_T_CLEAN
#endif
#include <Python.h>

#if defined(Py_LIMITED_API)
#  error "monitrace.h cannot be used with the limited API, which has no monitoring"
#endif
#if PY_VERSION_HEX < 0x030B0000
#  error "monitrace.h needs CPython 3.11 or later"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Types and event ids ------------------------------------------------------------------- */

#if PY_VERSION_HEX < 0x030D0000

/* CPython's own header does not exist here; code that looks for it finds this one. */
#define Py_MONITORING_H

/* Which tools listen to one event of one scope. Filled by PyMonitoring_EnterScope(). */
typedef struct _PyMonitoringState {
    uint8_t active;
    uint8_t opaque;
} PyMonitoringState;

#define PY_MONITORING_EVENT_PY_START 0
#define PY_MONITORING_EVENT_PY_RESUME 1
#define PY_MONITORING_EVENT_PY_RETURN 2
#define PY_MONITORING_EVENT_PY_YIELD 3
#define PY_MONITORING_EVENT_CALL 4
#define PY_MONITORING_EVENT_LINE 5
#define PY_MONITORING_EVENT_INSTRUCTION 6
#define PY_MONITORING_EVENT_JUMP 7

#if PY_VERSION_HEX < 0x030C0000 /* 3.11 has no ids of its own, and takes those of 3.14 */
#define PY_MONITORING_EVENT_BRANCH_LEFT 8
#define PY_MONITORING_EVENT_BRANCH_RIGHT 9
#define PY_MONITORING_EVENT_STOP_ITERATION 10
#define PY_MONITORING_EVENT_RAISE 11
#define PY_MONITORING_EVENT_EXCEPTION_HANDLED 12
#define PY_MONITORING_EVENT_PY_UNWIND 13
#define PY_MONITORING_EVENT_PY_THROW 14
#define PY_MONITORING_EVENT_RERAISE 15
#define PY_MONITORING_EVENT_C_RETURN 16
#define PY_MONITORING_EVENT_C_RAISE 17
#define PY_MONITORING_EVENT_BRANCH 18
#else
#define PY_MONITORING_EVENT_BRANCH 8
#define PY_MONITORING_EVENT_STOP_ITERATION 9
#define PY_MONITORING_EVENT_RAISE 10
#define PY_MONITORING_EVENT_EXCEPTION_HANDLED 11
#define PY_MONITORING_EVENT_PY_UNWIND 12
#define PY_MONITORING_EVENT_PY_THROW 13
#define PY_MONITORING_EVENT_RERAISE 14
#define PY_MONITORING_EVENT_C_RETURN 15
#define PY_MONITORING_EVENT_C_RAISE 16
#endif

#endif /* before 3.13 */

/* The sides of a branch, which 3.12 and 3.13 do not tell apart, take ids that these leave unused. */
#ifndef PY_MONITORING_EVENT_BRANCH_LEFT
#define PY_MONITORING_EVENT_BRANCH_LEFT 17
#define PY_MONITORING_EVENT_BRANCH_RIGHT 18
#endif

/* CPython's own names something that only its core can see, up to 3.14. */
#undef PY_MONITORING_IS_INSTRUMENTED_EVENT
#define PY_MONITORING_IS_INSTRUMENTED_EVENT(ev) ((ev) <= PY_MONITORING_EVENT_STOP_ITERATION)

/* ---- The function table of the package ------------------------------------------------------ */

/* Grows when the meaning of a field changes; fields that are added at the end only grow `size`. */
#define MONITRACE_API_VERSION 1
#define MONITRACE_API_CAPSULE "monitrace._native._C_API"

typedef int (*Monitrace_FirePlace)(PyMonitoringState *, PyObject *codelike, int32_t offset);
typedef int (*Monitrace_FireValue)(PyMonitoringState *, PyObject *codelike, int32_t offset, PyObject *value);

/* What the functions below look at before they call. */
typedef struct Monitrace_Words {
    /* A scope is up to date if its version is the sum of these two. Before 3.13 only. */
    const uint64_t *configuration;
    uint64_t generation;
    /* Whether scopes may go straight to the interpreter: 3.13 and later, while no code-like has
       local events. */
    int32_t direct;
    int32_t reserved;
} Monitrace_Words;

typedef struct Monitrace_Api {
    uint32_t version;
    uint32_t size;
    const Monitrace_Words *words;
    int (*enter_scope)(PyMonitoringState *, uint64_t *, const uint8_t *, Py_ssize_t);
    int (*exit_scope)(void);
    Monitrace_FirePlace fire_py_start;
    Monitrace_FirePlace fire_py_resume;
    Monitrace_FireValue fire_py_return;
    Monitrace_FireValue fire_py_yield;
    int (*fire_call)(PyMonitoringState *, PyObject *codelike, int32_t offset, PyObject *callable, PyObject *arg0);
    int (*fire_line)(PyMonitoringState *, PyObject *codelike, int32_t offset, int lineno);
    Monitrace_FireValue fire_jump;
    Monitrace_FireValue fire_branch;
    Monitrace_FireValue fire_branch_left;
    Monitrace_FireValue fire_branch_right;
    Monitrace_FireValue fire_c_return;
    Monitrace_FirePlace fire_py_throw;
    Monitrace_FirePlace fire_raise;
    Monitrace_FirePlace fire_c_raise;
    Monitrace_FirePlace fire_reraise;
    Monitrace_FirePlace fire_exception_handled;
    Monitrace_FirePlace fire_py_unwind;
    Monitrace_FireValue fire_stop_iteration;
} Monitrace_Api;

/* What happens once must not weigh on what happens always. */
#if defined(__GNUC__)
#define MONITRACE__COLD __attribute__((cold, noinline, unused))
#else
#define MONITRACE__COLD
#endif

/* The table: NULL before it was looked for, `Monitrace__absent` if there is no package. */
static const Monitrace_Api *Monitrace__api = NULL;

#if PY_VERSION_HEX >= 0x030D0000

#if PY_VERSION_HEX >= 0x030E0000
#define MONITRACE__NATIVE_BRANCH _PyMonitoring_FireBranchRightEvent
#define MONITRACE__NATIVE_LEFT _PyMonitoring_FireBranchLeftEvent
#define MONITRACE__NATIVE_RIGHT _PyMonitoring_FireBranchRightEvent
#else
#define MONITRACE__NATIVE_BRANCH _PyMonitoring_FireBranchEvent
#define MONITRACE__NATIVE_LEFT _PyMonitoring_FireBranchEvent
#define MONITRACE__NATIVE_RIGHT _PyMonitoring_FireBranchEvent
#endif

static const Monitrace_Words Monitrace__absent_words = {NULL, 0, 1, 0};

/* Asks the interpreter for the tools of one event, of which it must keep some. */
MONITRACE__COLD static uint8_t
Monitrace__native_tools(uint8_t event_type)
{
    PyMonitoringState state = {0, 0};
    uint64_t version = 0; /* Left alone where nothing was ever set, and so are the states. */
    (void)PyMonitoring_EnterScope(&state, &version, &event_type, 1);
    return state.active;
}

/* The interpreter keeps tools of the events up to RERAISE and reads beyond its table for others. Those are
   asked for under another name here, and the version is marked, as the package marks its own: a scope
   that has them must never reach the interpreter's function. */
MONITRACE__COLD static int
Monitrace__enter_absent(PyMonitoringState *state_array, uint64_t *version, const uint8_t *event_types,
                        Py_ssize_t length)
{
    uint64_t current = 0;
    Py_ssize_t i;
    if (version == NULL || length < 0 || (length > 0 && (state_array == NULL || event_types == NULL))) {
        PyErr_SetString(PyExc_ValueError, "a scope needs a version, and a state and an id for each event");
        return -1;
    }
    for (i = 0; i < length && event_types[i] <= PY_MONITORING_EVENT_RERAISE; i++) {
    }
    if (i == length) {
        return PyMonitoring_EnterScope(state_array, version, event_types, length);
    }
    for (; i < length; i++) {
        if (event_types[i] > 18) {
            PyErr_Format(PyExc_ValueError, "invalid event type %d", (int)event_types[i]);
            return -1;
        }
    }
    (void)PyMonitoring_EnterScope(NULL, &current, NULL, 0);
    current |= (uint64_t)1 << 63;
    if (*version == current) {
        return 0;
    }
    for (i = 0; i < length; i++) {
        switch (event_types[i]) {
        case PY_MONITORING_EVENT_C_RETURN:
        case PY_MONITORING_EVENT_C_RAISE:
            state_array[i].active = Monitrace__native_tools(PY_MONITORING_EVENT_CALL);
            break;
#if PY_VERSION_HEX >= 0x030E0000
        case PY_MONITORING_EVENT_BRANCH:
            state_array[i].active = Monitrace__native_tools(PY_MONITORING_EVENT_BRANCH_LEFT)
                                    | Monitrace__native_tools(PY_MONITORING_EVENT_BRANCH_RIGHT);
            break;
#else
        case PY_MONITORING_EVENT_BRANCH_LEFT:
        case PY_MONITORING_EVENT_BRANCH_RIGHT:
            state_array[i].active = Monitrace__native_tools(PY_MONITORING_EVENT_BRANCH);
            break;
#endif
        default:
            state_array[i].active = Monitrace__native_tools(event_types[i]);
        }
        state_array[i].opaque = 0;
    }
    *version = current;
    return 0;
}

static const Monitrace_Api Monitrace__absent = {
    MONITRACE_API_VERSION,
    sizeof(Monitrace_Api),
    &Monitrace__absent_words,
    Monitrace__enter_absent,
    PyMonitoring_ExitScope,
    _PyMonitoring_FirePyStartEvent,
    _PyMonitoring_FirePyResumeEvent,
    _PyMonitoring_FirePyReturnEvent,
    _PyMonitoring_FirePyYieldEvent,
    _PyMonitoring_FireCallEvent,
    _PyMonitoring_FireLineEvent,
    _PyMonitoring_FireJumpEvent,
    MONITRACE__NATIVE_BRANCH,
    MONITRACE__NATIVE_LEFT,
    MONITRACE__NATIVE_RIGHT,
    _PyMonitoring_FireCReturnEvent,
    _PyMonitoring_FirePyThrowEvent,
    _PyMonitoring_FireRaiseEvent,
    _PyMonitoring_FireCRaiseEvent,
    _PyMonitoring_FireReraiseEvent,
    _PyMonitoring_FireExceptionHandledEvent,
    _PyMonitoring_FirePyUnwindEvent,
    _PyMonitoring_FireStopIterationEvent,
};

#else

/* The version of scopes that were entered without the package: no table has it. */
#define MONITRACE__ABSENT_VERSION 1
static const uint64_t Monitrace__absent_configuration = 0;
static const Monitrace_Words Monitrace__absent_words = {
    &Monitrace__absent_configuration,
    MONITRACE__ABSENT_VERSION,
    0,
    0,
};

static inline int
Monitrace__enter_absent(PyMonitoringState *state_array, uint64_t *version, const uint8_t *event_types,
                        Py_ssize_t length)
{
    Py_ssize_t i;
    (void)event_types;
    for (i = 0; state_array != NULL && i < length; i++) {
        state_array[i].active = 0;
        state_array[i].opaque = 0;
    }
    if (version != NULL) {
        *version = MONITRACE__ABSENT_VERSION;
    }
    return 0;
}

static inline int
Monitrace__exit_absent(void)
{
    return 0;
}

static const Monitrace_Api Monitrace__absent = {
    MONITRACE_API_VERSION,
    sizeof(Monitrace_Api),
    &Monitrace__absent_words,
    Monitrace__enter_absent,
    Monitrace__exit_absent,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
};

#endif

/* Leaves the address of this file's table pointer where the package, once it is imported, finds it. */
MONITRACE__COLD static void
Monitrace__wait(void)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    PyObject *capsule = PyCapsule_New((void *)&Monitrace__api, "monitrace.waiting.1", NULL);
    PyObject *key = PyUnicode_FromString("monitrace.waiting.1");
    PyObject *waiting = NULL;
    if (dict != NULL && capsule != NULL && key != NULL) {
        waiting = PyDict_GetItemWithError(dict, key);
        Py_XINCREF(waiting);
        if (waiting == NULL && !PyErr_Occurred() && (waiting = PyList_New(0)) != NULL
            && PyDict_SetItem(dict, key, waiting) < 0) {
            Py_CLEAR(waiting);
        }
        if (waiting != NULL && PyList_CheckExact(waiting)) {
            (void)PyList_Append(waiting, capsule);
        }
    }
    PyErr_Clear(); /* Without memory for it, this file goes without. */
    Py_XDECREF(waiting);
    Py_XDECREF(key);
    Py_XDECREF(capsule);
}

/* Looks for the package. 1: found. 0: it is not there. -1: an exception is set; the next call looks again. */
MONITRACE__COLD static int
Monitrace__find(void)
{
    PyObject *module, *capsule = NULL;
    const Monitrace_Api *api = NULL;
    /* Code that runs within the import has no table yet. */
    Monitrace__api = &Monitrace__absent;
    module = PyImport_ImportModule("monitrace._native");
    if (module != NULL) {
        capsule = PyObject_GetAttrString(module, "_C_API");
    }
    if (capsule != NULL) {
        api = (const Monitrace_Api *)PyCapsule_GetPointer(capsule, MONITRACE_API_CAPSULE);
    }
    if (api != NULL && (api->version != MONITRACE_API_VERSION || api->size < sizeof(Monitrace_Api))) {
        PyErr_SetString(PyExc_ImportError,
                        "this extension was built with a monitrace.h that the installed monitrace does not serve;"
                        " install the monitrace that it was built with, or build it again");
        api = NULL;
    }
    Py_XDECREF(capsule);
    Py_XDECREF(module);
    if (api == NULL) {
        Monitrace__api = NULL;
        return PyErr_ExceptionMatches(PyExc_ModuleNotFoundError) ? 0 : -1;
    }
    Monitrace__api = api;
    return 1;
}

/* Looks for the package at once. 0, or -1 with an ImportError that says why it cannot be used. */
static inline int
Monitrace_Import(void)
{
    if (Monitrace__api != NULL && Monitrace__api != &Monitrace__absent) {
        return 0;
    }
    return Monitrace__find() > 0 ? 0 : -1;
}

/* The table for the first scope. NULL: none can be had in this interpreter, or an exception is set. */
MONITRACE__COLD static const Monitrace_Api *
Monitrace__first(void)
{
    int found;
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
#if PY_VERSION_HEX >= 0x030D0000
        return &Monitrace__absent;
#else
        return NULL;
#endif
    }
#ifdef Py_GIL_DISABLED
    found = 0; /* The package does not support it. */
    Monitrace__api = &Monitrace__absent;
#else
    {
#if PY_VERSION_HEX >= 0x030C0000
        PyObject *raised = PyErr_GetRaisedException();
#else
        PyObject *type, *raised, *traceback;
        PyErr_Fetch(&type, &raised, &traceback);
#endif
        found = Monitrace__find();
        if (found == 0) {
            PyErr_Clear();
            Monitrace__api = &Monitrace__absent;
            Monitrace__wait();
        }
#if PY_VERSION_HEX >= 0x030C0000
        if (found < 0) {
            Py_XDECREF(raised);
        }
        else {
            PyErr_SetRaisedException(raised);
        }
#else
        if (found < 0) {
            Py_XDECREF(type);
            Py_XDECREF(raised);
            Py_XDECREF(traceback);
        }
        else {
            PyErr_Restore(type, raised, traceback);
        }
#endif
    }
#endif
    return found < 0 ? NULL : Monitrace__api;
}

/* ---- Scopes --------------------------------------------------------------------------------- */

/* The names of CPython's own inline functions are taken on 3.13 and later: macros lead here then. */
#if PY_VERSION_HEX >= 0x030D0000
#define MONITRACE__NAME(name) Monitrace_##name
#else
#define MONITRACE__NAME(name) PyMonitoring_##name
#endif

/* The first scope of this file, or one in an interpreter that has no table. */
MONITRACE__COLD static int
Monitrace__enter_first(PyMonitoringState *state_array, uint64_t *version, const uint8_t *event_types,
                       Py_ssize_t length)
{
    const Monitrace_Api *api = Monitrace__first();
    if (api == NULL) {
        Py_ssize_t i;
        for (i = 0; state_array != NULL && i < length; i++) {
            state_array[i].active = 0;
        }
        if (version != NULL) {
            *version = 0;
        }
        return PyErr_Occurred() ? -1 : 0;
    }
    return api->enter_scope(state_array, version, event_types, length);
}

static inline int
MONITRACE__NAME(EnterScope)(PyMonitoringState *state_array, uint64_t *version, const uint8_t *event_types,
                            Py_ssize_t length)
{
    const Monitrace_Api *api = Monitrace__api;
    if (api == NULL) {
        return Monitrace__enter_first(state_array, version, event_types, length);
    }
#if PY_VERSION_HEX >= 0x030D0000
    /* Only a scope whose ids the interpreter knows has a version without the highest bit. */
    if (version != NULL && (int64_t)*version > 0 && api->words->direct) {
        return PyMonitoring_EnterScope(state_array, version, event_types, length);
    }
#else
    if (version != NULL && *version == *api->words->configuration + api->words->generation) {
        return 0;
    }
#endif
    return api->enter_scope(state_array, version, event_types, length);
}

static inline int
MONITRACE__NAME(ExitScope)(void)
{
    return Monitrace__api != NULL ? Monitrace__api->exit_scope() : 0;
}

/* ---- Events --------------------------------------------------------------------------------- */

/* What is left where no table serves an event: -1 for a state that is none. */
MONITRACE__COLD static int
Monitrace__unserved(const PyMonitoringState *state)
{
    if (state == NULL) {
        PyErr_SetString(PyExc_ValueError, "state must not be NULL");
        return -1;
    }
    return 0;
}

#define MONITRACE__FIRE(function, arguments)                                                \
    do {                                                                                    \
        if (state != NULL && state->active == 0) {                                          \
            return 0;                                                                       \
        }                                                                                   \
        if (state == NULL || Monitrace__api == NULL || Monitrace__api->function == NULL) {  \
            return Monitrace__unserved(state);                                              \
        }                                                                                   \
        return Monitrace__api->function arguments;                                          \
    } while (0)

#define MONITRACE__PLACE_EVENT(name, function)                                               \
    static inline int MONITRACE__NAME(name)(PyMonitoringState *state, PyObject *codelike,    \
                                            int32_t offset)                                  \
    {                                                                                        \
        MONITRACE__FIRE(function, (state, codelike, offset));                                \
    }

#define MONITRACE__VALUE_EVENT(name, function)                                               \
    static inline int MONITRACE__NAME(name)(PyMonitoringState *state, PyObject *codelike,    \
                                            int32_t offset, PyObject *value)                 \
    {                                                                                        \
        MONITRACE__FIRE(function, (state, codelike, offset, value));                         \
    }

MONITRACE__PLACE_EVENT(FirePyStartEvent, fire_py_start)
MONITRACE__PLACE_EVENT(FirePyResumeEvent, fire_py_resume)
MONITRACE__VALUE_EVENT(FirePyReturnEvent, fire_py_return)
MONITRACE__VALUE_EVENT(FirePyYieldEvent, fire_py_yield)
MONITRACE__VALUE_EVENT(FireJumpEvent, fire_jump)
MONITRACE__VALUE_EVENT(FireBranchEvent, fire_branch)
MONITRACE__VALUE_EVENT(FireBranchLeftEvent, fire_branch_left)
MONITRACE__VALUE_EVENT(FireBranchRightEvent, fire_branch_right)
MONITRACE__VALUE_EVENT(FireCReturnEvent, fire_c_return)
MONITRACE__PLACE_EVENT(FirePyThrowEvent, fire_py_throw)
MONITRACE__PLACE_EVENT(FireRaiseEvent, fire_raise)
MONITRACE__PLACE_EVENT(FireCRaiseEvent, fire_c_raise)
MONITRACE__PLACE_EVENT(FireReraiseEvent, fire_reraise)
MONITRACE__PLACE_EVENT(FireExceptionHandledEvent, fire_exception_handled)
MONITRACE__PLACE_EVENT(FirePyUnwindEvent, fire_py_unwind)
MONITRACE__VALUE_EVENT(FireStopIterationEvent, fire_stop_iteration)

static inline int
MONITRACE__NAME(FireCallEvent)(PyMonitoringState *state, PyObject *codelike, int32_t offset, PyObject *callable,
                               PyObject *arg0)
{
    MONITRACE__FIRE(fire_call, (state, codelike, offset, callable, arg0));
}

static inline int
MONITRACE__NAME(FireLineEvent)(PyMonitoringState *state, PyObject *codelike, int32_t offset, int lineno)
{
    MONITRACE__FIRE(fire_line, (state, codelike, offset, lineno));
}

#undef MONITRACE__PLACE_EVENT
#undef MONITRACE__VALUE_EVENT
#undef MONITRACE__FIRE
#undef MONITRACE__NAME

#if PY_VERSION_HEX >= 0x030D0000
#undef MONITRACE__NATIVE_BRANCH
#undef MONITRACE__NATIVE_LEFT
#undef MONITRACE__NATIVE_RIGHT
#define PyMonitoring_EnterScope Monitrace_EnterScope
#define PyMonitoring_ExitScope Monitrace_ExitScope
#define PyMonitoring_FirePyStartEvent Monitrace_FirePyStartEvent
#define PyMonitoring_FirePyResumeEvent Monitrace_FirePyResumeEvent
#define PyMonitoring_FirePyReturnEvent Monitrace_FirePyReturnEvent
#define PyMonitoring_FirePyYieldEvent Monitrace_FirePyYieldEvent
#define PyMonitoring_FireCallEvent Monitrace_FireCallEvent
#define PyMonitoring_FireLineEvent Monitrace_FireLineEvent
#define PyMonitoring_FireJumpEvent Monitrace_FireJumpEvent
#define PyMonitoring_FireBranchEvent Monitrace_FireBranchEvent
#define PyMonitoring_FireBranchLeftEvent Monitrace_FireBranchLeftEvent
#define PyMonitoring_FireBranchRightEvent Monitrace_FireBranchRightEvent
#define PyMonitoring_FireCReturnEvent Monitrace_FireCReturnEvent
#define PyMonitoring_FirePyThrowEvent Monitrace_FirePyThrowEvent
#define PyMonitoring_FireRaiseEvent Monitrace_FireRaiseEvent
#define PyMonitoring_FireCRaiseEvent Monitrace_FireCRaiseEvent
#define PyMonitoring_FireReraiseEvent Monitrace_FireReraiseEvent
#define PyMonitoring_FireExceptionHandledEvent Monitrace_FireExceptionHandledEvent
#define PyMonitoring_FirePyUnwindEvent Monitrace_FirePyUnwindEvent
#define PyMonitoring_FireStopIterationEvent Monitrace_FireStopIterationEvent
#endif

/* ---- What code for 3.12 and later, such as Cython's, needs besides on 3.11 -------------------- */

/* Define MONITRACE_NO_RAISED_EXCEPTION if another header, such as pythoncapi_compat.h, has them. */
#if PY_VERSION_HEX < 0x030C0000 && !defined(MONITRACE_NO_RAISED_EXCEPTION) && !defined(PYTHONCAPI_COMPAT)
static inline PyObject *
PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL) {
        return NULL;
    }
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_DECREF(type);
    Py_XDECREF(traceback);
    return value;
}

static inline void
PyErr_SetRaisedException(PyObject *exception)
{
    if (exception == NULL) {
        PyErr_Clear();
        return;
    }
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
}
#endif

#ifdef __cplusplus
}
#endif
#endif /* MONITRACE_H */
