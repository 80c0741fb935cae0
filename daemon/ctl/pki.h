/*
 * The cluster's certificates: makes a CA, and certificates signed by it, with mbedTLS alone.
 *
 * Purpose: DIR/ca.crt, DIR/ca.key; DIR/ID.crt, DIR/ID.key for each node and operator.
 * Owner: main; blocking. Keys are EC P-256, files of mode 0600, written whole or not at all, and
 *   never replaced unless `force`.
 * Dates: a certificate starts a day before it is made, so that a board whose clock is a little
 *   behind takes it. (Boards without a battery, far behind, are the business of who verifies.) None
 *   is made while this machine's own clock is evidently unset.
 */
#ifndef HOLDFAST_CTL_PKI_H
#define HOLDFAST_CTL_PKI_H

#include <stdbool.h>
#include <stdio.h>

enum {
    PKI_CA_DAYS = 7300,   /* 20 years: as long as the machine that it serves */
    PKI_NODE_DAYS = 3650, /* 10 years: a board is renewed when someone is there anyway */
    PKI_DAYS_MAX = 36500
};

struct pki_request {
    const char *folder;
    const char *name; /* cluster for init, node or person for issue and renew */
    const char *role; /* issue: "node", "viewer" or "operator" */
    int days;         /* 1..PKI_DAYS_MAX */
    bool force;       /* replace files that are there */
    FILE *out;        /* what was made */
    FILE *errors;     /* one line for what went wrong */
};

/* All return false with one line in `errors`. Names are as name_set() wants them. */

/* Makes `folder` if it is not there, ca.key and ca.crt. */
bool pki_init(const struct pki_request *request);

/* NAME.key and NAME.crt, signed by the folder's CA. */
bool pki_issue(const struct pki_request *request);

/* NAME.crt anew with the same key, name and role, and dates from now. Replaces it. */
bool pki_renew(const struct pki_request *request);

bool pki_role_known(const char *role);

#endif
