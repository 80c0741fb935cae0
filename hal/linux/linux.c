#include "linux.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
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

static void explain_at(struct linux_hal *hal, size_t used, const char *format, va_list arguments)
{
    vsnprintf(hal->why + used, sizeof(hal->why) - used, format, arguments);
}

void linux_explain(struct linux_hal *hal, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    explain_at(hal, 0, format, arguments);
    va_end(arguments);
}

void linux_explain_more(struct linux_hal *hal, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    explain_at(hal, strlen(hal->why), format, arguments);
    va_end(arguments);
}

static const char *linux_why(void *hal)
{
    return ((struct linux_hal *)hal)->why;
}

bool linux_device_path(char *out, size_t size, const char *name)
{
    const char *folder = strchr(name, '/') != NULL ? "" : "/dev/";
    int length = snprintf(out, size, "%s%s", folder, name);
    return length > 0 && (size_t)length < size;
}

/* Edges wake the owner, who reads the levels. */
static enum hal_result linux_service(void *hal)
{
    const struct linux_hal *context = hal;
    if (context->edges_fd >= 0)
        linux_take_edges(hal);
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
    if (context->edges_fd >= 0)
        close(context->edges_fd);
    free(context);
    memset(hal, 0, sizeof(*hal));
    hal->fd = -1;
}

enum hal_result hal_linux_open(struct hal *hal, bool lines)
{
    struct linux_hal *context = calloc(1, sizeof(*context));
    if (context == NULL)
        return HAL_IO;
    context->watchdog_fd = -1;
    context->edges_fd = lines ? epoll_create1(EPOLL_CLOEXEC) : -1;
    if (lines && context->edges_fd < 0) {
        free(context);
        return HAL_IO;
    }
    *hal = (struct hal){
        .backend = "linux",
        .output = &linux_output_ops,
        .watchdog = &linux_watchdog_ops,
        .context = context,
        .fd = context->edges_fd,
        .service = linux_service,
        .announce_port = linux_announce_port,
        .why = linux_why,
        .close = linux_close,
    };
    return HAL_OK;
}
