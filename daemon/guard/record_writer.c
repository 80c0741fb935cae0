#include "record_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "conf/conf.h"
#include "files/safe_file.h"
#include "log/log.h"
#include "record.h"

enum {
    WRITER_BYTES_MAX = 4096,
    WRITER_LOCK_WAIT_MS = 10000, /* for the writer of a guard that was killed */
    WRITER_LOCK_POLL_MS = 20
};

/* What the guard asks for: a number, then the bytes to be written. */
struct request {
    uint32_t number;
};

_Static_assert(sizeof(struct request) + RECORD_TEXT_MAX <= WRITER_BYTES_MAX, "a record fits");

/* One answer to the start, with the bytes that were read behind it, then one to each request. */
enum answer_kind { ANSWER_READ = 1, ANSWER_WRITE };

struct answer {
    uint32_t kind;
    uint32_t number; /* of the request */
    int32_t result;  /* as platform.h has it */
};

struct writer {
    int socket;
    int folder; /* -1: not opened yet */
    int lock;   /* -1: not obtained */
    char data_dir[CONF_PATH_MAX + 1];
    char path[CONF_PATH_MAX + 32]; /* of the lock */
    char file[CONF_PATH_MAX + 32];
    char bytes[WRITER_BYTES_MAX];
};

/* ---- the writer's process */

/* It forgets at a reset, and nothing tells an operator so when the day comes. */
static void warn_of_memory(const struct writer *writer)
{
    struct statfs info;
    if (fstatfs(writer->folder, &info) != 0)
        return;
    const unsigned type = (unsigned)info.f_type; /* an int on 32-bit machines */
    bool memory = type == TMPFS_MAGIC || type == RAMFS_MAGIC;
    if (memory || type == OVERLAYFS_SUPER_MAGIC)
        log_line(LOG_WARNING,
                 "%s: on %s: latched faults %s forgotten at a reset: mount a disk there",
                 writer->data_dir, memory ? "a file system in memory" : "an overlay",
                 memory ? "are" : "may be");
}

/*
 * May this user write there? One who may not is told so before the board drives: -EPERM, after one
 * log line. A card that fails is no reason not to start: any other -errno.
 */
static int check_folder(const char *data_dir)
{
    char error[SAFE_FILE_TEXT_MAX];
    struct stat info;
    if (stat(data_dir, &info) != 0 && errno != ENOENT && errno != ENOTDIR && errno != EACCES)
        return -errno;
    if (!safe_folder(data_dir, true, error, sizeof(error))) {
        log_line(LOG_ERR, "%s", error);
        return -EPERM;
    }
    if (faccessat(AT_FDCWD, data_dir, R_OK | W_OK | X_OK, AT_EACCESS) == 0)
        return 0;
    if (errno != EACCES)
        return -errno;
    log_line(LOG_ERR,
             "%s: can't be written by user %u, who runs this program: %s; latched faults are kept "
             "there",
             data_dir, (unsigned)geteuid(), strerror(errno));
    return -EPERM;
}

static int open_folder(struct writer *writer)
{
    if (writer->folder >= 0)
        return 0;
    int result = check_folder(writer->data_dir);
    if (result < 0)
        return result;
    writer->folder = open(writer->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (writer->folder < 0)
        return -errno;
    warn_of_memory(writer);
    return 0;
}

/* Two writers would overtake each other: without it nothing is written. */
static bool try_lock(struct writer *writer, char error[SAFE_FILE_TEXT_MAX])
{
    if (writer->lock < 0)
        writer->lock =
            safe_file_lock(writer->path, "held: an earlier guard's faults are being written", error,
                           SAFE_FILE_TEXT_MAX);
    return writer->lock >= 0;
}

/* Ends early if the guard does, or asks for a write: then it waits for this no longer. */
static int await_lock(struct writer *writer)
{
    struct pollfd guard = { writer->socket, POLLIN, 0 };
    char error[SAFE_FILE_TEXT_MAX];
    int ready = 0;
    for (int waited_ms = 0; waited_ms < WRITER_LOCK_WAIT_MS && ready <= 0;
         waited_ms += WRITER_LOCK_POLL_MS) {
        if (try_lock(writer, error))
            return 0;
        ready = poll(&guard, 1, WRITER_LOCK_POLL_MS);
    }
    log_line(LOG_ERR, "%s", error);
    return -EBUSY;
}

static int read_file(struct writer *writer)
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
    return length < 0 ? -code : (int)length;
}

/*
 * The room for the next record, so that a disk which others have filled still takes a latch: it is
 * written there, and changes places with the one before.
 */
static int open_room(const struct writer *writer)
{
    char error[SAFE_FILE_TEXT_MAX];
    int file = openat(writer->folder, "faults.new", O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file >= 0 && safe_file_check(file, "faults.new", error, sizeof(error)))
        return file;
    if (file >= 0)
        close(file);
    if (unlinkat(writer->folder, "faults.new", 0) != 0 && errno != ENOENT)
        return -1;
    return openat(writer->folder, "faults.new",
                  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static void keep_room(const struct writer *writer)
{
    int file = open_room(writer);
    if (file < 0 ||
        (fallocate(file, FALLOC_FL_KEEP_SIZE, 0, RECORD_TEXT_MAX) != 0 && errno != EOPNOTSUPP))
        log_line(LOG_WARNING, "%s: no room is kept for the next latched fault: %s", writer->file,
                 strerror(errno));
    if (file >= 0)
        close(file);
}

/* Where nothing can be exchanged the one before is gone, and room is made anew. */
static int put_in_place(const struct writer *writer)
{
    int folder = writer->folder;
    if (renameat2(folder, "faults.new", folder, "faults", RENAME_EXCHANGE) != 0 &&
        ((errno != ENOENT && errno != EINVAL && errno != ENOSYS) ||
         renameat(folder, "faults.new", folder, "faults") != 0))
        return -errno;
    return fsync(folder) == 0 ? 0 : -errno;
}

/* The one before is whole until the new one is. */
static int write_file(const struct writer *writer, const char *bytes, size_t length)
{
    int file = open_room(writer);
    if (file < 0)
        return -errno;
    errno = EIO; /* of a write in part */
    bool done = write(file, bytes, length) == (ssize_t)length &&
                ftruncate(file, (off_t)length) == 0 && fsync(file) == 0;
    int result = done ? 0 : -errno;
    close(file);
    return result == 0 ? put_in_place(writer) : result;
}

/* Before the first latch, too, there is a record, which gives its room to the one after that. */
static void begin_file(const struct writer *writer, bool missing)
{
    if (missing) {
        char text[RECORD_TEXT_MAX];
        (void)write_file(writer, text, record_print(NULL, 0, text));
    }
    keep_room(writer);
}

static bool answer_read(struct writer *writer)
{
    struct answer answer = { .kind = ANSWER_READ, .result = open_folder(writer) };
    if (answer.result == 0)
        answer.result = await_lock(writer);
    if (answer.result == 0)
        answer.result = read_file(writer);
    bool reads = answer.result >= 0 || answer.result == -ENOENT;
    struct iovec parts[] = { { &answer, sizeof(answer) },
                             { writer->bytes, answer.result > 0 ? (size_t)answer.result : 0 } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    bool goes_on = sendmsg(writer->socket, &message, MSG_NOSIGNAL) >= 0;
    /* A disk that hangs in writing, or is full, is none of this start's business. */
    if (reads)
        begin_file(writer, answer.result == -ENOENT);
    return goes_on;
}

static void answer_write(struct writer *writer, size_t length)
{
    char error[SAFE_FILE_TEXT_MAX];
    struct request request;
    memcpy(&request, writer->bytes, sizeof(request));
    struct answer answer = { ANSWER_WRITE, request.number, open_folder(writer) };
    if (answer.result == 0 && !try_lock(writer, error))
        answer.result = -EBUSY;
    if (answer.result == 0)
        answer.result =
            write_file(writer, writer->bytes + sizeof(request), length - sizeof(request));
    (void)send(writer->socket, &answer, sizeof(answer), MSG_NOSIGNAL);
    if (answer.result == 0)
        keep_room(writer);
}

static void serve(struct writer *writer)
{
    bool goes_on = answer_read(writer);
    while (goes_on) {
        ssize_t length = recv(writer->socket, writer->bytes, sizeof(writer->bytes), 0);
        goes_on = length >= (ssize_t)sizeof(struct request) || (length < 0 && errno == EINTR);
        if (length >= (ssize_t)sizeof(struct request))
            answer_write(writer, (size_t)length);
    }
}

/* Nothing of the guard's stays open here but 0 to 2: neither its lock nor, later, a line. */
_Noreturn static void run_writer(struct writer *writer)
{
    const struct sched_param none = { 0 };
    (void)prctl(PR_SET_NAME, "guard-record", 0UL, 0UL, 0UL);
    (void)sched_setscheduler(0, SCHED_OTHER, &none); /* whoever started the guard may have set it */
    writer->socket = fcntl(writer->socket, F_DUPFD_CLOEXEC, 3);
    if (writer->socket >= 3) {
        unsigned kept = (unsigned)writer->socket;
        if (kept > 3)
            (void)close_range(3, kept - 1, 0);
        (void)close_range(kept + 1, ~0U, 0);
        serve(writer);
    }
    _exit(0);
}

/* ---- the guard's end of it: nothing here asks the disk but who writes */

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
    struct writer writer = { .folder = -1, .lock = -1 };
    (void)context;
    snprintf(writer.data_dir, sizeof(writer.data_dir), "%s", data_dir);
    snprintf(writer.path, sizeof(writer.path), "%s/faults.lock", data_dir);
    snprintf(writer.file, sizeof(writer.file), "%s/faults", data_dir);
    if (start_writer(&writer, handle))
        return true;
    *handle = -1;
    log_line(LOG_ERR, "%s: the writer of faults can't be started: %s", data_dir, strerror(errno));
    return false;
}

ssize_t linux_read_record(void *context, int handle, void *bytes, size_t size)
{
    struct pollfd ready = { handle, POLLIN, 0 };
    struct answer answer = { 0 };
    struct iovec parts[] = { { &answer, sizeof(answer) }, { bytes, size } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    (void)context;
    /* Its own wait for the lock, and as much again for the disk. */
    int count = poll(&ready, 1, 2 * WRITER_LOCK_WAIT_MS);
    if (count <= 0)
        return count < 0 ? -errno : -ETIMEDOUT;
    ssize_t length = recvmsg(handle, &message, MSG_DONTWAIT);
    if (length < (ssize_t)sizeof(answer) || answer.kind != ANSWER_READ)
        return length < 0 ? -errno : -EPIPE;
    /* What is longer than any record is cut, and damaged by that. */
    return answer.result > (int64_t)size ? (ssize_t)size : answer.result;
}

/* Of the last write that was asked for: a process has one record. */
static uint32_t write_number;

int linux_write_record(void *context, int handle, const void *bytes, size_t size)
{
    struct request request = { ++write_number };
    struct iovec parts[] = { { &request, sizeof(request) }, { (void *)(uintptr_t)bytes, size } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    (void)context;
    return sendmsg(handle, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int linux_record_written(void *context, int handle)
{
    struct answer answer;
    ssize_t length = 0;
    (void)context;
    /* What nobody waits for any more is passed over: a late read, and the outcome of another write. */
    while ((length = recv(handle, &answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC)) > 0) {
        if (length == (ssize_t)sizeof(answer) && answer.kind == ANSWER_WRITE &&
            answer.number == write_number)
            return answer.result;
    }
    return length < 0 && (errno == EAGAIN || errno == EINTR) ? -EAGAIN : -EPIPE;
}
