/*
 * Random schedules against members, recovery and transfers at once: issuers lose their memory, also
 * while they recover, get older images of their cards, are added, promoted and removed, hand over,
 * die, are cut off. Judged by: one leader a term, nothing that was committed is lost, and a leader
 * within ten election timeouts when all is healed.
 *
 * HOLDFAST_SCHEDULES=n runs n of them; HOLDFAST_SEED=n begins with that one.
 */
#include "tests/unit/raft/network.h"

enum {
    NODES = NETWORK_NODES_MAX,
    VOTERS = 3, /* at first */
    TERMS_MAX = 4096,
    ENTRIES_MAX = NODE_DISK_ENTRIES_MAX,
    SCHEDULES = 150,
    ACTS = 60
};

static struct network network;
static struct disk image; /* of a card, as it once was */
static struct hf_name leader_of[TERMS_MAX];
static uint64_t term_of[ENTRIES_MAX]; /* of each entry that anybody applied */
static struct raft_members told[NODES];
static uint64_t told_index[NODES];
static uint64_t seed;
static unsigned wipes, second_wipes, images, found_out, changes, transfers, minorities;

/* ---- judges */

static void applied(struct node *node, const struct raft_entry *entry)
{
    (void)node;
    assert_true(entry->index < ENTRIES_MAX);
    if (term_of[entry->index] != 0 && term_of[entry->index] != entry->term)
        fail_msg("seed %llu: entry %llu of term %llu was lost", (unsigned long long)seed,
                 (unsigned long long)entry->index, (unsigned long long)term_of[entry->index]);
    term_of[entry->index] = entry->term;
}

static void judge(struct network *at, int i)
{
    const struct raft *raft = &at->node[i].raft;

    if (at->node[i].out.standing_changed && !name_empty(&raft->recovery.loss.told_by))
        found_out++;
    if (raft->role != RAFT_LEADER)
        return;
    assert_true(raft->term < TERMS_MAX);
    if (name_empty(&leader_of[raft->term]))
        leader_of[raft->term] = raft->config.self;
    if (!name_equal(&leader_of[raft->term], &raft->config.self))
        fail_msg("seed %llu: %s and %s lead term %llu", (unsigned long long)seed,
                 leader_of[raft->term].text, raft->config.self.text,
                 (unsigned long long)raft->term);
}

/* ---- what daemons tell each other: the configuration that is committed */

static bool hears(struct network *at, int to, const struct hf_name *from)
{
    const struct raft *raft = &at->node[to].raft;

    return raft_hears(raft, from) ||
           (told_index[to] > raft->members_index && raft_member_index(&told[to], from) >= 0);
}

static void tell(int from)
{
    const struct raft *raft = &network.node[from].raft;

    if (raft_change_pending(raft))
        return;
    for (int to = 0; to < NODES; to++) {
        if (!network.up[to] || network.cut[to] || raft->members_index <= told_index[to] ||
            !hears(&network, to, &raft->config.self))
            continue;
        told[to] = raft->members;
        told_index[to] = raft->members_index;
    }
}

static void run(unsigned ms)
{
    for (unsigned i = 0; i < ms; i++) {
        network_tick(&network);
        for (int n = 0; n < NODES && i % 50 == 0; n++) {
            if (network.up[n] && !network.cut[n])
                tell(n);
        }
    }
}

/* ---- acts */

static unsigned chance(unsigned bound)
{
    return network_random(&network, bound);
}

static bool forgetful(int i)
{
    return network.node[i].disk.state.standing != RAFT_WHOLE ||
           (network.up[i] && raft_standing(&network.node[i].raft) != RAFT_WHOLE);
}

/* Fewer than half in every configuration that may be in force, were `i` one of them. */
static bool few_are_forgetful_in(const struct raft_members *members, int i)
{
    int count = 0;

    for (int m = 0; m < members->count; m++) {
        int at = network_find(&network, &members->member[m].id);
        count += members->member[m].voter && (at == i || forgetful(at)) ? 1 : 0;
    }
    return 2 * count < raft_voter_count(members);
}

static bool may_forget(int i)
{
    for (int n = 0; n < NODES; n++) {
        const struct raft *raft = &network.node[n].raft;
        struct raft_members before = raft->members;

        if (raft->last_index < raft->first_index - 1 || (!network.up[n] && n != i))
            return false;
        if (raft_change_pending(raft) && raft->members_index >= raft->first_index)
            (void)raft_members_as_of(raft, raft->members_index - 1, &before);
        if (!few_are_forgetful_in(&before, i) || !few_are_forgetful_in(&raft->members, i))
            return false;
    }
    return true;
}

static void forget_told(int i)
{
    told_index[i] = 0;
}

static void start(int i)
{
    forget_told(i);
    network_start(&network, i);
}

/* The issuers as a file lists them that is kept up to date. */
static struct raft_members listed(void)
{
    struct raft_members members = members_of(VOTERS);
    uint64_t newest = 0;

    for (int i = 0; i < NODES; i++) {
        const struct raft *raft = &network.node[i].raft;

        if (raft_floor(raft) <= newest)
            continue;
        newest = raft_floor(raft);
        (void)raft_members_as_of(raft, newest, &members);
    }
    for (int m = 0; m < members.count; m++)
        members.member[m].voter = true;
    return members;
}

static void empty_disk(int i)
{
    struct disk *disk = &network.node[i].disk;
    struct raft_members members = listed();

    memset(disk, 0, sizeof *disk);
    disk->state.members = members;
    disk->state.standing = RAFT_RECOVERING;
}

static void wipe(int i)
{
    bool again = forgetful(i);

    if (!again && !may_forget(i))
        return;
    if (network.up[i])
        network_crash(&network, i);
    wipes++;
    second_wipes += again ? 1 : 0;
    empty_disk(i);
    run(chance(100));
    start(i);
}

/* Also in the configuration that a change would make. */
static bool may_remove(int leader, const struct hf_name *id)
{
    struct raft_members members = network.node[leader].raft.members;
    int at = raft_member_index(&members, id);

    if (at >= 0)
        members.member[at] = members.member[--members.count];
    return few_are_forgetful_in(&members, -1);
}

static void change_members(int leader)
{
    static const enum raft_change kinds[] = { RAFT_CHANGE_ADD, RAFT_CHANGE_PROMOTE,
                                              RAFT_CHANGE_PROMOTE, RAFT_CHANGE_REMOVE };
    const struct raft_members *members = &network.node[leader].raft.members;
    struct node *node = &network.node[leader];
    struct raft_event event = { .kind = RAFT_EVENT_MEMBERS,
                                .change = kinds[chance(4)],
                                .peer = name_number((int)chance(NODES) + 1),
                                .address = "" };

    if (event.change == RAFT_CHANGE_PROMOTE)
        event.peer = members->member[members->count - 1].id;
    else if (event.change == RAFT_CHANGE_REMOVE && chance(2) == 0)
        event.peer = node->config.self;
    if (event.change == RAFT_CHANGE_REMOVE && !may_remove(leader, &event.peer))
        return;
    network_step(&network, leader, &event);
    changes += node->out.refusal == RAFT_ACCEPTED ? 1 : 0;
}

static void ask_leader(unsigned what)
{
    int leader = network_serving(&network);

    if (leader < 0)
        return;
    if (what == 0) {
        change_members(leader);
    } else if (what == 1) {
        network_step(&network, leader,
                     &(struct raft_event){ .kind = RAFT_EVENT_TRANSFER,
                                           .peer = name_number((int)chance(NODES) + 1) });
        transfers += network.node[leader].out.refusal == RAFT_ACCEPTED ? 1 : 0;
    } else {
        for (unsigned n = chance(20); n > 0; n--)
            network_step(&network, leader,
                         &(struct raft_event){ .kind = RAFT_EVENT_PROPOSE,
                                               .command = { (const uint8_t *)"x", 1 } });
    }
}

/* Everybody votes or learns, and has a memory. */
static bool all_is_well(void)
{
    int leader = network_serving(&network);
    const struct raft_members *members;

    if (leader < 0)
        return false;
    members = &network.node[leader].raft.members;
    for (int m = 0; m < members->count; m++) {
        int i = network_find(&network, &members->member[m].id);
        if (!network.up[i] || network.cut[i] || forgetful(i))
            return false;
    }
    return !raft_change_pending(&network.node[leader].raft);
}

static void mend_network(void)
{
    network.loss_percent = 0;
    network.repeat_percent = 0;
    network.delay_max_us = 3000;
    network.straggle_percent = 0;
    for (int i = 0; i < NODES; i++) {
        network.cut[i] = false;
        if (!network.up[i])
            start(i);
    }
}

static void disturb_network(void)
{
    network.loss_percent = seed % 3 == 0 ? 10 : 0;
    network.repeat_percent = seed % 2 == 0 ? 10 : 0;
    network.delay_max_us = seed % 5 == 0 ? 60000 : 3000;
    network.straggle_percent = seed % 4 == 0 ? 5 : 0;
    network.straggle_max_us = 3000000;
}

/* What only the leader and n<i + 1> can tell, if they are three. */
static void cut_another(int i)
{
    int another = (int)chance(NODES);

    if (another != i && another != network_serving(&network))
        network.cut[another] = true;
}

/*
 * An image is taken of a card, things go on, and the image is put back. The leader is there to say
 * what was promised meanwhile, and dies as soon as it could be heard.
 */
static void put_back(int i)
{
    mend_network();
    run(1500);
    if (!all_is_well() || !may_forget(i) || network_serving(&network) == i)
        return;
    image = network.node[i].disk;
    if (chance(2) == 0)
        cut_another(i);
    for (unsigned n = chance(4); n > 0; n--) {
        ask_leader(1 + chance(2));
        run(chance(500));
    }
    run(500);
    if (network_serving(&network) < 0 || network_serving(&network) == i || !network.up[i] ||
        forgetful(i))
        return;
    images++;
    network_crash(&network, i);
    network.node[i].disk = image;
    if (image.state.snapshot.data)
        network.node[i].disk.state.snapshot.data = network.node[i].disk.snapshot;
    start(i);
    run(120);
    if (chance(2) == 0 && network_serving(&network) >= 0)
        network_crash(&network, network_serving(&network));
    for (int n = 0; n < NODES; n++)
        network.cut[n] = false;
    run(chance(3000));
}

/* A change of members, and what may come between it and its commit. */
static void change_and_die(void)
{
    int leader = network_serving(&network);
    int hung = (int)chance(NODES);

    if (leader < 0)
        return;
    network.cut[hung] = hung != leader;
    ask_leader(0);
    run(chance(8));
    for (unsigned n = chance(3); n > 0; n--) {
        int dies = n == 1 ? leader : (int)chance(NODES);
        if (network.up[dies])
            network_crash(&network, dies);
    }
    network.cut[hung] = false;
    run(chance(600));
}

static void act(void)
{
    int i = (int)chance(NODES);

    switch (chance(20)) {
    case 0:
        if (network.up[i])
            network_crash(&network, i);
        break;
    case 1:
    case 2:
        if (!network.up[i])
            start(i);
        break;
    case 3:
    case 4:
        network.cut[i] = !network.cut[i];
        break;
    case 5:
    case 6:
        wipe(i);
        break;
    case 7:
        if (chance(4) == 0) {
            put_back(i);
            disturb_network();
        }
        break;
    case 12:
    case 13:
    case 14:
        change_and_die();
        break;
    case 8:
        ask_leader(1);
        break;
    case 9:
    case 10:
    case 11:
        ask_leader(0);
        break;
    case 15:
        ask_leader(2);
        break;
    default:
        mend_network();
        run(600);
        disturb_network();
        break;
    }
    run(chance(chance(4) == 0 ? 1500 : 150));
}

static void begin(void)
{
    network_init(&network, NODES, seed);
    network.hears = hears;
    network.after_step = judge;
    memset(leader_of, 0, sizeof leader_of);
    memset(term_of, 0, sizeof term_of);
    memset(told_index, 0, sizeof told_index);
    for (int i = 0; i < NODES; i++) {
        network.node[i].applied = applied;
        network.node[i].disk.state.members = members_of(VOTERS);
        network.node[i].disk.state.standing = i < VOTERS ? RAFT_WHOLE : RAFT_RECOVERING;
        start(i);
    }
    disturb_network();
}

static void describe(void)
{
    for (int i = 0; i < NODES; i++) {
        const struct raft *raft = &network.node[i].raft;
        const struct hf_name *waits = raft_recover_waits_for(raft, 0);

        print_message("n%d: %s, %s, term %llu, commit %llu, last %llu, leader '%s', waits for "
                      "'%s', members as of %llu:",
                      i + 1, raft_role_name(raft->role), raft_standing_name(raft_standing(raft)),
                      (unsigned long long)raft->term, (unsigned long long)raft->commit,
                      (unsigned long long)raft->last_index, raft->leader.text,
                      waits ? waits->text : "", (unsigned long long)raft->members_index);
        for (int m = 0; m < raft->members.count; m++)
            print_message(" %s%s", raft->members.member[m].id.text,
                          raft->members.member[m].voter ? "" : "-");
        print_message("\n");
    }
}

/* A majority of the voters is up and has a memory, in every configuration that may be in force. */
static bool majority_is_healthy(void)
{
    for (int n = 0; n < NODES; n++) {
        const struct raft *raft = &network.node[n].raft;

        for (uint64_t at = raft_floor(raft); at <= raft->last_index; at++) {
            struct raft_members members;
            int healthy = 0;

            (void)raft_members_as_of(raft, at, &members);
            for (int m = 0; m < members.count; m++) {
                int i = network_find(&network, &members.member[m].id);
                healthy += members.member[m].voter && network.up[i] && !forgetful(i) ? 1 : 0;
            }
            if (healthy < raft_quorum(&members))
                return false;
        }
    }
    return true;
}

static void expect_leader(const char *of_whom)
{
    run(10 * TEST_ELECTION_MS);
    if (network_serving(&network) >= 0)
        return;
    describe();
    fail_msg("seed %llu: nobody leads %s after ten election timeouts", (unsigned long long)seed,
             of_whom);
}

static void heal(void)
{
    int dead = (int)chance(NODES);

    mend_network();
    run(chance(200));
    network_crash(&network, dead);
    if (majority_is_healthy()) {
        expect_leader("a healthy majority");
        minorities++;
    }
    start(dead);
    expect_leader("all");
    for (int i = 0; i < NODES; i++) {
        const struct raft *leads = &network.node[network_serving(&network)].raft;

        /* One whose list is too old to know any of those who lead waits for a newer list. */
        if (!forgetful(i) || raft_member_index(&leads->members, &network.node[i].config.self) < 0 ||
            !hears(&network, i, &leads->config.self))
            continue;
        describe();
        fail_msg("seed %llu: n%d has not recovered", (unsigned long long)seed, i + 1);
    }
}

static void all_laws_hold_under_any_schedule(void **state)
{
    const char *wanted = getenv("HOLDFAST_SCHEDULES");
    const char *first = getenv("HOLDFAST_SEED");
    uint64_t count = wanted ? strtoull(wanted, NULL, 10) : SCHEDULES;
    uint64_t from = first ? strtoull(first, NULL, 10) : 1;

    (void)state;
    for (seed = from; seed < from + count; seed++) {
        begin();
        for (int i = 0; i < ACTS; i++)
            act();
        heal();
    }
    print_message("%u memories lost, %u of them again; %u images put back, %u found out; "
                  "%u changes, %u transfers, %u ends with one dead\n",
                  wipes, second_wipes, images, found_out, changes, transfers, minorities);
    if (count >= SCHEDULES)
        assert_true(wipes && second_wipes && images && found_out && changes && transfers &&
                    minorities);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_laws_hold_under_any_schedule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
