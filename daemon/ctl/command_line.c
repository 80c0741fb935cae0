#include "ctl/command_line.h"

#include <stddef.h>
#include <string.h>

enum option_kind { OPTION_TEXT, OPTION_FORMAT, OPTION_FLAG };

struct option_row {
    const char *brief;
    const char *name;
    enum option_kind kind;
    bool anywhere; /* taken behind the command, too */
    size_t offset;
    const char *value_name;
};

static const struct option_row rows[] = {
    { "-c", "--config", OPTION_TEXT, false, offsetof(struct ctl_options, conf_file), "FILE" },
    { "-H", "--host", OPTION_TEXT, false, offsetof(struct ctl_options, host), "HOST:PORT" },
    { "", "--node", OPTION_TEXT, false, offsetof(struct ctl_options, node), "ID" },
    { "", "--ca", OPTION_TEXT, false, offsetof(struct ctl_options, ca), "FILE" },
    { "", "--cert", OPTION_TEXT, false, offsetof(struct ctl_options, cert), "FILE" },
    { "", "--key", OPTION_TEXT, false, offsetof(struct ctl_options, key), "FILE" },
    { "-o", "--output", OPTION_FORMAT, true, 0, "table|json" },
    { "", "--json", OPTION_FLAG, true, offsetof(struct ctl_options, json), NULL },
    { "-h", "--help", OPTION_FLAG, true, offsetof(struct ctl_options, help), NULL },
    { "-V", "--version", OPTION_FLAG, false, offsetof(struct ctl_options, version), NULL },
};

/* The row of an argument, and where its value starts if it is joined by '='. */
static const struct option_row *find_row(const char *argument, const char **joined)
{
    *joined = NULL;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t length = strlen(rows[i].name);
        if (strcmp(argument, rows[i].brief) == 0 || strcmp(argument, rows[i].name) == 0)
            return &rows[i];
        if (strncmp(argument, rows[i].name, length) == 0 && argument[length] == '=') {
            *joined = argument + length + 1;
            return &rows[i];
        }
    }
    return NULL;
}

static bool set_format(struct ctl_options *options, const char *value, FILE *errors)
{
    options->json = strcmp(value, "json") == 0;
    if (options->json || strcmp(value, "table") == 0)
        return true;
    fprintf(errors, "holdfastctl: -o: \"%s\", must be table or json\n", value);
    return false;
}

/* Applies one option, that was `typed` so; `value`: NULL if it was given none. */
static bool take_option(struct ctl_options *options, const struct option_row *row,
                        const char *typed, const char *value, FILE *errors)
{
    if (row->kind == OPTION_FLAG) {
        if (value) {
            fprintf(errors, "holdfastctl: %s: \"%s\", takes no value\n", row->name, value);
            return false;
        }
        memcpy((char *)options + row->offset, &(bool){ true }, sizeof(bool));
        return true;
    }
    if (!value || value[0] == '\0') {
        fprintf(errors, "holdfastctl: %s: no value, must be %s\n", typed, row->value_name);
        return false;
    }
    if (row->kind == OPTION_FORMAT)
        return set_format(options, value, errors);
    memcpy((char *)options + row->offset, &value, sizeof(value));
    return true;
}

static bool take_word(struct ctl_options *options, const char *word, FILE *errors)
{
    for (const char *c = word; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            fprintf(errors, "holdfastctl: word %d holds a control character, must be text\n",
                    options->word_count + 1);
            return false;
        }
    }
    if (options->word_count == CTL_WORDS_MAX) {
        fprintf(errors, "holdfastctl: more than %d words, no command has so many\n", CTL_WORDS_MAX);
        return false;
    }
    options->words[options->word_count++] = word;
    return true;
}

bool ctl_options_parse(struct ctl_options *options, int argc, char *const *argv, FILE *errors)
{
    memset(options, 0, sizeof(*options));
    for (int i = 1; i < argc; i++) {
        const char *value; /* joined to the option by '=', else the next argument */
        const struct option_row *row = find_row(argv[i], &value);
        bool behind = options->word_count > 0;
        if (row && (!behind || row->anywhere)) {
            const char *typed = value ? row->name : argv[i];
            if (row->kind != OPTION_FLAG && !value && i + 1 < argc)
                value = argv[++i];
            if (!take_option(options, row, typed, value, errors))
                return false;
        } else if (!behind && argv[i][0] == '-') {
            fprintf(errors, "holdfastctl: %s: unknown option, see holdfastctl --help\n", argv[i]);
            return false;
        } else if (!take_word(options, argv[i], errors)) {
            return false;
        }
    }
    return true;
}

const char *ctl_words_value(const struct ctl_options *options, int first, const char *name,
                            bool *missing)
{
    size_t length = strlen(name);
    for (int i = first; i < options->word_count; i++) {
        const char *word = options->words[i];
        if (strncmp(word, name, length) != 0)
            continue;
        if (word[length] == '=')
            return word + length + 1;
        if (word[length] == '\0' && i + 1 < options->word_count)
            return options->words[i + 1];
        *missing = *missing || word[length] == '\0';
    }
    return NULL;
}
