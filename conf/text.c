#include "conf/text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *file_kind(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a pipe";
    case S_IFSOCK:
        return "a socket";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    default:
        return "of an unknown kind";
    }
}

static bool is_regular(int result, const struct stat *status, struct conf_report *report)
{
    if (result != 0)
        conf_report_error(report, 0, NULL, "cannot read: %s", strerror(errno));
    else if (!S_ISREG(status->st_mode))
        conf_report_error(report, 0, NULL, "cannot read: it is %s, must be a regular file",
                          file_kind(status->st_mode));
    return result == 0 && S_ISREG(status->st_mode);
}

/*
 * -1: refused. A pipe might never have an end, and to open a device may do something: that of a
 * watchdog would be armed. So it is looked at first, and again once it is open: the name may be
 * another file's by then.
 */
static int open_regular(const char *file, struct conf_report *report)
{
    struct stat status;
    if (!is_regular(stat(file, &status), &status, report))
        return -1;
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        conf_report_error(report, 0, NULL, "cannot read: %s", strerror(errno));
        return -1;
    }
    if (is_regular(fstat(fd, &status), &status, report))
        return fd;
    close(fd);
    return -1;
}

static char *read_stream(FILE *stream, struct conf_report *report)
{
    char *text = malloc(CONF_TEXT_MAX + 2);
    if (!text) {
        conf_report_error(report, 0, NULL, "cannot read: out of memory");
        return NULL;
    }
    size_t length = fread(text, 1, CONF_TEXT_MAX + 1, stream);
    text[length] = '\0';
    if (ferror(stream))
        conf_report_error(report, 0, NULL, "cannot read: %s", strerror(errno));
    else if (length > CONF_TEXT_MAX)
        conf_report_error(report, 0, NULL, "more than %d bytes, at most that are allowed",
                          CONF_TEXT_MAX);
    else if (strlen(text) != length)
        conf_report_error(report, 0, NULL, "syntax: a zero byte at offset %zu, text is allowed",
                          strlen(text));
    else
        return text;
    free(text);
    return NULL;
}

char *conf_text_read(const char *file, struct conf_report *report)
{
    int fd = open_regular(file, report);
    if (fd < 0)
        return NULL;
    FILE *stream = fdopen(fd, "r");
    if (!stream) {
        conf_report_error(report, 0, NULL, "cannot read: %s", strerror(errno));
        close(fd);
        return NULL;
    }
    char *text = read_stream(stream, report);
    fclose(stream);
    return text;
}

/* What some editors put before a text in UTF-8. */
static const char byte_order_mark[] = "\xef\xbb\xbf";

/* The end of a string or a comment that starts at `at`; `at` itself if none does. */
static const char *skip_quiet(const char *at, unsigned *line, struct conf_report *report)
{
    const char *end = at;
    if (*at == '"') {
        for (end = at + 1; *end != '\0' && *end != '"'; end++) {
            if (*end == '\\' && end[1] != '\0')
                end++;
        }
        if (*end == '\0')
            conf_report_error(report, *line, NULL, "syntax: a string that starts here has no end");
        else
            end++;
    } else if (*at == '#' || (at[0] == '/' && at[1] == '/')) {
        end = at + strcspn(at, "\n");
    } else if (at[0] == '/' && at[1] == '*') {
        const char *close = strstr(at + 2, "*/");
        end = close ? close + 2 : at + strlen(at);
    }
    for (const char *c = at; c < end; c++)
        *line += *c == '\n';
    return end;
}

/*
 * The length of what stands behind a number as its unit, blanks before it included, or 0. The L
 * that ends a wide number is none, nor is the key of the next setting.
 */
static size_t unit_length(const char *behind)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ%";
    const char *word = behind + strspn(behind, " \t");
    const char *end = word + strspn(word, letters);
    const char *next = end + strspn(end, " \t");
    bool is_key = *end == '_' || *end == '-' || *end == '*' || isdigit((unsigned char)*end) ||
                  *next == '=' || *next == ':';
    return end == word || *word == 'L' || is_key ? 0 : (size_t)(end - behind);
}

/* Checks the number that starts at `at`; returns its end. */
static const char *check_number(const char *at, unsigned line, struct conf_report *report)
{
    char *end;
    bool hex = at[0] == '0' && (at[1] == 'x' || at[1] == 'X');
    errno = 0;
    unsigned long long value = strtoull(at, &end, hex ? 16 : 10);
    size_t length = strspn(at, "0123456789abcdefABCDEFxX.+-");
    bool real = !hex && (*end == '.' || *end == 'e' || *end == 'E');
    bool wide = errno == ERANGE || value > INT32_MAX;
    size_t unit = unit_length(at + length);
    if (unit > 0)
        conf_report_error(report, line, NULL,
                          "syntax: number %.*s, must be without a unit: the key names it",
                          (int)(length + unit > 40 ? 40 : length + unit), at);
    else if (!real && wide)
        conf_report_error(report, line, NULL, "syntax: number %.*s, at most %d is allowed",
                          (int)(length > 40 ? 40 : length), at, INT32_MAX);
    return at + (length + unit > 0 ? length + unit : 1);
}

void conf_text_check(const char *text, struct conf_report *report)
{
    unsigned line = 1;
    const char *at = text;
    if (strncmp(at, byte_order_mark, strlen(byte_order_mark)) == 0) {
        conf_report_error(report, line, NULL,
                          "syntax: a byte order mark (EF BB BF), must begin without: save it as "
                          "\"UTF-8 without BOM\", or: tail -c +4 FILE > NEW-FILE");
        at += strlen(byte_order_mark);
    }
    while (*at != '\0') {
        const char *after = skip_quiet(at, &line, report);
        if (after != at) {
            at = after;
        } else if (isalpha((unsigned char)*at) || *at == '_') {
            at += strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-*");
        } else if (isdigit((unsigned char)*at)) {
            at = check_number(at, line, report);
        } else {
            if (strncmp(at, "@include", 8) == 0)
                conf_report_error(report, line, NULL,
                                  "syntax: @include, one file must hold the whole configuration");
            line += *at == '\n';
            at++;
        }
    }
}

uint16_t conf_address_port(const char *address)
{
    const char *colon = strrchr(address, ':');
    char host[INET6_ADDRSTRLEN + 2];
    struct in6_addr binary;
    if (!colon || (size_t)(colon - address) >= sizeof(host))
        return CONF_PORT_BAD;
    size_t length = (size_t)(colon - address);
    memcpy(host, address, length);
    host[length] = '\0';
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0' || colon[1] == '0')
        return CONF_PORT_BAD;
    long port = strtol(colon + 1, NULL, 10);
    if (port > UINT16_MAX)
        return CONF_PORT_BAD;
    bool bracketed = length > 2 && host[0] == '[' && host[length - 1] == ']';
    if (bracketed)
        host[length - 1] = '\0';
    int known =
        bracketed ? inet_pton(AF_INET6, host + 1, &binary) : inet_pton(AF_INET, host, &binary);
    return known == 1 ? (uint16_t)port : CONF_PORT_BAD;
}
