#include "tests/bench/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/posix.h"

static bool join_words(char *out, size_t size, int count, char *const words[])
{
    size_t used = 0;
    for (int i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? " " : "", words[i]);
    if (used + 2 > size || strchr(out, '\n'))
        return false;
    out[used] = '\n';
    out[used + 1] = '\0';
    return true;
}

/* Prints lines until the last one of the answer. */
static int print_answer(FILE *stream)
{
    char line[CONTROL_ANSWER_MAX];
    while (fgets(line, sizeof line, stream)) {
        if (strncmp(line, "err ", 4) == 0) {
            fputs(line, stderr);
            return 1;
        }
        if (strcmp(line, "ok\n") == 0)
            return 0;
        fputs(line, stdout);
        if (strncmp(line, "ok ", 3) == 0)
            return 0;
    }
    fprintf(stderr, "bench: no answer within 5 s\n");
    return 3;
}

int control_client_run(const char *socket, int count, char *const words[])
{
    char line[CONTROL_LINE_MAX + 2];
    struct timeval limit = { .tv_sec = 5 };
    if (!join_words(line, sizeof line, count, words)) {
        fprintf(stderr, "ctl: command: too long or more than one line, allowed: 511 bytes\n");
        return 2;
    }
    int fd = posix_connect_unix(socket);
    if (fd < 0) {
        fprintf(stderr, "ctl: %s: %s\n", socket, strerror(errno));
        return 3;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    int status = 3;
    FILE *stream = fdopen(fd, "r");
    if (stream && posix_send(fd, line, strlen(line)))
        status = print_answer(stream);
    if (stream)
        fclose(stream);
    else
        close(fd);
    return status;
}
