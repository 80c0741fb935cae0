/*
 * Budgets (core/lease/budget.h) by name, of those who came last.
 *
 * Owner: who holds the purses; plain data, zeroed at first. When all are taken, the one that is full
 *   the soonest is given to whoever is new.
 */
#ifndef HOLDFAST_CONSOLE_PURSE_H
#define HOLDFAST_CONSOLE_PURSE_H

#include "base/name.h"
#include "lease/budget.h"

struct purse {
    struct hf_name name; /* empty: unused */
    struct budget budget;
};

/* The budget of `name`, which is not empty; of `count` purses, at least one. */
struct budget *purse_of(struct purse *purse, size_t count, const struct hf_name *name);

#endif
