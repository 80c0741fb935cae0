#include "ctl/card.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/pki_file.h"

static bool fail(const char *folder, const char *name, FILE *errors)
{
    fprintf(errors, "holdfastctl: %s/%s%s%s: %s\n", folder, CARD_FOLDER, name[0] ? "/" : "", name,
            strerror(errno));
    return false;
}

bool card_folder_ready(const char *folder, FILE *errors)
{
    struct stat there;
    if (stat(folder, &there) != 0)
        fprintf(errors, "holdfastctl: %s: %s\n", folder, strerror(errno));
    else if (!S_ISDIR(there.st_mode))
        fprintf(errors,
                "holdfastctl: %s: is no folder, must be one: where the card's first partition is "
                "mounted; an image file is written by --image\n",
                folder);
    else if (access(folder, W_OK | X_OK) != 0)
        fprintf(errors, "holdfastctl: %s: cannot be written: %s\n", folder, strerror(errno));
    else
        return true;
    return false;
}

/* Whole or not at all: by way of a new file beside it. */
static bool write_file(int folder, const struct card_file *file)
{
    char made[NAME_MAX];
    snprintf(made, sizeof(made), "%s.new", file->name);
    if (unlinkat(folder, made, 0) != 0 && errno != ENOENT)
        return false;
    int fd = openat(folder, made, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, file->mode);
    if (fd < 0)
        return false;
    bool done = pki_file_fill(fd, file->bytes, file->length);
    done = close(fd) == 0 && done;
    done = done && renameat(folder, made, folder, file->name) == 0;
    int error = errno;
    if (!done)
        unlinkat(folder, made, 0);
    errno = error;
    return done;
}

static bool put_file(int folder, const struct card_file *file)
{
    if (file->bytes)
        return write_file(folder, file);
    return unlinkat(folder, file->name, 0) == 0 || errno == ENOENT;
}

/* A file system that cannot sync a folder has nothing better to offer. */
static bool sync_folder(int folder)
{
    return fsync(folder) == 0 || errno == EINVAL;
}

/* FOLDER/holdfast, made if it is not there; -1 with errno. */
static int open_inner(int outer)
{
    if (mkdirat(outer, CARD_FOLDER, 0755) != 0 && errno != EEXIST)
        return -1;
    return openat(outer, CARD_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* `board` goes first and comes last: what is cut short between is no card. */
static bool put_files(int inner, const struct card *card, const char **at)
{
    const struct card_file *whole = NULL;
    *at = CARD_WHOLE;
    if (unlinkat(inner, CARD_WHOLE, 0) != 0 && errno != ENOENT)
        return false;
    if (!sync_folder(inner))
        return false;
    for (size_t i = 0; i < card->count; i++) {
        *at = card->file[i].name;
        if (strcmp(card->file[i].name, CARD_WHOLE) == 0)
            whole = &card->file[i];
        else if (!put_file(inner, &card->file[i]))
            return false;
    }
    *at = CARD_WHOLE;
    return sync_folder(inner) && (!whole || put_file(inner, whole)) && sync_folder(inner);
}

bool card_folder_write(const char *folder, const struct card *card, FILE *errors)
{
    const char *at = "";
    int outer = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int inner = outer < 0 ? -1 : open_inner(outer);
    bool done = inner >= 0 && put_files(inner, card, &at) && sync_folder(outer);
    if (!done)
        fail(folder, at, errors);
    if (inner >= 0)
        close(inner);
    if (outer >= 0)
        close(outer);
    return done;
}

void card_folder_remove(const char *folder, const struct card *card)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < card->count; i++) {
        snprintf(path, sizeof(path), "%s/%s/%s", folder, CARD_FOLDER, card->file[i].name);
        unlink(path);
    }
    snprintf(path, sizeof(path), "%s/%s", folder, CARD_FOLDER);
    rmdir(path);
}
