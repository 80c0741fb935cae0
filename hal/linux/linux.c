#include "linux.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum hal_result linux_result(int error)
{
    switch (error) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ENOTDIR:
        return HAL_NOT_FOUND;
    case EBUSY:
        return HAL_BUSY;
    case EACCES:
    case EPERM:
    case EROFS:
        return HAL_DENIED;
    case EOPNOTSUPP:
        return HAL_UNSUPPORTED;
    default:
        return HAL_IO;
    }
}

bool linux_device_path(char *out, size_t size, const char *name)
{
    const char *folder = strchr(name, '/') != NULL ? "" : "/dev/";
    int length = snprintf(out, size, "%s%s", folder, name);
    return length > 0 && (size_t)length < size;
}

/* Levels are read by the owner; nothing arrives by itself. */
static enum hal_result linux_service(void *hal)
{
    (void)hal;
    return HAL_OK;
}

/* Nobody watches from outside. */
static enum hal_result linux_announce_port(void *hal, uint16_t port)
{
    (void)hal;
    (void)port;
    return HAL_OK;
}

static void linux_close(struct hal *hal)
{
    struct linux_hal *context = hal->context;
    if (context->watchdog_fd >= 0)
        close(context->watchdog_fd);
    free(context);
    memset(hal, 0, sizeof(*hal));
    hal->fd = -1;
}

enum hal_result hal_linux_open(struct hal *hal)
{
    struct linux_hal *context = malloc(sizeof(*context));
    if (context == NULL)
        return HAL_IO;
    context->watchdog_fd = -1;
    *hal = (struct hal){
        .backend = "linux",
        .output = &linux_output_ops,
        .watchdog = &linux_watchdog_ops,
        .context = context,
        .fd = -1,
        .service = linux_service,
        .announce_port = linux_announce_port,
        .close = linux_close,
    };
    return HAL_OK;
}
