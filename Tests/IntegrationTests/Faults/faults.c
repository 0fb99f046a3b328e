// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Makes system calls on one file fail, as broken storage would: loaded by LD_PRELOAD, told by the environment.
//
//   FAULT_PATH  the file, with all links resolved; calls on others are left alone
//   FAULT_RANK  the rank that it happens to; all of them, if not said
//   FAULT_CALL  write, read, sync, forget (dropping the cache), cut, clock or leave
//   FAULT_FROM  for reads and writes, those that touch this offset or a later one
//   FAULT_WITH  EIO, ENOSPC, EDQUOT, EROFS  fails with that error
//               short   moves a third of the bytes, one at least
//               lost    says that all was written, and writes nothing
//               hang    never returns
//               late    is done a second later, in which the process does nothing
//               kill    ends the process with SIGKILL
//               stop    stops the process with SIGSTOP, the first time; whoever has seen that goes on with SIGCONT
//               grow    after a read that met the end the file has FAULT_TO bytes, as if another rank had written
//               stale   a read of what has been read before gets what was there then, as from a cache that nobody has told
//               torn    the same up to byte 700, and what is there now from there on
//   FAULT_HANGS the rank that hangs where others meet what FAULT_WITH says
//   FAULT_THREADS  how many threads the system gives a process, whatever else happens; as many as it likes, if not said
//
// With FAULT_CALL=cut the power is cut when the process begins its write number FAULT_END, counted from 0: SIGKILL. The store
// has kept the writes FAULT_FROM and on, up to FAULT_TO, in a cache that does not survive that, whatever it said of them: their
// places hold what they held before. With FAULT_WITH=honest it has lied of nothing: only writes that no sync came after are
// lost, and of them every other one. FAULT_NOTE gets a line for each write that is lost: its number and its offset.
//
// With FAULT_CALL=clock the date jumps to and fro by an hour at each look. With FAULT_CALL=leave a rank lingers for two
// seconds once it has taken leave of MPI, and no less when it exits: its siblings are gone by then, and what their launcher
// does about that reaches it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// What the environment told at the start: MPI libraries change it while their threads are already at work.
static struct { const char *path, *rank, *call, *from, *with, *to, *end, *note, *threads, *hangs, *own_rank; } told;

__attribute__((constructor)) static void hear(void) {
    told.path = getenv("FAULT_PATH");
    told.rank = getenv("FAULT_RANK");
    told.call = getenv("FAULT_CALL");
    told.from = getenv("FAULT_FROM");
    told.with = getenv("FAULT_WITH");
    told.to = getenv("FAULT_TO");
    told.end = getenv("FAULT_END");
    told.note = getenv("FAULT_NOTE");
    told.threads = getenv("FAULT_THREADS");
    told.hangs = getenv("FAULT_HANGS");
    told.own_rank = getenv("OMPI_COMM_WORLD_RANK");
    if (told.own_rank == NULL) told.own_rank = getenv("PMI_RANK");
}

static int is_rank(void) {
    return told.rank == NULL
        || (told.own_rank != NULL && strcmp(told.own_rank, told.rank) == 0);
}

// Whether a call of a kind on an open file, up to `end`, is one that goes wrong.
static int is_meant(const char *call, int file, off_t end) {
    if (told.call == NULL || told.path == NULL || strcmp(told.call, call) != 0 || !is_rank())
        return 0;
    char link[64], name[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, name, sizeof name - 1);
    if (length < 0) return 0;
    name[length] = 0;
    return strcmp(name, told.path) == 0 && (told.from == NULL || end > atoll(told.from));
}

// What goes wrong: -1 and errno; or how many bytes to move instead; or as many as were wanted, without moving any.
enum outcome { FAILS, SHORT, LOST, GROWS, LATE, STALE, TORN };
static enum outcome fault(void) {
    static const struct { const char *name; int number; } errors[] = {
        {"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}};
    const char *with = told.with == NULL ? "EIO" : told.with;
    if (told.hangs != NULL && told.own_rank != NULL && strcmp(told.hangs, told.own_rank) == 0) with = "hang";
    if (strcmp(with, "short") == 0) return SHORT;
    if (strcmp(with, "lost") == 0) return LOST;
    if (strcmp(with, "grow") == 0) return GROWS;
    if (strcmp(with, "stale") == 0) return STALE;
    if (strcmp(with, "torn") == 0) return TORN;
    // Bit by bit: a process that is stopped meanwhile still has some of it to come.
    if (strcmp(with, "late") == 0) {
        for (int times = 0; times < 20; times++) usleep(50000);
        return LATE;
    }
    if (strcmp(with, "hang") == 0) for (;;) pause();
    if (strcmp(with, "kill") == 0) kill(getpid(), SIGKILL);
    if (strcmp(with, "stop") == 0) {
        static atomic_flag was_stopped = ATOMIC_FLAG_INIT;
        if (!atomic_flag_test_and_set(&was_stopped)) kill(getpid(), SIGSTOP);
        return LATE;
    }
    for (size_t index = 0; index < sizeof errors / sizeof *errors; index++)
        if (strcmp(with, errors[index].name) == 0) errno = errors[index].number;
    return FAILS;
}

static ssize_t grown(int file, ssize_t result) {
    return result != 0 || told.to == NULL || ftruncate(file, atoll(told.to)) == 0 ? result : -1;
}

// What the first read of a place got, up to `most` bytes; later ones get it again. Only one thread of a rank reads.
static ssize_t remembered(void *buffer, off_t offset, ssize_t result, size_t most) {
    static struct { off_t offset; ssize_t count; char *bytes; } places[1 << 16];
    if (result <= 0) return result;
    size_t place = ((size_t)offset * 0x9E3779B97F4A7C15u) >> 48;
    for (; places[place].bytes != NULL; place = (place + 1) % (sizeof places / sizeof *places))
        if (places[place].offset == offset && places[place].count == result) {
            memcpy(buffer, places[place].bytes, (size_t)result < most ? (size_t)result : most);
            return result;
        }
    places[place].bytes = malloc((size_t)result);
    if (places[place].bytes == NULL) abort();
    memcpy(places[place].bytes, buffer, (size_t)result);
    places[place].offset = offset;
    places[place].count = result;
    return result;
}

static size_t third(size_t count) { return count > 3 ? count / 3 : count > 0; }

static size_t sum(const struct iovec *parts, int count) {
    size_t bytes = 0;
    for (int index = 0; index < count; index++) bytes += parts[index].iov_len;
    return bytes;
}

// The function that would have been called.
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

// What a store that has power holds back, the last write first.
static struct held {
    struct held *before;
    long number;
    off_t offset;
    size_t count;
    char bytes[];
} *held;

static int is_honest(void) { return told.with != NULL && strcmp(told.with, "honest") == 0; }

static void cut(int file) {
    FILE *note = told.note == NULL ? NULL : fopen(told.note, "w");
    for (struct held *one = held; one != NULL; one = one->before) {
        if (is_honest() && one->number % 2 == 0) continue;
        if (NEXT(pwrite)(file, one->bytes, one->count, one->offset) != (ssize_t)one->count) abort();
        if (note != NULL) fprintf(note, "%ld %lld\n", one->number, (long long)one->offset);
    }
    if (note != NULL) fclose(note);
    kill(getpid(), SIGKILL);
}

// Before a write: one that the store holds back, or the one that the power is cut at.
static void hold(int file, size_t count, off_t offset) {
    static long writes;
    if (!is_meant("cut", file, LLONG_MAX)) return;
    long number = writes++;
    if (told.end != NULL && number == atol(told.end)) cut(file);
    if (told.from == NULL || told.to == NULL || number < atol(told.from) || number >= atol(told.to)) return;
    struct held *one = malloc(sizeof *one + count);
    if (one == NULL || NEXT(pread)(file, one->bytes, count, offset) != (ssize_t)count) abort();
    one->before = held, one->number = number, one->offset = offset, one->count = count;
    held = one;
}

// After a sync, of which an honest store has told the truth.
static void let_go(int file) {
    if (!is_honest() || !is_meant("cut", file, LLONG_MAX)) return;
    for (struct held *one; (one = held) != NULL; free(one)) held = one->before;
}

#define AT_OFFSET(name, memory, call)                                                       \
    ssize_t name(int file, memory buffer, size_t count, off_t offset) {                     \
        if (strcmp(call, "write") == 0) hold(file, count, offset);                          \
        if (is_meant(call, file, offset + (off_t)count)) switch (fault()) {                 \
            case FAILS: return -1;                                                          \
            case SHORT: return NEXT(name)(file, buffer, third(count), offset);              \
            case LOST: return (ssize_t)count;                                               \
            case GROWS: return grown(file, NEXT(name)(file, buffer, count, offset));        \
            case STALE: case TORN: return again(name, file, buffer, count, offset);         \
            case LATE: break;                                                               \
            }                                                                               \
        return NEXT(name)(file, buffer, count, offset);                                     \
    }
#define again(name, file, buffer, count, offset) NEXT(name)(file, buffer, count, offset)
AT_OFFSET(pwrite, const void *, "write")
AT_OFFSET(pwrite64, const void *, "write")
#undef again
#define again(name, file, buffer, count, offset)                                            \
    remembered(buffer, offset, NEXT(name)(file, buffer, count, offset), strcmp(told.with, "torn") == 0 ? 700 : count)
AT_OFFSET(pread, void *, "read")
AT_OFFSET(pread64, void *, "read")
#undef again

#define AT_PLACE(name, memory, call)                                                        \
    ssize_t name(int file, memory buffer, size_t count) {                                   \
        off_t place = told.path == NULL ? 0 : lseek(file, 0, SEEK_CUR);                     \
        if (strcmp(call, "write") == 0) hold(file, count, place);                           \
        if (is_meant(call, file, place + (off_t)count)) switch (fault()) {                  \
            case FAILS: return -1;                                                          \
            case SHORT: return NEXT(name)(file, buffer, third(count));                      \
            case LOST: lseek(file, (off_t)count, SEEK_CUR); return (ssize_t)count;          \
            case GROWS: return grown(file, NEXT(name)(file, buffer, count));                \
            default: break;                                                                 \
            }                                                                               \
        return NEXT(name)(file, buffer, count);                                             \
    }
AT_PLACE(write, const void *, "write")
AT_PLACE(read, void *, "read")

#define OF_PARTS(name, call)                                                                \
    ssize_t name(int file, const struct iovec *parts, int count, off_t offset) {            \
        size_t bytes = sum(parts, count);                                                   \
        if (strcmp(call, "write") == 0) hold(file, bytes, offset);                          \
        if (is_meant(call, file, offset + (off_t)bytes)) switch (fault()) {                 \
            case FAILS: return -1;                                                          \
            case SHORT: {                                                                   \
                struct iovec first = {parts[0].iov_base, third(parts[0].iov_len)};          \
                return NEXT(name)(file, &first, 1, offset);                                 \
            }                                                                               \
            case LOST: return (ssize_t)bytes;                                               \
            case GROWS: return grown(file, NEXT(name)(file, parts, count, offset));         \
            default: break;                                                                 \
            }                                                                               \
        return NEXT(name)(file, parts, count, offset);                                      \
    }
OF_PARTS(pwritev, "write")
OF_PARTS(pwritev64, "write")
OF_PARTS(preadv, "read")
OF_PARTS(preadv64, "read")

int fsync(int file) {
    if (is_meant("sync", file, LLONG_MAX)) switch (fault()) {
        case FAILS: return -1;
        default: return 0;
        }
    int status = NEXT(fsync)(file);
    if (status == 0) let_go(file);
    return status;
}

// Gives its error back.
#define OF_CACHE(name)                                                                      \
    int name(int file, off_t offset, off_t count, int advice) {                             \
        if (is_meant("forget", file, LLONG_MAX) && fault() == FAILS) return errno;          \
        return NEXT(name)(file, offset, count, advice);                                     \
    }
OF_CACHE(posix_fadvise)
OF_CACHE(posix_fadvise64)

// An hour to and fro.
static long step(void) {
    static atomic_long looks;
    return told.call != NULL && strcmp(told.call, "clock") == 0 && is_rank() ? (looks++ % 2 ? 3600 : -3600) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int status = NEXT(clock_gettime)(clock, time);
    if (clock == CLOCK_REALTIME && status == 0) time->tv_sec += step();
    return status;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    int status = NEXT(gettimeofday)(time, zone);
    if (status == 0) time->tv_sec += step();
    return status;
}

// Bit by bit, since signals end a sleep.
static void linger(void) {
    if (told.call == NULL || strcmp(told.call, "leave") != 0 || !is_rank()) return;
    for (int times = 0; times < 40; times++) usleep(50000);
}

// Nobody finds it here who does not use MPI.
int MPI_Finalize(void) {
    int (*next)(void) = (int (*)(void))dlsym(RTLD_NEXT, "MPI_Finalize");
    int status = next == NULL ? 0 : next();
    linger();
    return status;
}

void exit(int status) {
    linger();
    NEXT(exit)(status);
    abort();
}

// As under a limit on threads.
int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes, void *(*start)(void *),
                   void *restrict argument) {
    static atomic_long threads;
    if (told.threads != NULL && threads++ >= atoll(told.threads)) return EAGAIN;
    return NEXT(pthread_create)(thread, attributes, start, argument);
}
