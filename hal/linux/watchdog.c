/*
 * The kernel's watchdog device. Opening starts it; only 'V' before closing stops it.
 * Source: Linux, Documentation/watchdog/watchdog-api.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "linux.h"

/* The kernel counts whole seconds: round up, and ask what came of it. */
static enum hal_result watchdog_set(int fd, uint32_t timeout_ms, uint32_t *actual_ms)
{
    int seconds = (int)((timeout_ms + 999) / 1000);
    if (seconds == 0)
        return HAL_UNSUPPORTED;
    if (ioctl(fd, WDIOC_SETTIMEOUT, &seconds) < 0)
        return errno == EINVAL || errno == EOPNOTSUPP ? HAL_UNSUPPORTED : linux_result(errno);
    *actual_ms = (uint32_t)seconds * 1000;
    return *actual_ms < timeout_ms ? HAL_UNSUPPORTED : HAL_OK;
}

/* By option first: with nowayout the kernel refuses it, where 'V' would be ignored in silence. */
static enum hal_result watchdog_release(int fd)
{
    int options = WDIOS_DISABLECARD;
    if (ioctl(fd, WDIOC_SETOPTIONS, &options) < 0 && errno == EBUSY)
        return HAL_UNSUPPORTED;
    return write(fd, "V", 1) == 1 ? HAL_OK : linux_result(errno);
}

static enum hal_result watchdog_arm(void *hal, const char *device, uint32_t timeout_ms,
                                    uint32_t *actual_ms)
{
    struct linux_hal *context = hal;
    struct watchdog_info info;
    char path[256];
    if (!linux_device_path(path, sizeof(path), device))
        return HAL_NOT_FOUND;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return linux_result(errno);
    /* Anything but a watchdog is found out before it is written to. */
    if (ioctl(fd, WDIOC_GETSUPPORT, &info) < 0) {
        close(fd);
        return HAL_IO;
    }
    enum hal_result result = watchdog_set(fd, timeout_ms, actual_ms);
    if (result != HAL_OK) {
        /* With nowayout it keeps counting and resets the board: nothing more can be done here. */
        (void)watchdog_release(fd);
        close(fd);
        return result;
    }
    context->watchdog_fd = fd;
    return HAL_OK;
}

static enum hal_result watchdog_feed(void *hal)
{
    struct linux_hal *context = hal;
    if (context->watchdog_fd < 0)
        return HAL_NOT_FOUND;
    return ioctl(context->watchdog_fd, WDIOC_KEEPALIVE, 0) < 0 ? HAL_IO : HAL_OK;
}

static enum hal_result watchdog_stop(void *hal)
{
    struct linux_hal *context = hal;
    if (context->watchdog_fd < 0)
        return HAL_NOT_FOUND;
    enum hal_result result = watchdog_release(context->watchdog_fd);
    if (result != HAL_OK)
        return result;
    close(context->watchdog_fd);
    context->watchdog_fd = -1;
    return HAL_OK;
}

const struct hal_watchdog_ops linux_watchdog_ops = {
    .arm = watchdog_arm,
    .feed = watchdog_feed,
    .stop = watchdog_stop,
};
