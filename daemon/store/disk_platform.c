#include "store/disk_platform.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

static int system_openat(int directory, const char *name, int flags, mode_t mode)
{
    return openat(directory, name, flags, mode);
}

static int system_fstat(int descriptor, struct stat *status)
{
    return fstat(descriptor, status);
}

static int system_drop_cache(int descriptor)
{
    return posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
}

static int system_linkat(int from_directory, const char *from, int to_directory, const char *to)
{
    return linkat(from_directory, from, to_directory, to, 0);
}

static int system_faccessat(int directory, const char *name, int mode)
{
    return faccessat(directory, name, mode, 0);
}

const struct disk_platform disk_platform_system = {
    .openat = system_openat,
    .close = close,
    .fstat = system_fstat,
    .pread = pread,
    .pwrite = pwrite,
    .allocate = posix_fallocate,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .drop_cache = system_drop_cache,
    .flock = flock,
    .renameat = renameat,
    .linkat = system_linkat,
    .unlinkat = unlinkat,
    .mkdirat = mkdirat,
    .faccessat = system_faccessat,
};
