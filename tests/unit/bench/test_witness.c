/* The witness misses no overlap: planted ones, and random plants against a brute-force model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/bench/witness.h"
#include "tests/unit/support/unit.h"

#define MS INT64_C(1000000)
#define US INT64_C(1000)

enum { EVENTS_MAX = 4096 };

struct log {
    int count;
    struct witness_event events[EVENTS_MAX];
};

static void note(void *context, const struct witness_event *event)
{
    struct log *log = context;
    assert_true(log->count < EVENTS_MAX);
    log->events[log->count++] = *event;
}

static int overlaps(const struct log *log)
{
    int count = 0;
    for (int i = 0; i < log->count; i++)
        count += log->events[i].type == WITNESS_EVENT_OVERLAP;
    return count;
}

static struct log noted;
static struct witness witness;

/* Two boards, one resource: line 0 gpio, line 1 pulse with 20 ms hold. */
static int start(void **state)
{
    (void)state;
    noted.count = 0;
    witness_init(&witness, 2, note, &noted);
    int resource = witness_add_resource(&witness);
    witness_add_line(&witness, resource, WITNESS_GPIO, 0);
    witness_add_line(&witness, resource, WITNESS_PULSE, 20 * MS);
    return 0;
}

static void set(int board, int line, bool level, int64_t at_ns)
{
    witness_set_level(&witness, board, 0, line, level, at_ns, at_ns);
}

static void reports_a_planted_overlap_down_to_one_nanosecond(void **state)
{
    static const int64_t lengths[] = { MS, US, 1 };
    for (size_t i = 0; i < 3; i++) {
        start(state);
        set(0, 0, true, 10 * MS);
        set(1, 0, true, 20 * MS - lengths[i]);
        set(0, 0, false, 20 * MS);
        assert_int_equal(overlaps(&noted), 1);
    }
}

/* The edges of one reading may be fed in the wrong order: their instants count. */
static void reports_it_when_the_edges_are_fed_in_the_wrong_order(void **state)
{
    (void)state;
    set(0, 0, true, 10 * MS);
    set(0, 0, false, 20 * MS);
    set(1, 0, true, 19 * MS);
    assert_int_equal(overlaps(&noted), 1);
    assert_int_equal(noted.events[noted.count - 1].at_ns, 19 * MS);
}

static void reports_it_when_the_board_flickers_in_between(void **state)
{
    (void)state;
    set(0, 0, true, 10 * MS);
    witness_set_level(&witness, 0, 0, 0, false, 19 * MS, 20 * MS);
    witness_set_level(&witness, 0, 0, 0, true, 19 * MS, 20 * MS);
    witness_set_level(&witness, 0, 0, 0, false, 19 * MS, 20 * MS);
    witness_set_level(&witness, 1, 0, 0, true, 19 * MS, 20 * MS);
    assert_int_equal(overlaps(&noted), 1);
}

static void touching_intervals_are_no_overlap(void **state)
{
    (void)state;
    set(0, 0, true, 10 * MS);
    set(0, 0, false, 20 * MS);
    set(1, 0, true, 20 * MS);
    set(1, 0, false, 30 * MS);
    set(0, 1, true, 30 * MS);
    set(1, 0, true, 50 * MS);
    assert_int_equal(overlaps(&noted), 0);
}

static void a_pulse_is_on_until_its_hold_after_the_last_rising_edge(void **state)
{
    (void)state;
    set(0, 1, true, 10 * MS);
    set(0, 1, false, 12 * MS);
    set(0, 1, true, 14 * MS);
    set(0, 1, false, 16 * MS);
    witness_advance(&witness, 33 * MS);
    assert_true(witness_drives(&witness, 0, 0));
    assert_int_equal(witness_next_ns(&witness), 34 * MS);
    witness_advance(&witness, 100 * MS);
    assert_false(witness_drives(&witness, 0, 0));
    assert_int_equal(noted.events[noted.count - 1].at_ns, 34 * MS);
}

/* A board that is reset, or a guard that wakes up late, while its pin was high. */
static void a_fall_of_a_pulse_line_neither_drives_nor_extends(void **state)
{
    (void)state;
    set(0, 1, true, 10 * MS);
    set(0, 1, false, 25 * MS);
    witness_advance(&witness, 30 * MS);
    assert_false(witness_drives(&witness, 0, 0));
    set(0, 1, true, 31 * MS);
    witness_advance(&witness, 51 * MS);
    set(1, 1, true, 60 * MS);
    set(0, 1, false, 65 * MS);
    assert_false(witness_drives(&witness, 0, 0));
    assert_int_equal(overlaps(&noted), 0);
    set(0, 1, true, 70 * MS);
    assert_int_equal(overlaps(&noted), 1);
}

static void the_tail_of_a_pulse_overlaps_too(void **state)
{
    (void)state;
    set(0, 1, true, 10 * MS);
    set(0, 1, false, 12 * MS);
    set(1, 0, true, 30 * MS - US);
    assert_int_equal(overlaps(&noted), 1);
}

static void an_edge_that_extends_a_pulse_over_another_board_is_seen(void **state)
{
    (void)state;
    set(0, 1, true, 10 * MS);
    set(0, 1, false, 20 * MS);
    /* Fed late, in the wrong order: board 1 came at 30, where the first edge's hold ends. */
    witness_set_level(&witness, 1, 0, 0, true, 30 * MS, 31 * MS);
    assert_int_equal(overlaps(&noted), 0);
    witness_set_level(&witness, 0, 0, 1, true, 29 * MS, 31 * MS);
    assert_int_equal(overlaps(&noted), 1);
}

static void a_toggling_pulse_writes_nothing_and_a_standing_level_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 100; i++)
        set(0, 1, i % 2 == 0, i * MS);
    assert_int_equal(noted.count, 2);
    set(0, 1, false, 110 * MS);
    witness_advance(&witness, 200 * MS);
    assert_int_equal(noted.count, 4);
    assert_int_equal(noted.events[3].at_ns, 118 * MS);
}

static void a_stuck_relay_counts_whatever_is_commanded(void **state)
{
    (void)state;
    witness_set_force(&witness, 0, 0, 0, WITNESS_FORCE_ON, 5 * MS);
    set(0, 0, true, 6 * MS);
    set(0, 0, false, 7 * MS);
    set(1, 0, true, 10 * MS);
    assert_int_equal(overlaps(&noted), 1);
    witness_set_force(&witness, 1, 0, 0, WITNESS_FORCE_OFF, 20 * MS);
    assert_false(witness_drives(&witness, 1, 0));
    witness_set_force(&witness, 1, 0, 0, WITNESS_FORCE_NONE, 30 * MS);
    assert_true(witness_drives(&witness, 1, 0));
    assert_int_equal(overlaps(&noted), 2);
}

static void a_pair_of_intervals_is_reported_once(void **state)
{
    (void)state;
    set(0, 1, true, 10 * MS);
    set(1, 1, true, 11 * MS);
    for (int i = 0; i < 50; i++) {
        set(0, 1, i % 2 != 0, (12 + i) * MS);
        set(1, 1, i % 2 != 0, (12 + i) * MS);
    }
    assert_int_equal(overlaps(&noted), 1);
}

static void a_drive_ends_with_its_latest_line_and_begins_with_its_earliest(void **state)
{
    (void)state;
    set(0, 1, true, 0);
    set(0, 0, true, 1 * MS);
    witness_set_level(&witness, 0, 0, 0, false, 19 * MS, 21 * MS);
    witness_advance(&witness, 30 * MS);
    assert_int_equal(noted.events[noted.count - 1].type, WITNESS_EVENT_DRIVE);
    assert_int_equal(noted.events[noted.count - 1].at_ns, 21 * MS);
    /* Board 1's second line was on first, though it is fed last. */
    set(1, 0, true, 22 * MS);
    assert_int_equal(overlaps(&noted), 0);
    witness_set_level(&witness, 1, 0, 1, true, 20 * MS, 22 * MS);
    assert_int_equal(overlaps(&noted), 1);
}

static void remembers_who_drove_at_an_instant(void **state)
{
    (void)state;
    set(0, 0, true, 10 * MS);
    set(0, 0, false, 20 * MS);
    assert_true(witness_drove_at(&witness, 0, 0, 10 * MS));
    assert_true(witness_drove_at(&witness, 0, 0, 20 * MS - 1));
    assert_false(witness_drove_at(&witness, 0, 0, 20 * MS));
    assert_false(witness_drove_at(&witness, 1, 0, 15 * MS));
}

/* ---- against brute force */

enum { BOARDS = 3, LINES = 2, STEPS = 60, TICKS = 400, HOLD = 7 };

struct model {
    bool level[BOARDS][LINES];
    int last_edge[BOARDS][LINES];      /* the latest instant it can have been */
    bool on[BOARDS][TICKS + HOLD + 2]; /* drives during [tick, tick + 1) */
};

static void paint(struct model *model, int board, int from, int until)
{
    for (int tick = from; tick < until; tick++)
        model->on[board][tick] = true;
}

static bool model_pair_overlaps(const struct model *model, int a, int b)
{
    for (int tick = 0; tick < TICKS + HOLD + 2; tick++)
        if (model->on[a][tick] && model->on[b][tick])
            return true;
    return false;
}

static void feed(struct model *model, int board, int line, bool level, int earliest, int latest)
{
    witness_set_level(&witness, board, 0, line, level, earliest, latest);
    if (model->level[board][line] == level)
        return;
    model->level[board][line] = level;
    if (line == 1 && !level)
        return;
    if (line == 1)
        paint(model, board, earliest, latest + HOLD);
    else if (!level)
        paint(model, board, model->last_edge[board][0], latest);
    model->last_edge[board][line] = level && line == 0 ? earliest : latest;
}

static bool pair_reported(int a, int b)
{
    for (int i = 0; i < noted.count; i++) {
        const struct witness_event *event = &noted.events[i];
        if (event->type == WITNESS_EVENT_OVERLAP &&
            ((event->board == a && event->other == b) || (event->board == b && event->other == a)))
            return true;
    }
    return false;
}

/* One random plant; `window` is the uncertainty of an instant in ticks. */
static void run_one(unsigned int seed, int window)
{
    struct model model;
    unsigned int random = seed;
    int now = 1;
    memset(&model, 0, sizeof model);
    noted.count = 0;
    witness_init(&witness, BOARDS, note, &noted);
    int resource = witness_add_resource(&witness);
    witness_add_line(&witness, resource, WITNESS_GPIO, 0);
    witness_add_line(&witness, resource, WITNESS_PULSE, HOLD);
    for (int step = 0; step < STEPS && now + window < TICKS - 20; step++) {
        int batch = window ? 1 + rand_r(&random) % 4 : 1;
        for (int i = 0; i < batch; i++)
            feed(&model, rand_r(&random) % BOARDS, rand_r(&random) % LINES,
                 rand_r(&random) % 3 == 0, now, now + window);
        /* Exact edges are at different instants: on before off at one instant is told, safely. */
        now += (window ? window : 1) + rand_r(&random) % 12;
        witness_advance(&witness, now);
    }
    for (int board = 0; board < BOARDS; board++)
        feed(&model, board, 0, false, now, now + window);
    witness_advance(&witness, TICKS * 2);
    for (int a = 0; a < BOARDS; a++)
        for (int b = a + 1; b < BOARDS; b++)
            if (pair_reported(a, b) != model_pair_overlaps(&model, a, b))
                fail_msg("seed %u window %d: boards %d and %d: witness says %d", seed, window, a, b,
                         pair_reported(a, b));
}

static void agrees_with_brute_force_on_random_plants(void **state)
{
    (void)state;
    const char *given = getenv("HOLDFAST_SEED");
    unsigned int seed = given ? (unsigned int)strtoul(given, NULL, 10) : (unsigned int)time(NULL);
    printf("seed %u\n", seed);
    for (unsigned int i = 0; i < 5000; i++) {
        run_one(seed + i, 0);
        run_one(seed + i, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reports_a_planted_overlap_down_to_one_nanosecond, start),
        cmocka_unit_test_setup(reports_it_when_the_edges_are_fed_in_the_wrong_order, start),
        cmocka_unit_test_setup(reports_it_when_the_board_flickers_in_between, start),
        cmocka_unit_test_setup(touching_intervals_are_no_overlap, start),
        cmocka_unit_test_setup(a_pulse_is_on_until_its_hold_after_the_last_rising_edge, start),
        cmocka_unit_test_setup(a_fall_of_a_pulse_line_neither_drives_nor_extends, start),
        cmocka_unit_test_setup(the_tail_of_a_pulse_overlaps_too, start),
        cmocka_unit_test_setup(an_edge_that_extends_a_pulse_over_another_board_is_seen, start),
        cmocka_unit_test_setup(a_toggling_pulse_writes_nothing_and_a_standing_level_ends, start),
        cmocka_unit_test_setup(a_stuck_relay_counts_whatever_is_commanded, start),
        cmocka_unit_test_setup(a_pair_of_intervals_is_reported_once, start),
        cmocka_unit_test_setup(a_drive_ends_with_its_latest_line_and_begins_with_its_earliest,
                               start),
        cmocka_unit_test_setup(remembers_who_drove_at_an_instant, start),
        cmocka_unit_test(agrees_with_brute_force_on_random_plants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
