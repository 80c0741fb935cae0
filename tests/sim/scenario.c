#include "tests/sim/scenario.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

/* Behind those of the same time. */
void scenario_add(struct scenario *scenario, const struct fault *fault)
{
    size_t at = scenario->count;
    if (scenario->count == scenario->capacity) {
        scenario->capacity = scenario->capacity ? 2 * scenario->capacity : 64;
        scenario->fault = realloc(scenario->fault, scenario->capacity * sizeof(scenario->fault[0]));
        HF_CHECK(scenario->fault);
    }
    while (at > 0 && scenario->fault[at - 1].at_us > fault->at_us)
        at--;
    memmove(&scenario->fault[at + 1], &scenario->fault[at],
            (scenario->count - at) * sizeof(scenario->fault[0]));
    scenario->fault[at] = *fault;
    scenario->count++;
}

void scenario_copy(struct scenario *copy, const struct scenario *scenario)
{
    *copy = *scenario;
    copy->fault = NULL;
    copy->count = 0;
    copy->capacity = 0;
    for (size_t i = 0; i < scenario->count; i++)
        scenario_add(copy, &scenario->fault[i]);
}

void scenario_free(struct scenario *scenario)
{
    free(scenario->fault);
    memset(scenario, 0, sizeof(*scenario));
}
