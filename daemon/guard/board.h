/*
 * The board's lines and watchdog. A line is named as the guard does: by resource and output.
 *
 * Owner: the guard's one thread. Opened once, before the loop; nothing is allocated afterwards.
 */
#ifndef HOLDFAST_GUARD_BOARD_H
#define HOLDFAST_GUARD_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "guard/guard.h"
#include "guard/platform.h"
#include "hal/hal.h"

struct board_resource {
    uint8_t output_count;
    struct hf_name name[HF_OUTPUTS_MAX]; /* of the outputs, for the log */
    struct hal_line *output[HF_OUTPUTS_MAX];
    struct hal_line *readback[HF_OUTPUTS_MAX]; /* NULL without one */
};

struct board {
    struct hal hal;
    bool hal_open;
    bool watchdog_armed;
    uint32_t watchdog_ms; /* what it counts; 0: there is none */
    uint8_t resource_count;
    struct board_resource resource[GUARD_RESOURCES_MAX];
};

/* The guard's view of a configuration. */
void board_guard_config(const struct conf *conf, struct guard_config *config);

/*
 * Opens the backend that the configuration names and every line, outputs inactive. False after one
 * log line that names what failed. May block for 1 s (sim) or an ioctl (linux) each.
 */
bool board_open(struct board *board, const struct platform *platform, const struct conf *conf);

/* True if a readback's changes wake nobody: it is to be looked at often while it is awaited. */
bool board_must_poll(const struct board *board);

/* Starts the watchdog, if the configuration has one. False after one log line. */
bool board_arm_watchdog(struct board *board, const struct conf *conf);

/* Every output inactive and given back, as far as possible. */
void board_close(struct board *board);

/* Tells every output off, whatever comes of it: for a guard that is about to abort. */
void board_all_off(struct board *board);

#endif
