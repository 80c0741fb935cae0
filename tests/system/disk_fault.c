/*
 * A disk that starts to fail, for system tests: preloaded into holdfastd, it makes writes and syncs
 * fail with DISK_FAULT_ERROR (ENOSPC, EROFS, EIO) from the moment that DISK_FAULT_FILE exists.
 *   DISK_FAULT_ERROR=SLOW      every sync takes DISK_FAULT_MS more, and is done then
 *   DISK_FAULT_ERROR=READ      reads fail with EIO instead
 *   DISK_FAULT_ERROR=SHORT     a write writes half of what it is given, as a signal may make it
 *   DISK_FAULT_ERROR=SYNC_ONCE one sync fails with EIO, the file goes away: later ones succeed
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* What the disk is told to do wrong just now; NULL: nothing. Keeps errno. */
static const char *disk_fault(void)
{
    const char *file = getenv("DISK_FAULT_FILE");
    const char *error = getenv("DISK_FAULT_ERROR");
    int saved = errno;
    int failing = file != NULL && access(file, F_OK) == 0;
    errno = saved;
    return failing ? (error != NULL ? error : "EIO") : NULL;
}

static int is(const char *fault, const char *name)
{
    return fault != NULL && strcmp(fault, name) == 0;
}

/* errno of a write or sync under this fault, 0: it is to be done. */
static int fault_number(const char *fault)
{
    if (is(fault, "ENOSPC"))
        return ENOSPC;
    if (is(fault, "EROFS"))
        return EROFS;
    return is(fault, "EIO") ? EIO : 0;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (real == NULL)
        real = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    const char *fault = disk_fault();
    errno = fault_number(fault);
    if (errno != 0)
        return -1;
    return real(fd, data, is(fault, "SHORT") && length > 1 ? length / 2 : length, offset);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    return pwrite64(fd, data, length, offset);
}

ssize_t pread64(int fd, void *data, size_t length, off64_t offset)
{
    static ssize_t (*real)(int, void *, size_t, off64_t);
    if (real == NULL)
        real = (ssize_t(*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    if (is(disk_fault(), "READ")) {
        errno = EIO;
        return -1;
    }
    return real(fd, data, length, offset);
}

ssize_t pread(int fd, void *data, size_t length, off_t offset)
{
    return pread64(fd, data, length, offset);
}

static void wait_ms(const char *text)
{
    long duration_ms = text != NULL ? atol(text) : 0;
    struct timespec left = { duration_ms / 1000, duration_ms % 1000 * 1000000 };
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (real == NULL)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    const char *fault = disk_fault();
    if (is(fault, "SYNC_ONCE")) {
        unlink(getenv("DISK_FAULT_FILE"));
        errno = EIO;
        return -1;
    }
    errno = fault_number(fault);
    if (errno != 0)
        return -1;
    if (is(fault, "SLOW"))
        wait_ms(getenv("DISK_FAULT_MS"));
    return real(fd);
}
