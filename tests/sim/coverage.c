#include "tests/sim/coverage.h"

#include "base/check.h"

static const char *const names[COVERAGE_KINDS] = {
    [COVERAGE_ELECTIONS] = "elections won",
    [COVERAGE_LEADER_LOST_IN_RENEWAL] = "leaders lost with a renewal waiting",
    [COVERAGE_LEADER_TRANSFERS] = "leader transfers asked for",
    [COVERAGE_RENEWALS] = "renewals confirmed",
    [COVERAGE_LOST_ANSWERS] = "renewals answered lost",
    [COVERAGE_GRANTS] = "grants",
    [COVERAGE_TAKEOVERS] = "takeovers from another board",
    [COVERAGE_FENCED_RELEASES] = "fenced releases",
    [COVERAGE_UNFENCED_RELEASES] = "unfenced releases",
    [COVERAGE_LEFTOVERS] = "leftovers released",
    [COVERAGE_EXPIRIES] = "expiries",
    [COVERAGE_YIELDS] = "yields",
    [COVERAGE_BOARD_TRANSFERS] = "planned transfers accepted",
    [COVERAGE_PINS] = "pins",
    [COVERAGE_DRIVES] = "drives",
    [COVERAGE_DROPS_AT_DEADLINE] = "drops at the deadline",
    [COVERAGE_DROPS_AGENT_LOST] = "drops for a lost agent",
    [COVERAGE_DROPS_LATE] = "drops for lateness",
    [COVERAGE_GUARD_FAULTS] = "guard faults",
    [COVERAGE_FAULTS_CLEARED] = "guard faults cleared",
    [COVERAGE_WATCHDOG_RESETS] = "watchdog resets",
    [COVERAGE_KERNEL_HANGS] = "kernels hung",
    [COVERAGE_HANG_RESETS] = "hung boards reset by their watchdog",
    [COVERAGE_FENCES] = "plain outputs off by their fence alone",
    [COVERAGE_RETAINED_PINS] = "pins that outlived their guard",
    [COVERAGE_WELDED_RELAYS] = "relays welded",
    [COVERAGE_WELDED_OVERLAPS] = "edges beside a welded relay",
    [COVERAGE_STUCK_READBACKS] = "readbacks stuck",
    [COVERAGE_SNAPSHOTS_TAKEN] = "snapshots taken",
    [COVERAGE_SNAPSHOTS_INSTALLED] = "snapshots installed",
    [COVERAGE_LOG_TRUNCATIONS] = "log truncations",
    [COVERAGE_SLOT_SWITCHES] = "journal slots switched",
    [COVERAGE_TORN_TAILS] = "torn tails cut",
    [COVERAGE_ISSUER_KILLS] = "issuers killed",
    [COVERAGE_ISSUER_POWER_CUTS] = "issuers' power cut",
    [COVERAGE_DEATHS_IN_RECOVERY] = "issuers that died within their recovery",
    [COVERAGE_STORE_FAILURES] = "stores failed",
    [COVERAGE_JOURNALS_DAMAGED] = "journals damaged",
    [COVERAGE_CARDS_REPLACED] = "cards replaced by empty ones",
    [COVERAGE_DAMAGE_REPORTED] = "damaged journals reported",
    [COVERAGE_RECOVERIES] = "issuers that recovered from their peers",
    [COVERAGE_RECOVERIES_BY_SNAPSHOT] = "of them by a snapshot",
    [COVERAGE_RECOVERIES_INTERRUPTED] = "recoveries interrupted by a death",
    [COVERAGE_RECOVERIES_WAITED] = "recoveries that waited for another voter",
    [COVERAGE_SLOW_DISKS] = "slow disks",
    [COVERAGE_SLOW_PHASES] = "times of slow disks and nothing else",
    [COVERAGE_BACKUPS] = "backups",
    [COVERAGE_RESTORES] = "clusters lost and restored",
    [COVERAGE_AGENT_KILLS] = "agents killed",
    [COVERAGE_GUARD_KILLS] = "guards killed",
    [COVERAGE_BOARD_POWER_CUTS] = "boards' power cut",
    [COVERAGE_ISSUER_PAUSES] = "issuers paused",
    [COVERAGE_AGENT_PAUSES] = "agents paused",
    [COVERAGE_GUARD_PAUSES] = "guards paused",
    [COVERAGE_CLOCK_RATE_CHANGES] = "clock rates changed",
    [COVERAGE_WALL_STEPS] = "dates set",
    [COVERAGE_LEADERS_CUT_OFF] = "leaders cut off from the other issuers",
    [COVERAGE_FOLLOWERS_CUT_OFF] = "followers cut off from the other issuers",
    [COVERAGE_PARTITIONS] = "partitions",
    [COVERAGE_ONE_WAY_PARTITIONS] = "one-way partitions",
    [COVERAGE_CONNECTION_BREAKS] = "connections broken",
    [COVERAGE_FRAMES_LOST] = "frames lost",
    [COVERAGE_FRAMES_REPEATED] = "frames repeated",
    [COVERAGE_FRAMES_OVERTAKEN] = "frames overtaken",
    [COVERAGE_FAILOVERS_IN_BOUND] = "failovers measured against the bound",
    [COVERAGE_LEADERS_KILLED_UNNOTICED] = "leaders killed without a drop",
    [COVERAGE_SPLIT_VOTES_UNNOTICED] = "of them with more than one election",
    [COVERAGE_SPLIT_VOTES_DROPPED] = "leases lost to more than one election",
};

bool coverage_is_rare(enum coverage_kind kind)
{
    return kind == COVERAGE_SPLIT_VOTES_UNNOTICED || kind == COVERAGE_SPLIT_VOTES_DROPPED;
}

const char *coverage_name(enum coverage_kind kind)
{
    HF_CHECK(kind < COVERAGE_KINDS);
    return names[kind];
}
