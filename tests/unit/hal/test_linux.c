/*
 * The linux backend on a kernel of the test's: its ioctl(2) is answered here, on descriptors of plain
 * files. What a real chip makes of the same requests is test_contract.c's, where there is one.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <linux/watchdog.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hal/hal.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

enum { CHIP_LINES = 4, DESCRIPTORS_MAX = 256 };

static struct {
    unsigned long refused; /* this request fails, with `error` */
    int error;
    struct gpio_v2_line_request asked;
    int line_fd;
    bool level;
    int sets;
    int timeout_s;  /* what the watchdog counts */
    int longest_s;  /* what it can count; what is more becomes this */
    int shortest_s; /* what is less becomes this */
    bool disabled;
    int feeds;
} kernel;

static char folder[64];
static char chip[96];
static char watchdog[96];
static struct hal hal;

static int answer_chip(struct gpiochip_info *info)
{
    info->lines = CHIP_LINES;
    return 0;
}

static int answer_line(struct gpio_v2_line_request *request)
{
    kernel.asked = *request;
    request->fd = kernel.line_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
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
    if (request == kernel.refused) {
        errno = kernel.error;
        return -1;
    }
    switch (request) {
    case GPIO_GET_CHIPINFO_IOCTL:
        return answer_chip(argument);
    case GPIO_V2_GET_LINE_IOCTL:
        return answer_line(argument);
    case GPIO_V2_LINE_SET_VALUES_IOCTL:
    case GPIO_V2_LINE_GET_VALUES_IOCTL:
        return answer_values(request, argument);
    case WDIOC_GETSUPPORT:
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
    kernel.line_fd = -1;
    strcpy(folder, "/tmp/holdfast-linux-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(chip, sizeof(chip), "%s/chip", folder);
    snprintf(watchdog, sizeof(watchdog), "%s/watchdog", folder);
    close(open(chip, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    close(open(watchdog, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    return hal_linux_open(&hal) == HAL_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    hal.close(&hal);
    folder_remove(folder);
    return 0;
}

/* ---- lines */

static enum hal_result open_output(uint32_t number, bool active_low, struct hal_line **line)
{
    return hal.output->open_output(hal.context, chip, number, active_low, "pump", "enable", line);
}

static enum hal_result open_input(uint32_t number, bool active_low, struct hal_line **line)
{
    return hal.output->open_input(hal.context, chip, number, active_low, "pump", "enable", line);
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
        assert_string_equal(asked->consumer, "pump/enable");
        assert_int_equal(kernel.sets, active_low); /* the first one's close */
        hal.output->close(line);
    }
}

static void an_input_is_never_driven(void **state)
{
    (void)state;
    struct hal_line *line = NULL;
    bool on = false;
    assert_int_equal(open_input(0, true, &line), HAL_OK);
    assert_int_equal(kernel.asked.config.flags,
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
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(hal_linux_open(&hal), HAL_OK);
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
