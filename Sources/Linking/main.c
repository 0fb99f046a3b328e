// SPDX-License-Identifier: MIT OR Apache-2.0

// What SwiftPM calls the program's beginning.
int dgen_mpi_main(int count, char **words);

int main(int count, char **words) { return dgen_mpi_main(count, words); }
