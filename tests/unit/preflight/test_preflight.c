/* Preflight on a board of the test's: each answer of the system leads to its finding. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preflight/preflight.h"
#include "tests/unit/support/unit.h"

enum { FILES_MAX = 24, LINES_MAX = 4 };

struct file {
    const char *path;
    const char *text;
};

struct board {
    struct file file[FILES_MAX];
    size_t file_count;
    struct hal_line_facts facts[LINES_MAX]; /* by the line's number */
    enum hal_result look_answer;
    bool exists;
    struct preflight_folder run, data; /* mode 0: not there */
    bool keeps;                        /* the chip drives on after its owner's death */
    int died;                          /* children */
    enum hal_result hold_answer, arm_answer, stop_answer;
    uint32_t actual_ms;
    int armed, stopped;
    int64_t priority, memory;
    bool capable, synchronized, realtime;
    double ppm;
    int64_t worst_us;
    uint32_t asked_seconds;
    struct hal hal;
    struct preflight_system system;
    struct preflight preflight;
    struct conf conf;
    struct findings findings;
};

/* ---- the board's answers */

static bool board_read(void *context, const char *path, char *text, size_t size)
{
    const struct board *board = context;
    for (size_t i = board->file_count; i > 0; i--) {
        const struct file *file = &board->file[i - 1];
        if (strcmp(file->path, path) != 0)
            continue;
        snprintf(text, size, "%s", file->text != NULL ? file->text : "");
        return file->text != NULL;
    }
    return false;
}

static bool board_exists(void *context, const char *path)
{
    const struct board *board = context;
    for (size_t i = board->file_count; i > 0; i--) {
        if (strcmp(board->file[i - 1].path, path) == 0)
            return board->file[i - 1].text != NULL;
    }
    if (strncmp(path, "/dev/", 5) != 0)
        return false;
    assert_string_equal(path, "/dev/watchdog0");
    return board->exists;
}

static bool board_folder(void *context, const char *path, struct preflight_folder *folder)
{
    const struct board *board = context;
    bool run = strcmp(path, "/run/holdfast") == 0;
    assert_true(run || strcmp(path, "/var/lib/holdfast") == 0);
    *folder = run ? board->run : board->data;
    return folder->mode != 0;
}

static bool board_next_file(void *context, const char *folder, const char *after, char *name,
                            size_t size)
{
    const struct board *board = context;
    const char *next = NULL;
    size_t length = strlen(folder);
    for (size_t i = 0; i < board->file_count; i++) {
        const char *path = board->file[i].path;
        if (strncmp(path, folder, length) != 0 || path[length] != '/')
            continue;
        path += length + 1;
        if (strcmp(path, after) > 0 && (next == NULL || strcmp(path, next) < 0))
            next = path;
    }
    if (next != NULL)
        snprintf(name, size, "%s", next);
    return next != NULL;
}

static int64_t board_limit(void *context, int resource)
{
    const struct board *board = context;
    assert_true(resource == RLIMIT_RTPRIO || resource == RLIMIT_MEMLOCK);
    return resource == RLIMIT_RTPRIO ? board->priority : board->memory;
}

static bool board_capable(void *context, int capability)
{
    assert_true(capability == CAP_SYS_NICE || capability == CAP_IPC_LOCK);
    return ((struct board *)context)->capable;
}

static bool board_correction(void *context, double *ppm)
{
    *ppm = ((struct board *)context)->ppm;
    return ((struct board *)context)->synchronized;
}

static enum hal_result board_look(void *hal, const struct hal_line_config *config,
                                  struct hal_line_facts *facts)
{
    struct board *board = hal;
    assert_in_range(config->line, 0, LINES_MAX - 1);
    *facts = board->facts[config->line];
    if (board->died > 0 && config->line == 1)
        facts->output = board->keeps;
    return board->look_answer;
}

static enum hal_result board_hold(void *context, struct hal *hal,
                                  const struct hal_line_config *config)
{
    struct board *board = context;
    assert_ptr_equal(hal, &board->hal);
    assert_string_equal(config->output, "relay");
    board->died++;
    return board->hold_answer;
}

static int64_t board_lateness(void *context, uint32_t seconds, bool *realtime)
{
    struct board *board = context;
    board->asked_seconds = seconds;
    *realtime = board->realtime;
    return board->worst_us;
}

static enum hal_result board_arm(void *hal, const char *device, uint32_t timeout_ms,
                                 uint32_t *actual_ms)
{
    struct board *board = hal;
    assert_string_equal(device, "/dev/watchdog0");
    assert_int_equal(timeout_ms, board->conf.watchdog_timeout_ms);
    *actual_ms = board->actual_ms;
    board->armed++;
    return board->arm_answer;
}

static enum hal_result board_stop(void *hal)
{
    struct board *board = hal;
    board->stopped++;
    return board->stop_answer;
}

static const char *board_why(void *hal)
{
    (void)hal;
    return "as the board says";
}

/* ---- a good board: a pulse, and a relay that covers the kernel with its readback */

static void put(struct board *board, const char *path, const char *text)
{
    assert_true(board->file_count < FILES_MAX);
    board->file[board->file_count++] = (struct file){ path, text };
}

static void configure(struct conf *conf)
{
    struct conf_resource *pump = &conf->resource[0];
    assert_true(name_from_string(&conf->node_id, "board-a"));
    conf->hal = HAL_LINUX;
    conf->drift_ppm = 2000;
    strcpy(conf->run_dir, "/run/holdfast");
    strcpy(conf->data_dir, "/var/lib/holdfast");
    conf->resource_count = 1;
    assert_true(name_from_string(&pump->name, "pump"));
    pump->release_ms = 20;
    pump->output_count = 2;
    assert_true(name_from_string(&pump->output[0].name, "charge"));
    pump->output[0].kind = CONF_OUTPUT_PULSE;
    strcpy(pump->output[0].line.chip, "gpiochip0");
    assert_true(name_from_string(&pump->output[1].name, "relay"));
    pump->output[1].kind = CONF_OUTPUT_GPIO;
    pump->output[1].covers = CONF_COVERS_KERNEL;
    strcpy(pump->output[1].line.chip, "gpiochip0");
    pump->output[1].line.line = 1;
    pump->output[1].has_readback = true;
    strcpy(pump->output[1].readback.chip, "gpiochip0");
    pump->output[1].readback.line = 2;
    conf->has_watchdog = true;
    strcpy(conf->watchdog_device, "/dev/watchdog0");
    conf->watchdog_timeout_ms = 5000;
}

#define WATCHDOG "/sys/class/watchdog/watchdog0/"

static int set_up(void **state)
{
    static const struct hal_output_ops lines = { .look = board_look };
    static const struct hal_watchdog_ops watchdog = { .arm = board_arm, .stop = board_stop };
    struct board *board = calloc(1, sizeof(*board));
    assert_non_null(board);
    configure(&board->conf);
    for (uint32_t i = 0; i < LINES_MAX; i++) {
        board->facts[i] = (struct hal_line_facts){ .line = i, .level_known = true };
        strcpy(board->facts[i].chip, "gpiochip0");
        strcpy(board->facts[i].label, "soc");
    }
    put(board, WATCHDOG "identity", "i6300ESB timer\n");
    put(board, WATCHDOG "nowayout", "0\n");
    put(board, WATCHDOG "options", "0x8180\n");
    put(board, WATCHDOG "min_timeout", "1\n");
    put(board, WATCHDOG "max_timeout", "2046\n");
    put(board, WATCHDOG "timeout", "30\n");
    put(board, WATCHDOG "state", "inactive\n");
    put(board, "/sys/power/state", "\n");
    board->run = (struct preflight_folder){ .uid = 998, .mode = 02775, .writable = true };
    board->data = (struct preflight_folder){ .uid = 998, .mode = 02770, .writable = true };
    board->actual_ms = 5000;
    board->priority = 49;
    board->memory = SYSTEM_UNLIMITED;
    board->synchronized = true;
    board->ppm = -12.5;
    board->realtime = true;
    board->worst_us = 900;
    board->hal =
        (struct hal){ .output = &lines, .watchdog = &watchdog, .context = board, .why = board_why };
    board->system = (struct preflight_system){ .context = board,
                                               .files = { board, board_read },
                                               .hal = &board->hal,
                                               .exists = board_exists,
                                               .folder = board_folder,
                                               .next_file = board_next_file,
                                               .limit = board_limit,
                                               .capable = board_capable,
                                               .correction_ppm = board_correction,
                                               .hold_and_die = board_hold,
                                               .worst_lateness_us = board_lateness };
    board->preflight = (struct preflight){
        .conf = &board->conf, .system = &board->system, .seconds = 10, .findings = &board->findings
    };
    *state = board;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static void run(struct board *board)
{
    memset(&board->findings, 0, sizeof(board->findings));
    preflight_run(&board->preflight);
}

/* The finding that says `part`; NULL if there is none. */
static const struct finding *said(const struct board *board, const char *part)
{
    for (size_t i = 0; i < board->findings.count; i++) {
        if (strstr(board->findings.finding[i].says, part) != NULL)
            return &board->findings.finding[i];
    }
    return NULL;
}

static void expect(struct board *board, enum finding_level level, const char *topic,
                   const char *part)
{
    run(board);
    const struct finding *finding = said(board, part);
    if (finding == NULL) {
        findings_print(&board->findings, "board-a", stderr);
        fail_msg("nothing says \"%s\"", part);
        return;
    }
    assert_int_equal(finding->level, level);
    assert_string_equal(finding->topic, topic);
    /* Whatever is refused or warned of says what follows for F. */
    assert_true(level < FINDING_WARN || finding->fence[0] != '\0');
    assert_int_equal(findings_refused(&board->findings) > 0, level == FINDING_REFUSED);
}

/* ---- claims */

static void a_good_board_is_refused_nothing(void **state)
{
    struct board *board = *state;
    board->preflight.try_lines = board->preflight.try_watchdog = true;
    run(board);
    for (size_t i = 0; i < board->findings.count; i++) {
        if (board->findings.finding[i].level > FINDING_NOTE)
            fail_msg("%s: %s", board->findings.finding[i].topic, board->findings.finding[i].says);
    }
    assert_non_null(said(board, "/dev/watchdog0 is \"i6300ESB timer\""));
    assert_non_null(said(board, "tried: 5000 ms are in force"));
    assert_non_null(said(board, "lets go of the line"));
    assert_int_equal(board->asked_seconds, 10);
}

/* Opening a watchdog starts it, and a line that is driven moves. */
static void nothing_is_armed_or_driven_unasked(void **state)
{
    struct board *board = *state;
    run(board);
    assert_int_equal(board->armed, 0);
    assert_int_equal(board->died, 0);
    assert_non_null(said(board, "was not tried: --try-lines"));
    board->preflight.try_lines = board->preflight.try_watchdog = true;
    /* Nor where it could not be stopped, or where somebody holds the line. */
    put(board, WATCHDOG "nowayout", "1\n");
    board->facts[1].used = true;
    strcpy(board->facts[1].consumer, "holdfast pump/relay");
    expect(board, FINDING_NOTE, "watchdog", "not tried: it could not be stopped again");
    put(board, WATCHDOG "nowayout", NULL);
    expect(board, FINDING_NOTE, "watchdog", "not tried: it could not be stopped again");
    assert_int_equal(board->armed, 0);
    assert_int_equal(board->died, 0);
}

static void a_watchdog_that_a_close_stops_is_refused(void **state)
{
    struct board *board = *state;
    put(board, WATCHDOG "options", "0x8080\n");
    expect(board, FINDING_REFUSED, "watchdog", "has no magic close, and nowayout is not set");
    put(board, WATCHDOG "nowayout", "1\n");
    expect(board, FINDING_NOTE, "watchdog", "nowayout is set");
    put(board, WATCHDOG "nowayout", "0\n");
    put(board, WATCHDOG "options", NULL);
    expect(board, FINDING_NOTE, "watchdog", "does not tell its options here");
}

static void the_timeout_must_be_one_that_it_can_count(void **state)
{
    struct board *board = *state;
    put(board, WATCHDOG "max_timeout", "4\n");
    expect(board, FINDING_REFUSED, "watchdog", "counts 1 to 4 s, configured are 5 s");
    put(board, WATCHDOG "max_timeout", "5\n");
    expect(board, FINDING_GOOD, "watchdog", "counts 1 to 5 s");
    put(board, WATCHDOG "min_timeout", "6\n");
    put(board, WATCHDOG "max_timeout", "60\n");
    expect(board, FINDING_REFUSED, "watchdog", "counts 6 to 60 s");
    /* What the kernel makes longer has no largest one. */
    put(board, WATCHDOG "max_timeout", "0\n");
    expect(board, FINDING_NOTE, "watchdog", "the kernel feeds it by itself");
}

static void a_pi_counts_fifteen_seconds_itself(void **state)
{
    struct board *board = *state;
    put(board, WATCHDOG "identity", "Broadcom BCM2835 Watchdog timer\n");
    run(board);
    assert_null(said(board, "the kernel feeds it"));
    board->conf.watchdog_timeout_ms = 16000;
    expect(board, FINDING_NOTE, "watchdog", "the kernel feeds it by itself");
}

static void a_timeout_that_cannot_be_set_must_be_the_one(void **state)
{
    struct board *board = *state;
    put(board, WATCHDOG "options", "0x8100\n");
    expect(board, FINDING_REFUSED, "watchdog", "it counts 30 s, configured are 5 s");
    put(board, WATCHDOG "timeout", "5\n");
    expect(board, FINDING_GOOD, "watchdog", "it counts 5 s, as configured");
}

static void what_the_watchdog_makes_of_it_is_tried(void **state)
{
    struct board *board = *state;
    board->preflight.try_watchdog = true;
    board->actual_ms = 6000;
    expect(board, FINDING_REFUSED, "watchdog", "tried: 6000 ms are in force, configured are 5000");
    assert_int_equal(board->stopped, 1);
    board->actual_ms = 5000;
    board->stop_answer = HAL_UNSUPPORTED;
    run(board);
    assert_int_equal(said(board, "it can't be stopped")->level, FINDING_WARN);
    board->arm_answer = HAL_UNSUPPORTED;
    expect(board, FINDING_REFUSED, "watchdog", "as the board says");
}

static void a_watchdog_that_is_counting_is_not_tried(void **state)
{
    struct board *board = *state;
    board->preflight.try_watchdog = true;
    put(board, WATCHDOG "state", "active\n");
    expect(board, FINDING_NOTE, "watchdog", "not tried: it is counting");
    assert_int_equal(board->armed, 0);
    assert_int_equal(board->stopped, 0);
}

static void a_watchdog_must_be_there_if_it_is_configured(void **state)
{
    struct board *board = *state;
    put(board, WATCHDOG "identity", NULL);
    expect(board, FINDING_REFUSED, "watchdog", "/dev/watchdog0 is not there");
    board->exists = true;
    expect(board, FINDING_WARN, "watchdog", "tells nothing of watchdogs");
    strcpy(board->conf.watchdog_device, "watchdog0");
    expect(board, FINDING_WARN, "watchdog", "/dev/watchdog0 is there");
    put(board, WATCHDOG "identity", "soft\n");
    strcpy(board->conf.watchdog_device, "/dev/watchdog");
    expect(board, FINDING_GOOD, "watchdog", "/dev/watchdog is \"soft\"");
    board->conf.has_watchdog = false;
    expect(board, FINDING_NOTE, "watchdog", "none is configured");
    board->conf.resource[0].output[1].covers = CONF_COVERS_PROCESS;
    expect(board, FINDING_WARN, "watchdog", "none is configured");
    put(board, WATCHDOG "state", "active\n");
    board->conf.has_watchdog = true;
    expect(board, FINDING_NOTE, "watchdog", "is counting now");
}

static void a_line_must_be_there_and_free(void **state)
{
    struct board *board = *state;
    board->facts[1].used = true;
    strcpy(board->facts[1].consumer, "led0");
    expect(board, FINDING_REFUSED, "pump/relay", "line 1, in use by \"led0\"");
    strcpy(board->facts[1].consumer, "holdfast pump/relay");
    expect(board, FINDING_NOTE, "pump/relay", "a guard runs");
    board->look_answer = HAL_NOT_FOUND;
    expect(board, FINDING_REFUSED, "pump/charge", "output (gpiochip0 line 0): not found: as the");
}

static void a_line_that_is_on_by_itself_is_refused(void **state)
{
    struct board *board = *state;
    board->facts[1].on = true;
    expect(board, FINDING_REFUSED, "pump/relay", "its pull is not the level that means off");
    board->facts[1].output = true;
    expect(board, FINDING_REFUSED, "pump/relay", "still drives what a former owner set");
    board->facts[1].level_known = false;
    expect(board, FINDING_GOOD, "pump/relay", "an output, level not known");
    board->facts[1] = board->facts[0];
    /* A level that stands still drives no pulse output. */
    board->facts[0].on = true;
    expect(board, FINDING_GOOD, "pump/charge", "free, an input, on");
    board->facts[2].on = true;
    expect(board, FINDING_WARN, "pump/relay", "readback shows on");
}

static void a_chip_that_outlives_its_owner_needs_more_than_zero(void **state)
{
    struct board *board = *state;
    struct conf_output *relay = &board->conf.resource[0].output[1];
    board->preflight.try_lines = true;
    board->keeps = true;
    expect(board, FINDING_NOTE, "pump/relay", "tried: the chip goes on driving");
    relay->covers = CONF_COVERS_PROCESS;
    expect(board, FINDING_REFUSED, "pump/relay", "tried: the chip goes on driving");
    board->keeps = false;
    expect(board, FINDING_GOOD, "pump/relay", "tried: the chip lets go");
    board->hold_answer = HAL_BUSY;
    expect(board, FINDING_WARN, "pump/relay", "could not be tried");
}

static void chips_that_are_known_to_keep_levels_need_no_try(void **state)
{
    struct board *board = *state;
    static const char persists[] = "/sys/module/pinctrl_bcm2835/parameters/persist_gpio_outputs";
    board->conf.resource[0].output[1].covers = CONF_COVERS_PROCESS;
    strcpy(board->facts[1].label, "9030000.pl061");
    expect(board, FINDING_REFUSED, "pump/relay", "known: the chip goes on driving");
    strcpy(board->facts[1].label, "pinctrl-bcm2711");
    expect(board, FINDING_NOTE, "pump/relay", "was not tried");
    put(board, persists, "Y\n");
    expect(board, FINDING_REFUSED, "pump/relay", "known: the chip goes on driving");
    put(board, persists, "N\n");
    expect(board, FINDING_NOTE, "pump/relay", "was not tried");
    /* What was seen counts more than what is known. */
    strcpy(board->facts[1].label, "9030000.pl061");
    board->preflight.try_lines = true;
    expect(board, FINDING_GOOD, "pump/relay", "tried: the chip lets go");
}

static void a_board_that_may_sleep_is_warned_of(void **state)
{
    struct board *board = *state;
    expect(board, FINDING_GOOD, "sleep", "can't suspend");
    put(board, "/sys/power/state", "freeze mem\n");
    expect(board, FINDING_WARN, "sleep", "can suspend (freeze mem), and nothing keeps");
    put(board, "/etc/systemd/system/sleep.target", "");
    expect(board, FINDING_GOOD, "sleep", "are masked");
    put(board, "/etc/systemd/system/sleep.target", "[Unit]\n");
    expect(board, FINDING_WARN, "sleep", "and nothing keeps");
    put(board, "/etc/systemd/system/suspend.target", "");
    expect(board, FINDING_GOOD, "sleep", "are masked");
}

static void a_virtual_machine_is_outside_of_the_promise(void **state)
{
    struct board *board = *state;
    expect(board, FINDING_GOOD, "virtual machine", "no sign");
    put(board, "/proc/device-tree/compatible", "linux,dummy-virt ");
    expect(board, FINDING_WARN, "virtual machine", "this is one, by device tree");
}

static void limits_that_keep_the_guard_from_being_on_time_are_told(void **state)
{
    struct board *board = *state;
    board->priority = 48;
    expect(board, FINDING_WARN, "real time", "RLIMIT_RTPRIO is 48, say LimitRTPRIO=49");
    board->priority = 49;
    board->memory = (8 << 20) - 1024;
    expect(board, FINDING_WARN, "memory", "may lock 8191 KiB, the guard wants 8192");
    board->memory = 8 << 20;
    expect(board, FINDING_GOOD, "memory", "may lock the guard's memory");
    board->priority = board->memory = 0;
    board->capable = true;
    expect(board, FINDING_GOOD, "real time", "may have SCHED_FIFO 49");
    put(board, "/proc/sys/kernel/sched_rt_runtime_us", "0\n");
    expect(board, FINDING_WARN, "real time", "sched_rt_runtime_us is 0");
    put(board, "/proc/sys/kernel/sched_rt_runtime_us", "-1\n");
    expect(board, FINDING_NOTE, "real time", "sched_rt_runtime_us is -1");
}

static void slewing_makes_timers_late(void **state)
{
    struct board *board = *state;
    expect(board, FINDING_GOOD, "clock", "no chrony is configured");
    put(board, "/etc/chrony/chrony.conf", "pool x\n#maxslewrate 1\nmakestep 1 3\n");
    expect(board, FINDING_GOOD, "clock", "slews by up to 83333 ppm (its default)");
    assert_non_null(said(board, "late by up to 1.7 ms"));
    board->conf.resource[0].release_ms = 1;
    board->worst_us = 10;
    expect(board, FINDING_REFUSED, "clock", "slews by up to 83333 ppm");
    put(board, "/etc/chrony/chrony.conf", "pool x\n  maxslewrate 1000\n");
    expect(board, FINDING_GOOD, "clock", "slews by up to 1000 ppm (maxslewrate)");
    put(board, "/etc/chrony/chrony.conf", NULL);
    put(board, "/etc/chrony.conf", "maxslewrate 90000");
    expect(board, FINDING_REFUSED, "clock", "slews by up to 90000 ppm");
}

static void chronys_folders_count_where_they_are_named(void **state)
{
    struct board *board = *state;
    put(board, "/etc/chrony/chrony.conf",
        "maxslewrate 500\nconfdir /etc/chrony/conf.d /none\nport 0\n");
    expect(board, FINDING_GOOD, "clock", "slews by up to 500 ppm (maxslewrate)");
    put(board, "/etc/chrony/conf.d/20.conf", "maxslewrate 2000\n");
    put(board, "/etc/chrony/conf.d/10.conf", "maxslewrate 1000\n");
    put(board, "/etc/chrony/conf.d/30.conf.old", "maxslewrate 3000\n");
    expect(board, FINDING_GOOD, "clock", "slews by up to 2000 ppm (maxslewrate)");
    put(board, "/etc/chrony/chrony.conf", "confdir /etc/chrony/conf.d\n maxslewrate 700\n");
    expect(board, FINDING_GOOD, "clock", "slews by up to 700 ppm (maxslewrate)");
}

#define RPI "/usr/lib/systemd/system.conf.d/40-rpi-enable-watchdog.conf"

static void systemd_must_not_have_the_guards_watchdog(void **state)
{
    struct board *board = *state;
    run(board);
    assert_null(said(board, "systemd"));
    put(board, "/etc/systemd/system.conf",
        "[Manager]\n#RuntimeWatchdogSec=30\nRuntimeWatchdogSec=0s\n");
    run(board);
    assert_null(said(board, "systemd"));
    put(board, RPI, "[Manager]\nRuntimeWatchdogSec = 1m\n");
    expect(board, FINDING_REFUSED, "watchdog",
           "systemd feeds /dev/watchdog0 (RuntimeWatchdogSec=1m in " RPI ")");
    strcpy(board->conf.watchdog_device, "/dev/watchdog");
    expect(board, FINDING_REFUSED, "watchdog", "systemd feeds /dev/watchdog0");
    strcpy(board->conf.watchdog_device, "/dev/watchdog0");
    put(board, "/etc/systemd/system.conf.d/10.conf", "RuntimeWatchdogSec=off\n");
    expect(board, FINDING_REFUSED, "watchdog", "RuntimeWatchdogSec=1m");
    put(board, "/etc/systemd/system.conf.d/50.conf", "WatchdogDevice=/dev/watchdog1\n");
    expect(board, FINDING_NOTE, "watchdog", "systemd feeds /dev/watchdog1");
    put(board, "/etc/systemd/system.conf.d/60.conf", "RuntimeWatchdogSec=off\n");
    run(board);
    assert_null(said(board, "systemd feeds"));
    put(board, "/etc/systemd/system.conf.d/60.conf",
        "RuntimeWatchdogSec=default\nWatchdogDevice=/dev/watchdog0\n");
    expect(board, FINDING_REFUSED, "watchdog", "RuntimeWatchdogSec=default");
    board->conf.has_watchdog = false;
    run(board);
    assert_null(said(board, "systemd feeds"));
}

static void a_drop_in_of_the_same_name_hides_the_vendors(void **state)
{
    struct board *board = *state;
    put(board, RPI, "RuntimeWatchdogSec=1m\n");
    put(board, "/etc/systemd/system.conf.d/40-rpi-enable-watchdog.conf", "");
    run(board);
    assert_null(said(board, "systemd feeds"));
}

static void directories_are_there_and_for_both_users(void **state)
{
    struct board *board = *state;
    expect(board, FINDING_GOOD, "directories", "/run/holdfast: owned by user 998, mode 2775");
    assert_non_null(said(board, "/var/lib/holdfast: owned by user 998, mode 2770"));
    board->data.writable = false;
    expect(board, FINDING_REFUSED, "directories", "mode 2770: this user may not write there");
    board->data = (struct preflight_folder){ .mode = 0 };
    expect(board, FINDING_WARN, "directories", "/var/lib/holdfast is not there");
    board->run.mode = 0775;
    expect(board, FINDING_REFUSED, "directories", "must not be writable by its group without");
    board->run.mode = 0777;
    expect(board, FINDING_REFUSED, "directories", "must not be writable by other users");
}

static void a_rate_beyond_the_declared_drift_is_refused(void **state)
{
    struct board *board = *state;
    expect(board, FINDING_GOOD, "clock", "off by -12.5 ppm");
    board->ppm = -2001;
    expect(board, FINDING_REFUSED, "clock", "off by -2001.0 ppm");
    board->synchronized = false;
    expect(board, FINDING_NOTE, "clock", "not synchronized now");
}

static void late_wake_ups_propose_a_release_time(void **state)
{
    struct board *board = *state;
    board->worst_us = 9999;
    expect(board, FINDING_NOTE, "wake-ups", "late by 9999 us at the worst in 10 s, at the guard's");
    assert_non_null(said(board, "release_ms = 20 leaves room"));
    board->worst_us = 10001;
    expect(board, FINDING_WARN, "pump", "release_ms = 20, propose 21");
    board->worst_us = 20000;
    board->realtime = false;
    expect(board, FINDING_REFUSED, "pump", "release_ms = 20, propose 41");
    assert_non_null(said(board, "without real-time priority"));
    board->preflight.seconds = 0;
    board->asked_seconds = 0;
    run(board);
    assert_int_equal(board->asked_seconds, 0);
    assert_null(said(board, "at the worst"));
}

static void a_simulated_board_has_no_hardware_to_look_at(void **state)
{
    struct board *board = *state;
    board->conf.hal = HAL_SIM;
    board->preflight.try_lines = board->preflight.try_watchdog = true;
    expect(board, FINDING_NOTE, "hal", "a simulated board");
    assert_int_equal(board->armed + board->died, 0);
}

static void where_nothing_is_driven_only_the_clock_counts(void **state)
{
    struct board *board = *state;
    board->conf.resource_count = 0;
    board->conf.hal = HAL_SIM;
    put(board, "/etc/chrony/chrony.conf", "pool x\n");
    expect(board, FINDING_NOTE, "agent", "nothing is driven");
    expect(board, FINDING_GOOD, "clock", "slews by up to 83333 ppm");
    assert_null(said(board, "simulated"));
    assert_null(said(board, "virtual"));
    assert_int_equal(board->armed + board->died, 0);
}

static void findings_are_told_as_text_and_as_json(void **state)
{
    struct board *board = *state;
    static char text[65536];
    board->facts[1].used = true;
    strcpy(board->facts[1].consumer, "a\"b\x01");
    run(board);
    FILE *out = fmemopen(text, sizeof(text), "w");
    findings_print(&board->findings, "board-a", out);
    fclose(out);
    assert_non_null(strstr(text, "preflight of node board-a\n"));
    assert_non_null(strstr(text, "  refused  pump/relay           output is gpiochip0"));
    assert_non_null(strstr(text, "F: the guard does not start"));
    assert_non_null(strstr(text, "1 refused: this board does not keep"));
    out = fmemopen(text, sizeof(text), "w");
    findings_print_json(&board->findings, "board-a", out);
    fclose(out);
    assert_non_null(strstr(text, "{\"node\":\"board-a\",\"findings\":[{\"level\":\"good\","));
    assert_non_null(
        strstr(text, "in use by \\\"a\\\"b\\u0001\\\"\",\"fence\":\"the guard does not"));
    assert_non_null(strstr(text, "],\"left_out\":0,\"refused\":1}\n"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void findings_beyond_the_room_are_counted_as_refused(void **state)
{
    struct board *board = *state;
    for (int i = 0; i < FINDINGS_MAX + 2; i++)
        finding_add(&board->findings, FINDING_GOOD, "t", "", "%d", i);
    assert_int_equal(board->findings.count, FINDINGS_MAX);
    assert_int_equal(findings_refused(&board->findings), 2);
}

int main(void)
{
#define ON_A_BOARD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ON_A_BOARD(a_good_board_is_refused_nothing),
        ON_A_BOARD(nothing_is_armed_or_driven_unasked),
        ON_A_BOARD(a_watchdog_that_a_close_stops_is_refused),
        ON_A_BOARD(the_timeout_must_be_one_that_it_can_count),
        ON_A_BOARD(a_pi_counts_fifteen_seconds_itself),
        ON_A_BOARD(a_timeout_that_cannot_be_set_must_be_the_one),
        ON_A_BOARD(what_the_watchdog_makes_of_it_is_tried),
        ON_A_BOARD(a_watchdog_that_is_counting_is_not_tried),
        ON_A_BOARD(a_watchdog_must_be_there_if_it_is_configured),
        ON_A_BOARD(a_line_must_be_there_and_free),
        ON_A_BOARD(a_line_that_is_on_by_itself_is_refused),
        ON_A_BOARD(a_chip_that_outlives_its_owner_needs_more_than_zero),
        ON_A_BOARD(chips_that_are_known_to_keep_levels_need_no_try),
        ON_A_BOARD(a_board_that_may_sleep_is_warned_of),
        ON_A_BOARD(a_virtual_machine_is_outside_of_the_promise),
        ON_A_BOARD(limits_that_keep_the_guard_from_being_on_time_are_told),
        ON_A_BOARD(slewing_makes_timers_late),
        ON_A_BOARD(chronys_folders_count_where_they_are_named),
        ON_A_BOARD(systemd_must_not_have_the_guards_watchdog),
        ON_A_BOARD(a_drop_in_of_the_same_name_hides_the_vendors),
        ON_A_BOARD(directories_are_there_and_for_both_users),
        ON_A_BOARD(a_rate_beyond_the_declared_drift_is_refused),
        ON_A_BOARD(late_wake_ups_propose_a_release_time),
        ON_A_BOARD(a_simulated_board_has_no_hardware_to_look_at),
        ON_A_BOARD(where_nothing_is_driven_only_the_clock_counts),
        ON_A_BOARD(findings_are_told_as_text_and_as_json),
        ON_A_BOARD(findings_beyond_the_room_are_counted_as_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
