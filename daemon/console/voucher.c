#include "console/voucher.h"

#include <stddef.h>

static bool voucher_holds(const struct conf_policy *policy, const struct hf_name *node)
{
    for (uint8_t i = 0; i < policy->holder_count; i++) {
        if (name_equal(&policy->holder[i], node))
            return true;
    }
    return false;
}

bool voucher_accepted(const struct conf *conf, const struct hf_name *via, bool issuer,
                      enum voucher_act act, const struct hf_name *resource)
{
    if (issuer || act == VOUCHER_READ)
        return true;
    for (size_t i = 0; act == VOUCHER_FAULT && i < conf->policy_count; i++) {
        if (name_equal(&conf->policy[i].resource, resource))
            return voucher_holds(&conf->policy[i], via);
    }
    return false;
}
