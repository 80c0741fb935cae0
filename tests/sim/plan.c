/* What a seed makes of a run: its world, and the list of its faults. */
#include <string.h>

#include "base/timing.h"
#include "tests/sim/child.h"
#include "tests/sim/disk_hang.h"
#include "tests/sim/fault_rows.h"
#include "tests/sim/mix.h"
#include "tests/sim/scenario.h"

enum {
    CHAOS_US = 20000000,
    CHECKED_US = 3000000,
    KILLS_US = 30000000,
    KILL_EVERY_US = 5000000,
    SLOW_EVERY_US = 10000000,
    SLOW_NOTES_US = 300000,
    CLEAR_EVERY_US = 2000000,                              /* mean */
    MEMBERS_EVERY_US = 1500000,                            /* mean */
    FAILBACKS = 1 << (SIM_RESOURCES_MAX * SIM_BOARDS_MAX), /* half of the draws: all of them */
    CARD_EVERY_US = 1000000,                               /* mean */
    NOTES_US = 1000000,                                    /* notes come in lots of so long */
    ELECTIONS_US = 1000000,                                /* until somebody leads, mostly */
    TOGETHER_US = 500000, /* two memories are lost so near each other, mostly */
    BURST_US = 30000,     /* at the most between faults of a burst */
    BEYOND_PPM = 100000,
    BLIND_PLACE = FAULT_BOARD + SIM_BOARDS_MAX /* of a stream, behind those of the hardware */
};

/* ---- the world */

/* One in eight seeds is as fast as can be; most are as slow as real plants. */
static void plan_pace(struct sim_plan *plan, struct random *random)
{
    static const struct pace {
        int64_t scale;
        uint32_t rate_hz;
        int64_t hold_ms;
        int64_t readback_ms;
    } paces[] = {
        { 1, 125, 20, 5 },   { 1, 20, 200, 20 },   { 5, 10, 300, 50 },   { 10, 5, 600, 100 },
        { 10, 5, 600, 100 }, { 20, 2, 1500, 200 }, { 20, 2, 1500, 200 }, { 20, 2, 1500, 200 },
    };
    const struct pace *pace = &paces[random_below(random, sizeof(paces) / sizeof(paces[0]))];
    plan->scale = pace->scale;
    plan->rate_hz = pace->rate_hz;
    plan->hold_ms = pace->hold_ms;
    plan->readback_ms = pace->readback_ms;
}

/* F, by the same reckoning as the configuration's. */
static int64_t fence_us(const struct sim_plan *plan, const struct sim_hardware *hardware)
{
    static const enum timing_fence_kind kinds[] = {
        [OUTPUT_PULSE] = TIMING_FENCE_PULSE,
        [OUTPUT_GPIO_PROCESS] = TIMING_FENCE_GPIO_PROCESS,
        [OUTPUT_GPIO_KERNEL] = TIMING_FENCE_GPIO_KERNEL,
    };
    const struct timing_fence fence = {
        .kind = kinds[hardware->output],
        .hold = span_from_ms(plan->hold_ms),
        .watchdog_timeout = span_from_ms(SIM_WATCHDOG_MS * plan->scale),
        .reset_time = span_from_us(hardware->reset_us),
        .close_pings = hardware->close_pings,
    };
    return timing_fence_latency(&fence).us;
}

void plan_fences(struct sim_plan *plan)
{
    for (int board = 0; board < SIM_BOARDS_MAX; board++)
        plan->hardware[board].fence_us = fence_us(plan, &plan->hardware[board]);
}

static void plan_hardware(const struct settings *settings, int board, struct sim_plan *plan)
{
    struct random random;
    struct sim_hardware *hardware = &plan->hardware[board];
    random_init(&random, settings->seed, STREAM_PLAN, FAULT_BOARD + board);
    /* Where clocks are to break S1, no long fence latency may hide it. */
    bool plain = plan_is_chaos(plan) && !settings->skew_beyond && random_chance(&random, 400000);
    bool kernel = random_chance(&random, 600000);
    hardware->output = !plain ? OUTPUT_PULSE : kernel ? OUTPUT_GPIO_KERNEL : OUTPUT_GPIO_PROCESS;
    hardware->watchdog = hardware->output == OUTPUT_GPIO_KERNEL || random_chance(&random, 500000);
    hardware->close_pings = random_chance(&random, 500000);
    hardware->retains = hardware->output == OUTPUT_GPIO_KERNEL && random_chance(&random, 500000);
    hardware->reset_us = random_between(&random, 1000, 500000);
    random_init(&random, settings->seed, STREAM_PLAN, BLIND_PLACE + board);
    hardware->blind = hardware->output == OUTPUT_PULSE && plan_is_chaos(plan) &&
                      !settings->skew_beyond && settings->plant == PLANT_NONE &&
                      random_chance(&random, 150000);
}

static void plan_network(struct sim_plan *plan, struct random *random)
{
    plan->delay_max_us = random_between(random, 300, 20000);
    plan->ordered = random_chance(random, 400000);
    if (random_chance(random, 500000))
        plan->straggle_max_us = random_between(random, 50000, 1000000);
    if (!plan->ordered && random_chance(random, 700000)) {
        plan->loss_ppm = (unsigned)random_below(random, 100000);
        plan->repeat_ppm = (unsigned)random_below(random, 100000);
    }
}

/* One kind of fault only, in a world that is calm but for it. */
static void plan_kills(struct sim_plan *plan, struct random *random)
{
    struct span recommended = timing_recommended_ttl(span_from_ms(SIM_ELECTION_MS * plan->scale),
                                                     span_from_ms(SIM_HEARTBEAT_MS * plan->scale),
                                                     span_from_ms(SIM_RELEASE_MS), SIM_DRIFT_PPM);
    plan->ttl_us = plan->type != SIM_BOARD_KILL ?
                       recommended.us :
                       random_between(random, 2, 10) * 100000 * plan->scale;
    plan->failback = 0;
    plan->shared_machines = 0;
    plan->note_interval_us = 0;
    plan->fault_interval_us = KILL_EVERY_US * plan->scale;
    plan->ordered = true;
    plan->loss_ppm = 0;
    plan->repeat_ppm = 0;
    plan->straggle_max_us = 0;
    plan->delay_max_us = 1000;
    plan->quiet_us = KILLS_US * plan->scale;
    plan->end_us = plan->quiet_us;
}

/* Long phases, and a log that grows meanwhile. */
static void plan_slow_disks(const struct settings *settings, struct sim_plan *plan)
{
    plan->fault_interval_us = SLOW_EVERY_US * plan->scale;
    plan->note_interval_us = SLOW_NOTES_US * plan->scale;
    if (disk_hang_takes_run(settings))
        disk_hang_plan(settings, plan);
}

/* Several resources on a board: what one bears all do. */
static void plan_slack(struct sim_plan *plan, struct random *random)
{
    plan->resources = (int)random_between(random, 1, SIM_RESOURCES_MAX);
}

/* Some of several resources have a ttl that is much longer than that of the others. */
static void plan_ttls(const struct settings *settings, struct sim_plan *plan)
{
    struct random random;
    random_init(&random, settings->seed, STREAM_PLAN, 2);
    if (plan->type == SIM_SLACK && random_chance(&random, 500000))
        plan->long_ttls = (uint32_t)random_below(&random, UINT64_C(1) << plan->resources);
}

bool plan_is_chaos(const struct sim_plan *plan)
{
    return plan->type == SIM_CHAOS || plan->type == SIM_RESTORE || plan->type == SIM_ONE_ISSUER;
}

static enum sim_type plan_type(const struct settings *settings, struct random *random)
{
    uint64_t kind = random_below(random, 10);
    if (settings->only != SIM_TYPES)
        return settings->only;
    if (settings->plant == PLANT_RESTORED_FREE || settings->plant == PLANT_RESTORED_LOG)
        return SIM_RESTORE;
    if (kind == 9 && !settings->skew_beyond && settings->plant == PLANT_NONE) {
        uint64_t rare = random_below(random, 4);
        return rare == 0 ? SIM_SLOW_DISKS :
               rare == 1 ? SIM_RESTORE :
               rare == 2 ? SIM_SLACK :
                           SIM_ONE_ISSUER;
    }
    if (kind == 8 && !settings->skew_beyond && settings->plant == PLANT_NONE &&
        random_chance(random, 250000))
        return SIM_ONE_ISSUER;
    if (kind >= 3 || settings->skew_beyond || settings->plant != PLANT_NONE)
        return SIM_CHAOS;
    return kind == 0 ? SIM_LEADER_KILL : kind == 1 ? SIM_BOARD_KILL : SIM_ISSUER_CUT;
}

/* Whoever restores the cluster brings other files with him, with leases shorter or longer. */
static void plan_restore(const struct settings *settings, struct sim_plan *plan)
{
    struct random random;
    random_init(&random, settings->seed, STREAM_PLAN, 1);
    if (settings->plant != PLANT_NONE || !random_chance(&random, 800000))
        return;
    plan->restored_ttl_us = random_chance(&random, 700000) ? plan->ttl_us / 4 : plan->ttl_us * 2;
    plan->end_us = plan_driven_by_us(plan) + CHECKED_US;
}

static void plan_world(const struct settings *settings, struct sim_plan *plan)
{
    static const int64_t ttls_ms[] = { 200, 500, 1000, 2000 };
    static const int resources[] = { 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 4 };
    struct random chance;
    struct random *random = &chance;
    random_init(random, settings->seed, STREAM_PLAN, 0);
    plan->type = plan_type(settings, random);
    plan_pace(plan, random);
    plan->issuers = random_chance(random, 250000) ? 5 : 3;
    if (plan->type == SIM_ONE_ISSUER)
        plan->issuers = 1;
    plan->boards = random_chance(random, 300000) ? 3 : 2;
    plan->resources = resources[random_below(random, sizeof(resources) / sizeof(resources[0]))];
    plan->ttl_us = ttls_ms[random_below(random, 4)] * 1000 * plan->scale;
    plan->fault_interval_us = random_between(random, 200000, 2500000) * plan->scale;
    plan->note_interval_us =
        random_chance(random, 150000) ? random_between(random, 8000, 30000) * plan->scale : 0;
    plan->growth_bytes = (uint64_t)random_between(random, 20000, 200000);
    plan->shared_machines =
        random_chance(random, 400000) ? (int)random_between(random, 1, plan->boards) : 0;
    if (plan->shared_machines > plan->issuers)
        plan->shared_machines = plan->issuers;
    if (random_chance(random, 400000))
        plan->failback = (uint32_t)random_below(random, UINT64_C(2) * FAILBACKS);
    if (plan->failback >= FAILBACKS)
        plan->failback = FAILBACKS - 1;
    for (int board = 0; board < SIM_BOARDS_MAX; board++)
        plan_hardware(settings, board, plan);
    plan_fences(plan);
    plan->skew_ppm_max = settings->skew_beyond ? BEYOND_PPM : SIM_DRIFT_PPM;
    plan->quiet_us = (SIM_SETTLE_US + CHAOS_US) * plan->scale;
    plan->end_us = plan_driven_by_us(plan) + CHECKED_US;
    plan_network(plan, random);
    if (!plan_is_chaos(plan))
        plan_kills(plan, random);
    if (plan->type == SIM_RESTORE)
        plan_restore(settings, plan);
    if (plan->type == SIM_SLOW_DISKS)
        plan_slow_disks(settings, plan);
    if (plan->type == SIM_SLACK)
        plan_slack(plan, random);
    plan_ttls(settings, plan);
    /* Longer or shorter; where clocks are to break S1, no other latency may hide it. */
    if (plan->type == SIM_CHAOS && !settings->skew_beyond && random_chance(random, 300000))
        plan->refit_hold_ms =
            random_chance(random, 700000) ? 4 * plan->hold_ms : plan->hold_ms * 3 / 4;
    if (plan->refit_hold_ms != 0)
        plan->end_us = plan_driven_by_us(plan) + CHECKED_US;
    if (plan->type == SIM_CHAOS && plan->issuers == 5 && random_chance(random, 600000))
        plan->spare_issuers = 2;
    plan->stuck_go = random_chance(random, 200000);
}

int64_t plan_longest_fence_us(const struct sim_plan *plan)
{
    int64_t fence_us = 0;
    for (int board = 0; board < plan->boards; board++) {
        if (plan->hardware[board].fence_us > fence_us)
            fence_us = plan->hardware[board].fence_us;
        if (plan->refit_hold_ms * 1000 > fence_us)
            fence_us = plan->refit_hold_ms * 1000;
    }
    return fence_us;
}

int64_t plan_longest_ttl_us(const struct sim_plan *plan)
{
    int64_t ttl_us = plan->restored_ttl_us > plan->ttl_us ? plan->restored_ttl_us : plan->ttl_us;
    return plan->long_ttls != 0 ? SIM_LONG_TTLS * ttl_us : ttl_us;
}

int64_t plan_driven_by_us(const struct sim_plan *plan)
{
    enum {
        LINKS_US = 5000000, /* links and resends */
        ELECTIONS = 7       /* election timeouts until somebody leads, at the most */
    };
    int64_t fence_us = plan_longest_fence_us(plan);
    /* A board may hang or sleep until then, and its watchdog reset it after that. */
    return plan->quiet_us + LINKS_US + ELECTIONS * plan->scale * SIM_ELECTION_MS * 1000 +
           2 * (plan_longest_ttl_us(plan) + fence_us) + 2 * SIM_WATCHDOG_MS * 1000 * plan->scale;
}

/* ---- its faults */

/* Of three boards the one that waits first dies, and is heard to; then the one that drives. */
static void add_waiters_death(struct scenario *scenario, struct random *random, int64_t before_us)
{
    const struct sim_plan *plan = &scenario->plan;
    struct fault death = { .kind = FAULT_WAITER_DEATH };
    if (plan->boards < 3 || !random_chance(random, 500000))
        return;
    death.at_us = before_us - random_between(random, 200000, 600000) * plan->scale;
    death.duration_us = random_between(random, 1000000, 2500000) * plan->scale;
    scenario_add(scenario, &death);
}

static void add_deaths(struct scenario *scenario, struct random *random)
{
    static const enum fault_kind kinds[SIM_TYPES] = {
        [SIM_LEADER_KILL] = FAULT_LEADER_DEATH, [SIM_BOARD_KILL] = FAULT_BOARD_DEATH,
        [SIM_ISSUER_CUT] = FAULT_CUT,           [SIM_SLOW_DISKS] = FAULT_DISKS_SLOW,
        [SIM_SLACK] = FAULT_SLOW_LEADER,
    };
    const struct sim_plan *plan = &scenario->plan;
    struct fault fault = { .at_us = SIM_SETTLE_US * plan->scale };
    fault.kind = kinds[plan->type];
    for (; fault.at_us < plan->quiet_us; fault.at_us += plan->fault_interval_us) {
        if (plan->type == SIM_BOARD_KILL)
            add_waiters_death(scenario, random, fault.at_us);
        if (plan->type == SIM_SLACK)
            fault.kind = random_chance(random, 500000) ? FAULT_STALL : FAULT_SLOW_LEADER;
        fault_table[fault.kind].draw(plan, random, &fault);
        scenario_add(scenario, &fault);
    }
}

/*
 * A change of members, or a hand-over, is on its way for milliseconds, and a recovery for some
 * more: a memory is lost then.
 */
static void add_loss_beside(struct scenario *scenario, struct random *random,
                            const struct fault *act)
{
    bool again = act->kind == FAULT_DAMAGE;
    bool passes = act->kind == FAULT_MEMBER_ADD || act->kind == FAULT_MEMBER_PROMOTE ||
                  act->kind == FAULT_MEMBER_REMOVE || act->kind == FAULT_LEADER_TRANSFER;
    struct fault loss = { .kind = FAULT_DAMAGE };
    if ((!passes && !again) || !random_chance(random, 250000))
        return;
    loss.at_us = act->at_us + (again ? act->duration_us + random_between(random, 1000, 300000) :
                                       random_between(random, 100, 5000));
    if (loss.at_us >= scenario->plan.quiet_us)
        return;
    fault_table[loss.kind].draw(&scenario->plan, random, &loss);
    if (again)
        loss.node = act->node;
    scenario_add(scenario, &loss);
}

static void add_chaos(struct scenario *scenario, const struct mix *mix, struct random *random)
{
    const struct sim_plan *plan = &scenario->plan;
    int64_t at_us = SIM_SETTLE_US * plan->scale;
    while (at_us < plan->quiet_us) {
        struct fault fault = { .at_us = at_us };
        mix_draw_fault(mix, plan, random, &fault);
        scenario_add(scenario, &fault);
        add_loss_beside(scenario, random, &fault);
        int64_t most_us = random_chance(random, mix->burst_ppm) ? BURST_US * plan->scale :
                                                                  2 * plan->fault_interval_us;
        at_us += random_between(random, 1000, most_us);
    }
}

static void add_operators(struct scenario *scenario, const struct mix *mix, struct random *random)
{
    const struct sim_plan *plan = &scenario->plan;
    int64_t begin_us = SIM_SETTLE_US * plan->scale;
    int64_t notes_us = NOTES_US * plan->scale;
    struct fault clear = { .kind = FAULT_CLEAR, .at_us = begin_us };
    struct fault notes = { .kind = FAULT_NOTES,
                           .at_us = begin_us,
                           .duration_us = notes_us,
                           .period_us = plan->note_interval_us };
    for (; mix->clear_every > 0 && clear.at_us < plan->quiet_us;
         clear.at_us +=
         random_between(random, 1000, 2 * CLEAR_EVERY_US * plan->scale * mix->clear_every))
        scenario_add(scenario, &clear);
    for (; plan->note_interval_us > 0 && notes.at_us < plan->quiet_us; notes.at_us += notes_us)
        scenario_add(scenario, &notes);
}

/* Operators don't wait until the first grants are no longer held off. */
static void add_acts_after(struct scenario *scenario, struct random *random,
                           const struct fault *loss)
{
    static const enum fault_kind kinds[] = { FAULT_PIN,      FAULT_PIN, FAULT_UNPIN,
                                             FAULT_TRANSFER, FAULT_GO,  FAULT_LEADER_TRANSFER };
    const struct sim_plan *plan = &scenario->plan;
    int64_t hold_off_us = 2 * (plan_longest_ttl_us(plan) + plan_longest_fence_us(plan));
    if (random_chance(random, 300000))
        return;
    for (int acts = (int)random_between(random, 1, 5); acts > 0; acts--) {
        struct fault act = { .at_us = loss->at_us };
        act.kind = kinds[random_below(random, sizeof(kinds) / sizeof(kinds[0]))];
        act.at_us += random_between(random, 0, loss->duration_us + hold_off_us);
        if (act.at_us >= plan->quiet_us)
            continue;
        fault_table[act.kind].draw(plan, random, &act);
        scenario_add(scenario, &act);
    }
}

/* Of what was restored just now, or of what has gone on for long since; returns when, 0: none. */
static int64_t add_next_backup(struct scenario *scenario, struct random *random,
                               const struct fault *loss)
{
    const struct sim_plan *plan = &scenario->plan;
    struct fault backup = { .kind = FAULT_BACKUP, .at_us = loss->at_us + loss->duration_us };
    /* Somebody leads by then. */
    backup.at_us += ELECTIONS_US * plan->scale;
    int64_t left_us = plan->quiet_us - backup.at_us;
    if (left_us < 8)
        return 0;
    backup.at_us +=
        random_between(random, 1, random_chance(random, 500000) ? left_us / 2 : left_us / 8);
    scenario_add(scenario, &backup);
    return backup.at_us;
}

/*
 * A backup, a loss after it, and often a second loss: of what was restored from it, or begun anew, and
 * from that backup or from one of since then. In two of three runs both are restored.
 */
static void add_losses(struct scenario *scenario, struct random *random)
{
    const struct sim_plan *plan = &scenario->plan;
    int64_t at_us = SIM_SETTLE_US * plan->scale;
    bool chain = random_chance(random, 667000);
    struct fault backup = { .kind = FAULT_BACKUP };
    backup.at_us = at_us + random_between(random, 0, (plan->quiet_us - at_us) / 3);
    scenario_add(scenario, &backup);
    at_us = backup.at_us;
    for (int losses = chain || random_chance(random, 500000) ? 2 : 1; losses > 0; losses--) {
        struct fault loss = { .kind = FAULT_LOSS };
        loss.at_us = at_us + random_between(random, 1, (plan->quiet_us - at_us) / 2);
        fault_table[FAULT_LOSS].draw(plan, random, &loss);
        if (chain)
            loss.word = WORD_RESTORED;
        scenario_add(scenario, &loss);
        add_acts_after(scenario, random, &loss);
        int64_t next_us =
            chain || random_chance(random, 500000) ? add_next_backup(scenario, random, &loss) : 0;
        at_us = next_us > 0 ? next_us : loss.at_us;
    }
}

/* The one journal is lost; its issuer waits, until an operator begins the cluster again. */
static void add_lost_journals(struct scenario *scenario, struct random *random)
{
    const struct sim_plan *plan = &scenario->plan;
    int64_t at_us = SIM_SETTLE_US * plan->scale;
    struct fault backup = { .kind = FAULT_BACKUP };
    backup.at_us = at_us + random_between(random, 0, (plan->quiet_us - at_us) / 8);
    scenario_add(scenario, &backup);
    for (int losses = (int)random_between(random, 1, 3); losses > 0; losses--) {
        struct fault damage = { .kind = FAULT_DAMAGE };
        struct fault loss = { .kind = FAULT_LOSS };
        damage.at_us = at_us + random_between(random, 1, (plan->quiet_us - at_us) / 2);
        fault_table[FAULT_DAMAGE].draw(plan, random, &damage);
        scenario_add(scenario, &damage);
        loss.at_us = damage.at_us + random_between(random, 1000, 2 * damage.duration_us) +
                     random_between(random, 0, 2000000) * plan->scale;
        if (loss.at_us >= plan->quiet_us)
            return;
        fault_table[FAULT_LOSS].draw(plan, random, &loss);
        scenario_add(scenario, &loss);
        add_acts_after(scenario, random, &loss);
        at_us = loss.at_us;
    }
}

/* A card is copied, things go on, and it is put back. */
static void add_cards(struct scenario *scenario, struct random *random)
{
    const struct sim_plan *plan = &scenario->plan;
    struct fault copy = { .kind = FAULT_COPY_CARD, .at_us = SIM_SETTLE_US * plan->scale };
    if (!random_chance(random, 700000))
        return;
    for (;;) {
        struct fault back = { .kind = FAULT_PUT_BACK };
        copy.at_us += random_between(random, 0, 2 * CARD_EVERY_US * plan->scale);
        back.at_us = copy.at_us + random_between(random, 1000, 2 * CARD_EVERY_US * plan->scale);
        if (back.at_us >= plan->quiet_us)
            return;
        fault_table[copy.kind].draw(plan, random, &copy);
        fault_table[back.kind].draw(plan, random, &back);
        scenario_add(scenario, &copy);
        scenario_add(scenario, &back);
        copy.at_us = back.at_us;
    }
}

/* Where there are issuers to choose from, the operators never rest. */
static void add_members(struct scenario *scenario, struct random *random)
{
    static const enum fault_kind kinds[] = {
        FAULT_MEMBER_ADD,     FAULT_MEMBER_ADD,     FAULT_MEMBER_PROMOTE, FAULT_MEMBER_PROMOTE,
        FAULT_MEMBER_PROMOTE, FAULT_MEMBER_PROMOTE, FAULT_MEMBER_REMOVE,
    };
    const struct sim_plan *plan = &scenario->plan;
    struct fault fault = { .at_us = SIM_SETTLE_US * plan->scale };
    while (fault.at_us < plan->quiet_us) {
        fault.kind = kinds[random_below(random, sizeof(kinds) / sizeof(kinds[0]))];
        fault_table[fault.kind].draw(plan, random, &fault);
        scenario_add(scenario, &fault);
        add_loss_beside(scenario, random, &fault);
        fault.at_us += random_between(random, 1000, 2 * MEMBERS_EVERY_US * plan->scale);
    }
}

/* Of five, two recover at once, each of whom the other has to ask. */
static void add_two_losses(struct scenario *scenario, struct random *random)
{
    const struct sim_plan *plan = &scenario->plan;
    struct fault loss = { .kind = FAULT_DAMAGE };
    if (!random_chance(random, 400000))
        return;
    int64_t begin_us = SIM_SETTLE_US * plan->scale;
    int64_t together_us = TOGETHER_US * plan->scale;
    loss.at_us = random_between(random, begin_us, plan->quiet_us - together_us);
    for (int losses = 0; losses < 2; losses++) {
        fault_table[loss.kind].draw(plan, random, &loss);
        scenario_add(scenario, &loss);
        loss.at_us += random_between(random, 1000, together_us);
    }
}

void scenario_make(struct settings *settings, struct scenario *scenario)
{
    struct random random;
    struct mix mix;
    memset(scenario, 0, sizeof(*scenario));
    plan_world(settings, &scenario->plan);
    /* Planted bugs and bad clocks need what they need. */
    if (settings->skew_beyond || settings->plant != PLANT_NONE)
        mix_even(&mix);
    else
        mix_draw(settings, &scenario->plan, &mix);
    random_init(&random, settings->seed, STREAM_SCHEDULE, 0);
    if (plan_is_chaos(&scenario->plan))
        add_chaos(scenario, &mix, &random);
    else if (scenario->plan.type == SIM_SLOW_DISKS && disk_hang_takes_run(settings))
        disk_hang_add(settings, scenario);
    else
        add_deaths(scenario, &random);
    if (scenario->plan.type == SIM_RESTORE)
        add_losses(scenario, &random);
    if (scenario->plan.type == SIM_ONE_ISSUER)
        add_lost_journals(scenario, &random);
    add_operators(scenario, &mix, &random);
    if (scenario->plan.type == SIM_CHAOS && scenario->plan.issuers > 3) {
        add_members(scenario, &random);
        add_two_losses(scenario, &random);
    }
    if (scenario->plan.type == SIM_CHAOS && scenario->plan.issuers == 3 && scenario->plan.ordered)
        add_cards(scenario, &random);
    if (scenario->plan.type == SIM_CHAOS && settings->plant == PLANT_NONE && !settings->skew_beyond)
        disk_hang_add_to_chaos(settings, scenario);
    child_make(settings, &mix, scenario);
}
