/*
 * Who the issuers are, and where, as this node knows now. Pure: configurations, the own log and
 * instants in; whom to dial and whom to hang up on, out.
 *
 * Purpose: a configuration file names the issuers of the day on which it was written. Issuers that
 *   were added since are learned from the log (an issuer's own) or from an issuer that is connected
 *   (WIRE_ISSUERS); those that left are not dialled and not believed any more.
 * Owner: struct node, which carries out what it says at the hub. Plain data; loop thread.
 * Lifecycle: issuers_init(), then events; nothing is to be freed.
 * Rules:
 *  - The own log counts, unless an issuer has told of a newer configuration that is committed.
 *  - Who is heard is more than who is listed: a change that is in the log may be taken back.
 *  - Who was removed is heard, and its link stays up, for as long as raft_hears() it, and for an
 *    election timeout more: a leader that removed itself needs our acknowledgement, hands over, and
 *    answers.
 *  - Nobody hangs up on itself: a node that was removed and is added again has both its roles yet.
 *  - Of two members the one with the smaller id dials (peer/peer.h). Whoever knows itself to be no
 *    member dials all of them at once: its board would be cut off from them for a while otherwise.
 *  - Nothing learned outlives the process: at the next start, one issuer of the file must be there.
 */
#ifndef HOLDFAST_NODE_ISSUERS_H
#define HOLDFAST_NODE_ISSUERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/instant.h"
#include "conf/conf.h"
#include "raft/raft.h"
#include "wire/wire.h"

enum { ISSUERS_TEXT_MAX = 400 };

/* An issuer, and what it last said in its hello. */
struct issuers_peer {
    struct hf_name id;
    char address[HF_ADDRESS_MAX + 1];
    bool up;
    uint64_t config_digest;
    char console[HF_ADDRESS_MAX + 1]; /* what it listens on, as it says; see node/reach.h */
    struct instant since;             /* of the last change of `up` */
};

/* In the list no more; its link stays up while it may still have something to say. */
struct issuers_leaving {
    struct hf_name id;
    struct instant until; /* then it is looked at again */
};

struct issuers {
    struct hf_name self;
    struct span patience; /* an election timeout */
    uint8_t listed_count;
    struct conf_node_address listed[HF_ISSUERS_MAX]; /* in this node's file */
    uint8_t count;
    struct issuers_peer peer[HF_ISSUERS_MAX];
    uint8_t leaving_count;
    struct issuers_leaving leaving[HF_ISSUERS_MAX];
    uint8_t leaderless;       /* looks in a row at which no leader was known */
    struct wire_issuers told; /* the newest that an issuer has told; index 0: none yet */
};

/* What to do about it. Of all who are to be dialled, some are already. */
struct issuers_change {
    bool differs;  /* the list is another one now */
    bool dial_all; /* for peer_hub_dial_all(), before the others */
    uint8_t dial_count;
    struct conf_node_address dial[HF_ISSUERS_MAX];
    uint8_t forget_count;
    struct hf_name forget[HF_ISSUERS_MAX]; /* hang up on them, and dial them no more */
};

/* As the file says. */
void issuers_init(struct issuers *issuers, const struct conf *conf);

/*
 * In all of these, `raft` is the own log's, NULL at a node that is no issuer, and *change is
 * overwritten.
 *
 * The own log's configuration changed or is committed now, or there is a hub now.
 */
void issuers_follow(struct issuers *issuers, const struct raft *raft, struct instant now,
                    struct issuers_change *change);

/* One that is heard as an issuer said so. */
void issuers_told(struct issuers *issuers, const struct wire_issuers *told, const struct raft *raft,
                  struct instant now, struct issuers_change *change);

/* Some who left may have had their time: see issuers_wake_at(). */
void issuers_expire(struct issuers *issuers, const struct raft *raft, struct instant now,
                    struct issuers_change *change);

/*
 * Once a second: for as long as nobody leads, issuers that only the file lists are dialled as well.
 * Nothing changes at a node that is no issuer.
 */
void issuers_look(struct issuers *issuers, const struct raft *raft, struct issuers_change *change);

/* When issuers_expire() is to be called; INSTANT_NEVER: nobody is leaving. */
struct instant issuers_wake_at(const struct issuers *issuers);

/* A node is connected, or not any more. True: it counts as an issuer's link, also of one that left. */
bool issuers_link_up(struct issuers *issuers, const struct wire_hello *hello, struct instant now);
bool issuers_link_down(struct issuers *issuers, const struct hf_name *id, struct instant now);

/* Whether it is to be heard as an issuer: it is in the list, or in the file, or raft_hears() it. */
bool issuers_hears(const struct issuers *issuers, const struct raft *raft,
                   const struct hf_name *id);

/* NULL: no issuer, as far as this node knows. Valid until the next change. */
const struct issuers_peer *issuers_find(const struct issuers *issuers, const struct hf_name *id);

/*
 * What in cluster.issuers of the file is out of date, as "add d at 10.0.0.4:7400, remove c" into
 * `text` (ISSUERS_TEXT_MAX is enough). False: nothing.
 */
bool issuers_outdated(const struct issuers *issuers, char *text, size_t size);

#endif
