# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs a program that may not place memory: `forbid-placement.py PROGRAM [ARGUMENT ...]`.

A filter of the kernel (seccomp) lets set_mempolicy, get_mempolicy and mbind fail with EPERM, as the
filters of containers do.
"""

import ctypes
import os
import platform
import struct
import sys

NUMBERS = {"x86_64": (237, 238, 239), "aarch64": (235, 236, 237)}[platform.machine()]
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL_EPERM = 0x7FFF0000, 0x00050001
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38

# Load the number of the call; to the last line if it is one of those; allow the rest.
code = [(LOAD, 0, 0, 0)]
code += [
    (JUMP_EQUAL, len(NUMBERS) - index, 0, number)
    for index, number in enumerate(NUMBERS)
]
code += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, FAIL_EPERM)]
instructions = ctypes.create_string_buffer(
    b"".join(struct.pack("HBBI", *line) for line in code)
)
program = ctypes.create_string_buffer(
    struct.pack("HxxxxxxQ", len(code), ctypes.addressof(instructions))
)
libc = ctypes.CDLL(None, use_errno=True)
for arguments in (
    (PR_SET_NO_NEW_PRIVS, 1, 0),
    (PR_SET_SECCOMP, 2, ctypes.addressof(program)),
):
    numbers = [ctypes.c_ulong(argument) for argument in arguments]
    if libc.prctl(*numbers, ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[1], sys.argv[1:])
