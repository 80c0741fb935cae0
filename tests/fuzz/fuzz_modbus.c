/*
 * Modbus from a local master and from an actuator: what the gateway lets through, an actuator that
 * keeps to the protocol answers with something that the gateway takes for an answer.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "gateway/gateway_pdu.h"
#include "tests/bench/pdu.h"

static struct pdu_image image;
static struct pdu_write written;

static void try_request(const uint8_t *pdu, size_t length)
{
    struct gateway_pdu_facts facts;
    uint8_t response[PDU_MAX];
    memset(response, 0, sizeof(response));
    size_t answer = pdu_execute(&image, pdu, length, response, &written);
    HF_CHECK(answer >= 2 && answer <= PDU_MAX);
    if (gateway_pdu_check(pdu, length, &facts) != GATEWAY_EXCEPTION_NONE)
        return;
    HF_CHECK(facts.answer_length >= 1 && facts.answer_length <= GATEWAY_PDU_MAX);
    HF_CHECK(gateway_pdu_answer_fits(&facts, response, answer));
    /* A write that reaches the actuator has been judged as one. */
    HF_CHECK(written.count == 0 || facts.access == GATEWAY_ACCESS_WRITE);
}

static void try_answer(const uint8_t *data, size_t size)
{
    struct gateway_pdu_facts facts;
    size_t request = data[0] % 17;
    if (request == 0 || request >= size || size - request > GATEWAY_PDU_MAX)
        return;
    if (gateway_pdu_check(data + 1, request, &facts) == GATEWAY_EXCEPTION_NONE &&
        size > request + 1)
        (void)gateway_pdu_answer_fits(&facts, data + 1 + request, size - 1 - request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > GATEWAY_ADU_MAX)
        return 0;
    int whole = gateway_adu_length(data, size);
    HF_CHECK(whole >= -1 && whole <= GATEWAY_ADU_MAX);
    HF_CHECK(pdu_request_length(data, size) >= -1);
    if (size <= GATEWAY_PDU_MAX)
        try_request(data, size);
    try_answer(data, size);
    return 0;
}
