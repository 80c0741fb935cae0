/* The holder, alone: the test is its guard and its issuers. */
#include <string.h>

#include "base/timing.h"
#include "lease/holder.h"
#include "tests/unit/support/cells.h"
#include "tests/unit/support/unit.h"

enum {
    TTL_US = 1000000,
    FENCE_US = 20000,
    DRIFT_PPM = 2000,
    RELEASE_US = 5000,
    INTERVAL_US = TTL_US / 5
};

static struct holder holder;
static struct holder_output out;
static struct instant now;

static struct hf_name name(const char *text)
{
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

static const struct holder_lease *pump(void)
{
    struct hf_name resource = name("pump");
    return holder_lease_of(&holder, &resource);
}

static void step(enum holder_event_kind kind)
{
    const struct holder_event event = { .kind = kind, .resource = name("pump") };
    holder_step(&holder, &event, now, &out);
}

static void tick(int64_t us)
{
    now.us += us;
    step(HOLDER_EVENT_TIMER);
}

static void link_event(const char *node, enum holder_event_kind kind)
{
    const struct holder_event event = { .kind = kind, .node = name(node) };
    holder_step(&holder, &event, now, &out);
}

static void hear_message(const char *node, const struct lease_message *message)
{
    const struct holder_event event = { .kind = HOLDER_EVENT_MESSAGE,
                                        .node = name(node),
                                        .message = message };
    holder_step(&holder, &event, now, &out);
}

static void hear(enum lease_message_kind kind, uint64_t token)
{
    struct lease_message message;
    memset(&message, 0, sizeof(message));
    message.kind = kind;
    message.resource = name("pump");
    message.token = token;
    message.ttl_us = TTL_US;
    message.fence_us = FENCE_US;
    hear_message("i1", &message);
}

static void hear_leader(const char *node, uint64_t term)
{
    struct lease_message message;
    memset(&message, 0, sizeof(message));
    message.kind = LEASE_LEADER;
    message.term = term;
    hear_message(node, &message);
}

static void hear_queued(const char *held_by, uint64_t token)
{
    struct lease_message message;
    memset(&message, 0, sizeof(message));
    message.kind = LEASE_QUEUED;
    message.resource = name("pump");
    message.holder = name(held_by);
    message.token = token;
    message.position = 1;
    hear_message("i1", &message);
}

static void hear_renewed(uint64_t nonce, uint64_t token, bool lost)
{
    struct lease_message message;
    memset(&message, 0, sizeof(message));
    message.kind = LEASE_RENEWED;
    message.nonce = nonce;
    message.item_count = 1;
    message.items[0].resource = name("pump");
    message.items[0].token = token;
    message.items[0].lost = lost;
    hear_message("i1", &message);
}

static void hear_guard_of(enum guard_state state, uint64_t token, int64_t fence_us)
{
    struct guard_message message;
    guard_message_init(&message, GUARD_STATUS);
    message.terms.fence_us = fence_us;
    message.name = name("pump");
    message.state = (uint8_t)state;
    message.token = token;
    message.proven = state == GUARD_SAFE;
    message.fault = state == GUARD_FAULT ? GUARD_FAULT_STUCK_ON : GUARD_FAULT_NONE;
    const struct holder_event event = { .kind = HOLDER_EVENT_GUARD_MESSAGE, .guard = &message };
    holder_step(&holder, &event, now, &out);
}

static void hear_guard(enum guard_state state, uint64_t token)
{
    hear_guard_of(state, token, FENCE_US);
}

static size_t count_sent(enum lease_message_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < out.count; i++)
        count += out.action[i].kind == HOLDER_SEND && out.action[i].message.kind == kind;
    return count;
}

static const struct lease_message *sent(enum lease_message_kind kind)
{
    for (size_t i = 0; i < out.count; i++) {
        if (out.action[i].kind == HOLDER_SEND && out.action[i].message.kind == kind)
            return &out.action[i].message;
    }
    return NULL;
}

static const struct guard_message *told(enum guard_message_kind kind)
{
    for (size_t i = 0; i < out.count; i++) {
        if (out.action[i].kind == HOLDER_GUARD && out.action[i].guard.kind == kind)
            return &out.action[i].guard;
    }
    return NULL;
}

static const struct holder_action *hook(enum holder_action_kind kind)
{
    for (size_t i = 0; i < out.count; i++) {
        if (out.action[i].kind == kind)
            return &out.action[i];
    }
    return NULL;
}

static int set_up(void **state)
{
    struct holder_config config;
    (void)state;
    memset(&config, 0, sizeof(config));
    config.self = name("a");
    config.drift_ppm = DRIFT_PPM;
    config.guard_silence = span_from_ms(100);
    config.nonce_start = 5000;
    config.resource_count = 1;
    config.resource[0].resource = name("pump");
    config.resource[0].ttl = span_from_us(TTL_US);
    config.resource[0].fence = span_from_us(FENCE_US);
    config.resource[0].release = span_from_us(RELEASE_US);
    config.resource[0].terms.fence_us = FENCE_US;
    config.resource[0].priority = 7;
    now.us = 1000000;
    holder_init(&holder, &config, now);
    return 0;
}

static void connect_all(void)
{
    link_event("i1", HOLDER_EVENT_LINK_UP);
    link_event("i2", HOLDER_EVENT_LINK_UP);
    link_event("i3", HOLDER_EVENT_LINK_UP);
    step(HOLDER_EVENT_GUARD_UP);
}

static int set_up_waiting(void **state)
{
    set_up(state);
    connect_all();
    hear_leader("i1", 3);
    hear_guard(GUARD_SAFE, 0);
    assert_int_equal(pump()->state, HOLDER_WAITING);
    return 0;
}

static int set_up_granted(void **state)
{
    set_up_waiting(state);
    hear(LEASE_GRANTED, 10);
    assert_int_equal(pump()->state, HOLDER_GRANTED);
    return 0;
}

static int set_up_holding(void **state)
{
    set_up_granted(state);
    uint64_t nonce = sent(LEASE_RENEW)->nonce;
    now.us += 2000;
    hear_renewed(nonce, 10, false);
    assert_int_equal(pump()->state, HOLDER_HOLDING);
    return 0;
}

static int set_up_driving(void **state)
{
    set_up_holding(state);
    hear_guard(GUARD_DRIVING, 10);
    return 0;
}

/* ---- claims */

static void guard_is_greeted_first(void **state)
{
    (void)state;
    step(HOLDER_EVENT_GUARD_UP);
    assert_int_equal(out.action[0].kind, HOLDER_GUARD);
    assert_int_equal(out.action[0].guard.kind, GUARD_HELLO);
    assert_string_equal(out.action[0].guard.name.text, "a");
    assert_string_equal(told(GUARD_TERMS)->name.text, "pump");
    assert_int_equal(told(GUARD_TERMS)->terms.fence_us, FENCE_US);
}

static void s1_a_guard_that_is_configured_otherwise_is_not_used(void **state)
{
    (void)state;
    connect_all();
    hear_leader("i1", 3);
    hear_guard_of(GUARD_SAFE, 0, FENCE_US + 1000);
    assert_int_equal(pump()->state, HOLDER_IDLE);
    assert_null(sent(LEASE_ACQUIRE));
    /* What a predecessor held is not released by its word either. */
    hear_queued("a", 10);
    hear_guard_of(GUARD_SAFE, 10, FENCE_US - 1000);
    assert_null(sent(LEASE_RELEASE));
    hear_guard(GUARD_SAFE, 0);
    assert_int_equal(count_sent(LEASE_ACQUIRE), 1);
    hear_queued("a", 10);
    hear_guard_of(GUARD_SAFE, 10, FENCE_US + 1000);
    hear_queued("a", 10);
    assert_null(sent(LEASE_RELEASE));
    hear_guard(GUARD_SAFE, 10);
    hear_queued("a", 10);
    assert_true(sent(LEASE_RELEASE)->fenced);
}

static void s1_what_a_guard_proves_that_is_configured_otherwise_frees_nothing(void **state)
{
    (void)state;
    assert_int_equal(pump()->state, HOLDER_HOLDING);
    step(HOLDER_EVENT_GUARD_DOWN);
    step(HOLDER_EVENT_GUARD_UP);
    hear_guard_of(GUARD_SAFE, 0, FENCE_US + 1000);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_null(sent(LEASE_RELEASE));
    now = pump()->deadline;
    hear_guard_of(GUARD_SAFE, 0, FENCE_US + 1000);
    assert_false(sent(LEASE_RELEASE)->fenced);
    hear(LEASE_RELEASED, 10);
    assert_int_equal(pump()->state, HOLDER_IDLE);
    hear_guard_of(GUARD_SAFE, 0, FENCE_US + 1000);
    assert_null(sent(LEASE_ACQUIRE));
}

static void a_guard_that_becomes_another_ends_the_lease(void **state)
{
    (void)state;
    hear_guard_of(GUARD_DRIVING, 10, FENCE_US + 1000);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_int_equal(told(GUARD_DROP)->token, 10);
    assert_null(sent(LEASE_RENEW));
}

static void asks_for_nothing_before_the_guard_proves_safe(void **state)
{
    (void)state;
    connect_all();
    assert_null(sent(LEASE_ACQUIRE));
    hear_guard(GUARD_DROPPING, 0);
    assert_null(sent(LEASE_ACQUIRE));
    hear_guard(GUARD_SAFE, 0);
    assert_int_equal(count_sent(LEASE_ACQUIRE), 3);
    assert_int_equal(sent(LEASE_ACQUIRE)->ttl_us, TTL_US);
    assert_int_equal(sent(LEASE_ACQUIRE)->priority, 7);
}

static void asks_the_leader_alone_once_it_is_known(void **state)
{
    (void)state;
    connect_all();
    hear_leader("i2", 3);
    hear_guard(GUARD_SAFE, 0);
    assert_int_equal(count_sent(LEASE_ACQUIRE), 1);
    assert_string_equal(out.action[0].node.text, "i2");
    hear_leader("i1", 2);
    assert_int_equal(count_sent(LEASE_ACQUIRE), 0);
    hear_leader("i3", 4);
    assert_int_equal(count_sent(LEASE_ACQUIRE), 1);
    assert_string_equal(out.action[0].node.text, "i3");
}

static void an_unanswered_acquire_goes_to_all_after_a_second(void **state)
{
    (void)state;
    int64_t left = HOLDER_RESEND_MS * 1000;
    for (; left > 50000; left -= 50000) {
        now.us += 50000;
        hear_guard(GUARD_SAFE, 0);
        assert_null(sent(LEASE_ACQUIRE));
    }
    now.us += 50000;
    hear_guard(GUARD_SAFE, 0);
    assert_int_equal(count_sent(LEASE_ACQUIRE), 3);
}

static void drives_only_after_a_renewal_of_this_token_was_answered(void **state)
{
    (void)state;
    assert_null(told(GUARD_PERMIT));
    uint64_t nonce = sent(LEASE_RENEW)->nonce;
    hear_renewed(nonce + 100, 10, false);
    hear_renewed(nonce, 9, false);
    assert_int_equal(pump()->state, HOLDER_GRANTED);
    hear_renewed(nonce, 10, false);
    assert_int_equal(told(GUARD_PERMIT)->token, 10);
    assert_int_equal(told(GUARD_PERMIT)->terms.fence_us, FENCE_US);
}

static void deadline_counts_from_the_sending_of_the_renewal(void **state)
{
    (void)state;
    struct instant sent_at = now;
    uint64_t nonce = sent(LEASE_RENEW)->nonce;
    now.us += 90000;
    hear_renewed(nonce, 10, false);
    struct instant expected =
        timing_holder_deadline(sent_at, span_from_us(TTL_US), DRIFT_PPM, span_from_us(RELEASE_US));
    assert_int_equal(told(GUARD_PERMIT)->deadline_us, expected.us);
}

static void a_deadline_never_goes_back(void **state)
{
    (void)state;
    struct instant first = pump()->deadline;
    uint64_t old_nonce = holder.renew_nonce;
    hear_guard(GUARD_DRIVING, 10);
    now.us += INTERVAL_US;
    hear_guard(GUARD_DRIVING, 10);
    uint64_t nonce = sent(LEASE_RENEW)->nonce;
    hear_renewed(nonce, 10, false);
    struct instant second = pump()->deadline;
    assert_true(second.us > first.us);
    hear_renewed(old_nonce, 10, false);
    assert_int_equal(pump()->deadline.us, second.us);
    assert_int_equal(told(GUARD_PERMIT)->deadline_us, second.us);
}

static void renews_five_times_per_ttl_to_the_leader(void **state)
{
    (void)state;
    size_t renewals = 0;
    for (int64_t passed = 0; passed < TTL_US; passed += 10000) {
        now.us += 10000;
        hear_guard(GUARD_DRIVING, 10);
        if (!sent(LEASE_RENEW))
            continue;
        assert_int_equal(count_sent(LEASE_RENEW), 1);
        renewals++;
        hear_renewed(sent(LEASE_RENEW)->nonce, 10, false);
    }
    assert_in_range(renewals, TIMING_RENEWALS_PER_TTL - 1, TIMING_RENEWALS_PER_TTL + 1);
}

static void a_board_renews_as_often_as_its_shortest_lease_needs(void **state)
{
    const struct span long_ttl = span_from_us(6 * TTL_US);
    size_t renewals = 0;
    (void)state;
    holder.lease[1] = holder.lease[0];
    holder.lease[1].config.resource = name("valve");
    holder.lease[1].ttl = holder.lease[1].config.ttl = long_ttl;
    holder.lease[1].deadline =
        timing_holder_deadline(now, long_ttl, DRIFT_PPM, span_from_us(RELEASE_US));
    holder.lease_count = 2;
    for (int64_t passed = 0; passed < TTL_US; passed += 10000) {
        now.us += 10000;
        hear_guard(GUARD_DRIVING, 10);
        if (!sent(LEASE_RENEW))
            continue;
        assert_int_equal(sent(LEASE_RENEW)->item_count, 2);
        renewals++;
        hear_renewed(sent(LEASE_RENEW)->nonce, 10, false);
    }
    assert_in_range(renewals, TIMING_RENEWALS_PER_TTL - 1, TIMING_RENEWALS_PER_TTL + 1);
    assert_int_equal(pump()->state, HOLDER_HOLDING);
}

static void an_unanswered_renewal_is_sent_anew_to_all_after_half_an_interval(void **state)
{
    (void)state;
    now.us = holder.renew_at.us;
    hear_guard(GUARD_DRIVING, 10);
    uint64_t nonce = sent(LEASE_RENEW)->nonce;
    tick(INTERVAL_US / 2 - 1);
    assert_null(sent(LEASE_RENEW));
    hear_guard(GUARD_DRIVING, 10);
    tick(1);
    assert_int_equal(count_sent(LEASE_RENEW), 3);
    assert_true(sent(LEASE_RENEW)->nonce > nonce);
}

static void a_late_answer_is_matched_to_when_it_was_sent(void **state)
{
    (void)state;
    uint64_t first = sent(LEASE_RENEW)->nonce;
    struct instant sent_at = now;
    for (int i = 0; i < 3; i++) {
        now.us += INTERVAL_US / 2;
        hear_guard(GUARD_SAFE, 0);
    }
    hear_renewed(first, 10, false);
    assert_int_equal(
        pump()->deadline.us,
        timing_holder_deadline(sent_at, span_from_us(TTL_US), DRIFT_PPM, span_from_us(RELEASE_US))
            .us);
}

static void an_answer_older_than_the_nonces_remembered_counts_for_nothing(void **state)
{
    (void)state;
    uint64_t first = sent(LEASE_RENEW)->nonce;
    for (uint64_t i = 0; i < HOLDER_NONCES; i++) {
        hear_leader("i1", 4 + i);
        assert_non_null(sent(LEASE_RENEW));
    }
    hear_renewed(first, 10, false);
    assert_int_equal(pump()->state, HOLDER_GRANTED);
}

/* A slow leader: others were sent since, for as long as the answer can still be of use. */
static void an_answer_counts_however_many_renewals_were_sent_since(void **state)
{
    (void)state;
    uint64_t first = sent(LEASE_RENEW)->nonce;
    struct instant last = instant_sub(pump()->deadline, span_from_us(RELEASE_US + 3000));
    while (now.us + INTERVAL_US / 2 < last.us) {
        now.us += INTERVAL_US / 2;
        hear_guard(GUARD_SAFE, 0);
        assert_int_equal(count_sent(LEASE_RENEW), 3);
    }
    now = last;
    hear_guard(GUARD_SAFE, 0);
    hear_renewed(first, 10, false);
    assert_int_equal(pump()->state, HOLDER_HOLDING);
}

static void a_grant_not_renewed_within_its_ttl_is_given_back(void **state)
{
    (void)state;
    for (int64_t passed = 0; passed < TTL_US - 50000; passed += 50000) {
        now.us += 50000;
        hear_guard(GUARD_SAFE, 0);
    }
    assert_int_equal(pump()->state, HOLDER_GRANTED);
    uint64_t nonce = holder.renew_nonce;
    now.us += 50000;
    hear_guard(GUARD_SAFE, 0);
    assert_int_equal(pump()->state, HOLDER_RELEASING);
    assert_true(sent(LEASE_RELEASE)->fenced);
    hear_renewed(nonce, 10, false);
    assert_int_equal(pump()->state, HOLDER_RELEASING);
    assert_null(told(GUARD_PERMIT));
}

static void renews_nothing_while_the_guard_is_silent(void **state)
{
    (void)state;
    tick(TTL_US / 2);
    assert_null(sent(LEASE_RENEW));
    hear_guard(GUARD_DRIVING, 10);
    assert_non_null(sent(LEASE_RENEW));
}

static void s5_a_passed_deadline_drops(void **state)
{
    (void)state;
    hear_guard(GUARD_DRIVING, 10);
    now = pump()->deadline;
    tick(-1);
    assert_int_equal(pump()->state, HOLDER_HOLDING);
    tick(1);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_int_equal(told(GUARD_DROP)->token, 10);
    assert_null(sent(LEASE_RELEASE));
    hear_guard(GUARD_SAFE, 10);
    assert_true(sent(LEASE_RELEASE)->fenced);
}

static void s5_an_answer_after_the_deadline_revives_nothing(void **state)
{
    (void)state;
    now.us += INTERVAL_US;
    hear_guard(GUARD_DRIVING, 10);
    uint64_t nonce = sent(LEASE_RENEW)->nonce;
    now = pump()->deadline;
    hear_renewed(nonce, 10, false);
    assert_null(told(GUARD_PERMIT));
    assert_int_equal(pump()->state, HOLDER_STOPPING);
}

/* The grant may still be young, since it counts from its arrival. */
static void an_answer_to_a_renewal_older_than_the_lease_permits_nothing(void **state)
{
    (void)state;
    uint64_t nonce = sent(LEASE_RENEW)->nonce;
    now.us += TTL_US - RELEASE_US;
    hear_renewed(nonce, 10, false);
    assert_null(told(GUARD_PERMIT));
    assert_int_equal(pump()->state, HOLDER_GRANTED);
}

static void a_shorter_ttl_than_asked_for_is_the_one_that_counts(void **state)
{
    (void)state;
    struct instant sent_at = now;
    struct lease_message message;
    memset(&message, 0, sizeof(message));
    message.kind = LEASE_GRANTED;
    message.resource = name("pump");
    message.token = 10;
    message.ttl_us = TTL_US / 2;
    message.fence_us = FENCE_US;
    hear_message("i1", &message);
    hear_renewed(sent(LEASE_RENEW)->nonce, 10, false);
    assert_int_equal(told(GUARD_PERMIT)->deadline_us,
                     timing_holder_deadline(sent_at, span_from_us(TTL_US / 2), DRIFT_PPM,
                                            span_from_us(RELEASE_US))
                         .us);
}

static void a_guard_that_saw_a_higher_token_ends_the_lease(void **state)
{
    (void)state;
    hear_guard(GUARD_DRIVING, 11);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
}

static void a_second_guard_connection_ends_what_the_first_one_drove(void **state)
{
    (void)state;
    step(HOLDER_EVENT_GUARD_UP);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_null(sent(LEASE_RELEASE));
    hear_guard(GUARD_SAFE, 0);
    assert_true(sent(LEASE_RELEASE)->fenced);
}

static void what_comes_from_a_lost_guard_proves_nothing(void **state)
{
    (void)state;
    step(HOLDER_EVENT_GUARD_DOWN);
    hear_guard(GUARD_SAFE, 10);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_null(sent(LEASE_RELEASE));
}

static void a_new_guard_must_show_itself_that_all_is_off(void **state)
{
    (void)state;
    connect_all();
    hear_guard(GUARD_SAFE, 0);
    assert_non_null(sent(LEASE_ACQUIRE));
    step(HOLDER_EVENT_GUARD_DOWN);
    step(HOLDER_EVENT_GUARD_UP);
    tick(INTERVAL_US);
    assert_null(sent(LEASE_ACQUIRE));
    hear_guard(GUARD_SAFE, 0);
    assert_non_null(sent(LEASE_ACQUIRE));
}

/* Told off, but a readback has just come on again. */
static void safe_without_proof_proves_nothing(void **state)
{
    struct guard_message message;
    (void)state;
    hear(LEASE_YIELD, 10);
    guard_message_init(&message, GUARD_STATUS);
    message.name = name("pump");
    message.state = GUARD_SAFE;
    message.token = 10;
    const struct holder_event event = { .kind = HOLDER_EVENT_GUARD_MESSAGE, .guard = &message };
    holder_step(&holder, &event, now, &out);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_null(sent(LEASE_RELEASE));
}

static void hooks_run_when_the_guard_drives_and_when_it_is_safe_again(void **state)
{
    (void)state;
    assert_null(hook(HOLDER_ACQUIRED));
    hear_guard(GUARD_DRIVING, 10);
    assert_int_equal(hook(HOLDER_ACQUIRED)->token, 10);
    hear_guard(GUARD_DRIVING, 10);
    assert_null(hook(HOLDER_ACQUIRED));
    hear_guard(GUARD_DROPPING, 10);
    assert_null(hook(HOLDER_LOST_HOOK));
    hear_guard(GUARD_SAFE, 10);
    assert_int_equal(hook(HOLDER_LOST_HOOK)->token, 10);
    hear_guard(GUARD_SAFE, 10);
    assert_null(hook(HOLDER_LOST_HOOK));
}

static void yield_releases_with_proof_and_asks_again(void **state)
{
    (void)state;
    hear(LEASE_YIELD, 9);
    assert_int_equal(pump()->state, HOLDER_HOLDING);
    hear(LEASE_YIELD, 10);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_non_null(told(GUARD_DROP));
    hear_guard(GUARD_DRIVING, 10);
    hear_guard(GUARD_DROPPING, 10);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    hear_guard(GUARD_SAFE, 10);
    assert_int_equal(sent(LEASE_RELEASE)->token, 10);
    assert_true(sent(LEASE_RELEASE)->fenced);
    assert_string_equal(sent(LEASE_RELEASE)->text, "asked to yield");
    hear(LEASE_RELEASED, 10);
    assert_int_equal(pump()->state, HOLDER_WAITING);
    assert_non_null(sent(LEASE_ACQUIRE));
}

static void a_status_from_before_the_permit_proves_nothing(void **state)
{
    (void)state;
    hear_guard(GUARD_SAFE, 0);
    assert_int_equal(pump()->state, HOLDER_HOLDING);
    hear(LEASE_YIELD, 10);
    hear_guard(GUARD_SAFE, 0);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_null(sent(LEASE_RELEASE));
    hear_guard(GUARD_SAFE, 10);
    assert_int_equal(pump()->state, HOLDER_RELEASING);
}

static void without_proof_past_the_deadline_it_releases_unfenced(void **state)
{
    (void)state;
    hear(LEASE_YIELD, 10);
    now = pump()->deadline;
    hear_guard(GUARD_SAFE, 9);
    assert_int_equal(pump()->state, HOLDER_RELEASING);
    assert_false(sent(LEASE_RELEASE)->fenced);
    /* Nor is it proven when the issuer then says that it is ours. */
    hear(LEASE_RELEASED, 10);
    hear_queued("a", 10);
    assert_int_equal(pump()->state, HOLDER_WAITING);
}

static void a_drop_is_repeated_until_proven(void **state)
{
    (void)state;
    hear(LEASE_YIELD, 10);
    assert_non_null(told(GUARD_DROP));
    tick(HOLDER_DROP_REPEAT_MS * 1000 - 1);
    assert_null(told(GUARD_DROP));
    tick(1);
    assert_non_null(told(GUARD_DROP));
}

static void lost_drops_at_once(void **state)
{
    (void)state;
    hear(LEASE_LOST, 9);
    assert_int_equal(pump()->state, HOLDER_HOLDING);
    hear_renewed(holder.renew_nonce, 10, true);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_non_null(told(GUARD_DROP));
}

static void a_drop_by_the_guard_itself_is_released_with_proof(void **state)
{
    (void)state;
    hear_guard(GUARD_DROPPING, 10);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_null(sent(LEASE_RELEASE));
    hear_guard(GUARD_SAFE, 10);
    assert_true(sent(LEASE_RELEASE)->fenced);
}

static void a_refused_permit_gives_the_lease_up(void **state)
{
    (void)state;
    struct guard_message message;
    guard_message_init(&message, GUARD_REFUSED);
    message.name = name("pump");
    message.token = 10;
    message.refusal = GUARD_REFUSED_LATE;
    const struct holder_event event = { .kind = HOLDER_EVENT_GUARD_MESSAGE, .guard = &message };
    holder_step(&holder, &event, now, &out);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_string_equal(pump()->reason, guard_refusal_name(GUARD_REFUSED_LATE));
}

static void a_fault_blocks_until_an_operator_clears_it(void **state)
{
    (void)state;
    hear_guard(GUARD_FAULT, 10);
    assert_int_equal(pump()->state, HOLDER_BLOCKED);
    assert_false(sent(LEASE_RELEASE)->fenced);
    assert_non_null(hook(HOLDER_LOST_HOOK));
    hear_renewed(holder.renew_nonce, 10, false);
    assert_null(told(GUARD_PERMIT));
    hear_guard(GUARD_SAFE, 10);
    assert_int_equal(pump()->state, HOLDER_BLOCKED);
    step(HOLDER_EVENT_CLEAR_FAULT);
    assert_non_null(told(GUARD_CLEAR_FAULT));
    hear_guard(GUARD_SAFE, 10);
    assert_int_equal(pump()->state, HOLDER_WAITING);
}

/* The next guard knows of no fault; what was seen to be broken still is. */
static void a_fault_outlives_the_guard_that_latched_it(void **state)
{
    (void)state;
    hear_guard(GUARD_FAULT, 10);
    step(HOLDER_EVENT_GUARD_DOWN);
    step(HOLDER_EVENT_GUARD_UP);
    hear_guard(GUARD_SAFE, 0);
    tick(10 * TTL_US);
    hear_guard(GUARD_SAFE, 0);
    assert_int_equal(pump()->state, HOLDER_BLOCKED);
    step(HOLDER_EVENT_CLEAR_FAULT);
    assert_int_equal(pump()->state, HOLDER_WAITING);
}

static void a_word_of_the_operator_clears_one_fault_only(void **state)
{
    (void)state;
    hear_guard(GUARD_FAULT, 10);
    step(HOLDER_EVENT_CLEAR_FAULT);
    hear_guard(GUARD_FAULT, 10); /* said before the guard was told */
    hear_guard(GUARD_DROPPING, 10);
    hear_guard(GUARD_FAULT, 10); /* latched anew */
    step(HOLDER_EVENT_GUARD_DOWN);
    step(HOLDER_EVENT_GUARD_UP);
    hear_guard(GUARD_SAFE, 0);
    assert_int_equal(pump()->state, HOLDER_BLOCKED);
    step(HOLDER_EVENT_CLEAR_FAULT);
    assert_int_equal(pump()->state, HOLDER_WAITING);
}

static void a_fault_withdraws_from_the_queue(void **state)
{
    (void)state;
    hear_guard(GUARD_FAULT, 0);
    assert_non_null(sent(LEASE_WITHDRAW));
    hear(LEASE_GRANTED, 10);
    assert_int_equal(pump()->state, HOLDER_BLOCKED);
    assert_int_equal(sent(LEASE_RELEASE)->token, 10);
    assert_false(sent(LEASE_RELEASE)->fenced);
}

static void a_lost_guard_gets_no_renewals_and_must_prove_on_return(void **state)
{
    (void)state;
    step(HOLDER_EVENT_GUARD_DOWN);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    tick(INTERVAL_US);
    assert_null(sent(LEASE_RENEW));
    tick(10 * TTL_US);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_null(sent(LEASE_RELEASE));
    step(HOLDER_EVENT_GUARD_UP);
    assert_null(sent(LEASE_RELEASE));
    hear_guard(GUARD_DROPPING, 0);
    assert_null(sent(LEASE_RELEASE));
    hear_guard(GUARD_SAFE, 0);
    assert_true(sent(LEASE_RELEASE)->fenced);
    assert_int_equal(sent(LEASE_RELEASE)->token, 10);
}

static void what_a_predecessor_held_is_released_with_proof_and_never_renewed(void **state)
{
    (void)state;
    connect_all();
    hear_leader("i1", 3);
    hear_guard(GUARD_SAFE, 8);
    hear_queued("a", 8);
    assert_int_equal(pump()->state, HOLDER_RELEASING);
    assert_int_equal(sent(LEASE_RELEASE)->token, 8);
    assert_true(sent(LEASE_RELEASE)->fenced);
    hear(LEASE_GRANTED, 8);
    assert_int_equal(pump()->state, HOLDER_RELEASING);
    assert_null(sent(LEASE_RENEW));
}

static void a_leftover_below_what_the_guard_has_seen_is_not_touched(void **state)
{
    (void)state;
    connect_all();
    hear_guard(GUARD_SAFE, 8);
    hear_queued("a", 7);
    assert_int_equal(pump()->state, HOLDER_WAITING);
    hear_queued("b", 9);
    assert_int_equal(pump()->state, HOLDER_WAITING);
}

static void a_release_disowns_the_token_and_all_below(void **state)
{
    (void)state;
    uint64_t nonce = holder.renew_nonce;
    hear(LEASE_YIELD, 10);
    hear_guard(GUARD_SAFE, 10);
    hear_renewed(nonce, 10, false);
    assert_null(told(GUARD_PERMIT));
    hear(LEASE_RELEASED, 10);
    hear(LEASE_GRANTED, 10);
    assert_int_equal(pump()->state, HOLDER_WAITING);
    hear_renewed(nonce, 10, false);
    assert_null(told(GUARD_PERMIT));
    hear(LEASE_GRANTED, 11);
    assert_int_equal(pump()->state, HOLDER_GRANTED);
}

static void a_release_is_repeated_to_all_until_answered(void **state)
{
    (void)state;
    hear(LEASE_YIELD, 10);
    hear_guard(GUARD_SAFE, 10);
    assert_int_equal(count_sent(LEASE_RELEASE), 1);
    hear(LEASE_RELEASED, 9);
    assert_int_equal(pump()->state, HOLDER_RELEASING);
    tick(HOLDER_RESEND_MS * 1000);
    assert_int_equal(count_sent(LEASE_RELEASE), 3);
    hear_leader("i2", 9);
    assert_int_equal(count_sent(LEASE_RELEASE), 1);
}

static void a_new_leader_is_asked_to_renew_at_once(void **state)
{
    (void)state;
    link_event("i1", HOLDER_EVENT_LINK_DOWN);
    assert_null(sent(LEASE_RENEW));
    hear_leader("i3", 4);
    assert_int_equal(count_sent(LEASE_RENEW), 1);
    assert_string_equal(out.action[0].node.text, "i3");
}

static void a_board_that_slept_drops_everything(void **state)
{
    (void)state;
    uint64_t nonce = holder.renew_nonce;
    step(HOLDER_EVENT_SLEPT);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    assert_non_null(told(GUARD_DROP));
    hear_renewed(nonce, 10, false);
    assert_null(told(GUARD_PERMIT));
}

static void a_grant_that_comes_after_the_withdrawal_is_given_back(void **state)
{
    (void)state;
    hear_guard(GUARD_DROPPING, 0);
    assert_non_null(sent(LEASE_WITHDRAW));
    hear(LEASE_GRANTED, 10);
    assert_int_equal(pump()->state, HOLDER_STOPPING);
    hear_guard(GUARD_SAFE, 0);
    assert_true(sent(LEASE_RELEASE)->fenced);
}

/* Asked for by a predecessor of this process, before its configuration was changed. */
static void s1_a_grant_that_waits_for_less_than_the_fence_latency_is_not_driven(void **state)
{
    (void)state;
    struct lease_message message;
    memset(&message, 0, sizeof(message));
    message.kind = LEASE_GRANTED;
    message.resource = name("pump");
    message.token = 10;
    message.ttl_us = TTL_US;
    message.fence_us = FENCE_US - 1;
    hear_message("i1", &message);
    assert_int_equal(pump()->state, HOLDER_WAITING);
    assert_null(sent(LEASE_RENEW));
    assert_non_null(sent(LEASE_ACQUIRE));
    hear_queued("a", 10);
    assert_null(sent(LEASE_RELEASE));
    hear(LEASE_GRANTED, 11);
    assert_int_equal(pump()->state, HOLDER_GRANTED);
}

/* A card that was copied with its certificate: the other board may be driving under this name. */
static void s1_a_lease_that_this_guard_never_saw_is_not_released(void **state)
{
    (void)state;
    hear_guard(GUARD_SAFE, 9);
    hear_queued("a", 10);
    assert_int_equal(pump()->state, HOLDER_WAITING);
    assert_null(sent(LEASE_RELEASE));
    hear_guard(GUARD_SAFE, 10);
    hear_queued("a", 10);
    assert_int_equal(pump()->state, HOLDER_RELEASING);
    assert_true(sent(LEASE_RELEASE)->fenced);
}

static void strangers_and_unknown_resources_are_ignored(void **state)
{
    (void)state;
    struct lease_message message;
    memset(&message, 0, sizeof(message));
    message.kind = LEASE_GRANTED;
    message.token = 10;
    message.ttl_us = TTL_US;
    message.fence_us = FENCE_US;
    message.resource = name("fan");
    hear_message("i1", &message);
    message.resource = name("pump");
    hear_message("mallory", &message);
    assert_int_equal(pump()->state, HOLDER_WAITING);
    hear_message("i2", &message);
    assert_int_equal(pump()->state, HOLDER_GRANTED);
}

static void slack_is_the_least_that_was_left(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        now.us = holder.renew_at.us;
        hear_guard(GUARD_DRIVING, 10);
        uint64_t nonce = sent(LEASE_RENEW)->nonce;
        int64_t left = pump()->deadline.us - now.us;
        now.us += i == 3 ? 40000 : 1000;
        if (i == 3) {
            hear_renewed(nonce, 10, false);
            assert_int_equal(holder.slack.us, left - 40000);
            assert_int_equal(holder.round_trip.us, 40000);
            continue;
        }
        hear_renewed(nonce, 10, false);
    }
    assert_int_equal(holder.slack.us, pump()->slack.us);
}

static void a_clock_that_went_back_makes_no_renewal_that_is_refused(void **state)
{
    (void)state;
    now.us = holder.renew_at.us;
    hear_guard(GUARD_DRIVING, 10);
    uint64_t nonce = sent(LEASE_RENEW)->nonce;
    now.us -= 5000;
    hear_renewed(nonce, 10, false);
    assert_int_equal(holder.round_trip.us, 0);
}

static void every_cell_of_the_table_is_named(void **state)
{
    (void)state;
    assert_true(cells_walk(holder_cell(0, 0), HOLDER_STATES, HOLDER_INPUTS) > 0);
    for (int from = 0; from < HOLDER_STATES; from++)
        assert_non_null(holder_state_name((enum holder_state)from));
    for (int input = 0; input < HOLDER_INPUTS; input++)
        assert_non_null(holder_input_name((enum holder_input)input));
}

static void from_every_state_with_a_token_a_doubt_ends_it(void **state)
{
    (void)state;
    const enum holder_input doubts[] = { HOLDER_INPUT_LOST, HOLDER_INPUT_OVERDUE,
                                         HOLDER_INPUT_DROPPED, HOLDER_INPUT_SLEPT,
                                         HOLDER_INPUT_YIELD };
    for (size_t i = 0; i < sizeof(doubts) / sizeof(doubts[0]); i++) {
        assert_int_equal(holder_cell(HOLDER_GRANTED, doubts[i])->next, HOLDER_STOPPING);
        assert_int_equal(holder_cell(HOLDER_HOLDING, doubts[i])->next, HOLDER_STOPPING);
    }
    for (int from = 0; from < HOLDER_BLOCKED; from++)
        assert_int_equal(holder_cell((enum holder_state)from, HOLDER_INPUT_FAULT)->next,
                         HOLDER_BLOCKED);
    /* Only a confirmed renewal leads to holding. */
    for (int from = 0; from < HOLDER_STATES; from++) {
        for (int input = 0; input < HOLDER_INPUTS; input++) {
            if (holder_cell((enum holder_state)from, (enum holder_input)input)->next ==
                HOLDER_HOLDING) {
                assert_int_equal(from, HOLDER_GRANTED);
                assert_int_equal(input, HOLDER_INPUT_CONFIRMED);
            }
        }
    }
}

static void a_full_board_never_overflows_the_output(void **state)
{
    (void)state;
    struct holder_config config = holder.config;
    config.resource_count = HF_LEASES_PER_AGENT_MAX;
    for (size_t i = 0; i < HF_LEASES_PER_AGENT_MAX; i++) {
        const char text[3] = { 'r', (char)('a' + i), '\0' };
        config.resource[i] = config.resource[0];
        config.resource[i].resource = name(text);
    }
    holder_init(&holder, &config, now);
    for (size_t i = 0; i < HF_ISSUERS_MAX; i++) {
        const char text[3] = { 'i', (char)('1' + i), '\0' };
        link_event(text, HOLDER_EVENT_LINK_UP);
    }
    step(HOLDER_EVENT_GUARD_UP);
    for (size_t i = 0; i < HF_LEASES_PER_AGENT_MAX; i++) {
        struct guard_message message;
        guard_message_init(&message, GUARD_STATUS);
        message.name = config.resource[i].resource;
        message.terms = config.resource[i].terms;
        message.proven = 1;
        const struct holder_event event = { .kind = HOLDER_EVENT_GUARD_MESSAGE, .guard = &message };
        holder_step(&holder, &event, now, &out);
        assert_int_equal(count_sent(LEASE_ACQUIRE), HF_ISSUERS_MAX);
    }
    step(HOLDER_EVENT_GUARD_DOWN);
    size_t withdrawn = count_sent(LEASE_WITHDRAW);
    assert_int_equal(withdrawn, HF_ISSUERS_MAX * HF_LEASES_PER_AGENT_MAX);
}

#define CLAIM(test, from) cmocka_unit_test_setup(test, from)

/* ---- outputs stuck on */

static void hear_readback(enum guard_state state, enum guard_fault fault, uint32_t on)
{
    struct guard_message message;
    guard_message_init(&message, GUARD_STATUS);
    message.name = name("pump");
    message.state = (uint8_t)state;
    message.fault = (uint8_t)fault;
    message.readback_on = on;
    const struct holder_event event = { .kind = HOLDER_EVENT_GUARD_MESSAGE, .guard = &message };
    holder_step(&holder, &event, now, &out);
}

static void hear_noted(uint64_t nonce, bool off)
{
    struct lease_message message;
    memset(&message, 0, sizeof(message));
    message.kind = LEASE_NOTED;
    message.resource = name("pump");
    message.nonce = nonce;
    message.fenced = off;
    hear_message("i1", &message);
}

static void an_output_stuck_on_is_told_at_once_and_again_until_noted(void **state)
{
    (void)state;
    hear_guard(GUARD_FAULT, 0);
    assert_int_equal(pump()->state, HOLDER_BLOCKED);
    assert_non_null(sent(LEASE_STUCK));
    assert_false(sent(LEASE_STUCK)->fenced);
    uint64_t first = sent(LEASE_STUCK)->nonce;
    hear_guard(GUARD_FAULT, 0);
    assert_null(sent(LEASE_STUCK));
    tick(999999);
    assert_null(sent(LEASE_STUCK));
    assert_int_equal(out.wake_at.us, now.us + 1);
    tick(1);
    assert_int_equal(count_sent(LEASE_STUCK), 3);
    assert_true(sent(LEASE_STUCK)->nonce > first);
    hear_noted(first - 1, false);
    tick(1000000);
    assert_non_null(sent(LEASE_STUCK));
    hear_noted(first, false);
    tick(1000000);
    assert_null(sent(LEASE_STUCK));
}

static void a_holder_releases_without_proof_and_tells_it(void **state)
{
    (void)state;
    hear_guard(GUARD_DROPPING, 10);
    hear_guard(GUARD_FAULT, 10);
    assert_non_null(sent(LEASE_RELEASE));
    assert_false(sent(LEASE_RELEASE)->fenced);
    assert_non_null(sent(LEASE_STUCK));
}

static void every_new_leader_is_told_once_more(void **state)
{
    (void)state;
    hear_guard(GUARD_FAULT, 0);
    hear_noted(sent(LEASE_STUCK)->nonce, false);
    tick(5000000);
    assert_null(sent(LEASE_STUCK));
    hear_leader("i2", 4);
    assert_non_null(sent(LEASE_STUCK));
    hear_noted(sent(LEASE_STUCK)->nonce, false);
    tick(1000000);
    assert_null(sent(LEASE_STUCK));
}

static void an_agent_that_restarts_learns_it_from_the_guard(void **state)
{
    (void)state;
    hear_guard(GUARD_FAULT, 0);
    set_up(state);
    connect_all();
    hear_leader("i1", 3);
    assert_null(sent(LEASE_STUCK));
    hear_guard(GUARD_FAULT, 0);
    assert_non_null(sent(LEASE_STUCK));
}

static void off_is_told_after_an_operator_cleared_it_and_the_guard_shows_it(void **state)
{
    (void)state;
    hear_guard(GUARD_FAULT, 0);
    hear_noted(sent(LEASE_STUCK)->nonce, false);
    /* The guard was restarted: off, but nobody has cleared the fault. */
    hear_guard(GUARD_SAFE, 0);
    assert_null(sent(LEASE_STUCK));
    step(HOLDER_EVENT_CLEAR_FAULT);
    assert_non_null(sent(LEASE_STUCK));
    assert_true(sent(LEASE_STUCK)->fenced);
    assert_int_equal(pump()->state, HOLDER_WAITING);
    tick(1000000);
    assert_true(sent(LEASE_STUCK)->fenced);
    hear_noted(sent(LEASE_STUCK)->nonce, true);
    tick(1000000);
    assert_null(sent(LEASE_STUCK));
    hear_leader("i2", 4);
    assert_null(sent(LEASE_STUCK));
}

static void a_clear_that_the_output_defies_tells_nothing_off(void **state)
{
    (void)state;
    hear_guard(GUARD_FAULT, 0);
    step(HOLDER_EVENT_CLEAR_FAULT);
    assert_null(sent(LEASE_STUCK));
    hear_guard(GUARD_DROPPING, 0);
    hear_guard(GUARD_FAULT, 0);
    tick(1000000);
    assert_false(sent(LEASE_STUCK)->fenced);
    hear_guard(GUARD_SAFE, 0);
    tick(1000000);
    assert_false(sent(LEASE_STUCK)->fenced);
}

static void stuck_again_before_off_was_noted_is_the_word_that_counts(void **state)
{
    (void)state;
    hear_guard(GUARD_FAULT, 0);
    uint64_t first = sent(LEASE_STUCK)->nonce;
    step(HOLDER_EVENT_CLEAR_FAULT);
    hear_guard(GUARD_SAFE, 0);
    uint64_t second = sent(LEASE_STUCK)->nonce;
    hear_guard(GUARD_FAULT, 0);
    assert_false(sent(LEASE_STUCK)->fenced);
    hear_noted(first, false);
    hear_noted(second, true);
    tick(1000000);
    assert_false(sent(LEASE_STUCK)->fenced);
}

static void an_output_on_in_another_fault_is_told_past_the_fence_latency(void **state)
{
    (void)state;
    hear_readback(GUARD_FAULT, GUARD_FAULT_LATE, 1);
    assert_null(sent(LEASE_STUCK));
    now.us += FENCE_US;
    hear_readback(GUARD_FAULT, GUARD_FAULT_LATE, 1);
    assert_null(sent(LEASE_STUCK));
    /* Off in between. */
    hear_readback(GUARD_FAULT, GUARD_FAULT_LATE, 0);
    now.us += 1;
    hear_readback(GUARD_FAULT, GUARD_FAULT_LATE, 2);
    assert_null(sent(LEASE_STUCK));
    now.us += FENCE_US + 1;
    hear_readback(GUARD_FAULT, GUARD_FAULT_LATE, 2);
    assert_non_null(sent(LEASE_STUCK));
}

/* But its end is told: the agent's life before may have said, of this fault, that an output is on. */
static void a_fault_with_all_outputs_off_is_no_word_and_its_end_is_one(void **state)
{
    (void)state;
    hear_readback(GUARD_FAULT, GUARD_FAULT_CLOCK, 0);
    now.us += 1000000;
    hear_readback(GUARD_FAULT, GUARD_FAULT_CLOCK, 0);
    assert_null(sent(LEASE_STUCK));
    step(HOLDER_EVENT_CLEAR_FAULT);
    assert_null(sent(LEASE_STUCK));
    hear_guard(GUARD_SAFE, 0);
    assert_non_null(sent(LEASE_STUCK));
    assert_true(sent(LEASE_STUCK)->fenced);
    assert_int_equal(pump()->state, HOLDER_WAITING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(guard_is_greeted_first, set_up),
        CLAIM(s1_a_guard_that_is_configured_otherwise_is_not_used, set_up),
        CLAIM(s1_what_a_guard_proves_that_is_configured_otherwise_frees_nothing, set_up_driving),
        CLAIM(a_guard_that_becomes_another_ends_the_lease, set_up_driving),
        CLAIM(asks_for_nothing_before_the_guard_proves_safe, set_up),
        CLAIM(a_new_guard_must_show_itself_that_all_is_off, set_up),
        CLAIM(asks_the_leader_alone_once_it_is_known, set_up),
        CLAIM(an_unanswered_acquire_goes_to_all_after_a_second, set_up_waiting),
        CLAIM(drives_only_after_a_renewal_of_this_token_was_answered, set_up_granted),
        CLAIM(deadline_counts_from_the_sending_of_the_renewal, set_up_granted),
        CLAIM(a_deadline_never_goes_back, set_up_holding),
        CLAIM(renews_five_times_per_ttl_to_the_leader, set_up_holding),
        CLAIM(a_board_renews_as_often_as_its_shortest_lease_needs, set_up_holding),
        CLAIM(an_unanswered_renewal_is_sent_anew_to_all_after_half_an_interval, set_up_holding),
        CLAIM(a_late_answer_is_matched_to_when_it_was_sent, set_up_granted),
        CLAIM(an_answer_older_than_the_nonces_remembered_counts_for_nothing, set_up_granted),
        CLAIM(an_answer_counts_however_many_renewals_were_sent_since, set_up_granted),
        CLAIM(a_grant_not_renewed_within_its_ttl_is_given_back, set_up_granted),
        CLAIM(renews_nothing_while_the_guard_is_silent, set_up_holding),
        CLAIM(s5_a_passed_deadline_drops, set_up_holding),
        CLAIM(s5_an_answer_after_the_deadline_revives_nothing, set_up_driving),
        CLAIM(an_answer_to_a_renewal_older_than_the_lease_permits_nothing, set_up_granted),
        CLAIM(a_shorter_ttl_than_asked_for_is_the_one_that_counts, set_up_waiting),
        CLAIM(a_guard_that_saw_a_higher_token_ends_the_lease, set_up_driving),
        CLAIM(a_second_guard_connection_ends_what_the_first_one_drove, set_up_driving),
        CLAIM(what_comes_from_a_lost_guard_proves_nothing, set_up_driving),
        CLAIM(safe_without_proof_proves_nothing, set_up_driving),
        CLAIM(hooks_run_when_the_guard_drives_and_when_it_is_safe_again, set_up_holding),
        CLAIM(yield_releases_with_proof_and_asks_again, set_up_driving),
        CLAIM(a_status_from_before_the_permit_proves_nothing, set_up_holding),
        CLAIM(without_proof_past_the_deadline_it_releases_unfenced, set_up_holding),
        CLAIM(a_drop_is_repeated_until_proven, set_up_driving),
        CLAIM(lost_drops_at_once, set_up_driving),
        CLAIM(a_drop_by_the_guard_itself_is_released_with_proof, set_up_driving),
        CLAIM(a_refused_permit_gives_the_lease_up, set_up_holding),
        CLAIM(a_fault_blocks_until_an_operator_clears_it, set_up_driving),
        CLAIM(a_fault_outlives_the_guard_that_latched_it, set_up_driving),
        CLAIM(a_word_of_the_operator_clears_one_fault_only, set_up_driving),
        CLAIM(a_fault_withdraws_from_the_queue, set_up_waiting),
        CLAIM(a_lost_guard_gets_no_renewals_and_must_prove_on_return, set_up_driving),
        CLAIM(what_a_predecessor_held_is_released_with_proof_and_never_renewed, set_up),
        CLAIM(s1_a_lease_that_this_guard_never_saw_is_not_released, set_up_waiting),
        CLAIM(a_leftover_below_what_the_guard_has_seen_is_not_touched, set_up),
        CLAIM(a_release_disowns_the_token_and_all_below, set_up_driving),
        CLAIM(a_release_is_repeated_to_all_until_answered, set_up_driving),
        CLAIM(a_new_leader_is_asked_to_renew_at_once, set_up_driving),
        CLAIM(a_board_that_slept_drops_everything, set_up_driving),
        CLAIM(a_clock_that_went_back_makes_no_renewal_that_is_refused, set_up_driving),
        CLAIM(a_grant_that_comes_after_the_withdrawal_is_given_back, set_up_waiting),
        CLAIM(s1_a_grant_that_waits_for_less_than_the_fence_latency_is_not_driven, set_up_waiting),
        CLAIM(strangers_and_unknown_resources_are_ignored, set_up_waiting),
        CLAIM(slack_is_the_least_that_was_left, set_up_holding),
        CLAIM(every_cell_of_the_table_is_named, set_up),
        CLAIM(from_every_state_with_a_token_a_doubt_ends_it, set_up),
        CLAIM(a_full_board_never_overflows_the_output, set_up),
        CLAIM(an_output_stuck_on_is_told_at_once_and_again_until_noted, set_up_waiting),
        CLAIM(a_holder_releases_without_proof_and_tells_it, set_up_holding),
        CLAIM(every_new_leader_is_told_once_more, set_up_waiting),
        CLAIM(an_agent_that_restarts_learns_it_from_the_guard, set_up_waiting),
        CLAIM(off_is_told_after_an_operator_cleared_it_and_the_guard_shows_it, set_up_waiting),
        CLAIM(a_clear_that_the_output_defies_tells_nothing_off, set_up_waiting),
        CLAIM(stuck_again_before_off_was_noted_is_the_word_that_counts, set_up_waiting),
        CLAIM(an_output_on_in_another_fault_is_told_past_the_fence_latency, set_up_waiting),
        CLAIM(a_fault_with_all_outputs_off_is_no_word_and_its_end_is_one, set_up_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
