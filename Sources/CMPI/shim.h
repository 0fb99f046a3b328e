// SPDX-License-Identifier: MIT OR Apache-2.0
//
// MPI's handle constants are macros over casts (Open MPI) or integers with casts (MPICH), which Swift
// does not import; each gets a function here. Functions and plain integer constants import as they are.
// What the library does with memory depends on `mallopt`, which Swift's Glibc leaves out.

#ifndef DGEN_CMPI_SHIM_H
#define DGEN_CMPI_SHIM_H

#include <malloc.h>
#include <mpi.h>

static inline MPI_Comm cmpi_comm_world(void) { return MPI_COMM_WORLD; }
static inline MPI_Comm cmpi_comm_self(void) { return MPI_COMM_SELF; }
static inline MPI_Comm cmpi_comm_null(void) { return MPI_COMM_NULL; }
static inline MPI_Datatype cmpi_byte(void) { return MPI_BYTE; }
static inline MPI_Datatype cmpi_int64(void) { return MPI_INT64_T; }
static inline MPI_Op cmpi_sum(void) { return MPI_SUM; }
static inline MPI_Op cmpi_min(void) { return MPI_MIN; }
static inline MPI_Op cmpi_max(void) { return MPI_MAX; }
static inline MPI_Info cmpi_info_null(void) { return MPI_INFO_NULL; }
static inline MPI_File cmpi_file_null(void) { return MPI_FILE_NULL; }
static inline MPI_Request cmpi_request_null(void) { return MPI_REQUEST_NULL; }
static inline MPI_Status *cmpi_status_ignore(void) { return MPI_STATUS_IGNORE; }
static inline MPI_Errhandler cmpi_errors_return(void) { return MPI_ERRORS_RETURN; }

#endif
