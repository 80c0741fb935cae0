/* The kinds of faults, one row each; and how a run goes through its list. */
#include "tests/sim/fault_rows.h"

#include <string.h>

#include "tests/sim/scenario.h"
#include "tests/sim/sim.h"

const struct fault_row fault_table[FAULT_KINDS] = {
    [FAULT_PAUSE] = { "pause",
                      12,
                      { FIELD_PART, FIELD_NODE, FIELD_DURATION },
                      { 0 },
                      draw_pause,
                      apply_pause },
    [FAULT_KILL] = { "kill",
                     10,
                     { FIELD_PART, FIELD_NODE, FIELD_DURATION },
                     { 0 },
                     draw_kill,
                     apply_kill },
    [FAULT_POWER] = { "power", 6, { FIELD_NODE, FIELD_DURATION }, { 0 }, draw_power, apply_power },
    [FAULT_KILL_IN_FLUSH] = { "die-in-flush",
                              4,
                              { FIELD_ISSUER, FIELD_WORD, FIELD_DURATION },
                              { "kill", "power" },
                              draw_death_within,
                              apply_kill_in_flush },
    [FAULT_KILL_IN_START] = { "die-in-start",
                              2,
                              { FIELD_ISSUER, FIELD_WORD, FIELD_DURATION },
                              { "kill", "power" },
                              draw_death_within,
                              apply_kill_in_start },
    [FAULT_PARTITION] = { "partition",
                          8,
                          { FIELD_NODES, FIELD_WORD, FIELD_DURATION },
                          { "both-ways", "one-way" },
                          draw_partition,
                          apply_partition },
    [FAULT_BREAK] = { "break",
                      4,
                      { FIELD_NODE, FIELD_PEER, FIELD_DURATION },
                      { 0 },
                      draw_break,
                      apply_break },
    [FAULT_DISK_FAIL] = { "disk-fail",
                          1,
                          { FIELD_ISSUER },
                          { 0 },
                          draw_disk_fail,
                          apply_disk_fail },
    [FAULT_DISK_SLOW] = { "disk-slow",
                          3,
                          { FIELD_ISSUER, FIELD_DURATION },
                          { 0 },
                          draw_disk_slow,
                          apply_disk_slow },
    [FAULT_CLOCK_RATE] = { "clock-rate",
                           4,
                           { FIELD_NODE, FIELD_PPM },
                           { 0 },
                           draw_clock_rate,
                           apply_clock_rate },
    [FAULT_HANG] = { "hang", 4, { FIELD_BOARD, FIELD_DURATION }, { 0 }, draw_hang, apply_hang },
    [FAULT_LEASE_END] = { "lease-end",
                          5,
                          { FIELD_RESOURCE, FIELD_WORD },
                          { "hang", "guard-dies" },
                          draw_lease_end,
                          apply_lease_end },
    [FAULT_SLEEP] = { "sleep", 4, { FIELD_NODE, FIELD_DURATION }, { 0 }, draw_sleep, apply_sleep },
    [FAULT_WAKE_STEP] = { "wake-step",
                          3,
                          { FIELD_NODE, FIELD_WORD, FIELD_DURATION },
                          { "early", "late" },
                          draw_wake_step,
                          apply_wake_step },
    [FAULT_RAW_STEP] = { "raw-step",
                         2,
                         { FIELD_BOARD, FIELD_WORD, FIELD_DURATION },
                         { "forward", "back" },
                         draw_raw_step,
                         apply_raw_step },
    [FAULT_RAW_STANDS] = { "raw-stands",
                           2,
                           { FIELD_NODE, FIELD_DURATION },
                           { 0 },
                           draw_raw_stands,
                           apply_raw_stands },
    [FAULT_WELD] = { "weld",
                     4,
                     { FIELD_RESOURCE, FIELD_BOARD, FIELD_DURATION },
                     { 0 },
                     draw_weld,
                     apply_weld },
    [FAULT_READBACK] = { "readback",
                         3,
                         { FIELD_RESOURCE, FIELD_BOARD, FIELD_WORD, FIELD_DURATION },
                         { "off", "on" },
                         draw_readback,
                         apply_readback },
    [FAULT_TRANSFER] = { "transfer",
                         4,
                         { FIELD_RESOURCE, FIELD_BOARD },
                         { 0 },
                         draw_resource_and_board,
                         apply_transfer },
    [FAULT_LEADER_TRANSFER] = { "leader-transfer",
                                4,
                                { FIELD_ISSUER, FIELD_WORD },
                                { "at-once", "slow-disk" },
                                draw_leader_transfer,
                                apply_leader_transfer },
    [FAULT_PIN] = { "pin",
                    2,
                    { FIELD_RESOURCE, FIELD_BOARD },
                    { 0 },
                    draw_resource_and_board,
                    apply_pin },
    [FAULT_UNPIN] = { "unpin", 2, { FIELD_RESOURCE }, { 0 }, draw_resource, apply_unpin },
    [FAULT_CLEAR] = { "clear", 0, { FIELD_END }, { 0 }, NULL, apply_clear },
    [FAULT_GO] = { "go", 2, { FIELD_RESOURCE }, { 0 }, draw_resource, apply_go },
    [FAULT_NOTES] = { "notes", 0, { FIELD_DURATION, FIELD_PERIOD }, { 0 }, NULL, apply_notes },
    [FAULT_LEADER_DEATH] = { "leader-death",
                             0,
                             { FIELD_WORD, FIELD_DURATION },
                             { "kill", "power" },
                             draw_leader_death,
                             apply_leader_death },
    [FAULT_BOARD_DEATH] = { "board-death",
                            0,
                            { FIELD_DURATION },
                            { 0 },
                            draw_board_death,
                            apply_board_death },
    [FAULT_CUT] = { "cut",
                    0,
                    { FIELD_ISSUER, FIELD_WORD, FIELD_DURATION },
                    { "both-ways", "dumb", "deaf", "from-leader" },
                    draw_cut,
                    apply_cut },
    [FAULT_WALL_STEP] = { "wall-step",
                          2,
                          { FIELD_ISSUER, FIELD_WORD, FIELD_DURATION },
                          { "forward", "back" },
                          draw_wall_step,
                          apply_wall_step },
    [FAULT_LAGGARD] = { "laggard",
                        1,
                        { FIELD_ISSUER, FIELD_WORD },
                        { "handed-over", "leader-dies" },
                        draw_laggard,
                        apply_laggard },
    [FAULT_DISKS_SLOW] = { "disks-slow",
                           0,
                           { FIELD_WORD, FIELD_DURATION },
                           { "all", "leader", "follower", "leader-dies" },
                           draw_disks_slow,
                           apply_disks_slow },
    [FAULT_BACKUP] = { "backup", 0, { FIELD_END }, { 0 }, NULL, apply_backup },
    [FAULT_LOSS] = { "loss",
                     0,
                     { FIELD_WORD, FIELD_DURATION },
                     { "restored", "above", "low" },
                     draw_loss,
                     apply_loss },
    [FAULT_DAMAGE] = { "damage",
                       2,
                       { FIELD_ISSUER, FIELD_WORD, FIELD_DURATION },
                       { "bits", "block", "card", "card-alone", "card-begun" },
                       draw_damage,
                       apply_damage },
    [FAULT_MEMBER_ADD] = { "member-add",
                           0,
                           { FIELD_ISSUER },
                           { 0 },
                           draw_member,
                           apply_member_add },
    [FAULT_MEMBER_PROMOTE] = { "member-promote",
                               0,
                               { FIELD_ISSUER },
                               { 0 },
                               draw_member,
                               apply_member_promote },
    [FAULT_MEMBER_REMOVE] = { "member-remove",
                              0,
                              { FIELD_ISSUER },
                              { 0 },
                              draw_member_remove,
                              apply_member_remove },
    [FAULT_REFIT] = { "refit",
                      5,
                      { FIELD_PART, FIELD_BOARD, FIELD_PERIOD, FIELD_DURATION },
                      { 0 },
                      draw_refit,
                      apply_refit },
    [FAULT_SLOW_LEADER] = { "slow-leader",
                            0,
                            { FIELD_WORD, FIELD_PERIOD, FIELD_DURATION },
                            { "at-once", "gently", "boards" },
                            slack_draw_slow,
                            slack_apply_slow },
    [FAULT_STALL] = { "stall", 0, { FIELD_DURATION }, { 0 }, slack_draw_stall, slack_apply_stall },
    [FAULT_COPY_CARD] = { "copy-card", 0, { FIELD_ISSUER }, { 0 }, draw_member, apply_copy_card },
    [FAULT_PUT_BACK] = { "put-back", 0, { FIELD_DURATION }, { 0 }, draw_put_back, apply_put_back },
    [FAULT_FIRST_PERMIT] = { "first-permit",
                             3,
                             { FIELD_BOARD, FIELD_WORD, FIELD_DURATION },
                             { "guard", "hang", "agent" },
                             draw_first_permit,
                             apply_first_permit },
    [FAULT_WAITER_DEATH] = { "waiter-dies",
                             3,
                             { FIELD_RESOURCE, FIELD_DURATION },
                             { 0 },
                             draw_waiter_death,
                             apply_waiter_death },
    [FAULT_DISK_HANG] = { "disk-hang",
                          0,
                          { FIELD_ISSUER, FIELD_DURATION },
                          { 0 },
                          draw_disk_hang,
                          apply_disk_hang },
};

/* Of these nobody loses a leader, or a memory. */
static bool leaves_leader(enum fault_kind kind)
{
    return kind == FAULT_CLEAR || kind == FAULT_GO || kind == FAULT_NOTES || kind == FAULT_PIN ||
           kind == FAULT_UNPIN || kind == FAULT_TRANSFER;
}

void fault_apply(struct world *world, const struct fault *fault)
{
    char line[FAULT_LINE_MAX];
    const char *text = fault_print(fault, line);
    trace_leases(world);
    log_note(world, "fault:%s", text + strcspn(text, " ")); /* the line begins with its time */
    const char *skipped = world->put_back.open && !leaves_leader(fault->kind) ?
                              "a card that was put back is to be found out first" :
                              fault_table[fault->kind].apply(world, fault);
    if (!skipped)
        world_trail(world, TRAIL_FAULT, fault->kind);
    if (skipped)
        log_note(world, "fault: %s skipped: %s", fault_table[fault->kind].name, skipped);
}

/* ---- a run's */

static void post_next(struct world *world)
{
    const struct scenario *scenario = world->scenario;
    if (world->next_fault < scenario->count)
        world_post(world, EVENT_FAULT, 0, scenario->fault[world->next_fault].at_us - world->now_us,
                   NULL, 0);
}

void fault_start(struct world *world)
{
    const struct sim_plan *plan = &world->plan;
    post_next(world);
    world_post(world, EVENT_QUIET, 0, plan->quiet_us, NULL, 0);
    if (!plan_is_chaos(plan))
        return;
    for (int64_t check_us = plan_driven_by_us(plan); check_us <= plan->end_us; check_us += 500000)
        world_post(world, EVENT_CHECK, 0, check_us, NULL, 0);
}

void fault_event(struct world *world, const struct event *event)
{
    (void)event;
    if (world->quiet)
        return;
    fault_apply(world, &world->scenario->fault[world->next_fault++]);
    post_next(world);
}

/* It has no memory, and of those that its file lists none is an issuer any more. */
static bool lists_only_removed(const struct world *world, int issuer)
{
    struct raft_members listed;
    sim_bootstrap_members(world, &listed);
    for (int i = 0; i < listed.count; i++) {
        const struct hf_name *id = &listed.member[i].id;
        if (!name_equal(id, &world->name[issuer]) &&
            raft_member_index(&world->oracle.members, id) >= 0)
            return false;
    }
    return !oracle_remembers(world, issuer);
}

/*
 * When no more faults come: files that list too few are mended, and a cluster that was begun anew with
 * too low a number is begun again, as its boards ask for, as is one whose only issuer lost its journal.
 */
static void mend_beginnings(struct world *world)
{
    for (int i = 0; i < world->issuer_count; i++) {
        struct sim_issuer *issuer = &world->issuer[i];
        if (!issuer->alone && !lists_only_removed(world, i))
            continue;
        if (issuer->process.up)
            fault_kill_issuer(world, i, false, 0);
        issuer->alone = false;
        issuer->of_today = true;
    }
    if (world->begun_low || sim_waits_for_operator(world))
        (void)sim_begin_anew(world, 0, true);
}

void fault_quiet(struct world *world, const struct event *event)
{
    world->quiet = true;
    world->oracle.quiet_index = world->oracle.last;
    log_note(world, "no more faults");
    net_heal(world);
    for (int i = 0; i < world->issuer_count; i++) {
        struct sim_issuer *issuer = &world->issuer[i];
        issuer->disk.slow_until_us = 0;
        if (issuer->process.up && (issuer->store_failed || issuer->disk.sync_error != 0))
            fault_kill_issuer(world, i, false, 0);
    }
    for (int i = 0; i < world->board_count; i++)
        guard_record_heals(world, i);
    mend_beginnings(world);
    fault_operator(world, event);
}
