#include "notify/notify.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { SIGNS_PER_TIMEOUT = 3, INTERVAL_MS_MAX = 60 * 60 * 1000 };

static struct {
    int socket;
    struct sockaddr_un address;
    socklen_t address_length;
    uint32_t interval_ms;
    int64_t said_ms; /* the last sign of life, of CLOCK_MONOTONIC */
    bool ready_owed;
} notify = { .socket = -1 };

static int64_t now_ms(void)
{
    struct timespec now = { 0, 0 };
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool say(const char *words)
{
    if (notify.socket < 0)
        return true;
    ssize_t sent = sendto(notify.socket, words, strlen(words), MSG_DONTWAIT | MSG_NOSIGNAL,
                          (const struct sockaddr *)&notify.address, notify.address_length);
    return sent >= 0;
}

/* A path, or behind '@' a name without a file. False if it is neither. */
static bool take_address(const char *name)
{
    size_t length = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || length < 2 ||
        length >= sizeof(notify.address.sun_path))
        return false;
    memset(&notify.address, 0, sizeof(notify.address));
    notify.address.sun_family = AF_UNIX;
    memcpy(notify.address.sun_path, name, length);
    if (name[0] == '@')
        notify.address.sun_path[0] = '\0';
    notify.address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

static uint64_t number_of(const char *text)
{
    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

/* 0: no sign of life is asked for, or another process is asked for it. */
static uint32_t asked_interval_ms(void)
{
    const char *pid = getenv("WATCHDOG_PID");
    uint64_t interval_ms = number_of(getenv("WATCHDOG_USEC")) / 1000 / SIGNS_PER_TIMEOUT;
    if (pid != NULL && number_of(pid) != (uint64_t)getpid())
        return 0;
    return interval_ms < INTERVAL_MS_MAX ? (uint32_t)interval_ms : INTERVAL_MS_MAX;
}

void notify_open(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    if (notify.socket < 0 && name != NULL && take_address(name)) {
        notify.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        notify.interval_ms = notify.socket < 0 ? 0 : asked_interval_ms();
        notify.said_ms = now_ms();
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_ready(void)
{
    notify.ready_owed = !say("READY=1");
}

bool notify_alive(void)
{
    if (notify.ready_owed)
        notify_ready();
    int64_t now = now_ms();
    if (notify.interval_ms == 0 || now - notify.said_ms < notify.interval_ms || !say("WATCHDOG=1"))
        return false;
    notify.said_ms = now;
    return true;
}

uint32_t notify_interval_ms(void)
{
    return notify.interval_ms;
}

void notify_stopping(void)
{
    (void)say("STOPPING=1");
}
