/*
 * One contract for both backends. The sim backend runs against a small bench in this test. The linux
 * backend runs on the kernel's gpio-sim where this machine lets us make one, and on real lines and a
 * real watchdog that HOLDFAST_WIRED and HOLDFAST_WATCHDOG name; both are said to be skipped where not.
 * Its refusals are tested everywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "fake_bench.h"
#include "hal/clock.h"
#include "hal/hal.h"

/* A world that the contract is run in: a backend, and the other end of its lines. */
struct world {
    struct hal hal;
    void *context;
    const char *chip;
    uint32_t output_line;
    uint32_t input_line;
    bool wired;                                         /* levels are physical: polarity shows */
    bool (*output_is)(struct world *world, bool level); /* awaits it */
    void (*set_input)(struct world *world, bool level);
};

static bool input_shows(struct world *world, struct hal_line *line, bool level)
{
    bool on = !level;
    for (int tries = 0; tries < 5000; tries++) {
        if (world->hal.service(world->hal.context) != HAL_OK)
            return false;
        if (world->hal.output->get(line, &on) == HAL_OK && on == level)
            return true;
        nap_ms(1);
    }
    return false;
}

static struct hal_line_config line_of(const char *chip, uint32_t number, bool active_low,
                                      const char *output)
{
    return (struct hal_line_config){ .chip = chip,
                                     .line_name = "",
                                     .line = number,
                                     .active_low = active_low,
                                     .resource = "pump",
                                     .output = output };
}

static enum hal_result open_output(struct hal *hal, const char *chip, uint32_t number,
                                   bool active_low, const char *name, struct hal_line **out)
{
    struct hal_line_config config = line_of(chip, number, active_low, name);
    return hal->output->open_output(hal->context, &config, out);
}

static enum hal_result open_input(struct hal *hal, const char *chip, uint32_t number,
                                  const char *name, struct hal_line **out)
{
    struct hal_line_config config = line_of(chip, number, false, name);
    return hal->output->open_input(hal->context, &config, out);
}

static void contract(struct world *world)
{
    const struct hal_output_ops *ops = world->hal.output;
    struct hal_line *output = NULL;
    struct hal_line *input = NULL;
    assert_int_equal(
        open_output(&world->hal, world->chip, world->output_line, false, "enable", &output),
        HAL_OK);
    assert_true(world->output_is(world, false));
    assert_int_equal(ops->set(output, true), HAL_OK);
    assert_true(world->output_is(world, true));
    assert_int_equal(ops->set(output, true), HAL_OK);
    assert_int_equal(ops->set(output, false), HAL_OK);
    assert_true(world->output_is(world, false));
    assert_int_equal(open_input(&world->hal, world->chip, world->input_line, "enable", &input),
                     HAL_OK);
    world->set_input(world, true);
    assert_true(input_shows(world, input, true));
    world->set_input(world, false);
    assert_true(input_shows(world, input, false));
    assert_int_equal(ops->set(input, true), HAL_IO);
    ops->close(input);
    assert_int_equal(ops->set(output, true), HAL_OK);
    assert_true(world->output_is(world, true));
    ops->close(output);
    assert_true(world->output_is(world, false));
    /* Active low: where there are wires, inactive is the high level. */
    assert_int_equal(
        open_output(&world->hal, world->chip, world->output_line, true, "enable", &output), HAL_OK);
    assert_true(world->output_is(world, world->wired));
    assert_int_equal(ops->set(output, true), HAL_OK);
    assert_true(world->output_is(world, !world->wired));
    ops->close(output);
}

/* ---- sim */

struct sim_fixture {
    char folder[64];
    struct fake_bench bench;
    struct hal hal;
};

static int sim_set_up(void **state)
{
    struct sim_fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->folder, "/tmp/holdfast-hal-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    fake_bench_open(&f->bench, f->folder);
    assert_int_equal(hal_sim_open(&f->hal, f->bench.path, "board-a", "guard"), HAL_OK);
    *state = f;
    return 0;
}

static int sim_tear_down(void **state)
{
    struct sim_fixture *f = *state;
    f->hal.close(&f->hal);
    fake_bench_close(&f->bench);
    rmdir(f->folder);
    free(f);
    return 0;
}

static bool sim_output_is(struct world *world, bool level)
{
    struct fake_bench *bench = world->context;
    AWAIT(bench, bench->last[0] != 'h' && bench->level == level);
    return true;
}

static void sim_set_input(struct world *world, bool level)
{
    struct fake_bench *bench = world->context;
    pthread_mutex_lock(&bench->lock);
    fake_bench_say(bench, level ? "in pump/enable 1\n" : "in pump/enable 0\n");
    pthread_mutex_unlock(&bench->lock);
}

static void sim_keeps_the_contract(void **state)
{
    struct sim_fixture *f = *state;
    struct world world = { .hal = f->hal,
                           .context = &f->bench,
                           .chip = "sim",
                           .output_is = sim_output_is,
                           .set_input = sim_set_input };
    contract(&world);
}

static void sim_passes_over_words_that_it_does_not_know(void **state)
{
    struct sim_fixture *f = *state;
    struct hal_line *line = NULL;
    AWAIT(&f->bench, f->bench.hello[0] != '\0');
    pthread_mutex_lock(&f->bench.lock);
    fake_bench_say(&f->bench, "weather is fine\nin pump/late 1\n");
    pthread_mutex_unlock(&f->bench.lock);
    assert_int_equal(open_input(&f->hal, "sim", 0, "late", &line), HAL_OK);
    f->hal.output->close(line);
}

static void sim_says_who_it_is(void **state)
{
    struct sim_fixture *f = *state;
    char expected[64];
    snprintf(expected, sizeof(expected), "hello board-a guard %ld", (long)getpid());
    AWAIT(&f->bench, strcmp(f->bench.hello, expected) == 0);
}

static void sim_watchdog_is_armed_fed_and_stopped(void **state)
{
    struct sim_fixture *f = *state;
    const struct hal_watchdog_ops *watchdog = f->hal.watchdog;
    uint32_t actual_ms = 0;
    assert_int_equal(watchdog->arm(f->hal.context, "sim", 0, &actual_ms), HAL_UNSUPPORTED);
    assert_int_equal(watchdog->arm(f->hal.context, "sim", 700, &actual_ms), HAL_OK);
    assert_int_equal(actual_ms, 700);
    assert_int_equal(watchdog->feed(f->hal.context), HAL_OK);
    AWAIT(&f->bench, f->bench.armed_ms == 700 && f->bench.feeds == 1);
    assert_int_equal(watchdog->stop(f->hal.context), HAL_OK);
    AWAIT(&f->bench, f->bench.watchdog_stopped);
}

static void sim_line_that_the_bench_does_not_name_is_not_found(void **state)
{
    struct sim_fixture *f = *state;
    struct hal_line *line = NULL;
    assert_int_equal(open_input(&f->hal, "sim", 0, "other", &line), HAL_NOT_FOUND);
    assert_null(line);
}

static void sim_loses_a_bench_that_goes_or_talks_nonsense(void **state)
{
    static const char *const words[] = { "err no such board\n", "in pump/enable 2\n", "in 1\n",
                                         "in  1", NULL };
    struct sim_fixture *f = *state;
    for (int i = 0; words[i] != NULL || i == 4; i++) {
        struct hal hal;
        struct hal_line *line = NULL;
        enum hal_result result = HAL_OK;
        f->hal.close(&f->hal);
        AWAIT(&f->bench, f->bench.fd < 0);
        pthread_mutex_lock(&f->bench.lock);
        f->bench.last[0] = '\0';
        pthread_mutex_unlock(&f->bench.lock);
        assert_int_equal(hal_sim_open(&hal, f->bench.path, "board-a", "agent"), HAL_OK);
        assert_int_equal(open_output(&hal, "sim", 0, false, "enable", &line), HAL_OK);
        AWAIT(&f->bench, f->bench.last[0] == 'o');
        pthread_mutex_lock(&f->bench.lock);
        fake_bench_say(&f->bench, words[i] != NULL ? words[i] : "");
        pthread_mutex_unlock(&f->bench.lock);
        if (i >= 3)
            fake_bench_hang_up(&f->bench);
        for (int tries = 0; tries < 5000 && result == HAL_OK; tries++) {
            result = hal.service(hal.context);
            nap_ms(1);
        }
        assert_int_equal(result, HAL_LOST);
        assert_int_equal(hal.output->set(line, true), HAL_LOST);
        assert_int_equal(hal.watchdog->feed(hal.context), HAL_LOST);
        hal.output->close(line);
        f->hal = hal;
        if (i == 4)
            return;
    }
}

/* Nothing was read since: the end shows in what is sent, and not by a signal. */
static void sim_bench_that_went_is_found_out_by_whoever_sends_first(void **state)
{
    struct sim_fixture *f = *state;
    struct hal_line *input = NULL;
    enum hal_result result = HAL_OK;
    bool on = false;
    assert_int_equal(open_input(&f->hal, "sim", 0, "enable", &input), HAL_OK);
    assert_true(fcntl(f->hal.fd, F_GETFD) & FD_CLOEXEC);
    fake_bench_hang_up(&f->bench);
    AWAIT(&f->bench, f->bench.fd < 0);
    for (int tries = 0; tries < 100 && result == HAL_OK; tries++)
        result = f->hal.watchdog->feed(f->hal.context);
    assert_int_equal(result, HAL_LOST);
    assert_int_equal(f->hal.output->get(input, &on), HAL_LOST);
    f->hal.output->close(input);
}

static void sim_bench_that_names_more_than_a_board_has_is_lost(void **state)
{
    struct sim_fixture *f = *state;
    char line[160];
    for (int round = 0; round < 2; round++) {
        enum hal_result result = HAL_OK;
        AWAIT(&f->bench, f->bench.fd >= 0 && f->bench.last[0] == 'h');
        pthread_mutex_lock(&f->bench.lock);
        for (int i = 0; i < HF_LEASES_PER_AGENT_MAX * HF_OUTPUTS_MAX + 1 && round == 0; i++) {
            snprintf(line, sizeof(line), "in pump/line-%d 1\n", i);
            fake_bench_say(&f->bench, line);
        }
        snprintf(line, sizeof(line), "in pump/%0*d 1\n", 2 * HF_NAME_MAX, 7);
        fake_bench_say(&f->bench, line);
        f->bench.last[0] = '\0';
        pthread_mutex_unlock(&f->bench.lock);
        for (int tries = 0; tries < 5000 && result == HAL_OK; tries++, nap_ms(1))
            result = f->hal.service(f->hal.context);
        assert_int_equal(result, HAL_LOST);
        f->hal.close(&f->hal);
        AWAIT(&f->bench, f->bench.fd < 0);
        assert_int_equal(hal_sim_open(&f->hal, f->bench.path, "board-a", "guard"), HAL_OK);
    }
}

struct late_bench {
    const char *folder;
    struct fake_bench bench;
};

static void *open_late(void *argument)
{
    struct late_bench *late = argument;
    nap_ms(50);
    fake_bench_open(&late->bench, late->folder);
    return NULL;
}

/* A board and its bench may be started together. */
static void sim_waits_a_while_for_a_bench_that_is_not_there_yet(void **state)
{
    (void)state;
    static struct late_bench late;
    struct hal hal;
    char path[108];
    char folder[] = "/tmp/holdfast-hal-XXXXXX";
    pthread_t thread;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/bench.sock", folder);
    late.folder = folder;
    assert_int_equal(pthread_create(&thread, NULL, open_late, &late), 0);
    enum hal_result result = hal_sim_open(&hal, path, "board-a", "guard");
    pthread_join(thread, NULL);
    assert_int_equal(result, HAL_OK);
    hal.close(&hal);
    fake_bench_close(&late.bench);
    rmdir(folder);
}

static void sim_without_a_bench_is_not_found(void **state)
{
    struct hal hal;
    char longest[300];
    (void)state;
    memset(longest, 'a', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(hal_sim_open(&hal, longest, "board-a", "guard"), HAL_NOT_FOUND);
    assert_int_equal(hal_sim_open(&hal, "/nonexistent/bench.sock", "board-a", "guard"),
                     HAL_NOT_FOUND);
}

/* ---- linux */

static void linux_refuses_what_is_no_gpio_chip(void **state)
{
    struct hal hal;
    struct hal_line *line = NULL;
    (void)state;
    assert_int_equal(hal_linux_open(&hal, true), HAL_OK);
    assert_string_equal(hal.backend, "linux");
    assert_true(fcntl(hal.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(hal.service(hal.context), HAL_OK);
    assert_int_equal(open_output(&hal, "gpiochip999", 0, false, "enable", &line), HAL_NOT_FOUND);
    assert_int_equal(open_input(&hal, "/dev/null", 0, "enable", &line), HAL_IO);
    assert_int_equal(open_output(&hal, "null", 0, false, "enable", &line), HAL_IO);
    assert_null(line);
    hal.close(&hal);
}

static void linux_refuses_what_is_no_watchdog(void **state)
{
    struct hal hal;
    uint32_t actual_ms = 0;
    (void)state;
    assert_int_equal(hal_linux_open(&hal, true), HAL_OK);
    assert_int_equal(hal.watchdog->arm(hal.context, "watchdog999", 2000, &actual_ms),
                     HAL_NOT_FOUND);
    assert_int_equal(hal.watchdog->arm(hal.context, "/dev/null", 2000, &actual_ms), HAL_IO);
    assert_int_equal(hal.watchdog->feed(hal.context), HAL_NOT_FOUND);
    assert_int_equal(hal.watchdog->stop(hal.context), HAL_NOT_FOUND);
    hal.close(&hal);
}

#define GPIO_SIM "/sys/kernel/config/gpio-sim/holdfast-test"

static bool file_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

static bool file_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, text, size - 1) : -1;
    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return got > 0;
}

struct gpio_sim {
    char chip[32];
    char device[64];
};

static bool gpio_sim_make(struct gpio_sim *sim)
{
    return mkdir(GPIO_SIM, 0755) == 0 && mkdir(GPIO_SIM "/bank", 0755) == 0 &&
           file_write(GPIO_SIM "/bank/num_lines", "8") && file_write(GPIO_SIM "/live", "1") &&
           file_read(GPIO_SIM "/bank/chip_name", sim->chip, sizeof(sim->chip)) &&
           file_read(GPIO_SIM "/dev_name", sim->device, sizeof(sim->device));
}

static void gpio_sim_remove(void)
{
    (void)file_write(GPIO_SIM "/live", "0");
    rmdir(GPIO_SIM "/bank");
    rmdir(GPIO_SIM);
}

static void gpio_sim_path(const struct gpio_sim *sim, uint32_t line, const char *file, char *out,
                          size_t size)
{
    snprintf(out, size, "/sys/devices/platform/%s/%s/sim_gpio%u/%s", sim->device, sim->chip,
             (unsigned)line, file);
}

static bool gpio_sim_output_is(struct world *world, bool level)
{
    char path[256];
    char text[16];
    gpio_sim_path(world->context, world->output_line, "value", path, sizeof(path));
    return file_read(path, text, sizeof(text)) && (text[0] == '1') == level;
}

static void gpio_sim_set_input(struct world *world, bool level)
{
    char path[256];
    gpio_sim_path(world->context, world->input_line, "pull", path, sizeof(path));
    assert_true(file_write(path, level ? "pull-up" : "pull-down"));
}

static void linux_keeps_the_contract(void **state)
{
    struct gpio_sim sim;
    struct hal_line *line = NULL;
    (void)state;
    if (!gpio_sim_make(&sim)) {
        print_message("linux lines: skipped, no gpio-sim can be made here (%s)\n", strerror(errno));
        gpio_sim_remove();
        skip();
    }
    struct world world = { .context = &sim,
                           .chip = sim.chip,
                           .output_line = 1,
                           .input_line = 2,
                           .wired = true,
                           .output_is = gpio_sim_output_is,
                           .set_input = gpio_sim_set_input };
    assert_int_equal(hal_linux_open(&world.hal, true), HAL_OK);
    contract(&world);
    assert_int_equal(open_output(&world.hal, sim.chip, 8, false, "enable", &line), HAL_NOT_FOUND);
    world.hal.close(&world.hal);
    gpio_sim_remove();
}

/* Two lines that no HAL has: one is wired to the output under test, one to the input. */
struct wires {
    int seen;
    int driver;
};

static int wire_take(const char *chip, uint32_t number, uint64_t flags, uint32_t *lines)
{
    char path[64];
    struct gpiochip_info info;
    struct gpio_v2_line_request request;
    memset(&request, 0, sizeof(request));
    request.offsets[0] = number;
    request.num_lines = 1;
    request.config.flags = flags;
    snprintf(path, sizeof(path), "/dev/%s", chip);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, GPIO_GET_CHIPINFO_IOCTL, &info), 0);
    assert_int_equal(ioctl(fd, GPIO_V2_GET_LINE_IOCTL, &request), 0);
    close(fd);
    *lines = info.lines;
    return request.fd;
}

/* What is at the other end follows in its own time. */
static bool wires_output_is(struct world *world, bool level)
{
    const struct wires *wires = world->context;
    struct gpio_v2_line_values values = { .mask = 1 };
    for (int tries = 0; tries < 5000; tries++, nap_ms(1)) {
        assert_int_equal(ioctl(wires->seen, GPIO_V2_LINE_GET_VALUES_IOCTL, &values), 0);
        if ((values.bits & 1) == level)
            return true;
    }
    return false;
}

static void wires_set_input(struct world *world, bool level)
{
    const struct wires *wires = world->context;
    struct gpio_v2_line_values values = { .bits = level, .mask = 1 };
    assert_int_equal(ioctl(wires->driver, GPIO_V2_LINE_SET_VALUES_IOCTL, &values), 0);
}

/* HOLDFAST_WIRED="CHIP OUTPUT SEEN DRIVER INPUT": OUTPUT is wired to SEEN, and DRIVER to INPUT. */
static void linux_keeps_the_contract_on_lines_that_are_wired(void **state)
{
    char chip[32];
    unsigned output = 0, seen = 0, driver = 0, input = 0;
    uint32_t lines = 0;
    struct hal_line *line = NULL;
    const char *wired = getenv("HOLDFAST_WIRED");
    (void)state;
    if (wired == NULL) {
        print_message("wired lines: skipped, HOLDFAST_WIRED names none\n");
        skip();
    }
    assert_int_equal(sscanf(wired, "%31s %u %u %u %u", chip, &output, &seen, &driver, &input), 5);
    struct wires wires = { wire_take(chip, seen, GPIO_V2_LINE_FLAG_INPUT, &lines),
                           wire_take(chip, driver, GPIO_V2_LINE_FLAG_OUTPUT, &lines) };
    struct world world = { .context = &wires,
                           .chip = chip,
                           .output_line = output,
                           .input_line = input,
                           .wired = true,
                           .output_is = wires_output_is,
                           .set_input = wires_set_input };
    assert_int_equal(hal_linux_open(&world.hal, true), HAL_OK);
    contract(&world);
    assert_int_equal(open_output(&world.hal, chip, lines, false, "enable", &line), HAL_NOT_FOUND);
    assert_int_equal(open_output(&world.hal, chip, seen, false, "enable", &line), HAL_BUSY);
    world.hal.close(&world.hal);
    close(wires.seen);
    close(wires.driver);
}

static void linux_watchdog_is_armed_fed_and_stopped(void **state)
{
    struct hal hal;
    uint32_t actual_ms = 0;
    const char *device = getenv("HOLDFAST_WATCHDOG");
    (void)state;
    if (device == NULL) {
        print_message("watchdog: skipped, HOLDFAST_WATCHDOG names none\n");
        skip();
    }
    assert_int_equal(hal_linux_open(&hal, true), HAL_OK);
    assert_int_equal(hal.watchdog->arm(hal.context, device, 0, &actual_ms), HAL_UNSUPPORTED);
    assert_int_equal(hal.watchdog->arm(hal.context, device, 1500, &actual_ms), HAL_OK);
    assert_int_equal(actual_ms, 2000); /* whole seconds, rounded up */
    for (int i = 0; i < 6; i++, nap_ms(500))
        assert_int_equal(hal.watchdog->feed(hal.context), HAL_OK);
    assert_int_equal(hal.watchdog->stop(hal.context), HAL_OK);
    assert_int_equal(hal.watchdog->feed(hal.context), HAL_NOT_FOUND);
    nap_ms(3000); /* it does not bite */
    hal.close(&hal);
}

/* ---- both */

/* Which one it is, is the configuration's: whoever opens it does the same for both. */
static void a_process_joins_its_board_by_its_role_whatever_the_backend(void **state)
{
    struct sim_fixture *f = *state;
    char want[64];
    struct hal hal;
    f->hal.close(&f->hal);
    struct hal_board boards[] = {
        { .backend = HAL_SIM, .socket = f->bench.path, .name = "board-a", .role = "gateway" },
        { .backend = HAL_LINUX, .socket = "", .name = "board-a", .role = "gateway" },
    };
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(hal_open(&hal, &boards[i]), HAL_OK);
        assert_string_equal(hal.backend, hal_backend_name(boards[i].backend));
        /* Nothing comes by itself to who has no lines. */
        assert_int_equal(hal.fd >= 0, boards[i].backend == HAL_SIM);
        assert_int_equal(hal.service(hal.context), HAL_OK);
        assert_int_equal(hal.announce_port(hal.context, 40001), HAL_OK);
        hal.close(&hal);
    }
    snprintf(want, sizeof(want), "hello board-a gateway %ld", (long)getpid());
    AWAIT(&f->bench, strcmp(f->bench.last, "modbus 40001") == 0);
    assert_string_equal(f->bench.hello, want);
    assert_int_equal(hal_sim_open(&f->hal, f->bench.path, "board-a", "guard"), HAL_OK);
}

static void clocks_move_forward(void **state)
{
    struct instant first = hal_clock_now();
    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct instant next = hal_clock_now();
        assert_true(next.us >= first.us);
        first = next;
    }
    /* A slow processor is late between the two clocks that this is the difference of. */
    struct span slept = hal_clock_slept();
    assert_true(slept.us >= -1 - instant_diff(hal_clock_now(), first).us);
    assert_true(hal_clock_wall_us() > 0);
}

static void results_have_names(void **state)
{
    (void)state;
    for (int result = HAL_OK; result <= HAL_LOST; result++)
        assert_string_not_equal(hal_result_name((enum hal_result)result), "unknown");
}

int main(void)
{
#define SIM_TEST(test) cmocka_unit_test_setup_teardown(test, sim_set_up, sim_tear_down)
    const struct CMUnitTest tests[] = {
        SIM_TEST(sim_keeps_the_contract),
        SIM_TEST(sim_passes_over_words_that_it_does_not_know),
        SIM_TEST(sim_says_who_it_is),
        SIM_TEST(sim_watchdog_is_armed_fed_and_stopped),
        SIM_TEST(sim_line_that_the_bench_does_not_name_is_not_found),
        SIM_TEST(sim_loses_a_bench_that_goes_or_talks_nonsense),
        SIM_TEST(sim_bench_that_went_is_found_out_by_whoever_sends_first),
        SIM_TEST(sim_bench_that_names_more_than_a_board_has_is_lost),
        SIM_TEST(a_process_joins_its_board_by_its_role_whatever_the_backend),
        cmocka_unit_test(sim_waits_a_while_for_a_bench_that_is_not_there_yet),
        cmocka_unit_test(sim_without_a_bench_is_not_found),
        cmocka_unit_test(linux_refuses_what_is_no_gpio_chip),
        cmocka_unit_test(linux_refuses_what_is_no_watchdog),
        cmocka_unit_test(linux_keeps_the_contract),
        cmocka_unit_test(linux_keeps_the_contract_on_lines_that_are_wired),
        cmocka_unit_test(linux_watchdog_is_armed_fed_and_stopped),
        cmocka_unit_test(clocks_move_forward),
        cmocka_unit_test(results_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
