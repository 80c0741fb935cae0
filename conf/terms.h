/*
 * What a board's agent and guard must agree on about a resource, from the file that each read when
 * it started, and words for where they differ. PROTOCOL.md, terms-agree.
 */
#ifndef HOLDFAST_CONF_TERMS_H
#define HOLDFAST_CONF_TERMS_H

#include <stddef.h>

#include "conf/conf.h"
#include "guard/guard_message.h"

enum { CONF_TERMS_TEXT_MAX = 255 };

/* The digest covers outputs, readbacks and watchdog: whatever the fence latency is made of. */
struct guard_terms conf_terms(const struct conf *conf, const struct conf_resource *resource);

/*
 * "fence latency is 120 ms by the guard's configuration, 20 ms by the agent's: restart both with one
 * file". Empty if they are equal. Returns `text`, of CONF_TERMS_TEXT_MAX + 1 bytes.
 */
const char *conf_terms_differ(char text[CONF_TERMS_TEXT_MAX + 1], const struct guard_terms *guard,
                              const struct guard_terms *agent);

/*
 * Which lines of this file outlive the guard that drives them: a digest of the plain outputs that cover
 * more than its death, whatever their order and names. 0: there are none.
 */
uint64_t conf_level_lines(const struct conf *conf);

#endif
