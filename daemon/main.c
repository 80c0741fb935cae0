/* holdfastd: the daemon with the issuer's and the agent's role. See holdfastd(8). */
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backup/init.h"
#include "backup/making.h"
#include "backup/restore.h"
#include "base/check.h"
#include "conf/conf.h"
#include "console/console.h"
#include "hal/clock.h"
#include "log/log.h"
#include "node/node.h"
#include "notify/notify.h"
#include "options/options.h"
#include "peer/tls.h"

enum { TRIM_MS = 10000 };

_Noreturn void hf_panic(const char *file, int line, const char *what)
{
    log_line(LOG_CRIT, "assertion failed at %s:%d: %s; aborting, so that outputs go safe", file,
             line, what);
    abort();
}

static const struct options_program program = {
    .name = "holdfastd",
    .about = "Issuer and agent of this board.\n",
    .restores = true,
};

/* False: what was given is no such number, which is told. */
static bool take_above(const struct options *options, uint64_t *above)
{
    if (options->above == NULL ||
        (making_take_above(options->above, above) && *above >= 1 && *above <= MAKING_ABOVE_MAX))
        return true;
    fprintf(stderr,
            "holdfastd: --above %s: must be a whole number, 1 to %" PRIu64 ", the highest token "
            "ever given; where none ever was, leave it out\n",
            options->above, MAKING_ABOVE_MAX);
    return false;
}

static int init(const struct options *options, const struct conf *conf)
{
    struct init request = { .conf = conf,
                            .platform = &disk_platform_system,
                            .has_above = options->above != NULL,
                            .force = options->force,
                            .out = stdout,
                            .errors = stderr };
    if (!take_above(options, &request.above))
        return OPTIONS_EXIT_USAGE;
    return init_run(&request) ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int restore(const struct options *options, const struct conf *conf)
{
    struct restore request = { .conf = conf,
                               .platform = &disk_platform_system,
                               .file = options->restore,
                               .has_above = options->above != NULL,
                               .force = options->force,
                               .wall_us = hal_clock_wall_us(),
                               .out = stdout,
                               .errors = stderr };
    if (!take_above(options, &request.above))
        return OPTIONS_EXIT_USAGE;
    return restore_run(&request) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* What runs until a signal: the console stands above the node, both on one loop. */
struct daemon {
    uv_loop_t loop;
    struct conf conf;
    struct tls_identity *identity;
    struct node *node;
    struct console *console;
    bool stopping;
    uv_signal_t signals[2];
    uv_timer_t memory;
    uv_timer_t alive;
};

/* The console first: what it cancels is still said over the hub, if a socket takes it at once. */
static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *daemon = handle->data;
    log_line(LOG_NOTICE, "stopping on signal %d", number);
    if (!daemon->stopping) {
        console_stop(daemon->console);
        node_stop(daemon->node);
    }
    daemon->stopping = true;
    notify_stopping();
}

#ifdef __GLIBC__
static void on_trim(uv_timer_t *timer)
{
    (void)timer;
    (void)malloc_trim(0); /* free pages between others, which no threshold gives back */
}
#endif

static void watch_memory(struct daemon *daemon)
{
    uv_timer_init(&daemon->loop, &daemon->memory);
#ifdef __GLIBC__
    uv_timer_start(&daemon->memory, on_trim, TRIM_MS, TRIM_MS);
#endif
    uv_unref((uv_handle_t *)&daemon->memory);
}

static void on_alive(uv_timer_t *timer)
{
    (void)timer;
    (void)notify_alive();
}

/* A loop that hangs is silent, and the service manager ends it. */
static void tell_manager(struct daemon *daemon)
{
    uint32_t interval_ms = notify_interval_ms();
    uv_timer_init(&daemon->loop, &daemon->alive);
    if (interval_ms > 0)
        uv_timer_start(&daemon->alive, on_alive, interval_ms, interval_ms);
    uv_unref((uv_handle_t *)&daemon->alive);
    notify_ready();
}

static void watch_signals(struct daemon *daemon)
{
    static const int numbers[2] = { SIGTERM, SIGINT };
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&daemon->loop, &daemon->signals[i]);
        daemon->signals[i].data = daemon;
        uv_signal_start(&daemon->signals[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&daemon->signals[i]);
    }
}

/*
 * What was allocated for a peer goes back to the system with it: no arenas per thread, and large
 * blocks are mapped by themselves, whatever was freed before (which fixes the threshold). The two
 * buffers of a TLS record are such blocks: of a peer that says little most of them is never touched.
 */
static void settle_memory(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, 16 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, 256 * 1024);
#endif
}

static bool load_identity(struct daemon *daemon)
{
    const struct conf *conf = &daemon->conf;
    char error[200];
    struct stat status;
    daemon->identity =
        tls_identity_load(conf->tls_ca, conf->tls_cert, conf->tls_key, error, sizeof(error));
    if (daemon->identity == NULL)
        log_line(LOG_ERR, "%s", error);
    else if (stat(conf->tls_key, &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        log_line(LOG_WARNING, "%s: mode %04o, should be closed to group and others (0600)",
                 conf->tls_key, (unsigned)status.st_mode & 07777);
    return daemon->identity != NULL;
}

/* Returns 0, or the status to exit with, after one log line. */
static int start(struct daemon *daemon)
{
    const struct conf *conf = &daemon->conf;
    if (!load_identity(daemon))
        return EXIT_FAILURE;
    uv_loop_init(&daemon->loop);
    const struct node_config node = { .loop = &daemon->loop,
                                      .conf = conf,
                                      .identity = daemon->identity };
    int status = node_start(&daemon->node, &node);
    if (status != 0)
        return status;
    const struct console_config console = {
        .loop = &daemon->loop, .conf = conf, .identity = daemon->identity, .node = daemon->node
    };
    daemon->console = console_start(&console);
    if (daemon->console == NULL)
        return EXIT_FAILURE;
    log_line(LOG_NOTICE, "%s: started in cluster %s as %s%s%s", conf->node_id.text,
             conf->cluster_name.text, conf->issuer_role ? "issuer" : "",
             conf->issuer_role && conf->agent_role ? " and " : "", conf->agent_role ? "agent" : "");
    return 0;
}

int main(int argc, char **argv)
{
    static struct daemon daemon;
    struct options options;

    int status = options_parse(&options, &program, argc, argv, stdout, stderr);
    if (status != OPTIONS_GO_ON)
        return status;
    settle_memory();
    log_open("");
    notify_open();
    signal(SIGPIPE, SIG_IGN);
    if (conf_load(&daemon.conf, options.file, stderr) != 0)
        return CONF_EXIT_BAD_FILE;
    if (options.check_only) {
        printf("%s: configuration is good\n", options.file);
        return EXIT_SUCCESS;
    }
    if (options.init)
        return init(&options, &daemon.conf);
    if (options.restore != NULL)
        return restore(&options, &daemon.conf);
    status = start(&daemon);
    if (status != 0)
        return status;
    watch_signals(&daemon);
    watch_memory(&daemon);
    tell_manager(&daemon);
    uv_run(&daemon.loop, UV_RUN_DEFAULT);
    log_line(LOG_NOTICE, "stopped");
    return EXIT_SUCCESS;
}
