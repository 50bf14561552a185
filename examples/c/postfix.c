/* Runs programs in postfix notation so that every tool of sys.monitoring can follow them: debuggers, coverage,
 * profilers, `monitrace trace`. An example to copy; README.md says how it is built and what is seen then.
 *
 * A program has one word a line. A number goes onto the stack; + - * / take two numbers from it and put one there;
 * any other word is a function of Python's, called with the number on top, which its result replaces. What is on
 * top in the end is returned. A line that begins with # is a comment.
 *
 * Each comment on what it takes to be monitored begins with "Monitoring:". */
#include <monitrace.h> /* includes Python.h */
#include <structmember.h>

enum { PUSH = 'p', CALL = 'c' };

typedef struct {
    int line;
    char operation; /* + - * / PUSH CALL */
    PyObject *word; /* the number, or the function's name */
} Instruction;

/* Monitoring: the events of a program, each with a state that says who listens. A tool that answers DISABLE is
 * told no more of the one state that the event was fired with. So that tools can disable line by line, as those for
 * coverage do, each instruction has states of its own. */
enum { PY_START, PY_RETURN, RAISE, PY_UNWIND, ONCE };
static const uint8_t events_once[ONCE] = {
    PY_MONITORING_EVENT_PY_START,
    PY_MONITORING_EVENT_PY_RETURN,
    PY_MONITORING_EVENT_RAISE,
    PY_MONITORING_EVENT_PY_UNWIND,
};
enum { AT_LINE, AT_CALL, AT_RETURN, AT_RAISE, EACH };
static const uint8_t events_each[EACH] = {
    PY_MONITORING_EVENT_LINE,
    PY_MONITORING_EVENT_CALL,
    PY_MONITORING_EVENT_C_RETURN,
    PY_MONITORING_EVENT_C_RAISE,
};

/* Monitoring: this is what tools get for a code object. They read its attributes that begin with "co_", and hold
 * weak references to it. Offsets in it are indices of instructions; co_lines() says what their lines are. */
typedef struct {
    PyObject_HEAD
    PyObject *weak_references;
    PyObject *filename;
    PyObject *name;
    int first_line;
    Py_ssize_t count;
    Instruction *instructions;
    PyMonitoringState *states;
    uint8_t *events;
    uint64_t version;
} Program;

/* ---- Running ----------------------------------------------------------------------------------- */

/* Monitoring: brings the states up to date. While no tool changes anything it costs a few instructions. */
static int
enter(Program *program)
{
    return PyMonitoring_EnterScope(program->states, &program->version, program->events,
                                   ONCE + EACH * program->count);
}

static PyMonitoringState *
state_at(Program *program, int32_t offset, int event)
{
    return &program->states[ONCE + EACH * offset + event];
}

/* Monitoring: its callback may ask for local events of this very program, so it is entered again. */
static int
start(Program *program)
{
    if (PyMonitoring_FirePyStartEvent(&program->states[PY_START], (PyObject *)program, 0) < 0) {
        return -1;
    }
    PyMonitoring_ExitScope();
    return enter(program);
}

static PyObject *
call(Program *program, int32_t offset, PyObject *function, PyObject *argument)
{
    PyObject *self = (PyObject *)program, *result;
    if (PyMonitoring_FireCallEvent(state_at(program, offset, AT_CALL), self, offset, function, argument) < 0) {
        return NULL;
    }
    result = PyObject_CallOneArg(function, argument);
    /* Monitoring: functions that are written in Python tell of their end themselves. */
    if (PyFunction_Check(function)) {
        return result;
    }
    if (result == NULL) {
        PyMonitoring_FireCRaiseEvent(state_at(program, offset, AT_RAISE), self, offset);
    }
    else if (PyMonitoring_FireCReturnEvent(state_at(program, offset, AT_RETURN), self, offset, result) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* Takes what is on top of the stack away. */
static PyObject *
pop(PyObject *stack)
{
    Py_ssize_t size = PyList_GET_SIZE(stack);
    PyObject *top;
    if (size == 0) {
        PyErr_SetString(PyExc_ValueError, "the stack is empty");
        return NULL;
    }
    top = Py_NewRef(PyList_GET_ITEM(stack, size - 1));
    if (PyList_SetSlice(stack, size - 1, size, NULL) < 0) {
        Py_CLEAR(top);
    }
    return top;
}

/* What one instruction puts onto the stack. */
static PyObject *
calculate(Program *program, int32_t offset, PyObject *stack, PyObject *functions)
{
    const Instruction *instruction = &program->instructions[offset];
    PyObject *left = NULL, *right, *function, *result = NULL;
    if (instruction->operation == PUSH) {
        return Py_NewRef(instruction->word);
    }
    right = pop(stack);
    if (right == NULL) {
        return NULL;
    }
    if (instruction->operation == CALL) {
        function = PyObject_GetItem(functions, instruction->word);
        if (function != NULL) {
            result = call(program, offset, function, right);
            Py_DECREF(function);
        }
    }
    else if ((left = pop(stack)) != NULL) {
        switch (instruction->operation) {
        case '+': result = PyNumber_Add(left, right); break;
        case '-': result = PyNumber_Subtract(left, right); break;
        case '*': result = PyNumber_Multiply(left, right); break;
        default: result = PyNumber_TrueDivide(left, right); break;
        }
    }
    Py_XDECREF(left);
    Py_DECREF(right);
    return result;
}

static int
step(Program *program, int32_t offset, PyObject *stack, PyObject *functions)
{
    PyObject *result;
    int pushed;
    if (PyMonitoring_FireLineEvent(state_at(program, offset, AT_LINE), (PyObject *)program, offset,
                                   program->instructions[offset].line) < 0) {
        return -1;
    }
    result = calculate(program, offset, stack, functions);
    if (result == NULL) {
        return -1;
    }
    pushed = PyList_Append(stack, result);
    Py_DECREF(result);
    return pushed;
}

/* Program.run(functions): what is on top of the stack in the end. */
static PyObject *
run(PyObject *self, PyObject *functions)
{
    Program *program = (Program *)self;
    PyObject *stack = PyList_New(0), *result = NULL;
    int32_t offset = 0, length = (int32_t)program->count;
    if (stack == NULL || enter(program) < 0) {
        Py_XDECREF(stack);
        return NULL;
    }
    if (start(program) == 0) {
        while (offset < length && step(program, offset, stack, functions) == 0) {
            offset++;
        }
        if (offset == length) {
            offset = length > 0 ? length - 1 : 0;
            result = pop(stack);
        }
    }
    if (result != NULL
        && PyMonitoring_FirePyReturnEvent(&program->states[PY_RETURN], self, offset, result) < 0) {
        Py_CLEAR(result);
    }
    if (result == NULL) {
        /* Monitoring: both tell of the current exception and leave it where it is. If a callback raises, its
         * exception takes that place, and comes out in the end. */
        PyMonitoring_FireRaiseEvent(&program->states[RAISE], self, offset);
        PyMonitoring_FirePyUnwindEvent(&program->states[PY_UNWIND], self, offset);
    }
    PyMonitoring_ExitScope();
    Py_DECREF(stack);
    return result;
}

/* ---- Programs ---------------------------------------------------------------------------------- */

/* Program.co_lines(): (first offset, offset behind the last, line), as for code objects. */
static PyObject *
co_lines(PyObject *self, PyObject *Py_UNUSED(arguments))
{
    Program *program = (Program *)self;
    PyObject *iterator, *lines = PyList_New(program->count);
    Py_ssize_t i;
    for (i = 0; lines != NULL && i < program->count; i++) {
        PyObject *line = Py_BuildValue("(nni)", i, i + 1, program->instructions[i].line);
        if (line == NULL) {
            Py_CLEAR(lines);
        }
        else {
            PyList_SET_ITEM(lines, i, line);
        }
    }
    iterator = lines == NULL ? NULL : PyObject_GetIter(lines);
    Py_XDECREF(lines);
    return iterator;
}

/* A number, or NULL without an exception if the word is none. */
static PyObject *
number(PyObject *word)
{
    PyObject *found = PyLong_FromUnicodeObject(word, 10);
    if (found == NULL && PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
        found = PyFloat_FromString(word);
    }
    if (found == NULL && PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear();
    }
    return found;
}

/* Takes one line of the source in. */
static int
add(Program *program, PyObject *source_line, int line)
{
    Instruction *instruction = &program->instructions[program->count];
    PyObject *value, *word = PyObject_CallMethod(source_line, "strip", NULL);
    Py_UCS4 first;
    if (word == NULL) {
        return -1;
    }
    first = PyUnicode_GET_LENGTH(word) == 0 ? '#' : PyUnicode_READ_CHAR(word, 0);
    if (first == '#') {
        Py_DECREF(word);
        return 0;
    }
    value = number(word);
    if (value == NULL && PyErr_Occurred()) {
        Py_DECREF(word);
        return -1;
    }
    instruction->line = line;
    if (value != NULL) {
        instruction->operation = PUSH;
        instruction->word = value;
        Py_DECREF(word);
    }
    else {
        int is_operator = PyUnicode_GET_LENGTH(word) == 1 && first < 128 && strchr("+-*/", (int)first) != NULL;
        instruction->operation = is_operator ? (char)first : CALL;
        instruction->word = word;
    }
    program->count++;
    return 0;
}

/* Program(source, filename) */
static PyObject *
new_program(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"source", "filename", NULL};
    PyObject *source, *filename, *lines;
    Program *program;
    Py_ssize_t i, length;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "UU", names, &source, &filename)) {
        return NULL;
    }
    program = (Program *)type->tp_alloc(type, 0); /* all zero */
    lines = PyUnicode_Splitlines(source, 0);
    if (program == NULL || lines == NULL) {
        Py_XDECREF(program);
        Py_XDECREF(lines);
        return NULL;
    }
    length = PyList_GET_SIZE(lines);
    program->filename = Py_NewRef(filename);
    program->name = PyUnicode_FromString("<program>");
    program->first_line = 1;
    program->instructions = PyMem_New(Instruction, length);
    program->events = PyMem_New(uint8_t, ONCE + EACH * length);
    program->states = PyMem_New(PyMonitoringState, ONCE + EACH * length);
    if (program->name == NULL || program->instructions == NULL || program->events == NULL
        || program->states == NULL) {
        Py_DECREF(lines);
        Py_DECREF(program);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    for (i = 0; i < length; i++) {
        if (add(program, PyList_GET_ITEM(lines, i), (int)i + 1) < 0) {
            Py_DECREF(lines);
            Py_DECREF(program);
            return NULL;
        }
    }
    Py_DECREF(lines);
    /* Monitoring: at first states and version are zero; which event each state is of never changes. */
    memset(program->states, 0, (size_t)(ONCE + EACH * program->count) * sizeof(PyMonitoringState));
    memcpy(program->events, events_once, ONCE);
    for (i = 0; i < program->count; i++) {
        memcpy(program->events + ONCE + EACH * i, events_each, EACH);
    }
    return (PyObject *)program;
}

static void
free_program(PyObject *self)
{
    Program *program = (Program *)self;
    PyTypeObject *type = Py_TYPE(self);
    Py_ssize_t i;
    if (program->weak_references != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    for (i = 0; i < program->count; i++) {
        Py_DECREF(program->instructions[i].word);
    }
    PyMem_Free(program->instructions);
    PyMem_Free(program->events);
    PyMem_Free(program->states);
    Py_XDECREF(program->filename);
    Py_XDECREF(program->name);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef members[] = {
    {"co_filename", T_OBJECT, offsetof(Program, filename), READONLY, NULL},
    {"co_name", T_OBJECT, offsetof(Program, name), READONLY, NULL},
    {"co_qualname", T_OBJECT, offsetof(Program, name), READONLY, NULL},
    {"co_firstlineno", T_INT, offsetof(Program, first_line), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Program, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyMethodDef methods[] = {
    {"run", run, METH_O, "Run the program, which finds its functions by name in a mapping."},
    {"co_lines", co_lines, METH_NOARGS, "The lines of offsets, as for code objects."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Program(source, filename): a program in postfix notation."},
    {Py_tp_new, new_program},
    {Py_tp_dealloc, free_program},
    {Py_tp_members, members},
    {Py_tp_methods, methods},
    {0, NULL},
};

static PyType_Spec program_spec = {
    "postfix.Program", sizeof(Program), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots,
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "postfix", "Programs in postfix notation.", -1, NULL, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit_postfix(void)
{
    PyObject *module = PyModule_Create(&definition), *type = PyType_FromSpec(&program_spec);
    if (module == NULL || type == NULL || PyModule_AddObjectRef(module, "Program", type) < 0) {
        Py_CLEAR(module);
    }
    Py_XDECREF(type);
    return module;
}
