#include "provision/tree_text.h"

#include <stdbool.h>
#include <string.h>

enum { INDENT = 4, FLOAT_MAX = 40 };

struct writer {
    FILE *out;
    int depth;
};

static void write_string(struct writer *writer, const char *text)
{
    fputc('"', writer->out);
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(writer->out, "\\%c", *c);
        else if (*c < ' ' || *c == 0x7f)
            fprintf(writer->out, "\\x%02x", *c);
        else
            fputc(*c, writer->out);
    }
    fputc('"', writer->out);
}

/* With a point in it, so that it is read as what it is. */
static void write_float(struct writer *writer, double number)
{
    char text[FLOAT_MAX];
    snprintf(text, sizeof(text), "%.17g", number);
    fprintf(writer->out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void write_scalar(struct writer *writer, const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        fprintf(writer->out, "%lld", config_setting_get_int64(setting));
        return;
    case CONFIG_TYPE_FLOAT:
        write_float(writer, config_setting_get_float(setting));
        return;
    case CONFIG_TYPE_BOOL:
        fputs(config_setting_get_bool(setting) ? "true" : "false", writer->out);
        return;
    default:
        write_string(writer, config_setting_get_string(setting));
        return;
    }
}

static const config_setting_t *sibling(const config_setting_t *setting)
{
    int next = config_setting_index(setting) + 1;
    const config_setting_t *parent = config_setting_parent(setting);
    return next < config_setting_length(parent) ? config_setting_get_elem(parent, (unsigned)next) :
                                                  NULL;
}

/* What follows a whole setting: in a group each ends by ';', in a list all but the last by ','. */
static const char *separator(const config_setting_t *setting)
{
    if (config_setting_is_group(config_setting_parent(setting)))
        return ";";
    return sibling(setting) ? "," : "";
}

/* Writes a scalar whole, of the rest what opens it. */
static void begin(struct writer *writer, const config_setting_t *setting)
{
    fprintf(writer->out, "%*s", writer->depth * INDENT, "");
    if (config_setting_name(setting))
        fprintf(writer->out, "%s = ", config_setting_name(setting));
    if (config_setting_is_aggregate(setting)) {
        fputc(config_setting_is_group(setting) ? '{' : '(', writer->out);
        writer->depth++;
    } else {
        write_scalar(writer, setting);
        fputs(separator(setting), writer->out);
    }
    fputc('\n', writer->out);
}

static void finish(struct writer *writer, const config_setting_t *setting)
{
    if (!config_setting_is_aggregate(setting))
        return;
    writer->depth--;
    fprintf(writer->out, "%*s%c%s\n", writer->depth * INDENT, "",
            config_setting_is_group(setting) ? '}' : ')', separator(setting));
}

static const config_setting_t *first_child(const config_setting_t *setting)
{
    return config_setting_is_aggregate(setting) && config_setting_length(setting) > 0 ?
               config_setting_get_elem(setting, 0) :
               NULL;
}

void tree_text_write(const config_setting_t *root, FILE *out)
{
    struct writer writer = { .out = out };
    const config_setting_t *at = first_child(root);
    while (at) {
        begin(&writer, at);
        const config_setting_t *next = first_child(at);
        /* Whatever ends here is finished on the way to what comes next. */
        while (!next && at != root) {
            finish(&writer, at);
            next = sibling(at);
            at = config_setting_parent(at);
        }
        at = next;
    }
}
