// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Python's C API as Swift cannot import it: macros, statically initialised structs, and global variables that
// Swift would call unsafe. The limited API of Python 3.11: one binary for that version and later.

#ifndef DGEN_CPYTHON_SHIM_H
#define DGEN_CPYTHON_SHIM_H

// Before Python's headers ask the C library for more than Swift's module of it has: both must describe the
// same structs.
#include <features.h>

#define Py_LIMITED_API 0x030B0000
#include <Python.h>

static inline PyObject *cpython_none(void) { return Py_NewRef(Py_None); }

static inline PyObject *cpython_value_error(void) { return PyExc_ValueError; }
static inline PyObject *cpython_type_error(void) { return PyExc_TypeError; }
static inline PyObject *cpython_buffer_error(void) { return PyExc_BufferError; }
// An exception that is both.
static inline PyObject *cpython_new_buffer_and_value_error(const char *name, const char *text) {
    PyObject *bases = PyTuple_Pack(2, PyExc_BufferError, PyExc_ValueError);
    PyObject *error = bases ? PyErr_NewExceptionWithDoc(name, text, bases, NULL) : NULL;
    Py_XDECREF(bases);
    return error;
}
static inline PyObject *cpython_memory_error(void) { return PyExc_MemoryError; }
static inline PyObject *cpython_import_error(void) { return PyExc_ImportError; }

// One of a derived type may show other memory.
static inline int cpython_is_bytearray(PyObject *object) {
    return Py_IS_TYPE(object, &PyByteArray_Type);
}

// A flag that another thread may set meanwhile.
static inline int cpython_is_set(const void *flag) {
    return __atomic_load_n((const unsigned char *)flag, __ATOMIC_ACQUIRE) != 0;
}

// An instance of a type of ours: what Python needs, and a Swift object that it owns.
typedef struct {
    PyObject_HEAD
    void *content;
} cpython_instance;
static inline PyObject *cpython_new_instance(PyTypeObject *type, void *content) {
    cpython_instance *instance = PyObject_New(cpython_instance, type);
    if (instance) instance->content = content;
    return (PyObject *)instance;
}
static inline void *cpython_content(PyObject *object) { return ((cpython_instance *)object)->content; }
static inline int cpython_is_instance(PyObject *object, PyTypeObject *type) {
    return PyObject_TypeCheck(object, type);
}
// An instance of a type that was made at run time keeps that type.
static inline void cpython_free_instance(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_Free(object);
    Py_DECREF(type);
}

// Calls, which take a variable number of arguments in C.
static inline PyObject *cpython_call_one(PyObject *function, PyObject *argument) {
    return PyObject_CallFunctionObjArgs(function, argument, NULL);
}
// logger.log(level, "%s", text): per cent signs of the text stay as they are.
static inline PyObject *cpython_call_log(PyObject *logger, int level, PyObject *text) {
    return PyObject_CallMethod(logger, "log", "isO", level, "%s", text);
}

// A method whose arguments come as an array.
typedef PyObject *(*cpython_fast_function)(PyObject *, PyObject *const *, Py_ssize_t);
static inline PyMethodDef cpython_method(const char *name, cpython_fast_function function,
                                         const char *documentation) {
    return (PyMethodDef){name, (PyCFunction)(void (*)(void))function, METH_FASTCALL, documentation};
}

static inline PyType_Slot cpython_slot(int slot, void *function) {
    return (PyType_Slot){slot, function};
}
// Instances come from functions of the module alone.
static inline PyObject *cpython_no_instances(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    (void)type, (void)arguments, (void)keywords;
    PyErr_SetString(PyExc_TypeError, "dgen_mpi: instances of this type are made by functions of the package");
    return NULL;
}
static inline PyType_Slot cpython_no_instances_slot(void) {
    return (PyType_Slot){Py_tp_new, (void *)cpython_no_instances};
}
// `name` and what `slots` refers to last as long as the type. Python before 3.10 passes over the flag.
static inline PyTypeObject *cpython_new_type(PyObject *module, const char *name, PyType_Slot *slots) {
    PyType_Spec spec = {name, (int)sizeof(cpython_instance), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}

// A module that `execute` fills whenever it is imported, in whatever interpreter.
static inline PyObject *cpython_define_module(const char *name, const char *documentation,
                                              PyMethodDef *methods, int (*execute)(PyObject *)) {
    static PyModuleDef_Slot slots[] = {{Py_mod_exec, NULL}, {0, NULL}};
    static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT};
    // Once: modules refer to it.
    if (!definition.m_name) {
        slots[0].value = (void *)execute;
        definition.m_name = name;
        definition.m_doc = documentation;
        definition.m_methods = methods;
        definition.m_slots = slots;
    }
    return PyModuleDef_Init(&definition);
}
// Whether this is the interpreter that the process began with.
static inline int cpython_is_main_interpreter(void) {
    return PyInterpreterState_GetID(PyInterpreterState_Get()) == 0;
}

#endif
