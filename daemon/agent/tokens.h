/*
 * The highest token that this board's guard ever took of each resource, kept for the next start.
 *
 * Purpose: the agent says it with every acquire, so that a cluster which was begun anew with too low
 *   a number grants nothing at or below it (PROTOCOL.md, word-on-tokens).
 * File: DATA/tokens, mode 0600, a line for each resource between a heading and a checksum. Replaced
 *   as a whole, once for each new token: a grant's worth of wear. A file that is damaged, or can't be
 *   read, is told once and counts as none.
 * Owner: the agent's shell; loop thread. Written on a thread of the loop's pool, so that nothing waits
 *   for it: a board that loses its power within that moment says the token before.
 * Lifecycle: tokens_open(), tokens_note() after each step; what is under way ends by itself.
 */
#ifndef HOLDFAST_AGENT_TOKENS_H
#define HOLDFAST_AGENT_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/bytes.h"
#include "conf/conf.h"
#include "lease/holder.h"

enum {
    TOKENS_TEXT_MAX = 128 + HF_LEASES_PER_AGENT_MAX * (HF_NAME_MAX + 24),
    TOKENS_PATH_MAX = CONF_PATH_MAX + 16
};

struct tokens_entry {
    struct hf_name resource;
    uint64_t token; /* 0: none */
};

struct tokens {
    uv_loop_t *loop;
    const char *data_dir; /* NULL: nothing is kept */
    size_t count;
    struct tokens_entry entry[HF_LEASES_PER_AGENT_MAX];
    bool changed; /* since what is on its way to the disk */
    bool writing;
    bool told; /* that it could not be written */
    uv_work_t work;
    size_t length; /* of the text under way; the thread's, while `writing` */
    char text[TOKENS_TEXT_MAX];
    int error;
};

/* Reads what a former start kept into config->resource[].highest. Blocks for one small read. */
void tokens_open(struct tokens *tokens, uv_loop_t *loop, const struct conf *conf,
                 struct holder_config *config);

/* Writes what is new since, without waiting for it. */
void tokens_note(struct tokens *tokens, const struct holder *holder);

/* The text of all entries. Returns its length. */
size_t tokens_print(const struct tokens_entry *entry, size_t count, char text[TOKENS_TEXT_MAX]);

/* False if the text is damaged in any way; then *count is 0. */
bool tokens_parse(struct bytes text, struct tokens_entry entry[HF_LEASES_PER_AGENT_MAX],
                  size_t *count);

#endif
