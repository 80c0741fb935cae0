/*
 * Who holds a place at a listener before anything about it is proven, and who gives way.
 *
 * Purpose: whoever is not authenticated can't keep known peers from each other. Every connection is
 *   taken in; when all places are taken, one of least standing gives way, so that silence is never
 *   worth more than a word. Pure; the clock is passed in.
 * Owner: one tls_listener, which embeds it.
 * Rules:
 *  - A host (an address without its port) is known if it is an issuer's, or if somebody with a
 *    certificate of the cluster came from it before. A host with more than per_host places is
 *    crowded. Standing: known, not crowded; then known or not crowded, one of them; then neither.
 *  - Whoever gives way is of the least standing, and there: the one that has said nothing for
 *    longest, then the one longest in the middle of its first word, then a handshake that stands
 *    still. Handshakes that go on, and those that wait for their turn, don't give way to their
 *    equals: the newcomer is turned away then.
 *  - Handshakes cost computing time. At most shaking_max are under way at once; those that wait get
 *    their turn by standing, then in the order in which they came. All but the first standing share
 *    a part of the time, and crowds a smaller part of that: so many microseconds of a millisecond.
 */
#ifndef HOLDFAST_PEER_ADMISSION_H
#define HOLDFAST_PEER_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    ADMISSION_PLACES_MAX = 128,
    ADMISSION_KNOWN_MAX = 288, /* hosts remembered: every board and issuer, and some that moved */
    ADMISSION_HOSTS_MAX = ADMISSION_KNOWN_MAX + ADMISSION_PLACES_MAX + 1,
    ADMISSION_STALL_MS = 400, /* a handshake that does not go on for so long stands still */
    ADMISSION_SHARE_US = 500,
    ADMISSION_CROWD_US = 150,
    ADMISSION_BURST_US = 20000, /* that much may be used at once after a quiet time */
    ADMISSION_DEBT_US = 1000000,
    ADMISSION_NONE = -1
};

enum admission_phase {
    ADMISSION_SILENT,  /* connected, not a byte came */
    ADMISSION_PARTIAL, /* a first message that is not whole */
    ADMISSION_QUEUED,  /* a whole one; waits for its turn */
    ADMISSION_SHAKING  /* its handshake is under way */
};

struct admission_key {
    uint8_t byte[16]; /* IPv6, or IPv4 mapped into it */
};

struct admission_host {
    struct admission_key key;
    uint64_t seen_ms;
    uint16_t places;
    bool known;
    bool fixed; /* known by configuration, forgotten last */
};

struct admission_place {
    uint64_t since_ms; /* of the phase, or of the handshake's last step */
    uint64_t number;   /* order of arrival */
    uint16_t host;
    enum admission_phase phase;
    bool used;
};

struct admission {
    uint16_t places_max;
    uint16_t shaking_max;
    uint16_t per_host;
    uint16_t used;
    uint16_t shaking;
    uint16_t queued;
    uint64_t numbers;
    int64_t budget_us;
    int64_t crowd_us;
    uint64_t budget_ms; /* when the budget was last filled */
    struct admission_place place[ADMISSION_PLACES_MAX];
    struct admission_host host[ADMISSION_HOSTS_MAX];
};

/* places_max 1..ADMISSION_PLACES_MAX, the others 1..places_max. */
void admission_init(struct admission *admission, uint16_t places_max, uint16_t shaking_max,
                    uint16_t per_host, uint64_t now_ms);

struct admission_key admission_key(const struct sockaddr_storage *address);

/* This host is known from now on. `fixed`: an issuer's. */
void admission_know(struct admission *admission, const struct admission_key *key, bool fixed,
                    uint64_t now_ms);

/*
 * A connection came. Returns its place, ADMISSION_SILENT; *victim is the place that was freed for
 * it and whose connection must be closed, or ADMISSION_NONE. Returns ADMISSION_NONE if the newcomer
 * itself is to be turned away.
 */
int admission_enter(struct admission *admission, const struct admission_key *key, uint64_t now_ms,
                    int *victim);

/* Moves on to PARTIAL or QUEUED; or, in SHAKING, the handshake went on. */
void admission_move(struct admission *admission, int place, enum admission_phase phase,
                    uint64_t now_ms);

/*
 * The place whose handshake may begin now: it is SHAKING after this. *victim as above. Or
 * ADMISSION_NONE: nobody waits, or those who do must wait on.
 */
int admission_next(struct admission *admission, uint64_t now_ms, int *victim);

/* A step of the handshake in this place took so long. */
void admission_spend(struct admission *admission, int place, uint64_t microseconds,
                     uint64_t now_ms);

void admission_leave(struct admission *admission, int place);

#endif
