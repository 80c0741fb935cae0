#include "lease/budget.h"

const struct budget_rule budget_board = {
    .burst = BUDGET_BOARD_BURST,
    .unit_us = INT64_C(3600000000) / BUDGET_BOARD_HOUR + 1, /* rounded to the slower side */
};

/* What was spent and has not come back, in time. */
static int64_t owed_us(const struct budget *budget, struct instant now)
{
    return instant_before(now, budget->full_at) ? instant_diff(budget->full_at, now).us : 0;
}

int64_t budget_left(const struct budget *budget, const struct budget_rule *rule, struct instant now)
{
    int64_t owed = (owed_us(budget, now) + rule->unit_us - 1) / rule->unit_us;
    return rule->burst - owed;
}

void budget_spend(struct budget *budget, const struct budget_rule *rule, int64_t units,
                  struct instant now)
{
    struct instant from = instant_max(budget->full_at, now);
    budget->full_at = instant_add(from, span_from_us(units * rule->unit_us));
}

struct instant budget_ready_at(const struct budget *budget, const struct budget_rule *rule,
                               int64_t units)
{
    int64_t slack_us = (rule->burst - units) * rule->unit_us;
    return instant_sub(budget->full_at, span_from_us(slack_us));
}

int64_t budget_entry_bytes(size_t length, bool opens)
{
    return BUDGET_ENTRY_RECORD + 2 * (int64_t)length + (opens ? BUDGET_FRAME : 0);
}
