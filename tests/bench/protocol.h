/*
 * The boards' protocol of the bench (hal/sim/PROTOCOL.md): its lines as data. Pure text parsing.
 */
#ifndef HOLDFAST_BENCH_PROTOCOL_H
#define HOLDFAST_BENCH_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/name.h"

enum {
    BENCH_LINE_MAX = 127,  /* bytes of a line without its end */
    BENCH_ERROR_MAX = 200, /* bytes of an error's text */
    BENCH_WORDS_MAX = 6,
    BENCH_WATCHDOG_MAX_MS = 600000,
    BENCH_PID_MAX = 4194304
};

enum bench_role {
    BENCH_ROLE_NONE, /* has not said hello */
    BENCH_ROLE_GUARD,
    BENCH_ROLE_AGENT,
    BENCH_ROLE_GATEWAY
};

enum bench_verb {
    BENCH_HELLO,
    BENCH_OUT,
    BENCH_WD_ARM,
    BENCH_WD_FEED,
    BENCH_WD_STOP,
    BENCH_MODBUS
};

struct bench_command {
    enum bench_verb verb;
    enum bench_role role;    /* HELLO */
    int32_t pid;             /* HELLO */
    struct hf_name board;    /* HELLO */
    struct hf_name resource; /* OUT */
    struct hf_name line;     /* OUT */
    bool level;              /* OUT */
    uint32_t value;          /* WD_ARM: ms; MODBUS: port */
};

/*
 * Splits text at single spaces, in place. Returns the number of words, or 0 if there are none, too
 * many, an empty one, or a byte that is not printable ASCII.
 */
int bench_split_words(char *text, char *words[BENCH_WORDS_MAX]);

/* A decimal number without sign or leading zeros, low..high. */
bool bench_parse_number(const char *text, uint32_t low, uint32_t high, uint32_t *out);

/* Splits "RESOURCE/NAME". */
bool bench_parse_line_name(const char *text, struct hf_name *resource, struct hf_name *line);

/*
 * Parses one line (terminated, without its end) from a process in `role`. False, with the reason in
 * `error`, if it breaks a rule that can be seen without knowing the plant.
 */
bool bench_protocol_parse(const char *text, enum bench_role role, struct bench_command *command,
                          char error[BENCH_ERROR_MAX]);

const char *bench_role_name(enum bench_role role);

#endif
