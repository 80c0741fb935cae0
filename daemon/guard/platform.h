/*
 * What the guard asks of the system, as one small table: clocks, a timer, the agents' sockets, the
 * run and data directory, the lease page's mapping, the board's lines, and what being on time takes.
 *
 * Purpose: whatever decides something stands above this table, so that it runs unchanged where a
 *   test or a simulated board answers in the system's place. An entry is one system call, or a few
 *   with nothing to decide between them.
 * Owner: main fills one in by platform_linux(), and the guard's one thread calls it.
 * Lifecycle: outlives the loop. Nothing below the second line of dashes blocks or allocates, except
 *   that poll() waits.
 * Unless an entry says otherwise it returns 0 or more, or -errno.
 */
#ifndef HOLDFAST_GUARD_PLATFORM_H
#define HOLDFAST_GUARD_PLATFORM_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/instant.h"
#include "client/page.h"
#include "conf/conf.h"
#include "hal/hal.h"

/* Who is at the other end of a connection. */
struct platform_peer {
    uid_t uid;
    pid_t pid;
};

struct platform {
    void *context; /* first argument of every entry */
    uint32_t pid;
    uid_t uid;   /* in force */
    int timer;   /* to be polled: readable once the instant given to arm() is reached */
    int signals; /* to be polled: readable when the guard is asked to end */

    /* ---- at the start and at the end: these may block for the file system or the bench */

    /*
     * Makes the folder, if need be, and locks it for this process until that ends. False after one
     * log line.
     */
    bool (*take_folder)(void *context, const char *run_dir);
    /*
     * Has DATA/faults read and written by somebody else from now on, whom neither this process's end
     * nor its lines depend on: *handle is to be polled, and closed. To be called before a line is
     * open. Does not wait for the disk. False after one log line.
     */
    bool (*open_record)(void *context, const char *data_dir, int *handle);
    /*
     * What it holds, cut to `size`: its length. Waits for that up to 20 s, 10 s of them for an earlier
     * guard's writer. -ENOENT: it is not there; -EPERM, after one log line: this user may not write
     * there; -EBUSY: the earlier writer is not done; -ETIMEDOUT: the disk hangs.
     */
    ssize_t (*read_record)(void *context, int handle, void *bytes, size_t size);
    /* Maps `size` bytes of a regular file of this user, writable and shared. */
    int (*map_file)(void *context, const char *path, size_t size, void **map);
    /* The same of a new file of zeros, readable by all, in the place of whatever was there. */
    int (*map_new_file)(void *context, const char *path, size_t size, void **map);
    void (*unmap)(void *context, void *map, size_t size);
    int (*rename)(void *context, const char *from, const char *to);
    /* As page_boot_id(). */
    uint64_t (*boot_id)(void *context);
    /* Sets the page's owner to this thread; the kernel sets PAGE_OWNER_DIED when the thread ends. */
    int (*own_page)(void *context, struct lease_page *page);
    /* Opens the board that `conf` names. */
    enum hal_result (*open_hal)(void *context, const struct conf *conf, struct hal *hal);
    /*
     * Binds the socket `path`, mode 0660, in the place of a stale one, for the user that owns the
     * folder it lies in: *owner is set to that one. Returns a handle to be polled and closed.
     */
    int (*listen)(void *context, const char *path, uid_t *owner);
    void (*unlink)(void *context, const char *path);
    /* Asks for timers without slack. */
    void (*sharpen_timers)(void *context);
    /* Locks what has been or will be touched. */
    int (*lock_memory)(void *context);
    /* Locks the program itself, touched or not. */
    int (*lock_program)(void *context);
    /* SCHED_FIFO at `priority`. */
    int (*schedule)(void *context, int priority);

    /* ---- while it runs */

    struct instant (*now)(void *context);   /* CLOCK_MONOTONIC_RAW: all is decided by it */
    int64_t (*monotonic_us)(void *context); /* CLOCK_MONOTONIC: the timer goes by it */
    struct span (*slept)(void *context);    /* as hal_clock_slept() */
    /* Sets the timer to an instant of CLOCK_MONOTONIC; one that is past is reached at once. */
    int (*arm)(void *context, int64_t at_us);
    /* As ppoll(2) without a timeout. Handles below 0 are left out. */
    int (*poll)(void *context, struct pollfd *polled, size_t count);
    /* Has these bytes written in the place of what is there. One at a time. Never waits. */
    int (*write_record)(void *context, int handle, const void *bytes, size_t size);
    /*
     * What came of it: 0 if they outlive a reset of the board, or -errno. -EAGAIN: it is under way;
     * -EPIPE: who wrote is gone.
     */
    int (*record_written)(void *context, int handle);
    int64_t (*wall_s)(void *context); /* CLOCK_REALTIME, for people */
    /* The number of the signal that asks the guard to end; 0 if there is none. */
    int (*take_signal)(void *context);
    /* The next connection that waits at `listener`: its handle, to be polled and closed. */
    int (*accept)(void *context, int listener, struct platform_peer *peer);
    /*
     * The next message into `bytes`, cut to `size`: its whole length, 0 at the connection's end.
     * -EAGAIN if there is none.
     */
    ssize_t (*receive)(void *context, int connection, void *bytes, size_t size);
    /* Sends one message: the number of bytes sent. -EAGAIN or -ENOBUFS if there is no room. */
    ssize_t (*send)(void *context, int connection, const void *bytes, size_t size);
    void (*close)(void *context, int handle);
    /* After each turn of loop_run(): whoever watches over the guard is told that it is alive. */
    void (*alive)(void *context);
    /* Wakes all readers that wait for the page's `change`. */
    void (*wake_readers)(void *context, struct lease_page *page);
};

/* Fills in the real one, which has no timer and no signals yet. *platform stays where it is. */
void platform_linux(struct platform *platform);

/* Opens its timer, and has SIGTERM and SIGINT ask for an end. False after one log line. */
bool platform_linux_open(struct platform *platform);

#endif
