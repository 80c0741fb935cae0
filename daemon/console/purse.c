#include "console/purse.h"

#include <string.h>

struct budget *purse_of(struct purse *purse, size_t count, const struct hf_name *name)
{
    size_t best = 0;
    for (size_t i = 0; i < count; i++) {
        if (name_equal(&purse[i].name, name))
            return &purse[i].budget;
        if (instant_before(purse[i].budget.full_at, purse[best].budget.full_at))
            best = i;
    }
    memset(&purse[best], 0, sizeof(purse[best]));
    purse[best].name = *name;
    return &purse[best].budget;
}
