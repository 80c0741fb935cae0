/* Three issuers' shells with real stores, and nothing else: this test is their network. */
#include "issuer/issuer_shell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/init.h"
#include "store/disk_file.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

enum { BOARDS = 3, PATIENCE_MS = 30000, ELECTION_MS = 200, TTL_MS = 200, STARTED_MAX = 64 };

struct board {
    char folder[48];
    struct conf conf;
    struct disk_file files;
    bool disk_fails;
    bool cut; /* it is off the network: what it sends, and what is sent to it, is refused */
    struct issuer_shell *shell;
    unsigned members_changes;
    unsigned issuers_told; /* to all */
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
static struct frame *first_frame;
static struct frame **last_frame = &first_frame;
static char folder[32];
static uv_loop_t loop;
static int stderr_fd;

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

static uint64_t now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static void run_once(void)
{
    uv_run(&loop, UV_RUN_ONCE);
    deliver();
}

static void run_while(bool (*wait)(void), uint64_t at_most_ms)
{
    uint64_t end_ms = now_ms() + at_most_ms;
    uv_timer_t tick;
    uv_timer_init(&loop, &tick);
    uv_timer_start(&tick, wake, 1, 1);
    while (wait() && now_ms() < end_ms)
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
    run_while(always, 2 * ELECTION_MS);
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
    snprintf(conf->file, sizeof(conf->file), "%s/holdfast.conf", at->folder);
    snprintf(conf->data_dir, sizeof(conf->data_dir), "%s", at->folder);
    conf->cluster_name = name("line-3");
    conf->election_ms = ELECTION_MS;
    conf->heartbeat_ms = ELECTION_MS / 5;
    conf->drift_ppm = 2000;
    conf->slow_store_ms = 10000;
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
    conf->policy[0].fence_max_ms = TTL_MS;
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

static int set_up(void **state)
{
    (void)state;
    memset(board, 0, sizeof(board));
    strcpy(folder, "/tmp/holdfast-shell-XXXXXX");
    assert_non_null(mkdtemp(folder));
    redirect_log();
    uv_loop_init(&loop);
    for (int i = 0; i < BOARDS; i++) {
        configure(&board[i], i);
        begin(&board[i].conf);
    }
    for (int i = 0; i < BOARDS; i++)
        start(&board[i]);
    run_until(somebody_leads);
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
static struct issuer_reader reader;
static struct issuer_waiting waiting;

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
    reader = (struct issuer_reader){ .on_confirmed = on_confirmed, .context = &reader_told };
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
    waiting = (struct issuer_waiting){ .on_outcome = on_outcome, .context = &act_told };
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

static void shells_grant_by_their_callbacks_alone(void **state)
{
    const struct hf_name agent = name("agent-a");
    const struct lease_message acquire = { .kind = LEASE_ACQUIRE,
                                           .resource = name("pump"),
                                           .nonce = 7,
                                           .ttl_us = TTL_MS * 1000,
                                           .fence_us = 1000 };
    (void)state;
    asked = leader();
    issuer_shell_client(asked->shell, &agent, true);
    issuer_shell_lease(asked->shell, &agent, &acquire);
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

static void follower_takes_no_reader(void **state)
{
    (void)state;
    struct board *follower = leader() == &board[0] ? &board[1] : &board[0];
    assert_false(start_reading(follower));
    run_on();
    assert_int_equal(reader_told.times, 0);
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
    struct replica_event event = { .kind = REPLICA_PIN, .resource = name("pump") };
    assert_int_equal(operate(asked, &event), RAFT_NOT_LEADER);
}

static void sends_that_fail_are_borne(void **state)
{
    (void)state;
    struct board *old = leader();
    for (int i = 0; i < BOARDS; i++)
        board[i].cut = true;
    run_on();
    for (int i = 0; i < BOARDS; i++)
        board[i].cut = false;
    assert_false(replica_serving(issuer_shell_replica(old->shell)));
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
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(shells_grant_by_their_callbacks_alone),
        TEST(reader_is_told_once_that_a_majority_confirmed),
        TEST(reader_is_told_once_that_leadership_was_lost),
        TEST(follower_takes_no_reader),
        TEST(act_is_told_done_once),
        TEST(act_that_a_next_leader_replaced_is_told_so_once),
        TEST(one_that_was_forgotten_is_not_told),
        TEST(store_that_fails_halts_the_issuer_and_tells_readers_once),
        TEST(sends_that_fail_are_borne),
        TEST(new_configuration_is_told_when_it_is_for_good),
        TEST(issuers_tell_each_other_how_their_journals_fare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
