#include "conf/conf_report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 5, 0))) static void add(struct conf_report *report, unsigned line,
                                                      bool warning, const char *key,
                                                      const char *format, va_list arguments)
{
    if (!warning)
        report->errors++;
    if (report->count == CONF_REPORT_MAX) {
        report->dropped++;
        return;
    }
    struct conf_report_line *entry = &report->lines[report->count++];
    entry->line = line;
    entry->warning = warning;
    int used = 0;
    if (key)
        used = snprintf(entry->text, sizeof(entry->text), "%.300s: ", key);
    vsnprintf(entry->text + used, sizeof(entry->text) - (size_t)used, format, arguments);
}

void conf_report_error(struct conf_report *report, unsigned line, const char *key,
                       const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(report, line, false, key, format, arguments);
    va_end(arguments);
}

void conf_report_warning(struct conf_report *report, unsigned line, const char *key,
                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(report, line, true, key, format, arguments);
    va_end(arguments);
}

bool conf_report_has(const struct conf_report *report, const char *key)
{
    size_t length = strlen(key);
    for (int i = 0; i < report->count; i++) {
        const struct conf_report_line *line = &report->lines[i];
        if (!line->warning && strncmp(line->text, key, length) == 0 &&
            strchr(":.[", line->text[length]))
            return true;
    }
    return false;
}

/*
 * qsort is not stable, so within one line the addresses decide: they are in the order of finding.
 */
static int by_line(const void *left, const void *right)
{
    const struct conf_report_line *const *a = left;
    const struct conf_report_line *const *b = right;
    if ((*a)->line != (*b)->line)
        return (*a)->line < (*b)->line ? -1 : 1;
    return *a < *b ? -1 : *a > *b ? 1 : 0;
}

void conf_report_print(struct conf_report *report, const char *file, FILE *out)
{
    const struct conf_report_line *sorted[CONF_REPORT_MAX] = { NULL };
    for (int i = 0; i < report->count; i++)
        sorted[i] = &report->lines[i];
    /* Pointers are sorted: NOLINTNEXTLINE(bugprone-sizeof-expression) */
    qsort(sorted, (size_t)report->count, sizeof(sorted[0]), by_line);
    for (int i = 0; i < report->count; i++)
        fprintf(out, "%s:%u: %s%s\n", file, sorted[i]->line, sorted[i]->warning ? "warning: " : "",
                sorted[i]->text);
    if (report->dropped > 0)
        fprintf(out, "%s:0: %d more\n", file, report->dropped);
}
