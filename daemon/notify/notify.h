/*
 * Tells a service manager, as sd_notify(3) does, that this daemon is ready, alive, and ending.
 *
 * Owner: the main thread. Lifecycle: notify_open() once, before other threads and before a child is
 *   made; the rest at any time after it. Without a manager (NOTIFY_SOCKET) nothing happens.
 * Nothing here waits or allocates: a word for which the manager's socket has no room is not said;
 *   "ready" is said again by the next notify_alive().
 * Source: systemd, sd_notify(3) and sd_watchdog_enabled(3).
 */
#ifndef HOLDFAST_NOTIFY_NOTIFY_H
#define HOLDFAST_NOTIFY_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment: a child says nothing. */
void notify_open(void);

/* It does what it is for from now on. */
void notify_ready(void);

/*
 * It is alive; to be called at least each notify_interval_ms(). Says so only if a third of the time
 * that the manager allows is over since the last word; true if it did.
 */
bool notify_alive(void);

/* A third of what the manager allows between two signs of life, > 0; 0: it asks for none. */
uint32_t notify_interval_ms(void);

/* It was asked to end, and is about to. */
void notify_stopping(void);

#endif
