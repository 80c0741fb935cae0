/* The FAT partition of an image, by its MBR; and mtools, without a shell. */
#include "ctl/card.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SECTOR = 512,
    SIGNATURE_AT = 510,  /* 55 aa */
    PARTITIONS_AT = 446, /* four of 16 bytes */
    PARTITIONS = 4,
    PARTITION_BYTES = 16,
    TYPE_AT = 4,
    START_AT = 8, /* in sectors, little endian */
    WORDS_MAX = 16,
    SAID_MAX = 200
};

/* Types of a partition with FAT12, FAT16 or FAT32. Source: mkfs.fat(8), sfdisk --list-types. */
static const unsigned char fat_types[] = { 0x01, 0x04, 0x06, 0x0b, 0x0c, 0x0e };

static const char inner[] = "::" CARD_FOLDER;

static const char xz_begins[] = { (char)0xfd, '7', 'z', 'X', 'Z' };

struct image {
    const char *file;
    uint64_t offset;
    FILE *errors;
    char where[PATH_MAX + 32]; /* FILE@@OFFSET, as mtools wants it */
};

/* ---- the partition */

static bool signed_sector(const unsigned char *sector)
{
    return sector[SIGNATURE_AT] == 0x55 && sector[SIGNATURE_AT + 1] == 0xaa;
}

static uint32_t start_of(const unsigned char *partition)
{
    const unsigned char *start = partition + START_AT;
    return (uint32_t)start[0] | (uint32_t)start[1] << 8 | (uint32_t)start[2] << 16 |
           (uint32_t)start[3] << 24;
}

/* In sectors; 0: there is none. */
static uint32_t find_fat(const unsigned char *mbr)
{
    for (size_t i = 0; i < PARTITIONS; i++) {
        const unsigned char *partition = mbr + PARTITIONS_AT + i * PARTITION_BYTES;
        if (memchr(fat_types, partition[TYPE_AT], sizeof(fat_types)))
            return start_of(partition);
    }
    return 0;
}

static bool refuse(const struct image *image, const char *why)
{
    fprintf(image->errors, "holdfastctl: %s: %s\n", image->file, why);
    return false;
}

static bool read_sector(int fd, uint64_t at, unsigned char *sector)
{
    return pread(fd, sector, SECTOR, (off_t)at) == SECTOR;
}

static bool find_partition(struct image *image, int fd)
{
    unsigned char sector[SECTOR];
    if (!read_sector(fd, 0, sector))
        return refuse(image, "is shorter than a sector, must be the image of a card");
    if (memcmp(sector, xz_begins, sizeof(xz_begins)) == 0)
        return refuse(image, "is compressed, must be the image itself: xz --decompress --keep");
    if (!signed_sector(sector))
        return refuse(image, "has no partition table (MBR), must be the image of a card");
    uint32_t start = find_fat(sector);
    if (start == 0)
        return refuse(image, "has no FAT partition in its MBR, must be the image of a card");
    image->offset = (uint64_t)start * SECTOR;
    if (!read_sector(fd, image->offset, sector) || !signed_sector(sector))
        return refuse(image, "has no file system in its FAT partition");
    return true;
}

/* A device that is mounted is refused: two would write the same file system. */
static int open_image(const struct image *image)
{
    struct stat there;
    int fd = open(image->file, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && fstat(fd, &there) == 0 && S_ISBLK(there.st_mode)) {
        close(fd);
        fd = open(image->file, O_RDWR | O_EXCL | O_CLOEXEC);
    }
    if (fd < 0)
        refuse(image, errno == EBUSY ? "is in use, must not be mounted" : strerror(errno));
    return fd;
}

/* ---- mtools */

/* The first line of what a child said, without its name and colon in front. */
static void first_line(int said, char *out, size_t size)
{
    ssize_t count = pread(said, out, size - 1, 0);
    out[count > 0 ? count : 0] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    for (char *c = out; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
}

/* The child's status as by waitpid(2), or -1 with errno; `said` takes all that it prints. */
static int run_child(char *const *words, int said)
{
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = -1;
    int error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&actions, said, STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&actions, said, STDERR_FILENO);
        error = posix_spawnp(&child, words[0], &actions, NULL, words, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    if (error == 0) {
        while (waitpid(child, &status, 0) < 0) {
            if (errno != EINTR)
                return -1;
        }
        return status;
    }
    errno = error;
    return -1;
}

enum told { TOLD_ERRORS, TOLD_NOTHING };

/* One of mtools' programs on this image. False, after one line if `told` is wanted, if it did not do it. */
static bool run(const struct image *image, enum told told, const char *const *words)
{
    char *copy[WORDS_MAX + 1] = { NULL };
    char line[SAID_MAX] = "";
    int said = memfd_create("said", MFD_CLOEXEC);
    for (size_t i = 0; i < WORDS_MAX && words[i]; i++)
        copy[i] = (char *)words[i];
    int status = said < 0 ? -1 : run_child(copy, said);
    int error = errno;
    if (said >= 0) {
        first_line(said, line, sizeof(line));
        close(said);
    }
    if (status == 0)
        return true;
    if (status == -1 && error == ENOENT)
        fprintf(image->errors,
                "holdfastctl: %s: not found; writing into an image needs Debian's package mtools: "
                "apt-get install mtools\n",
                words[0]);
    else if (status == -1)
        fprintf(image->errors, "holdfastctl: %s: %s\n", words[0], strerror(error));
    else if (told == TOLD_ERRORS)
        fprintf(image->errors, "holdfastctl: %s: %s: %s\n", image->file, words[0],
                line[0] != '\0' ? line : "failed");
    return false;
}

static bool name_image(struct image *image)
{
    if (strlen(image->file) >= PATH_MAX || strstr(image->file, "@@"))
        return refuse(image, "must have a path without @@, and not too long");
    snprintf(image->where, sizeof(image->where), "%s@@%" PRIu64, image->file, image->offset);
    /* Partitions need not fill whole tracks, which nothing has had for long. */
    setenv("MTOOLS_SKIP_CHECK", "1", 1);
    setenv("LC_ALL", "C", 1);
    return true;
}

bool card_image_ready(const char *file, uint64_t *offset, FILE *errors)
{
    struct image image = { .file = file, .errors = errors };
    int fd = open_image(&image);
    bool good = fd >= 0 && find_partition(&image, fd);
    if (fd >= 0)
        close(fd);
    *offset = image.offset;
    const char *const look[] = { "mdir", "-b", "-i", image.where, "::", NULL };
    return good && name_image(&image) && run(&image, TOLD_ERRORS, look);
}

static const char *inner_path(const char *name, const char *ending, char out[NAME_MAX])
{
    snprintf(out, NAME_MAX, "%s/%s%s", inner, name, ending);
    return out;
}

/* It is gone afterwards, whether or not it was there. */
static bool take_away(const struct image *image, const char *name)
{
    char path[NAME_MAX];
    inner_path(name, "", path);
    const char *const look[] = { "mdir", "-b", "-i", image->where, path, NULL };
    const char *const remove[] = { "mdel", "-i", image->where, path, NULL };
    return !run(image, TOLD_NOTHING, look) || run(image, TOLD_ERRORS, remove);
}

static bool copy_in(const struct image *image, const char *from, const char *name,
                    const char *ending)
{
    char source[PATH_MAX];
    char path[NAME_MAX];
    int length = snprintf(source, sizeof(source), "%s/%s/%s", from, CARD_FOLDER, name);
    if (length < 0 || (size_t)length >= sizeof(source))
        return refuse(image, strerror(ENAMETOOLONG));
    inner_path(name, ending, path);
    const char *const copy[] = { "mcopy", "-o", "-i", image->where, source, path, NULL };
    return run(image, TOLD_ERRORS, copy);
}

static bool put_whole(const struct image *image, const char *from)
{
    char made[NAME_MAX];
    char path[NAME_MAX];
    inner_path(CARD_WHOLE, ".new", made);
    inner_path(CARD_WHOLE, "", path);
    const char *const rename[] = { "mren", "-i", image->where, made, path, NULL };
    return copy_in(image, from, CARD_WHOLE, ".new") && run(image, TOLD_ERRORS, rename);
}

static bool put_files(const struct image *image, const char *from, const struct card *card)
{
    const char *const look[] = { "mdir", "-b", "-i", image->where, inner, NULL };
    const char *const make[] = { "mmd", "-i", image->where, inner, NULL };
    bool done = (run(image, TOLD_NOTHING, look) || run(image, TOLD_ERRORS, make)) &&
                take_away(image, CARD_WHOLE);
    for (size_t i = 0; done && i < card->count; i++) {
        const struct card_file *file = &card->file[i];
        if (strcmp(file->name, CARD_WHOLE) != 0)
            done =
                file->bytes ? copy_in(image, from, file->name, "") : take_away(image, file->name);
    }
    return done && put_whole(image, from);
}

static bool sync_image(const struct image *image)
{
    int fd = open(image->file, O_RDWR | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0;
    if (!done)
        refuse(image, strerror(errno));
    if (fd >= 0)
        close(fd);
    return done;
}

bool card_image_write(const char *file, uint64_t offset, const char *from, const struct card *card,
                      FILE *errors)
{
    struct image image = { .file = file, .offset = offset, .errors = errors };
    return name_image(&image) && put_files(&image, from, card) && sync_image(&image);
}
