/*
 * Whose word counts for an operator: commands that another node's console relayed.
 *
 * An operator's certificate proves itself to the console that it connects to. To every other node it
 * is that console's word, under the certificate of its node. Issuers have a say in everything anyway,
 * so theirs counts. A board's key is on a machine in the field, and whoever has it can say what he
 * likes: what a board relays counts as the board's own act, by this list and no more. An operator who
 * is at a board's console takes his certificate to an issuer's (holdfastctl does that by itself).
 * Pure. Source: PROTOCOL.md, voucher-counts.
 */
#ifndef HOLDFAST_CONSOLE_VOUCHER_H
#define HOLDFAST_CONSOLE_VOUCHER_H

#include <stdbool.h>

#include "base/name.h"
#include "conf/conf.h"

/* What a board may relay of a command. */
enum voucher_act {
    VOUCHER_NONE, /* nothing: acts, and whatever is asked of the node itself */
    VOUCHER_READ, /* what every viewer may see of the cluster */
    VOUCHER_FAULT /* the note that a fault of its own was cleared, of a resource that it may hold */
};

/*
 * May the node `via` relay that act, on `resource` (VOUCHER_FAULT; else ignored)? `conf` is that of the
 * issuer that acts; `issuer`: `via` is one, as far as that knows.
 */
bool voucher_accepted(const struct conf *conf, const struct hf_name *via, bool issuer,
                      enum voucher_act act, const struct hf_name *resource);

#endif
