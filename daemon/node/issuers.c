#include "node/issuers.h"

#include <stdio.h>
#include <string.h>

enum { LEADERLESS_LOOKS = 2 };

static const struct conf_node_address *in_file(const struct issuers *issuers,
                                               const struct hf_name *id)
{
    for (uint8_t i = 0; i < issuers->listed_count; i++) {
        if (name_equal(&issuers->listed[i].id, id))
            return &issuers->listed[i];
    }
    return NULL;
}

void issuers_init(struct issuers *issuers, const struct conf *conf)
{
    memset(issuers, 0, sizeof(*issuers));
    issuers->self = conf->node_id;
    issuers->patience = span_from_ms(conf->election_ms);
    issuers->listed_count = conf->issuer_count;
    issuers->count = conf->issuer_count;
    for (uint8_t i = 0; i < conf->issuer_count; i++) {
        struct issuers_peer *peer = &issuers->peer[i];
        issuers->listed[i] = conf->issuer[i];
        peer->id = conf->issuer[i].id;
        text_copy(peer->address, sizeof(peer->address), conf->issuer[i].address);
    }
}

const struct issuers_peer *issuers_find(const struct issuers *issuers, const struct hf_name *id)
{
    for (uint8_t i = 0; i < issuers->count; i++) {
        if (name_equal(&issuers->peer[i].id, id))
            return &issuers->peer[i];
    }
    return NULL;
}

static struct issuers_leaving *find_leaving(struct issuers *issuers, const struct hf_name *id)
{
    for (uint8_t i = 0; i < issuers->leaving_count; i++) {
        if (name_equal(&issuers->leaving[i].id, id))
            return &issuers->leaving[i];
    }
    return NULL;
}

/*
 * The operator's file is heard as well as the log: one that was removed and is back may be needed by
 * an issuer that missed its return, and nobody else may be there to say so. raft_hears() it no more
 * once its removal lies below the log, in a snapshot. What it says is judged by Raft's own rules.
 */
bool issuers_hears(const struct issuers *issuers, const struct raft *raft, const struct hf_name *id)
{
    return issuers_find(issuers, id) != NULL || in_file(issuers, id) != NULL ||
           (raft != NULL && raft_hears(raft, id));
}

/* ---- links */

static struct issuers_peer *find_mutable(struct issuers *issuers, const struct hf_name *id)
{
    const struct issuers_peer *peer = issuers_find(issuers, id);
    return peer != NULL ? &issuers->peer[peer - issuers->peer] : NULL;
}

bool issuers_link_up(struct issuers *issuers, const struct wire_hello *hello, struct instant now)
{
    struct issuers_peer *peer = find_mutable(issuers, &hello->node);
    if (peer == NULL)
        return find_leaving(issuers, &hello->node) != NULL;
    peer->up = true;
    peer->config_digest = hello->config_digest;
    text_copy(peer->console, sizeof(peer->console), hello->console);
    peer->since = now;
    return true;
}

bool issuers_link_down(struct issuers *issuers, const struct hf_name *id, struct instant now)
{
    struct issuers_peer *peer = find_mutable(issuers, id);
    if (peer == NULL)
        return find_leaving(issuers, id) != NULL;
    peer->up = false;
    peer->since = now;
    return true;
}

/* ---- out of date? */

static void note(char *text, size_t size, const char *what, const struct hf_name *id,
                 const char *address)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s %s%s%s", used > 0 ? ", " : "", what, id->text,
             address[0] != '\0' ? " at " : "", address);
}

bool issuers_outdated(const struct issuers *issuers, char *text, size_t size)
{
    text[0] = '\0';
    for (uint8_t i = 0; i < issuers->count; i++) {
        const struct issuers_peer *peer = &issuers->peer[i];
        const struct conf_node_address *listed = in_file(issuers, &peer->id);
        if (listed == NULL)
            note(text, size, "add", &peer->id, peer->address);
        else if (strcmp(listed->address, peer->address) != 0)
            note(text, size, "change", &peer->id, peer->address);
    }
    for (uint8_t i = 0; i < issuers->listed_count; i++) {
        if (issuers_find(issuers, &issuers->listed[i].id) == NULL)
            note(text, size, "remove", &issuers->listed[i].id, "");
    }
    return text[0] != '\0';
}

/* ---- what is to be done */

static bool dials_all(const struct issuers *issuers)
{
    return issuers_find(issuers, &issuers->self) == NULL;
}

static void begin(const struct issuers *issuers, struct issuers_change *change)
{
    memset(change, 0, sizeof(*change));
    change->dial_all = dials_all(issuers);
}

static void forget(struct issuers_change *change, const struct hf_name *id)
{
    change->forget[change->forget_count++] = *id;
}

static void dial(struct issuers_change *change, const struct hf_name *id, const char *address)
{
    struct conf_node_address *to = &change->dial[change->dial_count++];
    to->id = *id;
    text_copy(to->address, sizeof(to->address), address);
}

/* ---- those who left */

static void let_go(struct issuers *issuers, const struct hf_name *id, struct instant now,
                   struct issuers_change *change)
{
    struct issuers_leaving *place = find_leaving(issuers, id);
    if (place == NULL && issuers->leaving_count == HF_ISSUERS_MAX) {
        forget(change, id);
        return;
    }
    if (place == NULL)
        place = &issuers->leaving[issuers->leaving_count++];
    place->id = *id;
    place->until = instant_add(now, issuers->patience);
}

void issuers_expire(struct issuers *issuers, const struct raft *raft, struct instant now,
                    struct issuers_change *change)
{
    uint8_t kept = 0;
    begin(issuers, change);
    for (uint8_t i = 0; i < issuers->leaving_count; i++) {
        struct issuers_leaving leaving = issuers->leaving[i];
        if (instant_reached(leaving.until, now)) {
            if (issuers_find(issuers, &leaving.id) != NULL)
                continue; /* it is back */
            if (raft == NULL || !raft_hears(raft, &leaving.id)) {
                forget(change, &leaving.id);
                continue;
            }
            leaving.until = instant_add(now, issuers->patience);
        }
        issuers->leaving[kept++] = leaving;
    }
    issuers->leaving_count = kept;
}

struct instant issuers_wake_at(const struct issuers *issuers)
{
    struct instant at = INSTANT_NEVER;
    for (uint8_t i = 0; i < issuers->leaving_count; i++)
        at = instant_min(at, issuers->leaving[i].until);
    return at;
}

/* ---- taking a configuration over */

static struct issuers_peer made_of(const struct issuers *issuers, const struct raft_member *member)
{
    const struct issuers_peer *known = issuers_find(issuers, &member->id);
    const struct conf_node_address *listed = in_file(issuers, &member->id);
    struct issuers_peer peer = { .id = member->id };
    if (known != NULL)
        peer = *known;
    if (member->address[0] != '\0')
        text_copy(peer.address, sizeof(peer.address), member->address);
    else if (listed != NULL)
        text_copy(peer.address, sizeof(peer.address), listed->address);
    return peer;
}

static bool same(const struct issuers *a, const struct issuers *b)
{
    if (a->count != b->count)
        return false;
    for (uint8_t i = 0; i < a->count; i++) {
        if (!name_equal(&a->peer[i].id, &b->peer[i].id) ||
            strcmp(a->peer[i].address, b->peer[i].address) != 0)
            return false;
    }
    return true;
}

static void take_over(struct issuers *issuers, const struct raft_members *members,
                      struct instant now, struct issuers_change *change)
{
    const struct issuers before = *issuers;
    for (uint8_t i = 0; i < members->count; i++)
        issuers->peer[i] = made_of(&before, &members->member[i]);
    issuers->count = members->count;
    change->differs = !same(&before, issuers);
    change->dial_all = dials_all(issuers);
    for (uint8_t i = 0; i < before.count; i++) {
        if (issuers_find(issuers, &before.peer[i].id) == NULL &&
            !name_equal(&before.peer[i].id, &issuers->self))
            let_go(issuers, &before.peer[i].id, now, change);
    }
    for (uint8_t i = 0; i < issuers->count; i++) {
        if (!name_equal(&issuers->peer[i].id, &issuers->self))
            dial(change, &issuers->peer[i].id, issuers->peer[i].address);
    }
}

void issuers_follow(struct issuers *issuers, const struct raft *raft, struct instant now,
                    struct issuers_change *change)
{
    bool own = raft != NULL && raft->members_index >= issuers->told.index;
    begin(issuers, change);
    if (own)
        take_over(issuers, &raft->members, now, change);
    else if (issuers->told.index > 0)
        take_over(issuers, &issuers->told.members, now, change);
}

void issuers_told(struct issuers *issuers, const struct wire_issuers *told, const struct raft *raft,
                  struct instant now, struct issuers_change *change)
{
    begin(issuers, change);
    if (told->index <= issuers->told.index)
        return;
    issuers->told = *told;
    issuers_follow(issuers, raft, now, change);
}

void issuers_look(struct issuers *issuers, const struct raft *raft, struct issuers_change *change)
{
    begin(issuers, change);
    if (raft == NULL)
        return;
    if (!name_empty(&raft->leader))
        issuers->leaderless = 0;
    else if (issuers->leaderless < LEADERLESS_LOOKS)
        issuers->leaderless++;
    for (uint8_t i = 0; i < issuers->listed_count; i++) {
        const struct conf_node_address *listed = &issuers->listed[i];
        if (issuers_find(issuers, &listed->id) != NULL ||
            find_leaving(issuers, &listed->id) != NULL || name_equal(&listed->id, &issuers->self))
            continue;
        if (issuers->leaderless == LEADERLESS_LOOKS)
            dial(change, &listed->id, listed->address);
        else if (issuers->leaderless == 0)
            forget(change, &listed->id);
    }
}
