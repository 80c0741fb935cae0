/* The linux backend's own parts; included by nothing else. */
#ifndef HOLDFAST_HAL_LINUX_LINUX_H
#define HOLDFAST_HAL_LINUX_LINUX_H

#include <stddef.h>

#include "hal/hal.h"

struct linux_hal {
    int watchdog_fd; /* -1 while not armed */
};

extern const struct hal_output_ops linux_output_ops;
extern const struct hal_watchdog_ops linux_watchdog_ops;

/* Translates errno of an open or an ioctl, in this one place. */
enum hal_result linux_result(int error);

/* "gpiochip0" to "/dev/gpiochip0"; a path with a slash is kept. False if it does not fit. */
bool linux_device_path(char *out, size_t size, const char *name);

#endif
