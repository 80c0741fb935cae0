/*
 * Who holds a place at a listener before anything about it is proven, and who gives way.
 *
 * Purpose: connections that have not proven who they are can't keep known peers out. Every
 *   connection is accepted; when all places are taken, one of the lowest standing is closed for the
 *   new one. So nobody keeps a place by saying nothing. Pure; the clock is passed in.
 * Owner: one tls_listener, which embeds it.
 * Rules:
 *  - A host (an address without its port) is known if it is an issuer's, or if somebody with a
 *    certificate of the cluster came from it before. A certificate's name makes at most
 *    ADMISSION_KNOWN_OWN hosts known; where it comes from more, its own oldest one without a link
 *    is forgotten: so one certificate, whoever has it, pushes out no other node. Where too many are
 *    known, one without a link is forgotten, which was linked longest ago: so whoever is linked
 *    comes back as a known one. A host that several made known is so until each of them has
 *    forgotten it.
 *  - A host with more than per_host places is crowded. The highest standing is that of a known host
 *    that is not crowded; the next has known hosts that are crowded, and unknown ones that are not;
 *    the lowest has crowded unknown ones.
 *  - Whoever gives way has the lowest standing of all. Of several, it is the one that has said
 *    nothing for longest; else the one whose first message is incomplete for longest; else a
 *    handshake that makes no progress. A handshake that makes progress, and one that waits for its
 *    turn, don't give way to a newcomer of their own standing: that one is turned away then.
 *  - Handshakes cost computing time, the later steps of one as well as its first. At most shaking_max are
 *    under way at once; the steps that wait get their turn by standing, those of a handshake that is under
 *    way before the first ones, then in the order in which they came. Below the highest standing all
 *    share ADMISSION_SHARE_US of each millisecond, and crowded hosts ADMISSION_CROWD_US of that.
 *    Of the highest standing each certificate's name has ADMISSION_OWN_US for itself, and each issuer's
 *    host by configuration, after ADMISSION_OWN_BURST_US at once; a host has what those who made it
 *    known have.
 */
#ifndef HOLDFAST_PEER_ADMISSION_H
#define HOLDFAST_PEER_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/limits.h"

enum {
    ADMISSION_PLACES_MAX = 128,
    ADMISSION_KNOWN_MAX = 320, /* remembered: every board, each issuer twice, and some that moved */
    /* Of them, one certificate's: a board with two ports, and IPv4 and IPv6 at each. */
    ADMISSION_KNOWN_OWN = 4,
    ADMISSION_HOSTS_MAX = ADMISSION_KNOWN_MAX + ADMISSION_PLACES_MAX + 1,
    ADMISSION_STALL_MS = 300, /* a handshake that does not go on for so long stands still */
    ADMISSION_SHARE_US = 500, /* of each ms, see above */
    ADMISSION_CROWD_US = 150,
    ADMISSION_OWN_US = 200,
    ADMISSION_BURST_US = 20000, /* so much may be used at once after a quiet time */
    ADMISSION_OWN_BURST_US = 200000,
    ADMISSION_DEBT_US = 1000000, /* the most by which a share may be overdrawn */
    ADMISSION_NONE = -1
};

enum admission_phase {
    ADMISSION_SILENT,  /* connected, not a byte came */
    ADMISSION_PARTIAL, /* a first message that is not whole */
    ADMISSION_QUEUED,  /* a whole one; waits for its turn */
    ADMISSION_SHAKING, /* its handshake is under way */
    ADMISSION_READY    /* and its next step waits for its turn */
};

struct admission_key {
    uint8_t byte[16]; /* IPv6, or IPv4 mapped into it */
};

struct admission_host {
    struct admission_key key;
    uint16_t places;
    uint16_t known; /* so many certificates made it known, configuration counts as one */
};

/* A host, and one certificate that came from it. */
struct admission_known {
    uint64_t seen_ms;
    uint16_t host;
    uint16_t links; /* proven connections that live */
    int64_t own_us; /* left of its share; the same for all of one name */
    bool used;
    char name[HF_NAME_MAX + 1]; /* "": known by configuration, forgotten after others */
};

struct admission_place {
    uint64_t since_ms; /* of the phase, or of the handshake's last step */
    uint64_t number;   /* order of arrival */
    uint16_t host;
    enum admission_phase phase;
    bool in_vain; /* its last step got the handshake no further */
    bool used;
};

struct admission {
    uint16_t places_max;
    uint16_t shaking_max;
    uint16_t per_host;
    uint16_t used;
    uint16_t shaking;
    uint16_t waiting; /* for a turn: QUEUED or READY */
    uint64_t numbers;
    int64_t budget_us;
    int64_t crowd_us;
    uint64_t budget_ms; /* when the budget was last filled */
    struct admission_place place[ADMISSION_PLACES_MAX];
    struct admission_host host[ADMISSION_HOSTS_MAX];
    struct admission_known known[ADMISSION_KNOWN_MAX];
};

/* places_max 1..ADMISSION_PLACES_MAX, the others 1..places_max. */
void admission_init(struct admission *admission, uint16_t places_max, uint16_t shaking_max,
                    uint16_t per_host, uint64_t now_ms);

struct admission_key admission_key(const struct sockaddr_storage *address);

/* This host, an issuer's by configuration, is known from now on, unless all known are linked. */
void admission_expect(struct admission *admission, const struct admission_key *key,
                      uint64_t now_ms);

/*
 * A proven connection of this host, with a certificate of this name, lives from now on, or (unlink)
 * no more; the host is known. Returns what to unlink then; or ADMISSION_NONE if the host can't be
 * known, since all of the name's are linked, or all there are, or there is no name: not counted.
 */
int admission_link(struct admission *admission, const struct admission_key *key, const char *name,
                   uint64_t now_ms);
void admission_unlink(struct admission *admission, int link, uint64_t now_ms);

/*
 * A connection came. Returns its place, ADMISSION_SILENT; *victim is the place that was freed for
 * it and whose connection must be closed, or ADMISSION_NONE. Returns ADMISSION_NONE if the newcomer
 * itself is to be turned away.
 */
int admission_enter(struct admission *admission, const struct admission_key *key, uint64_t now_ms,
                    int *victim);

/* Moves on to PARTIAL, QUEUED or READY; or, in SHAKING, the handshake went on. */
void admission_move(struct admission *admission, int place, enum admission_phase phase,
                    uint64_t now_ms);

/*
 * The place whose handshake may begin or go on now: it is SHAKING after this. *victim as above. Or
 * ADMISSION_NONE: nobody waits, or those who do must wait on.
 */
int admission_next(struct admission *admission, uint64_t now_ms, int *victim);

/* A step of the handshake in this place took so long. */
void admission_spend(struct admission *admission, int place, uint64_t microseconds,
                     uint64_t now_ms);

/* True if a handshake from this host waits for its turn, or is under way. */
bool admission_shakes(const struct admission *admission, const struct admission_key *key);

/* 0, the lowest, to 2; see above. */
int admission_standing(const struct admission *admission, int place);

void admission_leave(struct admission *admission, int place);

#endif
