/*
 * Files and folders that other users must not have a hand in.
 *
 * Purpose: whatever lies in a run or data directory, a daemon follows no link, opens nothing that
 *   another user owns, and is kept from starting by no lock that another user could take.
 * Owner: any thread; nothing is kept. May block for the file system.
 * Each error is one line that names the path, whom it belongs to, its mode, and what is allowed.
 */
#ifndef HOLDFAST_FILES_SAFE_FILE_H
#define HOLDFAST_FILES_SAFE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SAFE_FILE_TEXT_MAX = 320 };

/*
 * May this process keep its files in the folder `path`? Nobody else may write there: neither others,
 * nor the group, unless the set-group-ID bit says that the group is the guard's and the agent's own.
 * Its owner is root or this process's user; any, if `any_owner` and this process is root, or the
 * group is theirs.
 */
bool safe_folder(const char *path, bool any_owner, char *error, size_t error_size);

/*
 * open(2) of a regular file with one name and this process's user as its owner, follows no link.
 * What an existing one's mode allows beyond `mode` is taken away. Returns a descriptor or -1.
 */
int safe_file_open(const char *path, int flags, mode_t mode, char *error, size_t error_size);

/*
 * Takes the lock file `path`, mode 0600, for this process; `held` says what it means that another
 * has it. Whoever could open it by a looser mode does not count: the file is replaced, unless the holder is of root or of
 * this process's user. Returns a descriptor to be kept open, or -1.
 */
int safe_file_lock(const char *path, const char *held, char *error, size_t error_size);

/* For a descriptor that is open already: the same checks; `name` is for the error. */
bool safe_file_check(int descriptor, const char *name, char *error, size_t error_size);

#endif
