// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What is used of MPI, in types of our own. No MPI library has the numbers, handles and structures of another one, so the
// program is compiled with none of them: it calls through a table, which a backend fills that is compiled with the header of
// one family of libraries (backend.c), and opened once the library is found.

#ifndef DGEN_CMPI_TABLE_H
#define DGEN_CMPI_TABLE_H

#include <stdint.h>

// Handles are pointers in some libraries and numbers in others; here they are what is as wide as both.
typedef struct cmpi_comm *cmpi_comm;
typedef struct cmpi_type *cmpi_type;
typedef struct cmpi_op *cmpi_op;
typedef struct cmpi_info *cmpi_info;
typedef struct cmpi_file *cmpi_file;
typedef struct cmpi_request *cmpi_request;
typedef struct cmpi_errors *cmpi_errors;
typedef struct cmpi_variable *cmpi_variable;

/// What a call tells of a message or a transfer.
typedef struct {
    /// The rank that has sent a message.
    int source;
    /// The library's own.
    _Alignas(16) unsigned char native[64];
} cmpi_status;

// The functions that know handles: name, parameters, arguments. In the order of MPI's standard.
#define CMPI_FUNCTIONS(F)                                                                                              \
    F(Send, (const void *buffer, int count, cmpi_type type, int to, int tag, cmpi_comm comm),                          \
      (buffer, count, type, to, tag, comm))                                                                            \
    F(Recv, (void *buffer, int count, cmpi_type type, int from, int tag, cmpi_comm comm, cmpi_status *status),         \
      (buffer, count, type, from, tag, comm, status))                                                                  \
    F(Sendrecv,                                                                                                        \
      (const void *sent, int sent_count, cmpi_type sent_type, int to, int sent_tag, void *received,                    \
       int received_count, cmpi_type received_type, int from, int received_tag, cmpi_comm comm, cmpi_status *status),  \
      (sent, sent_count, sent_type, to, sent_tag, received, received_count, received_type, from, received_tag, comm,   \
       status))                                                                                                        \
    F(Isend, (const void *buffer, int count, cmpi_type type, int to, int tag, cmpi_comm comm, cmpi_request *request),  \
      (buffer, count, type, to, tag, comm, request))                                                                   \
    F(Probe, (int from, int tag, cmpi_comm comm, cmpi_status *status), (from, tag, comm, status))                      \
    F(Iprobe, (int from, int tag, cmpi_comm comm, int *is_there, cmpi_status *status),                                 \
      (from, tag, comm, is_there, status))                                                                             \
    F(Test, (cmpi_request * request, int *is_done, cmpi_status *status), (request, is_done, status))                   \
    F(Get_count, (const cmpi_status *status, cmpi_type type, int *count), (status, type, count))                       \
    F(Get_elements_x, (const cmpi_status *status, cmpi_type type, int64_t *count), (status, type, count))              \
    F(Barrier, (cmpi_comm comm), (comm))                                                                               \
    F(Bcast, (void *buffer, int count, cmpi_type type, int root, cmpi_comm comm), (buffer, count, type, root, comm))   \
    F(Allreduce, (const void *sent, void *received, int count, cmpi_type type, cmpi_op op, cmpi_comm comm),            \
      (sent, received, count, type, op, comm))                                                                         \
    F(Iallreduce,                                                                                                      \
      (const void *sent, void *received, int count, cmpi_type type, cmpi_op op, cmpi_comm comm,                        \
       cmpi_request *request),                                                                                         \
      (sent, received, count, type, op, comm, request))                                                                \
    F(Exscan, (const void *sent, void *received, int count, cmpi_type type, cmpi_op op, cmpi_comm comm),               \
      (sent, received, count, type, op, comm))                                                                         \
    F(Comm_size, (cmpi_comm comm, int *size), (comm, size))                                                            \
    F(Comm_rank, (cmpi_comm comm, int *rank), (comm, rank))                                                            \
    F(Comm_dup, (cmpi_comm comm, cmpi_comm * new_comm), (comm, new_comm))                                              \
    F(Comm_split, (cmpi_comm comm, int color, int key, cmpi_comm *new_comm), (comm, color, key, new_comm))             \
    F(Comm_split_type, (cmpi_comm comm, int type, int key, cmpi_info info, cmpi_comm *new_comm),                       \
      (comm, type, key, info, new_comm))                                                                               \
    F(Comm_free, (cmpi_comm * comm), (comm))                                                                           \
    F(Comm_set_errhandler, (cmpi_comm comm, cmpi_errors errors), (comm, errors))                                       \
    F(Abort, (cmpi_comm comm, int status), (comm, status))                                                             \
    F(Info_create, (cmpi_info * info), (info))                                                                         \
    F(Info_set, (cmpi_info info, const char *key, const char *value), (info, key, value))                              \
    F(Info_get, (cmpi_info info, const char *key, int length, char *value, int *is_there),                             \
      (info, key, length, value, is_there))                                                                            \
    F(Info_get_nkeys, (cmpi_info info, int *count), (info, count))                                                     \
    F(Info_get_nthkey, (cmpi_info info, int index, char *key), (info, index, key))                                     \
    F(Info_free, (cmpi_info * info), (info))                                                                           \
    F(File_open, (cmpi_comm comm, const char *path, int mode, cmpi_info info, cmpi_file *file),                        \
      (comm, path, mode, info, file))                                                                                  \
    F(File_close, (cmpi_file * file), (file))                                                                          \
    F(File_get_size, (cmpi_file file, int64_t *size), (file, size))                                                    \
    F(File_get_info, (cmpi_file file, cmpi_info *info), (file, info))                                                  \
    F(File_read_at, (cmpi_file file, int64_t offset, void *buffer, int count, cmpi_type type, cmpi_status *status),    \
      (file, offset, buffer, count, type, status))                                                                     \
    F(File_read_at_all,                                                                                                \
      (cmpi_file file, int64_t offset, void *buffer, int count, cmpi_type type, cmpi_status *status),                  \
      (file, offset, buffer, count, type, status))                                                                     \
    F(File_write_at,                                                                                                   \
      (cmpi_file file, int64_t offset, const void *buffer, int count, cmpi_type type, cmpi_status *status),            \
      (file, offset, buffer, count, type, status))                                                                     \
    F(File_write_at_all,                                                                                               \
      (cmpi_file file, int64_t offset, const void *buffer, int count, cmpi_type type, cmpi_status *status),            \
      (file, offset, buffer, count, type, status))                                                                     \
    F(File_sync, (cmpi_file file), (file))                                                                             \
    F(File_set_errhandler, (cmpi_file file, cmpi_errors errors), (file, errors))                                       \
    F(T_category_get_name, (int index, char *name, int *length), (index, name, length))                                \
    F(T_cvar_handle_alloc, (int index, cmpi_variable *variable, int *count), (index, variable, count))                 \
    F(T_cvar_read, (cmpi_variable variable, void *value), (variable, value))                                           \
    F(T_cvar_handle_free, (cmpi_variable * variable), (variable))

// The functions that know none: a backend hands the library's out.
#define CMPI_PLAIN_FUNCTIONS(F)                                                                                        \
    F(Error_string, (int code, char *text, int *length), (code, text, length))                                         \
    F(Get_version, (int *major, int *minor), (major, minor))                                                           \
    F(Get_library_version, (char *text, int *length), (text, length))                                                  \
    F(Get_processor_name, (char *name, int *length), (name, length))                                                   \
    F(Init_thread, (int *count, char ***words, int required, int *provided), (count, words, required, provided))       \
    F(Initialized, (int *is_so), (is_so))                                                                              \
    F(Finalize, (void), ())                                                                                            \
    F(Finalized, (int *is_so), (is_so))                                                                                \
    F(T_init_thread, (int required, int *provided), (required, provided))                                              \
    F(T_finalize, (void), ())                                                                                          \
    F(T_category_get_num, (int *count), (count))                                                                       \
    F(T_cvar_get_index, (const char *name, int *index), (name, index))

// The predefined handles: type, name here, name in MPI.
#define CMPI_HANDLES(H)                                                                                                \
    H(cmpi_comm, comm_world, MPI_COMM_WORLD)                                                                           \
    H(cmpi_comm, comm_self, MPI_COMM_SELF)                                                                             \
    H(cmpi_comm, comm_null, MPI_COMM_NULL)                                                                             \
    H(cmpi_type, byte, MPI_BYTE)                                                                                       \
    H(cmpi_type, int64, MPI_INT64_T)                                                                                   \
    H(cmpi_op, sum, MPI_SUM)                                                                                           \
    H(cmpi_op, min, MPI_MIN)                                                                                           \
    H(cmpi_op, max, MPI_MAX)                                                                                           \
    H(cmpi_info, info_null, MPI_INFO_NULL)                                                                             \
    H(cmpi_file, file_null, MPI_FILE_NULL)                                                                             \
    H(cmpi_request, request_null, MPI_REQUEST_NULL)                                                                    \
    H(cmpi_errors, errors_return, MPI_ERRORS_RETURN)

// The numbers: name here, name in MPI.
#define CMPI_NUMBERS(N)                                                                                                \
    N(any_source, MPI_ANY_SOURCE)                                                                                      \
    N(thread_single, MPI_THREAD_SINGLE)                                                                                \
    N(thread_serialized, MPI_THREAD_SERIALIZED)                                                                        \
    N(comm_type_shared, MPI_COMM_TYPE_SHARED)                                                                          \
    N(mode_rdonly, MPI_MODE_RDONLY)                                                                                    \
    N(mode_wronly, MPI_MODE_WRONLY)                                                                                    \
    N(mode_rdwr, MPI_MODE_RDWR)                                                                                        \
    N(mode_create, MPI_MODE_CREATE)                                                                                    \
    N(mode_excl, MPI_MODE_EXCL)                                                                                        \
    N(err_io, MPI_ERR_IO)                                                                                              \
    N(max_error_string, MPI_MAX_ERROR_STRING)                                                                          \
    N(max_library_version_string, MPI_MAX_LIBRARY_VERSION_STRING)                                                      \
    N(max_processor_name, MPI_MAX_PROCESSOR_NAME)                                                                      \
    N(max_info_key, MPI_MAX_INFO_KEY)                                                                                  \
    N(max_info_val, MPI_MAX_INFO_VAL)

/// Raised whenever the table changes in another way than by its size.
#define CMPI_TABLE_VERSION 1

/// What a backend gives.
typedef struct {
    uint32_t version;
    uint32_t bytes;
    /// The libraries that it is for: `openmpi`, `mpich` or `abi`.
    const char *family;
#define F(name, parameters, arguments) int(*name) parameters;
#define H(type, name, value) type name;
#define N(name, value) int name;
    CMPI_FUNCTIONS(F)
    CMPI_PLAIN_FUNCTIONS(F)
    CMPI_HANDLES(H)
    CMPI_NUMBERS(N)
#undef F
#undef H
#undef N
} cmpi_table;

/// The only name that a backend has. A null status stands for MPI_STATUS_IGNORE in all functions.
#define CMPI_BACKEND cmpi_backend_table

#endif
