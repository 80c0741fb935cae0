/*
 * Compile-time bounds of every table in the core. Nothing in the core allocates.
 */
#ifndef HOLDFAST_CORE_BASE_LIMITS_H
#define HOLDFAST_CORE_BASE_LIMITS_H

enum {
    HF_NAME_MAX = 31,             /* characters of a node id, resource or output name */
    HF_ADDRESS_MAX = 63,          /* characters of "host:port" */
    HF_REASON_MAX = 79,           /* characters of a reason in a history event or refusal */
    HF_ISSUERS_MAX = 7,           /* voters and learners of a cluster */
    HF_AGENTS_MAX = 256,          /* boards that may hold leases */
    HF_RESOURCES_MAX = 1024,      /* resources of a cluster */
    HF_LEASES_PER_AGENT_MAX = 16, /* resources that one board may ask for */
    HF_OUTPUTS_MAX = 8,           /* outputs of one resource on one board */
    HF_WAITERS_MAX = 8,           /* boards queued for one resource */
    HF_STUCK_MAX = 64,            /* outputs known to be stuck on, by board and resource */
    HF_HISTORY_MAX = 256          /* replicated history events kept */
};

#endif
