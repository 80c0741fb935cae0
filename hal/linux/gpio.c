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
#include <sys/ioctl.h>
#include <unistd.h>

#include "linux.h"

struct hal_line {
    int fd;
    bool output;
};

/* One line, with its level given in the request itself, so that it never glitches. */
static enum hal_result line_request(int chip_fd, uint32_t line, uint64_t flags,
                                    const char *resource, const char *name, int *line_fd)
{
    struct gpio_v2_line_request request;
    struct gpiochip_info info;
    memset(&info, 0, sizeof(info));
    if (ioctl(chip_fd, GPIO_GET_CHIPINFO_IOCTL, &info) < 0)
        return linux_result(errno);
    if (line >= info.lines)
        return HAL_NOT_FOUND;
    memset(&request, 0, sizeof(request));
    request.offsets[0] = line;
    request.num_lines = 1;
    snprintf(request.consumer, sizeof(request.consumer), "%.15s/%.15s", resource, name);
    request.config.flags = flags;
    if (flags & GPIO_V2_LINE_FLAG_OUTPUT) {
        request.config.num_attrs = 1;
        request.config.attrs[0].attr.id = GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES;
        request.config.attrs[0].attr.values = 0;
        request.config.attrs[0].mask = 1;
    }
    if (ioctl(chip_fd, GPIO_V2_GET_LINE_IOCTL, &request) < 0)
        return linux_result(errno);
    *line_fd = request.fd;
    return HAL_OK;
}

static enum hal_result line_open(const char *chip, uint32_t number, uint64_t flags,
                                 const char *resource, const char *name, struct hal_line **out)
{
    char path[64];
    int line_fd = -1;
    if (!linux_device_path(path, sizeof(path), chip))
        return HAL_NOT_FOUND;
    int chip_fd = open(path, O_RDWR | O_CLOEXEC);
    if (chip_fd < 0)
        return linux_result(errno);
    enum hal_result result = line_request(chip_fd, number, flags, resource, name, &line_fd);
    close(chip_fd);
    if (result != HAL_OK)
        return result;
    struct hal_line *line = malloc(sizeof(*line));
    if (line == NULL) {
        close(line_fd);
        return HAL_IO;
    }
    *line = (struct hal_line){ line_fd, (flags & GPIO_V2_LINE_FLAG_OUTPUT) != 0 };
    *out = line;
    return HAL_OK;
}

static uint64_t polarity_flag(bool active_low)
{
    return active_low ? (uint64_t)GPIO_V2_LINE_FLAG_ACTIVE_LOW : 0;
}

static enum hal_result gpio_open_output(void *hal, const char *chip, uint32_t line, bool active_low,
                                        const char *resource, const char *name,
                                        struct hal_line **out)
{
    (void)hal;
    return line_open(chip, line, GPIO_V2_LINE_FLAG_OUTPUT | polarity_flag(active_low), resource,
                     name, out);
}

static enum hal_result gpio_open_input(void *hal, const char *chip, uint32_t line, bool active_low,
                                       const char *resource, const char *name,
                                       struct hal_line **out)
{
    (void)hal;
    return line_open(chip, line, GPIO_V2_LINE_FLAG_INPUT | polarity_flag(active_low), resource,
                     name, out);
}

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

const struct hal_output_ops linux_output_ops = {
    .open_output = gpio_open_output,
    .open_input = gpio_open_input,
    .set = gpio_set,
    .get = gpio_get,
    .close = gpio_close,
};
