/*
 * Hooks: the operator's programs that are told of a lease won or lost.
 *
 * Owner: the agent's shell; loop thread. At most HOOKS_MAX run at once; one more is refused with a
 *   log line. A hook outlives the agent, and nothing waits for it.
 * Environment: HOLDFAST_RESOURCE, HOLDFAST_TOKEN, HOLDFAST_EVENT (acquired|lost), and PATH.
 */
#ifndef HOLDFAST_AGENT_HOOKS_H
#define HOLDFAST_AGENT_HOOKS_H

#include <stdint.h>
#include <uv.h>

enum { HOOKS_MAX = 8 };

/*
 * Starts `program` and returns at once. Failure to start, a non-zero exit and a signal are logged.
 * `event` is "acquired" or "lost".
 */
void hooks_run(uv_loop_t *loop, const char *program, const char *resource, uint64_t token,
               const char *event);

#endif
