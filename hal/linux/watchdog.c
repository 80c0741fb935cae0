/*
 * The kernel's watchdog device. Opening starts it; only 'V' before closing stops it, where the driver
 * has magic close, and nothing does with nowayout.
 * Source: Linux, Documentation/watchdog/watchdog-api.rst; drivers/watchdog/watchdog_dev.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/watchdog.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "hal/files.h"
#include "linux.h"

/* A driver that can't set a timeout may have the one that is wanted. */
static enum hal_result watchdog_match(struct linux_hal *hal, int fd, int wanted_s)
{
    int seconds = 0;
    if (ioctl(fd, WDIOC_GETTIMEOUT, &seconds) < 0) {
        linux_explain(hal, "its driver can neither set nor tell a timeout");
        return HAL_UNSUPPORTED;
    }
    if (seconds == wanted_s)
        return HAL_OK;
    linux_explain(hal, "its driver can't set a timeout, and counts %d s", seconds);
    return HAL_UNSUPPORTED;
}

/* The kernel counts whole seconds: round up, and ask what came of it. */
static enum hal_result watchdog_set(struct linux_hal *hal, int fd, uint32_t timeout_ms,
                                    uint32_t *actual_ms)
{
    const int wanted_s = (int)((timeout_ms + 999) / 1000);
    int seconds = wanted_s;
    if (wanted_s == 0)
        return HAL_UNSUPPORTED;
    if (ioctl(fd, WDIOC_SETTIMEOUT, &seconds) < 0) {
        if (errno == EINVAL)
            return HAL_UNSUPPORTED;
        if (errno != EOPNOTSUPP && errno != ENOTTY)
            return linux_result(errno);
        enum hal_result result = watchdog_match(hal, fd, wanted_s);
        if (result != HAL_OK)
            return result;
        seconds = wanted_s;
    }
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

/* /dev/watchdog is another name of the first one. */
static bool watchdog_nowayout(int fd)
{
    char path[64] = "/sys/class/watchdog/watchdog0/nowayout";
    char text[2] = "";
    struct stat info;
    if (fstat(fd, &info) < 0)
        return false;
    if (info.st_rdev != makedev(10, 130))
        snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/nowayout", major(info.st_rdev),
                 minor(info.st_rdev));
    return hal_system_files.read(hal_system_files.context, path, text, sizeof(text)) &&
           text[0] == '1';
}

static enum hal_result watchdog_check(struct linux_hal *hal, int fd)
{
    struct watchdog_info info;
    memset(&info, 0, sizeof(info));
    /* Anything but a watchdog is found out before it is written to. */
    if (ioctl(fd, WDIOC_GETSUPPORT, &info) < 0)
        return HAL_IO;
    snprintf(hal->watchdog_name, sizeof(hal->watchdog_name), "%.31s", (const char *)info.identity);
    if ((info.options & WDIOF_MAGICCLOSE) || watchdog_nowayout(fd))
        return HAL_OK;
    linux_explain(
        hal,
        "\"%s\" stops when its owner dies: its driver has no magic close, and nowayout is "
        "not set",
        hal->watchdog_name);
    return HAL_UNSUPPORTED;
}

static enum hal_result watchdog_arm(void *context, const char *device, uint32_t timeout_ms,
                                    uint32_t *actual_ms)
{
    struct linux_hal *hal = context;
    char path[256];
    linux_explain(hal, "%s", "");
    if (!linux_device_path(path, sizeof(path), device))
        return HAL_NOT_FOUND;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return linux_result(errno);
    enum hal_result result = watchdog_check(hal, fd);
    if (result == HAL_OK) {
        result = watchdog_set(hal, fd, timeout_ms, actual_ms);
        /* With nowayout it keeps counting and resets the board: nothing more can be done here. */
        if (result != HAL_OK)
            (void)watchdog_release(fd);
    }
    if (result == HAL_OK) {
        linux_explain(hal, "\"%s\"", hal->watchdog_name);
        hal->watchdog_fd = fd;
    } else {
        close(fd);
    }
    return result;
}

static enum hal_result watchdog_feed(void *context)
{
    struct linux_hal *hal = context;
    if (hal->watchdog_fd < 0)
        return HAL_NOT_FOUND;
    return ioctl(hal->watchdog_fd, WDIOC_KEEPALIVE, 0) < 0 ? HAL_IO : HAL_OK;
}

static enum hal_result watchdog_stop(void *context)
{
    struct linux_hal *hal = context;
    if (hal->watchdog_fd < 0)
        return HAL_NOT_FOUND;
    enum hal_result result = watchdog_release(hal->watchdog_fd);
    if (result != HAL_OK)
        return result;
    close(hal->watchdog_fd);
    hal->watchdog_fd = -1;
    return HAL_OK;
}

const struct hal_watchdog_ops linux_watchdog_ops = {
    .arm = watchdog_arm,
    .feed = watchdog_feed,
    .stop = watchdog_stop,
};
