/* holdfastd: the daemon with the issuer's and the agent's role. See holdfastd(8). */
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backup/init.h"
#include "backup/making.h"
#include "backup/restore.h"
#include "conf/conf.h"
#include "hal/clock.h"
#include "log/log.h"
#include "node/node.h"
#include "options/options.h"

enum { TRIM_MS = 10000 };

static const struct options_program program = {
    .name = "holdfastd",
    .about = "Issuer and agent of this board.\n",
    .restores = true,
};

/* False: what was given is no number, which is told. */
static bool take_above(const struct options *options, uint64_t *above)
{
    if (options->above == NULL || making_take_above(options->above, above))
        return true;
    fprintf(stderr, "holdfastd: --above %s: must be a whole number, 1 to %" PRIu64 "\n",
            options->above, MAKING_ABOVE_MAX);
    return false;
}

static int init(const struct options *options, const struct conf *conf)
{
    struct init request = { .conf = conf,
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

static void on_signal(uv_signal_t *handle, int number)
{
    struct node *node = handle->data;
    log_line(LOG_NOTICE, "stopping on signal %d", number);
    node_stop(node);
}

#ifdef __GLIBC__
static void on_trim(uv_timer_t *timer)
{
    (void)timer;
    (void)malloc_trim(0); /* free pages between others, which no threshold gives back */
}
#endif

static void watch_memory(struct node *node, uv_timer_t *timer)
{
    uv_timer_init(&node->loop, timer);
#ifdef __GLIBC__
    uv_timer_start(timer, on_trim, TRIM_MS, TRIM_MS);
#endif
    uv_unref((uv_handle_t *)timer);
}

static void watch_signals(struct node *node, uv_signal_t handles[2])
{
    static const int numbers[2] = { SIGTERM, SIGINT };
    for (int i = 0; i < 2; i++) {
        uv_signal_init(&node->loop, &handles[i]);
        handles[i].data = node;
        uv_signal_start(&handles[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&handles[i]);
    }
}

/*
 * What was allocated for a peer goes back to the system with it: no arenas per thread, and large
 * blocks are mapped by themselves, whatever was freed before (which fixes the threshold).
 */
static void settle_memory(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_MMAP_THRESHOLD, 64 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, 256 * 1024);
#endif
}

int main(int argc, char **argv)
{
    static struct node node;
    static uv_signal_t signals[2];
    static uv_timer_t memory;
    struct options options;

    int status = options_parse(&options, &program, argc, argv, stdout, stderr);
    if (status != OPTIONS_GO_ON)
        return status;
    settle_memory();
    log_open("");
    signal(SIGPIPE, SIG_IGN);
    if (conf_load(&node.conf, options.file, stderr) != 0)
        return CONF_EXIT_BAD_FILE;
    if (options.check_only) {
        printf("%s: configuration is good\n", options.file);
        return EXIT_SUCCESS;
    }
    if (options.init)
        return init(&options, &node.conf);
    if (options.restore != NULL)
        return restore(&options, &node.conf);
    status = node_start(&node);
    if (status != 0)
        return status;
    watch_signals(&node, signals);
    watch_memory(&node, &memory);
    uv_run(&node.loop, UV_RUN_DEFAULT);
    log_line(LOG_NOTICE, "stopped");
    return EXIT_SUCCESS;
}
