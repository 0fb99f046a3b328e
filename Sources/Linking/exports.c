// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What libraries must find in the program before they find their own, see CStart.

void _exit(int status);
int ompi_mpi_abort(void *communicator, int status);

const void *const dgen_mpi_exports[] = {(const void *)_exit, (const void *)ompi_mpi_abort};
