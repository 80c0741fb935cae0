/* The issuer, alone: the test is its log, which commits when told to, and confirms its rounds. */
#include <stdio.h>
#include <string.h>

#include "base/timing.h"
#include "lease/issuer.h"
#include "tests/unit/support/unit.h"

enum { DRIFT_PPM = 2000, TTL_US = 1000000, FENCE_US = 20000, SENT_MAX = 1024, LOG_MAX = 64 };

static struct lease_table table;
static struct issuer issuer;
static struct issuer_output out;
static struct issuer_policy policy[HF_RESOURCES_MAX];
static struct instant now;
static uint64_t next_index;
static uint64_t round_asked;
static bool log_full;

static size_t sent_count;
static struct {
    struct hf_name node;
    struct lease_message message;
} sent[SENT_MAX];

static size_t log_count;
static struct {
    uint64_t index;
    struct lease_command command;
} entries[LOG_MAX];

static struct hf_name name(const char *text)
{
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

static void step(const struct issuer_event *event)
{
    issuer_step(&issuer, event, now, &out);
    for (size_t i = 0; i < out.count; i++) {
        struct issuer_action *action = &out.action[i];
        if (action->kind == ISSUER_SEND) {
            assert_true(sent_count < SENT_MAX);
            sent[sent_count].node = action->node;
            sent[sent_count++].message = action->message;
        } else if (action->kind == ISSUER_CONFIRM) {
            issuer_round_asked(&issuer, ++round_asked);
        } else if (log_full) {
            issuer_proposed(&issuer, &action->command, 0, now);
        } else {
            assert_true(log_count < LOG_MAX);
            entries[log_count].index = next_index;
            entries[log_count].command = action->command;
            entries[log_count++].command.payer = action->payer; /* as the replica does */
            issuer_proposed(&issuer, &action->command, next_index++, now);
        }
    }
}

static void step_kind(enum issuer_event_kind kind)
{
    const struct issuer_event event = { .kind = kind, .term = 3 };
    step(&event);
}

static void tick(int64_t us)
{
    now.us += us;
    step_kind(ISSUER_EVENT_TIMER);
}

/* Everything proposed is committed and applied; what follows from it is proposed, not committed. */
static void commit(void)
{
    size_t count = log_count;
    log_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct table_change change =
            lease_table_apply(&table, entries[i].index, &entries[i].command);
        const struct issuer_event event = { .kind = ISSUER_EVENT_APPLIED,
                                            .index = entries[i].index,
                                            .change = &change };
        size_t before = log_count;
        step(&event);
        assert_int_equal(log_count, before);
    }
    tick(0);
}

static void confirm_round(uint64_t round)
{
    const struct issuer_event event = { .kind = ISSUER_EVENT_ROUND, .round = round };
    size_t before = log_count;
    step(&event);
    assert_int_equal(log_count, before);
}

static void client(const char *node, enum issuer_event_kind kind)
{
    const struct issuer_event event = { .kind = kind, .node = name(node) };
    step(&event);
}

static void say(const char *node, const struct lease_message *message)
{
    const struct issuer_event event = { .kind = ISSUER_EVENT_MESSAGE,
                                        .node = name(node),
                                        .message = message };
    step(&event);
}

static struct lease_message message_of(enum lease_message_kind kind)
{
    struct lease_message message;
    memset(&message, 0, sizeof(message));
    message.kind = kind;
    if (kind != LEASE_RENEW)
        message.resource = name("pump");
    return message;
}

static void acquire(const char *node, int32_t priority, bool failback)
{
    struct lease_message message = message_of(LEASE_ACQUIRE);
    message.ttl_us = TTL_US;
    message.fence_us = FENCE_US;
    message.priority = priority;
    message.failback_auto = failback;
    say(node, &message);
    tick(0);
}

static void renew(const char *node, uint64_t nonce, uint64_t token)
{
    struct lease_message message = message_of(LEASE_RENEW);
    message.nonce = nonce;
    message.item_count = 1;
    message.items[0].resource = name("pump");
    message.items[0].token = token;
    size_t before = log_count;
    say(node, &message);
    assert_int_equal(log_count, before);
}

static void release(const char *node, uint64_t token, bool fenced)
{
    struct lease_message message = message_of(LEASE_RELEASE);
    message.token = token;
    message.fenced = fenced;
    message.nonce = 99;
    say(node, &message);
}

/* The last message of a kind to a node, or NULL. */
static const struct lease_message *last_sent(const char *node, enum lease_message_kind kind)
{
    struct hf_name to = name(node);
    for (size_t i = sent_count; i > 0; i--) {
        if (sent[i - 1].message.kind == kind && name_equal(&sent[i - 1].node, &to))
            return &sent[i - 1].message;
    }
    return NULL;
}

static size_t count_proposed(enum lease_command_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < log_count; i++)
        count += entries[i].command.kind == kind;
    return count;
}

static uint64_t token(void)
{
    struct hf_name pump = name("pump");
    int found = lease_table_find(&table, &pump);
    return found < 0 ? 0 : table.record[found].token;
}

static const char *holder(void)
{
    struct hf_name pump = name("pump");
    return table.record[lease_table_find(&table, &pump)].holder.text;
}

static void grant_to(const char *node, int32_t priority)
{
    acquire(node, priority, false);
    commit();
    assert_string_equal(holder(), node);
    sent_count = 0;
}

static struct instant free_time(void)
{
    struct hf_name pump = name("pump");
    return issuer_free_at(&issuer, &pump);
}

static const struct issuer_transfer *transfer(void)
{
    struct hf_name pump = name("pump");
    return &issuer_lease_of(&issuer, &pump)->transfer;
}

static int set_up(void **state)
{
    struct issuer_config config = { .drift_ppm = DRIFT_PPM, .policy = policy, .policy_count = 1 };
    (void)state;
    memset(policy, 0, sizeof(policy));
    policy[0].resource = name("pump");
    policy[0].ttl_max_us = 5000000;
    policy[0].fence_max_us = 600000000;
    policy[0].holder_count = 12;
    for (uint8_t i = 0; i < 12; i++) {
        const char text[2] = { (char)('a' + i), '\0' };
        policy[0].holder[i] = name(text);
    }
    config.self = name("issuer-1");
    lease_table_init(&table);
    /* A second start in the same memory. */
    memset(&issuer, 0xa5, sizeof(issuer));
    issuer_init(&issuer, &config, &table);
    now.us = 1000000;
    next_index = 10;
    round_asked = 0;
    log_full = false;
    sent_count = 0;
    log_count = 0;
    client("a", ISSUER_EVENT_CLIENT_UP);
    client("b", ISSUER_EVENT_CLIENT_UP);
    client("c", ISSUER_EVENT_CLIENT_UP);
    step_kind(ISSUER_EVENT_SERVING);
    return 0;
}

static void leader_is_announced_to_all_and_to_those_who_come(void **state)
{
    (void)state;
    assert_int_equal(last_sent("a", LEASE_LEADER)->term, 3);
    assert_non_null(last_sent("b", LEASE_LEADER));
    assert_null(last_sent("d", LEASE_LEADER));
    client("d", ISSUER_EVENT_CLIENT_UP);
    assert_non_null(last_sent("d", LEASE_LEADER));
}

static void serves_only_while_serving(void **state)
{
    (void)state;
    grant_to("a", 0);
    step_kind(ISSUER_EVENT_NOT_SERVING);
    renew("a", 1, token());
    acquire("b", 0, false);
    release("a", token(), true);
    tick(100 * TTL_US);
    assert_int_equal(sent_count, 0);
    assert_int_equal(log_count, 0);
}

static void free_resource_is_granted_when_the_entry_is_applied(void **state)
{
    (void)state;
    acquire("a", 0, false);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
    assert_null(last_sent("a", LEASE_GRANTED));
    commit();
    assert_int_equal(last_sent("a", LEASE_GRANTED)->token, 10);
    assert_int_equal(last_sent("a", LEASE_GRANTED)->ttl_us, TTL_US);
    assert_int_equal(last_sent("a", LEASE_GRANTED)->fence_us, FENCE_US);
}

static void at_most_one_proposal_per_resource_is_under_way(void **state)
{
    (void)state;
    acquire("a", 0, false);
    acquire("b", 5, false);
    acquire("a", 0, false);
    tick(10 * TTL_US);
    assert_int_equal(log_count, 1);
}

static void queue_is_served_by_priority_then_arrival(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 1, false);
    acquire("c", 1, false);
    client("d", ISSUER_EVENT_CLIENT_UP);
    acquire("d", 7, false);
    assert_int_equal(last_sent("d", LEASE_QUEUED)->position, 1);
    acquire("c", 1, false);
    assert_int_equal(last_sent("c", LEASE_QUEUED)->position, 3);
    acquire("b", 1, false);
    assert_int_equal(last_sent("b", LEASE_QUEUED)->position, 2);
    assert_string_equal(last_sent("b", LEASE_QUEUED)->holder.text, "a");
    const char *const order[] = { "d", "b", "c" };
    for (size_t i = 0; i < 3; i++) {
        release(holder(), token(), true);
        commit();
        commit();
        assert_string_equal(holder(), order[i]);
    }
}

static void a_board_that_is_gone_is_not_granted(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 5, false);
    acquire("c", 1, false);
    client("b", ISSUER_EVENT_CLIENT_DOWN);
    release("a", token(), true);
    commit();
    commit();
    assert_string_equal(holder(), "c");
}

static void a_withdrawn_board_is_not_granted(void **state)
{
    (void)state;
    struct lease_message withdraw = message_of(LEASE_WITHDRAW);
    grant_to("a", 0);
    acquire("b", 5, false);
    say("b", &withdraw);
    release("a", token(), true);
    commit();
    assert_int_equal(log_count, 0);
    assert_int_equal(token(), 0);
}

static void s1_no_grant_to_another_before_the_lease_is_free(void **state)
{
    (void)state;
    grant_to("a", 0);
    struct instant expected =
        timing_issuer_free(now, span_from_us(TTL_US), span_from_us(FENCE_US), DRIFT_PPM);
    acquire("b", 100, false);
    assert_int_equal(free_time().us, expected.us);
    tick(expected.us - now.us - 1);
    assert_int_equal(log_count, 0);
    assert_int_equal(out.wake_at.us, expected.us);
    tick(1);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
    assert_int_equal(entries[0].command.token, 10);
    commit();
    assert_string_equal(holder(), "b");
    assert_int_equal(last_sent("a", LEASE_LOST)->token, 10);
    assert_int_equal(table.history[table.history_total - 2].kind, HISTORY_EXPIRE);
}

static void without_a_waiter_a_lease_expires(void **state)
{
    (void)state;
    grant_to("a", 0);
    tick(free_time().us - now.us);
    assert_int_equal(count_proposed(LEASE_COMMAND_EXPIRE), 1);
    commit();
    assert_int_equal(token(), 0);
    assert_int_equal(last_sent("a", LEASE_LOST)->token, 10);
}

static void s4_a_renewal_waits_for_a_round_asked_after_it(void **state)
{
    (void)state;
    grant_to("a", 0);
    renew("a", 1, token());
    uint64_t first = round_asked;
    renew("a", 2, token());
    uint64_t second = round_asked;
    assert_true(second > first);
    assert_null(last_sent("a", LEASE_RENEWED));
    confirm_round(first);
    assert_int_equal(last_sent("a", LEASE_RENEWED)->nonce, 1);
    tick(1000);
    assert_int_equal(last_sent("a", LEASE_RENEWED)->nonce, 1);
    confirm_round(second);
    assert_int_equal(last_sent("a", LEASE_RENEWED)->nonce, 2);
    assert_false(last_sent("a", LEASE_RENEWED)->items[0].lost);
    assert_int_equal(log_count, 0);
}

static void lease_time_counts_from_the_confirmation_not_the_receipt(void **state)
{
    (void)state;
    grant_to("a", 0);
    struct instant before = free_time();
    tick(300000);
    renew("a", 1, token());
    assert_int_equal(free_time().us, before.us);
    tick(50000);
    confirm_round(round_asked);
    assert_int_equal(free_time().us, before.us + 350000);
}

static void renewals_of_a_round_that_was_refused_are_forgotten(void **state)
{
    (void)state;
    grant_to("a", 0);
    struct lease_message message = message_of(LEASE_RENEW);
    message.nonce = 4;
    message.item_count = 1;
    message.items[0].resource = name("pump");
    message.items[0].token = token();
    const struct issuer_event event = { .kind = ISSUER_EVENT_MESSAGE,
                                        .node = name("a"),
                                        .message = &message };
    issuer_step(&issuer, &event, now, &out);
    issuer_round_asked(&issuer, 0);
    confirm_round(1000);
    assert_null(last_sent("a", LEASE_RENEWED));
}

static void renewal_of_a_token_that_is_not_current_is_lost(void **state)
{
    (void)state;
    grant_to("a", 0);
    renew("a", 1, token() - 1);
    confirm_round(round_asked);
    assert_true(last_sent("a", LEASE_RENEWED)->items[0].lost);
    renew("b", 2, token());
    confirm_round(round_asked);
    assert_true(last_sent("b", LEASE_RENEWED)->items[0].lost);
}

static void nothing_is_confirmed_once_its_end_is_proposed(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 0, false);
    renew("a", 1, token());
    tick(free_time().us - now.us);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
    confirm_round(round_asked);
    assert_null(last_sent("a", LEASE_RENEWED));
    commit();
    assert_non_null(last_sent("a", LEASE_LOST));
    assert_string_equal(holder(), "b");
}

static void newest_renewal_of_a_board_replaces_the_one_before(void **state)
{
    (void)state;
    grant_to("a", 0);
    for (uint64_t nonce = 1; nonce <= 50; nonce++)
        renew("a", nonce, token());
    assert_int_equal(issuer.renewal_count, ISSUER_RENEWALS_PER_NODE);
    confirm_round(round_asked);
    assert_int_equal(sent[0].message.nonce, 1);
    assert_int_equal(last_sent("a", LEASE_RENEWED)->nonce, 50);
}

/* Of those sent at half an interval, as long as a round takes that a lease survives. */
static void each_renewal_under_way_is_answered_by_its_own_round(void **state)
{
    (void)state;
    grant_to("a", 0);
    uint64_t round[ISSUER_RENEWALS_PER_NODE];
    for (uint64_t i = 0; i < ISSUER_RENEWALS_PER_NODE; i++) {
        renew("a", i + 1, token());
        round[i] = round_asked;
    }
    for (uint64_t i = 0; i < ISSUER_RENEWALS_PER_NODE; i++) {
        confirm_round(round[i]);
        assert_int_equal(last_sent("a", LEASE_RENEWED)->nonce, i + 1);
    }
    assert_int_equal(issuer.renewal_count, 0);
    assert_true(ISSUER_RENEWALS_PER_NODE * TTL_US / (2 * TIMING_RENEWALS_PER_TTL) >= TTL_US / 2);
}

static void new_leader_counts_every_lease_from_when_it_serves(void **state)
{
    (void)state;
    grant_to("a", 0);
    uint64_t held = token();
    step_kind(ISSUER_EVENT_NOT_SERVING);
    now.us += 900000;
    step_kind(ISSUER_EVENT_SERVING);
    struct instant expected =
        timing_issuer_free(now, span_from_us(TTL_US), span_from_us(FENCE_US), DRIFT_PPM);
    assert_int_equal(free_time().us, expected.us);
    acquire("b", 100, false);
    tick(800000);
    assert_int_equal(log_count, 0);
    renew("a", 5, held);
    confirm_round(round_asked);
    assert_false(last_sent("a", LEASE_RENEWED)->items[0].lost);
}

static void renewals_of_a_former_leadership_are_never_answered(void **state)
{
    (void)state;
    grant_to("a", 0);
    renew("a", 1, token());
    step_kind(ISSUER_EVENT_NOT_SERVING);
    step_kind(ISSUER_EVENT_SERVING);
    confirm_round(round_asked + 1);
    assert_null(last_sent("a", LEASE_RENEWED));
}

/* Proposed by a former leader, applied just before the no-op of this one. */
static void
s1_a_grant_of_a_former_leader_counts_by_its_own_times_from_when_this_one_serves(void **state)
{
    (void)state;
    grant_to("a", 0);
    uint64_t former = token();
    step_kind(ISSUER_EVENT_NOT_SERVING);
    struct lease_command grant;
    memset(&grant, 0, sizeof(grant));
    grant.kind = LEASE_COMMAND_GRANT;
    grant.resource = name("pump");
    grant.holder = name("b");
    grant.token = former;
    grant.ttl_us = 3 * TTL_US;
    grant.fence_us = 5 * FENCE_US;
    assert_true(lease_table_apply(&table, next_index++, &grant).done);
    now.us += 700000;
    step_kind(ISSUER_EVENT_SERVING);
    struct instant expected =
        timing_issuer_free(now, span_from_us(3 * TTL_US), span_from_us(5 * FENCE_US), DRIFT_PPM);
    assert_int_equal(free_time().us, expected.us);
    renew("a", 1, former);
    confirm_round(round_asked);
    assert_true(last_sent("a", LEASE_RENEWED)->items[0].lost);
    renew("b", 2, token());
    tick(50000);
    confirm_round(round_asked);
    assert_false(last_sent("b", LEASE_RENEWED)->items[0].lost);
    assert_int_equal(free_time().us, expected.us + 50000);
}

static void s1_the_time_of_a_grant_counts_from_its_commit(void **state)
{
    (void)state;
    acquire("a", 0, false);
    now.us += 400000;
    commit();
    assert_int_equal(
        free_time().us,
        timing_issuer_free(now, span_from_us(TTL_US), span_from_us(FENCE_US), DRIFT_PPM).us);
}

static void a_holder_that_asks_again_is_told_its_token_and_never_granted_twice(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("a", 0, false);
    assert_string_equal(last_sent("a", LEASE_QUEUED)->holder.text, "a");
    assert_int_equal(last_sent("a", LEASE_QUEUED)->token, 10);
    assert_int_equal(log_count, 0);
    tick(free_time().us - now.us);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 0);
}

static void fenced_release_frees_at_once(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 0, false);
    release("a", token(), true);
    commit();
    assert_int_equal(last_sent("a", LEASE_RELEASED)->nonce, 99);
    assert_int_equal(last_sent("a", LEASE_RELEASED)->token, 10);
    assert_null(last_sent("a", LEASE_LOST));
    commit();
    assert_string_equal(holder(), "b");
}

static void unfenced_release_waits_as_if_the_board_had_died(void **state)
{
    (void)state;
    grant_to("a", 0);
    struct instant before = free_time();
    acquire("b", 0, false);
    release("a", token(), false);
    commit();
    assert_non_null(last_sent("a", LEASE_RELEASED));
    assert_int_equal(free_time().us, before.us);
    renew("a", 7, token());
    confirm_round(round_asked);
    assert_true(last_sent("a", LEASE_RENEWED)->items[0].lost);
    assert_int_equal(free_time().us, before.us);
    tick(before.us - now.us - 1);
    assert_int_equal(log_count, 0);
    tick(1);
    commit();
    assert_string_equal(holder(), "b");
}

/* Not known to be off then, and shown to be off now. */
static void fenced_release_after_an_unfenced_one_frees_at_once(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 0, false);
    release("a", token(), false);
    commit();
    release("a", token(), true);
    commit();
    assert_string_equal(holder(), "");
    commit();
    assert_string_equal(holder(), "b");
}

static void release_of_another_token_frees_nothing(void **state)
{
    (void)state;
    grant_to("a", 0);
    release("a", 9, true);
    assert_int_equal(last_sent("a", LEASE_RELEASED)->token, 9);
    release("b", 10, true);
    assert_int_equal(log_count, 0);
    sent_count = 0;
    release("a", 500, true);
    assert_int_equal(sent_count, 0);
    assert_int_equal(token(), 10);
}

static void expect_refusal(const char *node, struct lease_message message,
                           enum lease_refusal refusal, const char *text)
{
    sent_count = 0;
    say(node, &message);
    const struct lease_message *answer = last_sent(node, LEASE_REFUSED);
    assert_non_null(answer);
    assert_int_equal(answer->refusal, refusal);
    assert_string_equal(answer->text, text);
}

static void refusals_name_the_value_and_what_is_allowed(void **state)
{
    (void)state;
    struct lease_message message = message_of(LEASE_ACQUIRE);
    message.fence_us = FENCE_US;
    message.ttl_us = 6000000;
    expect_refusal("a", message, LEASE_REFUSED_TTL, "ttl is 6000000 us, allowed 50000..5000000 us");
    message.ttl_us = 0;
    expect_refusal("a", message, LEASE_REFUSED_TTL, "ttl is 0 us, allowed 50000..5000000 us");
    message.ttl_us = TTL_US;
    message.fence_us = -1;
    expect_refusal("a", message, LEASE_REFUSED_FENCE, "fence is -1 us, allowed 0..600000000 us");
    message.fence_us = 0;
    message.resource = name("fan");
    expect_refusal("a", message, LEASE_REFUSED_POLICY, "no policy for this resource");
    client("z", ISSUER_EVENT_CLIENT_UP);
    message.resource = name("pump");
    expect_refusal("z", message, LEASE_REFUSED_POLICY, "z is not among its holders");
}

static void a_refusal_is_noted_once_until_it_changes(void **state)
{
    (void)state;
    struct lease_message message = message_of(LEASE_ACQUIRE);
    for (int i = 0; i < 20; i++)
        say("a", &message);
    assert_int_equal(count_proposed(LEASE_COMMAND_NOTE), 1);
    assert_int_equal(entries[0].command.event, HISTORY_REFUSAL);
    client("a", ISSUER_EVENT_CLIENT_DOWN);
    client("a", ISSUER_EVENT_CLIENT_UP);
    say("a", &message);
    assert_int_equal(count_proposed(LEASE_COMMAND_NOTE), 1);
    message.resource = name("fan"); /* no policy names it: nothing is written of it */
    say("a", &message);
    say("a", &message);
    assert_int_equal(count_proposed(LEASE_COMMAND_NOTE), 1);
    commit();
    grant_to("b", 0);
    acquire("a", 0, false);
    now.us += ISSUER_NOTE_INTERVAL_MS * 1000;
    message.resource = name("pump");
    say("a", &message);
    say("a", &message);
    assert_int_equal(count_proposed(LEASE_COMMAND_NOTE), 1);
}

/* Two reasons in turn, and acceptance in between: still one note a minute. */
static void a_board_that_alternates_its_mistakes_fills_no_disk(void **state)
{
    (void)state;
    enum { SECONDS = 600, PER_SECOND = 5 };
    struct lease_message message = message_of(LEASE_ACQUIRE);
    size_t notes = 0;
    for (int i = 0; i < SECONDS * PER_SECOND; i++) {
        message.ttl_us = i % 3 == 0 ? 6000000 : TTL_US;
        message.fence_us = i % 3 == 1 ? -1 : FENCE_US;
        say("a", &message);
        notes += count_proposed(LEASE_COMMAND_NOTE);
        log_count = sent_count = 0;
        now.us += 1000000 / PER_SECOND;
    }
    assert_in_range(notes, 2, SECONDS * 1000 / ISSUER_NOTE_INTERVAL_MS + 1);
    printf("figure: a board that is refused for two reasons in turn, %d times in %d s: %zu history "
           "entries\n",
           SECONDS * PER_SECOND * 2 / 3, SECONDS, notes);
}

static void a_longer_fence_than_the_policy_allows_is_refused(void **state)
{
    (void)state;
    policy[0].fence_max_us = FENCE_US - 1;
    acquire("a", 0, false);
    assert_int_equal(last_sent("a", LEASE_REFUSED)->refusal, LEASE_REFUSED_FENCE);
    policy[0].fence_max_us = FENCE_US;
    acquire("a", 0, false);
    assert_non_null(last_sent("a", LEASE_QUEUED));
}

/* ---- after a restore */

enum { UNKNOWN_US = 7000000 };

static void restore_and_serve(int64_t unknown_us)
{
    step_kind(ISSUER_EVENT_NOT_SERVING);
    next_index = table.applied + 1000;
    lease_table_restore(&table, next_index++, unknown_us, 0);
    sent_count = log_count = 0;
    now.us += 1000000;
    step_kind(ISSUER_EVENT_SERVING);
}

static void use_policy(int64_t ttl_max_us, int64_t fence_max_us)
{
    policy[0].ttl_max_us = ttl_max_us;
    policy[0].fence_max_us = fence_max_us;
}

static void s1_after_a_restore_nothing_is_granted_until_no_lease_of_before_can_count(void **state)
{
    (void)state;
    use_policy(TTL_US, FENCE_US);
    grant_to("a", 0);
    uint64_t before = token();
    restore_and_serve(UNKNOWN_US);
    struct instant end =
        timing_issuer_free(now, span_from_us(UNKNOWN_US), span_from_us(0), DRIFT_PPM);
    assert_int_equal(issuer_unknown_until(&issuer).us, end.us);
    acquire("b", 100, false);
    assert_int_equal(last_sent("b", LEASE_QUEUED)->position, 1);
    tick(end.us - now.us - 1);
    assert_int_equal(log_count, 0);
    assert_int_equal(out.wake_at.us, end.us);
    tick(1);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
    commit();
    assert_string_equal(holder(), "b");
    assert_true(token() > before);
    assert_int_equal(table.unknown_us, 0);
    assert_int_equal(issuer_unknown_until(&issuer).us, INSTANT_NEVER.us);
}

static void s1_the_present_policy_counts_too_after_a_restore(void **state)
{
    (void)state;
    use_policy(3 * UNKNOWN_US, UNKNOWN_US);
    restore_and_serve(UNKNOWN_US);
    assert_int_equal(
        issuer_unknown_until(&issuer).us,
        timing_issuer_free(now, span_from_us(4 * UNKNOWN_US), span_from_us(0), DRIFT_PPM).us);
}

static void s1_a_second_leader_waits_anew_after_a_restore(void **state)
{
    (void)state;
    use_policy(TTL_US, FENCE_US);
    restore_and_serve(UNKNOWN_US);
    tick(UNKNOWN_US / 2);
    step_kind(ISSUER_EVENT_NOT_SERVING);
    assert_int_equal(issuer_unknown_until(&issuer).us, INSTANT_NEVER.us);
    step_kind(ISSUER_EVENT_SERVING);
    acquire("b", 100, false);
    tick(UNKNOWN_US);
    assert_int_equal(log_count, 0);
    tick(UNKNOWN_US * (int64_t)DRIFT_PPM / 1000000 + 1);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
}

static void s1_what_the_backup_shows_as_held_is_renewed_to_nobody(void **state)
{
    (void)state;
    use_policy(TTL_US, FENCE_US);
    grant_to("a", 0);
    uint64_t before = token();
    restore_and_serve(UNKNOWN_US);
    renew("a", 7, before);
    confirm_round(round_asked);
    assert_true(last_sent("a", LEASE_RENEWED)->items[0].lost);
    release("a", before, true);
    assert_int_equal(last_sent("a", LEASE_RELEASED)->token, before);
    assert_int_equal(log_count, 0);
}

/* ---- its early end, and what boards say of tokens */

static void begin_and_serve(uint64_t index)
{
    step_kind(ISSUER_EVENT_NOT_SERVING);
    lease_table_begin(&table, index);
    next_index = index + 1;
    sent_count = log_count = 0;
    now.us += 1000000;
    use_policy(TTL_US, FENCE_US);
    policy[0].holder_count = 2; /* a and b */
    step_kind(ISSUER_EVENT_SERVING);
}

static void claim(const char *node, uint64_t highest)
{
    struct lease_message message = message_of(LEASE_ACQUIRE);
    message.ttl_us = TTL_US;
    message.fence_us = FENCE_US;
    message.highest = highest;
    say(node, &message);
    tick(0);
}

static void s1_the_hold_off_ends_early_when_every_board_of_the_policy_waits(void **state)
{
    (void)state;
    struct hf_name pump_name = name("pump");
    begin_and_serve(1);
    acquire("a", 0, false);
    assert_int_equal(log_count, 0);
    assert_true(issuer_held_off(&issuer, &pump_name, now));
    assert_string_equal(issuer_awaited(&issuer, &pump_name, 0)->text, "b");
    assert_null(issuer_awaited(&issuer, &pump_name, 1));
    acquire("b", 0, false);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
    assert_false(entries[0].command.settled);
    commit();
    assert_true(table.unknown_us > 0);
    assert_false(issuer_held_off(&issuer, &pump_name, now));
}

static void s1_a_board_whose_connection_is_gone_does_not_wait(void **state)
{
    (void)state;
    begin_and_serve(1);
    acquire("a", 0, false);
    client("a", ISSUER_EVENT_CLIENT_DOWN);
    acquire("b", 0, false);
    assert_int_equal(log_count, 0);
    client("a", ISSUER_EVENT_CLIENT_UP);
    tick(0);
    assert_int_equal(log_count, 0);
}

static void s1_who_waited_at_a_former_leadership_does_not_wait_at_this_one(void **state)
{
    (void)state;
    begin_and_serve(1);
    acquire("a", 0, false);
    step_kind(ISSUER_EVENT_NOT_SERVING);
    step_kind(ISSUER_EVENT_SERVING);
    acquire("b", 0, false);
    assert_int_equal(log_count, 0);
}

static void s1_a_refused_acquire_is_not_waiting(void **state)
{
    (void)state;
    struct lease_message message = message_of(LEASE_ACQUIRE);
    begin_and_serve(1);
    say("a", &message); /* its ttl is 0 */
    acquire("b", 0, false);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 0);
}

static void s1_what_was_granted_early_is_held_off_no_more_but_the_rest_is(void **state)
{
    (void)state;
    struct hf_name fan = name("fan");
    policy[1] = policy[0];
    policy[1].resource = fan;
    begin_and_serve(1);
    policy[1] = policy[0];
    policy[1].resource = fan;
    issuer.config.policy_count = 2;
    acquire("a", 0, false);
    acquire("b", 0, false);
    commit();
    release(holder(), token(), true);
    commit();
    commit();
    assert_string_equal(holder(), "b");
    release("b", token(), true);
    client("b", ISSUER_EVENT_CLIENT_DOWN);
    commit();
    acquire("a", 0, false); /* b does not wait: it need not, the table knows */
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
    assert_true(issuer_held_off(&issuer, &fan, now));
    issuer.config.policy_count = 1;
}

static void a_grant_after_the_time_is_settled_and_ends_it_for_all(void **state)
{
    (void)state;
    begin_and_serve(1);
    acquire("a", 0, false);
    tick(instant_diff(issuer_unknown_until(&issuer), now).us - 1);
    assert_int_equal(log_count, 0);
    tick(1);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
    assert_true(entries[0].command.settled);
    commit();
    assert_int_equal(table.unknown_us, 0);
}

/* A board that still has a lease of before acquires nothing: it gives that back first. */
static void
s2_a_release_from_beyond_the_log_is_a_word_on_tokens_and_answered_after_a_round(void **state)
{
    (void)state;
    begin_and_serve(1);
    release("b", 12, true);
    acquire("a", 0, false);
    assert_int_equal(last_sent("a", LEASE_REFUSED)->refusal, LEASE_REFUSED_TOKEN);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 0);
    assert_null(last_sent("b", LEASE_RELEASED));
    confirm_round(round_asked);
    assert_int_equal(last_sent("b", LEASE_RELEASED)->token, 12);
}

static void s2_a_renewal_from_beyond_the_log_is_a_word_on_tokens(void **state)
{
    (void)state;
    begin_and_serve(1);
    renew("b", 7, 12);
    acquire("a", 0, false);
    assert_int_equal(last_sent("a", LEASE_REFUSED)->refusal, LEASE_REFUSED_TOKEN);
    confirm_round(round_asked);
    assert_true(last_sent("b", LEASE_RENEWED)->items[0].lost);
}

static void s2_nothing_is_granted_at_or_below_a_token_that_a_board_had(void **state)
{
    (void)state;
    begin_and_serve(1);
    acquire("a", 0, false);
    claim("b", 12);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 0);
    const struct lease_message *told = last_sent("a", LEASE_REFUSED);
    assert_non_null(told);
    assert_int_equal(told->refusal, LEASE_REFUSED_TOKEN);
    assert_string_equal(told->text, "b took token 12, here is 2: --restore or --init --above 12");
    assert_string_equal(last_sent("b", LEASE_REFUSED)->text, told->text);
    assert_int_equal(count_proposed(LEASE_COMMAND_NOTE), 2); /* one for each */
    claim("b", 12);
    acquire("a", 0, false);
    assert_int_equal(count_proposed(LEASE_COMMAND_NOTE), 2);
    commit();
    tick(10000000);
    assert_int_equal(log_count, 0);
    acquire("a", 0, false);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 0);
    /* The log comes past it: the next token is above. */
    lease_table_skip(&table, 12);
    next_index = 13;
    log_count = 0;
    acquire("a", 0, false);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
}

static void a_word_on_tokens_counts_for_what_the_policy_lets_the_board_hold(void **state)
{
    (void)state;
    struct hf_name pump_name = name("pump");
    struct issuer_claim found;
    begin_and_serve(1);
    claim("c", 1000); /* not among its holders now */
    assert_int_equal(last_sent("c", LEASE_REFUSED)->refusal, LEASE_REFUSED_POLICY);
    assert_false(issuer_claim_of(&issuer, &pump_name, &found));
    log_count = 0;
    acquire("a", 0, false);
    acquire("b", 0, false);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
}

static void an_operator_overrules_a_board_that_lies(void **state)
{
    (void)state;
    begin_and_serve(1);
    claim("a", 30);
    claim("b", 1000);
    commit();
    struct issuer_event overrule = { .kind = ISSUER_EVENT_OVERRULE,
                                     .resource = name("pump"),
                                     .node = name("b"),
                                     .who = name("ann") };
    step(&overrule);
    assert_null(out.error);
    assert_int_equal(count_proposed(LEASE_COMMAND_OVERRULE), 1);
    assert_int_equal(entries[0].command.token, 1000);
    commit();
    step(&overrule);
    assert_string_equal(out.error, "that board says of no token above those given here");
    /* The other one's word still counts. */
    claim("b", 1000);
    assert_non_null(strstr(last_sent("b", LEASE_REFUSED)->text, "a took token 30"));
    overrule.node = name("a");
    step(&overrule);
    commit();
    claim("a", 30);
    claim("b", 1000);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
    commit();
    claim("b", 1001); /* more than what was overruled */
    assert_int_equal(last_sent("b", LEASE_REFUSED)->refusal, LEASE_REFUSED_TOKEN);
}

static void a_board_that_makes_names_up_fills_no_disk(void **state)
{
    (void)state;
    struct lease_message message = message_of(LEASE_ACQUIRE);
    for (int i = 0; i < 200; i++) {
        char text[16];
        snprintf(text, sizeof(text), "r%d", i);
        message.resource = name(text);
        say("a", &message);
    }
    assert_true(log_count <= ISSUER_NOTES_PER_NODE);
}

static void a_full_queue_refuses(void **state)
{
    (void)state;
    grant_to("a", 0);
    for (int i = 0; i < HF_WAITERS_MAX + 1; i++) {
        const char text[2] = { (char)('b' + i), '\0' };
        client(text, ISSUER_EVENT_CLIENT_UP);
        acquire(text, 0, false);
        bool refused = last_sent(text, LEASE_REFUSED) != NULL;
        assert_int_equal(refused, i == HF_WAITERS_MAX);
    }
}

static void pin(const char *node)
{
    struct issuer_event event = {
        .kind = ISSUER_EVENT_PIN, .resource = name("pump"), .pinned = true, .who = name("olga")
    };
    if (node)
        event.node = name(node);
    step(&event);
    assert_null(out.error);
    commit();
}

static void pin_refuses_others_and_makes_the_holder_yield(void **state)
{
    (void)state;
    grant_to("a", 0);
    pin("b");
    assert_int_equal(last_sent("a", LEASE_YIELD)->token, 10);
    assert_string_equal(last_sent("a", LEASE_YIELD)->holder.text, "b");
    acquire("c", 0, false);
    assert_int_equal(last_sent("c", LEASE_REFUSED)->refusal, LEASE_REFUSED_PINNED);
    assert_string_equal(last_sent("c", LEASE_REFUSED)->text, "pinned to b");
    commit();
    acquire("b", 0, false);
    release("a", token(), true);
    commit();
    commit();
    assert_string_equal(holder(), "b");
}

static void a_waiter_from_before_the_pin_is_not_granted(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 0, false);
    pin(NULL);
    release("a", token(), true);
    commit();
    assert_int_equal(log_count, 0);
    assert_int_equal(token(), 0);
}

static void failback_asks_the_holder_to_yield_every_second(void **state)
{
    (void)state;
    grant_to("a", 10);
    acquire("b", 10, true);
    acquire("c", 20, false);
    assert_null(last_sent("a", LEASE_YIELD));
    acquire("b", 20, true);
    assert_string_equal(last_sent("a", LEASE_YIELD)->holder.text, "b");
    for (int i = 0; i < 9; i++) {
        sent_count = 0;
        tick(100000);
        assert_null(last_sent("a", LEASE_YIELD));
        renew("a", 1, token());
        confirm_round(round_asked);
    }
    tick(100000);
    assert_non_null(last_sent("a", LEASE_YIELD));
}

/* Commits until nothing is left to do. */
static void commit_all(void)
{
    while (log_count > 0)
        commit();
}

/* A board has another one give its lease up, and does not take it. */
static void asks_and_goes(const char *node)
{
    struct lease_message withdraw = message_of(LEASE_WITHDRAW);
    acquire(node, 20, true);
    assert_string_equal(last_sent("a", LEASE_YIELD)->holder.text, node);
    say(node, &withdraw);
}

/* Of the grant that comes next. */
static const char *payer(void)
{
    return table.record[0].payer.text;
}

static void who_has_another_yield_pays_though_it_has_gone(void **state)
{
    (void)state;
    grant_to("a", 10);
    asks_and_goes("b");
    release("a", token(), true);
    commit_all();
    assert_string_equal(payer(), "b");
    acquire("a", 10, false);
    commit_all();
    assert_string_equal(holder(), "a");
    /* What it gives up of its own accord, it pays for. */
    release("a", token(), true);
    commit_all();
    assert_string_equal(payer(), "a");
}

static void a_failback_for_nothing_is_not_asked_for_again_at_once(void **state)
{
    int64_t pause_us = ISSUER_FAILBACK_PAUSE_MS * (int64_t)1000;
    (void)state;
    grant_to("a", 10);
    for (int i = 0; i < 3; i++, pause_us *= 2) {
        asks_and_goes("b");
        release("a", token(), true);
        commit_all();
        acquire("a", 10, false);
        commit_all();
        assert_string_equal(holder(), "a");
        sent_count = 0;
        acquire("b", 20, true);
        for (int64_t us = 0; us < pause_us - 200000; us += 200000) {
            assert_null(last_sent("a", LEASE_YIELD));
            sent_count = 0;
            tick(200000);
            renew("a", 1, token());
            confirm_round(round_asked);
        }
        assert_null(last_sent("a", LEASE_YIELD));
        tick(200000);
        assert_non_null(last_sent("a", LEASE_YIELD));
    }
    release("a", token(), true);
    commit_all();
    acquire("a", 10, false);
    commit_all();
    assert_string_equal(holder(), "b");
    assert_int_equal(issuer.lease[0].failbacks_for_nothing, 0);
}

static void new_leader(void)
{
    step_kind(ISSUER_EVENT_NOT_SERVING);
    step_kind(ISSUER_EVENT_SERVING);
    sent_count = 0;
}

static void failback_is_asked_for_by_a_leader_that_did_not_grant(void **state)
{
    (void)state;
    grant_to("a", 10);
    new_leader();
    acquire("b", 10, true);
    acquire("c", 20, false);
    assert_null(last_sent("a", LEASE_YIELD));
    acquire("b", 11, true);
    assert_string_equal(last_sent("a", LEASE_YIELD)->holder.text, "b");
}

static void a_holder_whose_priority_was_never_written_down_is_not_asked_back(void **state)
{
    struct hf_name pump = name("pump");
    (void)state;
    grant_to("a", 10);
    /* As a snapshot of before says it. */
    table.record[lease_table_find(&table, &pump)].ranked = false;
    table.record[lease_table_find(&table, &pump)].priority = 0;
    new_leader();
    acquire("b", 100, true);
    assert_null(last_sent("a", LEASE_YIELD));
}

static const char *ask_transfer(const char *node)
{
    const struct issuer_event event = { .kind = ISSUER_EVENT_TRANSFER,
                                        .resource = name("pump"),
                                        .node = name(node),
                                        .who = name("olga") };
    step(&event);
    const char *error = out.error;
    tick(0);
    return error;
}

static void transfer_goes_to_its_target_and_tells_the_gap(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 50, false);
    acquire("c", 1, false);
    assert_null(ask_transfer("c"));
    assert_int_equal(transfer()->state, ISSUER_TRANSFER_PENDING);
    assert_string_equal(last_sent("a", LEASE_YIELD)->holder.text, "c");
    now.us += 10000;
    release("a", token(), true);
    now.us += 3000;
    commit();
    commit();
    assert_string_equal(holder(), "c");
    assert_int_equal(transfer()->state, ISSUER_TRANSFER_PENDING);
    now.us += 2000;
    renew("c", 1, token());
    confirm_round(round_asked);
    assert_int_equal(transfer()->state, ISSUER_TRANSFER_DONE);
    assert_int_equal(transfer()->gap.us, 5000);
    assert_int_equal(table.history[1].kind, HISTORY_TRANSFER);
    assert_string_equal(table.history[1].who.text, "olga");
}

static void transfer_is_not_undone_by_failback(void **state)
{
    (void)state;
    grant_to("a", 50);
    acquire("b", 0, false);
    assert_null(ask_transfer("b"));
    release("a", token(), true);
    commit();
    commit();
    acquire("a", 50, true);
    assert_null(last_sent("b", LEASE_YIELD));
    tick(2000000);
    assert_null(last_sent("b", LEASE_YIELD));
}

static void transfer_is_not_undone_by_failback_of_a_later_leader(void **state)
{
    (void)state;
    grant_to("a", 50);
    acquire("b", 0, false);
    assert_null(ask_transfer("b"));
    release("a", token(), true);
    commit();
    commit();
    assert_string_equal(holder(), "b");
    new_leader();
    acquire("a", 50, true);
    assert_null(last_sent("b", LEASE_YIELD));
    /* What the next grant gives is no operator's choice any more. */
    release("b", token(), true);
    commit();
    commit();
    assert_string_equal(holder(), "a");
    acquire("b", 60, true);
    assert_non_null(last_sent("a", LEASE_YIELD));
}

/* Whoever gets it in the target's place was not chosen by an operator. */
static void transfer_whose_target_is_gone_puts_nobody_there(void **state)
{
    (void)state;
    grant_to("a", 50);
    acquire("b", 0, false);
    acquire("c", 1, false);
    assert_null(ask_transfer("b"));
    release("a", token(), true);
    client("b", ISSUER_EVENT_CLIENT_DOWN);
    commit();
    commit();
    assert_string_equal(holder(), "c");
    assert_false(table.record[0].transferred);
    acquire("a", 50, true);
    assert_non_null(last_sent("c", LEASE_YIELD));
}

static void no_transfer_begins_while_a_grant_is_under_way(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 0, false);
    tick(2 * TTL_US);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
    assert_string_equal(ask_transfer("b"), "a grant of this resource is under way; try again");
    commit();
    assert_string_equal(holder(), "b");
}

static void transfer_is_given_up_after_ttl_and_five_seconds(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 0, false);
    assert_null(ask_transfer("b"));
    for (int64_t passed = 0; passed < TTL_US + 5000000; passed += 100000) {
        assert_int_equal(transfer()->state, ISSUER_TRANSFER_PENDING);
        renew("a", 1, token());
        confirm_round(round_asked);
        tick(100000);
    }
    assert_int_equal(transfer()->state, ISSUER_TRANSFER_FAILED);
    sent_count = 0;
    tick(500000);
    assert_null(last_sent("a", LEASE_YIELD));
}

static void transfer_to_a_board_that_cannot_take_it_is_refused(void **state)
{
    (void)state;
    assert_string_equal(ask_transfer("b"), "nobody holds this resource");
    grant_to("a", 0);
    assert_string_equal(ask_transfer("a"), "the board holds it already");
    assert_string_equal(ask_transfer("b"), "the board is not waiting for this resource");
    acquire("b", 0, false);
    acquire("c", 0, false);
    assert_null(ask_transfer("b"));
    assert_string_equal(ask_transfer("c"), "a transfer of this resource is under way");
}

static void a_refused_proposal_is_made_again(void **state)
{
    (void)state;
    log_full = true;
    acquire("a", 0, false);
    assert_int_equal(log_count, 0);
    log_full = false;
    tick(1000);
    assert_int_equal(log_count, 0);
    assert_true(out.wake_at.us <= now.us + ISSUER_RETRY_MS * 1000);
    now = out.wake_at;
    tick(0);
    assert_int_equal(log_count, 1);
}

static void many_expiries_are_spread_over_steps(void **state)
{
    (void)state;
    struct lease_command command;
    memset(&command, 0, sizeof(command));
    command.kind = LEASE_COMMAND_GRANT;
    command.holder = name("a");
    command.ttl_us = TTL_US;
    for (int i = 0; i < 100; i++) {
        char text[16];
        snprintf(text, sizeof(text), "r%d", i);
        command.resource = name(text);
        lease_table_apply(&table, next_index++, &command);
    }
    step_kind(ISSUER_EVENT_NOT_SERVING);
    step_kind(ISSUER_EVENT_SERVING);
    tick(2 * TTL_US);
    assert_int_equal(log_count, ISSUER_PROPOSALS_PER_STEP);
    assert_int_equal(out.wake_at.us, now.us);
    for (int i = 0; i < 4; i++)
        commit();
    tick(0);
    for (uint32_t i = 0; i < table.count; i++)
        assert_int_equal(table.record[i].token, 0);
}

static void answers_of_a_large_round_are_spread_over_steps(void **state)
{
    (void)state;
    for (int i = 0; i < HF_AGENTS_MAX - 3; i++) {
        char text[16];
        snprintf(text, sizeof(text), "n%d", i);
        client(text, ISSUER_EVENT_CLIENT_UP);
        renew(text, 1, 5);
        renew(text, 2, 5);
    }
    sent_count = 0;
    confirm_round(round_asked);
    assert_int_equal(sent_count, ISSUER_ANSWERS_PER_STEP);
    tick(0);
    assert_int_equal(sent_count, 2 * (HF_AGENTS_MAX - 3));
    assert_int_equal(issuer.renewal_count, 0);
}

#define CLAIM(test) cmocka_unit_test_setup(test, set_up)

/* ---- outputs stuck on */

static uint64_t word_nonce;

static void stuck(const char *node, bool off)
{
    struct lease_message message = message_of(LEASE_STUCK);
    message.nonce = ++word_nonce;
    message.fenced = off;
    say(node, &message);
}

static const char *ask_clear(const char *board)
{
    const struct issuer_event event = { .kind = ISSUER_EVENT_CLEAR,
                                        .resource = name("pump"),
                                        .node = name(board),
                                        .who = name("olga") };
    step(&event);
    return out.error;
}

static void held_by_a(void)
{
    grant_to("a", 0);
    acquire("b", 0, false);
    release("a", token(), false);
    stuck("a", false);
    commit_all();
    assert_true(table.stuck.count == 1);
    sent_count = 0;
}

static void a_resource_with_an_output_stuck_on_is_not_granted_after_the_lease(void **state)
{
    (void)state;
    held_by_a();
    tick(3 * TTL_US);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 0);
    assert_int_equal(count_proposed(LEASE_COMMAND_EXPIRE), 1);
    commit_all();
    assert_int_equal(token(), 0);
    tick(3600 * (int64_t)1000000);
    assert_int_equal(log_count, 0);
    /* It stays in the queue, and is told why. */
    acquire("b", 0, false);
    assert_int_equal(last_sent("b", LEASE_QUEUED)->position, 1);
    assert_string_equal(last_sent("b", LEASE_QUEUED)->text,
                        "held: an output of a is stuck on, see leases");
}

static void nor_to_the_board_that_is_stuck(void **state)
{
    (void)state;
    held_by_a();
    tick(3 * TTL_US);
    commit_all();
    client("b", ISSUER_EVENT_CLIENT_DOWN);
    acquire("a", 0, false);
    assert_int_equal(log_count, 0);
}

static void a_word_counts_before_it_is_committed(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 0, false);
    log_full = true;
    stuck("a", false);
    log_full = false;
    tick(2 * TTL_US);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 0);
    assert_null(last_sent("a", LEASE_NOTED));
    /* Said again: written down, and noted when asked once more. */
    stuck("a", false);
    assert_int_equal(count_proposed(LEASE_COMMAND_STUCK), 1);
    stuck("a", false);
    assert_int_equal(count_proposed(LEASE_COMMAND_STUCK), 1);
    assert_null(last_sent("a", LEASE_NOTED));
    commit_all();
    stuck("a", false);
    assert_int_equal(log_count, 0);
    assert_int_equal(last_sent("a", LEASE_NOTED)->nonce, word_nonce);
}

static void a_word_that_is_not_said_again_holds_for_a_while_only(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 0, false);
    log_full = true;
    stuck("a", false);
    log_full = false;
    tick(2 * TTL_US);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 0);
    commit_all();
    assert_true(out.wake_at.us <= now.us + ISSUER_WORD_MS * (int64_t)1000);
    now = out.wake_at;
    tick(0);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
}

static void a_new_leader_holds_as_well(void **state)
{
    (void)state;
    held_by_a();
    new_leader();
    acquire("b", 0, false);
    tick(3 * TTL_US);
    commit_all();
    assert_int_equal(token(), 0);
    stuck("a", false);
    assert_non_null(last_sent("a", LEASE_NOTED));
}

static void an_operator_lets_go(void **state)
{
    (void)state;
    assert_non_null(strstr(ask_clear("a"), "no output of that board is known to be stuck on"));
    held_by_a();
    tick(3 * TTL_US);
    commit_all();
    assert_null(ask_clear("a"));
    assert_string_equal(entries[0].command.who.text, "olga");
    assert_string_equal(entries[0].command.holder.text, "a");
    commit_all();
    assert_string_equal(holder(), "b");
    /* The same word again is no news: neither held nor written down. */
    stuck("a", false);
    assert_int_equal(log_count, 0);
    assert_non_null(last_sent("a", LEASE_NOTED));
    assert_non_null(strstr(ask_clear("a"), "was let go already"));
}

static void a_go_for_a_board_that_is_not_stuck_is_refused(void **state)
{
    (void)state;
    held_by_a();
    assert_non_null(strstr(ask_clear("b"), "no output of that board is known to be stuck on"));
    assert_int_equal(log_count, 0);
    assert_true(stuck_holds(&table.stuck, &table.stuck.row[0].resource) != NULL);
}

/* What he could not see yet would be let go with it. */
static void a_go_waits_for_a_word_that_is_being_written_down(void **state)
{
    (void)state;
    held_by_a();
    stuck("b", false);
    assert_int_equal(count_proposed(LEASE_COMMAND_STUCK), 1);
    assert_non_null(strstr(ask_clear("a"), "is just being written down"));
    commit_all();
    assert_int_equal(table.stuck.count, 2);
    assert_non_null(stuck_holds(&table.stuck, &table.stuck.row[0].resource));
    assert_null(ask_clear("a"));
    assert_non_null(strstr(ask_clear("b"), "is just being written down"));
    commit_all();
    assert_string_equal(stuck_holds(&table.stuck, &table.stuck.row[0].resource)->board.text, "b");
    assert_null(ask_clear("b"));
    commit_all();
    assert_null(stuck_holds(&table.stuck, &table.stuck.row[0].resource));
}

enum { QUIET_US = ISSUER_QUIET_MS * 1000 };

static void a_board_seen_off_and_quiet_after_a_go_holds_again_by_its_next_word(void **state)
{
    (void)state;
    held_by_a();
    assert_null(ask_clear("a"));
    commit_all();
    tick(QUIET_US - 1000000);
    commit_all();
    acquire("a", 0, false);
    assert_int_equal(count_proposed(LEASE_COMMAND_CLEAR), 0);
    tick(1000000);
    commit_all();
    acquire("a", 0, false);
    assert_int_equal(count_proposed(LEASE_COMMAND_CLEAR), 1);
    acquire("a", 0, false);
    assert_int_equal(count_proposed(LEASE_COMMAND_CLEAR), 1);
    commit_all();
    assert_int_equal(table.stuck.count, 0);
    stuck("a", false);
    commit_all();
    assert_int_equal(table.stuck.count, 1);
    assert_null(ask_clear("a"));
}

/* It says by turns that its output is on and off: who said go need not say it again each time. */
static void a_go_stands_against_a_board_that_alternates(void **state)
{
    (void)state;
    held_by_a();
    tick(3 * TTL_US);
    commit_all();
    assert_null(ask_clear("a"));
    commit_all();
    assert_string_equal(holder(), "b");
    for (int i = 0; i < 30; i++) {
        if (i % 2)
            acquire("a", 0, false);
        else
            stuck("a", true);
        commit_all();
        stuck("a", false);
        commit_all();
        assert_null(stuck_holds(&table.stuck, &table.stuck.row[0].resource));
        tick(TTL_US / 4);
        renew("b", (uint64_t)i + 1, token());
        confirm_round(round_asked);
        commit_all();
    }
    assert_string_equal(holder(), "b");
    assert_int_equal(table.stuck.count, 1);
    /* Not even by taking the lease: the others come first. */
    acquire("a", 500, true);
    acquire("c", 0, false);
    assert_null(last_sent("b", LEASE_YIELD));
    release("b", token(), true);
    commit_all();
    assert_string_equal(holder(), "c");
    /* A later leader counts anew. */
    new_leader();
    acquire("a", 500, true);
    assert_int_equal(count_proposed(LEASE_COMMAND_CLEAR), 0);
    tick(QUIET_US);
    acquire("a", 500, true);
    commit_all();
    assert_int_equal(table.stuck.count, 0);
}

/* Who is set aside is better than nobody, and an operator's hand-over is his word on it. */
static void a_board_that_is_set_aside_is_granted_where_no_other_waits(void **state)
{
    (void)state;
    held_by_a();
    tick(3 * TTL_US);
    assert_null(ask_clear("a"));
    commit_all();
    acquire("a", 0, false);
    assert_null(ask_transfer("a"));
    assert_non_null(last_sent("b", LEASE_YIELD));
    release("b", token(), true);
    commit_all();
    tick(0);
    commit_all();
    assert_string_equal(holder(), "a");
    assert_int_equal(table.stuck.count, 0);
    release("a", token(), false);
    stuck("a", false);
    commit_all();
    assert_int_equal(table.stuck.count, 1);
    assert_null(ask_clear("a"));
    commit_all();
    tick(3 * TTL_US);
    commit_all();
    acquire("a", 0, false);
    commit_all();
    assert_string_equal(holder(), "a");
}

static void asking_for_it_lets_nothing_go(void **state)
{
    (void)state;
    held_by_a();
    acquire("a", 0, false);
    assert_int_equal(log_count, 0);
    assert_int_equal(table.stuck.count, 1);
}

static void cleared_at_the_board_and_shown_off_it_is_granted(void **state)
{
    (void)state;
    held_by_a();
    tick(3 * TTL_US);
    commit_all();
    stuck("a", true);
    assert_null(last_sent("a", LEASE_NOTED));
    commit_all();
    assert_string_equal(holder(), "b");
    stuck("a", true);
    assert_true(last_sent("a", LEASE_NOTED)->fenced);
    assert_int_equal(table.stuck.count, 0);
}

static void an_older_word_that_was_overtaken_counts_for_nothing(void **state)
{
    struct lease_message late = message_of(LEASE_STUCK);
    (void)state;
    held_by_a();
    late.fenced = true;
    late.nonce = word_nonce;
    stuck("a", false);
    say("a", &late);
    assert_int_equal(log_count, 0);
    /* On a new connection an agent counts from anywhere. */
    client("a", ISSUER_EVENT_CLIENT_DOWN);
    client("a", ISSUER_EVENT_CLIENT_UP);
    late.nonce = 3;
    say("a", &late);
    assert_int_equal(count_proposed(LEASE_COMMAND_CLEAR), 1);
}

static void a_transfer_is_refused_or_fails_while_an_output_is_stuck_on(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 0, false);
    assert_null(ask_transfer("b"));
    stuck("a", false);
    assert_int_equal(transfer()->state, ISSUER_TRANSFER_FAILED);
    assert_non_null(strstr(transfer()->reason, "stuck on"));
    assert_non_null(strstr(ask_transfer("b"), "stuck on"));
    commit_all();
    assert_non_null(strstr(ask_transfer("b"), "stuck on"));
    assert_null(ask_clear("a"));
    commit_all();
    assert_null(ask_transfer("b"));
}

static void a_holder_beside_an_output_stuck_on_keeps_its_lease(void **state)
{
    (void)state;
    grant_to("a", 10);
    stuck("b", false);
    commit_all();
    acquire("c", 20, true);
    assert_null(last_sent("a", LEASE_YIELD));
    renew("a", 1, token());
    confirm_round(round_asked);
    assert_false(last_sent("a", LEASE_RENEWED)->items[0].lost);
    /* Locked out for maintenance, it is off all the same. */
    pin(NULL);
    commit_all();
    assert_non_null(last_sent("a", LEASE_YIELD));
    assert_null(ask_clear("b"));
}

static void with_the_policy_go_it_is_written_down_and_granted(void **state)
{
    (void)state;
    policy[0].stuck_go = true;
    grant_to("a", 0);
    acquire("b", 0, false);
    assert_null(ask_transfer("b"));
    stuck("a", false);
    release("a", token(), false);
    commit_all();
    assert_int_equal(table.stuck.count, 1);
    tick(TTL_US / 2);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 0);
    tick(TTL_US);
    commit_all();
    assert_string_equal(holder(), "b");
    acquire("b", 0, false);
    assert_string_equal(last_sent("b", LEASE_QUEUED)->text, "");
    acquire("a", 0, false);
    commit_all();
    assert_int_equal(table.stuck.count, 0);
}

static void only_a_board_that_may_hold_it_holds_it_back(void **state)
{
    struct lease_message foreign = message_of(LEASE_STUCK);
    (void)state;
    client("z", ISSUER_EVENT_CLIENT_UP);
    stuck("z", false);
    foreign.resource = name("fan");
    foreign.nonce = ++word_nonce;
    say("a", &foreign);
    assert_int_equal(log_count, 0);
    assert_null(last_sent("z", LEASE_NOTED));
    acquire("b", 0, false);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
}

static void stuck_again_while_its_clearing_is_written_is_held_again(void **state)
{
    (void)state;
    held_by_a();
    tick(3 * TTL_US);
    commit_all();
    stuck("a", true);
    assert_int_equal(count_proposed(LEASE_COMMAND_CLEAR), 1);
    sent_count = 0;
    stuck("a", false);
    assert_null(last_sent("a", LEASE_NOTED));
    commit_all();
    assert_int_equal(table.stuck.count, 0);
    assert_string_equal(holder(), "");
    stuck("a", false); /* as it says until it is noted */
    commit_all();
    stuck("a", false);
    assert_non_null(last_sent("a", LEASE_NOTED));
    tick(3600 * (int64_t)1000000);
    commit_all();
    assert_string_equal(holder(), "");
}

/* The grant ends the row that an operator let go, and with it what would be noted. */
static void stuck_again_while_it_is_granted_is_held_again(void **state)
{
    (void)state;
    held_by_a();
    tick(3 * TTL_US);
    assert_null(ask_clear("a"));
    commit_all();
    release("b", token(), true);
    commit_all();
    acquire("a", 0, false);
    assert_int_equal(count_proposed(LEASE_COMMAND_GRANT), 1);
    sent_count = 0;
    stuck("a", false);
    assert_null(last_sent("a", LEASE_NOTED));
    commit_all();
    release("a", token(), false);
    acquire("b", 0, false);
    tick(3 * TTL_US);
    commit_all();
    assert_int_equal(table.stuck.count, 1);
    assert_string_equal(holder(), "");
}

static void cleared_while_its_word_is_written_is_not_held_for_ever(void **state)
{
    (void)state;
    grant_to("a", 0);
    acquire("b", 0, false);
    release("a", token(), false);
    stuck("a", false);
    sent_count = 0;
    stuck("a", true);
    assert_null(last_sent("a", LEASE_NOTED));
    commit_all();
    stuck("a", true);
    commit_all();
    assert_int_equal(table.stuck.count, 0);
    tick(ISSUER_WORD_MS * (int64_t)1000);
    commit_all();
    assert_string_equal(holder(), "b");
}

static void what_is_stuck_on_is_written_whatever_its_board_has_spent(void **state)
{
    const struct hf_name a = name("a");
    (void)state;
    grant_to("a", 0);
    acquire("b", 0, false);
    issuer_charge(&issuer, &a, BUDGET_BOARD_BURST - 700, now);
    release("a", token(), false);
    stuck("a", false);
    commit_all();
    assert_int_equal(table.stuck.count, 1);
    client("a", ISSUER_EVENT_CLIENT_DOWN);
    tick(3600 * (int64_t)1000000);
    assert_string_not_equal(holder(), "b");
}

static void what_ends_a_word_waits_for_the_budget_of_its_board(void **state)
{
    const struct hf_name a = name("a");
    (void)state;
    held_by_a();
    issuer_charge(&issuer, &a, BUDGET_BOARD_BURST, now);
    stuck("a", true);
    assert_int_equal(count_proposed(LEASE_COMMAND_CLEAR), 0);
    assert_null(last_sent("a", LEASE_NOTED));
    tick(3600 * (int64_t)1000000);
    stuck("a", true);
    commit_all();
    assert_int_equal(table.stuck.count, 0);
}

static const struct CMUnitTest grants_and_renewals[] = {
    CLAIM(leader_is_announced_to_all_and_to_those_who_come),
    CLAIM(serves_only_while_serving),
    CLAIM(free_resource_is_granted_when_the_entry_is_applied),
    CLAIM(at_most_one_proposal_per_resource_is_under_way),
    CLAIM(queue_is_served_by_priority_then_arrival),
    CLAIM(a_board_that_is_gone_is_not_granted),
    CLAIM(a_withdrawn_board_is_not_granted),
    CLAIM(s1_no_grant_to_another_before_the_lease_is_free),
    CLAIM(without_a_waiter_a_lease_expires),
    CLAIM(s4_a_renewal_waits_for_a_round_asked_after_it),
    CLAIM(lease_time_counts_from_the_confirmation_not_the_receipt),
    CLAIM(renewals_of_a_round_that_was_refused_are_forgotten),
    CLAIM(renewal_of_a_token_that_is_not_current_is_lost),
    CLAIM(nothing_is_confirmed_once_its_end_is_proposed),
    CLAIM(newest_renewal_of_a_board_replaces_the_one_before),
    CLAIM(each_renewal_under_way_is_answered_by_its_own_round),
    CLAIM(new_leader_counts_every_lease_from_when_it_serves),
    CLAIM(renewals_of_a_former_leadership_are_never_answered),
    CLAIM(s1_a_grant_of_a_former_leader_counts_by_its_own_times_from_when_this_one_serves),
    CLAIM(s1_the_time_of_a_grant_counts_from_its_commit),
    CLAIM(a_holder_that_asks_again_is_told_its_token_and_never_granted_twice),
    CLAIM(fenced_release_frees_at_once),
    CLAIM(unfenced_release_waits_as_if_the_board_had_died),
    CLAIM(fenced_release_after_an_unfenced_one_frees_at_once),
    CLAIM(release_of_another_token_frees_nothing),
    CLAIM(refusals_name_the_value_and_what_is_allowed),
    CLAIM(a_refusal_is_noted_once_until_it_changes),
    CLAIM(a_board_that_alternates_its_mistakes_fills_no_disk),
    CLAIM(a_longer_fence_than_the_policy_allows_is_refused),
};

static const struct CMUnitTest beginnings[] = {
    CLAIM(s1_after_a_restore_nothing_is_granted_until_no_lease_of_before_can_count),
    CLAIM(s1_the_present_policy_counts_too_after_a_restore),
    CLAIM(s1_a_second_leader_waits_anew_after_a_restore),
    CLAIM(s1_what_the_backup_shows_as_held_is_renewed_to_nobody),
    CLAIM(a_board_that_makes_names_up_fills_no_disk),
    CLAIM(s1_the_hold_off_ends_early_when_every_board_of_the_policy_waits),
    CLAIM(s1_a_board_whose_connection_is_gone_does_not_wait),
    CLAIM(s1_who_waited_at_a_former_leadership_does_not_wait_at_this_one),
    CLAIM(s1_a_refused_acquire_is_not_waiting),
    CLAIM(s1_what_was_granted_early_is_held_off_no_more_but_the_rest_is),
    CLAIM(a_grant_after_the_time_is_settled_and_ends_it_for_all),
    CLAIM(s2_a_release_from_beyond_the_log_is_a_word_on_tokens_and_answered_after_a_round),
    CLAIM(s2_a_renewal_from_beyond_the_log_is_a_word_on_tokens),
    CLAIM(s2_nothing_is_granted_at_or_below_a_token_that_a_board_had),
    CLAIM(a_word_on_tokens_counts_for_what_the_policy_lets_the_board_hold),
    CLAIM(an_operator_overrules_a_board_that_lies),
};

static const struct CMUnitTest operators_and_failback[] = {
    CLAIM(a_full_queue_refuses),
    CLAIM(pin_refuses_others_and_makes_the_holder_yield),
    CLAIM(a_waiter_from_before_the_pin_is_not_granted),
    CLAIM(failback_asks_the_holder_to_yield_every_second),
    CLAIM(who_has_another_yield_pays_though_it_has_gone),
    CLAIM(a_failback_for_nothing_is_not_asked_for_again_at_once),
    CLAIM(failback_is_asked_for_by_a_leader_that_did_not_grant),
    CLAIM(a_holder_whose_priority_was_never_written_down_is_not_asked_back),
    CLAIM(transfer_goes_to_its_target_and_tells_the_gap),
    CLAIM(transfer_is_not_undone_by_failback),
    CLAIM(transfer_is_not_undone_by_failback_of_a_later_leader),
    CLAIM(transfer_whose_target_is_gone_puts_nobody_there),
    CLAIM(no_transfer_begins_while_a_grant_is_under_way),
    CLAIM(transfer_is_given_up_after_ttl_and_five_seconds),
    CLAIM(transfer_to_a_board_that_cannot_take_it_is_refused),
    CLAIM(a_refused_proposal_is_made_again),
    CLAIM(many_expiries_are_spread_over_steps),
    CLAIM(answers_of_a_large_round_are_spread_over_steps),
};

static const struct CMUnitTest outputs_stuck_on[] = {
    CLAIM(a_resource_with_an_output_stuck_on_is_not_granted_after_the_lease),
    CLAIM(nor_to_the_board_that_is_stuck),
    CLAIM(a_word_counts_before_it_is_committed),
    CLAIM(a_word_that_is_not_said_again_holds_for_a_while_only),
    CLAIM(a_new_leader_holds_as_well),
    CLAIM(an_operator_lets_go),
    CLAIM(a_go_for_a_board_that_is_not_stuck_is_refused),
    CLAIM(a_go_waits_for_a_word_that_is_being_written_down),
    CLAIM(a_board_seen_off_and_quiet_after_a_go_holds_again_by_its_next_word),
    CLAIM(a_go_stands_against_a_board_that_alternates),
    CLAIM(a_board_that_is_set_aside_is_granted_where_no_other_waits),
    CLAIM(asking_for_it_lets_nothing_go),
    CLAIM(cleared_at_the_board_and_shown_off_it_is_granted),
    CLAIM(an_older_word_that_was_overtaken_counts_for_nothing),
    CLAIM(a_transfer_is_refused_or_fails_while_an_output_is_stuck_on),
    CLAIM(a_holder_beside_an_output_stuck_on_keeps_its_lease),
    CLAIM(with_the_policy_go_it_is_written_down_and_granted),
    CLAIM(only_a_board_that_may_hold_it_holds_it_back),
    CLAIM(stuck_again_while_its_clearing_is_written_is_held_again),
    CLAIM(stuck_again_while_it_is_granted_is_held_again),
    CLAIM(cleared_while_its_word_is_written_is_not_held_for_ever),
    CLAIM(what_is_stuck_on_is_written_whatever_its_board_has_spent),
    CLAIM(what_ends_a_word_waits_for_the_budget_of_its_board),
};

int main(void)
{
    int failed = cmocka_run_group_tests(grants_and_renewals, NULL, NULL);
    failed += cmocka_run_group_tests(beginnings, NULL, NULL);
    failed += cmocka_run_group_tests(operators_and_failback, NULL, NULL);
    failed += cmocka_run_group_tests(outputs_stuck_on, NULL, NULL);
    return failed;
}
