/*
 * The certificates of a card: a cluster's CA and its boards' keys, in a folder beside the cluster file.
 *
 * Purpose: NAME.pki/ is made the first time, mode 0700, and used from then on. What a board has is used
 *   again for its next card, unless it is to be made anew or has expired.
 * Owner: provision_run.c; blocking.
 */
#ifndef HOLDFAST_CTL_CARD_PKI_H
#define HOLDFAST_CTL_CARD_PKI_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

enum card_pki_act {
    CARD_PKI_KEEP,  /* key and certificate are there and good */
    CARD_PKI_MAKE,  /* there is none, or another is wanted */
    CARD_PKI_RENEW, /* the certificate has expired: the same key, other dates */
};

struct card_pki {
    char folder[PATH_MAX];
    const char *cluster;
    const char *board;
    bool made_before; /* the board has a certificate */
    bool begins;      /* there is no CA yet */
    enum card_pki_act act;
    FILE *errors;
};

/* The folder of cluster `cluster`, whose file is in `beside`; and what is there of `board`. */
void card_pki_find(struct card_pki *pki, const char *beside, const char *cluster, const char *board,
                   FILE *errors);

/* Whether a board of this cluster has a certificate. */
bool card_pki_has(const struct card_pki *pki, const char *board);

/*
 * Decides the act; `anew`: a new key and certificate in any case. False after a line in `errors` for
 * what is wrong with what is there. Writes nothing.
 */
bool card_pki_decide(struct card_pki *pki, bool anew);

/* Does it. False after a line in `errors`. */
bool card_pki_act(struct card_pki *pki);

/* Takes a first certificate back: no card has it. */
void card_pki_take_back(const struct card_pki *pki);

/* FOLDER/NAME.ENDING into `out`, of PATH_MAX bytes. */
void card_pki_path(const struct card_pki *pki, const char *name, const char *ending, char *out);

#endif
