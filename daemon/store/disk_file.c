#include "store/disk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int file_read(void *context, int slot, uint64_t offset, void *data, size_t length)
{
    struct disk_file *disk = context;
    uint8_t *at = data;
    while (length > 0) {
        ssize_t got = disk->platform->pread(disk->slot[slot], at, length, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? errno : EIO;
        at += got;
        offset += (uint64_t)got;
        length -= (size_t)got;
    }
    return 0;
}

static int file_write(void *context, int slot, uint64_t offset, const void *data, size_t length)
{
    struct disk_file *disk = context;
    const uint8_t *at = data;
    while (length > 0) {
        ssize_t put = disk->platform->pwrite(disk->slot[slot], at, length, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? errno : EIO;
        at += put;
        offset += (uint64_t)put;
        length -= (size_t)put;
    }
    return 0;
}

/* Never repeated on failure: the kernel may have dropped the pages and report success next time. */
static int file_sync(void *context, int slot)
{
    struct disk_file *disk = context;
    return disk->platform->fdatasync(disk->slot[slot]) == 0 ? 0 : errno;
}

static int file_size(void *context, int slot, uint64_t *bytes)
{
    struct disk_file *disk = context;
    struct stat status;
    if (disk->platform->fstat(disk->slot[slot], &status) != 0)
        return errno;
    *bytes = (uint64_t)status.st_size;
    return 0;
}

/*
 * Reserved space is written once: the first write to a block that is only reserved makes the file
 * system note that with the next sync, in blocks of its own.
 */
static int file_preallocate(void *context, int slot, uint64_t bytes)
{
    static const uint8_t zeros[65536];
    struct disk_file *disk = context;
    uint64_t size = 0;
    int error = file_size(context, slot, &size);
    if (error != 0 || size >= bytes)
        return error;
    do
        error = disk->platform->allocate(disk->slot[slot], 0, (off_t)bytes);
    while (error == EINTR);
    while (error == 0 && size < bytes) {
        size_t part = bytes - size < sizeof(zeros) ? (size_t)(bytes - size) : sizeof(zeros);
        error = file_write(context, slot, size, zeros, part);
        size += part;
    }
    return error;
}

/* The longest slot that is worth keeping: nothing that the journal wrote is longer. */
enum { SLOT_BYTES_MAX = 4 * 1024 * 1024 };

static const char *const slot_names[DISK_SLOTS] = { "journal.0", "journal.1" };
static const char *const damaged_names[DISK_SLOTS] = { "journal.0.damaged", "journal.1.damaged" };

/* Puts a new, empty file in the place of a slot whose file has another name by now, or none. */
static int begin_slot(struct disk_file *disk, int slot, uint64_t bytes)
{
    int file = disk->platform->openat(disk->directory, slot_names[slot],
                                      O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return errno;
    disk->platform->close(disk->slot[slot]);
    disk->slot[slot] = file;
    return file_preallocate(disk, slot, bytes < SLOT_BYTES_MAX ? bytes : SLOT_BYTES_MAX);
}

static int begin_slots(struct disk_file *disk, const uint64_t bytes[DISK_SLOTS])
{
    int error = 0;
    for (int i = 0; i < DISK_SLOTS && error == 0; i++)
        error = begin_slot(disk, i, bytes[i]);
    return error;
}

static int file_set_aside(void *context, bool *kept)
{
    struct disk_file *disk = context;
    uint64_t bytes[DISK_SLOTS] = { 0 };
    int error = 0;
    for (int i = 0; i < DISK_SLOTS && error == 0; i++) {
        error = file_size(disk, i, &bytes[i]);
        if (error == 0 && disk->platform->renameat(disk->directory, slot_names[i], disk->directory,
                                                   damaged_names[i]) != 0)
            error = errno;
    }
    if (error == 0)
        error = begin_slots(disk, bytes);
    *kept = error == 0;
    if (error == ENOSPC) {
        /* To go on matters more than to look back. */
        for (int i = 0; i < DISK_SLOTS; i++)
            (void)disk->platform->unlinkat(disk->directory, damaged_names[i], 0);
        error = begin_slots(disk, bytes);
    }
    if (error == 0 && disk->platform->fsync(disk->directory) != 0)
        error = errno;
    return error;
}

const struct disk_ops disk_file_ops = {
    .read = file_read,
    .write = file_write,
    .sync = file_sync,
    .size = file_size,
    .preallocate = file_preallocate,
    .set_aside = file_set_aside,
};

static int explain(char *error, size_t error_size, const char *directory, const char *name,
                   const char *act)
{
    int number = errno;
    if (number == EWOULDBLOCK)
        snprintf(error, error_size, "%s/%s: held by another process, one daemon may use it",
                 directory, name);
    else
        snprintf(error, error_size, "%s/%s: cannot %s: %s", directory, name, act, strerror(number));
    return number;
}

/* What others may change proves nothing; files of another owner would stop the rightful daemon. */
static int check_owner(const struct disk_file *disk, int descriptor, const char *directory,
                       const char *name, char *error, size_t error_size)
{
    struct stat status;
    if (disk->platform->fstat(descriptor, &status) != 0)
        return explain(error, error_size, directory, name, "examine");
    if (status.st_uid != geteuid()) {
        snprintf(error, error_size,
                 "%s/%s: owned by user %u, must be owned by user %u, who runs "
                 "this daemon",
                 directory, name, (unsigned)status.st_uid, (unsigned)geteuid());
        return EPERM;
    }
    if (status.st_mode & S_IWOTH) {
        snprintf(error, error_size, "%s/%s: mode %04o, must not be writable by others", directory,
                 name, (unsigned)status.st_mode & 07777);
        return EPERM;
    }
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
        snprintf(error, error_size, "%s/%s: must be a regular file", directory, name);
        return EPERM;
    }
    return 0;
}

static int open_slot(struct disk_file *disk, int slot, const char *directory, char *error,
                     size_t error_size)
{
    disk->slot[slot] = disk->platform->openat(disk->directory, slot_names[slot],
                                              O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (disk->slot[slot] < 0)
        return explain(error, error_size, directory, slot_names[slot], "open");
    /* After a failed sync the kernel may keep pages as clean that never reached the disk. */
    (void)disk->platform->drop_cache(disk->slot[slot]);
    return check_owner(disk, disk->slot[slot], directory, slot_names[slot], error, error_size);
}

static int open_files(struct disk_file *disk, const char *directory, char *error, size_t error_size)
{
    int result;
    disk->directory =
        disk->platform->openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (disk->directory < 0 && errno == ENOENT) {
        snprintf(
            error, error_size,
            "%s: No such file or directory; node.data_dir must be there, owned by user %u, who "
            "runs this daemon",
            directory, (unsigned)geteuid());
        return ENOENT;
    }
    if (disk->directory < 0)
        return explain(error, error_size, directory, "", "open");
    result = check_owner(disk, disk->directory, directory, "", error, error_size);
    if (result != 0)
        return result;
    disk->lock =
        disk->platform->openat(disk->directory, "journal.lock",
                               O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (disk->lock < 0)
        return explain(error, error_size, directory, "journal.lock", "open");
    result = check_owner(disk, disk->lock, directory, "journal.lock", error, error_size);
    if (result != 0)
        return result;
    if (disk->platform->flock(disk->lock, LOCK_EX | LOCK_NB) != 0)
        return explain(error, error_size, directory, "journal.lock", "lock");
    for (int i = 0; i < DISK_SLOTS; i++) {
        result = open_slot(disk, i, directory, error, error_size);
        if (result != 0)
            return result;
    }
    /* The names themselves must survive a power cut. */
    if (disk->platform->fsync(disk->directory) != 0)
        return explain(error, error_size, directory, "", "sync");
    return 0;
}

void disk_file_init(struct disk_file *disk, const struct disk_platform *platform)
{
    *disk =
        (struct disk_file){ .platform = platform, .directory = -1, .lock = -1, .slot = { -1, -1 } };
}

int disk_file_open(struct disk_file *disk, const struct disk_platform *platform,
                   const char *directory, char *error, size_t error_size)
{
    disk_file_init(disk, platform);
    int result = open_files(disk, directory, error, error_size);
    if (result != 0)
        disk_file_close(disk);
    return result;
}

static void close_one(const struct disk_file *disk, int *descriptor)
{
    if (*descriptor >= 0)
        disk->platform->close(*descriptor);
    *descriptor = -1;
}

void disk_file_close(struct disk_file *disk)
{
    close_one(disk, &disk->slot[0]);
    close_one(disk, &disk->slot[1]);
    close_one(disk, &disk->directory);
    close_one(disk, &disk->lock);
}
