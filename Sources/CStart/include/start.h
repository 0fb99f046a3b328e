// SPDX-License-Identifier: MIT OR Apache-2.0
//
// How the process begins and ends. The words of the command line as the system gave them: Swift reads them from /proc, which
// may be missing in a container. And a look at how Open MPI ends a process in which it does not start.

#ifndef DGEN_CSTART_H
#define DGEN_CSTART_H

/// How many words there are; the program's name is the first.
int cstart_count(void);

/// A word, from 0; NULL where there is none.
const char *cstart_word(int index);

/// Has `look` called once before the process is ended by `_exit` or Open MPI's abort; NULL for not any more.
void cstart_on_exit(void (*look)(void));

#endif
