#include "tests/bench/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool trace_open(struct trace *trace, const char *path)
{
    trace->failed = false;
    trace->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
    return trace->fd >= 0;
}

static void fail(struct trace *trace, const char *why)
{
    if (!trace->failed)
        fprintf(stderr, "trace: %s, the trace is incomplete\n", why);
    trace->failed = true;
}

static void put(struct trace *trace, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(trace->fd, text, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            fail(trace, strerror(errno));
            return;
        }
        text += written;
        length -= (size_t)written;
    }
}

void trace_write(struct trace *trace, int64_t at_ns, const char *event, const char *format, ...)
{
    char line[TRACE_LINE_MAX];
    int head = snprintf(line, sizeof line, "{\"t_ns\":%" PRId64 ",\"ev\":\"%s\"", at_ns, event);
    va_list arguments;
    va_start(arguments, format);
    int rest = vsnprintf(line + head, sizeof line - (size_t)head, format, arguments);
    va_end(arguments);
    size_t length = (size_t)head + (size_t)rest;
    if (rest < 0 || length + 2 >= sizeof line) {
        fail(trace, "a line is too long");
        return;
    }
    line[length++] = '}';
    line[length++] = '\n';
    put(trace, line, length);
}

void trace_escape(char *out, size_t size, const char *text)
{
    size_t used = 0;
    for (; *text != '\0' && used + 3 <= size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            out[used++] = '\\';
        char shown = *text;
        if (c < ' ' || c > '~')
            shown = '?';
        out[used++] = shown;
    }
    out[used] = '\0';
}

void trace_close(struct trace *trace)
{
    if (trace->fd >= 0)
        close(trace->fd);
    trace->fd = -1;
}
