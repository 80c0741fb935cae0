/*
 * Whatever a peer says, nothing asserts: neither at once nor at the next start from what was written.
 * Random messages, most of them near to what the node expects. A failing seed is printed.
 */
#include "tests/unit/raft/node.h"

enum { SEEDS = 200, STEPS = 1500 };

static struct node node;
static uint64_t random_state;
static struct raft_entry entries[RAFT_APPEND_MAX];
static struct raft_members members;
static uint8_t snapshot[NODE_SNAPSHOT_BYTES];

static uint64_t any(uint64_t bound)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (random_state >> 33) % bound;
}

static bool one_in(uint64_t bound)
{
    return any(bound) == 0;
}

/* Mostly a little below or above `number`. */
static uint64_t near(uint64_t number)
{
    uint64_t base = number > 3 ? number - 3 : 0;

    return one_in(40) ? any(UINT64_C(1) << 20) : base + any(6);
}

static struct raft_members any_members(void)
{
    struct raft_members made = members_of(1 + (int)any(HF_ISSUERS_MAX));

    for (uint8_t i = 0; i < made.count; i++)
        made.member[i].voter = !one_in(3);
    if (one_in(2)) /* not always with this node */
        made.member[0].id = name_of("n9");
    return made;
}

static void make_entries(struct raft_message *message)
{
    uint64_t term = message->prev_term;

    message->entry_count = (uint8_t)any(one_in(4) ? RAFT_APPEND_MAX + 1 : 4);
    message->entries = entries;
    for (uint8_t i = 0; i < message->entry_count; i++) {
        struct raft_entry *entry = &entries[i];
        struct raft_members changed = any_members();

        if (one_in(3) && term < message->term)
            term++;
        *entry =
            (struct raft_entry){ .index = message->prev_index + 1 + i, .term = term, .length = 1 };
        if (!one_in(5))
            continue;
        entry->kind = RAFT_ENTRY_MEMBERS;
        entry->length = (uint16_t)raft_members_encode(&changed, entry->data, sizeof entry->data);
    }
}

static void make_snapshot(struct raft_message *message)
{
    bool goes_on = node.raft.receiving_index > 0 && !one_in(8);

    members = any_members();
    message->members = &members;

    if (goes_on) {
        message->snapshot_index = node.raft.receiving_index;
        message->snapshot_term = node.raft.receiving_term;
        message->term = node.raft.term;
    }
    if (message->snapshot_index == 0)
        message->snapshot_index = 1;
    machine_save(snapshot, message->snapshot_index, 7);
    message->total = NODE_SNAPSHOT_BYTES;
    message->offset = one_in(2) ? 0 : any(4) * RAFT_SNAPSHOT_CHUNK;
    if (goes_on)
        message->offset = node.raft.receiving_bytes;
    message->chunk.data = snapshot + message->offset;
    message->chunk.length = NODE_SNAPSHOT_BYTES - (size_t)message->offset;
    if (message->chunk.length > RAFT_SNAPSHOT_CHUNK)
        message->chunk.length = RAFT_SNAPSHOT_CHUNK;
}

static struct raft_message any_message(void)
{
    const struct raft *raft = &node.raft;
    struct raft_message message = {
        .kind = raft->receiving_index > 0 && one_in(2) ?
                    RAFT_SNAPSHOT_REQUEST :
                    (enum raft_message_kind)any(RAFT_MESSAGE_KINDS),
        .from = name_number(2 + (int)any(4)),
        .term = one_in(3) ? near(raft->term) : raft->term,
        .pre = one_in(2),
        .transfer = one_in(2),
        .granted = one_in(2),
        .success = one_in(2),
        .installed = one_in(2),
        .recovering = one_in(3),
        .fresh = one_in(2),
        .leads = one_in(2),
        .last_index = near(raft->last_index),
        .last_term = near(raft->term),
        .prev_index = near(one_in(2) ? raft->last_index : raft->commit),
        .match_index = near(raft->last_index),
        .hint_index = near(raft->last_index),
        .hint_term = near(raft->term),
        .commit = near(raft->commit + 2),
        .round = near(raft->round),
        .snapshot_index = near(raft->last_index),
        .offset = any(NODE_SNAPSHOT_BYTES),
        .nonce = one_in(2) ? raft->life + raft->term : raft->recovery.nonce,
        .life = any(3),
    };

    if (!one_in(3) && !name_empty(&raft->leader) && !name_equal(&raft->leader, &node.config.self))
        message.from = raft->leader;
    message.prev_term = one_in(3) ? near(raft->term) : raft_term_at(raft, message.prev_index);
    message.snapshot_term = one_in(3) ? near(raft->term) : message.term;
    if (message.kind == RAFT_APPEND_REQUEST)
        make_entries(&message);
    else if (message.kind == RAFT_SNAPSHOT_REQUEST)
        make_snapshot(&message);
    return message;
}

static void own_event(void)
{
    struct raft_event event = { .kind = RAFT_EVENT_MEMBERS,
                                .peer = name_number(1 + (int)any(7)),
                                .change = (enum raft_change)any(RAFT_CHANGES),
                                .address = "" };

    if (one_in(4)) {
        node_event(&node, RAFT_EVENT_CONFIRM);
    } else if (one_in(3)) {
        node_propose(&node, "x");
    } else {
        if (one_in(3))
            event.kind = one_in(2) ? RAFT_EVENT_TRANSFER : RAFT_EVENT_PEER_DOWN;
        node_step(&node, &event);
    }
}

static void one_step(void)
{
    if (one_in(60)) {
        node.config.random_seed++;
        if (one_in(10)) {
            memset(&node.disk, 0, sizeof node.disk);
            node.disk.state.members = members_of(3);
            node.disk.state.standing = one_in(2) ? RAFT_UNSURE : RAFT_RECOVERING;
        }
        node_start(&node);
        node_event(&node, RAFT_EVENT_TIMER);
    } else if (one_in(8)) {
        if (node.raft.role == RAFT_LEADER || node.raft.election_at.us != INSTANT_NEVER.us)
            node_time_out(&node);
    } else if (one_in(8)) {
        own_event();
    } else if (one_in(3)) {
        node_complete(&node, (size_t)any(node.pending_count + 1));
    } else {
        node_receive(&node, any_message());
    }
    while (raft_wants_snapshot(&node.raft))
        node_compact(&node);
}

static void no_message_reaches_an_assertion(void **state)
{
    unsigned led = 0;
    unsigned installed = 0;
    unsigned recovered = 0;
    enum raft_standing before = RAFT_WHOLE;

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        random_state = seed * 0x9E3779B97F4A7C15ULL;
        node_init(&node, 1, 3, seed);
        print_message("seed %llu\n", (unsigned long long)seed);
        for (int i = 0; i < STEPS; i++) {
            one_step();
            led += node.raft.serving;
            installed += node.raft.install_seq != 0;
            recovered += raft_standing(&node.raft) != before && before == RAFT_RECOVERING;
            before = raft_standing(&node.raft);
        }
        assert_true(node.raft.commit <= node.raft.last_index || node.raft.install_seq);
    }
    print_message("%u steps as a leader, %u with a snapshot on its way, %u recoveries\n", led,
                  installed, recovered);
    assert_true(led > 0 && installed > 0 && recovered > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_message_reaches_an_assertion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
