/*
 * GPIO lines by the kernel's character device, uAPI v2.
 * Source: Linux, include/uapi/linux/gpio.h; Documentation/userspace-api/gpio/chardev.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "linux.h"

enum {
    EDGES_AT_ONCE = 16,  /* the kernel keeps as many of a line, the latest */
    EDGES_A_SECOND = 500 /* more is no contact that bounces but a line that nothing holds */
};

struct hal_line {
    struct linux_hal *hal;
    int fd;
    bool output;
    bool edges;
    uint64_t flags; /* without the edges */
    uint64_t edge_ns;
    uint64_t second_ns; /* edges are counted from here on */
    unsigned edges_in_second;
};

/* ---- requests */

/* "holdfast pump/enable"; where that is too long, of both names as much as there is room for. */
static void consumer_label(const struct hal_line_config *config, char out[GPIO_MAX_NAME_SIZE])
{
    static const char prefix[] = "holdfast ";
    const int room = GPIO_MAX_NAME_SIZE - 1 - (int)strlen(prefix) - 1;
    int resource = (int)strlen(config->resource);
    int name = (int)strlen(config->output);
    if (resource + name > room) {
        int half = room / 2;
        resource = resource < half ? resource : name < half ? room - name : half;
        name = room - resource;
    }
    snprintf(out, GPIO_MAX_NAME_SIZE, "%s%.*s/%.*s", prefix, resource, config->resource, name,
             config->output);
}

static int line_request(const struct linux_chip *chip, uint32_t line, uint64_t flags,
                        const char *consumer)
{
    struct gpio_v2_line_request request;
    memset(&request, 0, sizeof(request));
    request.offsets[0] = line;
    request.num_lines = 1;
    snprintf(request.consumer, sizeof(request.consumer), "%s", consumer);
    request.config.flags = flags;
    if (flags & GPIO_V2_LINE_FLAG_OUTPUT) {
        /* The level is given in the request itself, so that it never glitches. */
        request.config.num_attrs = 1;
        request.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
        request.config.attrs[0].attr.values = 0;
        request.config.attrs[0].mask = 1;
    }
    return ioctl(chip->fd, GPIO_V2_GET_LINE_IOCTL, &request) < 0 ? -errno : request.fd;
}

static void explain_busy(struct linux_hal *hal, const struct linux_chip *chip, uint32_t line)
{
    struct linux_line_info info = { .name = "" };
    if (!linux_line_info(chip, line, &info))
        return;
    linux_explain(hal, "%s [%s] line %u%s%s%s is in use by \"%s\"", chip->name, chip->label,
                  (unsigned)line, info.name[0] ? " \"" : "", info.name, info.name[0] ? "\"" : "",
                  info.consumer[0] ? info.consumer : "the kernel");
}

/* ---- edges */

/* The line stays open, and is looked at. */
static void edges_give_up(struct hal_line *line)
{
    struct gpio_v2_line_config plain;
    memset(&plain, 0, sizeof(plain));
    plain.flags = line->flags;
    line->edges = false;
    (void)epoll_ctl(line->hal->edges_fd, EPOLL_CTL_DEL, line->fd, NULL);
    (void)ioctl(line->fd, GPIO_V2_LINE_SET_CONFIG_IOCTL, &plain);
}

static bool edges_begin(struct hal_line *line)
{
    struct epoll_event input = { .events = EPOLLIN, .data.ptr = line };
    return fcntl(line->fd, F_SETFL, O_NONBLOCK) == 0 &&
           epoll_ctl(line->hal->edges_fd, EPOLL_CTL_ADD, line->fd, &input) == 0;
}

static void edges_count(struct hal_line *line, const struct gpio_v2_line_event *events,
                        size_t count)
{
    line->edge_ns = events[count - 1].timestamp_ns;
    if (line->edge_ns - line->second_ns >= 1000000000) {
        line->second_ns = line->edge_ns;
        line->edges_in_second = 0;
    }
    line->edges_in_second += (unsigned)count;
    if (line->edges_in_second > EDGES_A_SECOND)
        edges_give_up(line);
}

static void edges_take(struct hal_line *line)
{
    struct gpio_v2_line_event events[EDGES_AT_ONCE];
    ssize_t got = read(line->fd, events, sizeof(events));
    if (got >= (ssize_t)sizeof(events[0]))
        edges_count(line, events, (size_t)got / sizeof(events[0]));
    else if (got >= 0 || (errno != EAGAIN && errno != EINTR))
        edges_give_up(line); /* the chip is gone, as the next look at the line will tell */
}

void linux_take_edges(struct linux_hal *hal)
{
    struct epoll_event ready[EDGES_AT_ONCE];
    int count = epoll_wait(hal->edges_fd, ready, EDGES_AT_ONCE, 0);
    for (int i = 0; i < count; i++) {
        if (ready[i].events & EPOLLIN)
            edges_take(ready[i].data.ptr);
        else
            edges_give_up(ready[i].data.ptr);
    }
}

static bool gpio_edges(const struct hal_line *line, int64_t *monotonic_us)
{
    *monotonic_us = line->edge_ns > 0 ? (int64_t)(line->edge_ns / 1000) : INT64_MIN;
    return line->edges;
}

/* ---- opening */

static enum hal_result line_take(struct linux_hal *hal, const struct linux_chip *chip,
                                 uint32_t number, uint64_t flags, uint64_t edges,
                                 const char *consumer, struct hal_line *line)
{
    line->fd = edges != 0 ? line_request(chip, number, flags | edges, consumer) : -1;
    line->edges = line->fd >= 0;
    /* A chip without interrupts refuses the edges, each in its own words. */
    if (line->fd < 0)
        line->fd = line_request(chip, number, flags, consumer);
    if (line->fd == -EBUSY)
        explain_busy(hal, chip, number);
    if (line->fd < 0)
        return linux_result(-line->fd);
    if (line->edges && !edges_begin(line))
        edges_give_up(line);
    return HAL_OK;
}

static enum hal_result line_open(struct linux_hal *hal, const struct hal_line_config *config,
                                 uint64_t flags, uint64_t edges, struct hal_line **out)
{
    struct linux_chip chip;
    uint32_t number = 0;
    enum hal_result result = linux_chip_open(hal, config->chip, &chip);
    if (result != HAL_OK)
        return result;
    result = linux_chip_find(hal, &chip, config, &number);
    struct hal_line *line = calloc(1, sizeof(*line));
    if (result == HAL_OK && line == NULL)
        result = HAL_IO;
    if (result == HAL_OK) {
        char consumer[GPIO_MAX_NAME_SIZE];
        *line = (struct hal_line){
            .hal = hal, .fd = -1, .output = (flags & GPIO_V2_LINE_FLAG_OUTPUT) != 0, .flags = flags
        };
        consumer_label(config, consumer);
        result = line_take(hal, &chip, number, flags, edges, consumer, line);
    }
    close(chip.fd);
    if (result == HAL_OK)
        *out = line;
    else
        free(line);
    return result;
}

static uint64_t polarity_flag(bool active_low)
{
    return active_low ? (uint64_t)GPIO_V2_LINE_FLAG_ACTIVE_LOW : 0;
}

static uint64_t bias_flag(enum hal_bias bias)
{
    static const uint64_t flags[] = {
        [HAL_BIAS_AS_IS] = 0,
        [HAL_BIAS_DISABLED] = GPIO_V2_LINE_FLAG_BIAS_DISABLED,
        [HAL_BIAS_PULL_UP] = GPIO_V2_LINE_FLAG_BIAS_PULL_UP,
        [HAL_BIAS_PULL_DOWN] = GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN,
    };
    return flags[bias];
}

static enum hal_result gpio_open_output(void *hal, const struct hal_line_config *config,
                                        struct hal_line **out)
{
    return line_open(hal, config, GPIO_V2_LINE_FLAG_OUTPUT | polarity_flag(config->active_low), 0,
                     out);
}

static enum hal_result gpio_open_input(void *hal, const struct hal_line_config *config,
                                       struct hal_line **out)
{
    return line_open(hal, config,
                     GPIO_V2_LINE_FLAG_INPUT | polarity_flag(config->active_low) |
                         bias_flag(config->bias),
                     GPIO_V2_LINE_FLAG_EDGE_RISING | GPIO_V2_LINE_FLAG_EDGE_FALLING, out);
}

/* ---- levels */

static enum hal_result gpio_set(struct hal_line *line, bool on)
{
    struct gpio_v2_line_values values = { .bits = on, .mask = 1 };
    return ioctl(line->fd, GPIO_V2_LINE_SET_VALUES_IOCTL, &values) < 0 ? HAL_IO : HAL_OK;
}

static enum hal_result gpio_get(struct hal_line *line, bool *on)
{
    struct gpio_v2_line_values values = { .bits = 0, .mask = 1 };
    if (ioctl(line->fd, GPIO_V2_LINE_GET_VALUES_IOCTL, &values) < 0)
        return HAL_IO;
    *on = (values.bits & 1) != 0;
    return HAL_OK;
}

static void gpio_close(struct hal_line *line)
{
    /* On a failure here the line goes back to the kernel all the same. */
    if (line->output)
        (void)gpio_set(line, false);
    close(line->fd);
    free(line);
}

/* ---- looking */

/*
 * Held as it is: the kernel then asks the chip for the direction, which else is what the last owner
 * made of it.
 */
static void look_closely(const struct linux_chip *chip, uint32_t line, bool active_low,
                         struct hal_line_facts *facts)
{
    struct linux_line_info info;
    struct gpio_v2_line_values values = { .bits = 0, .mask = 1 };
    int fd = line_request(chip, line, polarity_flag(active_low), "holdfast look");
    if (fd < 0)
        return;
    if (linux_line_info(chip, line, &info))
        facts->output = info.output;
    facts->level_known = ioctl(fd, GPIO_V2_LINE_GET_VALUES_IOCTL, &values) == 0;
    facts->on = facts->level_known && (values.bits & 1) != 0;
    close(fd);
}

static enum hal_result gpio_look(void *hal, const struct hal_line_config *config,
                                 struct hal_line_facts *facts)
{
    struct linux_chip chip;
    struct linux_line_info info;
    uint32_t line = 0;
    memset(facts, 0, sizeof(*facts));
    enum hal_result result = linux_chip_open(hal, config->chip, &chip);
    if (result != HAL_OK)
        return result;
    result = linux_chip_find(hal, &chip, config, &line);
    if (result == HAL_OK && !linux_line_info(&chip, line, &info))
        result = linux_result(errno);
    if (result == HAL_OK) {
        snprintf(facts->chip, sizeof(facts->chip), "%s", chip.name);
        snprintf(facts->label, sizeof(facts->label), "%s", chip.label);
        snprintf(facts->name, sizeof(facts->name), "%s", info.name);
        snprintf(facts->consumer, sizeof(facts->consumer), "%s", info.consumer);
        facts->line = line;
        facts->used = info.used;
        facts->output = info.output;
        if (!info.used)
            look_closely(&chip, line, config->active_low, facts);
    }
    close(chip.fd);
    return result;
}

const struct hal_output_ops linux_output_ops = {
    .open_output = gpio_open_output,
    .open_input = gpio_open_input,
    .set = gpio_set,
    .get = gpio_get,
    .edges = gpio_edges,
    .close = gpio_close,
    .look = gpio_look,
};
