/* Who gives way at a listener, with time from outside. */
#include "tests/unit/support/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "peer/admission.h"
#include "tests/unit/support/random.h"

enum { PLACES = 8, SHAKING = 2, PER_HOST = 2 };

static struct admission admission;
static int victim;

static struct admission_key host(const char *text)
{
    struct sockaddr_storage address = { .ss_family = AF_INET };
    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&address)->sin_addr) != 1) {
        address.ss_family = AF_INET6;
        assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&address)->sin6_addr),
                         1);
    }
    return admission_key(&address);
}

static int enter(const char *text, uint64_t now_ms)
{
    const struct admission_key key = host(text);
    return admission_enter(&admission, &key, now_ms, &victim);
}

static void expect(const char *text, uint64_t now_ms)
{
    const struct admission_key key = host(text);
    admission_expect(&admission, &key, now_ms);
}

/* A connection with this certificate; what to unlink, or ADMISSION_NONE. */
static int link_as(const char *name, const char *text, uint64_t now_ms)
{
    const struct admission_key key = host(text);
    return admission_link(&admission, &key, name, now_ms);
}

/* One with a certificate of its own, which is named as the host is. */
static int link_host(const char *text, uint64_t now_ms)
{
    return link_as(text, text, now_ms);
}

static void know_as(const char *name, const char *text, uint64_t now_ms)
{
    int link = link_as(name, text, now_ms);
    if (link != ADMISSION_NONE)
        admission_unlink(&admission, link, now_ms);
}

static void know(const char *text, uint64_t now_ms)
{
    know_as(text, text, now_ms);
}

static int next(uint64_t now_ms)
{
    return admission_next(&admission, now_ms, &victim);
}

static int setup(void **state)
{
    (void)state;
    admission_init(&admission, PLACES, SHAKING, PER_HOST, 0);
    return 0;
}

/* Fills every place from one host, one each millisecond from 1 on, all in this phase. */
static void fill(const char *text, enum admission_phase phase)
{
    for (int i = 0; i < PLACES; i++) {
        int place = enter(text, (uint64_t)i + 1);
        assert_int_equal(place, i);
        assert_int_equal(victim, ADMISSION_NONE);
        if (phase != ADMISSION_SILENT)
            admission_move(&admission, place, phase, (uint64_t)i + 1);
    }
}

static void everybody_gets_in_while_there_is_room(void **state)
{
    (void)state;
    fill("10.0.0.9", ADMISSION_SILENT);
    assert_int_equal(admission.used, PLACES);
    admission_leave(&admission, 3);
    assert_int_equal(enter("10.0.0.8", 20), 3);
    assert_int_equal(victim, ADMISSION_NONE);
}

static void the_longest_silent_gives_way_first(void **state)
{
    (void)state;
    fill("10.0.0.9", ADMISSION_SILENT);
    for (int turn = 0; turn < PLACES; turn++) {
        assert_int_equal(enter("10.0.0.9", 20 + (uint64_t)turn), turn);
        assert_int_equal(victim, turn);
    }
}

static void
silence_gives_way_before_half_a_word_and_that_before_a_handshake_that_stands(void **state)
{
    (void)state;
    fill("10.0.0.9", ADMISSION_SILENT);
    admission_move(&admission, 0, ADMISSION_QUEUED, 10);
    assert_int_equal(next(10), 0); /* the oldest: its handshake is under way, and stands still */
    admission_move(&admission, 1, ADMISSION_PARTIAL, 11);
    for (int i = 0; i < PLACES - 2; i++) {
        assert_int_equal(enter("10.0.0.9", 1000), 2 + i);
        assert_int_equal(victim, 2 + i);
        admission_move(&admission, 2 + i, ADMISSION_QUEUED, 1000);
    }
    assert_int_equal(enter("10.0.0.9", 1001), 1);
    assert_int_equal(victim, 1);
    admission_move(&admission, 1, ADMISSION_QUEUED, 1001);
    assert_int_equal(enter("10.0.0.9", 1002), 0);
    assert_int_equal(victim, 0);
}

static void who_waits_for_a_turn_does_not_give_way_to_an_equal(void **state)
{
    (void)state;
    fill("10.0.0.9", ADMISSION_QUEUED);
    assert_int_equal(enter("10.0.0.9", 5000), ADMISSION_NONE);
    assert_int_equal(victim, ADMISSION_NONE);
    assert_int_equal(admission.used, PLACES);
}

static bool shakes(const char *text)
{
    const struct admission_key key = host(text);
    return admission_shakes(&admission, &key);
}

static void a_hosts_handshake_is_seen_from_its_first_message_to_its_end(void **state)
{
    (void)state;
    int place = enter("10.0.0.9", 1);
    assert_false(shakes("10.0.0.9"));
    admission_move(&admission, place, ADMISSION_PARTIAL, 2);
    assert_false(shakes("10.0.0.9"));
    admission_move(&admission, place, ADMISSION_QUEUED, 3);
    assert_true(shakes("10.0.0.9"));
    assert_false(shakes("10.0.0.8"));
    assert_int_equal(next(4), place);
    assert_true(shakes("10.0.0.9"));
    admission_leave(&admission, place);
    assert_false(shakes("10.0.0.9"));
}

static void one_from_another_host_comes_before_a_crowd(void **state)
{
    (void)state;
    fill("10.0.0.9", ADMISSION_QUEUED);
    assert_int_equal(enter("10.0.0.8", 20), 0);
    assert_int_equal(victim, 0);
    admission_move(&admission, 0, ADMISSION_QUEUED, 20);
    assert_int_equal(next(21), 0); /* and its turn is before theirs */
}

static void a_stranger_never_costs_a_known_host_its_place(void **state)
{
    (void)state;
    expect("10.0.0.1", 0);
    assert_int_equal(enter("10.0.0.1", 0), 0);
    for (int i = 0; i < 1000; i++) {
        char text[32];
        snprintf(text, sizeof(text), "10.1.%d.%d", i / 250, i % 250);
        int place = enter(text, 10 + (uint64_t)i);
        assert_true(place > 0);
        assert_int_not_equal(victim, 0);
        admission_move(&admission, place, ADMISSION_PARTIAL, 10 + (uint64_t)i);
    }
}

static void a_known_host_gets_in_and_on_whatever_strangers_do(void **state)
{
    char text[32];
    (void)state;
    know("10.0.0.1", 0);
    for (int i = 0; i < PLACES; i++) {
        snprintf(text, sizeof(text), "10.1.0.%d", i);
        int place = enter(text, 1);
        admission_move(&admission, place, ADMISSION_QUEUED, 1);
    }
    while (next(2) != ADMISSION_NONE)
        continue;
    assert_int_equal(admission.shaking, SHAKING);
    admission_spend(&admission, 0, 10 * ADMISSION_BURST_US, 2); /* and their time is used up */
    int place = enter("10.0.0.1", 3);
    assert_true(place != ADMISSION_NONE && victim != ADMISSION_NONE);
    admission_move(&admission, place, ADMISSION_QUEUED, 3);
    assert_int_equal(next(3), place);
    assert_int_equal(admission.shaking, SHAKING);
}

/* A cluster behind one address: the crowd there is no better than other strangers. */
static void a_known_hosts_crowd_does_not_come_before_other_known_hosts(void **state)
{
    (void)state;
    expect("10.0.0.1", 0);
    expect("10.0.0.2", 0);
    fill("10.0.0.1", ADMISSION_QUEUED);
    int place = enter("10.0.0.2", 20);
    assert_int_equal(place, 0);
    assert_int_equal(victim, 0);
    admission_move(&admission, place, ADMISSION_QUEUED, 20);
    assert_int_equal(next(20), place);
}

static void turns_go_by_arrival_and_handshakes_that_stand_still_make_room(void **state)
{
    (void)state;
    fill("10.0.0.9", ADMISSION_QUEUED);
    assert_int_equal(next(10), 0);
    assert_int_equal(next(10), 1);
    assert_int_equal(next(10), ADMISSION_NONE);                                /* both are fresh */
    admission_move(&admission, 1, ADMISSION_SHAKING, 10 + ADMISSION_STALL_MS); /* goes on */
    assert_int_equal(next(10 + ADMISSION_STALL_MS), 2);
    assert_int_equal(victim, 0);
    assert_int_equal(admission.shaking, SHAKING);
}

static void what_is_under_way_goes_on_before_what_begins_if_it_stands_as_high(void **state)
{
    (void)state;
    expect("10.0.0.1", 0);
    int places[4];
    static const char *const hosts[] = { "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.1" };
    for (int i = 0; i < 4; i++) {
        places[i] = enter(hosts[i], 1);
        admission_move(&admission, places[i], ADMISSION_QUEUED, 1);
        if (i < 2)
            assert_int_equal(next(2), places[i]);
    }
    assert_int_equal(admission.waiting, 2);
    admission_move(&admission, places[1], ADMISSION_READY, 3);
    assert_int_equal(admission.shaking, SHAKING);
    assert_int_equal(next(3), places[3]); /* the known one */
    assert_int_equal(victim, places[0]);  /* for which a stranger that says nothing gives way */
    assert_int_equal(next(3), places[1]);
    assert_int_equal(victim, ADMISSION_NONE);
    admission_spend(&admission, places[1], 2 * ADMISSION_BURST_US, 3);
    admission_move(&admission, places[1], ADMISSION_READY, 4);
    assert_int_equal(next(4), ADMISSION_NONE); /* later steps are charged, too */
}

/* Whoever has a place by pieces that get its handshake nowhere gives it up, as if it were silent. */
static void who_waits_in_vain_stands_still(void **state)
{
    (void)state;
    fill("10.0.0.9", ADMISSION_QUEUED);
    assert_int_equal(next(10), 0);
    assert_int_equal(next(10), 1);
    for (int i = 0; i < 2; i++)
        admission_move(&admission, i, ADMISSION_READY, 11);
    assert_int_equal(next(11 + ADMISSION_STALL_MS), 0); /* that it waited is no fault of its own */
    admission_move(&admission, 0, ADMISSION_READY, 12 + ADMISSION_STALL_MS);
    assert_int_equal(enter("10.0.0.9", 12 + ADMISSION_STALL_MS), 0);
    assert_int_equal(victim, 0);
}

static void strangers_handshakes_share_a_part_of_the_time(void **state)
{
    (void)state;
    int place = enter("10.0.0.9", 1);
    admission_move(&admission, place, ADMISSION_QUEUED, 1);
    admission_spend(&admission, place, 2 * ADMISSION_BURST_US, 10);
    assert_int_equal(next(10), ADMISSION_NONE);
    uint64_t debt_ms = ADMISSION_BURST_US / ADMISSION_SHARE_US;
    assert_int_equal(next(9 + debt_ms), ADMISSION_NONE);
    assert_int_equal(next(11 + debt_ms), place);
    /* However long it was quiet, no more than a burst. */
    int other = enter("10.0.0.8", 1000000);
    admission_move(&admission, other, ADMISSION_QUEUED, 1000000);
    admission_spend(&admission, other, ADMISSION_BURST_US + 1, 1000000);
    assert_int_equal(next(1000000), ADMISSION_NONE);
}

static void a_crowd_has_a_smaller_part_and_does_not_use_up_the_others(void **state)
{
    (void)state;
    fill("10.0.0.9", ADMISSION_QUEUED);
    admission_leave(&admission, PLACES - 1);
    assert_int_equal(next(10), 0);
    admission_spend(&admission, 0, 2 * ADMISSION_BURST_US, 10);
    uint64_t paid = 11 + ADMISSION_BURST_US / ADMISSION_SHARE_US; /* the common debt */
    assert_int_equal(next(paid), ADMISSION_NONE);
    int other = enter("10.0.0.8", paid);
    admission_move(&admission, other, ADMISSION_QUEUED, paid);
    assert_int_equal(next(paid), other);
    admission_leave(&admission, other);
    assert_int_equal(next(9 + ADMISSION_BURST_US / ADMISSION_CROWD_US), ADMISSION_NONE);
    assert_int_equal(next(12 + ADMISSION_BURST_US / ADMISSION_CROWD_US), 1);
}

/* Whoever has a board's key has one share with it, from wherever; and others have theirs. */
static void each_certificate_has_a_share_of_its_own_from_all_its_hosts_together(void **state)
{
    (void)state;
    expect("10.0.0.1", 0);
    expect("10.0.0.2", 0);
    know_as("board-b", "10.0.0.3", 0);
    know_as("board-b", "10.0.0.4", 0);
    int place = enter("10.0.0.3", 1);
    admission_move(&admission, place, ADMISSION_QUEUED, 1);
    assert_int_equal(next(1), place);
    admission_spend(&admission, place, 2 * ADMISSION_OWN_BURST_US, 1);
    know_as("board-b", "10.0.0.5", 1);
    static const char *const its[] = { "10.0.0.3", "10.0.0.4", "10.0.0.5" };
    for (int i = 0; i < 3; i++)
        admission_move(&admission, enter(its[i], 2), ADMISSION_QUEUED, 2);
    assert_int_equal(next(2), ADMISSION_NONE);
    static const char *const others[] = { "10.0.0.1", "10.0.0.8" };
    for (int i = 0; i < 2; i++) {
        int other = enter(others[i], 3);
        admission_move(&admission, other, ADMISSION_QUEUED, 3);
        assert_int_equal(next(3), other);
        if (i == 0)
            admission_spend(&admission, other, 2 * ADMISSION_OWN_BURST_US, 3);
        admission_leave(&admission, other);
    }
    admission_move(&admission, enter("10.0.0.2", 4), ADMISSION_QUEUED, 4);
    assert_int_not_equal(next(4), ADMISSION_NONE); /* an issuer's host does not pay for another's */
    assert_int_equal(next(4), ADMISSION_NONE);
    admission_leave(&admission, place);
    assert_int_equal(next(ADMISSION_OWN_BURST_US / ADMISSION_OWN_US - 5), ADMISSION_NONE);
    assert_int_not_equal(next(ADMISSION_OWN_BURST_US / ADMISSION_OWN_US + 5), ADMISSION_NONE);
}

static void the_newest_hosts_are_remembered_and_issuers_before_all(void **state)
{
    char text[32];
    (void)state;
    expect("10.0.0.1", 0);
    know("10.0.0.1", 0); /* it was let in as well: it is an issuer's all the same */
    for (int i = 0; i < 3 * ADMISSION_KNOWN_MAX; i++) {
        snprintf(text, sizeof(text), "10.1.%d.%d", i / 250, i % 250);
        know(text, (uint64_t)i + 1);
    }
    unsigned known = 0;
    bool issuer = false;
    bool newest = false;
    const struct admission_key keys[] = { host("10.0.0.1"), host(text) };
    for (int i = 0; i < ADMISSION_HOSTS_MAX; i++) {
        const struct admission_host *at = &admission.host[i];
        known += at->known > 0;
        issuer = issuer || (at->known > 0 && memcmp(&at->key, &keys[0], sizeof(keys[0])) == 0);
        newest = newest || (at->known > 0 && memcmp(&at->key, &keys[1], sizeof(keys[1])) == 0);
    }
    assert_int_equal(known, ADMISSION_KNOWN_MAX);
    assert_true(issuer && newest);
}

static const struct admission_host *known_host(const char *text)
{
    const struct admission_key key = host(text);
    for (int i = 0; i < ADMISSION_HOSTS_MAX; i++) {
        const struct admission_host *at = &admission.host[i];
        if (at->known > 0 && memcmp(&at->key, &key, sizeof(key)) == 0)
            return at;
    }
    return NULL;
}

static void know_many(int count, uint64_t from_ms)
{
    char text[32];
    for (int i = 0; i < count; i++) {
        snprintf(text, sizeof(text), "10.1.%d.%d", i / 250, i % 250);
        know(text, from_ms + (uint64_t)i);
    }
}

/* Its handshake was long ago, and it has been here ever since. */
static void who_is_linked_is_not_forgotten(void **state)
{
    (void)state;
    int link = link_host("10.0.0.1", 1);
    int anew = link_host("10.0.0.1", 2); /* as a node that connects anew */
    admission_unlink(&admission, link, 3);
    know_many(3 * ADMISSION_KNOWN_MAX, 10);
    assert_non_null(known_host("10.0.0.1"));
    /* From its end on it is one of those that were here lately. */
    admission_unlink(&admission, anew, 10000);
    know_many(ADMISSION_KNOWN_MAX - 1, 20000);
    assert_non_null(known_host("10.0.0.1"));
    know("10.9.9.9", 30000);
    assert_null(known_host("10.0.0.1"));
}

static void where_all_are_linked_a_newcomer_is_not_known(void **state)
{
    char text[32];
    int first = ADMISSION_NONE;
    (void)state;
    for (int i = ADMISSION_KNOWN_MAX - 1; i >= 0; i--) {
        snprintf(text, sizeof(text), "10.1.%d.%d", i / 250, i % 250);
        first = link_host(text, 1);
        assert_int_not_equal(first, ADMISSION_NONE);
    }
    expect("10.0.0.1", 2);
    assert_null(known_host("10.0.0.1"));
    assert_int_equal(link_host("10.0.0.2", 2), ADMISSION_NONE);
    assert_int_equal(enter("10.0.0.2", 3), 0); /* and gets in as a stranger does */
    assert_int_equal(link_host("10.0.0.2", 3), ADMISSION_NONE);
    admission_unlink(&admission, first, 4);
    assert_int_not_equal(link_host("10.0.0.2", 5), ADMISSION_NONE);
    assert_null(known_host("10.1.0.0"));
}

/* Whoever has a board's key may come from any number of addresses: an IPv6 host has 2^64. */
static void one_certificate_from_everywhere_pushes_out_nobody_elses_host(void **state)
{
    char text[32];
    (void)state;
    know("10.0.0.1", 1); /* a board that is away */
    know_as("board-b", "10.0.0.2", 2);
    know_as("board-b", "10.0.0.1", 3); /* the other one's as well, and it is forgotten as its own */
    for (int i = 0; i < 2 * ADMISSION_KNOWN_MAX; i++) {
        snprintf(text, sizeof(text), "10.1.%d.%d", i / 250, i % 250);
        know_as("board-b", text, 10 + (uint64_t)i);
    }
    assert_int_equal(known_host("10.0.0.1")->known, 1);
    assert_null(known_host("10.0.0.2"));
    unsigned known = 0;
    for (int i = 0; i < ADMISSION_HOSTS_MAX; i++)
        known += admission.host[i].known > 0;
    assert_int_equal(known, 1 + ADMISSION_KNOWN_OWN);
    assert_non_null(known_host(text)); /* the newest of them */
    for (int i = 0; i < PLACES; i++) {
        snprintf(text, sizeof(text), "10.2.0.%d", i);
        admission_move(&admission, enter(text, 2000), ADMISSION_QUEUED, 2000);
    }
    assert_int_not_equal(enter("10.0.0.1", 2001), ADMISSION_NONE);
}

static void a_certificates_own_oldest_without_a_link_is_forgotten_first(void **state)
{
    (void)state;
    int links[ADMISSION_KNOWN_OWN];
    char text[32];
    for (int i = 0; i < ADMISSION_KNOWN_OWN; i++) {
        snprintf(text, sizeof(text), "10.1.0.%d", i);
        links[i] = link_as("board-b", text, 1 + (uint64_t)i);
        assert_int_not_equal(links[i], ADMISSION_NONE);
    }
    assert_int_equal(link_as("board-b", "10.1.0.9", 10), ADMISSION_NONE); /* all are linked */
    assert_null(known_host("10.1.0.9"));
    assert_int_not_equal(link_as("board-c", "10.1.0.9", 10), ADMISSION_NONE);
    admission_unlink(&admission, links[2], 11);
    admission_unlink(&admission, links[1], 12);
    assert_int_not_equal(link_as("board-b", "10.1.0.8", 13), ADMISSION_NONE);
    assert_null(known_host("10.1.0.2"));
    know_as("board-b", "10.1.0.7", 14);
    assert_null(known_host("10.1.0.1"));
    assert_non_null(known_host("10.1.0.0"));
    assert_non_null(known_host("10.1.0.3"));
}

static void a_certificate_without_a_name_makes_no_host_known(void **state)
{
    (void)state;
    expect("10.0.0.1", 1);
    assert_int_equal(link_as("", "10.0.0.1", 2), ADMISSION_NONE);
    assert_int_equal(link_as("", "10.0.0.2", 2), ADMISSION_NONE);
    assert_null(known_host("10.0.0.2"));
}

static void hosts_are_told_apart_without_their_ports(void **state)
{
    (void)state;
    const struct admission_key keys[] = { host("10.0.0.1"), host("::ffff:10.0.0.1"),
                                          host("10.0.0.2"), host("fe80::1") };
    assert_memory_equal(&keys[0], &keys[1], sizeof(keys[0]));
    assert_memory_not_equal(&keys[0], &keys[2], sizeof(keys[0]));
    assert_memory_not_equal(&keys[0], &keys[3], sizeof(keys[0]));
}

/* Counts and places agree, and one known host that speaks at once is let in within a second. */
static void any_crowd_lets_a_known_host_in(void **state)
{
    (void)state;
    const char *seed = getenv("HOLDFAST_SEED");
    random_seed = seed != NULL ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    print_message("HOLDFAST_SEED=%llu\n", (unsigned long long)random_seed);
    for (int round = 0; round < 50; round++) {
        admission_init(&admission, ADMISSION_PLACES_MAX, 16, 8, 0);
        expect("10.0.0.1", 0);
        uint64_t now_ms = 1;
        int mine = ADMISSION_NONE;
        bool done = false;
        for (int step = 0; step < 4000 && !done; step++) {
            char text[32];
            now_ms += random_below(2);
            if (step == 2000) {
                mine = enter("10.0.0.1", now_ms);
                assert_int_not_equal(mine, ADMISSION_NONE);
                admission_move(&admission, mine, ADMISSION_QUEUED, now_ms);
            }
            snprintf(text, sizeof(text), "10.1.0.%d", (int)random_below(40));
            int place = enter(text, now_ms);
            assert_true(mine == ADMISSION_NONE || victim != mine);
            if (place != ADMISSION_NONE && random_below(2) == 0)
                admission_move(&admission, place,
                               random_below(2) ? ADMISSION_PARTIAL : ADMISSION_QUEUED, now_ms);
            int begun = next(now_ms);
            done = begun != ADMISSION_NONE && begun == mine;
            if (begun != ADMISSION_NONE)
                admission_spend(&admission, begun, 2000, now_ms);
            assert_true(admission.used <= ADMISSION_PLACES_MAX && admission.shaking <= 16);
            assert_true(step < 2001 || done || mine != ADMISSION_NONE);
            assert_true(step <= 2001 || done);
        }
        assert_true(done);
    }
}

/* The loop's clock is monotonic; a clock that is not costs time, never a place or all of the budget. */
static void a_clock_that_goes_back_makes_no_handshake_stand_still(void **state)
{
    (void)state;
    fill("10.0.0.9", ADMISSION_QUEUED);
    assert_int_equal(next(1000000), 0);
    assert_int_equal(next(1000000), 1);
    assert_int_equal(next(10), ADMISSION_NONE);
    assert_int_equal(enter("10.0.0.9", 10), ADMISSION_NONE);
    assert_int_equal(admission.shaking, SHAKING);
    assert_true(admission.budget_us > 0);
}

static void a_clock_that_leaps_ahead_fills_no_more_than_a_burst(void **state)
{
    (void)state;
    fill("10.0.0.9", ADMISSION_QUEUED);
    assert_int_equal(next(10), 0);
    admission_spend(&admission, 0, 10 * ADMISSION_DEBT_US, 10);
    assert_int_equal(next(UINT64_MAX), 1);
    assert_int_equal(admission.budget_us, ADMISSION_BURST_US);
    assert_int_equal(admission.crowd_us, ADMISSION_BURST_US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(everybody_gets_in_while_there_is_room, setup),
        cmocka_unit_test_setup(the_longest_silent_gives_way_first, setup),
        cmocka_unit_test_setup(
            silence_gives_way_before_half_a_word_and_that_before_a_handshake_that_stands, setup),
        cmocka_unit_test_setup(who_waits_for_a_turn_does_not_give_way_to_an_equal, setup),
        cmocka_unit_test_setup(a_hosts_handshake_is_seen_from_its_first_message_to_its_end, setup),
        cmocka_unit_test_setup(one_from_another_host_comes_before_a_crowd, setup),
        cmocka_unit_test_setup(a_stranger_never_costs_a_known_host_its_place, setup),
        cmocka_unit_test_setup(a_known_host_gets_in_and_on_whatever_strangers_do, setup),
        cmocka_unit_test_setup(a_known_hosts_crowd_does_not_come_before_other_known_hosts, setup),
        cmocka_unit_test_setup(turns_go_by_arrival_and_handshakes_that_stand_still_make_room,
                               setup),
        cmocka_unit_test_setup(what_is_under_way_goes_on_before_what_begins_if_it_stands_as_high,
                               setup),
        cmocka_unit_test_setup(who_waits_in_vain_stands_still, setup),
        cmocka_unit_test_setup(strangers_handshakes_share_a_part_of_the_time, setup),
        cmocka_unit_test_setup(a_crowd_has_a_smaller_part_and_does_not_use_up_the_others, setup),
        cmocka_unit_test_setup(each_certificate_has_a_share_of_its_own_from_all_its_hosts_together,
                               setup),
        cmocka_unit_test_setup(the_newest_hosts_are_remembered_and_issuers_before_all, setup),
        cmocka_unit_test_setup(who_is_linked_is_not_forgotten, setup),
        cmocka_unit_test_setup(where_all_are_linked_a_newcomer_is_not_known, setup),
        cmocka_unit_test_setup(one_certificate_from_everywhere_pushes_out_nobody_elses_host, setup),
        cmocka_unit_test_setup(a_certificates_own_oldest_without_a_link_is_forgotten_first, setup),
        cmocka_unit_test_setup(a_certificate_without_a_name_makes_no_host_known, setup),
        cmocka_unit_test_setup(hosts_are_told_apart_without_their_ports, setup),
        cmocka_unit_test_setup(a_clock_that_goes_back_makes_no_handshake_stand_still, setup),
        cmocka_unit_test_setup(a_clock_that_leaps_ahead_fills_no_more_than_a_burst, setup),
        cmocka_unit_test(any_crowd_lets_a_known_host_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
