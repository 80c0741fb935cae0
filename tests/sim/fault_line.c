/* A fault as one line of words, and back: `12.345678 pause guard board-1 0.350000`. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "tests/sim/fault.h"

enum { WORD_MAX = 64, PLACES = SIM_ISSUERS_MAX + SIM_BOARDS_MAX };

static const char *const part_names[FAULT_PARTS] = {
    [PART_ISSUER] = "issuer",
    [PART_AGENT] = "agent",
    [PART_GUARD] = "guard",
    [PART_BOARD] = "board",
};

static const char *const resource_names[SIM_RESOURCES_MAX] = { "pump", "valve", "fan", "gate" };

const char *fault_resource_name(int resource)
{
    HF_CHECK(resource >= 0 && resource < SIM_RESOURCES_MAX);
    return resource_names[resource];
}

void fault_place_name(int place, char *text, size_t size)
{
    if (place == FAULT_LEADER)
        snprintf(text, size, "leader");
    else if (place < FAULT_BOARD)
        snprintf(text, size, "issuer-%d", place + 1);
    else
        snprintf(text, size, "board-%d", place - FAULT_BOARD + 1);
}

/* ---- printing */

static size_t print_seconds(char *text, size_t size, int64_t us)
{
    return (size_t)snprintf(text, size, "%" PRId64 ".%06" PRId64, us / 1000000, us % 1000000);
}

static void print_nodes(char *text, size_t size, unsigned nodes)
{
    char name[WORD_MAX];
    size_t length = 0;
    text[0] = '\0';
    for (int place = 0; place < PLACES; place++) {
        if (!(nodes >> place & 1))
            continue;
        fault_place_name(place, name, sizeof(name));
        length +=
            (size_t)snprintf(text + length, size - length, "%s%s", length > 0 ? "+" : "", name);
    }
}

static void print_field(const struct fault *fault, enum fault_field field, char *text, size_t size)
{
    switch (field) {
    case FIELD_PART:
        snprintf(text, size, "%s", part_names[fault->part]);
        return;
    case FIELD_NODE:
    case FIELD_ISSUER:
    case FIELD_BOARD:
        fault_place_name(fault->node, text, size);
        return;
    case FIELD_PEER:
        fault_place_name(fault->peer, text, size);
        return;
    case FIELD_RESOURCE:
        snprintf(text, size, "%s", fault_resource_name(fault->resource));
        return;
    case FIELD_NODES:
        print_nodes(text, size, fault->nodes);
        return;
    case FIELD_DURATION:
        print_seconds(text, size, fault->duration_us);
        return;
    case FIELD_PERIOD:
        print_seconds(text, size, fault->period_us);
        return;
    case FIELD_PPM:
        snprintf(text, size, "%" PRId32, fault->ppm);
        return;
    case FIELD_WORD:
        snprintf(text, size, "%s", fault_table[fault->kind].word[fault->word]);
        return;
    case FIELD_END:
        break;
    }
    hf_panic(__FILE__, __LINE__, "field of a fault");
}

const char *fault_print(const struct fault *fault, char *text)
{
    const struct fault_row *row = &fault_table[fault->kind];
    size_t length = print_seconds(text, FAULT_LINE_MAX, fault->at_us);
    length += (size_t)snprintf(text + length, FAULT_LINE_MAX - length, " %s", row->name);
    for (int i = 0; i < FAULT_FIELDS_MAX && row->field[i] != FIELD_END; i++) {
        text[length++] = ' ';
        print_field(fault, row->field[i], text + length, FAULT_LINE_MAX - length);
        length += strlen(text + length);
    }
    return text;
}

/* ---- reading */

/* The next word, in `word` of WORD_MAX bytes; empty at the end or if it is too long. */
static const char *take_word(const char *line, char *word)
{
    line += strspn(line, " \t");
    size_t length = strcspn(line, " \t");
    size_t kept = length < WORD_MAX ? length : 0;
    memcpy(word, line, kept);
    word[kept] = '\0';
    return line + length;
}

/* Whole digits only, at most 12 of them. */
static bool take_digits(const char **text, int64_t *number, size_t *count)
{
    size_t digits = strspn(*text, "0123456789");
    if (digits == 0 || digits > 12)
        return false;
    *number = 0;
    for (size_t i = 0; i < digits; i++)
        *number = *number * 10 + ((*text)[i] - '0');
    *text += digits;
    *count = digits;
    return true;
}

bool fault_parse_seconds(const char *text, int64_t *us)
{
    int64_t whole = 0;
    int64_t part = 0;
    size_t digits = 0;
    if (!take_digits(&text, &whole, &digits))
        return false;
    if (*text == '.') {
        text++;
        if (!take_digits(&text, &part, &digits) || digits > 6)
            return false;
        for (; digits < 6; digits++)
            part *= 10;
    }
    *us = whole * 1000000 + part;
    return *text == '\0';
}

static bool parse_place(const char *text, bool leader, int *place)
{
    char name[WORD_MAX];
    for (int i = leader ? FAULT_LEADER : 0; i < PLACES; i++) {
        fault_place_name(i, name, sizeof(name));
        if (strcmp(name, text) == 0) {
            *place = i;
            return true;
        }
    }
    return false;
}

static bool parse_nodes(const char *text, unsigned *nodes)
{
    char name[WORD_MAX];
    *nodes = 0;
    while (true) {
        int place = 0;
        size_t length = strcspn(text, "+");
        memcpy(name, text, length);
        name[length] = '\0';
        if (!parse_place(name, false, &place))
            return false;
        *nodes |= 1u << place;
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
}

static bool parse_ppm(const char *text, int32_t *ppm)
{
    int64_t number = 0;
    size_t digits = 0;
    bool negative = *text == '-';
    text += negative;
    if (!take_digits(&text, &number, &digits) || *text != '\0' || number > 500000)
        return false;
    *ppm = (int32_t)(negative ? -number : number);
    return true;
}

static bool parse_one_of(const char *text, const char *const *names, int count, int *which)
{
    for (*which = 0; *which < count && names[*which]; ++*which) {
        if (strcmp(names[*which], text) == 0)
            return true;
    }
    return false;
}

static bool parse_field(struct fault *fault, enum fault_field field, const char *text)
{
    int part = 0;
    switch (field) {
    case FIELD_PART:
        if (!parse_one_of(text, part_names, FAULT_PARTS, &part))
            return false;
        fault->part = (enum fault_part)part;
        return true;
    case FIELD_NODE:
        return parse_place(text, true, &fault->node);
    case FIELD_ISSUER:
        return parse_place(text, true, &fault->node) && fault->node < FAULT_BOARD;
    case FIELD_BOARD:
        return parse_place(text, false, &fault->node) && fault->node >= FAULT_BOARD;
    case FIELD_PEER:
        return parse_place(text, false, &fault->peer);
    case FIELD_RESOURCE:
        return parse_one_of(text, resource_names, SIM_RESOURCES_MAX, &fault->resource);
    case FIELD_NODES:
        return parse_nodes(text, &fault->nodes);
    case FIELD_DURATION:
        return fault_parse_seconds(text, &fault->duration_us);
    case FIELD_PERIOD:
        return fault_parse_seconds(text, &fault->period_us) && fault->period_us > 0;
    case FIELD_PPM:
        return parse_ppm(text, &fault->ppm);
    case FIELD_WORD:
        return parse_one_of(text, fault_table[fault->kind].word, FAULT_WORDS_MAX, &fault->word);
    case FIELD_END:
        break;
    }
    hf_panic(__FILE__, __LINE__, "field of a fault");
}

static const char *field_what(enum fault_field field)
{
    static const char *const what[] = {
        [FIELD_END] = "nothing more",
        [FIELD_PART] = "issuer, agent, guard or board",
        [FIELD_NODE] = "issuer-N, board-N or leader",
        [FIELD_ISSUER] = "issuer-N or leader",
        [FIELD_BOARD] = "board-N",
        [FIELD_PEER] = "issuer-N or board-N",
        [FIELD_RESOURCE] = "pump or valve",
        [FIELD_NODES] = "nodes joined by +",
        [FIELD_DURATION] = "a duration in seconds",
        [FIELD_PERIOD] = "a period in seconds, above 0",
        [FIELD_PPM] = "-500000 to 500000 ppm",
        [FIELD_WORD] = "one of",
    };
    return what[field];
}

static const char *refuse_field(const struct fault_row *row, enum fault_field field,
                                const char *text, char *error)
{
    int length =
        snprintf(error, FAULT_LINE_MAX, "%s: '%s' is not %s", row->name, text, field_what(field));
    if (field != FIELD_WORD)
        return error;
    for (int i = 0; i < FAULT_WORDS_MAX && row->word[i] && length < FAULT_LINE_MAX; i++)
        length += snprintf(error + length, FAULT_LINE_MAX - (size_t)length, " %s", row->word[i]);
    return error;
}

/* A part is where its node is. */
static bool is_sound(const struct fault *fault)
{
    const struct fault_row *row = &fault_table[fault->kind];
    bool issuer = fault->node < FAULT_BOARD;
    if (row->field[0] == FIELD_PART)
        return fault->part == PART_BOARD ? false : (fault->part == PART_ISSUER) == issuer;
    return true;
}

static const char *parse_kind(struct fault *fault, const char *word, char *error)
{
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        if (strcmp(fault_table[kind].name, word) == 0) {
            fault->kind = (enum fault_kind)kind;
            return NULL;
        }
    }
    snprintf(error, FAULT_LINE_MAX, "'%s' is no kind of fault", word);
    return error;
}

const char *fault_parse(struct fault *fault, const char *line, char *error)
{
    char word[WORD_MAX];
    memset(fault, 0, sizeof(*fault));
    line = take_word(line, word);
    if (!fault_parse_seconds(word, &fault->at_us)) {
        snprintf(error, FAULT_LINE_MAX, "'%s' is no true time in seconds", word);
        return error;
    }
    line = take_word(line, word);
    if (parse_kind(fault, word, error))
        return error;
    const struct fault_row *row = &fault_table[fault->kind];
    for (int i = 0; i < FAULT_FIELDS_MAX && row->field[i] != FIELD_END; i++) {
        line = take_word(line, word);
        if (parse_field(fault, row->field[i], word))
            continue;
        return refuse_field(row, row->field[i], word, error);
    }
    take_word(line, word);
    if (word[0] != '\0') {
        snprintf(error, FAULT_LINE_MAX, "%s: '%s' is too much", row->name, word);
        return error;
    }
    if (is_sound(fault))
        return NULL;
    snprintf(error, FAULT_LINE_MAX, "%s: no such part there", row->name);
    return error;
}
