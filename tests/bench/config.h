/*
 * The bench file: what boards, resources, lines and actuators the plant has. Read once at start,
 * owned by main, constant afterwards. README.md in this folder has the keys and an example.
 */
#ifndef HOLDFAST_BENCH_CONFIG_H
#define HOLDFAST_BENCH_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/name.h"
#include "tests/bench/witness.h"

enum {
    BENCH_ACTUATORS_MAX = 16,
    BENCH_PATH_MAX = 255,       /* characters of a file's path */
    BENCH_SOCKET_PATH_MAX = 107 /* sun_path less its terminator */
};

struct bench_line_config {
    struct hf_name name;
    enum witness_kind kind;
    uint32_t hold_ms;
    uint32_t energise_ms;
    bool readback;
    bool retain;
};

struct bench_resource_config {
    struct hf_name name;
    int line_count;
    struct bench_line_config lines[WITNESS_LINES_MAX];
};

struct bench_actuator_config {
    struct hf_name name;
    bool rtu;      /* on a pty of its own; else TCP */
    char host[64]; /* IPv4 address; TCP only */
    uint16_t port; /* 0: any free one; TCP only */
    uint8_t unit;  /* 1..247 */
    int resource;  /* index, or -1 if it belongs to none */
    uint32_t delay_ms;
};

struct bench_config {
    char socket[BENCH_PATH_MAX + 1];
    char ctl[BENCH_PATH_MAX + 1];
    char trace[BENCH_PATH_MAX + 1];
    uint32_t reset_ms;
    int board_count;
    struct hf_name boards[WITNESS_BOARDS_MAX];
    int resource_count;
    struct bench_resource_config resources[WITNESS_RESOURCES_MAX];
    int actuator_count;
    struct bench_actuator_config actuators[BENCH_ACTUATORS_MAX];
};

/*
 * Reads the file at `path`. Writes every error to `errors` as a line `FILE:LINE: key: value,
 * allowed`. Returns the number of errors; *config is complete only with 0.
 */
int bench_config_load(struct bench_config *config, const char *path, FILE *errors);

/* The index of the named board or resource, or -1. */
int bench_config_find_board(const struct bench_config *config, const struct hf_name *name);
int bench_config_find_resource(const struct bench_config *config, const struct hf_name *name);

#endif
