/*
 * What a stall of the agent costs. The test is the guard and the leader, which both live on; what
 * they say meanwhile waits in their sockets. Law: however many resources a board holds, a stall
 * takes from it none that it would not take from a board with that one alone.
 */
#include <string.h>

#include "guard/guard_message.h"
#include "lease/holder.h"
#include "tests/unit/support/unit.h"

enum {
    TTL_US = 1000000,
    RELEASE_US = 5000,
    DRIFT_PPM = 2000,
    TURN_US = 1000,   /* of the simulated time */
    ANSWER_US = 2000, /* from a renewal to its answer */
    STATUS_US = GUARD_STATUS_INTERVAL_MS * 1000,
    SILENCE_MS = 10 * GUARD_STATUS_INTERVAL_MS,
    SOCKET_STATUSES = 42, /* what fits into the guard's socket; more is left out */
    ANSWERS_MAX = 64,
    TOKEN = 10, /* of resource 0; the others' follow */
    WARM_UP_US = 2000000,
    COOL_DOWN_US = 2000000
};

/* In which order the agent finds what came during its stall. */
enum order { GUARD_FIRST, ISSUER_FIRST };

struct answer {
    struct lease_message message;
    int64_t at_us;
};

struct bench {
    struct holder holder;
    struct holder_output out;
    struct instant now;
    size_t resources;
    enum order order;
    int64_t deadline_us[HF_LEASES_PER_AGENT_MAX]; /* the guard's; 0: it does not drive */
    size_t status_count;
    struct guard_message status[SOCKET_STATUSES];
    size_t answer_count;
    struct answer answer[ANSWERS_MAX];
    size_t renewals; /* messages sent */
    bool lost[HF_LEASES_PER_AGENT_MAX];
};

static struct bench bench;

static struct hf_name resource_name(size_t number)
{
    const char text[] = { 'r', (char)('a' + (int)number), '\0' };
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

static size_t resource_number(const struct hf_name *resource)
{
    return (size_t)(resource->text[1] - 'a');
}

/* ---- leader and guard */

static void leader_hears(const struct lease_message *message)
{
    if (message->kind != LEASE_RENEW)
        return;
    bench.renewals++;
    assert_true(bench.answer_count < ANSWERS_MAX);
    struct answer *answer = &bench.answer[bench.answer_count++];
    answer->message = *message;
    answer->message.kind = LEASE_RENEWED;
    answer->at_us = bench.now.us + ANSWER_US;
}

static void guard_hears(const struct guard_message *message)
{
    size_t number = resource_number(&message->name);
    if (message->kind == GUARD_PERMIT && message->deadline_us > bench.now.us)
        bench.deadline_us[number] = message->deadline_us;
    if (message->kind == GUARD_DROP)
        bench.deadline_us[number] = 0;
}

static void guard_says(void)
{
    for (size_t i = 0; i < bench.resources; i++) {
        if (bench.status_count == SOCKET_STATUSES)
            return;
        struct guard_message *status = &bench.status[bench.status_count++];
        guard_message_init(status, GUARD_STATUS);
        status->name = resource_name(i);
        status->state = bench.deadline_us[i] != 0 ? GUARD_DRIVING : GUARD_SAFE;
        status->proven = status->state == GUARD_SAFE;
        status->token = bench.deadline_us[i] != 0 ? TOKEN + i : 0;
    }
}

static void guard_lives(void)
{
    for (size_t i = 0; i < bench.resources; i++) {
        if (bench.deadline_us[i] == 0 || bench.deadline_us[i] > bench.now.us)
            continue;
        bench.deadline_us[i] = 0;
        bench.lost[i] = true;
    }
    if (bench.now.us % STATUS_US == 0)
        guard_says();
}

/* ---- the agent */

static void step(const struct holder_event *event)
{
    holder_step(&bench.holder, event, bench.now, &bench.out);
    for (size_t i = 0; i < bench.out.count; i++) {
        if (bench.out.action[i].kind == HOLDER_SEND)
            leader_hears(&bench.out.action[i].message);
        if (bench.out.action[i].kind == HOLDER_GUARD)
            guard_hears(&bench.out.action[i].guard);
    }
}

static void step_kind(enum holder_event_kind kind)
{
    const struct holder_event event = { .kind = kind };
    step(&event);
}

static void take_statuses(void)
{
    for (size_t i = 0; i < bench.status_count; i++) {
        const struct holder_event event = { .kind = HOLDER_EVENT_GUARD_MESSAGE,
                                            .guard = &bench.status[i] };
        step(&event);
    }
    bench.status_count = 0;
}

static void hear(const struct lease_message *message)
{
    struct holder_event event = { .kind = HOLDER_EVENT_MESSAGE, .message = message };
    assert_true(name_from_string(&event.node, "i1"));
    step(&event);
}

static void take_answers(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < bench.answer_count; i++) {
        struct answer answer = bench.answer[i];
        if (answer.at_us <= bench.now.us)
            hear(&answer.message);
        else
            bench.answer[kept++] = answer;
    }
    bench.answer_count = kept;
}

/* As the shell's loop does it: timers first, then the sockets. */
static void agent_turn(void)
{
    step_kind(HOLDER_EVENT_TIMER);
    if (bench.order == GUARD_FIRST)
        take_statuses();
    take_answers();
    if (bench.order == ISSUER_FIRST)
        take_statuses();
}

static void run(int64_t until_us, bool stalled)
{
    while (bench.now.us < until_us) {
        bench.now.us += TURN_US;
        guard_lives();
        if (!stalled)
            agent_turn();
    }
}

static void set_up_driving(size_t resources, enum order order)
{
    struct holder_config config;
    struct holder_event link = { .kind = HOLDER_EVENT_LINK_UP };
    memset(&bench, 0, sizeof(bench));
    memset(&config, 0, sizeof(config));
    bench.resources = resources;
    bench.order = order;
    assert_true(name_from_string(&config.self, "a"));
    config.drift_ppm = DRIFT_PPM;
    config.guard_silence = span_from_ms(SILENCE_MS);
    config.nonce_start = 1;
    config.resource_count = resources;
    for (size_t i = 0; i < resources; i++) {
        config.resource[i].resource = resource_name(i);
        config.resource[i].ttl = span_from_us(TTL_US);
        config.resource[i].release = span_from_us(RELEASE_US);
    }
    holder_init(&bench.holder, &config, bench.now);
    assert_true(name_from_string(&link.node, "i1"));
    step(&link);
    const struct lease_message leader = { .kind = LEASE_LEADER, .term = 1 };
    hear(&leader);
    step_kind(HOLDER_EVENT_GUARD_UP);
    guard_says();
    take_statuses();
    for (size_t i = 0; i < resources; i++) {
        const struct lease_message grant = { .kind = LEASE_GRANTED,
                                             .resource = resource_name(i),
                                             .token = TOKEN + i,
                                             .ttl_us = TTL_US };
        hear(&grant);
    }
}

static size_t count_lost(size_t resources)
{
    size_t lost = 0;
    for (size_t i = 0; i < resources; i++)
        lost += bench.lost[i] || bench.holder.lease[i].state != HOLDER_HOLDING;
    return lost;
}

/* How many a board loses that stands still for `length_us`, `phase_us` after the warming up. */
static size_t lost_to_stall(size_t resources, enum order order, int64_t phase_us, int64_t length_us)
{
    set_up_driving(resources, order);
    run(WARM_UP_US + phase_us, false);
    assert_int_equal(count_lost(resources), 0);
    run(bench.now.us + length_us, true);
    run(bench.now.us + COOL_DOWN_US, false);
    return count_lost(resources);
}

/* ---- claims */

static void a_stall_takes_no_resource_that_it_would_not_take_alone(void **state)
{
    static const size_t counts[] = { 2, 10, HF_LEASES_PER_AGENT_MAX };
    size_t survived = 0;
    (void)state;
    for (int64_t phase_us = 0; phase_us < TTL_US / 5; phase_us += 19000) {
        for (int64_t length_us = 10000; length_us <= 900000; length_us += 10000) {
            size_t alone = lost_to_stall(1, GUARD_FIRST, phase_us, length_us);
            survived += alone == 0;
            for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
                enum order order = length_us / 10000 % 2 == 0 ? GUARD_FIRST : ISSUER_FIRST;
                size_t lost = lost_to_stall(counts[i], order, phase_us, length_us);
                if (lost != alone * counts[i])
                    fail_msg("stall of %lld us at phase %lld us: %zu of %zu lost, alone %zu",
                             (long long)length_us, (long long)phase_us, lost, counts[i], alone);
            }
        }
    }
    /* One alone bears what its deadline leaves behind the last renewal, so most of these. */
    assert_true(survived > 11 * 75);
}

static void a_stall_of_700_ms_costs_nothing_at_a_ttl_of_1000(void **state)
{
    (void)state;
    for (int64_t phase_us = 0; phase_us < TTL_US / 5; phase_us += 1000) {
        assert_int_equal(lost_to_stall(10, GUARD_FIRST, phase_us, 700000), 0);
        assert_int_equal(lost_to_stall(10, ISSUER_FIRST, phase_us, 700000), 0);
    }
}

static void after_a_stall_one_renewal_speaks_for_all(void **state)
{
    (void)state;
    set_up_driving(10, GUARD_FIRST);
    run(WARM_UP_US, false);
    run(bench.now.us + 700000, true);
    bench.renewals = 0;
    run(bench.now.us + TURN_US, false);
    assert_int_equal(bench.renewals, 1);
    assert_int_equal(bench.answer[bench.answer_count - 1].message.item_count, 10);
}

static void resources_are_no_reason_to_renew_more_often(void **state)
{
    (void)state;
    set_up_driving(1, GUARD_FIRST);
    run(WARM_UP_US, false);
    bench.renewals = 0;
    run(2 * WARM_UP_US, false);
    size_t alone = bench.renewals;
    set_up_driving(HF_LEASES_PER_AGENT_MAX, GUARD_FIRST);
    run(WARM_UP_US, false);
    bench.renewals = 0;
    run(2 * WARM_UP_US, false);
    assert_int_equal(bench.renewals, alone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stall_takes_no_resource_that_it_would_not_take_alone),
        cmocka_unit_test(a_stall_of_700_ms_costs_nothing_at_a_ttl_of_1000),
        cmocka_unit_test(after_a_stall_one_renewal_speaks_for_all),
        cmocka_unit_test(resources_are_no_reason_to_renew_more_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
