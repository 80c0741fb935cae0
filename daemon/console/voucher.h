/*
 * Whose word counts for an operator: acts that another node's console relayed.
 *
 * An operator's certificate proves itself to the console that it connects to. To every other node
 * it is that console's word, under the certificate of its node. So a node may vouch only for what
 * it has a say in anyway: issuers for everything; a board for the resources that the policy lets it
 * hold, and, if there is any, for a leader transfer, but never for who the issuers are. Pure.
 */
#ifndef HOLDFAST_CONSOLE_VOUCHER_H
#define HOLDFAST_CONSOLE_VOUCHER_H

#include <stdbool.h>

#include "base/name.h"
#include "conf/conf.h"

/*
 * May the node `via` vouch for an operator who acts on `resource`? NULL, or a resource that no
 * policy knows: on the cluster as a whole. `conf` is that of the issuer that acts; `issuer`: `via` is
 * one, as far as that knows.
 */
bool voucher_accepted(const struct conf *conf, const struct hf_name *via,
                      bool issuer, const struct hf_name *resource);

#endif
