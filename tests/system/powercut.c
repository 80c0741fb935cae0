/*
 * Power cuts for real processes: preloaded into holdfastd, it writes down what the program does to
 * the files of one folder, in order, to the file POWERCUT_LOG. What a card may have after a power
 * cut at any point of that is worked out afterwards, by powercut.py.
 *   POWERCUT_DIR=FOLDER     what is written down: everything below it
 *   POWERCUT_FAULT=DATA     a disk that lies: no sync of a file is one
 *   POWERCUT_FAULT=FOLDER   no sync of a folder is one
 *   POWERCUT_FAULT=LATE     a sync of a file is done just before the next write
 * A change is written down once it is done, a sync too, so before the program goes on: what it says
 * to anybody after that is said with the line in the file. Nothing is really synced.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE = 1, SIZE, SYNC, CREATE, RENAME, LINK, UNLINK, MKDIR, SYNC_FOLDER };

enum { DESCRIPTORS_MAX = 1024, PATH_BYTES = 4096 };

/* Little-endian; powercut.py reads it. Then the name, then the data or the other name. */
struct record {
    uint32_t kind;
    uint32_t name_length;
    uint64_t inode;
    uint64_t offset;
    uint64_t length;
};

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static char root[PATH_BYTES];
static int log_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t late_inode; /* with LATE: of the sync that waits; 0: none */
/* Of each descriptor of a file or folder below the root: its inode. 0: of none. */
static uint64_t tracked[DESCRIPTORS_MAX];

static int fault_is(const char *name)
{
    const char *fault = getenv("POWERCUT_FAULT");
    return fault != NULL && strcmp(fault, name) == 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *folder = getenv("POWERCUT_DIR");
    const char *log = getenv("POWERCUT_LOG");
    if (folder == NULL || log == NULL || realpath(folder, root) == NULL)
        return;
    log_fd = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* One write, so that threads and processes that share the file do not mix. Keeps errno. */
static void note(enum kind kind, uint64_t inode, uint64_t offset, const char *name,
                 const void *data, size_t length)
{
    int saved = errno;
    size_t name_length = name != NULL ? strlen(name) : 0;
    struct record record = { (uint32_t)kind, (uint32_t)name_length, inode, offset, length };
    struct iovec part[3] = { { &record, sizeof(record) },
                             { (void *)name, name_length },
                             { (void *)data, length } };
    if (log_fd >= 0 && writev(log_fd, part, 3) != (ssize_t)(sizeof(record) + name_length + length))
        abort(); /* a run whose record is not whole proves nothing */
    errno = saved;
}

/* The path below the root of a name in a folder; NULL: elsewhere. "" is the root itself. */
static const char *below_root(int directory, const char *path, char out[PATH_BYTES])
{
    char joined[2 * PATH_BYTES];
    char folder[PATH_BYTES];
    char link[64];
    int saved = errno;
    ssize_t length = 0;
    if (path[0] != '/') {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", directory);
        length = readlink(directory == AT_FDCWD ? "/proc/self/cwd" : link, joined, PATH_BYTES - 1);
        joined[length > 0 ? length++ : 0] = '/';
    }
    snprintf(joined + (length > 0 ? length : 0), PATH_BYTES, "%s", path);
    char *leaf = strrchr(joined, '/');
    *leaf++ = '\0';
    int found = log_fd >= 0 && realpath(joined[0] != '\0' ? joined : "/", folder) != NULL;
    errno = saved;
    if (!found || snprintf(out, PATH_BYTES, "%s/%s", folder, leaf) >= PATH_BYTES)
        return NULL;
    size_t root_length = strlen(root);
    if (strncmp(out, root, root_length) != 0 || (out[root_length] != '/' && out[root_length] != 0))
        return NULL;
    return out + root_length + (out[root_length] == '/');
}

static uint64_t inode_of(int fd)
{
    struct stat status;
    return fd >= 0 && fd < DESCRIPTORS_MAX && fstat(fd, &status) == 0 ? status.st_ino : 0;
}

static uint64_t tracked_inode(int fd)
{
    return fd >= 0 && fd < DESCRIPTORS_MAX ? tracked[fd] : 0;
}

/* ---- names */

static int open_tracked(int directory, const char *path, int flags, mode_t mode)
{
    char buffer[PATH_BYTES];
    struct stat status;
    const char *name = below_root(directory, path, buffer);
    int saved = errno;
    int there = name != NULL && fstatat(directory, path, &status, 0) == 0;
    errno = saved;
    int fd = REAL(openat)(directory, path, flags, mode);
    if (name == NULL || fd < 0 || fd >= DESCRIPTORS_MAX)
        return fd;
    tracked[fd] = inode_of(fd);
    if (!there)
        note(CREATE, tracked[fd], 0, name, NULL, 0);
    else if (flags & O_TRUNC)
        note(SIZE, tracked[fd], 0, NULL, NULL, 0);
    return fd;
}

int openat(int directory, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_tracked(directory, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open_tracked(AT_FDCWD, path, flags, mode);
}

int close(int fd)
{
    if (fd >= 0 && fd < DESCRIPTORS_MAX)
        tracked[fd] = 0;
    return REAL(close)(fd);
}

/* A change of two names, or of one if the other lies elsewhere. */
static void note_names(enum kind kind, int from_directory, const char *from, int to_directory,
                       const char *to)
{
    char old[PATH_BYTES];
    char new[PATH_BYTES];
    const char *old_name = below_root(from_directory, from, old);
    const char *new_name = below_root(to_directory, to, new);
    if (old_name != NULL && new_name != NULL)
        note(kind, 0, 0, old_name, new_name, strlen(new_name));
}

int renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    int result = REAL(renameat)(from_directory, from, to_directory, to);
    if (result == 0)
        note_names(RENAME, from_directory, from, to_directory, to);
    return result;
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags)
{
    int result = REAL(linkat)(from_directory, from, to_directory, to, flags);
    if (result == 0)
        note_names(LINK, from_directory, from, to_directory, to);
    return result;
}

int unlinkat(int directory, const char *path, int flags)
{
    char buffer[PATH_BYTES];
    int result = REAL(unlinkat)(directory, path, flags);
    const char *name = result == 0 ? below_root(directory, path, buffer) : NULL;
    if (name != NULL)
        note(UNLINK, 0, 0, name, NULL, 0);
    return result;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int mkdirat(int directory, const char *path, mode_t mode)
{
    char buffer[PATH_BYTES];
    int result = REAL(mkdirat)(directory, path, mode);
    const char *name = result == 0 ? below_root(directory, path, buffer) : NULL;
    if (name != NULL)
        note(MKDIR, 0, 0, name, NULL, 0);
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

/* ---- data */

static void end_late_sync(void)
{
    pthread_mutex_lock(&lock);
    if (late_inode != 0)
        note(SYNC, late_inode, 0, NULL, NULL, 0);
    late_inode = 0;
    pthread_mutex_unlock(&lock);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset)
{
    ssize_t done = REAL(pwrite64)(fd, data, length, offset);
    if (done > 0 && tracked_inode(fd) != 0) {
        end_late_sync();
        note(WRITE, tracked[fd], (uint64_t)offset, NULL, data, (size_t)done);
    }
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
    return pwrite64(fd, data, length, offset);
}

ssize_t write(int fd, const void *data, size_t length)
{
    ssize_t done = REAL(write)(fd, data, length);
    if (done > 0 && tracked_inode(fd) != 0)
        note(WRITE, tracked[fd], (uint64_t)(lseek(fd, 0, SEEK_CUR) - done), NULL, data,
             (size_t)done);
    return done;
}

int posix_fallocate64(int fd, off64_t offset, off64_t length)
{
    int error = REAL(posix_fallocate64)(fd, offset, length);
    struct stat status;
    if (error == 0 && tracked_inode(fd) != 0 && fstat(fd, &status) == 0)
        note(SIZE, tracked[fd], (uint64_t)status.st_size, NULL, NULL, 0);
    return error;
}

int posix_fallocate(int fd, off_t offset, off_t length)
{
    return posix_fallocate64(fd, offset, length);
}

int ftruncate64(int fd, off64_t length)
{
    int result = REAL(ftruncate64)(fd, length);
    if (result == 0 && tracked_inode(fd) != 0)
        note(SIZE, tracked[fd], (uint64_t)length, NULL, NULL, 0);
    return result;
}

int ftruncate(int fd, off_t length)
{
    return ftruncate64(fd, length);
}

/* ---- syncs */

static void sync_folder(int fd)
{
    char link[64];
    char path[PATH_BYTES];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof(path) - 1);
    size_t root_length = strlen(root);
    if (length < (ssize_t)root_length || fault_is("FOLDER"))
        return;
    path[length] = '\0';
    const char *name = path + root_length;
    note(SYNC_FOLDER, 0, 0, name[0] == '/' ? name + 1 : name, NULL, 0);
}

static void sync_file(uint64_t inode)
{
    if (fault_is("LATE")) {
        pthread_mutex_lock(&lock);
        late_inode = inode;
        pthread_mutex_unlock(&lock);
    } else if (!fault_is("DATA")) {
        note(SYNC, inode, 0, NULL, NULL, 0);
    }
}

int fsync(int fd)
{
    struct stat status;
    if (tracked_inode(fd) == 0)
        return REAL(fsync)(fd);
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
        sync_folder(fd);
    else
        sync_file(tracked[fd]);
    return 0;
}

int fdatasync(int fd)
{
    if (tracked_inode(fd) == 0)
        return REAL(fdatasync)(fd);
    sync_file(tracked[fd]);
    return 0;
}
