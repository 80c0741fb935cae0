/*
 * What the other side may have TLS compute with, before it has proven anything and afterwards.
 *
 * Purpose: mbedTLS verifies the signatures of a whole chain of certificates, with whatever keys the
 *   sender put into it, before it finds that nothing in it leads to the CA: seconds of a small
 *   processor for 14 KB. Nodes and operators have one certificate, signed by the CA itself. So that
 *   message, which TLS 1.2 sends in the clear, is looked at byte by byte before mbedTLS sees it.
 *   OpenSSL, with the CA's file, sends the CA's own certificate behind it: that one may come.
 *   Nobody here negotiates again: mbedTLS answers each attempt with an alert, which waits in memory for who
 *   does not read, so no record of a handshake may come behind its last one, Finished.
 *   Nor does anybody here send warnings; mbedTLS passes over them, as many as come, where nobody counts
 *   them. So the first alert is the last one.
 * Owner: tls_engine, one for each connection. Pure; zeroed memory, but for `ca`, is the beginning.
 * Source: RFC 5246, 6.2.1 (records), 7.1 (ChangeCipherSpec, behind which Finished comes as a record of
 *   its own), 7.4 (handshake messages), 7.4.2 (Certificate).
 */
#ifndef HOLDFAST_PEER_TLS_WATCH_H
#define HOLDFAST_PEER_TLS_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { TLS_CERTIFICATE_MAX = 4096 /* bytes of a certificate; ours have some 500 */ };

struct tls_watch {
    struct bytes ca;     /* the CA's certificate, that may come behind; none: nothing may */
    uint8_t record_head; /* bytes of the record's header that came, of 5 */
    uint8_t record_type;
    uint16_t record_left; /* bytes of its body yet to come */
    uint8_t message_head; /* bytes of the handshake message's header that came, of 4 */
    uint8_t message_type;
    uint32_t message_left;
    uint32_t message_at;  /* bytes of its body that came */
    uint32_t list_length; /* of a Certificate: all of them, and the first */
    uint32_t first_length;
    bool encrypted; /* what follows is */
    bool finished;  /* the last record of the handshake has begun */
    bool refused;
    bool alerted;
    bool late; /* and that for a record of a handshake that is over, or a second alert */
};

/*
 * Looks at what comes next. False, from then on: a second certificate that is not the CA's, a
 * first that is longer than TLS_CERTIFICATE_MAX, or a record that is late; no byte of `in` may reach TLS.
 */
bool tls_watch_take(struct tls_watch *watch, struct bytes in);

#endif
