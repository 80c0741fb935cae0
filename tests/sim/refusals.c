/* Scenario texts that must be refused, and the reason that must be named. */
#include <stdio.h>
#include <string.h>

#include "tests/sim/replay.h"
#include "tests/sim/scenario.h"

static const struct refusal {
    const char *text;
    const char *error;
} refusals[] = {
    { "nonsense", "line 1: 'nonsense' is neither a setting nor a fault" },
    { "# a comment\n\nissuers 9", "line 3: issuers: '9' is not in 1 to 5" },
    { "ttl 0.01", "line 1: ttl: '0.01' is not in 0.050000 to 600.000000 s" },
    { "weather 1", "line 1: 'weather 1' is no setting" },
    { "expect rain", "line 1: 'expect rain' is no setting" },
    { "plant 99", "line 1: 'plant 99' is no setting" },
    { "quiet 9\nend 8", "end: before quiet" },
    { "boards 1\nshared-machines 2", "shared-machines: more than there are issuers or boards" },
    { "1.2.3 clear", "line 1: '1.2.3' is no true time in seconds" },
    { "1 kick board-1", "line 1: 'kick' is no kind of fault" },
    { "1 power board-9 2", "line 1: power: 'board-9' is not issuer-N, board-N or leader" },
    { "1 power board-1", "line 1: power: '' is not a duration in seconds" },
    { "1 power board-1 2 3", "line 1: power: '3' is too much" },
    { "1 pause agent issuer-1 2", "line 1: pause: no such part there" },
    { "1 disk-slow board-1 2", "line 1: disk-slow: 'board-1' is not issuer-N or leader" },
    { "1 partition board-1+ both-ways 2",
      "line 1: partition: 'board-1+' is not nodes joined by +" },
    { "1 notes 1 0", "line 1: notes: '0' is not a period in seconds, above 0" },
    { "1 clock-rate board-1 600000", "line 1: clock-rate: '600000' is not -500000 to 500000 ppm" },
};

static bool is_refused(const struct refusal *refusal)
{
    char text[FAULT_LINE_MAX];
    char error[SCENARIO_ERROR_MAX];
    struct settings settings;
    struct scenario scenario;
    snprintf(text, sizeof(text), "%s", refusal->text);
    const char *wrong = scenario_parse(text, &settings, &scenario, error);
    if (wrong && strcmp(wrong, refusal->error) == 0)
        return true;
    printf("scenario '%s': %s, not: %s\n", refusal->text, wrong ? wrong : "accepted",
           refusal->error);
    if (!wrong)
        scenario_free(&scenario);
    return false;
}

void replay_refusals(uint64_t *passed, uint64_t *failed)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (is_refused(&refusals[i]))
            ++*passed;
        else
            ++*failed;
    }
}
