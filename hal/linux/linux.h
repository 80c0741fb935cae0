/* The linux backend's own parts; included by nothing else. */
#ifndef HOLDFAST_HAL_LINUX_LINUX_H
#define HOLDFAST_HAL_LINUX_LINUX_H

#include <stddef.h>

#include "hal/hal.h"

enum { LINUX_WHY_MAX = 255 };

struct linux_hal {
    int watchdog_fd; /* -1 while not armed */
    int edges_fd;    /* epoll over the inputs that tell their edges; hal.fd; -1: opens none */
    char why[LINUX_WHY_MAX + 1];
    char watchdog_name[32];
};

/* A chip whose device is open. */
struct linux_chip {
    int fd;
    char name[32]; /* the kernel's, as "gpiochip0", whatever it was found by */
    char label[32];
    uint32_t lines;
};

/* What the kernel says of one line. */
struct linux_line_info {
    char name[32]; /* "": the chip has none for it */
    char consumer[32];
    bool used;
    bool output;
};

extern const struct hal_output_ops linux_output_ops;
extern const struct hal_watchdog_ops linux_watchdog_ops;

/* Translates errno of an open or an ioctl, in this one place. */
enum hal_result linux_result(int error);

/* Sets what why() answers; cut where it does not fit. */
__attribute__((format(printf, 2, 3))) void linux_explain(struct linux_hal *hal, const char *format,
                                                         ...);

/* Puts more behind it. */
__attribute__((format(printf, 2, 3))) void linux_explain_more(struct linux_hal *hal,
                                                              const char *format, ...);

/* "gpiochip0" to "/dev/gpiochip0"; a path with a slash is kept. False if it does not fit. */
bool linux_device_path(char *out, size_t size, const char *name);

/*
 * Opens the chip of this device name or path; else the one chip with this label. A refusal lists the
 * chips that are there. HAL_NOT_FOUND, HAL_AMBIGUOUS, HAL_DENIED, HAL_IO.
 */
enum hal_result linux_chip_open(struct linux_hal *hal, const char *chip, struct linux_chip *out);

/* The line's number, by name or number or both. HAL_NOT_FOUND, HAL_AMBIGUOUS, HAL_IO. */
enum hal_result linux_chip_find(struct linux_hal *hal, const struct linux_chip *chip,
                                const struct hal_line_config *config, uint32_t *line);

/* False if the kernel does not say. */
bool linux_line_info(const struct linux_chip *chip, uint32_t line, struct linux_line_info *info);

/* Takes in the edges of every line that has some. */
void linux_take_edges(struct linux_hal *hal);

#endif
