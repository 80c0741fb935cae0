/*
 * What a Modbus request is, and whether it is well formed.
 *
 * Purpose: the gateway forwards only function codes whose every byte it can judge. Pure functions;
 *   the fuzz test runs against them directly.
 * Owner: any thread; no state.
 * Source: MODBUS Application Protocol Specification V1.1b3, chapters 4.1 (PDU size), 6 (functions
 *   and their limits) and 7 (exceptions).
 */
#ifndef HOLDFAST_GATEWAY_PDU_H
#define HOLDFAST_GATEWAY_PDU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GATEWAY_PDU_MAX = 253,   /* bytes: function code and data */
    GATEWAY_MBAP_LENGTH = 7, /* transaction, protocol, length, unit */
    GATEWAY_ADU_MAX = GATEWAY_MBAP_LENGTH + GATEWAY_PDU_MAX,
    GATEWAY_EXCEPTION_LENGTH = 2 /* bytes of an exception PDU */
};

enum gateway_exception {
    GATEWAY_EXCEPTION_NONE = 0x00,
    GATEWAY_EXCEPTION_FUNCTION = 0x01, /* illegal function */
    GATEWAY_EXCEPTION_VALUE = 0x03,    /* illegal data value: quantity, byte count, length */
    GATEWAY_EXCEPTION_BUSY = 0x06,     /* server device busy: no lease */
    GATEWAY_EXCEPTION_PATH = 0x0A,     /* gateway path unavailable: unknown unit */
    GATEWAY_EXCEPTION_TARGET = 0x0B    /* gateway target device failed to respond */
};

enum gateway_access { GATEWAY_ACCESS_READ, GATEWAY_ACCESS_WRITE };

/* What the gateway needs to know of a request that is well formed. */
struct gateway_pdu_facts {
    uint8_t function;
    enum gateway_access access; /* function 23 (read/write multiple) is a write */
    uint16_t address;           /* first address written, or read if nothing is written */
    const char *noun;           /* "coil", "input" or "register", for logs; static text */
    size_t answer_length;       /* bytes of the answer's PDU if it is no exception, 1..253 */
};

/*
 * Judges the request `pdu` of `length` bytes (1..GATEWAY_PDU_MAX). Returns GATEWAY_EXCEPTION_NONE
 * and fills *facts, or GATEWAY_EXCEPTION_FUNCTION or GATEWAY_EXCEPTION_VALUE, and leaves *facts as
 * it was. Addresses are not judged: only the actuator knows its map.
 */
enum gateway_exception gateway_pdu_check(const uint8_t *pdu, size_t length,
                                         struct gateway_pdu_facts *facts);

/* Writes the exception PDU for `function` to out[GATEWAY_EXCEPTION_LENGTH]; returns its length. */
size_t gateway_pdu_exception(uint8_t function, uint8_t code, uint8_t *out);

/* True if `pdu` of `length` bytes can be the answer, or an exception, to the request of *facts. */
bool gateway_pdu_answer_fits(const struct gateway_pdu_facts *facts, const uint8_t *pdu,
                             size_t length);

/*
 * What the first `have` bytes (0..GATEWAY_ADU_MAX) of a Modbus TCP stream say about the frame that
 * they start. Returns the frame's whole length in bytes (8..GATEWAY_ADU_MAX), 0 if its header is
 * not all there yet, or -1 for a header that no Modbus TCP frame has (protocol id or length).
 * Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.3.
 */
int gateway_adu_length(const uint8_t *adu, size_t have);

#endif
