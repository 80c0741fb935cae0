/*
 * A disk that starts to fail, for system tests: preloaded into holdfastd, it makes writes and syncs
 * fail with DISK_FAULT_ERROR (ENOSPC, EROFS, EIO) from the moment that DISK_FAULT_FILE exists.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int disk_fault(void)
{
    const char *file = getenv("DISK_FAULT_FILE");
    const char *error = getenv("DISK_FAULT_ERROR");
    int saved = errno;
    int failing = file != NULL && access(file, F_OK) == 0;
    errno = saved;
    if (!failing)
        return 0;
    if (error != NULL && strcmp(error, "ENOSPC") == 0)
        return ENOSPC;
    return error != NULL && strcmp(error, "EROFS") == 0 ? EROFS : EIO;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (real == NULL)
        real = (ssize_t(*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    errno = disk_fault();
    return errno != 0 ? -1 : real(fd, data, length, offset);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    return pwrite64(fd, data, length, offset);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (real == NULL)
        real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    errno = disk_fault();
    return errno != 0 ? -1 : real(fd);
}
