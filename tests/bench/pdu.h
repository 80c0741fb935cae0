/*
 * A Modbus actuator's memory and what a request does to it. Pure. Function codes 1-6, 15, 16, 22
 * and 23. Source: MODBUS Application Protocol 1.1b3, chapter 6; Serial Line 1.02, chapter 2.5.
 */
#ifndef HOLDFAST_BENCH_PDU_H
#define HOLDFAST_BENCH_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PDU_MAX = 253,        /* bytes of a PDU */
    PDU_ADDRESSES = 1024, /* of each of the four tables, from 0 */
    PDU_VALUES_MAX = 1968 /* of one write */
};

struct pdu_image {
    uint8_t coils[PDU_ADDRESSES];
    uint8_t inputs[PDU_ADDRESSES];
    uint16_t holding[PDU_ADDRESSES];
    uint16_t input_registers[PDU_ADDRESSES];
};

/* What a request has written; count 0 if nothing. */
struct pdu_write {
    int function;
    int address;
    int count;
    uint16_t values[PDU_VALUES_MAX];
};

/*
 * Executes a request of 1..PDU_MAX bytes. Returns the response's length; an exception response for
 * what is not supported, out of range or malformed.
 */
size_t pdu_execute(struct pdu_image *image, const uint8_t *request, size_t length,
                   uint8_t response[PDU_MAX], struct pdu_write *write);

/*
 * Length of the request PDU that begins with these bytes, as RTU needs it to find a frame's end:
 * 0 if more bytes are needed to tell, -1 if the function code is not known.
 */
int pdu_request_length(const uint8_t *pdu, size_t have);

uint16_t pdu_crc(const uint8_t *bytes, size_t length);

#endif
