/* One request to an actuator, and its answer. Plain data. */
#ifndef HOLDFAST_GATEWAY_JOB_H
#define HOLDFAST_GATEWAY_JOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/gateway_pdu.h"

/* From submit until `done` the upstream's thread owns it, else whoever embeds it. */
struct gateway_job {
    struct gateway_pdu_facts facts;
    uint8_t request[GATEWAY_PDU_MAX];
    size_t request_length;
    uint8_t answer[GATEWAY_PDU_MAX];
    size_t answer_length;
    atomic_bool done;
};

#endif
