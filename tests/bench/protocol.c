#include "tests/bench/protocol.h"

#include <stdio.h>
#include <string.h>

enum { ROLES = BENCH_ROLE_GATEWAY + 1, VERBS = BENCH_MODBUS + 1 };

/* Who may say what: every role x every command. */
static const bool allowed[ROLES][VERBS] = {
    /*                       hello  out    arm    feed   stop   modbus */
    [BENCH_ROLE_NONE] = { true, false, false, false, false, false },
    [BENCH_ROLE_GUARD] = { false, true, true, true, true, false },
    [BENCH_ROLE_AGENT] = { false, false, false, false, false, false },
    [BENCH_ROLE_GATEWAY] = { false, false, false, false, false, true },
};

const char *bench_role_name(enum bench_role role)
{
    static const char *const names[ROLES] = { "nobody", "guard", "agent", "gateway" };
    return names[role];
}

int bench_split_words(char *text, char *words[BENCH_WORDS_MAX])
{
    int count = 0;
    bool inside = false;
    for (char *at = text; *at != '\0'; at++) {
        if (*at == ' ') {
            if (!inside)
                return 0;
            *at = '\0';
            inside = false;
        } else if (*at < '!' || *at > '~') {
            return 0;
        } else if (!inside) {
            if (count == BENCH_WORDS_MAX)
                return 0;
            words[count++] = at;
            inside = true;
        }
    }
    return inside ? count : 0;
}

bool bench_parse_number(const char *text, uint32_t low, uint32_t high, uint32_t *out)
{
    uint64_t value = 0;
    if (text[0] == '\0' || strlen(text) > 10 || (text[0] == '0' && text[1] != '\0'))
        return false;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9')
            return false;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    if (value < low || value > high)
        return false;
    *out = (uint32_t)value;
    return true;
}

bool bench_parse_line_name(const char *text, struct hf_name *resource, struct hf_name *line)
{
    const char *slash = strchr(text, '/');
    return slash && name_set(resource, text, (size_t)(slash - text)) &&
           name_from_string(line, slash + 1);
}

static bool refuse(char error[BENCH_ERROR_MAX], const char *what, const char *value,
                   const char *rule)
{
    snprintf(error, BENCH_ERROR_MAX, "%s: %.40s, allowed: %s", what, value, rule);
    return false;
}

static bool parse_hello(char *words[], struct bench_command *command, char error[BENCH_ERROR_MAX])
{
    uint32_t pid = 0;
    if (!name_from_string(&command->board, words[1]))
        return refuse(error, "hello: board", words[1], "a board of the bench file");
    for (int role = BENCH_ROLE_GUARD; role < ROLES; role++)
        if (strcmp(words[2], bench_role_name((enum bench_role)role)) == 0)
            command->role = (enum bench_role)role;
    if (command->role == BENCH_ROLE_NONE)
        return refuse(error, "hello: role", words[2], "guard, agent or gateway");
    if (!bench_parse_number(words[3], 2, BENCH_PID_MAX, &pid))
        return refuse(error, "hello: pid", words[3], "2 to 4194304");
    command->pid = (int32_t)pid;
    return true;
}

static bool parse_out(char *words[], struct bench_command *command, char error[BENCH_ERROR_MAX])
{
    if (!bench_parse_line_name(words[1], &command->resource, &command->line))
        return refuse(error, "out: line", words[1], "RESOURCE/NAME");
    if (strcmp(words[2], "0") != 0 && strcmp(words[2], "1") != 0)
        return refuse(error, "out: level", words[2], "0 or 1");
    command->level = words[2][0] == '1';
    return true;
}

static bool parse_arm(char *words[], struct bench_command *command, char error[BENCH_ERROR_MAX])
{
    if (!bench_parse_number(words[2], 1, BENCH_WATCHDOG_MAX_MS, &command->value))
        return refuse(error, "wd arm: timeout", words[2], "1 to 600000 ms");
    return true;
}

static bool parse_port(char *words[], struct bench_command *command, char error[BENCH_ERROR_MAX])
{
    if (!bench_parse_number(words[1], 1, 65535, &command->value))
        return refuse(error, "modbus: port", words[1], "1 to 65535");
    return true;
}

struct form {
    const char *word;
    const char *second; /* NULL if the second word is an argument */
    int words;
    bool (*parse)(char *words[], struct bench_command *command, char error[BENCH_ERROR_MAX]);
    const char *usage;
};

static const struct form forms[VERBS] = {
    [BENCH_HELLO] = { "hello", NULL, 4, parse_hello, "hello BOARD ROLE PID" },
    [BENCH_OUT] = { "out", NULL, 3, parse_out, "out RESOURCE/NAME 0|1" },
    [BENCH_WD_ARM] = { "wd", "arm", 3, parse_arm, "wd arm MS" },
    [BENCH_WD_FEED] = { "wd", "feed", 2, NULL, "wd feed" },
    [BENCH_WD_STOP] = { "wd", "stop", 2, NULL, "wd stop" },
    [BENCH_MODBUS] = { "modbus", NULL, 2, parse_port, "modbus PORT" },
};

static const struct form *find_form(char *words[], int count, enum bench_verb *verb)
{
    for (int i = 0; i < VERBS; i++)
        if (strcmp(words[0], forms[i].word) == 0 &&
            (!forms[i].second || (count > 1 && strcmp(words[1], forms[i].second) == 0))) {
            *verb = (enum bench_verb)i;
            return &forms[i];
        }
    return NULL;
}

bool bench_protocol_parse(const char *text, enum bench_role role, struct bench_command *command,
                          char error[BENCH_ERROR_MAX])
{
    char copy[BENCH_LINE_MAX + 1];
    char *words[BENCH_WORDS_MAX];
    memset(command, 0, sizeof *command);
    if (strlen(text) > BENCH_LINE_MAX)
        return refuse(error, "line", text, "at most 127 bytes");
    memcpy(copy, text, strlen(text) + 1);
    int count = bench_split_words(copy, words);
    if (count == 0)
        return refuse(error, "line", "malformed",
                      "up to 6 words of printable ASCII, single spaces between them");
    const struct form *form = find_form(words, count, &command->verb);
    if (!form)
        return refuse(error, "command", words[0], "hello, out, wd arm|feed|stop, modbus");
    if (count != form->words)
        return refuse(error, form->word, "wrong number of words", form->usage);
    if (!allowed[role][command->verb]) {
        bool first = role == BENCH_ROLE_NONE;
        snprintf(error, BENCH_ERROR_MAX, "%s: not from %s, allowed: %s", form->usage,
                 first ? "a stranger" : bench_role_name(role),
                 first                         ? "hello BOARD ROLE PID first" :
                 command->verb == BENCH_HELLO  ? "one hello per connection" :
                 command->verb == BENCH_MODBUS ? "a gateway" :
                                                 "a guard");
        return false;
    }
    return !form->parse || form->parse(words, command, error);
}
