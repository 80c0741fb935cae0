/*
 * `holdfastctl backup`: the file's side of it. The console's answer is checked like a file before
 * anything is written.
 *
 * Owner: commands.c; one thread, blocking.
 */
#ifndef HOLDFAST_CTL_BACKUP_FILE_H
#define HOLDFAST_CTL_BACKUP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "ctl/command_line.h"

struct ctl_backup {
    const char *file;
    bool verify;
    bool force;
    bool json;
};

/* The words behind `backup`. False: they are none that it has. */
bool ctl_backup_parse(const struct ctl_options *options, struct ctl_backup *what);

/* Checks the whole file and says what is in it. CTL_EXIT_REFUSED with one line if it is not good. */
enum ctl_exit ctl_backup_verify(const struct ctl_backup *what, FILE *out, FILE *errors);

/* Checks `text` and writes it to the file, mode 0600, whole or not at all; replaces on force only. */
enum ctl_exit ctl_backup_store(const struct ctl_backup *what, const char *text, size_t length,
                               FILE *out, FILE *errors);

#endif
