#include "console/voucher.h"

#include <stddef.h>

static const struct conf_policy *voucher_policy(const struct conf *conf,
                                                const struct hf_name *resource)
{
    for (size_t i = 0; resource != NULL && i < conf->policy_count; i++) {
        if (name_equal(&conf->policy[i].resource, resource))
            return &conf->policy[i];
    }
    return NULL;
}

static bool voucher_holds(const struct conf_policy *policy, const struct hf_name *node)
{
    for (uint8_t i = 0; i < policy->holder_count; i++) {
        if (name_equal(&policy->holder[i], node))
            return true;
    }
    return false;
}

bool voucher_accepted(const struct conf *conf, const struct hf_name *via,
                      bool issuer, const struct hf_name *resource)
{
    const struct conf_policy *policy = voucher_policy(conf, resource);
    if (issuer)
        return true;
    if (policy != NULL)
        return voucher_holds(policy, via);
    for (size_t i = 0; i < conf->policy_count; i++) {
        if (voucher_holds(&conf->policy[i], via))
            return true;
    }
    return false;
}
