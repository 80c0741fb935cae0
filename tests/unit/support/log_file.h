/* What a program says to stderr, in the file "log" of a test's folder: for tests of what is logged. */
#ifndef HOLDFAST_TESTS_UNIT_LOG_FILE_H
#define HOLDFAST_TESTS_UNIT_LOG_FILE_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/support/unit.h"

static struct {
    char path[96];
    int stderr_fd; /* the one of before */
} log_file;

/* From now on, until log_file_end(). */
static inline void log_file_begin(const char *folder)
{
    snprintf(log_file.path, sizeof(log_file.path), "%s/log", folder);
    log_file.stderr_fd = dup(STDERR_FILENO);
    int log = open(log_file.path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
    assert_true(log_file.stderr_fd >= 0 && log >= 0 && dup2(log, STDERR_FILENO) >= 0);
    close(log);
}

static inline void log_file_end(void)
{
    dup2(log_file.stderr_fd, STDERR_FILENO);
    close(log_file.stderr_fd);
}

/* How many lines so far have this in them. */
static inline unsigned log_lines(const char *with)
{
    char line[1024];
    unsigned lines = 0;
    FILE *in = fopen(log_file.path, "r");
    assert_non_null(in);
    while (fgets(line, sizeof(line), in) != NULL)
        lines += strstr(line, with) != NULL;
    fclose(in);
    return lines;
}

#endif
