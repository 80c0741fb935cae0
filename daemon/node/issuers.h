/*
 * Who the issuers are, and where, as this node knows now.
 *
 * Purpose: a configuration file names the issuers of the day on which it was written. Issuers that
 *   were added since are learned from the log (an issuer's own) or from an issuer that is connected
 *   (WIRE_ISSUERS); those that left are not dialled and not believed any more.
 * Owner: struct node; loop thread. Part of node.c by its state, node->issuer_peer.
 * Rules:
 *  - The own log counts, unless an issuer has told of a newer configuration that is committed.
 *  - Who is heard is more than who is listed: a change that is in the log may be taken back.
 *  - Only a node that is known as an issuer is believed about others.
 *  - Nothing learned outlives the process: at the next start, one issuer of the file must be there.
 */
#ifndef HOLDFAST_NODE_ISSUERS_H
#define HOLDFAST_NODE_ISSUERS_H

#include "node/node.h"

/* As the file says; before the hub is there. */
void issuers_from_file(struct node *node);

/* An issuer said so. */
void issuers_told(struct node *node, const struct wire_issuers *issuers);

/*
 * The own log's configuration changed or is committed now, or the hub is there now: dials and
 * forgets accordingly. Who was removed is heard, and its link stays up, for as long as raft_hears()
 * it, and for an election timeout more: a leader that removed itself hands over, and answers.
 */
void issuers_follow(struct node *node);

/* No issuer in the list any more, but not hung up on yet. */
bool issuers_is_leaving(const struct node *node, const struct hf_name *id);

/* Whether it is to be heard as an issuer: it is in the list, or raft_hears() it. */
bool issuers_hears(struct node *node, const struct hf_name *id);

void issuers_start(struct node *node);
void issuers_stop(struct node *node);

/* NULL: no issuer, as far as this node knows. Valid until the next change. */
struct node_peer *issuers_find(struct node *node, const struct hf_name *id);

/*
 * What in cluster.issuers of the file is out of date, as "add d at 10.0.0.4:7400, remove c" into
 * `text`. False: nothing.
 */
bool issuers_outdated(const struct node *node, char *text, size_t size);

#endif
