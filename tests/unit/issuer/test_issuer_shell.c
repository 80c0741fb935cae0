/* Three issuers' shells with real stores, and nothing else: this test is their network. */
#include "issuer/issuer_shell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/init.h"
#include "hal/clock.h"
#include "store/disk_file.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

enum {
    BOARDS = 3,
    TURN_MS = 20,
    PATIENCE_MS = 30000,
    ELECTION_MS = 200,
    TTL_MS = 200,
    SLOW_MS = 1500, /* above what a busy machine takes */
    QUICK_MS = 100, /* less than the time between two looks */
    STARTED_MAX = 128
};

struct board {
    char folder[48];
    struct conf conf;
    struct disk_file files;
    atomic_bool disk_fails; /* looked at by the store's thread */
    atomic_bool disk_hangs;
    atomic_bool sync_hangs; /* one is under way that does */
    bool cut; /* it is off the network: what it sends, and what is sent to it, is refused */
    struct issuer_shell *shell;
    unsigned members_changes;
    unsigned issuers_told; /* to all */
    unsigned told_one;     /* to a node that asked by connecting */
    struct wire_issuers issuers;
    uint64_t granted; /* the last token that it sent to an agent */
};

struct frame {
    struct board *from;
    struct board *to;
    size_t length;
    struct frame *next;
    uint8_t bytes[];
};

static struct board board[BOARDS];
static uint32_t slow_ms = SLOW_MS;
static struct frame *first_frame;
static struct frame **last_frame = &first_frame;
static char folder[32];
static uv_loop_t loop;
static int stderr_fd;

/*
 * The clock is this test's own: time passes as it does, but not by more than TURN_MS with a turn of
 * the loop. So when a busy machine stands still, no issuer was silent meanwhile, and none stands for
 * election for that.
 */
static struct instant now;
static uint64_t turned_us; /* the last turn, by the machine's clock */

struct instant hal_clock_now(void)
{
    return now;
}

struct span hal_clock_slept(void)
{
    return (struct span){ 0 };
}

int64_t hal_clock_wall_us(void)
{
    return 1767225600000000;
}

/* A shell's memory is the process's: this keeps them in sight of the leak checker. */
static struct issuer_shell *started[STARTED_MAX];
static size_t started_count;

static struct hf_name name(const char *text)
{
    struct hf_name result;
    assert_true(name_from_string(&result, text));
    return result;
}

static struct board *board_called(const struct hf_name *id)
{
    for (int i = 0; i < BOARDS; i++) {
        if (name_equal(&board[i].conf.node_id, id))
            return &board[i];
    }
    return NULL;
}

/* ---- a disk that can fail */

static int disk_read(void *disk, int slot, uint64_t offset, void *data, size_t length)
{
    return disk_file_ops.read(&((struct board *)disk)->files, slot, offset, data, length);
}

static int disk_write(void *disk, int slot, uint64_t offset, const void *data, size_t length)
{
    return disk_file_ops.write(&((struct board *)disk)->files, slot, offset, data, length);
}

static int disk_sync(void *disk, int slot)
{
    struct board *at = disk;
    for (; at->disk_hangs; usleep(1000))
        at->sync_hangs = true;
    return at->disk_fails ? EIO : disk_file_ops.sync(&at->files, slot);
}

static int disk_size(void *disk, int slot, uint64_t *bytes)
{
    return disk_file_ops.size(&((struct board *)disk)->files, slot, bytes);
}

static int disk_preallocate(void *disk, int slot, uint64_t bytes)
{
    return disk_file_ops.preallocate(&((struct board *)disk)->files, slot, bytes);
}

static int disk_set_aside(void *disk, bool *kept)
{
    return disk_file_ops.set_aside(&((struct board *)disk)->files, kept);
}

static const struct disk_ops disk_ops = { .read = disk_read,
                                          .write = disk_write,
                                          .sync = disk_sync,
                                          .size = disk_size,
                                          .preallocate = disk_preallocate,
                                          .set_aside = disk_set_aside };

/* ---- the network */

static bool send_raft(void *context, const struct raft_message *message)
{
    static uint8_t bytes[WIRE_FRAME_MAX];
    struct board *from = context;
    struct board *to = board_called(&message->to);
    if (to == NULL || from->cut || to->cut)
        return false;
    size_t length = wire_encode_raft(message, bytes, sizeof(bytes));
    struct frame *frame = malloc(sizeof(*frame) + length);
    assert_non_null(frame);
    *frame = (struct frame){ .from = from, .to = to, .length = length };
    memcpy(frame->bytes, bytes, length);
    *last_frame = frame;
    last_frame = &frame->next;
    return true;
}

static void deliver(void)
{
    static struct wire_message message;
    while (first_frame != NULL) {
        struct frame *frame = first_frame;
        first_frame = frame->next;
        if (first_frame == NULL)
            last_frame = &first_frame;
        const struct bytes bytes = { frame->bytes, frame->length };
        if (!frame->from->cut && !frame->to->cut) {
            assert_null(wire_decode(&message, bytes));
            issuer_shell_raft(frame->to->shell, &message.raft);
        }
        free(frame);
    }
}

static bool send_to_agent(void *context, const struct hf_name *to,
                          const struct lease_message *message)
{
    struct board *from = context;
    assert_string_equal(to->text, "agent-a");
    if (message->kind == LEASE_GRANTED)
        from->granted = message->token;
    return true;
}

static bool send_store(void *context, const struct hf_name *to, const struct wire_store *store)
{
    struct board *from = context;
    struct board *there = board_called(to);
    if (there == NULL || from->cut || there->cut)
        return false;
    issuer_shell_store(there->shell, &from->conf.node_id, store);
    return true;
}

static void send_issuers(void *context, const struct hf_name *to,
                         const struct wire_issuers *issuers)
{
    struct board *from = context;
    from->issuers = *issuers;
    from->issuers_told += to == NULL;
    from->told_one += to != NULL;
}

static void on_members(void *context, const struct raft *raft)
{
    struct board *at = context;
    assert_string_equal(raft->config.self.text, at->conf.node_id.text);
    at->members_changes++;
}

static bool link_settled(void *context, const struct hf_name *issuer)
{
    const struct board *at = context;
    return !at->cut && !board_called(issuer)->cut;
}

/* ---- the loop */

static void wake(uv_timer_t *timer)
{
    (void)timer;
}

static void run_once(void)
{
    uint64_t us = uv_hrtime() / 1000;
    uint64_t passed_us = us - turned_us;
    turned_us = us;
    now.us += passed_us < TURN_MS * 1000 ? (int64_t)passed_us : TURN_MS * 1000;
    uv_run(&loop, UV_RUN_ONCE);
    deliver();
}

static void run_while(bool (*wait)(void), int64_t at_most_ms)
{
    struct instant end = instant_add(now, span_from_ms(at_most_ms));
    uv_timer_t tick;
    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, wake, 1, 1);
    while (wait() && instant_before(now, end))
        run_once();
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&loop, UV_RUN_NOWAIT);
}

static bool always(void)
{
    return true;
}

static bool (*awaited)(void);

static bool not_yet(void)
{
    return !awaited();
}

static void run_until(bool (*done)(void))
{
    awaited = done;
    run_while(not_yet, PATIENCE_MS);
    assert_true(done());
}

/* Whatever else might be told has been told then. */
static void run_on(void)
{
    run_while(always, ELECTION_MS);
}

static struct board *leader(void)
{
    for (int i = 0; i < BOARDS; i++) {
        if (!board[i].cut && replica_serving(issuer_shell_replica(board[i].shell)))
            return &board[i];
    }
    return NULL;
}

static bool somebody_leads(void)
{
    return leader() != NULL;
}

/* ---- */

static void configure(struct board *at, int index)
{
    struct conf *conf = &at->conf;
    snprintf(at->folder, sizeof(at->folder), "%s/i%d", folder, index + 1);
    assert_int_equal(mkdir(at->folder, 0700), 0);
    snprintf(conf->file, sizeof(conf->file), "%.40s/holdfast.conf", at->folder);
    snprintf(conf->data_dir, sizeof(conf->data_dir), "%.47s", at->folder);
    conf->cluster_name = name("line-3");
    conf->election_ms = ELECTION_MS;
    conf->heartbeat_ms = ELECTION_MS / 5;
    conf->drift_ppm = 2000;
    conf->slow_store_ms = slow_ms;
    conf->issuer_role = true;
    conf->issuer_count = BOARDS;
    for (int i = 0; i < BOARDS; i++) {
        char text[16];
        snprintf(text, sizeof(text), "i%d", i + 1);
        conf->issuer[i].id = name(text);
        snprintf(conf->issuer[i].address, sizeof(conf->issuer[i].address), "10.0.0.%d:7400", i + 1);
    }
    conf->node_id = conf->issuer[index].id;
    conf->policy_count = 1;
    conf->policy[0].resource = name("pump");
    conf->policy[0].holder_count = 1;
    conf->policy[0].holder[0] = name("agent-a");
    conf->policy[0].ttl_max_ms = TTL_MS;
    conf->policy[0].fence_max_ms = TTL_MS / 2;
    conf->policy[0].on_stuck = CONF_ON_STUCK_GO;
}

static void begin(const struct conf *conf)
{
    FILE *nowhere = fopen("/dev/null", "w");
    const struct init init = {
        .conf = conf, .platform = &disk_platform_system, .out = nowhere, .errors = stderr
    };
    assert_non_null(nowhere);
    assert_true(init_run(&init));
    fclose(nowhere);
}

static void start(struct board *at)
{
    char error[256];
    const struct issuer_shell_config config = {
        .loop = &loop,
        .conf = &at->conf,
        .random_seed = (uint64_t)(at - board) + 1,
        .disk_ops = &disk_ops,
        .disk = at,
        .callbacks = { .send_raft = send_raft,
                       .send_to_agent = send_to_agent,
                       .send_store = send_store,
                       .send_issuers = send_issuers,
                       .on_members = on_members,
                       .link_settled = link_settled },
        .context = at,
    };
    assert_int_equal(
        disk_file_open(&at->files, &disk_platform_system, at->folder, error, sizeof(error)), 0);
    at->shell = issuer_shell_start(&config);
    assert_non_null(at->shell);
    assert_true(started_count < STARTED_MAX);
    started[started_count++] = at->shell;
}

static void redirect_log(void)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/log", folder);
    stderr_fd = dup(STDERR_FILENO);
    int log = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0600);
    assert_true(stderr_fd >= 0 && log >= 0 && dup2(log, STDERR_FILENO) >= 0);
    close(log);
}

static unsigned log_lines(const char *with)
{
    char path[64];
    char line[1024];
    unsigned lines = 0;
    snprintf(path, sizeof(path), "%s/log", folder);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    while (fgets(line, sizeof(line), in) != NULL)
        lines += strstr(line, with) != NULL;
    fclose(in);
    return lines;
}

static void prepare(void)
{
    for (int i = 0; i < BOARDS; i++)
        memset(&board[i], 0, sizeof(board[i]));
    strcpy(folder, "/tmp/holdfast-shell-XXXXXX");
    assert_non_null(mkdtemp(folder));
    redirect_log();
    now = (struct instant){ 1000000 };
    uv_loop_init(&loop);
    for (int i = 0; i < BOARDS; i++)
        configure(&board[i], i);
}

static int set_up(void **state)
{
    (void)state;
    prepare();
    for (int i = 0; i < BOARDS; i++)
        begin(&board[i].conf);
    for (int i = 0; i < BOARDS; i++)
        start(&board[i]);
    run_until(somebody_leads);
    return 0;
}

static int set_up_quick(void **state)
{
    slow_ms = QUICK_MS;
    int result = set_up(state);
    slow_ms = SLOW_MS;
    return result;
}

/* Nobody said that the cluster is new. */
static int set_up_blank(void **state)
{
    (void)state;
    prepare();
    for (int i = 0; i < BOARDS; i++)
        start(&board[i]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < BOARDS; i++)
        issuer_shell_stop(board[i].shell);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    for (int i = 0; i < BOARDS; i++)
        board[i].cut = true;
    deliver();
    for (int i = 0; i < BOARDS; i++) {
        disk_file_close(&board[i].files);
        folder_remove(board[i].folder);
    }
    dup2(stderr_fd, STDERR_FILENO);
    close(stderr_fd);
    folder_remove(folder);
    return 0;
}

/* ---- who waits */

struct told {
    unsigned times;
    bool confirmed;
    enum replica_outcome outcome;
};

static struct told reader_told;
static struct told act_told;
static struct issuer_shell_reader reader;
static struct issuer_shell_waiting waiting;

static void on_confirmed(void *context, bool confirmed)
{
    struct told *told = context;
    told->times++;
    told->confirmed = confirmed;
}

static void on_outcome(void *context, enum replica_outcome outcome)
{
    struct told *told = context;
    told->times++;
    told->outcome = outcome;
}

static bool start_reading(struct board *at)
{
    reader_told = (struct told){ 0 };
    reader = (struct issuer_shell_reader){ .on_confirmed = on_confirmed, .context = &reader_told };
    return issuer_shell_read(at->shell, &reader);
}

static bool reader_is_told(void)
{
    return reader_told.times > 0;
}

static bool act_is_told(void)
{
    return act_told.times > 0;
}

static enum raft_refusal operate(struct board *at, struct replica_event *event)
{
    const char *error = NULL;
    act_told = (struct told){ 0 };
    waiting = (struct issuer_shell_waiting){ .on_outcome = on_outcome, .context = &act_told };
    event->who = name("olga");
    enum raft_refusal refusal = issuer_shell_operate(at->shell, event, &waiting.act, &error);
    assert_null(error);
    if (refusal == RAFT_ACCEPTED)
        issuer_shell_await(at->shell, &waiting);
    return refusal;
}

static void pin(struct board *at)
{
    struct replica_event event = { .kind = REPLICA_PIN, .pinned = true, .resource = name("pump") };
    assert_int_equal(operate(at, &event), RAFT_ACCEPTED);
}

static bool is_pinned_everywhere(void)
{
    for (int i = 0; i < BOARDS; i++) {
        const struct lease_table *table = &issuer_shell_replica(board[i].shell)->table;
        if (table->count != 1 || !table->record[0].pinned)
            return false;
    }
    return true;
}

/* ---- */

static struct board *asked;

static bool is_granted(void)
{
    return asked->granted != 0;
}

static void acquire(struct board *at)
{
    const struct hf_name agent = name("agent-a");
    const struct lease_message message = { .kind = LEASE_ACQUIRE,
                                           .resource = name("pump"),
                                           .nonce = 7,
                                           .ttl_us = TTL_MS * 1000,
                                           .fence_us = 1000 };
    asked = at;
    issuer_shell_client(at->shell, &agent, true);
    issuer_shell_lease(at->shell, &agent, &message);
}

static void shells_grant_by_their_callbacks_alone(void **state)
{
    (void)state;
    acquire(leader());
    run_until(is_granted);
    const struct lease_table *table = &issuer_shell_replica(asked->shell)->table;
    assert_int_equal(table->count, 1);
    assert_int_equal(table->record[0].last_token, asked->granted);
}

static void reader_is_told_once_that_a_majority_confirmed(void **state)
{
    (void)state;
    assert_true(start_reading(leader()));
    run_until(reader_is_told);
    run_on();
    assert_int_equal(reader_told.times, 1);
    assert_true(reader_told.confirmed);
}

static void reader_is_told_once_that_leadership_was_lost(void **state)
{
    (void)state;
    struct board *old = leader();
    old->cut = true;
    assert_true(start_reading(old));
    assert_int_equal(reader_told.times, 0);
    run_until(reader_is_told);
    run_until(somebody_leads);
    old->cut = false;
    run_on();
    assert_int_equal(reader_told.times, 1);
    assert_false(reader_told.confirmed);
}

static void on_confirmed_and_cut(void *context, bool confirmed)
{
    on_confirmed(context, confirmed);
    leader()->cut = true;
}

static struct told later_told;

static bool later_is_told(void)
{
    return later_told.times > 0;
}

/* The round in flight was asked before he was. */
static void reader_is_not_confirmed_by_a_round_from_before(void **state)
{
    (void)state;
    struct board *at = leader();
    struct issuer_shell_reader later = { .on_confirmed = on_confirmed, .context = &later_told };
    later_told = (struct told){ 0 };
    assert_true(start_reading(at));
    reader.on_confirmed = on_confirmed_and_cut;
    assert_true(issuer_shell_read(at->shell, &later));
    run_until(reader_is_told);
    assert_true(reader_told.confirmed);
    run_until(later_is_told);
    assert_false(later_told.confirmed);
    at->cut = false;
}

static void follower_takes_no_reader(void **state)
{
    (void)state;
    struct board *follower = leader() == &board[0] ? &board[1] : &board[0];
    assert_false(start_reading(follower));
    run_on();
    assert_int_equal(reader_told.times, 0);
}

/* What may be out there: a lease of before its policy was made shorter, with its fence latency. */
static void longest_lease_is_by_policy_by_table_or_of_before_it_began_anew(void **state)
{
    static struct replica replica;
    const int64_t by_policy_us = issuer_lease_max_us(&replica.issuer.config);
    struct lease_record *record = &replica.table.record[1];
    (void)state;
    replica.table.count = 2;
    assert_int_equal(issuer_shell_lease_max_us(&replica), by_policy_us);
    record->ttl_us = by_policy_us + 2000000;
    record->fence_us = 3000000;
    assert_int_equal(issuer_shell_lease_max_us(&replica), by_policy_us + 5000000);
    replica.table.unknown_us = by_policy_us + 5000001;
    assert_int_equal(issuer_shell_lease_max_us(&replica), by_policy_us + 5000001);
}

static void act_is_told_done_once(void **state)
{
    (void)state;
    pin(leader());
    assert_int_equal(act_told.times, 0);
    run_until(act_is_told);
    run_until(is_pinned_everywhere);
    run_on();
    assert_int_equal(act_told.times, 1);
    assert_int_equal(act_told.outcome, REPLICA_ACT_DONE);
}

/* What the next leader decided instead; nobody is told while nobody knows. */
static void act_that_a_next_leader_replaced_is_told_so_once(void **state)
{
    (void)state;
    struct board *old = leader();
    old->cut = true;
    pin(old);
    run_until(somebody_leads);
    assert_int_equal(act_told.times, 0);
    old->cut = false;
    run_until(act_is_told);
    run_on();
    assert_int_equal(act_told.times, 1);
    assert_int_equal(act_told.outcome, REPLICA_ACT_REPLACED);
    assert_false(is_pinned_everywhere());
}

static void one_that_was_forgotten_is_not_told(void **state)
{
    (void)state;
    struct board *old = leader();
    old->cut = true;
    assert_true(start_reading(old));
    pin(old);
    issuer_shell_forget_reader(old->shell, &reader);
    issuer_shell_forget_waiting(old->shell, &waiting);
    run_until(somebody_leads);
    old->cut = false;
    run_on();
    assert_int_equal(reader_told.times, 0);
    assert_int_equal(act_told.times, 0);
}

/* Whoever is forgotten, all others are told. */
static void of_several_that_wait_only_the_forgotten_one_is_not_told(void **state)
{
    (void)state;
    struct told told[3] = { { 0 } };
    struct issuer_shell_waiting each[3];
    struct board *at = leader();
    pin(at);
    for (int i = 0; i < 3; i++) {
        each[i] = (struct issuer_shell_waiting){ .on_outcome = on_outcome,
                                                 .context = &told[i],
                                                 .act = waiting.act };
        issuer_shell_await(at->shell, &each[i]);
    }
    issuer_shell_forget_waiting(at->shell, &each[1]);
    run_until(act_is_told);
    run_on();
    assert_int_equal(told[0].times, 1);
    assert_int_equal(told[1].times, 0);
    assert_int_equal(told[2].times, 1);
}

static bool failure_is_known(void)
{
    return issuer_shell_failure(asked->shell)[0] != '\0';
}

static bool another_leads(void)
{
    return somebody_leads() && leader() != asked;
}

static void store_that_fails_halts_the_issuer_and_tells_readers_once(void **state)
{
    (void)state;
    asked = leader();
    asked->cut = true;
    assert_true(start_reading(asked));
    asked->disk_fails = true;
    pin(asked);
    run_until(failure_is_known);
    const struct replica *replica = issuer_shell_replica(asked->shell);
    assert_int_equal(replica->raft.role, RAFT_HALTED);
    assert_int_equal(reader_told.times, 1);
    assert_false(reader_told.confirmed);
    asked->cut = false;
    run_until(another_leads);
    run_on();
    assert_int_equal(replica->raft.role, RAFT_HALTED);
    assert_int_equal(reader_told.times, 1);
    assert_int_equal(act_told.times, 0); /* its caller's time limit ends it */
    assert_int_equal(log_lines("this issuer votes and answers no more"), 1);
    assert_int_equal(log_lines(": the store failed"), 1);
    struct replica_event event = { .kind = REPLICA_PIN, .resource = name("pump") };
    assert_int_equal(operate(asked, &event), RAFT_NOT_LEADER);
}

static bool serves_no_more(void)
{
    return !replica_serving(issuer_shell_replica(asked->shell));
}

static void sends_that_fail_are_borne(void **state)
{
    (void)state;
    asked = leader();
    for (int i = 0; i < BOARDS; i++)
        board[i].cut = true;
    run_until(serves_no_more);
    run_on();
    for (int i = 0; i < BOARDS; i++)
        board[i].cut = false;
    run_until(somebody_leads);
    pin(leader());
    run_until(act_is_told);
    assert_int_equal(act_told.outcome, REPLICA_ACT_DONE);
    run_until(is_pinned_everywhere);
}

static void new_configuration_is_told_when_it_is_for_good(void **state)
{
    (void)state;
    asked = leader();
    struct board *other = asked == &board[0] ? &board[1] : &board[0];
    struct replica_event event = { .kind = REPLICA_MEMBERS,
                                   .change = RAFT_CHANGE_REMOVE,
                                   .node = other->conf.node_id,
                                   .text = "member remove" };
    unsigned changes = asked->members_changes;
    unsigned told = asked->issuers_told;
    assert_int_equal(operate(asked, &event), RAFT_ACCEPTED);
    assert_int_equal(asked->members_changes, changes + 1);
    assert_int_equal(asked->issuers_told, told);
    run_until(act_is_told);
    run_on();
    assert_int_equal(asked->members_changes, changes + 2);
    assert_int_equal(asked->issuers_told, told + 1);
    assert_int_equal(asked->issuers.index, waiting.act.index);
    assert_int_equal(asked->issuers.members.count, BOARDS - 1);
}

/* Else whoever connects meanwhile goes by what may never be. */
static void nobody_is_told_of_a_configuration_before_it_is_for_good(void **state)
{
    (void)state;
    const struct hf_name node = name("board-x");
    asked = leader();
    struct board *other = asked == &board[0] ? &board[1] : &board[0];
    struct replica_event event = { .kind = REPLICA_MEMBERS,
                                   .change = RAFT_CHANGE_REMOVE,
                                   .node = other->conf.node_id,
                                   .text = "member remove" };
    assert_int_equal(operate(asked, &event), RAFT_ACCEPTED);
    issuer_shell_tell_issuers(asked->shell, &node);
    assert_int_equal(asked->told_one, 0);
    run_until(act_is_told);
    run_on();
    issuer_shell_tell_issuers(asked->shell, &node);
    assert_int_equal(asked->told_one, 1);
    assert_int_equal(asked->issuers.members.count, BOARDS - 1);
}

static void act_that_the_lease_rules_refuse_has_its_reason(void **state)
{
    (void)state;
    const char *error = NULL;
    struct replica_act act;
    struct replica_event event = { .kind = REPLICA_TRANSFER,
                                   .who = name("olga"),
                                   .resource = name("pump"),
                                   .node = name("agent-a") };
    (void)issuer_shell_operate(leader()->shell, &event, &act, &error);
    assert_non_null(error);
}

static void role_and_standing_are_told_when_they_change(void **state)
{
    (void)state;
    char line[64];
    snprintf(line, sizeof(line), "raft: leader in term %llu, leader %s",
             (unsigned long long)issuer_shell_replica(leader()->shell)->raft.term,
             leader()->conf.node_id.text);
    assert_int_equal(log_lines(line), 1);
    assert_int_equal(log_lines("recovery: none is needed, the cluster is new"), BOARDS);
    pin(leader());
    run_until(act_is_told);
    run_until(is_pinned_everywhere);
    assert_int_equal(log_lines("pump: entry"), BOARDS);
    assert_int_equal(log_lines("holder none, token 0, by olga"), BOARDS);
}

/* ---- the timer */

static int64_t wanted_ms;
static bool armed_so;

static void look_at_timer(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (handle->type == UV_TIMER && uv_is_active(handle) &&
        uv_timer_get_repeat((uv_timer_t *)handle) == 0)
        armed_so = armed_so || (int64_t)uv_timer_get_due_in((uv_timer_t *)handle) == wanted_ms;
}

/* A copy of the replica that takes the same step is the judge. */
static void timer_is_armed_for_the_instant_at_which_the_replica_wakes(void **state)
{
    static struct replica copy;
    static struct replica_output output;
    const struct hf_name agent = name("agent-a");
    (void)state;
    for (int i = 0; i < 10 * BOARDS; i++) {
        struct board *at = &board[i % BOARDS];
        bool up = i / BOARDS % 2 == 0;
        struct replica_event client = { .kind = up ? REPLICA_CLIENT_UP : REPLICA_CLIENT_DOWN,
                                        .node = agent };
        run_once();
        copy = *issuer_shell_replica(at->shell);
        replica_step(&copy, &client, now, &output);
        issuer_shell_client(at->shell, &agent, up);
        int64_t left_us = instant_diff(output.wake_at, now).us;
        wanted_ms = left_us <= 0 ? 0 : (left_us + 999) / 1000;
        armed_so = false;
        uv_walk(&loop, look_at_timer, NULL);
        assert_true(armed_so);
    }
}

/* ---- what is told to people about boards and journals */

static bool budget_is_told(void)
{
    return log_lines("agent-a: over its budget: it has caused") > 0;
}

static void board_over_its_budget_is_told(void **state)
{
    (void)state;
    const struct hf_name agent = name("agent-a");
    struct board *at = leader();
    issuer_shell_client(at->shell, &agent, true);
    /* As if it had caused as much: 140 grants would take minutes. */
    issuer_charge((struct issuer *)&issuer_shell_replica(at->shell)->issuer, &agent,
                  BUDGET_BOARD_BURST, now);
    run_until(budget_is_told);
    assert_int_equal(log_lines("agent-a: over its budget"), 1);
}

static bool stores_are_known(void)
{
    struct wire_store store;
    for (int i = 0; i < BOARDS; i++) {
        if (!issuer_shell_store_of(board[0].shell, &board[i].conf.node_id, &store))
            return false;
    }
    return true;
}

static void issuers_tell_each_other_how_their_journals_fare(void **state)
{
    (void)state;
    run_until(stores_are_known);
    now.us += 2 * 1000000;
    assert_true(stores_are_known());
    now.us += 5 * 1000000;
    assert_false(stores_are_known()); /* what was heard is old by now */
    run_until(stores_are_known);
}

static bool failure_is_known_to_others(void)
{
    struct wire_store store;
    for (int i = 0; i < BOARDS; i++) {
        if (!issuer_shell_store_of(board[i].shell, &asked->conf.node_id, &store) || !store.failed)
            return false;
    }
    return true;
}

static void journal_that_failed_is_known_to_all_and_is_not_slow(void **state)
{
    (void)state;
    asked = leader();
    asked->disk_fails = true;
    pin(asked);
    run_until(failure_is_known_to_others);
    assert_non_null(strstr(issuer_shell_failure(asked->shell), "Input/output error"));
    run_while(always, 2 * SLOW_MS + 1000);
    assert_int_equal(log_lines("store: slow"), 0);
}

/* Of more than can be, the one that was silent for longest gives its place up. */
static void word_of_a_new_issuer_takes_the_place_of_one_that_is_gone(void **state)
{
    (void)state;
    struct wire_store said = { .syncs = 1 };
    struct wire_store heard;
    for (int i = 0; i < HF_ISSUERS_MAX; i++) {
        char text[16];
        snprintf(text, sizeof(text), "x%d", i);
        const struct hf_name peer = name(text);
        issuer_shell_store(board[0].shell, &peer, &said);
    }
    const struct hf_name late = name("late");
    issuer_shell_store(board[0].shell, &late, &said);
    assert_false(issuer_shell_store_of(board[0].shell, &late, &heard));
    now.us += 6 * 1000000;
    issuer_shell_store(board[0].shell, &late, &said);
    assert_true(issuer_shell_store_of(board[0].shell, &late, &heard));
}

/* ---- disks */

static void hang_disks(bool hang)
{
    for (int i = 0; i < BOARDS; i++)
        board[i].disk_hangs = hang;
}

static void nothing_is_granted_or_done_before_a_majority_has_it_on_disk(void **state)
{
    (void)state;
    struct board *at = leader();
    acquire(at); /* is held off at first, as the cluster is new */
    hang_disks(true);
    pin(at);
    run_while(always, 2 * TTL_MS + ELECTION_MS);
    assert_int_equal(act_told.times, 0);
    assert_int_equal(at->granted, 0);
    assert_int_equal(issuer_shell_replica(at->shell)->table.count, 0);
    hang_disks(false);
    run_until(act_is_told);
    assert_int_equal(act_told.outcome, REPLICA_ACT_DONE);
}

static bool slow_is_told(void)
{
    return log_lines("store: slow: a sync takes") > 0;
}

static void journal_that_hangs_is_told_while_it_does(void **state)
{
    struct wire_store store;
    (void)state;
    asked = leader();
    asked->disk_hangs = true;
    pin(asked);
    run_until(slow_is_told);
    assert_true(issuer_shell_store_of(asked->shell, &asked->conf.node_id, &store));
    assert_true(store.slow);
    assert_true(store.waiting_us >= SLOW_MS * 1000);
    assert_int_equal(issuer_shell_slow_total(asked->shell), 1);
    run_while(always, 1500);
    asked->disk_hangs = false;
    run_on();
    assert_int_equal(log_lines("store: slow: a sync takes"), 1);
    assert_int_equal(issuer_shell_slow_total(asked->shell), 1);
    assert_int_equal(issuer_shell_counters(asked->shell)->worst_us / 1000 >= SLOW_MS, 1);
}

static bool sync_hangs(void)
{
    return asked->sync_hangs;
}

/* Also if it was over before anybody looked, as most are. */
static void sync_that_was_slow_is_told_when_it_is_done(void **state)
{
    (void)state;
    asked = leader();
    asked->disk_hangs = true;
    pin(asked);
    run_until(sync_hangs);
    usleep(2 * QUICK_MS * 1000); /* the loop stands still meanwhile: nothing looks */
    asked->disk_hangs = false;
    run_until(slow_is_told);
}

static bool all_have_compacted(void)
{
    for (int i = 0; i < BOARDS; i++) {
        if (issuer_shell_replica(board[i].shell)->raft.snapshot_index < RAFT_COMPACT_AT)
            return false;
    }
    return true;
}

/* True if it is in the log of a leader now. */
static bool pin_or_unpin(bool pinned)
{
    struct replica_event event = {
        .kind = REPLICA_PIN, .pinned = pinned, .resource = name("pump"), .who = name("olga")
    };
    struct replica_act act;
    const char *error = NULL;
    return somebody_leads() &&
           issuer_shell_operate(leader()->shell, &event, &act, &error) == RAFT_ACCEPTED;
}

static void log_is_compacted_in_time(void **state)
{
    (void)state;
    for (int turn = 0, done = 0; done < RAFT_COMPACT_AT + 100 && turn < PATIENCE_MS; turn++) {
        done += pin_or_unpin(done % 2 == 0);
        run_while(always, 1);
    }
    run_until(all_have_compacted);
}

/* ---- configuration, clients, links */

static void rules_are_those_of_the_file(void **state)
{
    (void)state;
    const struct hf_name pump = name("pump");
    const struct replica *replica = issuer_shell_replica(board[1].shell);
    const struct issuer_policy *policy = issuer_policy_of(&replica->issuer, &pump);
    assert_non_null(policy);
    assert_int_equal(policy->ttl_max_us, TTL_MS * 1000);
    assert_int_equal(policy->fence_max_us, TTL_MS * 1000 / 2);
    assert_true(policy->stuck_go);
    assert_int_equal(policy->holder_count, 1);
    assert_string_equal(policy->holder[0].text, "agent-a");
    assert_int_equal(replica->issuer.config.drift_ppm, 2000);
    assert_string_equal(replica->issuer.config.self.text, "i2");
    assert_int_equal(replica->raft.config.election.us, ELECTION_MS * 1000);
    assert_int_equal(replica->raft.config.heartbeat.us, ELECTION_MS * 1000 / 5);
    assert_string_equal(replica->raft.config.self.text, "i2");
}

static void client_is_known_as_up_until_it_is_down(void **state)
{
    (void)state;
    const struct hf_name agent = name("agent-a");
    struct board *at = leader();
    const struct issuer_client *client = &issuer_shell_replica(at->shell)->issuer.client[0];
    issuer_shell_client(at->shell, &agent, true);
    assert_string_equal(client->node.text, "agent-a");
    assert_true(client->up);
    issuer_shell_client(at->shell, &agent, false);
    assert_false(client->up);
}

/* Of the voters that would be left, one more is not there: nobody could commit the change. */
static void issuer_whose_link_broke_is_in_contact_no_more(void **state)
{
    (void)state;
    struct board *at = leader();
    int self = (int)(at - board);
    struct board *gone = &board[(self + 1) % BOARDS];
    struct replica_event event = { .kind = REPLICA_MEMBERS,
                                   .change = RAFT_CHANGE_REMOVE,
                                   .node = board[(self + 2) % BOARDS].conf.node_id,
                                   .text = "member remove" };
    gone->cut = true;
    issuer_shell_peer_down(at->shell, &gone->conf.node_id);
    assert_int_equal(operate(at, &event), RAFT_MEMBERS_DOWN);
}

/* ---- watchers */

static unsigned events_seen;

static void count_event(void *context, const struct history_event *event)
{
    assert_ptr_equal(context, &events_seen);
    events_seen += strcmp(event->who.text, "olga") == 0;
}

static void watchers_see_what_is_applied_until_they_leave(void **state)
{
    (void)state;
    struct issuer_shell_watcher watcher = { .on_event = count_event, .context = &events_seen };
    struct issuer_shell_watcher other = watcher;
    events_seen = 0;
    asked = leader();
    issuer_shell_watch(asked->shell, &watcher);
    issuer_shell_watch(asked->shell, &other);
    pin(asked);
    run_until(act_is_told);
    assert_int_equal(events_seen, 2);
    issuer_shell_unwatch(asked->shell, &watcher);
    pin(asked);
    run_until(act_is_told);
    assert_int_equal(events_seen, 3);
    issuer_shell_unwatch(asked->shell, &other);
}

/* ---- without a memory */

static void issuers_that_nobody_began_have_no_say_and_tell_so(void **state)
{
    (void)state;
    char text[512];
    run_while(always, 5 * ELECTION_MS);
    assert_null(leader());
    assert_int_equal(log_lines("holds no journal: this issuer has no say"), BOARDS);
    for (int i = 0; i < BOARDS; i++) {
        const struct raft *raft = &issuer_shell_replica(board[i].shell)->raft;
        assert_int_equal(raft_standing(raft), RAFT_RECOVERING);
        assert_int_equal(raft->members.count, BOARDS);
    }
    issuer_shell_describe_recovery(board[0].shell, text, sizeof(text));
    assert_string_equal(text, "waits for i2 (up, but has no memory), i3 (up, but has no memory); "
                              "too few issuers have a memory: if the cluster is new: --init here "
                              "and on each that was not begun; if it is lost: --restore, see "
                              "holdfastd(8)");
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(shells_grant_by_their_callbacks_alone),
        TEST(reader_is_told_once_that_a_majority_confirmed),
        TEST(reader_is_told_once_that_leadership_was_lost),
        TEST(reader_is_not_confirmed_by_a_round_from_before),
        TEST(follower_takes_no_reader),
        cmocka_unit_test(longest_lease_is_by_policy_by_table_or_of_before_it_began_anew),
        TEST(act_is_told_done_once),
        TEST(act_that_a_next_leader_replaced_is_told_so_once),
        TEST(one_that_was_forgotten_is_not_told),
        TEST(of_several_that_wait_only_the_forgotten_one_is_not_told),
        TEST(store_that_fails_halts_the_issuer_and_tells_readers_once),
        TEST(sends_that_fail_are_borne),
        TEST(new_configuration_is_told_when_it_is_for_good),
        TEST(nobody_is_told_of_a_configuration_before_it_is_for_good),
        TEST(act_that_the_lease_rules_refuse_has_its_reason),
        TEST(role_and_standing_are_told_when_they_change),
        TEST(timer_is_armed_for_the_instant_at_which_the_replica_wakes),
        TEST(board_over_its_budget_is_told),
        TEST(issuers_tell_each_other_how_their_journals_fare),
        TEST(journal_that_failed_is_known_to_all_and_is_not_slow),
        TEST(word_of_a_new_issuer_takes_the_place_of_one_that_is_gone),
        cmocka_unit_test_setup_teardown(sync_that_was_slow_is_told_when_it_is_done, set_up_quick,
                                        tear_down),
        TEST(nothing_is_granted_or_done_before_a_majority_has_it_on_disk),
        TEST(journal_that_hangs_is_told_while_it_does),
        TEST(log_is_compacted_in_time),
        TEST(rules_are_those_of_the_file),
        TEST(client_is_known_as_up_until_it_is_down),
        TEST(issuer_whose_link_broke_is_in_contact_no_more),
        TEST(watchers_see_what_is_applied_until_they_leave),
        cmocka_unit_test_setup_teardown(issuers_that_nobody_began_have_no_say_and_tell_so,
                                        set_up_blank, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
