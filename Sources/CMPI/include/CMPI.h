// SPDX-License-Identifier: MIT OR Apache-2.0
//
// MPI as Swift calls it: the functions of the standard by their names, and a function for each predefined handle and number,
// through the table of the backend that is in use. Nothing may be called before there is one.

#ifndef DGEN_CMPI_H
#define DGEN_CMPI_H

#include <malloc.h>
#include <stddef.h>

#include "cmpi_table.h"

#define MPI_SUCCESS 0

extern const cmpi_table *cmpi_current;

/// Has all calls go to a backend.
static inline void cmpi_use(const cmpi_table *table) { cmpi_current = table; }

/// Whether there is a backend.
static inline int cmpi_is_there(void) { return cmpi_current != NULL; }

/// Gets the table of a backend from what its only function is found at.
static inline const cmpi_table *cmpi_table_of(void *function) { return ((const cmpi_table *(*)(void))function)(); }

/// The program that this process runs, as it was called; NULL where that is not known.
const char *cmpi_program(void);

/// The library or program that an address is in; NULL where that is not known.
const char *cmpi_file_of(void *address);

#define F(name, parameters, arguments)                                                                                 \
    static inline int MPI_##name parameters { return cmpi_current->name arguments; }
#define H(type, name, value)                                                                                           \
    static inline type cmpi_##name(void) { return cmpi_current->name; }
#define N(name, value)                                                                                                 \
    static inline int cmpi_##name(void) { return cmpi_current->name; }
CMPI_FUNCTIONS(F)
CMPI_PLAIN_FUNCTIONS(F)
CMPI_HANDLES(H)
CMPI_NUMBERS(N)
#undef F
#undef H
#undef N

#endif
