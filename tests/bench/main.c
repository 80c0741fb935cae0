/* holdfast-bench: the simulated plant with its independent witness. See README.md beside this. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include "base/check.h"
#include "tests/bench/actuator.h"
#include "tests/bench/boards.h"
#include "tests/bench/check.h"
#include "tests/bench/config.h"
#include "tests/bench/control.h"
#include "tests/bench/posix.h"

enum { EXIT_USAGE = 2, EXIT_CONFIG = 78, NS_PER_S = 1000000000, LATE_NS = 10000000 };

struct bench {
    struct bench_config config;
    uv_loop_t loop;
    struct plant plant;
    struct boards boards;
    struct control control;
    struct actuator actuators[BENCH_ACTUATORS_MAX];
    int actuators_open;
    int timer_fd;
    int64_t due_ns; /* what the timer is set for */
    uv_poll_t timer;
    uv_check_t after_wake;
    uv_signal_t signals[2];
};

_Noreturn void hf_panic(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
    abort();
}

static void print_usage(FILE *to)
{
    fprintf(to, "usage: holdfast-bench -c FILE [-t] [-f]\n"
                "       holdfast-bench ctl -s CTL_SOCKET COMMAND...\n"
                "       holdfast-bench check TRACE\n"
                "       holdfast-bench --version | --help\n");
}

static int usage(void)
{
    print_usage(stderr);
    return EXIT_USAGE;
}

static int help(void)
{
    print_usage(stdout);
    printf("\nThe simulated plant of a cluster without hardware; see holdfast-bench(1).\n"
           "  -c FILE    the plant: boards, lines, actuators\n"
           "  -t         checks FILE and exits\n"
           "  -f         stays in the foreground, as always\n"
           "  ctl        makes faults in a running bench\n"
           "  check      judges a trace anew; status 1 on any overlap\n"
           "  --version  prints the version and exits\n"
           "  --help     prints this and exits\n");
    return EXIT_SUCCESS;
}

/* ---- the loop */

static void stop_loop(uv_loop_t *loop)
{
    uv_stop(loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

static void on_timer(uv_poll_t *poll, int status, int events)
{
    struct bench *bench = poll->data;
    uint64_t times = 0;
    (void)status;
    (void)events;
    if (read(bench->timer_fd, &times, sizeof times) < 0)
        return;
    /* Nothing is missed by it, but whoever reads the trace should know what to think of its gaps.
     */
    int64_t late_ns = posix_now_ns() - bench->due_ns;
    if (late_ns > LATE_NS) {
        char text[64];
        snprintf(text, sizeof text, "bench late by %d ms", (int)(late_ns / 1000000));
        plant_mark(&bench->plant, text, posix_now_ns());
    }
}

static void set_timer(struct bench *bench)
{
    int64_t next_ns = plant_next_ns(&bench->plant);
    struct itimerspec setting = { .it_value = { .tv_sec = 0 } };
    if (next_ns != WITNESS_FOREVER) {
        /* RAW has no timers: a span of MONOTONIC, checked against RAW again after the wake. */
        int64_t left_ns = next_ns - posix_now_ns();
        left_ns = left_ns < 1 ? 1 : left_ns;
        setting.it_value.tv_sec = left_ns / NS_PER_S;
        setting.it_value.tv_nsec = (long)(left_ns % NS_PER_S);
    }
    bench->due_ns = next_ns;
    (void)timerfd_settime(bench->timer_fd, 0, &setting, NULL);
}

static void on_wake(uv_check_t *check)
{
    struct bench *bench = check->data;
    boards_pump(&bench->boards);
    set_timer(bench);
}

/* ---- start and end */

static bool fail(const char *what, const char *value)
{
    fprintf(stderr, "bench: %s: %s: %s\n", what, value, strerror(errno));
    return false;
}

static bool open_clockwork(struct bench *bench)
{
    static const int numbers[2] = { SIGTERM, SIGINT };
    bench->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (bench->timer_fd < 0)
        return fail("timer", "timerfd_create");
    uv_poll_init(&bench->loop, &bench->timer, bench->timer_fd);
    bench->timer.data = bench;
    uv_poll_start(&bench->timer, UV_READABLE, on_timer);
    uv_check_init(&bench->loop, &bench->after_wake);
    bench->after_wake.data = bench;
    uv_check_start(&bench->after_wake, on_wake);
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&bench->loop, &bench->signals[i]);
        uv_signal_start(&bench->signals[i], on_signal, numbers[i]);
    }
    return true;
}

static bool open_plant(struct bench *bench)
{
    const struct plant_hooks hooks = { .context = &bench->boards,
                                       .readback = boards_tell_readback,
                                       .reset = boards_reset };
    const struct bench_config *config = &bench->config;
    if (!trace_open(&bench->plant.trace, config->trace))
        return fail("trace", config->trace);
    plant_init(&bench->plant, config, &hooks);
    if (!boards_open(&bench->boards, &bench->loop, &bench->plant))
        return fail("socket", config->socket);
    if (!control_open(&bench->control, &bench->loop, &bench->boards, &bench->plant,
                      bench->actuators, stop_loop))
        return fail("ctl", config->ctl);
    for (int i = 0; i < config->actuator_count; i++) {
        if (!actuator_open(&bench->actuators[i], &config->actuators[i], &bench->loop,
                           &bench->boards, &bench->plant))
            return fail("actuator", config->actuators[i].name.text);
        bench->actuators_open++;
    }
    return open_clockwork(bench);
}

static void say_ready(const struct bench *bench)
{
    printf("bench ready socket=%s ctl=%s trace=%s", bench->config.socket, bench->config.ctl,
           bench->config.trace);
    for (int i = 0; i < bench->actuators_open; i++) {
        const struct actuator *actuator = &bench->actuators[i];
        if (actuator->config->rtu)
            printf(" %s=%s", actuator->config->name.text, actuator->pty);
        else
            printf(" %s=%s:%u", actuator->config->name.text, actuator->config->host,
                   actuator->port);
    }
    printf("\n");
    fflush(stdout);
}

/* The physical world does not wait for the processes in it, where the kernel lets us have that. */
static void take_precedence(void)
{
    const struct sched_param priority = { .sched_priority = 60 };
    if (sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority) != 0)
        fprintf(stderr, "bench: no real-time priority (%s): late under load\n", strerror(errno));
}

static void close_all(struct bench *bench)
{
    boards_pump(&bench->boards);
    for (int i = 0; i < bench->actuators_open; i++)
        actuator_close(&bench->actuators[i]);
    control_close(&bench->control);
    boards_close(&bench->boards);
    uv_poll_stop(&bench->timer);
    uv_close((uv_handle_t *)&bench->timer, NULL);
    uv_close((uv_handle_t *)&bench->after_wake, NULL);
    for (int i = 0; i < 2; i++)
        uv_close((uv_handle_t *)&bench->signals[i], NULL);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&bench->loop);
    close(bench->timer_fd);
    trace_close(&bench->plant.trace);
}

static int run(const char *path, bool check_only)
{
    static struct bench bench;
    if (bench_config_load(&bench.config, path, stderr) > 0)
        return EXIT_CONFIG;
    if (check_only)
        return EXIT_SUCCESS;
    signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&bench.loop);
    if (!open_plant(&bench))
        return EXIT_FAILURE;
    take_precedence();
    say_ready(&bench);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    close_all(&bench);
    return plant_failed(&bench.plant) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_ctl(int count, char *arguments[])
{
    /* -s first, then the command: a command's own words may begin with a dash. */
    if (count < 4 || strcmp(arguments[1], "-s") != 0)
        return usage();
    return control_client_run(arguments[2], count - 3, arguments + 3);
}

int main(int argc, char *argv[])
{
    static const struct option options[] = { { "version", no_argument, NULL, 'V' },
                                             { "help", no_argument, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    const char *path = NULL;
    bool check_only = false;
    if (argc > 1 && strcmp(argv[1], "ctl") == 0)
        return run_ctl(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "check") == 0)
        return argc == 3 ? check_trace(argv[2], stdout, stderr) : usage();
    for (int option = 0; (option = getopt_long(argc, argv, "c:tfh", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 't':
            check_only = true;
            break;
        case 'f':
            break; /* it is always in the foreground */
        case 'V':
            printf("holdfast-bench %s\n", HOLDFAST_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            return help();
        default:
            return usage();
        }
    }
    return path && optind == argc ? run(path, check_only) : usage();
}
