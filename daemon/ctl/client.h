/*
 * One console session: connect, prove and check identities by TLS, send one command, print the
 * answer.
 *
 * Owner: main; one thread, blocking. Each step waits at most CLIENT_TIMEOUT_MS without progress.
 *   TLS handshake and greeting have `greeting_ms` together, an answer `answer_ms`.
 * Trust: the server must show a certificate of the cluster's CA whose OU is "node", and whose CN is
 *   the node that was asked for, or one of the issuers if none was: a board's key, which is in the
 *   field, could answer in an issuer's place otherwise. Where any node may answer, it is said which
 *   did. Its host name is of no interest: boards are known by their ids, not by names in a DNS.
 * Nothing that the other side says reaches a terminal as it came, see ctl/printable.h.
 */
#ifndef HOLDFAST_CTL_CLIENT_H
#define HOLDFAST_CTL_CLIENT_H

#include <stdint.h>
#include <stdio.h>

#include "conf/conf.h"
#include "ctl/command_line.h"

enum {
    CLIENT_TIMEOUT_MS = 5000,
    CLIENT_GREETING_MS = 15000, /* a console gives a slow board 12 s for its handshake */
    CLIENT_ANSWER_MS = 60000
};

struct client_config {
    const char *address;        /* "HOST:PORT" or "[IPv6]:PORT" */
    const char *node;           /* id that the console must prove; NULL: any node's of `issuers` */
    const struct conf *issuers; /* names them; NULL: any node of the CA will do */
    const char *ca;             /* files */
    const char *cert;
    const char *key;
    uint32_t greeting_ms; /* from the connection to the greeting, 0: no limit in all */
    uint32_t answer_ms; /* for the whole answer, but of what may be silent for ever; 0: no limit */
};

/* Whom a console says to ask instead, as an operator's acts are taken by issuers only. */
struct client_elsewhere {
    char node[32]; /* empty: nobody is named */
    char address[64];
    char line[256]; /* the console's own, with newline; empty: it answered itself */
};

/* Whether `name` is among the cluster.issuers of `conf`. */
bool client_is_issuer(const struct conf *conf, const char *name);

/*
 * Sends `line` (one command, without newline) and prints its answer to `out`, ERR lines to `errors`.
 * `silence_ms`: longest wait for more of the answer, 0: for ever (`watch`). Returns CTL_EXIT_OK,
 * _REFUSED, _USAGE (a file or address that cannot be used) or _UNREACHABLE; the last two with one
 * line in `errors`. An answer that says to ask elsewhere is _REFUSED, goes to `elsewhere`, and nothing
 * is printed.
 */
enum ctl_exit client_call(const struct client_config *config, const char *line, uint32_t silence_ms,
                          FILE *out, FILE *errors, struct client_elsewhere *elsewhere);

#endif
