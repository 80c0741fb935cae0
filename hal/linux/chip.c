/*
 * Finds a chip by its device or its label, and a line by its number or its name.
 * Source: Linux, include/uapi/linux/gpio.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "linux.h"

enum { CHIPS_MAX = 64 }; /* the kernel numbers them from 0 on, the lowest that is free */

static void copy_name(char out[32], const char from[GPIO_MAX_NAME_SIZE])
{
    snprintf(out, 32, "%.31s", from);
}

/* Opens the device; 0 or the errno that it took. */
static int chip_open_device(const char *path, struct linux_chip *out)
{
    struct gpiochip_info info;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return errno;
    memset(&info, 0, sizeof(info));
    if (ioctl(fd, GPIO_GET_CHIPINFO_IOCTL, &info) < 0) {
        int error = errno;
        close(fd);
        return error;
    }
    out->fd = fd;
    out->lines = info.lines;
    copy_name(out->name, info.name);
    copy_name(out->label, info.label);
    return 0;
}

/* What a look at every chip of the board came to. */
struct search {
    struct linux_hal *hal;
    const char *label;
    struct linux_chip found; /* fd -1: none yet */
    unsigned matches;
    unsigned seen;
    bool denied;
    char all[LINUX_WHY_MAX + 1]; /* those that match, or while none does all of them */
};

/* A device may be a link to another one: each chip is listed once. */
static void search_note(struct search *search, const struct linux_chip *chip)
{
    char text[80];
    size_t used = strlen(search->all);
    snprintf(text, sizeof(text), "%s [%s]", chip->name, chip->label);
    if (strstr(search->all, text) == NULL)
        snprintf(search->all + used, sizeof(search->all) - used, "%s%s", used > 0 ? ", " : "",
                 text);
}

static void search_look(struct search *search, const struct linux_chip *chip)
{
    bool same = search->found.fd >= 0 && strcmp(chip->name, search->found.name) == 0;
    bool match = strcmp(chip->label, search->label) == 0 && !same;
    if (match && search->matches == 0)
        search->all[0] = '\0';
    if (match || (search->matches == 0 && !same))
        search_note(search, chip);
    search->seen++;
    if (!match || search->matches++ > 0) {
        close(chip->fd);
        return;
    }
    search->found = *chip;
}

static enum hal_result search_result(struct search *search, struct linux_chip *out)
{
    if (search->matches == 1) {
        *out = search->found;
        return HAL_OK;
    }
    if (search->matches > 1) {
        close(search->found.fd);
        linux_explain(search->hal, "label \"%s\" is that of %s: say which by its device",
                      search->label, search->all);
        return HAL_AMBIGUOUS;
    }
    if (search->denied) {
        linux_explain(search->hal, "no chip that may be opened has the label \"%s\"",
                      search->label);
        return HAL_DENIED;
    }
    linux_explain(search->hal, "neither a device nor the label of a chip; %s%s",
                  search->seen > 0 ? "there are " : "there are no chips", search->all);
    return HAL_NOT_FOUND;
}

static enum hal_result chip_open_label(struct linux_hal *hal, const char *label,
                                       struct linux_chip *out)
{
    struct search search = { .hal = hal, .label = label, .found = { .fd = -1 } };
    for (int number = 0; number < CHIPS_MAX; number++) {
        struct linux_chip chip = { .fd = -1 };
        char path[32];
        snprintf(path, sizeof(path), "/dev/gpiochip%d", number);
        int error = chip_open_device(path, &chip);
        if (error == 0)
            search_look(&search, &chip);
        search.denied = search.denied || error == EACCES || error == EPERM;
    }
    return search_result(&search, out);
}

enum hal_result linux_chip_open(struct linux_hal *hal, const char *chip, struct linux_chip *out)
{
    char path[64];
    linux_explain(hal, "%s", "");
    if (!linux_device_path(path, sizeof(path), chip))
        return HAL_NOT_FOUND;
    int error = chip_open_device(path, out);
    if (error == ENOENT && strchr(chip, '/') == NULL)
        return chip_open_label(hal, chip, out);
    if (error == ENOTTY)
        linux_explain(hal, "%s is no GPIO chip", path);
    return error == 0 ? HAL_OK : linux_result(error);
}

/* ---- lines */

bool linux_line_info(const struct linux_chip *chip, uint32_t line, struct linux_line_info *info)
{
    struct gpio_v2_line_info answer;
    memset(&answer, 0, sizeof(answer));
    answer.offset = line;
    if (ioctl(chip->fd, GPIO_V2_GET_LINEINFO_IOCTL, &answer) < 0)
        return false;
    copy_name(info->name, answer.name);
    copy_name(info->consumer, answer.consumer);
    info->used = (answer.flags & GPIO_V2_LINE_FLAG_USED) != 0;
    info->output = (answer.flags & GPIO_V2_LINE_FLAG_OUTPUT) != 0;
    return true;
}

static enum hal_result find_by_name(struct linux_hal *hal, const struct linux_chip *chip,
                                    const char *name, uint32_t *line)
{
    struct linux_line_info info;
    unsigned matches = 0;
    linux_explain(hal, "%s [%s] has the name \"%s\" on", chip->name, chip->label, name);
    for (uint32_t number = 0; number < chip->lines; number++) {
        if (!linux_line_info(chip, number, &info) || strcmp(info.name, name) != 0)
            continue;
        linux_explain_more(hal, "%s line %u", matches > 0 ? "," : "", (unsigned)number);
        if (matches++ == 0)
            *line = number;
    }
    if (matches > 1) {
        linux_explain_more(hal, ": say which by its number");
        return HAL_AMBIGUOUS;
    }
    if (matches == 0)
        linux_explain(hal, "%s [%s] has no line of the name \"%s\"", chip->name, chip->label, name);
    return matches == 1 ? HAL_OK : HAL_NOT_FOUND;
}

enum hal_result linux_chip_find(struct linux_hal *hal, const struct linux_chip *chip,
                                const struct hal_line_config *config, uint32_t *line)
{
    struct linux_line_info info;
    *line = config->line;
    if (config->line == HAL_LINE_BY_NAME)
        return find_by_name(hal, chip, config->line_name, line);
    if (config->line >= chip->lines) {
        linux_explain(hal, "%s [%s] has %u lines, counted from 0", chip->name, chip->label,
                      (unsigned)chip->lines);
        return HAL_NOT_FOUND;
    }
    if (config->line_name[0] == '\0')
        return HAL_OK;
    if (!linux_line_info(chip, config->line, &info))
        return linux_result(errno);
    if (strcmp(info.name, config->line_name) == 0)
        return HAL_OK;
    linux_explain(hal, "%s [%s] names line %u \"%s\", not \"%s\"", chip->name, chip->label,
                  (unsigned)config->line, info.name, config->line_name);
    return HAL_NOT_FOUND;
}
