/*
 * The real holdfast-guard against a small bench and an agent, both played by this test.
 * HOLDFAST_BIN names the folder of the program; without it the tests are skipped.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "client/holdfast.h"
#include "guard/guard_message.h"
#include "hal/clock.h"
#include "tests/unit/hal/fake_bench.h"
#include "tests/unit/support/folder.h"

struct fixture {
    char folder[64];
    char run[80]; /* the folder, but for a test of its own */
    char conf[96];
    char page[96];
    char program[256];
    struct fake_bench bench;
    pid_t guard;
    int agent;
    int lock; /* of the record of faults, by a test of its own */
};

static struct guard_terms terms; /* as the agent says: the guard's, but for a test of its own */

static const char conf_text[] =
    "node = { id = \"board-a\"; data_dir = \"%s\"; run_dir = \"%s\"; };\n"
    "cluster = { name = \"test\"; issuers = (\n"
    "  { id = \"issuer-1\"; address = \"127.0.0.1:7401\"; },\n"
    "  { id = \"issuer-2\"; address = \"127.0.0.1:7402\"; },\n"
    "  { id = \"issuer-3\"; address = \"127.0.0.1:7403\"; } ); };\n"
    "tls = { ca = \"ca.crt\"; cert = \"a.crt\"; key = \"a.key\"; };\n"
    "timing = { heartbeat_ms = 50; election_ms = 300; drift_ppm = 2000; };\n"
    "agent = { resources = ( { name = \"pump\"; ttl_ms = 3000; release_ms = 800;\n"
    "  outputs = ( { name = \"enable\"; %s chip = \"sim\"; line = 1; %s } ); } ); };\n"
    "watchdog = { device = \"sim\"; timeout_ms = 2000; };\n"
    "hal = { backend = \"sim\"; socket = \"%s\"; };\n";

static const char gpio_keys[] = "kind = \"gpio\"; covers = \"process\";";
static const char gpio_readback[] = "readback = { chip = \"sim\"; line = 2; within_ms = 500; };";
static const char level_keys[] = "kind = \"gpio\"; covers = \"kernel\"; reset_ms = 100;";
static const char pulse_keys[] = "kind = \"pulse\"; rate_hz = 100; hold_ms = 60;";

static void write_conf(struct fixture *f, const char *kind, const char *readback)
{
    FILE *file = fopen(f->conf, "w");
    assert_non_null(file);
    fprintf(file, conf_text, f->folder, f->run, kind, readback, f->bench.path);
    fclose(file);
}

static pid_t start_program(struct fixture *f)
{
    pid_t child = fork();
    if (child == 0) {
        char log[96];
        snprintf(log, sizeof(log), "%s/guard.log", f->folder);
        if (freopen(log, "a", stderr) == NULL)
            _exit(126);
        execl(f->program, f->program, "-c", f->conf, "-f", (char *)NULL);
        _exit(127);
    }
    return child;
}

static int exit_status(pid_t child)
{
    int status = -1;
    for (int tries = 0; tries < 5000; tries++) {
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        nap_ms(1);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    fail_msg("the guard did not end within 5 s");
    return -1;
}

/* -1 if nobody listens. */
static int agent_connect(struct fixture *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval limit = { 5, 0 };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/guard.sock", f->folder);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static void agent_say(int fd, enum guard_message_kind kind, const char *name, uint64_t token,
                      int64_t ahead_ms)
{
    struct guard_message message;
    guard_message_init(&message, kind);
    assert_true(name_from_string(&message.name, name));
    message.token = token;
    message.terms = terms;
    if (kind == GUARD_PERMIT)
        message.deadline_us = hal_clock_now().us + ahead_ms * 1000;
    assert_int_equal(send(fd, &message, sizeof(message), MSG_NOSIGNAL), sizeof(message));
}

/* The next message of this kind and, for a status, in this state. False at the connection's end. */
static bool agent_hear(int fd, enum guard_message_kind kind, int state, struct guard_message *out)
{
    for (int i = 0; i < 2000; i++) {
        if (recv(fd, out, sizeof(*out), 0) != (ssize_t)sizeof(*out))
            return false;
        assert_null(guard_message_check(out, sizeof(*out)));
        if (out->kind == kind && (kind != GUARD_STATUS || out->state == state))
            return true;
    }
    return false;
}

/* The guard has ended this connection. */
static bool agent_hung_up(int fd)
{
    struct guard_message message;
    ssize_t got = 1;
    while (got > 0)
        got = recv(fd, &message, sizeof(message), 0);
    return got == 0 || errno == ECONNRESET;
}

static int agent_join(struct fixture *f)
{
    struct guard_message message;
    int fd = -1;
    for (int tries = 0; tries < 5000 && fd < 0; tries++) {
        fd = agent_connect(f);
        if (fd < 0)
            nap_ms(1);
    }
    assert_true(fd >= 0);
    agent_say(fd, GUARD_HELLO, "board-a", 0, 0);
    assert_true(agent_hear(fd, GUARD_HELLO, 0, &message));
    assert_int_equal(message.pid, f->guard);
    assert_true(agent_hear(fd, GUARD_STATUS, GUARD_SAFE, &message));
    terms = message.terms;
    return fd;
}

static void start_guard(struct fixture *f, const char *kind, const char *readback)
{
    write_conf(f, kind, readback);
    f->guard = start_program(f);
    f->agent = agent_join(f);
}

static void drive(struct fixture *f, uint64_t token, int64_t ahead_ms)
{
    struct guard_message message;
    agent_say(f->agent, GUARD_PERMIT, "pump", token, ahead_ms);
    assert_true(agent_hear(f->agent, GUARD_STATUS, GUARD_DRIVING, &message));
    assert_int_equal(message.token, token);
    AWAIT(&f->bench, f->bench.level);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const char *folder = getenv("HOLDFAST_BIN");
    assert_non_null(f);
    *state = f;
    f->agent = -1;
    f->lock = -1;
    snprintf(f->program, sizeof(f->program), "%s/holdfast-guard", folder != NULL ? folder : "");
    if (folder == NULL || access(f->program, X_OK) != 0)
        return 0;
    strcpy(f->folder, "/tmp/holdfast-guard-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    strcpy(f->run, f->folder);
    snprintf(f->conf, sizeof(f->conf), "%s/holdfast.conf", f->folder);
    snprintf(f->page, sizeof(f->page), "%s/lease.page", f->folder);
    fake_bench_open(&f->bench, f->folder);
    return 0;
}

/* What a guard that was killed had latched is still being written: the writer has the lock. */
static void await_writer(const struct fixture *f)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/faults.lock", f->folder);
    int lock = open(path, O_RDWR | O_CLOEXEC);
    if (lock < 0)
        return;
    assert_int_equal(flock(lock, LOCK_EX), 0);
    close(lock);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    if (f->agent >= 0)
        close(f->agent);
    if (f->lock >= 0)
        close(f->lock);
    if (f->guard > 0) {
        kill(f->guard, SIGKILL);
        waitpid(f->guard, NULL, 0);
    }
    if (f->folder[0] != '\0') {
        fake_bench_close(&f->bench);
        await_writer(f);
        folder_remove(f->folder);
    }
    free(f);
    return 0;
}

#define SKIP_WITHOUT_PROGRAM(f)                                                                    \
    do {                                                                                           \
        if ((f)->folder[0] == '\0') {                                                              \
            print_message("skipped: HOLDFAST_BIN has no holdfast-guard\n");                        \
            skip();                                                                                \
        }                                                                                          \
    } while (0)

static void lost_agent_is_off_and_the_same_token_stays_dropped(void **state)
{
    struct fixture *f = *state;
    struct guard_message message;
    SKIP_WITHOUT_PROGRAM(f);
    start_guard(f, gpio_keys, gpio_readback);
    drive(f, 7, 2500);
    struct instant closed = hal_clock_now();
    close(f->agent);
    AWAIT(&f->bench, !f->bench.level);
    int64_t off_us = instant_diff(hal_clock_now(), closed).us;
    print_message("agent lost to output off: %lld us\n", (long long)off_us);
    assert_true(off_us < 1500000);
    f->agent = agent_join(f);
    agent_say(f->agent, GUARD_PERMIT, "pump", 7, 500);
    assert_true(agent_hear(f->agent, GUARD_REFUSED, 0, &message));
    assert_int_equal(message.refusal, GUARD_REFUSED_TOKEN);
    drive(f, 8, 2500);
}

static void output_is_off_at_the_deadline_with_the_agent_still_there(void **state)
{
    struct fixture *f = *state;
    struct guard_message message;
    SKIP_WITHOUT_PROGRAM(f);
    start_guard(f, gpio_keys, gpio_readback);
    int64_t deadline_us = hal_clock_now().us + 100000;
    drive(f, 7, 100);
    assert_true(agent_hear(f->agent, GUARD_STATUS, GUARD_SAFE, &message));
    assert_true(message.changed_us >= deadline_us);
    assert_int_equal(message.proven, 1);
    pthread_mutex_lock(&f->bench.lock);
    bool level = f->bench.level;
    pthread_mutex_unlock(&f->bench.lock);
    assert_false(level);
}

static void page_says_what_the_guard_does(void **state)
{
    struct fixture *f = *state;
    struct hf_page *page = NULL;
    uint64_t token = 0;
    SKIP_WITHOUT_PROGRAM(f);
    start_guard(f, gpio_keys, gpio_readback);
    assert_int_equal(hf_open(f->page, &page), HF_OK);
    assert_false(hf_lease_valid(page, "pump", NULL, NULL));
    drive(f, 7, 2500);
    assert_true(hf_lease_valid(page, "pump", &token, NULL));
    assert_int_equal(token, 7);
    kill(f->guard, SIGKILL);
    waitpid(f->guard, NULL, 0);
    f->guard = 0;
    assert_false(hf_lease_valid(page, "pump", NULL, NULL));
    assert_true(hf_page_stale(page));
    hf_close(page);
}

static void malformed_message_closes_and_drops(void **state)
{
    struct fixture *f = *state;
    SKIP_WITHOUT_PROGRAM(f);
    start_guard(f, gpio_keys, gpio_readback);
    drive(f, 7, 2500);
    assert_int_equal(send(f->agent, "nonsense", 8, MSG_NOSIGNAL), 8);
    assert_true(agent_hung_up(f->agent));
    AWAIT(&f->bench, !f->bench.level);
    close(f->agent);
    f->agent = agent_join(f);
    drive(f, 8, 2500);
}

static void only_a_proper_hello_replaces_the_agent(void **state)
{
    struct fixture *f = *state;
    SKIP_WITHOUT_PROGRAM(f);
    start_guard(f, gpio_keys, gpio_readback);
    drive(f, 7, 2500);
    int stranger = agent_connect(f);
    assert_true(stranger >= 0);
    agent_say(stranger, GUARD_HELLO, "board-b", 0, 0);
    assert_true(agent_hung_up(stranger));
    close(stranger);
    AWAIT(&f->bench, f->bench.level);
    int second = agent_join(f);
    assert_true(agent_hung_up(f->agent));
    AWAIT(&f->bench, !f->bench.level);
    close(f->agent);
    f->agent = second;
    drive(f, 8, 2500);
}

/* As on a chip that goes on driving a line whose guard was killed, while that one's writer hangs. */
static void a_start_that_waits_for_an_earlier_writer_has_its_lines_off(void **state)
{
    struct fixture *f = *state;
    char path[96];
    SKIP_WITHOUT_PROGRAM(f);
    snprintf(path, sizeof(path), "%s/faults.lock", f->folder);
    f->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(f->lock, LOCK_EX | LOCK_NB), 0);
    pthread_mutex_lock(&f->bench.lock);
    f->bench.level = true;
    pthread_mutex_unlock(&f->bench.lock);
    write_conf(f, gpio_keys, gpio_readback);
    f->guard = start_program(f);
    AWAIT(&f->bench, !f->bench.level && f->bench.hello[0] != '\0');
    assert_int_equal(agent_connect(f), -1);
    assert_int_equal(f->bench.armed_ms, 0);
    close(f->lock);
    f->lock = -1;
    f->agent = agent_join(f);
    AWAIT(&f->bench, f->bench.armed_ms != 0);
    drive(f, 7, 2500);
}

static bool log_has(const struct fixture *f, const char *text)
{
    char path[96];
    char line[512];
    bool found = false;
    snprintf(path, sizeof(path), "%s/guard.log", f->folder);
    FILE *log = fopen(path, "r");
    assert_non_null(log);
    while (!found && fgets(line, sizeof(line), log) != NULL)
        found = strstr(line, text) != NULL;
    fclose(log);
    return found;
}

/* It answers before it writes its log. */
static bool log_gets(const struct fixture *f, const char *text)
{
    bool found = false;
    for (int tries = 0; tries < 5000 && !found; tries++, nap_ms(1))
        found = log_has(f, text);
    return found;
}

static void end_guard(struct fixture *f)
{
    close(f->agent);
    f->agent = -1;
    kill(f->guard, SIGKILL);
    waitpid(f->guard, NULL, 0);
    f->guard = 0;
    AWAIT(&f->bench, f->bench.fd < 0);
}

/* By what the kernel itself leaves in the page of a guard that dies. */
static void s1_a_guard_that_was_killed_keeps_one_with_other_lines_from_starting(void **state)
{
    struct fixture *f = *state;
    SKIP_WITHOUT_PROGRAM(f);
    start_guard(f, level_keys, gpio_readback);
    drive(f, 7, 2500);
    end_guard(f);
    write_conf(f, level_keys, "active_low = true;");
    f->guard = start_program(f);
    int status = exit_status(f->guard);
    f->guard = 0;
    assert_int_not_equal(status, 0);
    assert_true(log_has(f, "had other lines (chip, line, active_low) than this file"));
    start_guard(f, level_keys, gpio_readback);
}

static void s1_agent_of_another_configuration_gets_no_edge_and_both_numbers_are_told(void **state)
{
    struct fixture *f = *state;
    struct guard_message message;
    SKIP_WITHOUT_PROGRAM(f);
    start_guard(f, pulse_keys, "");
    const struct guard_terms own = terms;
    assert_int_equal(own.fence_us, 60000);
    assert_int_equal(own.ttl_us, 3000000);
    assert_int_equal(own.release_us, 800000);
    terms.fence_us = 20000;
    agent_say(f->agent, GUARD_TERMS, "pump", 0, 0);
    assert_true(agent_hear(f->agent, GUARD_REFUSED, 0, &message));
    assert_int_equal(message.refusal, GUARD_REFUSED_TERMS);
    assert_true(log_gets(f, "pump: agent refused: fence latency is 60 ms by the guard's "
                            "configuration, 20 ms by the agent's: restart both with one file"));
    agent_say(f->agent, GUARD_PERMIT, "pump", 7, 2000);
    assert_true(agent_hear(f->agent, GUARD_REFUSED, 0, &message));
    assert_int_equal(message.refusal, GUARD_REFUSED_TERMS);
    agent_say(f->agent, GUARD_TERMS, "fan", 0, 0);
    assert_true(agent_hear(f->agent, GUARD_REFUSED, 0, &message));
    assert_int_equal(message.refusal, GUARD_REFUSED_UNKNOWN);
    assert_true(log_gets(f, "fan: agent refused: no such resource on this board: restart both"));
    terms = own;
    terms.digest++;
    agent_say(f->agent, GUARD_PERMIT, "pump", 8, 2000);
    assert_true(agent_hear(f->agent, GUARD_REFUSED, 0, &message));
    assert_true(log_gets(f, "outputs or watchdog are configured otherwise"));
    assert_true(agent_hear(f->agent, GUARD_STATUS, GUARD_SAFE, &message));
    assert_int_equal(message.token, 0);
    pthread_mutex_lock(&f->bench.lock);
    bool level = f->bench.level;
    pthread_mutex_unlock(&f->bench.lock);
    assert_false(level);
    terms = own;
    agent_say(f->agent, GUARD_PERMIT, "pump", 7, 2000);
    assert_true(agent_hear(f->agent, GUARD_STATUS, GUARD_DRIVING, &message));
}

static void stuck_readback_is_a_fault_and_starves_the_watchdog(void **state)
{
    struct fixture *f = *state;
    struct guard_message message;
    SKIP_WITHOUT_PROGRAM(f);
    start_guard(f, gpio_keys, gpio_readback);
    drive(f, 7, 2500);
    AWAIT(&f->bench, f->bench.armed_ms == 2000);
    pthread_mutex_lock(&f->bench.lock);
    f->bench.held = true;
    pthread_mutex_unlock(&f->bench.lock);
    agent_say(f->agent, GUARD_DROP, "pump", 7, 0);
    assert_true(agent_hear(f->agent, GUARD_STATUS, GUARD_FAULT, &message));
    assert_int_equal(message.fault, GUARD_FAULT_STUCK_ON);
    assert_int_equal(message.watchdog, 2);
}

static void pulse_output_is_toggled_while_driving_only(void **state)
{
    struct fixture *f = *state;
    struct guard_message message;
    SKIP_WITHOUT_PROGRAM(f);
    start_guard(f, pulse_keys, "");
    agent_say(f->agent, GUARD_PERMIT, "pump", 7, 2500);
    AWAIT(&f->bench, f->bench.edges >= 20 && f->bench.feeds >= 0);
    agent_say(f->agent, GUARD_DROP, "pump", 7, 0);
    assert_true(agent_hear(f->agent, GUARD_STATUS, GUARD_SAFE, &message));
    /* Off is silence, at whatever level: a feed comes, and no edge with it. */
    int feeds = f->bench.feeds;
    AWAIT(&f->bench, f->bench.feeds > feeds);
    int edges = f->bench.edges;
    AWAIT(&f->bench, f->bench.feeds > feeds + 1);
    assert_int_equal(f->bench.edges, edges);
}

/* As `uid`: says hello; 0 if the guard answers it, 1 if it hangs up, 2 without a connection. */
static int greet_as(struct fixture *f, uid_t uid)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct guard_message message;
        if (setgroups(0, NULL) != 0 || setresgid(uid, uid, uid) != 0 ||
            setresuid(uid, uid, uid) != 0)
            _exit(3);
        int fd = agent_connect(f);
        if (fd < 0)
            _exit(2);
        guard_message_init(&message, GUARD_HELLO);
        if (!name_from_string(&message.name, "board-a") ||
            send(fd, &message, sizeof(message), MSG_NOSIGNAL) != (ssize_t)sizeof(message))
            _exit(1);
        _exit(agent_hear(fd, GUARD_HELLO, 0, &message) ? 0 : 1);
    }
    return exit_status(child);
}

static void owner_of_the_run_directory_may_connect_and_no_other_user(void **state)
{
    enum { OWNER = 64001, STRANGER = 64002 };
    struct fixture *f = *state;
    char path[96];
    SKIP_WITHOUT_PROGRAM(f);
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(f->folder, 0755), 0);
    assert_int_equal(chown(f->folder, OWNER, (gid_t)-1), 0);
    start_guard(f, gpio_keys, gpio_readback);
    assert_int_equal(greet_as(f, OWNER), 0);
    assert_int_equal(greet_as(f, STRANGER), 2);
    /* With the file's mode out of the way, the peer's uid still tells. */
    snprintf(path, sizeof(path), "%s/guard.sock", f->folder);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(greet_as(f, STRANGER), 1);
}

/* The number behind this word in the limits that are shipped for the guard's user. */
static rlim_t shipped_limit(const char *word)
{
    char line[128];
    unsigned long long number = 0;
    FILE *file = fopen("firmware/limits/holdfast.conf", "r");
    assert_non_null(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *at = strncmp(line, "holdfast-guard", 14) == 0 ? strstr(line, word) : NULL;
        if (at != NULL)
            number = strtoull(at + strlen(word), NULL, 10);
    }
    fclose(file);
    assert_true(number > 0);
    return (rlim_t)number;
}

/* False where this machine does not let the test have so much. */
static bool take_limit(__rlimit_resource_t resource, rlim_t number)
{
    struct rlimit limit = { number, number };
    return setrlimit(resource, &limit) == 0;
}

static bool may_have_limits(rlim_t priority, rlim_t memory)
{
    pid_t child = fork();
    if (child == 0)
        _exit(take_limit(RLIMIT_RTPRIO, priority) && take_limit(RLIMIT_MEMLOCK, memory) ? 0 : 1);
    return exit_status(child) == 0;
}

/* The program is opened before, since the other user may not be let into its folder. */
static void start_as(struct fixture *f, uid_t uid, rlim_t priority, rlim_t memory)
{
    char log[96];
    snprintf(log, sizeof(log), "%s/guard.log", f->folder);
    f->guard = fork();
    if (f->guard == 0) {
        char *const arguments[] = { f->program, "-c", f->conf, "-f", NULL };
        int program = open(f->program, O_RDONLY | O_CLOEXEC);
        if (freopen(log, "w", stderr) == NULL || !take_limit(RLIMIT_RTPRIO, priority) ||
            !take_limit(RLIMIT_MEMLOCK, memory) || setgroups(0, NULL) != 0 ||
            setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0)
            _exit(126);
        fexecve(program, arguments, environ);
        _exit(127);
    }
    f->agent = agent_join(f);
}

static void ordinary_user_with_the_shipped_limits_is_real_time(void **state)
{
    enum { USER = 64001 };
    struct fixture *f = *state;
    SKIP_WITHOUT_PROGRAM(f);
#ifdef __SANITIZE_ADDRESS__
    print_message("skipped: the sanitizer's own memory would have to be locked\n");
    skip();
#endif
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(f->folder, USER, (gid_t)-1), 0);
    assert_int_equal(chmod(f->bench.path, 0666), 0);
    write_conf(f, gpio_keys, gpio_readback);
    rlim_t priority = shipped_limit("rtprio");
    rlim_t memory = shipped_limit("memlock") * 1024;
    start_as(f, USER, 0, memory);
    assert_true(log_has(f, "not real-time: SCHED_FIFO: Operation not permitted; mlockall: ok"));
    end_guard(f);
    if (!may_have_limits(priority, memory)) {
        print_message("SCHED_FIFO: skipped, RLIMIT_RTPRIO can't be raised here\n");
        return;
    }
    start_as(f, USER, priority, memory);
    assert_false(log_has(f, "not real-time"));
}

/* The kernel gives what stands in /proc of a process without a core to root. */
static void a_guard_leaves_no_core(void **state)
{
    enum { USER = 64001 };
    struct fixture *f = *state;
    struct stat info;
    char path[64];
    SKIP_WITHOUT_PROGRAM(f);
    if (geteuid() != 0) {
        print_message("skipped: needs another user, so root\n");
        skip();
    }
    assert_int_equal(chown(f->folder, USER, (gid_t)-1), 0);
    assert_int_equal(chmod(f->bench.path, 0666), 0);
    write_conf(f, gpio_keys, gpio_readback);
    start_as(f, USER, 0, shipped_limit("memlock") * 1024);
    snprintf(path, sizeof(path), "/proc/%d/status", (int)f->guard);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_uid, 0);
}

static void second_guard_is_refused(void **state)
{
    struct fixture *f = *state;
    SKIP_WITHOUT_PROGRAM(f);
    start_guard(f, gpio_keys, gpio_readback);
    drive(f, 7, 2500);
    assert_int_equal(exit_status(start_program(f)), 1);
    agent_say(f->agent, GUARD_PERMIT, "pump", 7, 2500);
    AWAIT(&f->bench, f->bench.level);
}

static void termination_proves_off_and_stops_the_watchdog(void **state)
{
    struct fixture *f = *state;
    struct hf_page *page = NULL;
    SKIP_WITHOUT_PROGRAM(f);
    start_guard(f, gpio_keys, gpio_readback);
    drive(f, 7, 2500);
    assert_int_equal(hf_open(f->page, &page), HF_OK);
    kill(f->guard, SIGTERM);
    int status = exit_status(f->guard);
    f->guard = 0;
    assert_int_equal(status, 0);
    AWAIT(&f->bench, !f->bench.level && f->bench.watchdog_stopped);
    assert_true(hf_page_stale(page));
    hf_close(page);
}

/* Standard error is a pipe whose reader is gone, as when the collector of logs restarts. */
static void guard_outlives_the_reader_of_its_log(void **state)
{
    struct fixture *f = *state;
    struct guard_message message;
    int ends[2];
    SKIP_WITHOUT_PROGRAM(f);
    write_conf(f, gpio_keys, gpio_readback);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    f->guard = fork();
    if (f->guard == 0) {
        signal(SIGPIPE, SIG_DFL);
        if (dup2(ends[1], STDERR_FILENO) < 0)
            _exit(126);
        execl(f->program, f->program, "-c", f->conf, "-f", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    f->agent = agent_join(f);
    close(ends[0]);
    drive(f, 7, 2500);
    agent_say(f->agent, GUARD_PERMIT, "pump", 6, 2500);
    assert_true(agent_hear(f->agent, GUARD_REFUSED, 0, &message));
    agent_say(f->agent, GUARD_PERMIT, "pump", 5, 2500);
    assert_true(agent_hear(f->agent, GUARD_REFUSED, 0, &message));
    AWAIT(&f->bench, f->bench.level);
}

/* In a mount namespace of its own; status 99 where none may be made. */
static pid_t start_in_full_folder(struct fixture *f)
{
    pid_t child = fork();
    if (child == 0) {
        char file[96];
        static const char bytes[65536];
        if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("none", f->run, "tmpfs", 0, "size=8k,mode=0755") != 0)
            _exit(99);
        snprintf(file, sizeof(file), "%s/fill", f->run);
        int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        while (fd >= 0 && write(fd, bytes, sizeof(bytes)) > 0)
            continue;
        snprintf(file, sizeof(file), "%s/guard.log", f->folder);
        if (freopen(file, "a", stderr) == NULL)
            _exit(126);
        execl(f->program, f->program, "-c", f->conf, "-f", (char *)NULL);
        _exit(127);
    }
    return child;
}

static void run_directory_without_room_for_the_page_is_told(void **state)
{
    struct fixture *f = *state;
    SKIP_WITHOUT_PROGRAM(f);
    if (geteuid() != 0)
        skip();
    snprintf(f->run, sizeof(f->run), "%s/run", f->folder);
    assert_int_equal(mkdir(f->run, 0755), 0);
    write_conf(f, gpio_keys, gpio_readback);
    int status = exit_status(start_in_full_folder(f));
    assert_int_equal(rmdir(f->run), 0);
    if (status == 99)
        skip();
    assert_int_equal(status, 1);
    assert_true(log_gets(f, "lease.page.new: can't be made: No space left on device"));
}

static void lost_bench_is_a_fault(void **state)
{
    struct fixture *f = *state;
    struct guard_message message;
    SKIP_WITHOUT_PROGRAM(f);
    start_guard(f, gpio_keys, gpio_readback);
    drive(f, 7, 2500);
    fake_bench_hang_up(&f->bench);
    assert_true(agent_hear(f->agent, GUARD_STATUS, GUARD_FAULT, &message));
    assert_int_equal(message.fault, GUARD_FAULT_OUTPUT_IO);
}

static void wrong_options_and_files_have_their_exit_statuses(void **state)
{
    struct fixture *f = *state;
    char command[512];
    SKIP_WITHOUT_PROGRAM(f);
    snprintf(command, sizeof(command), "%s --nonsense >/dev/null 2>&1", f->program);
    assert_int_equal(WEXITSTATUS(system(command)), 2);
    snprintf(command, sizeof(command), "%s -c /nonexistent -t >/dev/null 2>&1", f->program);
    assert_int_equal(WEXITSTATUS(system(command)), 78);
    snprintf(command, sizeof(command), "%s --version >/dev/null", f->program);
    assert_int_equal(WEXITSTATUS(system(command)), 0);
    write_conf(f, gpio_keys, gpio_readback);
    snprintf(command, sizeof(command), "%s -c %s -t >/dev/null", f->program, f->conf);
    assert_int_equal(WEXITSTATUS(system(command)), 0);
}

/* The bar: the guard's resident memory, everything that it locks included. */
static void resident_memory_is_small(void **state)
{
    struct fixture *f = *state;
    char path[64];
    char line[128];
    long resident_kb = -1;
    SKIP_WITHOUT_PROGRAM(f);
#ifdef __SANITIZE_ADDRESS__
    print_message("skipped: the sanitizer's own memory would be measured\n");
    skip();
#endif
    start_guard(f, pulse_keys, "");
    snprintf(path, sizeof(path), "/proc/%d/status", (int)f->guard);
    FILE *status = fopen(path, "r");
    assert_non_null(status);
    while (fgets(line, sizeof(line), status) != NULL)
        (void)sscanf(line, "VmRSS: %ld", &resident_kb);
    fclose(status);
    print_message("holdfast-guard: %ld KB resident\n", resident_kb);
    assert_in_range(resident_kb, 1, 2048);
}

int main(void)
{
#define PROCESS_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        PROCESS_TEST(lost_agent_is_off_and_the_same_token_stays_dropped),
        PROCESS_TEST(output_is_off_at_the_deadline_with_the_agent_still_there),
        PROCESS_TEST(page_says_what_the_guard_does),
        PROCESS_TEST(malformed_message_closes_and_drops),
        PROCESS_TEST(a_start_that_waits_for_an_earlier_writer_has_its_lines_off),
        PROCESS_TEST(s1_a_guard_that_was_killed_keeps_one_with_other_lines_from_starting),
        PROCESS_TEST(only_a_proper_hello_replaces_the_agent),
        PROCESS_TEST(s1_agent_of_another_configuration_gets_no_edge_and_both_numbers_are_told),
        PROCESS_TEST(stuck_readback_is_a_fault_and_starves_the_watchdog),
        PROCESS_TEST(pulse_output_is_toggled_while_driving_only),
        PROCESS_TEST(owner_of_the_run_directory_may_connect_and_no_other_user),
        PROCESS_TEST(ordinary_user_with_the_shipped_limits_is_real_time),
        PROCESS_TEST(a_guard_leaves_no_core),
        PROCESS_TEST(second_guard_is_refused),
        PROCESS_TEST(termination_proves_off_and_stops_the_watchdog),
        PROCESS_TEST(guard_outlives_the_reader_of_its_log),
        PROCESS_TEST(run_directory_without_room_for_the_page_is_told),
        PROCESS_TEST(lost_bench_is_a_fault),
        PROCESS_TEST(wrong_options_and_files_have_their_exit_statuses),
        PROCESS_TEST(resident_memory_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
