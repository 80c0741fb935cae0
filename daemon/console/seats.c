#include "console/seats.h"

/* Which sessions may lose their seat. */
struct wish {
    const struct hf_name *who; /* NULL: anybody's */
    bool operator_role;
    bool busy;
    uint64_t idle_ms; /* at least */
};

/* The list begins with the newest session: of equally idle ones, the last in it was there first. */
static int longest(const struct seat *seats, size_t count, const struct wish *wish, uint64_t now_ms)
{
    int found = SEATS_REFUSED;
    for (size_t i = 0; i < count; i++) {
        const struct seat *seat = &seats[i];
        bool suits = seat->operator_role == wish->operator_role && seat->busy == wish->busy &&
                     now_ms - seat->since_ms >= wish->idle_ms &&
                     (wish->who == NULL || name_equal(wish->who, &seat->who));
        if (suits && (found < 0 || seat->since_ms <= seats[found].since_ms))
            found = (int)i;
    }
    return found;
}

static size_t seats_of(const struct seat *seats, size_t count, const struct seat *newcomer)
{
    size_t own = 0;
    for (size_t i = 0; i < count; i++)
        own += seats[i].operator_role == newcomer->operator_role &&
               name_equal(&seats[i].who, &newcomer->who);
    return own;
}

static size_t viewers(const struct seat *seats, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += !seats[i].operator_role;
    return found;
}

static int for_operator(const struct seat *seats, size_t count, uint64_t now_ms)
{
    static const struct wish wishes[] = { { .busy = false },
                                          { .busy = true },
                                          { .operator_role = true, .idle_ms = SEATS_SPARE_MS } };
    int found = SEATS_REFUSED;
    for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]) && found == SEATS_REFUSED; i++)
        found = longest(seats, count, &wishes[i], now_ms);
    return found;
}

int seats_choose(const struct seat *seats, size_t count, const struct seat *newcomer,
                 uint64_t now_ms, const char **why)
{
    if (seats_of(seats, count, newcomer) >= SEATS_NAME_MAX) {
        const struct wish own = { .who = &newcomer->who, .operator_role = newcomer->operator_role };
        *why = "too many sessions of this certificate, at most 8";
        return longest(seats, count, &own, now_ms);
    }
    *why = "too many sessions";
    if (newcomer->operator_role)
        return count < SEATS_MAX ? SEATS_FREE : for_operator(seats, count, now_ms);
    if (count < SEATS_MAX && viewers(seats, count) < SEATS_MAX - SEATS_OPERATOR)
        return SEATS_FREE;
    const struct wish spare = { .idle_ms = SEATS_SPARE_MS };
    return longest(seats, count, &spare, now_ms);
}
