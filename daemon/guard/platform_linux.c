/*
 * The guard's platform on Linux. Nothing is decided here.
 * Source: timerfd_create(2), signalfd(2), unix(7), mlockall(2), sched(7), robust-futex-ABI.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "files/safe_file.h"
#include "hal/clock.h"
#include "log/log.h"
#include "notify/notify.h"
#include "platform.h"
#include "record_writer.h"

enum {
    /*
     * One status of each resource, and little more: an agent that stopped reading gets no old ones.
     */
    SEND_BUFFER_BYTES = 32768,
    LISTEN_BACKLOG = 64
};

static int result_of(int outcome)
{
    return outcome < 0 ? -errno : outcome;
}

/* ---- the run directory */

/* Held until the process ends: whoever has it owns the run directory. */
static bool linux_take_folder(void *context, const char *run_dir)
{
    char path[CONF_PATH_MAX + 32];
    char error[SAFE_FILE_TEXT_MAX];
    (void)context;
    if (mkdir(run_dir, 0755) < 0 && errno != EEXIST) {
        log_line(LOG_ERR, "%s: can't be made: %s", run_dir, strerror(errno));
        return false;
    }
    snprintf(path, sizeof(path), "%s/guard.lock", run_dir);
    if (safe_folder(run_dir, true, error, sizeof(error)) &&
        safe_file_lock(path, "held: another guard runs on this directory", error, sizeof(error)) >=
            0)
        return true;
    log_line(LOG_ERR, "%s", error);
    return false;
}

static int map_shared(int fd, size_t size, void **map)
{
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    int result = mapped == MAP_FAILED ? -errno : 0;
    if (result == 0)
        *map = mapped;
    return result;
}

static int linux_map_file(void *context, const char *path, size_t size, void **map)
{
    struct stat info;
    (void)context;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    bool ours = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() &&
                info.st_size >= (off_t)size;
    int result = ours ? map_shared(fd, size, map) : -EINVAL;
    close(fd);
    return result;
}

static int linux_map_new_file(void *context, const char *path, size_t size, void **map)
{
    (void)context;
    unlink(path);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_CREAT | O_EXCL, 0644);
    if (fd < 0)
        return -errno;
    /* The room is taken now: a full file system fails here, not by a signal at the first store. */
    int result = -posix_fallocate(fd, 0, (off_t)size);
    if (result == 0)
        result = result_of(fchmod(fd, 0644));
    if (result == 0)
        result = map_shared(fd, size, map);
    close(fd);
    return result;
}

static void linux_unmap(void *context, void *map, size_t size)
{
    (void)context;
    munmap(map, size);
}

static int linux_rename(void *context, const char *from, const char *to)
{
    (void)context;
    return result_of(rename(from, to));
}

static uint64_t linux_boot_id(void *context)
{
    (void)context;
    return page_boot_id();
}

static void linux_unlink(void *context, const char *path)
{
    (void)context;
    unlink(path);
}

/*
 * The kernel walks this list when the thread ends, whatever ends it, and sets FUTEX_OWNER_DIED in
 * the word that lies futex_offset after the entry. It replaces libc's own list, which serves robust
 * mutexes that the guard has none of.
 */
static int linux_own_page(void *context, struct lease_page *page)
{
    static struct robust_list_head head;
    static struct robust_list entry;
    (void)context;
    entry.next = &head.list;
    head.list.next = &entry;
    head.futex_offset = (long)((intptr_t)&page->owner - (intptr_t)&entry);
    head.list_op_pending = NULL;
    atomic_store(&page->owner, (uint32_t)syscall(SYS_gettid));
    return result_of((int)syscall(SYS_set_robust_list, &head, sizeof(head)));
}

/* Readers wait in other processes, so it is not a private futex. */
static void linux_wake_readers(void *context, struct lease_page *page)
{
    (void)context;
    syscall(SYS_futex, &page->change, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* ---- the board */

static enum hal_result linux_open_hal(void *context, const struct conf *conf, struct hal *hal)
{
    struct hal_board board = conf_hal_board(conf, "guard");
    (void)context;
    return hal_open(hal, &board);
}

/* ---- being on time */

static void linux_sharpen_timers(void *context)
{
    (void)context;
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

/*
 * Drops the pages of a library's read-only segments that the start of the program brought into
 * memory: reading the configuration needs most of libc, the loop almost nothing of it. A page that
 * is needed after all comes back from the page cache, and is locked then.
 */
static int forget_segments(struct dl_phdr_info *object, size_t size, void *context)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)size;
    (void)context;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || (header->p_flags & PF_W))
            continue;
        uintptr_t from = (object->dlpi_addr + header->p_vaddr) & ~(page - 1);
        uintptr_t to = object->dlpi_addr + header->p_vaddr + header->p_memsz;
        /* The kernel may refuse: then these pages stay in memory, and nothing else follows. */
        (void)madvise((void *)from, to - from, MADV_DONTNEED);
    }
    return 0;
}

static int linux_lock_memory(void *context)
{
    (void)context;
    dl_iterate_phdr(forget_segments, NULL);
    return result_of(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
}

/*
 * The first object is the program. Its segments are locked one by one: where they are aligned to
 * more than a page (64 KiB on arm64) nothing is mapped between them. Ends the walk, by anything
 * but 0: with 1, or -errno.
 */
static int lock_segments(struct dl_phdr_info *object, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        const void *from = (const void *)(object->dlpi_addr + header->p_vaddr);
        if (header->p_type == PT_LOAD && mlock(from, header->p_memsz) < 0)
            return -errno;
    }
    return 1;
}

static int linux_lock_program(void *context)
{
    (void)context;
    int result = dl_iterate_phdr(lock_segments, NULL);
    return result < 0 ? result : 0;
}

static int linux_schedule(void *context, int priority)
{
    struct sched_param parameter = { .sched_priority = priority };
    (void)context;
    return result_of(sched_setscheduler(0, SCHED_FIFO, &parameter));
}

/* ---- clocks and waiting */

static struct instant linux_now(void *context)
{
    (void)context;
    return hal_clock_now();
}

static int64_t linux_monotonic_us(void *context)
{
    struct timespec at = { 0, 0 };
    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

static struct span linux_slept(void *context)
{
    (void)context;
    return hal_clock_slept();
}

static int64_t linux_wall_s(void *context)
{
    struct timespec at = { 0, 0 };
    (void)context;
    clock_gettime(CLOCK_REALTIME, &at);
    return (int64_t)at.tv_sec;
}

static int linux_arm(void *context, int64_t at_us)
{
    const struct platform *platform = context;
    struct itimerspec when = { .it_value = { at_us / 1000000, (long)(at_us % 1000000 * 1000) } };
    return result_of(timerfd_settime(platform->timer, TFD_TIMER_ABSTIME, &when, NULL));
}

static int linux_poll(void *context, struct pollfd *polled, size_t count)
{
    (void)context;
    return result_of(ppoll(polled, (nfds_t)count, NULL, NULL));
}

static int linux_take_signal(void *context)
{
    const struct platform *platform = context;
    struct signalfd_siginfo info;
    if (read(platform->signals, &info, sizeof(info)) != sizeof(info))
        return 0;
    return (int)info.ssi_signo;
}

/* ---- the agents' sockets */

/*
 * Binds as the user `owner` (setfsuid(2)) rather than calling chown() afterwards, when the folder's
 * owner could have put another file in its place. Without the privilege the socket is the guard's
 * own, and a group of RUN that is inherited (its set-group-ID bit) lets the owner in.
 */
static int bind_for(int fd, const struct sockaddr_un *address, uid_t owner)
{
    mode_t mask = umask(0117);
    uid_t own = (uid_t)setfsuid(owner);
    unlink(address->sun_path);
    int result = result_of(bind(fd, (const struct sockaddr *)address, sizeof(*address)));
    (void)setfsuid(own);
    umask(mask);
    return result;
}

static uid_t owner_of_folder(const char *path)
{
    char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    struct stat info;
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL)
        *slash = '\0';
    return slash != NULL && stat(folder, &info) == 0 ? info.st_uid : geteuid();
}

static int linux_listen(void *context, const char *path, uid_t *owner)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    (void)context;
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    *owner = owner_of_folder(path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int result = bind_for(fd, &address, *owner);
    if (result == 0)
        result = result_of(listen(fd, LISTEN_BACKLOG));
    if (result == 0)
        return fd;
    close(fd);
    return result;
}

static int linux_accept(void *context, int listener, struct platform_peer *peer)
{
    const int size = SEND_BUFFER_BYTES;
    struct ucred credentials;
    socklen_t length = sizeof(credentials);
    (void)context;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) {
        int result = -errno;
        close(fd);
        return result;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    *peer = (struct platform_peer){ credentials.uid, credentials.pid };
    return fd;
}

static ssize_t linux_receive(void *context, int connection, void *bytes, size_t size)
{
    (void)context;
    ssize_t length = recv(connection, bytes, size, MSG_DONTWAIT | MSG_TRUNC);
    return length < 0 ? -errno : length;
}

static ssize_t linux_send(void *context, int connection, const void *bytes, size_t size)
{
    (void)context;
    ssize_t sent = send(connection, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

static void linux_close(void *context, int handle)
{
    (void)context;
    close(handle);
}

static void linux_alive(void *context)
{
    (void)context;
    (void)notify_alive();
}

static const struct platform linux_platform = {
    .take_folder = linux_take_folder,
    .open_record = linux_open_record,
    .read_record = linux_read_record,
    .map_file = linux_map_file,
    .map_new_file = linux_map_new_file,
    .unmap = linux_unmap,
    .rename = linux_rename,
    .boot_id = linux_boot_id,
    .own_page = linux_own_page,
    .open_hal = linux_open_hal,
    .listen = linux_listen,
    .unlink = linux_unlink,
    .sharpen_timers = linux_sharpen_timers,
    .lock_memory = linux_lock_memory,
    .lock_program = linux_lock_program,
    .schedule = linux_schedule,
    .now = linux_now,
    .monotonic_us = linux_monotonic_us,
    .slept = linux_slept,
    .arm = linux_arm,
    .poll = linux_poll,
    .write_record = linux_write_record,
    .record_written = linux_record_written,
    .wall_s = linux_wall_s,
    .take_signal = linux_take_signal,
    .accept = linux_accept,
    .receive = linux_receive,
    .send = linux_send,
    .close = linux_close,
    .alive = linux_alive,
    .wake_readers = linux_wake_readers,
};

void platform_linux(struct platform *platform)
{
    *platform = linux_platform;
    platform->context = platform;
    platform->pid = (uint32_t)getpid();
    platform->uid = geteuid();
    platform->signals = -1;
    platform->timer = -1;
}

bool platform_linux_open(struct platform *platform)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    platform->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    platform->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (platform->signals >= 0 && platform->timer >= 0)
        return true;
    log_line(LOG_ERR, "timer or signals: %s", strerror(errno));
    return false;
}
