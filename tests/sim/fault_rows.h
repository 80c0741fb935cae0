/*
 * What the rows of fault.c are made of: how each kind is drawn, and how it is applied.
 *
 * Purpose: the table stands alone; what it names lives by subject in fault_*.c.
 * Owner: fault.c. Only fault_*.c, plan.c and first_permit.c include it.
 */
#ifndef HOLDFAST_TESTS_SIM_FAULT_ROWS_H
#define HOLDFAST_TESTS_SIM_FAULT_ROWS_H

#include "tests/sim/fault.h"

struct raft_members;

/* ---- words, in the order of their rows */

enum { WORD_KILL, WORD_POWER };                                /* of a death */
enum { WORD_HANDED_OVER, WORD_LEADER_DIES };                   /* to a laggard */
enum { WORD_HANGS, WORD_GUARD_DIES };                          /* of the end of a lease */
enum { WORD_GUARD, WORD_HANG, WORD_AGENT, DYING };             /* of a first permit */
enum { WORD_OFF, WORD_ON };                                    /* of a readback */
enum { WORD_BOTH_WAYS, WORD_ONE_WAY };                         /* of a partition */
enum { WORD_DUMB = 1, WORD_DEAF, WORD_FROM_LEADER };           /* of a cut, if not both ways */
enum { WORD_EARLY, WORD_LATE };                                /* of a step of MONOTONIC */
enum { WORD_AT_ONCE, WORD_SLOW_DISK };                         /* of a leader transfer */
enum { WORD_ALL, WORD_LEADER, WORD_FOLLOWER, WORD_AND_DEATH }; /* of slow disks */
enum { WORD_FORWARD, WORD_BACK };                              /* of a step of the date */
/* of a damage; a new card may come with a file that lists nobody else, or be begun by mistake */
enum { WORD_BITS, WORD_BLOCK, WORD_CARD, WORD_CARD_ALONE, WORD_CARD_BEGUN, DAMAGES };
enum { CUT_WAYS = 4 };                                /* words of a cut */
enum { WORD_RESTORED, WORD_ABOVE, WORD_LOW, LOSSES }; /* what an operator does after a loss */

/* ---- drawing: everything but `at_us` and `kind` */

typedef void fault_drawer(const struct sim_plan *plan, struct random *random, struct fault *fault);

fault_drawer draw_pause, draw_kill, draw_power, draw_death_within, draw_partition, draw_break,
    draw_disk_fail, draw_disk_slow, draw_clock_rate, draw_hang, draw_lease_end, draw_sleep,
    draw_wake_step, draw_raw_step, draw_raw_stands, draw_weld, draw_readback,
    draw_resource_and_board, draw_leader_transfer, draw_resource, draw_leader_death,
    draw_board_death, draw_cut, draw_wall_step, draw_laggard, draw_disks_slow, draw_loss,
    draw_damage, draw_member, draw_member_remove, draw_refit, draw_put_back, draw_first_permit,
    draw_waiter_death, draw_disk_hang;

/* ---- applying: NULL, or why it does not apply now */

typedef const char *fault_applier(struct world *world, const struct fault *fault);

fault_applier apply_pause, apply_kill, apply_power, apply_kill_in_flush, apply_kill_in_start,
    apply_partition, apply_break, apply_disk_fail, apply_disk_slow, apply_clock_rate, apply_hang,
    apply_lease_end, apply_sleep, apply_wake_step, apply_raw_step, apply_raw_stands, apply_weld,
    apply_readback, apply_transfer, apply_leader_transfer, apply_pin, apply_unpin, apply_clear,
    apply_go, apply_notes, apply_leader_death, apply_board_death, apply_cut, apply_wall_step,
    apply_laggard, apply_disks_slow, apply_backup, apply_loss, apply_damage, apply_member_add,
    apply_member_promote, apply_member_remove, apply_refit, apply_copy_card, apply_put_back,
    apply_first_permit, apply_waiter_death, apply_disk_hang;

/* ---- whom it is for (fault_death.c) */

extern const char fault_not_here[];
extern const char fault_no_leader[];
extern const char fault_is_down[];
extern const char fault_not_covered[];
extern const char fault_no_board[];
extern const char fault_asleep[];

/* The node's number in this world, or -1. */
int fault_node(const struct world *world, int place);
const char *fault_missing(int place);
/* A plain output that covers the guard's death alone promises nothing if anything stands still. */
bool fault_covers_hangs(const struct world *world, int node);
/*
 * Of these voters, but for `gone`, do most have a memory, though `forgets` will have none?
 * (fault_issuer.c)
 */
bool fault_most_remember(const struct world *world, const struct raft_members *members, int forgets,
                         int gone);

#endif
