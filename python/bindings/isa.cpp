// SPDX-License-Identifier: MIT
// Which x86-64 micro-architecture level this processor (and its operating system) runs: 4, 3 or 1. Plain C API and
// baseline code, since it is what decides which of the other modules may be loaded at all.
#include <Python.h>

namespace {

PyObject* level(PyObject*, PyObject*) {
    long found = 1;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4")) {
        found = 4;
    } else if (__builtin_cpu_supports("x86-64-v3")) {
        found = 3;
    }
#endif
    return PyLong_FromLong(found);
}

PyMethodDef methods[] = {{"level", level, METH_NOARGS, "Highest x86-64 level among 1, 3 and 4 that this machine runs."},
                         {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_isa", nullptr, 0, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__isa() {
    return PyModule_Create(&definition);
}
