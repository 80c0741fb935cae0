/* holdfast-gateway: the Modbus fencing proxy of one board, as a program. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "conf/conf.h"
#include "gateway/gateway.h"
#include "gateway/gateway_board.h"
#include "gateway/gateway_page.h"
#include "log/log.h"
#include "notify/notify.h"
#include "options/options.h"

static const struct options_program program = {
    .name = "holdfast-gateway",
    .about = "Passes Modbus writes to the actuators only while this board holds the lease.\n"
             "SIGUSR1 logs the counters; SIGTERM resets what is under way and ends.\n",
};

void hf_panic(const char *file, int line, const char *what)
{
    log_line(LOG_CRIT, "gateway: bug: %s:%d: %s; ending, which resets every write under way", file,
             line, what);
    abort();
}

static void load(struct conf *conf, const struct options *options)
{
    if (conf_load(conf, options->file, stderr) != 0)
        exit(CONF_EXIT_BAD_FILE);
    if (!conf->has_gateway) {
        fprintf(stderr, "%s: gateway: missing, holdfast-gateway needs this group\n", options->file);
        exit(CONF_EXIT_BAD_FILE);
    }
    if (!options->check_only)
        return;
    printf("%s: good\n", options->file);
    exit(EXIT_SUCCESS);
}

static void log_counters(struct gateway_counters counters)
{
    log_line(LOG_NOTICE,
             "gateway: %" PRIu64 " reads and %" PRIu64 " writes forwarded, %" PRIu64
             " requests refused for want of the lease, %" PRIu64 " torn down",
             counters.reads_forwarded, counters.writes_forwarded, counters.refused,
             counters.torn_down);
}

/* ---- signals */

/*
 * Called before any thread starts: all inherit the mask, so signals come by this descriptor alone.
 */
static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGUSR1);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Returns false when it is time to end. */
static bool serve_signal(int fd, const struct gateway *gateway)
{
    struct signalfd_siginfo info;
    if (read(fd, &info, sizeof(info)) != sizeof(info))
        return true;
    if (info.ssi_signo != SIGUSR1)
        return false;
    log_counters(gateway_counters(gateway));
    return true;
}

/* Until the next thing to be done without being asked; -1: there is none. */
static int longest_wait_ms(bool retrying)
{
    int sign_ms = notify_interval_ms() > 0 ? (int)notify_interval_ms() : -1;
    if (retrying && (sign_ms < 0 || sign_ms > GATEWAY_BOARD_RETRY_MS))
        return GATEWAY_BOARD_RETRY_MS;
    return sign_ms;
}

/* A gateway of which one thread stands still is not alive: nobody else would end it. */
static void say_alive(struct gateway *gateway)
{
    if (gateway_all_turned(gateway) && notify_alive())
        gateway_mark_turns(gateway);
}

static void serve(int signals, struct gateway *gateway, struct gateway_board *board)
{
    for (;;) {
        bool retrying = gateway_board_join(board);
        say_alive(gateway);
        struct pollfd polled[2] = { { .fd = signals, .events = POLLIN },
                                    { .fd = gateway_board_descriptor(board), .events = POLLIN } };
        if (poll(polled, 2, longest_wait_ms(retrying)) <= 0)
            continue;
        if (polled[1].revents != 0)
            gateway_board_drain(board);
        if (polled[0].revents != 0 && !serve_signal(signals, gateway))
            return;
    }
}

int main(int argc, char **argv)
{
    static struct conf conf;
    static struct gateway_page page;
    static struct gateway_board board;
    struct options options;
    int status = options_parse(&options, &program, argc, argv, stdout, stderr);
    if (status != OPTIONS_GO_ON)
        return status;
    load(&conf, &options);
    log_open("");
    notify_open();
    signal(SIGPIPE, SIG_IGN); /* writing to a log that nobody reads any more must not end it */
    int signals = open_signals();
    if (signals < 0) {
        log_line(LOG_ERR, "gateway: cannot take signals: %s", strerror(errno));
        return EXIT_FAILURE;
    }
    gateway_board_open(&board, &conf);
    gateway_page_open(&page, conf.run_dir, &conf.gateway_resource);
    struct gateway_lease lease = { .valid = gateway_page_valid, .context = &page };
    struct gateway_watcher watcher = { .connected = gateway_board_announce_port,
                                       .context = &board,
                                       /* half: seen to have turned whenever it is time to say so */
                                       .turn_ms = (notify_interval_ms() + 1) / 2 };
    struct gateway *gateway;
    if (!gateway_start(&conf, &lease, &watcher, &gateway)) {
        gateway_page_close(&page);
        return EXIT_FAILURE;
    }
    log_line(LOG_NOTICE, "%s: gateway listens on %s for %u actuators", conf.gateway_resource.text,
             conf.gateway_listen, conf.actuator_count);
    notify_ready();
    serve(signals, gateway, &board);
    notify_stopping();
    log_counters(gateway_stop(gateway));
    gateway_page_close(&page);
    gateway_board_close(&board);
    return EXIT_SUCCESS;
}
