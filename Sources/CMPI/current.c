// SPDX-License-Identifier: MIT OR Apache-2.0

// For dladdr.
#define _GNU_SOURCE
#include "CMPI.h"

#include <dlfcn.h>
#include <sys/auxv.h>

const cmpi_table *cmpi_current;

const char *cmpi_program(void) { return (const char *)getauxval(AT_EXECFN); }

const char *cmpi_file_of(void *address) {
    Dl_info place;
    return dladdr(address, &place) != 0 ? place.dli_fname : NULL;
}
