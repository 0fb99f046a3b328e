// SPDX-License-Identifier: MIT OR Apache-2.0
//
// One family of MPI libraries behind the table, see cmpi_table.h. Compiled once with the header of each family and linked with
// none: what it calls is in the library that the program has opened before. A site with a library of another kind compiles it
// with that library's compiler:
//
//     mpicc -shared -fPIC -O2 -I Sources/CMPI/include -o mine.so Sources/CMPI/backend/backend.c
//
// and names it in DGEN_MPI_BACKEND.

#ifdef CMPI_ABI
#include <mpi_abi.h>
#else
#include <mpi.h>
#endif
#include <stddef.h>

#include "cmpi_table.h"

#if defined(CMPI_ABI)
#define FAMILY "abi"
#elif defined(OMPI_MAJOR_VERSION)
#define FAMILY "openmpi"
#else
#define FAMILY "mpich"
#endif

_Static_assert(sizeof(MPI_Status) <= sizeof(((cmpi_status *)0)->native), "a status has no room");
_Static_assert(sizeof(MPI_Request) <= sizeof(void *) && sizeof(MPI_File) <= sizeof(void *), "a handle has no room");

// A handle of the library's for one of ours, and the other way round.
#define COMM(handle) ((MPI_Comm)(intptr_t)(handle))
#define TYPE(handle) ((MPI_Datatype)(intptr_t)(handle))
#define OP(handle) ((MPI_Op)(intptr_t)(handle))
#define INFO(handle) ((MPI_Info)(intptr_t)(handle))
#define FILE_(handle) ((MPI_File)(intptr_t)(handle))
#define REQUEST(handle) ((MPI_Request)(intptr_t)(handle))
#define ERRORS(handle) ((MPI_Errhandler)(intptr_t)(handle))
#define VARIABLE(handle) ((MPI_T_cvar_handle)(intptr_t)(handle))
#define OURS(handle) ((void *)(intptr_t)(handle))
#define STATUS(status) ((status) == NULL ? MPI_STATUS_IGNORE : (MPI_Status *)(status)->native)

// Calls with a handle that the library sets.
#define SETS(type, target, call)                                                                                       \
    type native = (type)(intptr_t)*(target);                                                                           \
    int result = (call);                                                                                               \
    *(target) = OURS(native);                                                                                          \
    return result

static int Send(const void *buffer, int count, cmpi_type type, int to, int tag, cmpi_comm comm) {
    return MPI_Send(buffer, count, TYPE(type), to, tag, COMM(comm));
}

static int Recv(void *buffer, int count, cmpi_type type, int from, int tag, cmpi_comm comm, cmpi_status *status) {
    return MPI_Recv(buffer, count, TYPE(type), from, tag, COMM(comm), STATUS(status));
}

static int Sendrecv(const void *sent, int sent_count, cmpi_type sent_type, int to, int sent_tag, void *received,
                    int received_count, cmpi_type received_type, int from, int received_tag, cmpi_comm comm,
                    cmpi_status *status) {
    return MPI_Sendrecv(sent, sent_count, TYPE(sent_type), to, sent_tag, received, received_count, TYPE(received_type),
                        from, received_tag, COMM(comm), STATUS(status));
}

static int Isend(const void *buffer, int count, cmpi_type type, int to, int tag, cmpi_comm comm,
                 cmpi_request *request) {
    SETS(MPI_Request, request, MPI_Isend(buffer, count, TYPE(type), to, tag, COMM(comm), &native));
}

static int Probe(int from, int tag, cmpi_comm comm, cmpi_status *status) {
    int result = MPI_Probe(from, tag, COMM(comm), STATUS(status));
    if (result == MPI_SUCCESS && status != NULL) status->source = STATUS(status)->MPI_SOURCE;
    return result;
}

static int Iprobe(int from, int tag, cmpi_comm comm, int *is_there, cmpi_status *status) {
    int result = MPI_Iprobe(from, tag, COMM(comm), is_there, STATUS(status));
    if (result == MPI_SUCCESS && *is_there && status != NULL) status->source = STATUS(status)->MPI_SOURCE;
    return result;
}

static int Test(cmpi_request *request, int *is_done, cmpi_status *status) {
    SETS(MPI_Request, request, MPI_Test(&native, is_done, STATUS(status)));
}

static int Get_count(const cmpi_status *status, cmpi_type type, int *count) {
    return MPI_Get_count((const MPI_Status *)status->native, TYPE(type), count);
}

static int Get_elements_x(const cmpi_status *status, cmpi_type type, int64_t *count) {
    MPI_Count native = 0;
    int result = MPI_Get_elements_x((const MPI_Status *)status->native, TYPE(type), &native);
    *count = native;
    return result;
}

static int Barrier(cmpi_comm comm) { return MPI_Barrier(COMM(comm)); }

static int Bcast(void *buffer, int count, cmpi_type type, int root, cmpi_comm comm) {
    return MPI_Bcast(buffer, count, TYPE(type), root, COMM(comm));
}

static int Allreduce(const void *sent, void *received, int count, cmpi_type type, cmpi_op op, cmpi_comm comm) {
    return MPI_Allreduce(sent, received, count, TYPE(type), OP(op), COMM(comm));
}

static int Iallreduce(const void *sent, void *received, int count, cmpi_type type, cmpi_op op, cmpi_comm comm,
                      cmpi_request *request) {
    SETS(MPI_Request, request, MPI_Iallreduce(sent, received, count, TYPE(type), OP(op), COMM(comm), &native));
}

static int Exscan(const void *sent, void *received, int count, cmpi_type type, cmpi_op op, cmpi_comm comm) {
    return MPI_Exscan(sent, received, count, TYPE(type), OP(op), COMM(comm));
}

static int Comm_size(cmpi_comm comm, int *size) { return MPI_Comm_size(COMM(comm), size); }

static int Comm_rank(cmpi_comm comm, int *rank) { return MPI_Comm_rank(COMM(comm), rank); }

static int Comm_dup(cmpi_comm comm, cmpi_comm *new_comm) {
    SETS(MPI_Comm, new_comm, MPI_Comm_dup(COMM(comm), &native));
}

static int Comm_split(cmpi_comm comm, int color, int key, cmpi_comm *new_comm) {
    SETS(MPI_Comm, new_comm, MPI_Comm_split(COMM(comm), color, key, &native));
}

static int Comm_split_type(cmpi_comm comm, int type, int key, cmpi_info info, cmpi_comm *new_comm) {
    SETS(MPI_Comm, new_comm, MPI_Comm_split_type(COMM(comm), type, key, INFO(info), &native));
}

static int Comm_free(cmpi_comm *comm) { SETS(MPI_Comm, comm, MPI_Comm_free(&native)); }

static int Comm_set_errhandler(cmpi_comm comm, cmpi_errors errors) {
    return MPI_Comm_set_errhandler(COMM(comm), ERRORS(errors));
}

static int Info_create(cmpi_info *info) { SETS(MPI_Info, info, MPI_Info_create(&native)); }

static int Info_set(cmpi_info info, const char *key, const char *value) {
    return MPI_Info_set(INFO(info), key, value);
}

static int Info_get(cmpi_info info, const char *key, int length, char *value, int *is_there) {
    return MPI_Info_get(INFO(info), key, length, value, is_there);
}

static int Info_get_nkeys(cmpi_info info, int *count) { return MPI_Info_get_nkeys(INFO(info), count); }

static int Info_get_nthkey(cmpi_info info, int index, char *key) {
    return MPI_Info_get_nthkey(INFO(info), index, key);
}

static int Info_free(cmpi_info *info) { SETS(MPI_Info, info, MPI_Info_free(&native)); }

static int Abort(cmpi_comm comm, int status) { return MPI_Abort(COMM(comm), status); }

static int File_open(cmpi_comm comm, const char *path, int mode, cmpi_info info, cmpi_file *file) {
    SETS(MPI_File, file, MPI_File_open(COMM(comm), path, mode, INFO(info), &native));
}

static int File_close(cmpi_file *file) { SETS(MPI_File, file, MPI_File_close(&native)); }

static int File_get_size(cmpi_file file, int64_t *size) {
    MPI_Offset native = 0;
    int result = MPI_File_get_size(FILE_(file), &native);
    *size = native;
    return result;
}

static int File_get_info(cmpi_file file, cmpi_info *info) {
    SETS(MPI_Info, info, MPI_File_get_info(FILE_(file), &native));
}

static int File_read_at(cmpi_file file, int64_t offset, void *buffer, int count, cmpi_type type, cmpi_status *status) {
    return MPI_File_read_at(FILE_(file), offset, buffer, count, TYPE(type), STATUS(status));
}

static int File_read_at_all(cmpi_file file, int64_t offset, void *buffer, int count, cmpi_type type,
                            cmpi_status *status) {
    return MPI_File_read_at_all(FILE_(file), offset, buffer, count, TYPE(type), STATUS(status));
}

static int File_write_at(cmpi_file file, int64_t offset, const void *buffer, int count, cmpi_type type,
                         cmpi_status *status) {
    return MPI_File_write_at(FILE_(file), offset, buffer, count, TYPE(type), STATUS(status));
}

static int File_write_at_all(cmpi_file file, int64_t offset, const void *buffer, int count, cmpi_type type,
                             cmpi_status *status) {
    return MPI_File_write_at_all(FILE_(file), offset, buffer, count, TYPE(type), STATUS(status));
}

static int File_sync(cmpi_file file) { return MPI_File_sync(FILE_(file)); }

static int File_set_errhandler(cmpi_file file, cmpi_errors errors) {
    return MPI_File_set_errhandler(FILE_(file), ERRORS(errors));
}

static int T_category_get_name(int index, char *name, int *length) {
    int description = 0, variables = 0, performance = 0, categories = 0;
    return MPI_T_category_get_info(index, name, length, NULL, &description, &variables, &performance, &categories);
}

static int T_cvar_handle_alloc(int index, cmpi_variable *variable, int *count) {
    SETS(MPI_T_cvar_handle, variable, MPI_T_cvar_handle_alloc(index, NULL, &native, count));
}

static int T_cvar_read(cmpi_variable variable, void *value) { return MPI_T_cvar_read(VARIABLE(variable), value); }

static int T_cvar_handle_free(cmpi_variable *variable) {
    SETS(MPI_T_cvar_handle, variable, MPI_T_cvar_handle_free(&native));
}

__attribute__((visibility("default"))) const cmpi_table *CMPI_BACKEND(void) {
    static cmpi_table table = {.version = CMPI_TABLE_VERSION, .bytes = sizeof table, .family = FAMILY};
#define F(name, parameters, arguments) table.name = name;
#define P(name, parameters, arguments) table.name = MPI_##name;
#define H(type, name, value) table.name = OURS(value);
#define N(name, value) table.name = value;
    CMPI_FUNCTIONS(F)
    CMPI_PLAIN_FUNCTIONS(P)
    CMPI_HANDLES(H)
    CMPI_NUMBERS(N)
    return &table;
}
