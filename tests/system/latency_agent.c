/*
 * The agent's part when the guard's latency is measured, and a look at how late a process wakes:
 *
 *   permits RUN NODE SECONDS LEAST_US MOST_US
 *       Keeps "pump" driven, and lets permits of "valve" run out, one after the other, each LEAST_US
 *       to MOST_US long. Prints "drop SENT_NS DEADLINE_NS" for each, then "faults N", the number of
 *       faults that it cleared, and "guard WORST_US SCHEDULE_ERRNO MEMORY_ERRNO", the guard's own word.
 *   kills RUN NODE COUNT
 *       Has both driven by an agent that is killed; prints "kill NS" for each.
 *   wakes PRIORITY SECONDS [CTL_SOCKET]
 *       Wakes each 7.3 ms, as SCHED_FIFO where permitted. With the control socket of a bench, sends it
 *       a mark with the present instant, whose place in the trace tells how late the bench looked.
 *       Prints "wake NS" for each, by how much it was late.
 *
 * Instants are of CLOCK_MONOTONIC_RAW. RUN/guard.sock is the guard's. Exit status 0, 1 after a failure,
 * 2 for wrong usage. It runs on an emulated board as well, linked statically.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "guard/guard_message.h"

enum {
    NS_PER_S = 1000000000,
    PERIOD_NS = 7300000,
    RENEW_US = 100000,
    KILLED_AFTER_US = 20000, /* at the latest, once both are driven */
    KILLER_PRIORITY = 60,
    HANG_MS = 20000, /* without a word from the guard: only bounds a hang */
    CONNECT_TRIES = 1000
};

enum { PUMP, VALVE, RESOURCES };
static const char *const names[RESOURCES] = { "pump", "valve" };

struct resource {
    struct guard_message status; /* the last one; kind 0: none yet */
    uint64_t asked;              /* token of the permit under way; 0: none */
    int64_t sent_ns;
    int64_t deadline_us;
};

struct agent {
    int fd;
    struct resource resource[RESOURCES];
    unsigned faults; /* cleared */
};

_Noreturn void hf_panic(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
    abort();
}

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "latency-agent: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static int64_t raw_ns(void)
{
    return now_ns(CLOCK_MONOTONIC_RAW);
}

static void pause_us(long us)
{
    struct timespec span = { us / 1000000, us % 1000000 * 1000 };
    nanosleep(&span, NULL);
}

/* Only for itself: what it forks is ordinary again. Without the privilege it goes on as it is. */
static void take_precedence(int priority)
{
    const struct sched_param parameter = { .sched_priority = priority };
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    if (mlockall(MCL_CURRENT) != 0 ||
        sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameter) != 0)
        fprintf(stderr, "latency-agent: not real-time: %s\n", strerror(errno));
}

/* ---- the guard's socket */

static int connect_to(const char *path, int type)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        fail(path);
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    /* Who was just started may not listen yet. */
    for (int tries = 1; fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0;
         tries++) {
        if (fd < 0 || tries == CONNECT_TRIES)
            fail(path);
        pause_us(10000);
    }
    return fd;
}

static void say(const struct agent *agent, enum guard_message_kind kind, const char *name,
                uint64_t token, int64_t deadline_us)
{
    struct guard_message message;
    guard_message_init(&message, kind);
    if (!name_from_string(&message.name, name)) {
        errno = EINVAL;
        fail(name);
    }
    message.token = token;
    message.deadline_us = deadline_us;
    for (int i = 0; i < RESOURCES; i++)
        if (strcmp(name, names[i]) == 0)
            message.terms = agent->resource[i].status.terms;
    if (send(agent->fd, &message, sizeof(message), MSG_NOSIGNAL) != (ssize_t)sizeof(message))
        fail("the guard's socket");
}

static void take(struct agent *agent, const struct guard_message *message)
{
    for (int i = 0; i < RESOURCES; i++) {
        struct resource *resource = &agent->resource[i];
        if (strcmp(message->name.text, names[i]) != 0)
            continue;
        if (message->kind == GUARD_STATUS)
            resource->status = *message;
        else if (message->kind == GUARD_REFUSED && message->token == resource->asked)
            resource->asked = 0;
    }
}

/* Waits for a word of the guard, at most so long, and takes all that is there. */
static void listen_for(struct agent *agent, int timeout_ms)
{
    struct guard_message message;
    struct pollfd waited = { .fd = agent->fd, .events = POLLIN };
    int ready = poll(&waited, 1, timeout_ms);
    if (ready == 0 && timeout_ms == HANG_MS) {
        errno = ETIMEDOUT;
        fail("the guard");
    }
    while (ready > 0) {
        ssize_t got = recv(agent->fd, &message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0 || guard_message_check(&message, (size_t)got) != NULL)
            fail("the guard's socket");
        take(agent, &message);
    }
}

/* Until the guard has told all of both resources. */
static void join(struct agent *agent, const char *run_dir, const char *node)
{
    char path[256];
    memset(agent, 0, sizeof(*agent));
    snprintf(path, sizeof(path), "%s/guard.sock", run_dir);
    agent->fd = connect_to(path, SOCK_SEQPACKET);
    say(agent, GUARD_HELLO, node, 0, 0);
    while (agent->resource[PUMP].status.kind == 0 || agent->resource[VALVE].status.kind == 0)
        listen_for(agent, HANG_MS);
}

static void permit(struct agent *agent, int index, uint64_t token, int64_t ahead_us)
{
    struct resource *resource = &agent->resource[index];
    resource->asked = token;
    resource->sent_ns = raw_ns();
    resource->deadline_us = resource->sent_ns / 1000 + ahead_us;
    say(agent, GUARD_PERMIT, names[index], token, resource->deadline_us);
}

static bool is_in(const struct agent *agent, int index, enum guard_state state)
{
    return agent->resource[index].status.state == state;
}

/* A guard that was far too late is in a fault: counted, cleared, and gone on with. */
static void clear_faults(struct agent *agent)
{
    for (int i = 0; i < RESOURCES; i++) {
        if (!is_in(agent, i, GUARD_FAULT))
            continue;
        say(agent, GUARD_CLEAR_FAULT, names[i], 0, 0);
        agent->resource[i].asked = 0;
        agent->faults++;
        while (is_in(agent, i, GUARD_FAULT) || is_in(agent, i, GUARD_DROPPING))
            listen_for(agent, HANG_MS);
    }
}

/* ---- permits that run out */

static void keep_pump(struct agent *agent)
{
    const struct resource *pump = &agent->resource[PUMP];
    int64_t ttl_us = pump->status.terms.ttl_us;
    if (is_in(agent, PUMP, GUARD_SAFE) && pump->asked <= pump->status.token)
        permit(agent, PUMP, pump->status.token + 1, ttl_us);
    else if (is_in(agent, PUMP, GUARD_DRIVING) && raw_ns() / 1000 - pump->sent_ns / 1000 > RENEW_US)
        permit(agent, PUMP, pump->status.token, ttl_us);
}

/* The one that was asked for has run out once the guard is safe with its token. */
static void turn_valve(struct agent *agent, long least_us, long most_us, bool more)
{
    struct resource *valve = &agent->resource[VALVE];
    if (!is_in(agent, VALVE, GUARD_SAFE))
        return;
    if (valve->asked != 0 && valve->asked == valve->status.token)
        printf("drop %" PRId64 " %" PRId64 "\n", valve->sent_ns, valve->deadline_us * 1000);
    else if (valve->asked > valve->status.token)
        return; /* not heard of yet */
    valve->asked = 0;
    if (more)
        permit(agent, VALVE, valve->status.token + 1,
               least_us + random() % (most_us - least_us + 1));
}

static int do_permits(const char *run_dir, const char *node, int seconds, long least_us,
                      long most_us)
{
    static struct agent agent;
    join(&agent, run_dir, node);
    int64_t until_ns = raw_ns() + (int64_t)seconds * NS_PER_S;
    while (raw_ns() < until_ns || agent.resource[VALVE].asked != 0) {
        clear_faults(&agent);
        keep_pump(&agent);
        turn_valve(&agent, least_us, most_us, raw_ns() < until_ns);
        listen_for(&agent, RENEW_US / 4000);
    }
    const struct guard_message *last = &agent.resource[VALVE].status;
    printf("faults %u\nguard %" PRId64 " %u %u\n", agent.faults, last->lateness_worst_us,
           last->schedule_error, last->memory_error);
    return EXIT_SUCCESS;
}

/* ---- agents that are killed */

static _Noreturn void drive_until_killed(const char *run_dir, const char *node, int told)
{
    static struct agent agent;
    prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
    join(&agent, run_dir, node);
    while (!is_in(&agent, PUMP, GUARD_DRIVING) || !is_in(&agent, VALVE, GUARD_DRIVING)) {
        clear_faults(&agent);
        for (int i = 0; i < RESOURCES; i++) {
            const struct guard_message *status = &agent.resource[i].status;
            if (is_in(&agent, i, GUARD_SAFE) && agent.resource[i].asked <= status->token)
                permit(&agent, i, status->token + 1, status->terms.ttl_us);
        }
        listen_for(&agent, HANG_MS);
    }
    if (write(told, "", 1) != 1)
        fail("pipe");
    for (;;)
        listen_for(&agent, HANG_MS);
}

static int do_kills(const char *run_dir, const char *node, int count)
{
    take_precedence(KILLER_PRIORITY);
    for (int i = 0; i < count; i++) {
        int told[2];
        char byte;
        if (pipe(told) != 0)
            fail("pipe");
        pid_t child = fork();
        if (child < 0)
            fail("fork");
        if (child == 0)
            drive_until_killed(run_dir, node, told[1]);
        close(told[1]);
        bool drives = read(told[0], &byte, 1) == 1;
        close(told[0]);
        pause_us(random() % KILLED_AFTER_US);
        int64_t at_ns = raw_ns();
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        if (!drives)
            return EXIT_FAILURE; /* the child has said why */
        printf("kill %" PRId64 "\n", at_ns);
        /* The next child would have the same buffer, and print it again. */
        fflush(stdout);
    }
    return EXIT_SUCCESS;
}

/* ---- wake-ups */

static int64_t wake(int64_t due_ns)
{
    struct timespec at = { due_ns / NS_PER_S, (long)(due_ns % NS_PER_S) };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        ;
    return now_ns(CLOCK_MONOTONIC) - due_ns;
}

static void mark(int bench)
{
    char text[64];
    int length = snprintf(text, sizeof(text), "mark %" PRId64 "\n", raw_ns());
    if (send(bench, text, (size_t)length, MSG_NOSIGNAL) != length)
        fail("the bench");
    while (recv(bench, text, sizeof(text), MSG_DONTWAIT) > 0)
        ; /* its "ok" to earlier ones */
}

static int do_wakes(int priority, int seconds, const char *control)
{
    size_t count = (size_t)seconds * NS_PER_S / PERIOD_NS;
    int64_t *late_ns = calloc(count + 1, sizeof(*late_ns));
    int bench = control != NULL ? connect_to(control, SOCK_STREAM) : -1;
    if (late_ns == NULL)
        fail("memory");
    take_precedence(priority);
    int64_t due_ns = now_ns(CLOCK_MONOTONIC);
    for (size_t i = 0; i < count; i++) {
        due_ns += PERIOD_NS;
        late_ns[i] = wake(due_ns);
        if (bench >= 0)
            mark(bench);
        due_ns += late_ns[i] > PERIOD_NS ? late_ns[i] : 0;
    }
    for (size_t i = 0; i < count; i++)
        printf("wake %" PRId64 "\n", late_ns[i]);
    free(late_ns);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "permits") == 0 && argc == 7)
        return do_permits(argv[2], argv[3], atoi(argv[4]), atol(argv[5]), atol(argv[6]));
    if (strcmp(verb, "kills") == 0 && argc == 5)
        return do_kills(argv[2], argv[3], atoi(argv[4]));
    if (strcmp(verb, "wakes") == 0 && (argc == 4 || argc == 5))
        return do_wakes(atoi(argv[2]), atoi(argv[3]), argv[4]);
    fprintf(stderr, "usage: latency-agent permits RUN NODE SECONDS LEAST_US MOST_US\n"
                    "       latency-agent kills RUN NODE COUNT\n"
                    "       latency-agent wakes PRIORITY SECONDS [CTL_SOCKET]\n");
    return 2;
}
