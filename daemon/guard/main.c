/* holdfast-guard: options, configuration, and the loop. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/check.h"
#include "conf/conf.h"
#include "hal/virtual.h"
#include "log/log.h"
#include "loop.h"
#include "notify/notify.h"
#include "options/options.h"

static struct platform guard_platform;
static struct loop guard_loop;

static const struct options_program program = {
    .name = "holdfast-guard",
    .about = "Opens this board's outputs only while its lease is valid.\n",
};

/*
 * The guard found a bug of its own: it tells every output off, as far as the lines still obey, and
 * ends. The watchdog, or the kernel letting go of the lines, does the rest.
 */
_Noreturn void hf_panic(const char *file, int line, const char *what)
{
    static bool panicking;
    if (!panicking && guard_loop.board.hal_open) {
        panicking = true;
        board_all_off(&guard_loop.board);
    }
    log_line(LOG_ERR, "%s:%d: assertion failed: %s", file, line, what);
    abort();
}

static bool conf_read(struct conf *conf, const char *file)
{
    if (conf_load(conf, file, stderr) != 0)
        return false;
    if (conf->resource_count > 0)
        return true;
    fprintf(stderr, "%s: agent.resources: none, a guard needs at least one\n", file);
    return false;
}

/* Paused from outside, it stands still with all its clocks, and its outputs as they are. */
static void warn_virtual(const struct conf *conf)
{
    char what[HAL_VIRTUAL_MAX + 1];
    if (conf->hal == HAL_LINUX && hal_virtual(&hal_system_files, what))
        log_line(LOG_WARNING,
                 "a virtual machine, by %s: if it is paused, its outputs stay as they are, and no "
                 "lease bounds that",
                 what);
}

static bool guard_take_board(const struct conf *conf, const char *run_dir)
{
    warn_virtual(conf);
    platform_linux(&guard_platform);
    if (!platform_linux_open(&guard_platform))
        return false;
    bool opened = loop_open(&guard_loop, &guard_platform, conf);
    if (!opened)
        loop_close(&guard_loop, run_dir, true);
    return opened;
}

/* Gives the configuration back before the loop: the guard keeps only what it needs of it. */
static bool guard_open(const struct options *options, char *run_dir, size_t size, int *status)
{
    struct conf *conf = calloc(1, sizeof(*conf));
    bool read = conf != NULL && conf_read(conf, options->file);
    *status = read ? EXIT_SUCCESS : CONF_EXIT_BAD_FILE;
    bool opened = false;
    if (read && options->check_only) {
        printf("%s: good\n", options->file);
    } else if (read) {
        snprintf(run_dir, size, "%s", conf->run_dir);
        opened = guard_take_board(conf, run_dir);
        *status = opened ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    free(conf);
    malloc_trim(0);
    return opened;
}

int main(int argc, char **argv)
{
    struct options options;
    char run_dir[CONF_PATH_MAX + 1];
    int status = options_parse(&options, &program, argc, argv, stdout, stderr);
    if (status != OPTIONS_GO_ON)
        return status;
    log_open("guard: ");
    notify_open();
    /* While a core is written, a dead guard's lines stay held, and its socket open. */
    (void)prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
    /* A log that nobody reads any more is no reason to drop the outputs. */
    signal(SIGPIPE, SIG_IGN);
    if (!guard_open(&options, run_dir, sizeof(run_dir), &status))
        return status;
    notify_ready();
    bool proven = loop_run(&guard_loop);
    notify_stopping();
    bool safe = guard_needs_no_watchdog(&guard_loop.guard);
    loop_close(&guard_loop, run_dir, safe);
    if (proven)
        log_line(LOG_NOTICE, "stopped, outputs proven off");
    else
        log_line(LOG_ERR, "stopped with a fault, watchdog %s", safe ? "stopped" : "left running");
    return proven ? EXIT_SUCCESS : EXIT_FAILURE;
}
