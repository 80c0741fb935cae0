/*
 * The lease log: RUN/lease.log, a JSON object a line for all that the agent says and hears about
 * leases, with the instant by which it was decided. For people after an incident, and for the
 * offline checker of lease histories (tests/system/lease_history.py). holdfastd(8) lists the
 * events.
 *
 * Owner: the agent's shell; loop thread. Lifecycle: lease_log_open(), lines, lease_log_close().
 * Rules:
 *  - It is written from messages, not from the holder's state: what it shows can convict the
 * holder.
 *  - What comes in is written before it is acted upon, so no act lacks its cause after a SIGKILL.
 *  - A line is one write(2), never synced; RUN is a tmpfs, so nothing here waits or wears a card. A
 *    line that can't be written is lost, and that is logged once until one is written again.
 *  - Past its size the file becomes lease.log.1 and a new one begins.
 */
#ifndef HOLDFAST_AGENT_LEASE_LOG_H
#define HOLDFAST_AGENT_LEASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/instant.h"
#include "conf/conf.h"
#include "guard/guard_message.h"
#include "lease/lease_message.h"

/* All zero, and without a lease_log_open(): off, and every call does nothing. */
struct lease_log {
    const struct conf *conf; /* NULL: off */
    int fd;
    size_t size; /* bytes in the file */
    bool failed;
    char path[CONF_PATH_MAX + 16];
    struct guard_message shown[HF_LEASES_PER_AGENT_MAX]; /* last status written, by resource */
};

/*
 * Goes on with the log of a former start, unless conf->lease_log_kb is 0. A log that can't be opened
 * is told and stays off: leases matter more. `conf` must outlive the log. Blocks for the file only.
 */
void lease_log_open(struct lease_log *log, const struct conf *conf, struct instant now);

void lease_log_close(struct lease_log *log, struct instant now);

/* A message to or from the issuer `node`; call before it is acted upon. */
void lease_log_issuer(struct lease_log *log, struct instant now, const struct hf_name *node,
                      const struct lease_message *message);

/* A message to or from the guard. Of its status only changes are written. */
void lease_log_guard(struct lease_log *log, struct instant now,
                     const struct guard_message *message);

/* Something without a message: "guard lost", "slept". `what` needs no escapes. */
void lease_log_event(struct lease_log *log, struct instant now, const char *what);

#endif
