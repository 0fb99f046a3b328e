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
#include <stdlib.h>

static inline PyObject *cpython_none(void) { return Py_NewRef(Py_None); }

static inline PyObject *cpython_value_error(void) { return PyExc_ValueError; }
static inline PyObject *cpython_os_error(void) { return PyExc_OSError; }
static inline PyObject *cpython_file_exists_error(void) { return PyExc_FileExistsError; }
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
// One of a type that Python code derives others from: zeros, until a content is set.
static inline PyObject *cpython_new_derived(PyTypeObject *type) { return PyType_GenericAlloc(type, 0); }
static inline void *cpython_content(PyObject *object) { return ((cpython_instance *)object)->content; }
static inline void cpython_set_content(PyObject *object, void *content) {
    ((cpython_instance *)object)->content = content;
}
static inline int cpython_is_instance(PyObject *object, PyTypeObject *type) {
    return PyObject_TypeCheck(object, type);
}
// An instance of a type that was made at run time keeps that type.
static inline void cpython_free_instance(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

// An instance that is a part of memory, which a Swift object owns.
typedef struct {
    PyObject_HEAD
    void *memory;
    char *start;
    Py_ssize_t count;
} cpython_view;
static inline PyObject *cpython_new_view(PyTypeObject *type, void *memory, void *start, Py_ssize_t count) {
    cpython_view *view = PyObject_New(cpython_view, type);
    if (!view) return NULL;
    view->memory = memory;
    view->start = (char *)start;
    view->count = count;
    return (PyObject *)view;
}
static inline cpython_view *cpython_view_of(PyObject *object) { return (cpython_view *)object; }

// What other libraries take memory by (DLPack 0.8, https://github.com/dmlc/dlpack): bytes of the processor.
typedef struct {
    void *data;
    struct { int32_t type, id; } device;
    int32_t dimensions;
    struct { uint8_t code, bits; uint16_t lanes; } element;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} cpython_dlpack_tensor;
typedef struct cpython_dlpack {
    cpython_dlpack_tensor tensor;
    void *manager;
    void (*deleter)(struct cpython_dlpack *);
    int64_t shape[1];
} cpython_dlpack;
// Called by whoever took it, from any thread.
static inline void cpython_dlpack_delete(cpython_dlpack *managed) {
    PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF((PyObject *)managed->manager);
    PyGILState_Release(state);
    free(managed);
}
static inline void cpython_dlpack_forget(PyObject *capsule) {
    // One that was taken has another name.
    if (!PyCapsule_IsValid(capsule, "dltensor")) return;
    cpython_dlpack *managed = (cpython_dlpack *)PyCapsule_GetPointer(capsule, "dltensor");
    managed->deleter(managed);
}
static inline PyObject *cpython_new_dlpack(PyObject *object) {
    cpython_view *view = cpython_view_of(object);
    cpython_dlpack *managed = (cpython_dlpack *)calloc(1, sizeof(*managed));
    if (!managed) return PyErr_NoMemory();
    managed->shape[0] = view->count;
    managed->tensor.data = view->start;
    managed->tensor.device.type = 1;
    managed->tensor.dimensions = 1;
    managed->tensor.element.code = 1;
    managed->tensor.element.bits = 8;
    managed->tensor.element.lanes = 1;
    managed->tensor.shape = managed->shape;
    managed->manager = Py_NewRef(object);
    managed->deleter = cpython_dlpack_delete;
    PyObject *capsule = PyCapsule_New(managed, "dltensor", cpython_dlpack_forget);
    if (!capsule) cpython_dlpack_delete(managed);
    return capsule;
}

// What is exactly of a type: neither a bool nor what else is derived from it.
static inline int cpython_is_int(PyObject *object) { return Py_IS_TYPE(object, &PyLong_Type); }
static inline int cpython_is_float(PyObject *object) { return Py_IS_TYPE(object, &PyFloat_Type); }
static inline int cpython_is_memoryview(PyObject *object) {
    return Py_IS_TYPE(object, &PyMemoryView_Type);
}
static inline int cpython_is_none(PyObject *object) { return object == Py_None; }
// What is the same as long as it is there.
static inline int cpython_is_constant(PyObject *object) {
    return object == Py_None || cpython_is_int(object) || cpython_is_float(object)
        || Py_IS_TYPE(object, &PyUnicode_Type);
}
static inline PyObject *cpython_type_of(PyObject *object) { return (PyObject *)Py_TYPE(object); }

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

// One whose arguments may have names, too.
typedef PyObject *(*cpython_keyword_function)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);
static inline PyMethodDef cpython_keyword_method(const char *name, cpython_keyword_function function,
                                                 const char *documentation) {
    return (PyMethodDef){name, (PyCFunction)(void (*)(void))function, METH_FASTCALL | METH_KEYWORDS,
                         documentation};
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
static inline PyTypeObject *cpython_new_type_of(PyObject *module, const char *name, size_t bytes,
                                                unsigned flags, PyType_Slot *slots) {
    PyType_Spec spec = {name, (int)bytes, 0, Py_TPFLAGS_DEFAULT | flags, slots};
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &spec, NULL);
}
// `name` and what `slots` refers to last as long as the type. Python before 3.10 passes over the flag.
static inline PyTypeObject *cpython_new_type(PyObject *module, const char *name, PyType_Slot *slots) {
    return cpython_new_type_of(module, name, sizeof(cpython_instance), Py_TPFLAGS_IMMUTABLETYPE, slots);
}
static inline PyTypeObject *cpython_new_view_type(PyObject *module, const char *name, PyType_Slot *slots) {
    return cpython_new_type_of(module, name, sizeof(cpython_view), Py_TPFLAGS_IMMUTABLETYPE, slots);
}
// One that Python code derives others from.
static inline PyTypeObject *cpython_new_base_type(PyObject *module, const char *name, PyType_Slot *slots) {
    return cpython_new_type_of(module, name, sizeof(cpython_instance),
                               Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_BASETYPE, slots);
}
static inline PyType_Slot cpython_new_slot(PyObject *(*function)(PyTypeObject *, PyObject *, PyObject *)) {
    return (PyType_Slot){Py_tp_new, (void *)function};
}
static inline PyType_Slot cpython_getset_slot(PyGetSetDef *getset) {
    return (PyType_Slot){Py_tp_getset, getset};
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
