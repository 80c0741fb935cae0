/*
 * The linux backend on a kernel of the test's: open(2) of its devices and ioctl(2) are answered here,
 * on descriptors of plain files and pipes. What a real chip makes of the same requests is
 * test_contract.c's, where there is one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <linux/watchdog.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hal/hal.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

enum { CHIP_LINES = 4, CHIPS = 3, DESCRIPTORS_MAX = 256 };

struct line {
    const char *name;
    const char *consumer;
    bool used;
};

struct chip {
    const char *label; /* NULL: not there */
    const char *link;  /* its device is a link to the chip of this name */
    int error;         /* it can't be opened */
    struct line line[CHIP_LINES];
};

static struct {
    unsigned long refused; /* this request fails, with `error` */
    int error;
    int edges_error; /* a request with edges fails with it */
    struct chip chip[CHIPS];
    int chip_of[DESCRIPTORS_MAX];
    struct gpio_v2_line_request asked;
    struct gpio_v2_line_config changed;
    int line_fd;
    int edges; /* where the test writes what the line tells */
    bool level;
    int sets;
    int timeout_s;  /* what the watchdog counts */
    int longest_s;  /* what it can count; what is more becomes this */
    int shortest_s; /* what is less becomes this */
    bool disabled;
    uint32_t options;
    int counts_s;         /* what WDIOC_GETTIMEOUT says */
    const char *nowayout; /* NULL: no such file */
    bool keeps;           /* a line that was closed is driven on */
    bool driven;
    int feeds;
} kernel;

static char folder[64];
static char chip[96];
static char watchdog[96];
static struct hal hal;

static int refuse(int error)
{
    errno = error;
    return -1;
}

/* "/dev/gpiochip1" is the second chip of the table, and so on; the file `chip` is the first one. */
int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    int mode = flags & O_CREAT ? va_arg(arguments, int) : 0;
    va_end(arguments);
    int number = strcmp(path, chip) == 0 ? 0 : -1;
    if (strncmp(path, "/sys/dev/char/", 14) == 0) {
        if (kernel.nowayout == NULL)
            return refuse(ENOENT);
        path = kernel.nowayout;
    }
    if (strncmp(path, "/dev/gpiochip", 13) == 0) {
        number = atoi(path + 13);
        path = chip;
        if (number >= CHIPS || (number > 0 && kernel.chip[number].label == NULL))
            return refuse(ENOENT);
    }
    if (number >= 0 && kernel.chip[number].error != 0)
        return refuse(kernel.chip[number].error);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd >= 0 && fd < DESCRIPTORS_MAX && number >= 0)
        kernel.chip_of[fd] = number;
    return fd;
}

static int answer_chip(const struct chip *asked, struct gpiochip_info *info)
{
    info->lines = CHIP_LINES;
    snprintf(info->name, sizeof(info->name), "gpiochip%d", (int)(asked - kernel.chip));
    if (asked->link != NULL)
        snprintf(info->name, sizeof(info->name), "%s", asked->link);
    snprintf(info->label, sizeof(info->label), "%s", asked->label);
    return 0;
}

static int answer_info(const struct chip *asked, struct gpio_v2_line_info *info)
{
    assert_in_range(info->offset, 0, CHIP_LINES - 1);
    const struct line *line = &asked->line[info->offset];
    snprintf(info->name, sizeof(info->name), "%s", line->name != NULL ? line->name : "");
    snprintf(info->consumer, sizeof(info->consumer), "%s",
             line->consumer != NULL ? line->consumer : "");
    info->flags = line->used ? GPIO_V2_LINE_FLAG_USED : 0;
    if (kernel.driven)
        info->flags |= GPIO_V2_LINE_FLAG_OUTPUT;
    return 0;
}

static int answer_line(const struct chip *asked, struct gpio_v2_line_request *request)
{
    uint64_t edges = GPIO_V2_LINE_FLAG_EDGE_RISING | GPIO_V2_LINE_FLAG_EDGE_FALLING;
    int ends[2];
    if (asked->line[request->offsets[0]].used)
        return refuse(EBUSY);
    if (kernel.edges_error != 0 && (request->config.flags & edges))
        return refuse(kernel.edges_error);
    kernel.asked = *request;
    /* One that is asked for as it is, is as the chip left it. */
    kernel.driven = kernel.keeps || (request->config.flags & GPIO_V2_LINE_FLAG_OUTPUT);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    if (kernel.edges >= 0)
        close(kernel.edges);
    request->fd = kernel.line_fd = ends[0];
    kernel.edges = fcntl(ends[1], F_DUPFD_CLOEXEC, DESCRIPTORS_MAX);
    close(ends[1]);
    return 0;
}

static int answer_values(unsigned long request, struct gpio_v2_line_values *values)
{
    assert_int_equal(values->mask, 1);
    if (request == GPIO_V2_LINE_GET_VALUES_IOCTL) {
        values->bits = kernel.level;
        return 0;
    }
    kernel.sets++;
    kernel.level = values->bits & 1;
    return 0;
}

static int answer_support(struct watchdog_info *info)
{
    memset(info, 0, sizeof(*info));
    info->options = kernel.options;
    memcpy(info->identity, "test timer", 11);
    return 0;
}

static int answer_timeout(int *seconds)
{
    if (*seconds > kernel.longest_s)
        *seconds = kernel.longest_s;
    if (*seconds < kernel.shortest_s)
        *seconds = kernel.shortest_s;
    kernel.timeout_s = *seconds;
    return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    assert_true(fcntl(fd, F_GETFD) >= 0);
    if (request == kernel.refused)
        return refuse(kernel.error);
    const struct chip *asked = &kernel.chip[fd < DESCRIPTORS_MAX ? kernel.chip_of[fd] : 0];
    switch (request) {
    case GPIO_GET_CHIPINFO_IOCTL:
        return answer_chip(asked, argument);
    case GPIO_V2_GET_LINEINFO_IOCTL:
        return answer_info(asked, argument);
    case GPIO_V2_GET_LINE_IOCTL:
        return answer_line(asked, argument);
    case GPIO_V2_LINE_SET_CONFIG_IOCTL:
        kernel.changed = *(const struct gpio_v2_line_config *)argument;
        return 0;
    case GPIO_V2_LINE_SET_VALUES_IOCTL:
    case GPIO_V2_LINE_GET_VALUES_IOCTL:
        return answer_values(request, argument);
    case WDIOC_GETSUPPORT:
        return answer_support(argument);
    case WDIOC_GETTIMEOUT:
        if (kernel.counts_s == 0)
            return refuse(EOPNOTSUPP);
        *(int *)argument = kernel.counts_s;
        return 0;
    case WDIOC_SETTIMEOUT:
        return answer_timeout(argument);
    case WDIOC_KEEPALIVE:
        kernel.feeds++;
        return 0;
    case WDIOC_SETOPTIONS:
        kernel.disabled = *(int *)argument == WDIOS_DISABLECARD;
        return 0;
    default:
        fail_msg("ioctl 0x%lx", request);
        return -1;
    }
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int set_up(void **state)
{
    (void)state;
    memset(&kernel, 0, sizeof(kernel));
    kernel.longest_s = 100;
    kernel.options = WDIOF_MAGICCLOSE | WDIOF_SETTIMEOUT;
    kernel.line_fd = -1;
    kernel.edges = -1;
    kernel.chip[0].label = "soc";
    strcpy(folder, "/tmp/holdfast-linux-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(chip, sizeof(chip), "%s/chip", folder);
    snprintf(watchdog, sizeof(watchdog), "%s/watchdog", folder);
    close(open(chip, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    close(open(watchdog, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    return hal_linux_open(&hal, true) == HAL_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    hal.close(&hal);
    if (kernel.edges >= 0)
        close(kernel.edges);
    folder_remove(folder);
    return 0;
}

/* ---- lines */

static struct hal_line_config on_line(const char *of, uint32_t number, const char *name)
{
    return (struct hal_line_config){
        .chip = of, .line = number, .line_name = name, .resource = "pump", .output = "enable"
    };
}

static enum hal_result open_output(uint32_t number, bool active_low, struct hal_line **line)
{
    struct hal_line_config config = on_line(chip, number, "");
    config.active_low = active_low;
    return hal.output->open_output(hal.context, &config, line);
}

static enum hal_result open_input(uint32_t number, bool active_low, struct hal_line **line)
{
    struct hal_line_config config = on_line(chip, number, "");
    config.active_low = active_low;
    return hal.output->open_input(hal.context, &config, line);
}

static bool says(const char *part)
{
    return strstr(hal.why(hal.context), part) != NULL;
}

static void an_output_is_off_from_the_request_on(void **state)
{
    (void)state;
    struct hal_line *line = NULL;
    for (int active_low = 0; active_low < 2; active_low++) {
        assert_int_equal(open_output(CHIP_LINES - 1, active_low, &line), HAL_OK);
        const struct gpio_v2_line_request *asked = &kernel.asked;
        uint64_t polarity = active_low ? (uint64_t)GPIO_V2_LINE_FLAG_ACTIVE_LOW : 0;
        assert_int_equal(asked->num_lines, 1);
        assert_int_equal(asked->offsets[0], CHIP_LINES - 1);
        assert_int_equal(asked->config.flags, GPIO_V2_LINE_FLAG_OUTPUT | polarity);
        assert_int_equal(asked->config.num_attrs, 1);
        assert_int_equal(asked->config.attrs[0].attr.id, GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES);
        assert_int_equal(asked->config.attrs[0].attr.values, 0);
        assert_int_equal(asked->config.attrs[0].mask, 1);
        assert_string_equal(asked->consumer, "holdfast pump/enable");
        assert_int_equal(kernel.sets, active_low); /* the first one's close */
        hal.output->close(line);
    }
}

static const uint64_t both_edges = GPIO_V2_LINE_FLAG_EDGE_RISING | GPIO_V2_LINE_FLAG_EDGE_FALLING;

static void an_input_is_never_driven(void **state)
{
    (void)state;
    struct hal_line *line = NULL;
    bool on = false;
    assert_int_equal(open_input(0, true, &line), HAL_OK);
    assert_int_equal(kernel.asked.config.flags & ~both_edges,
                     GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_ACTIVE_LOW);
    assert_int_equal(kernel.asked.config.num_attrs, 0);
    kernel.level = true;
    assert_int_equal(hal.output->get(line, &on), HAL_OK);
    assert_true(on);
    hal.output->close(line);
    assert_int_equal(kernel.sets, 0);
}

static void a_line_is_given_back_off(void **state)
{
    (void)state;
    struct hal_line *line = NULL;
    int before = open_descriptors();
    assert_int_equal(open_output(0, false, &line), HAL_OK);
    assert_int_equal(open_descriptors(), before + 1);
    assert_int_equal(hal.output->set(line, true), HAL_OK);
    assert_true(kernel.level);
    hal.output->close(line);
    assert_false(kernel.level);
    assert_int_equal(open_descriptors(), before);
    /* Also where the kernel does not take the level any more. */
    assert_int_equal(open_output(0, false, &line), HAL_OK);
    kernel.refused = GPIO_V2_LINE_SET_VALUES_IOCTL;
    hal.output->close(line);
    assert_int_equal(open_descriptors(), before);
}

static void what_the_kernel_refuses_is_told_and_nothing_stays_open(void **state)
{
    (void)state;
    static const struct {
        int error;
        enum hal_result result;
    } answers[] = { { EBUSY, HAL_BUSY },
                    { EPERM, HAL_DENIED },
                    { EACCES, HAL_DENIED },
                    { EIO, HAL_IO },
                    { ENODEV, HAL_NOT_FOUND } };
    static const unsigned long requests[] = { GPIO_GET_CHIPINFO_IOCTL, GPIO_V2_GET_LINE_IOCTL };
    struct hal_line *line = NULL;
    bool on = false;
    int before = open_descriptors();
    for (size_t i = 0; i < 2; i++) {
        kernel.refused = requests[i];
        for (size_t j = 0; j < sizeof(answers) / sizeof(answers[0]); j++) {
            kernel.error = answers[j].error;
            assert_int_equal(open_output(0, false, &line), answers[j].result);
            assert_int_equal(open_input(0, false, &line), answers[j].result);
        }
    }
    kernel.refused = 0;
    assert_int_equal(open_output(CHIP_LINES, false, &line), HAL_NOT_FOUND);
    assert_null(line);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(open_output(0, false, &line), HAL_OK);
    kernel.error = EIO;
    kernel.refused = GPIO_V2_LINE_SET_VALUES_IOCTL;
    assert_int_equal(hal.output->set(line, true), HAL_IO);
    kernel.refused = GPIO_V2_LINE_GET_VALUES_IOCTL;
    assert_int_equal(hal.output->get(line, &on), HAL_IO);
    kernel.refused = 0;
    hal.output->close(line);
}

/* Of names that are too long for the kernel's 31 characters, as much as there is room for. */
static void an_operator_sees_whose_line_it_is(void **state)
{
    (void)state;
    static const struct {
        const char *resource, *output, *consumer;
    } names[] = {
        { "pump", "enable", "holdfast pump/enable" },
        { "a", "a-name-of-twenty-chr", "holdfast a/a-name-of-twenty-chr" },
        { "a", "a-name-of-twenty-chrs", "holdfast a/a-name-of-twenty-chr" },
        { "a-name-of-twenty-chrs", "b", "holdfast a-name-of-twenty-chr/b" },
        { "cooling-water-pump", "emergency-valve", "holdfast cooling-wa/emergency-v" },
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct hal_line *line = NULL;
        struct hal_line_config config = on_line(chip, 0, "");
        config.resource = names[i].resource;
        config.output = names[i].output;
        assert_int_equal(hal.output->open_output(hal.context, &config, &line), HAL_OK);
        assert_string_equal(kernel.asked.consumer, names[i].consumer);
        hal.output->close(line);
    }
}

static void an_input_has_the_pull_that_is_asked_for(void **state)
{
    (void)state;
    static const uint64_t flags[] = {
        [HAL_BIAS_AS_IS] = 0,
        [HAL_BIAS_DISABLED] = GPIO_V2_LINE_FLAG_BIAS_DISABLED,
        [HAL_BIAS_PULL_UP] = GPIO_V2_LINE_FLAG_BIAS_PULL_UP,
        [HAL_BIAS_PULL_DOWN] = GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN,
    };
    for (int bias = HAL_BIAS_AS_IS; bias <= HAL_BIAS_PULL_DOWN; bias++) {
        struct hal_line *line = NULL;
        struct hal_line_config config = on_line(chip, 0, "");
        config.bias = (enum hal_bias)bias;
        assert_int_equal(hal.output->open_input(hal.context, &config, &line), HAL_OK);
        assert_int_equal(kernel.asked.config.flags,
                         GPIO_V2_LINE_FLAG_INPUT | both_edges | flags[bias]);
        hal.output->close(line);
    }
}

static void a_line_that_is_in_use_is_told_with_its_user(void **state)
{
    (void)state;
    struct hal_line *line = NULL;
    kernel.chip[0].line[2] = (struct line){ "RELAY_EN", "led0", true };
    assert_int_equal(open_output(2, false, &line), HAL_BUSY);
    assert_string_equal(hal.why(hal.context),
                        "gpiochip0 [soc] line 2 \"RELAY_EN\" is in use by \"led0\"");
    kernel.chip[0].line[2] = (struct line){ .used = true };
    assert_int_equal(open_input(2, false, &line), HAL_BUSY);
    assert_true(says("line 2 is in use by \"the kernel\""));
    assert_int_equal(open_output(CHIP_LINES, false, &line), HAL_NOT_FOUND);
    assert_true(says("gpiochip0 [soc] has 4 lines"));
    /* What was refused before is no word about what is refused now. */
    kernel.refused = GPIO_V2_GET_LINE_IOCTL;
    kernel.error = EIO;
    assert_int_equal(open_output(0, false, &line), HAL_IO);
    assert_string_equal(hal.why(hal.context), "");
}

/* Opens it by these words, and has the number that was asked for. */
static enum hal_result open_by(const char *of, uint32_t number, const char *name, uint32_t *asked)
{
    struct hal_line *line = NULL;
    struct hal_line_config config = on_line(of, number, name);
    int before = open_descriptors();
    memset(&kernel.asked, 0xff, sizeof(kernel.asked));
    enum hal_result result = hal.output->open_output(hal.context, &config, &line);
    *asked = kernel.asked.offsets[0];
    assert_int_equal(open_descriptors(), before + (result == HAL_OK));
    if (result == HAL_OK)
        hal.output->close(line);
    return result;
}

static void a_line_is_found_by_its_name(void **state)
{
    (void)state;
    uint32_t asked;
    kernel.chip[0].line[1].name = "SPARE";
    kernel.chip[0].line[2].name = "RELAY_EN";
    kernel.chip[0].line[3].name = "SPARE";
    assert_int_equal(open_by(chip, HAL_LINE_BY_NAME, "RELAY_EN", &asked), HAL_OK);
    assert_int_equal(asked, 2);
    assert_int_equal(open_by(chip, 2, "RELAY_EN", &asked), HAL_OK);
    assert_int_equal(asked, 2);
    assert_int_equal(open_by(chip, 1, "RELAY_EN", &asked), HAL_NOT_FOUND);
    assert_true(says("names line 1 \"SPARE\", not \"RELAY_EN\""));
    assert_int_equal(open_by(chip, HAL_LINE_BY_NAME, "RELAY", &asked), HAL_NOT_FOUND);
    assert_true(says("gpiochip0 [soc] has no line of the name \"RELAY\""));
    assert_int_equal(open_by(chip, HAL_LINE_BY_NAME, "SPARE", &asked), HAL_AMBIGUOUS);
    assert_true(says("\"SPARE\" on line 1, line 3: say which by its number"));
    assert_int_equal(asked, UINT32_MAX);
}

static void a_chip_is_found_by_its_label(void **state)
{
    (void)state;
    uint32_t asked;
    kernel.chip[1].label = "pl061";
    kernel.chip[1].line[3].name = "PUMP";
    assert_int_equal(open_by("pl061", HAL_LINE_BY_NAME, "PUMP", &asked), HAL_OK);
    assert_int_equal(asked, 3);
    assert_int_equal(open_by("gpiochip1", 3, "PUMP", &asked), HAL_OK);
    assert_int_equal(open_by("pl06", 3, "", &asked), HAL_NOT_FOUND);
    assert_true(says("there are gpiochip0 [soc], gpiochip1 [pl061]"));
    assert_int_equal(open_by("gpiochip2", 0, "", &asked), HAL_NOT_FOUND);
    /* A device that is a link to another one is no second chip. */
    kernel.chip[2].label = "pl061";
    kernel.chip[2].link = "gpiochip1";
    assert_int_equal(open_by("pl061", 3, "", &asked), HAL_OK);
    kernel.chip[2].link = NULL;
    assert_int_equal(open_by("pl061", 3, "", &asked), HAL_AMBIGUOUS);
    assert_string_equal(hal.why(hal.context), "label \"pl061\" is that of gpiochip1 [pl061], "
                                              "gpiochip2 [pl061]: say which by its device");
    assert_int_equal(asked, UINT32_MAX);
    /* What may not be looked at may be the one. */
    kernel.chip[1].error = kernel.chip[2].error = EACCES;
    assert_int_equal(open_by("pl061", 3, "", &asked), HAL_DENIED);
    assert_int_equal(open_by("gpiochip1", 3, "", &asked), HAL_DENIED);
}

/* ---- looking */

static void a_line_is_looked_at_as_it_is(void **state)
{
    (void)state;
    struct hal_line_facts facts;
    struct hal_line_config config = on_line(chip, 2, "");
    int before = open_descriptors();
    kernel.chip[0].line[2].name = "RELAY_EN";
    kernel.level = true;
    config.active_low = true;
    assert_int_equal(hal.output->look(hal.context, &config, &facts), HAL_OK);
    /* Neither driven nor made an input. */
    assert_int_equal(kernel.asked.config.flags, GPIO_V2_LINE_FLAG_ACTIVE_LOW);
    assert_int_equal(kernel.asked.config.num_attrs, 0);
    assert_int_equal(kernel.sets, 0);
    assert_string_equal(facts.chip, "gpiochip0");
    assert_string_equal(facts.label, "soc");
    assert_string_equal(facts.name, "RELAY_EN");
    assert_int_equal(facts.line, 2);
    assert_true(facts.level_known && facts.on && !facts.used && !facts.output);
    kernel.chip[0].line[2].used = true;
    kernel.chip[0].line[2].consumer = "led0";
    assert_int_equal(hal.output->look(hal.context, &config, &facts), HAL_OK);
    assert_true(facts.used && !facts.level_known);
    assert_string_equal(facts.consumer, "led0");
    assert_int_equal(open_descriptors(), before);
    config.line = CHIP_LINES;
    assert_int_equal(hal.output->look(hal.context, &config, &facts), HAL_NOT_FOUND);
}

static void what_a_chip_does_with_a_line_that_was_closed_shows(void **state)
{
    (void)state;
    struct hal_line_config config = on_line(chip, 2, "");
    for (int keeps = 0; keeps < 2; keeps++) {
        struct hal_line *line = NULL;
        struct hal_line_facts facts;
        kernel.keeps = keeps;
        assert_int_equal(hal.output->open_output(hal.context, &config, &line), HAL_OK);
        hal.output->close(line);
        assert_int_equal(hal.output->look(hal.context, &config, &facts), HAL_OK);
        assert_int_equal(facts.output, keeps);
    }
}

/* ---- edges */

static bool woken(void)
{
    struct pollfd waited = { hal.fd, POLLIN, 0 };
    return poll(&waited, 1, 0) == 1;
}

static void tell_edges(size_t count, uint64_t first_ns, uint64_t apart_ns)
{
    for (size_t i = 0; i < count; i++) {
        struct gpio_v2_line_event event = { .timestamp_ns = first_ns + i * apart_ns };
        assert_int_equal(write(kernel.edges, &event, sizeof(event)), sizeof(event));
    }
}

static struct hal_line *open_telling_input(void)
{
    struct hal_line *line = NULL;
    int64_t edge_us = 0;
    assert_int_equal(open_input(0, false, &line), HAL_OK);
    assert_true(hal.output->edges(line, &edge_us));
    assert_int_equal(edge_us, INT64_MIN);
    assert_false(woken());
    return line;
}

static void an_edge_wakes_and_is_dated_by_the_kernel(void **state)
{
    (void)state;
    struct hal_line *line = open_telling_input();
    int64_t edge_us = 0;
    uint64_t clocks = GPIO_V2_LINE_FLAG_EVENT_CLOCK_REALTIME | GPIO_V2_LINE_FLAG_EVENT_CLOCK_HTE;
    assert_int_equal(kernel.asked.config.flags & clocks, 0); /* none of them: CLOCK_MONOTONIC */
    tell_edges(3, 7000000000, 2000000);
    assert_true(woken());
    assert_int_equal(hal.service(hal.context), HAL_OK);
    assert_false(woken());
    assert_true(hal.output->edges(line, &edge_us));
    assert_int_equal(edge_us, 7004000);
    assert_int_equal(hal.service(hal.context), HAL_OK);
    assert_true(hal.output->edges(line, &edge_us));
    hal.output->close(line);
}

static void a_chip_without_interrupts_is_looked_at(void **state)
{
    (void)state;
    static const int errors[] = { EINVAL, ENXIO, EBUSY, 524 /* ENOTSUPP, the kernel's own */ };
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        struct hal_line *line = NULL;
        int64_t edge_us = 0;
        kernel.edges_error = errors[i];
        assert_int_equal(open_input(0, true, &line), HAL_OK);
        assert_false(hal.output->edges(line, &edge_us));
        assert_int_equal(kernel.asked.config.flags,
                         GPIO_V2_LINE_FLAG_INPUT | GPIO_V2_LINE_FLAG_ACTIVE_LOW);
        hal.output->close(line);
    }
}

/* A line that nothing holds swings without end: the guard must not be all busy with it. */
static void edges_without_end_are_no_longer_taken(void **state)
{
    (void)state;
    enum { BOUNCES = 100, SWINGS = 502, ROOM = 64 };
    struct hal_line *line = open_telling_input();
    int64_t edge_us = 0;
    for (uint64_t second = 1; second <= 20; second++) {
        tell_edges(BOUNCES, second * 1000000000, 50000);
        while (woken())
            assert_int_equal(hal.service(hal.context), HAL_OK);
    }
    assert_true(hal.output->edges(line, &edge_us));
    for (int told = 0; told < SWINGS; told += ROOM) {
        tell_edges(ROOM, UINT64_C(30000000000) + (uint64_t)told * 1000000, 1000000);
        while (woken())
            assert_int_equal(hal.service(hal.context), HAL_OK);
    }
    assert_false(hal.output->edges(line, &edge_us));
    assert_int_equal(kernel.changed.flags, GPIO_V2_LINE_FLAG_INPUT);
    tell_edges(1, 40000000000, 0);
    assert_false(woken());
    hal.output->close(line);
}

/* The driver was unbound: nothing more comes, and the descriptor is always ready. */
static void a_chip_that_goes_does_not_keep_the_loop_awake(void **state)
{
    (void)state;
    struct hal_line *line = open_telling_input();
    int64_t edge_us = 0;
    bool on = false;
    close(kernel.edges);
    kernel.edges = -1;
    assert_true(woken());
    assert_int_equal(hal.service(hal.context), HAL_OK);
    assert_false(woken());
    assert_false(hal.output->edges(line, &edge_us));
    kernel.refused = GPIO_V2_LINE_GET_VALUES_IOCTL;
    kernel.error = ENODEV;
    assert_int_equal(hal.output->get(line, &on), HAL_IO);
    hal.output->close(line);
}

static void a_line_that_was_closed_wakes_nobody(void **state)
{
    (void)state;
    struct hal_line *line = open_telling_input();
    tell_edges(1, 7000000000, 0);
    hal.output->close(line);
    assert_false(woken());
    assert_int_equal(hal.service(hal.context), HAL_OK);
}

/* ---- watchdog */

static enum hal_result arm(uint32_t timeout_ms, uint32_t *actual_ms)
{
    *actual_ms = 0;
    return hal.watchdog->arm(hal.context, watchdog, timeout_ms, actual_ms);
}

/* What was written to the device: "V" lets it stop when it is closed. */
static bool was_released(void)
{
    char text[4] = "";
    int fd = open(watchdog, O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, text, sizeof(text));
    close(fd);
    assert_true(length == 0 || (length == 1 && text[0] == 'V'));
    return length == 1;
}

static void it_counts_whole_seconds_and_says_which(void **state)
{
    (void)state;
    static const struct {
        uint32_t asked_ms;
        int counts_s;
    } timeouts[] = { { 1, 1 }, { 1000, 1 }, { 1001, 2 }, { 2500, 3 }, { 60000, 60 } };
    uint32_t actual_ms = 0;
    for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
        assert_int_equal(arm(timeouts[i].asked_ms, &actual_ms), HAL_OK);
        assert_int_equal(kernel.timeout_s, timeouts[i].counts_s);
        assert_int_equal(actual_ms, timeouts[i].counts_s * 1000);
        assert_int_equal(hal.watchdog->stop(hal.context), HAL_OK);
        assert_int_equal(truncate(watchdog, 0), 0);
    }
    /* What the device makes of it counts, not what was asked for. */
    kernel.shortest_s = 10;
    assert_int_equal(arm(2000, &actual_ms), HAL_OK);
    assert_int_equal(actual_ms, 10000);
}

static void one_that_cannot_be_used_is_let_go(void **state)
{
    (void)state;
    uint32_t actual_ms = 0;
    int before = open_descriptors();
    kernel.longest_s = 4;
    assert_int_equal(arm(5000, &actual_ms), HAL_UNSUPPORTED);
    assert_true(kernel.disabled);
    assert_true(was_released());
    static const struct {
        int error;
        enum hal_result result;
    } answers[] = { { EINVAL, HAL_UNSUPPORTED }, { EOPNOTSUPP, HAL_UNSUPPORTED }, { EIO, HAL_IO } };
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        assert_int_equal(truncate(watchdog, 0), 0);
        kernel.refused = WDIOC_SETTIMEOUT;
        kernel.error = answers[i].error;
        assert_int_equal(arm(5000, &actual_ms), answers[i].result);
        assert_true(was_released());
    }
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(hal.watchdog->feed(hal.context), HAL_NOT_FOUND);
}

/* A guard that dies would stop it. */
static void one_that_a_close_stops_is_refused_unless_nothing_stops_it(void **state)
{
    (void)state;
    uint32_t actual_ms = 0;
    char file[96];
    int before = open_descriptors();
    kernel.options = WDIOF_SETTIMEOUT;
    assert_int_equal(arm(5000, &actual_ms), HAL_UNSUPPORTED);
    assert_true(says("\"test timer\" stops when its owner dies"));
    assert_int_equal(kernel.timeout_s, 0);
    for (int nowayout = 0; nowayout < 2; nowayout++) {
        snprintf(file, sizeof(file), "%s/nowayout", folder);
        FILE *out = fopen(file, "w");
        assert_non_null(out);
        fprintf(out, "%d\n", nowayout);
        fclose(out);
        kernel.nowayout = file;
        assert_int_equal(arm(5000, &actual_ms), nowayout ? HAL_OK : HAL_UNSUPPORTED);
        assert_int_equal(open_descriptors(), before + nowayout);
    }
    assert_string_equal(hal.why(hal.context), "\"test timer\"");
}

static void a_timeout_that_cannot_be_set_must_be_the_one_that_is_wanted(void **state)
{
    (void)state;
    uint32_t actual_ms = 0;
    int before = open_descriptors();
    kernel.refused = WDIOC_SETTIMEOUT;
    kernel.error = EOPNOTSUPP;
    for (kernel.counts_s = 4; kernel.counts_s <= 6; kernel.counts_s += 2) {
        assert_int_equal(arm(5000, &actual_ms), HAL_UNSUPPORTED);
        assert_true(says("can't set a timeout, and counts"));
        assert_true(was_released());
        assert_int_equal(truncate(watchdog, 0), 0);
    }
    kernel.counts_s = 0;
    assert_int_equal(arm(5000, &actual_ms), HAL_UNSUPPORTED);
    assert_true(says("can neither set nor tell a timeout"));
    assert_int_equal(open_descriptors(), before);
    kernel.counts_s = 5;
    assert_int_equal(arm(5000, &actual_ms), HAL_OK);
    assert_int_equal(actual_ms, 5000);
    /* Rounded up, as it would be set. */
    assert_int_equal(hal.watchdog->stop(hal.context), HAL_OK);
    assert_int_equal(arm(4001, &actual_ms), HAL_OK);
    assert_int_equal(actual_ms, 5000);
}

static void what_is_no_watchdog_is_not_written_to(void **state)
{
    (void)state;
    uint32_t actual_ms = 0;
    int before = open_descriptors();
    kernel.refused = WDIOC_GETSUPPORT;
    kernel.error = ENOTTY;
    assert_int_equal(arm(5000, &actual_ms), HAL_IO);
    assert_false(was_released());
    assert_int_equal(kernel.timeout_s, 0);
    assert_int_equal(open_descriptors(), before);
}

static void it_is_fed_while_it_is_armed_and_a_failure_is_told(void **state)
{
    (void)state;
    uint32_t actual_ms = 0;
    assert_int_equal(hal.watchdog->feed(hal.context), HAL_NOT_FOUND);
    assert_int_equal(arm(5000, &actual_ms), HAL_OK);
    assert_int_equal(hal.watchdog->feed(hal.context), HAL_OK);
    assert_int_equal(kernel.feeds, 1);
    kernel.refused = WDIOC_KEEPALIVE;
    kernel.error = EIO;
    assert_int_equal(hal.watchdog->feed(hal.context), HAL_IO);
}

static void it_stops_when_told_to_and_not_without(void **state)
{
    (void)state;
    uint32_t actual_ms = 0;
    int before = open_descriptors();
    assert_int_equal(hal.watchdog->stop(hal.context), HAL_NOT_FOUND);
    assert_int_equal(arm(5000, &actual_ms), HAL_OK);
    assert_int_equal(hal.watchdog->stop(hal.context), HAL_OK);
    assert_true(kernel.disabled);
    assert_true(was_released());
    assert_int_equal(hal.watchdog->feed(hal.context), HAL_NOT_FOUND);
    assert_int_equal(hal.watchdog->stop(hal.context), HAL_NOT_FOUND);
    assert_int_equal(open_descriptors(), before);
    /* An end that nobody planned: it goes on counting. */
    assert_int_equal(truncate(watchdog, 0), 0);
    assert_int_equal(arm(5000, &actual_ms), HAL_OK);
    hal.close(&hal);
    assert_false(was_released());
    assert_int_equal(hal_linux_open(&hal, true), HAL_OK);
    assert_int_equal(open_descriptors(), before);
}

/* With nowayout, 'V' would be taken in silence, and the board reset all the same. */
static void one_that_cannot_be_stopped_says_so_and_is_fed_on(void **state)
{
    (void)state;
    uint32_t actual_ms = 0;
    assert_int_equal(arm(5000, &actual_ms), HAL_OK);
    kernel.refused = WDIOC_SETOPTIONS;
    kernel.error = EBUSY;
    assert_int_equal(hal.watchdog->stop(hal.context), HAL_UNSUPPORTED);
    assert_false(was_released());
    assert_int_equal(hal.watchdog->feed(hal.context), HAL_OK);
    /* One that knows no such option may know 'V'. */
    kernel.error = EOPNOTSUPP;
    assert_int_equal(hal.watchdog->stop(hal.context), HAL_OK);
    assert_true(was_released());
}

static void descriptors_are_not_inherited(void **state)
{
    (void)state;
    uint32_t actual_ms = 0;
    int next = dup(STDIN_FILENO);
    close(next);
    assert_int_equal(arm(5000, &actual_ms), HAL_OK);
    assert_true(fcntl(next, F_GETFD) & FD_CLOEXEC);
}

int main(void)
{
#define ON_A_KERNEL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ON_A_KERNEL(an_output_is_off_from_the_request_on),
        ON_A_KERNEL(an_input_is_never_driven),
        ON_A_KERNEL(a_line_is_given_back_off),
        ON_A_KERNEL(what_the_kernel_refuses_is_told_and_nothing_stays_open),
        ON_A_KERNEL(an_operator_sees_whose_line_it_is),
        ON_A_KERNEL(an_input_has_the_pull_that_is_asked_for),
        ON_A_KERNEL(a_line_that_is_in_use_is_told_with_its_user),
        ON_A_KERNEL(a_line_is_found_by_its_name),
        ON_A_KERNEL(a_chip_is_found_by_its_label),
        ON_A_KERNEL(a_line_is_looked_at_as_it_is),
        ON_A_KERNEL(what_a_chip_does_with_a_line_that_was_closed_shows),
        ON_A_KERNEL(one_that_a_close_stops_is_refused_unless_nothing_stops_it),
        ON_A_KERNEL(a_timeout_that_cannot_be_set_must_be_the_one_that_is_wanted),
        ON_A_KERNEL(an_edge_wakes_and_is_dated_by_the_kernel),
        ON_A_KERNEL(a_chip_without_interrupts_is_looked_at),
        ON_A_KERNEL(edges_without_end_are_no_longer_taken),
        ON_A_KERNEL(a_chip_that_goes_does_not_keep_the_loop_awake),
        ON_A_KERNEL(a_line_that_was_closed_wakes_nobody),
        ON_A_KERNEL(it_counts_whole_seconds_and_says_which),
        ON_A_KERNEL(one_that_cannot_be_used_is_let_go),
        ON_A_KERNEL(what_is_no_watchdog_is_not_written_to),
        ON_A_KERNEL(it_is_fed_while_it_is_armed_and_a_failure_is_told),
        ON_A_KERNEL(it_stops_when_told_to_and_not_without),
        ON_A_KERNEL(one_that_cannot_be_stopped_says_so_and_is_fed_on),
        ON_A_KERNEL(descriptors_are_not_inherited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
