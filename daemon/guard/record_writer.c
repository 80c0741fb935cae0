#include "record_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "conf/conf.h"
#include "files/safe_file.h"
#include "log/log.h"

enum {
    WRITER_BYTES_MAX = 4096,
    WRITER_LOCK_WAIT_MS = 10000, /* for the writer of a guard that was killed */
    WRITER_LOCK_POLL_MS = 20
};

struct writer {
    int socket;
    int folder;
    char path[CONF_PATH_MAX + 32]; /* of the lock */
    char file[CONF_PATH_MAX + 32];
    char bytes[WRITER_BYTES_MAX];
};

/* ---- the writer's process */

/* Two writers would overtake each other. */
static int take_lock(const struct writer *writer)
{
    const struct timespec pause = { 0, WRITER_LOCK_POLL_MS * 1000000L };
    char error[SAFE_FILE_TEXT_MAX];
    for (int waited_ms = 0; waited_ms < WRITER_LOCK_WAIT_MS; waited_ms += WRITER_LOCK_POLL_MS) {
        if (safe_file_lock(writer->path, "held: an earlier guard's faults are being written", error,
                           sizeof(error)) >= 0)
            return 0;
        nanosleep(&pause, NULL);
    }
    log_line(LOG_ERR, "%s", error);
    return -EBUSY;
}

static ssize_t read_file(struct writer *writer)
{
    char error[SAFE_FILE_TEXT_MAX];
    if (faccessat(writer->folder, "faults", F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
        return -ENOENT;
    int file = safe_file_open(writer->file, O_RDONLY, 0600, error, sizeof(error));
    if (file < 0) {
        log_line(LOG_ERR, "%s", error);
        return -EACCES;
    }
    ssize_t length = read(file, writer->bytes, sizeof(writer->bytes));
    int code = errno;
    close(file);
    return length < 0 ? -code : length;
}

/* The one before is whole until the new one is. */
static int write_file(const struct writer *writer, size_t length)
{
    if (unlinkat(writer->folder, "faults.new", 0) != 0 && errno != ENOENT)
        return -errno;
    int file = openat(writer->folder, "faults.new",
                      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0)
        return -errno;
    errno = EIO; /* of a write in part */
    bool done = write(file, writer->bytes, length) == (ssize_t)length && fsync(file) == 0;
    int result = done ? 0 : -errno;
    close(file);
    if (result == 0 && (renameat(writer->folder, "faults.new", writer->folder, "faults") != 0 ||
                        fsync(writer->folder) != 0))
        result = -errno;
    return result;
}

/* Answers with the length of what is there and the bytes, then to each write with what came of it. */
static void serve(struct writer *writer)
{
    ssize_t result = take_lock(writer);
    if (result == 0)
        result = read_file(writer);
    struct iovec parts[] = { { &result, sizeof(result) },
                             { writer->bytes, result > 0 ? (size_t)result : 0 } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    if (sendmsg(writer->socket, &message, MSG_NOSIGNAL) < 0)
        return;
    for (;;) {
        ssize_t length = recv(writer->socket, writer->bytes, sizeof(writer->bytes), 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return;
        int outcome = write_file(writer, (size_t)length);
        (void)send(writer->socket, &outcome, sizeof(outcome), MSG_NOSIGNAL);
    }
}

/* Nothing of the guard's stays open here: neither its lock nor, later, a line. */
_Noreturn static void run_writer(struct writer *writer)
{
    const struct sched_param none = { 0 };
    (void)prctl(PR_SET_NAME, "guard-record", 0UL, 0UL, 0UL);
    (void)sched_setscheduler(0, SCHED_OTHER, &none); /* whoever started the guard may have set it */
    int kept[] = { writer->socket, writer->folder };
    for (int i = 0; i < 2; i++)
        kept[i] = fcntl(kept[i], F_DUPFD_CLOEXEC, 3);
    unsigned low = (unsigned)(kept[0] < kept[1] ? kept[0] : kept[1]);
    unsigned high = (unsigned)(kept[0] < kept[1] ? kept[1] : kept[0]);
    if (kept[0] >= 3 && kept[1] >= 3) {
        if (low > 3)
            (void)close_range(3, low - 1, 0);
        if (high > low + 1)
            (void)close_range(low + 1, high - 1, 0);
        (void)close_range(high + 1, ~0U, 0);
        writer->socket = kept[0];
        writer->folder = kept[1];
        serve(writer);
    }
    _exit(0);
}

/* ---- the guard's end of it */

static bool folder_usable(const char *data_dir)
{
    char error[SAFE_FILE_TEXT_MAX];
    if (!safe_folder(data_dir, true, error, sizeof(error))) {
        log_line(LOG_ERR, "%s", error);
        return false;
    }
    if (faccessat(AT_FDCWD, data_dir, W_OK | X_OK, AT_EACCESS) == 0)
        return true;
    log_line(LOG_ERR,
             "%s: can't be written by user %u, who runs this program: %s; latched faults are kept "
             "there",
             data_dir, (unsigned)geteuid(), strerror(errno));
    return false;
}

static bool start_writer(struct writer *writer, int *handle)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    pid_t child = fork();
    if (child == 0) {
        writer->socket = pair[1];
        run_writer(writer);
    }
    int code = errno;
    close(pair[1]);
    if (child < 0)
        close(pair[0]);
    errno = code;
    *handle = pair[0];
    return child > 0;
}

bool linux_open_record(void *context, const char *data_dir, int *handle)
{
    struct writer writer;
    (void)context;
    *handle = -1;
    if (!folder_usable(data_dir))
        return false;
    snprintf(writer.path, sizeof(writer.path), "%s/faults.lock", data_dir);
    snprintf(writer.file, sizeof(writer.file), "%s/faults", data_dir);
    writer.folder = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool started = writer.folder >= 0 && start_writer(&writer, handle);
    if (!started) {
        *handle = -1;
        log_line(LOG_ERR, "%s: the writer of faults can't be started: %s", data_dir,
                 strerror(errno));
    }
    if (writer.folder >= 0)
        close(writer.folder);
    return started;
}

ssize_t linux_read_record(void *context, int handle, void *bytes, size_t size)
{
    struct pollfd answer = { handle, POLLIN, 0 };
    ssize_t result = 0;
    struct iovec parts[] = { { &result, sizeof(result) }, { bytes, size } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    (void)context;
    /* Its own wait for the lock, and as much again for the disk. */
    int ready = poll(&answer, 1, 2 * WRITER_LOCK_WAIT_MS);
    if (ready <= 0)
        return ready < 0 ? -errno : -ETIMEDOUT;
    ssize_t length = recvmsg(handle, &message, MSG_DONTWAIT);
    if (length < (ssize_t)sizeof(result))
        return length < 0 ? -errno : -EPIPE;
    /* What is longer than any record is cut, and damaged by that. */
    return result > (ssize_t)size ? (ssize_t)size : result;
}

int linux_write_record(void *context, int handle, const void *bytes, size_t size)
{
    (void)context;
    ssize_t sent = send(handle, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : 0;
}

int linux_record_written(void *context, int handle)
{
    int outcome = 0;
    (void)context;
    ssize_t length = recv(handle, &outcome, sizeof(outcome), MSG_DONTWAIT);
    if (length == (ssize_t)sizeof(outcome))
        return outcome;
    if (length > 0)
        return -EAGAIN; /* what it read, long after anybody waited for it */
    return length < 0 && (errno == EAGAIN || errno == EINTR) ? -EAGAIN : -EPIPE;
}
