#include "console/turns.h"

bool turns_before(const struct turn_wish *a, const struct turn_wish *b, bool operator_last)
{
    if (a->operator_role != b->operator_role)
        return a->operator_role != operator_last;
    return a->served < b->served;
}
