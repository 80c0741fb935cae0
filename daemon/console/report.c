#include "console/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* ---- growing text ---- */

static bool text_reserve(struct text *text, size_t more)
{
    size_t need = text->length + more + 1;
    if (text->failed)
        return false;
    if (need <= text->capacity)
        return true;
    size_t capacity = text->capacity < 256 ? 256 : text->capacity;
    while (capacity < need)
        capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void text_append(struct text *text, const char *data, size_t length)
{
    if (!text_reserve(text, length))
        return;
    memcpy(text->data + text->length, data, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void text_print(struct text *text, const char *format, ...)
{
    char small[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(small, sizeof(small), format, arguments);
    va_end(arguments);
    if (length < 0)
        return;
    if ((size_t)length < sizeof(small)) {
        text_append(text, small, (size_t)length);
        return;
    }
    if (!text_reserve(text, (size_t)length))
        return;
    va_start(arguments, format);
    vsnprintf(text->data + text->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
}

void text_free(struct text *text)
{
    free(text->data);
    memset(text, 0, sizeof(*text));
}

static void text_json_string(struct text *text, const char *value)
{
    text_append(text, "\"", 1);
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (c == '"' || c == '\\')
            text_print(text, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            text_print(text, "\\u%04x", c);
        else
            text_append(text, value, 1);
    }
    text_append(text, "\"", 1);
}

/* ---- keys: "left_ms" is shown as "left" with "ms" behind the value ---- */

static const char *key_unit(const char *key)
{
    static const char *const units[] = { "ms", "us", "bytes", "ppm" };
    const char *last = strrchr(key, '_');
    for (size_t i = 0; last != NULL && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(last + 1, units[i]) == 0)
            return units[i];
    }
    return NULL;
}

static int key_shown_length(const char *key)
{
    const char *unit = key_unit(key);
    return (int)(unit == NULL ? strlen(key) : strlen(key) - strlen(unit) - 1);
}

/* ---- fields ---- */

void report_open(struct report *report, bool json)
{
    memset(report, 0, sizeof(*report));
    report->json = json;
    report->first_field = true;
    report->keys_width = REPORT_KEYS_MIN;
    if (json)
        text_append(&report->out, "{", 1);
}

static void report_json_key(struct report *report, const char *key)
{
    if (!report->first_field)
        text_append(&report->out, ",", 1);
    report->first_field = false;
    text_json_string(&report->out, key);
    text_append(&report->out, ":", 1);
}

/* At the top level: kept until it is known how wide the column of keys is. */
static void report_pair(struct report *report, const char *key, const char *value)
{
    size_t length = (size_t)key_shown_length(key);
    if (length > report->keys_width)
        report->keys_width = length;
    text_append(&report->cells, key, length);
    text_append(&report->cells, "", 1);
    text_append(&report->cells, value, strlen(value) + 1);
    report->pairs++;
}

static void report_print_pairs(struct report *report)
{
    const char *cell = report->cells.data;
    for (size_t i = 0; i < report->pairs && !report->cells.failed; i++) {
        const char *value = cell + strlen(cell) + 1;
        text_print(&report->out, "%-*s %s\n", (int)report->keys_width, cell, value);
        cell = value + strlen(value) + 1;
    }
    report->out.failed |= report->cells.failed;
    text_free(&report->cells);
    report->pairs = 0;
    report->keys_width = REPORT_KEYS_MIN;
}

static void report_cell(struct report *report, const char *key, const char *value)
{
    HF_CHECK(report->in_row && report->column < REPORT_COLUMNS_MAX);
    size_t at = report->column++;
    if (at == report->columns) {
        report->key[at] = key;
        report->width[at] = (size_t)key_shown_length(key);
        report->columns++;
    }
    size_t length = strlen(value);
    if (length > report->width[at])
        report->width[at] = length;
    text_append(&report->cells, value, length + 1);
}

/* `json` is the value's JSON form if it is not a string. */
static void report_field(struct report *report, const char *key, const char *value,
                         const char *json)
{
    if (report->json) {
        report_json_key(report, key);
        if (json != NULL)
            text_append(&report->out, json, strlen(json));
        else
            text_json_string(&report->out, value);
    } else if (report->in_list) {
        report_cell(report, key, value);
    } else {
        report_pair(report, key, value);
    }
}

void report_text(struct report *report, const char *key, const char *value)
{
    report_field(report, key, value[0] == '\0' && !report->json ? "-" : value, NULL);
}

static void report_with_unit(struct report *report, const char *key, const char *digits)
{
    char value[64];
    const char *unit = key_unit(key);
    snprintf(value, sizeof(value), "%s%s%s", digits, unit != NULL ? " " : "",
             unit != NULL ? unit : "");
    report_field(report, key, value, digits);
}

void report_number(struct report *report, const char *key, int64_t value)
{
    char digits[32];
    snprintf(digits, sizeof(digits), "%" PRId64, value);
    report_with_unit(report, key, digits);
}

void report_token(struct report *report, const char *key, uint64_t value)
{
    char digits[32];
    snprintf(digits, sizeof(digits), "%" PRIu64, value);
    report_with_unit(report, key, digits);
}

void report_milli(struct report *report, const char *key, int64_t value)
{
    char digits[48];
    uint64_t size = value < 0 ? (uint64_t)-value : (uint64_t)value;
    snprintf(digits, sizeof(digits), "%s%" PRIu64 ".%03" PRIu64, value < 0 ? "-" : "", size / 1000,
             size % 1000);
    report_with_unit(report, key, digits);
}

void report_flag(struct report *report, const char *key, bool value)
{
    report_field(report, key, value ? "yes" : "no", value ? "true" : "false");
}

void report_none(struct report *report, const char *key)
{
    report_field(report, key, "-", "null");
}

/* ---- lists ---- */

void report_list_open(struct report *report, const char *key)
{
    HF_CHECK(!report->in_list);
    report_print_pairs(report);
    report->in_list = true;
    report->first_row = true;
    report->columns = report->rows = 0;
    if (!report->json) {
        text_print(&report->out, "%s%s:\n", report->out.length > 0 ? "\n" : "", key);
        return;
    }
    report_json_key(report, key);
    text_append(&report->out, "[", 1);
}

void report_row(struct report *report)
{
    HF_CHECK(report->in_list);
    if (report->json) {
        text_print(&report->out, "%s%s{", report->in_row ? "}" : "", report->first_row ? "" : ",");
        report->first_field = true;
    }
    report->first_row = false;
    report->in_row = true;
    report->column = 0;
    report->rows++;
}

/* Padding at the end of a line is of no use to anybody. */
static void report_end_line(struct text *text)
{
    while (text->length > 0 && text->data[text->length - 1] == ' ')
        text->data[--text->length] = '\0';
    text_append(text, "\n", 1);
}

static void report_print_table(struct report *report)
{
    const char *cell = report->cells.data;
    for (size_t i = 0; i < report->columns; i++)
        text_print(&report->out, "  %-*.*s", (int)report->width[i],
                   key_shown_length(report->key[i]), report->key[i]);
    report_end_line(&report->out);
    for (size_t row = 0; row < report->rows && !report->cells.failed; row++) {
        for (size_t i = 0; i < report->columns; i++) {
            text_print(&report->out, "  %-*s", (int)report->width[i], cell);
            cell += strlen(cell) + 1;
        }
        report_end_line(&report->out);
    }
}

void report_list_close(struct report *report)
{
    HF_CHECK(report->in_list);
    if (report->json) {
        text_print(&report->out, "%s]", report->in_row ? "}" : "");
        report->first_field = false;
    } else if (report->rows == 0) {
        text_print(&report->out, "  none\n");
    } else {
        report_print_table(report);
    }
    report->out.failed |= report->cells.failed;
    text_free(&report->cells);
    report->in_list = report->in_row = false;
}

void report_close(struct report *report)
{
    HF_CHECK(!report->in_list);
    report_print_pairs(report);
    if (report->json)
        text_append(&report->out, "}\n", 2);
}
