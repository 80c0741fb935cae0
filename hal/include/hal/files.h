/*
 * What the kernel tells in files (/proc, /sys), through a small table, so that a test answers in its
 * place.
 */
#ifndef HOLDFAST_HAL_FILES_H
#define HOLDFAST_HAL_FILES_H

#include <stdbool.h>
#include <stddef.h>

struct hal_files {
    void *context;
    /* The file's beginning as text, NUL bytes as spaces, cut to size - 1. False: can't be read. */
    bool (*read)(void *context, const char *path, char *text, size_t size);
};

/* The system's own. Blocks for the file system. */
extern const struct hal_files hal_system_files;

#endif
