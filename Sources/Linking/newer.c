// SPDX-License-Identifier: MIT OR Apache-2.0
//
// What Swift's and C++'s libraries ask of newer C libraries than those that the result is for.

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#pragma GCC visibility push(hidden)

// Since 2.32, C++: whether there is but one thread. None, and it takes care.
char __libc_single_threaded = 0;

// Since 2.38, where what calls them was compiled with its headers: these read binary numbers too, which nobody writes.
long __isoc23_strtol(const char *text, char **end, int base) { return strtol(text, end, base); }
long long __isoc23_strtoll(const char *text, char **end, int base) { return strtoll(text, end, base); }
unsigned long __isoc23_strtoul(const char *text, char **end, int base) { return strtoul(text, end, base); }
int __isoc23_sscanf(const char *text, const char *format, ...) {
    va_list results;
    va_start(results, format);
    int count = vsscanf(text, format, results);
    va_end(results);
    return count;
}

// Since 2.38; some of Swift's libraries have one.
__attribute__((weak)) size_t strlcpy(char *target, const char *source, size_t size) {
    size_t length = strlen(source);
    if (size > 0) {
        size_t copied = length < size ? length : size - 1;
        memcpy(target, source, copied);
        target[copied] = 0;
    }
    return length;
}
