#include "console/resources.h"

#include <stdio.h>

enum { NAMES_TEXT_MAX = 384 }; /* of the names that a policy may have: fits the line of an error */

bool resources_known(const struct replica *replica, const struct hf_name *resource)
{
    return issuer_policy_of(&replica->issuer, resource) != NULL ||
           lease_table_find(&replica->table, resource) >= 0;
}

/* "pump, fan", or with "and 12 more" behind as many as fit. */
static void policy_names(const struct issuer_config *config, char text[NAMES_TEXT_MAX])
{
    enum { MORE_MAX = 16 };
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < config->policy_count; i++) {
        if (used + 2 + HF_NAME_MAX + MORE_MAX >= NAMES_TEXT_MAX) {
            snprintf(text + used, NAMES_TEXT_MAX - used, " and %zu more", config->policy_count - i);
            return;
        }
        used += (size_t)snprintf(text + used, NAMES_TEXT_MAX - used, "%s%s", i > 0 ? ", " : "",
                                 config->policy[i].resource.text);
    }
}

void resources_refuse(struct call *call, const struct hf_name *resource)
{
    const struct replica *replica = issuer_shell_replica(call->view->issuer_shell);
    char names[NAMES_TEXT_MAX];
    policy_names(&replica->issuer.config, names);
    call_fail(call, CALL_NOT_FOUND, "resource %s: must be one of issuer.policy, which names %s",
              resource->text, names[0] != '\0' ? names : "none");
}
