// SPDX-License-Identifier: MIT OR Apache-2.0
// Goes through a table of cases on all ranks of a launch; whoever finds something wrong ends all of them with its name.

#if DEBUG  // Internal names are importable where testing is enabled only.
    import Glibc
    import MPI

    @testable import DGen

    runCases()
#else
    import Glibc

    exit(77)
#endif
