#include "peer/admission.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

void admission_init(struct admission *admission, uint16_t places_max, uint16_t shaking_max,
                    uint16_t per_host, uint64_t now_ms)
{
    HF_CHECK(places_max >= 1 && places_max <= ADMISSION_PLACES_MAX && shaking_max >= 1);
    memset(admission, 0, sizeof(*admission));
    admission->places_max = places_max;
    admission->shaking_max = shaking_max;
    admission->per_host = per_host;
    admission->budget_us = ADMISSION_BURST_US;
    admission->crowd_us = ADMISSION_BURST_US;
    admission->budget_ms = now_ms;
}

struct admission_key admission_key(const struct sockaddr_storage *address)
{
    struct admission_key key = { { 0 } };
    if (address->ss_family == AF_INET) {
        key.byte[10] = 0xff;
        key.byte[11] = 0xff;
        memcpy(key.byte + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
    } else if (address->ss_family == AF_INET6) {
        memcpy(key.byte, &((const struct sockaddr_in6 *)address)->sin6_addr, 16);
    }
    return key;
}

/* 0 if the clock went back; if it leapt ahead, no more than the longest of the limits needs. */
static uint64_t passed_ms(uint64_t since_ms, uint64_t now_ms)
{
    const uint64_t enough_ms = ADMISSION_DEBT_US;
    uint64_t passed = now_ms > since_ms ? now_ms - since_ms : 0;
    return passed < enough_ms ? passed : enough_ms;
}

/* ---- hosts */

static bool host_used(const struct admission_host *host)
{
    return host->known > 0 || host->places > 0;
}

static struct admission_host *host_find(struct admission *admission,
                                        const struct admission_key *key)
{
    for (unsigned i = 0; i < ADMISSION_HOSTS_MAX; i++) {
        struct admission_host *host = &admission->host[i];
        if (host_used(host) && memcmp(&host->key, key, sizeof(*key)) == 0)
            return host;
    }
    return NULL;
}

/* There is room: each host that is not known has a place, and known ones and places are bounded. */
static struct admission_host *host_make(struct admission *admission,
                                        const struct admission_key *key)
{
    for (unsigned i = 0; i < ADMISSION_HOSTS_MAX; i++) {
        struct admission_host *host = &admission->host[i];
        if (host_used(host))
            continue;
        *host = (struct admission_host){ .key = *key };
        return host;
    }
    HF_CHECK(false);
    return NULL;
}

/* ---- who is known, and by whom */

static bool forgotten_before(const struct admission_known *a, const struct admission_known *b)
{
    bool a_fixed = a->name[0] == '\0';
    bool b_fixed = b->name[0] == '\0';
    return a_fixed != b_fixed ? b_fixed : a->seen_ms < b->seen_ms;
}

static void forget(struct admission *admission, struct admission_known *known)
{
    admission->host[known->host].known--;
    known->used = false;
}

/* Of all, or of this name, the one to forget first, and their *count. NULL: all are linked. */
static struct admission_known *oldest_of(struct admission *admission, const char *name,
                                         unsigned *count)
{
    struct admission_known *oldest = NULL;
    *count = 0;
    for (unsigned i = 0; i < ADMISSION_KNOWN_MAX; i++) {
        struct admission_known *known = &admission->known[i];
        if (!known->used || (name != NULL && strcmp(known->name, name) != 0))
            continue;
        (*count)++;
        if (known->links == 0 && (oldest == NULL || forgotten_before(known, oldest)))
            oldest = known;
    }
    return oldest;
}

/* Makes room for one more, of all or of this name; false: there is none, all are linked. */
static bool make_room(struct admission *admission, const char *name, unsigned max)
{
    unsigned count;
    struct admission_known *oldest = oldest_of(admission, name, &count);
    if (count < max)
        return true;
    if (oldest != NULL)
        forget(admission, oldest);
    return oldest != NULL;
}

static struct admission_known *known_find(struct admission *admission,
                                          const struct admission_key *key, const char *name)
{
    for (unsigned i = 0; i < ADMISSION_KNOWN_MAX; i++) {
        struct admission_known *known = &admission->known[i];
        if (known->used && memcmp(&admission->host[known->host].key, key, sizeof(*key)) == 0 &&
            strcmp(known->name, name) == 0)
            return known;
    }
    return NULL;
}

/* A name has its share once, however many hosts it makes known. */
static int64_t own_share(const struct admission *admission, const char *name)
{
    for (unsigned i = 0; i < ADMISSION_KNOWN_MAX && name[0] != '\0'; i++) {
        const struct admission_known *known = &admission->known[i];
        if (known->used && strcmp(known->name, name) == 0)
            return known->own_us;
    }
    return ADMISSION_OWN_BURST_US;
}

static struct admission_known *known_make(struct admission *admission,
                                          const struct admission_key *key, const char *name)
{
    bool own = name[0] == '\0' || make_room(admission, name, ADMISSION_KNOWN_OWN);
    if (!own || !make_room(admission, NULL, ADMISSION_KNOWN_MAX))
        return NULL;
    struct admission_host *host = host_find(admission, key);
    if (host == NULL)
        host = host_make(admission, key);
    struct admission_known *known = admission->known;
    while (known->used)
        known++;
    *known = (struct admission_known){ .used = true,
                                       .host = (uint16_t)(host - admission->host),
                                       .own_us = own_share(admission, name) };
    snprintf(known->name, sizeof(known->name), "%s", name);
    host->known++;
    return known;
}

static struct admission_known *host_know(struct admission *admission,
                                         const struct admission_key *key, const char *name,
                                         uint64_t now_ms)
{
    struct admission_known *known = known_find(admission, key, name);
    if (known == NULL)
        known = known_make(admission, key, name);
    if (known != NULL)
        known->seen_ms = now_ms;
    return known;
}

void admission_expect(struct admission *admission, const struct admission_key *key, uint64_t now_ms)
{
    (void)host_know(admission, key, "", now_ms);
}

int admission_link(struct admission *admission, const struct admission_key *key, const char *name,
                   uint64_t now_ms)
{
    struct admission_known *known =
        name[0] != '\0' ? host_know(admission, key, name, now_ms) : NULL;
    if (known == NULL)
        return ADMISSION_NONE;
    known->links++;
    return (int)(known - admission->known);
}

void admission_unlink(struct admission *admission, int link, uint64_t now_ms)
{
    struct admission_known *known = &admission->known[link];
    HF_CHECK(known->used && known->links > 0);
    known->links--;
    known->seen_ms = now_ms;
}

/* ---- standing */

static bool crowded(const struct admission *admission, const struct admission_place *place)
{
    return admission->host[place->host].places > admission->per_host;
}

static int standing_of(const struct admission *admission, const struct admission_place *place)
{
    const struct admission_host *host = &admission->host[place->host];
    return (host->known > 0 ? 1 : 0) + (crowded(admission, place) ? 0 : 1);
}

enum { STANDING_FIRST = 2 };

int admission_standing(const struct admission *admission, int place)
{
    return standing_of(admission, &admission->place[place]);
}

/* Who has its say in pieces that get it nowhere is no better than who says nothing. */
static bool stands_still(const struct admission_place *place, uint64_t now_ms)
{
    return (place->phase == ADMISSION_SHAKING ||
            (place->phase == ADMISSION_READY && place->in_vain)) &&
           passed_ms(place->since_ms, now_ms) >= ADMISSION_STALL_MS;
}

/* Of one standing, the lower number gives way first; 3: not to a newcomer of that standing. */
static int firmness(const struct admission_place *place, uint64_t now_ms)
{
    if (place->phase == ADMISSION_SILENT)
        return 0;
    if (place->phase == ADMISSION_PARTIAL)
        return 1;
    return stands_still(place, now_ms) ? 2 : 3;
}

static bool gives_way_before(const struct admission *admission, const struct admission_place *a,
                             const struct admission_place *b, uint64_t now_ms)
{
    const int standing[] = { standing_of(admission, a), standing_of(admission, b) };
    const int firm[] = { firmness(a, now_ms), firmness(b, now_ms) };
    if (standing[0] != standing[1])
        return standing[0] < standing[1];
    if (firm[0] != firm[1])
        return firm[0] < firm[1];
    return a->since_ms != b->since_ms ? a->since_ms < b->since_ms : a->number < b->number;
}

static int weakest(const struct admission *admission, uint64_t now_ms, bool shaking_only)
{
    int found = ADMISSION_NONE;
    for (int i = 0; i < admission->places_max; i++) {
        const struct admission_place *place = &admission->place[i];
        if (!place->used || (shaking_only && place->phase < ADMISSION_SHAKING))
            continue;
        if (found == ADMISSION_NONE ||
            gives_way_before(admission, place, &admission->place[found], now_ms))
            found = i;
    }
    return found;
}

/* ---- places */

static bool waits(enum admission_phase phase)
{
    return phase == ADMISSION_QUEUED || phase == ADMISSION_READY;
}

static void count_phase(struct admission *admission, enum admission_phase phase, bool enters)
{
    int by = enters ? 1 : -1;
    if (waits(phase))
        admission->waiting = (uint16_t)(admission->waiting + by);
    if (phase >= ADMISSION_SHAKING)
        admission->shaking = (uint16_t)(admission->shaking + by);
}

void admission_leave(struct admission *admission, int index)
{
    struct admission_place *place = &admission->place[index];
    HF_CHECK(place->used);
    count_phase(admission, place->phase, false);
    admission->host[place->host].places--;
    admission->used--;
    place->used = false;
}

static int free_place(const struct admission *admission)
{
    for (int i = 0; i < admission->places_max; i++) {
        if (!admission->place[i].used)
            return i;
    }
    return ADMISSION_NONE;
}

/* The place that the newcomer may have, or ADMISSION_NONE. Its host counts it already. */
static int replaceable(const struct admission *admission, const struct admission_place *newcomer,
                       uint64_t now_ms)
{
    int index = weakest(admission, now_ms, false);
    const struct admission_place *place = &admission->place[index];
    int standing = standing_of(admission, place);
    int own = standing_of(admission, newcomer);
    bool yields = standing < own || (standing == own && firmness(place, now_ms) < 3);
    return yields ? index : ADMISSION_NONE;
}

int admission_enter(struct admission *admission, const struct admission_key *key, uint64_t now_ms,
                    int *victim)
{
    struct admission_host *host = host_find(admission, key);
    if (host == NULL)
        host = host_make(admission, key);
    struct admission_place newcomer = { .since_ms = now_ms,
                                        .number = admission->numbers++,
                                        .host = (uint16_t)(host - admission->host),
                                        .phase = ADMISSION_SILENT,
                                        .used = true };
    host->places++;
    *victim = ADMISSION_NONE;
    int index = free_place(admission);
    if (index == ADMISSION_NONE) {
        index = replaceable(admission, &newcomer, now_ms);
        if (index == ADMISSION_NONE) {
            host->places--;
            return ADMISSION_NONE;
        }
        *victim = index;
        admission_leave(admission, index);
    }
    admission->place[index] = newcomer;
    admission->used++;
    return index;
}

static void place_move(struct admission *admission, struct admission_place *place,
                       enum admission_phase phase)
{
    HF_CHECK(place->used);
    count_phase(admission, place->phase, false);
    count_phase(admission, phase, true);
    place->phase = phase;
}

void admission_move(struct admission *admission, int index, enum admission_phase phase,
                    uint64_t now_ms)
{
    struct admission_place *place = &admission->place[index];
    place_move(admission, place, phase);
    if (phase == ADMISSION_READY)
        return; /* what came may be nothing */
    place->since_ms = now_ms;
    place->in_vain = false;
}

bool admission_shakes(const struct admission *admission, const struct admission_key *key)
{
    for (unsigned i = 0; i < admission->places_max; i++) {
        const struct admission_place *place = &admission->place[i];
        if (place->used && place->phase >= ADMISSION_QUEUED &&
            memcmp(&admission->host[place->host].key, key, sizeof(*key)) == 0)
            return true;
    }
    return false;
}

/* ---- turns */

static void change(int64_t *budget_us, int64_t by_us, int64_t burst_us)
{
    *budget_us += by_us;
    if (*budget_us > burst_us)
        *budget_us = burst_us;
    if (*budget_us < -ADMISSION_DEBT_US)
        *budget_us = -ADMISSION_DEBT_US;
}

static void fill_budget(struct admission *admission, uint64_t now_ms)
{
    int64_t filled_ms = (int64_t)passed_ms(admission->budget_ms, now_ms);
    admission->budget_ms = now_ms;
    change(&admission->budget_us, filled_ms * ADMISSION_SHARE_US, ADMISSION_BURST_US);
    change(&admission->crowd_us, filled_ms * ADMISSION_CROWD_US, ADMISSION_BURST_US);
    for (unsigned i = 0; i < ADMISSION_KNOWN_MAX; i++) {
        if (admission->known[i].used)
            change(&admission->known[i].own_us, filled_ms * ADMISSION_OWN_US,
                   ADMISSION_OWN_BURST_US);
    }
}

/* All that made the host known pay, wherever they are known, since nobody knows yet which of them it is. */
static void spend_own(struct admission *admission, uint16_t host, int64_t microseconds)
{
    for (unsigned i = 0; i < ADMISSION_KNOWN_MAX; i++) {
        const struct admission_known *payer = &admission->known[i];
        for (unsigned k = 0; payer->used && payer->host == host && k < ADMISSION_KNOWN_MAX; k++) {
            struct admission_known *known = &admission->known[k];
            bool named = known->used && payer->name[0] != '\0';
            if (k == i || (named && strcmp(known->name, payer->name) == 0))
                change(&known->own_us, -microseconds, ADMISSION_OWN_BURST_US);
        }
    }
}

void admission_spend(struct admission *admission, int index, uint64_t microseconds, uint64_t now_ms)
{
    const struct admission_place *place = &admission->place[index];
    fill_budget(admission, now_ms);
    if (standing_of(admission, place) == STANDING_FIRST) {
        spend_own(admission, place->host, (int64_t)microseconds);
        return;
    }
    change(&admission->budget_us, -(int64_t)microseconds, ADMISSION_BURST_US);
    if (crowded(admission, place))
        change(&admission->crowd_us, -(int64_t)microseconds, ADMISSION_BURST_US);
}

static bool has_own(const struct admission *admission, uint16_t host)
{
    for (unsigned i = 0; i < ADMISSION_KNOWN_MAX; i++) {
        const struct admission_known *known = &admission->known[i];
        if (known->used && known->host == host && known->own_us > 0)
            return true;
    }
    return false;
}

/* Each only while its share of the time is not used up. */
static bool may_begin(const struct admission *admission, const struct admission_place *place)
{
    if (standing_of(admission, place) == STANDING_FIRST)
        return has_own(admission, place->host);
    return admission->budget_us > 0 && (!crowded(admission, place) || admission->crowd_us > 0);
}

static bool has_turn_before(const struct admission *admission, const struct admission_place *a,
                            const struct admission_place *b)
{
    const int standing[] = { standing_of(admission, a), standing_of(admission, b) };
    if (standing[0] != standing[1])
        return standing[0] > standing[1];
    return a->phase != b->phase ? a->phase > b->phase : a->number < b->number;
}

static int first_waiting(const struct admission *admission)
{
    int found = ADMISSION_NONE;
    for (int i = 0; i < admission->places_max; i++) {
        const struct admission_place *place = &admission->place[i];
        if (!place->used || !waits(place->phase) || !may_begin(admission, place))
            continue;
        if (found == ADMISSION_NONE || has_turn_before(admission, place, &admission->place[found]))
            found = i;
    }
    return found;
}

/* Whether one more handshake of this standing may be under way; *victim as in admission_next(). */
static bool may_shake(struct admission *admission, int standing, uint64_t now_ms, int *victim)
{
    if (admission->shaking < admission->shaking_max)
        return true;
    int other = weakest(admission, now_ms, true);
    const struct admission_place *place = &admission->place[other];
    int its = standing_of(admission, place);
    if (its > standing || (its == standing && !stands_still(place, now_ms)))
        return false;
    *victim = other;
    admission_leave(admission, other);
    return true;
}

int admission_next(struct admission *admission, uint64_t now_ms, int *victim)
{
    *victim = ADMISSION_NONE;
    if (admission->waiting == 0)
        return ADMISSION_NONE;
    fill_budget(admission, now_ms);
    int index = first_waiting(admission);
    if (index == ADMISSION_NONE)
        return ADMISSION_NONE;
    struct admission_place *place = &admission->place[index];
    if (place->phase == ADMISSION_READY) {
        place_move(admission, place, ADMISSION_SHAKING);
        place->in_vain = true; /* until it is told otherwise */
    } else if (may_shake(admission, standing_of(admission, place), now_ms, victim)) {
        admission_move(admission, index, ADMISSION_SHAKING, now_ms);
    } else {
        return ADMISSION_NONE;
    }
    return index;
}
