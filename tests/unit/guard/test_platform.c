/*
 * The guard's platform on Linux itself: what its entries ask the kernel for, and what comes of it.
 * What decides something stands above them, and is tested with a platform of the test's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guard/platform.h"
#include "guard/record.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

enum {
    OTHER_USER = 65534,
    PATIENCE_MS = 5000,
    PAGE_BYTES = sizeof(struct lease_page),
    READERS = 3
};

static struct platform platform;
static char folder[64];
static char path[96];

static int open_platform(void **state)
{
    (void)state;
    platform_linux(&platform);
    return platform_linux_open(&platform) ? 0 : -1;
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/holdfast-platform-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
    return 0;
}

static pid_t child_of(pid_t parent)
{
    char line[64] = "";
    char name[64];
    snprintf(name, sizeof(name), "/proc/%d/task/%d/children", (int)parent, (int)parent);
    FILE *file = fopen(name, "re");
    assert_non_null(file);
    bool any = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    return any ? (pid_t)strtol(line, NULL, 10) : -1;
}

/* Children of its children too, see main(): what a test that failed has left would stay for ever. */
static int tear_down(void **state)
{
    (void)state;
    for (pid_t child = child_of(getpid()); child > 0; child = child_of(getpid())) {
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    folder_remove(folder);
    return 0;
}

static struct stat status_of(const char *name)
{
    struct stat status;
    assert_int_equal(lstat(name, &status), 0);
    return status;
}

static void make_file(const char *name, size_t bytes)
{
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    close(fd);
}

/* ---- the page's file */

static void a_new_file_takes_the_place_of_whatever_is_there(void **state)
{
    (void)state;
    void *map = NULL;
    char target[96];
    char back = 0;
    snprintf(target, sizeof(target), "%s/target", folder);
    make_file(target, 7);
    assert_int_equal(symlink(target, path), 0);
    mode_t mask = umask(077);
    for (int i = 0; i < 2; i++) { /* a link, then a file */
        assert_int_equal(platform.map_new_file(platform.context, path, PAGE_BYTES, &map), 0);
        struct stat status = status_of(path);
        assert_true(S_ISREG(status.st_mode));
        assert_int_equal(status.st_mode & 07777, 0644);
        assert_int_equal(status.st_size, PAGE_BYTES);
        assert_int_equal(((char *)map)[PAGE_BYTES - 1], 0);
        ((char *)map)[PAGE_BYTES - 1] = 'x';
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(pread(fd, &back, 1, PAGE_BYTES - 1), 1);
        assert_int_equal(back, 'x');
        close(fd);
        platform.unmap(platform.context, map, PAGE_BYTES);
    }
    umask(mask);
    assert_int_equal(status_of(target).st_size, 7);
}

static void only_a_whole_file_of_this_user_is_mapped(void **state)
{
    (void)state;
    void *map = NULL;
    char link[96];
    snprintf(link, sizeof(link), "%s/link", folder);
    assert_int_equal(platform.map_file(platform.context, path, PAGE_BYTES, &map), -ENOENT);
    make_file(path, PAGE_BYTES - 1);
    assert_int_equal(platform.map_file(platform.context, path, PAGE_BYTES, &map), -EINVAL);
    assert_int_equal(truncate(path, PAGE_BYTES), 0);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(platform.map_file(platform.context, link, PAGE_BYTES, &map), -ELOOP);
    assert_null(map);
    assert_int_equal(platform.map_file(platform.context, path, PAGE_BYTES, &map), 0);
    platform.unmap(platform.context, map, PAGE_BYTES);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, OTHER_USER, (gid_t)-1), 0);
        assert_int_equal(platform.map_file(platform.context, path, PAGE_BYTES, &map), -EINVAL);
    }
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(platform.map_file(platform.context, path, PAGE_BYTES, &map), -EINVAL);
}

/* ---- who reads it */

static struct lease_page *shared_page(void)
{
    struct lease_page *page =
        mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(page != MAP_FAILED);
    return page;
}

static void nap(void)
{
    usleep(1000);
}

static int end_of(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* The child sleeps, and not before it waits for the page. */
static void await_wait(pid_t child)
{
    char name[64];
    char text[64] = "";
    snprintf(name, sizeof(name), "/proc/%d/syscall", (int)child);
    for (int i = 0; i < PATIENCE_MS; i++, nap()) {
        FILE *file = fopen(name, "re");
        bool known = file != NULL && fgets(text, sizeof(text), file) != NULL;
        if (file != NULL)
            fclose(file);
        if (known && strtol(text, NULL, 10) == SYS_futex)
            return;
    }
    fail_msg("the reader does not wait: %s", text);
}

static void all_readers_of_other_processes_are_woken(void **state)
{
    (void)state;
    struct lease_page *page = shared_page();
    pid_t reader[READERS];
    for (int i = 0; i < READERS; i++) {
        reader[i] = fork();
        assert_true(reader[i] >= 0);
        if (reader[i] == 0) {
            const struct timespec limit = { PATIENCE_MS / 1000, 0 };
            long result = syscall(SYS_futex, &page->change, FUTEX_WAIT, 0, &limit, NULL, 0);
            _exit(result == 0 ? 0 : 1);
        }
    }
    for (int i = 0; i < READERS; i++)
        await_wait(reader[i]);
    platform.wake_readers(platform.context, page);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(end_of(reader[i]), 0);
    munmap(page, PAGE_BYTES);
}

/* However it ends: the kernel marks the page before anybody learns of the end. */
static void the_kernel_marks_the_page_of_an_owner_that_dies(void **state)
{
    (void)state;
    struct lease_page *page = shared_page();
    int done[2];
    char byte = 0;
    assert_int_equal(pipe(done), 0);
    pid_t owner = fork();
    assert_true(owner >= 0);
    if (owner == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail before it */
        if (platform.own_page(platform.context, page) != 0 || write(done[1], &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(done[1]);
    assert_int_equal(read(done[0], &byte, 1), 1);
    close(done[0]);
    assert_int_equal(atomic_load(&page->owner), owner);
    assert_true(page_owned(page));
    assert_int_equal(kill(owner, SIGKILL), 0);
    assert_int_equal(end_of(owner), -SIGKILL);
    assert_false(page_owned(page));
    assert_int_equal(atomic_load(&page->owner), PAGE_OWNER_DIED);
    munmap(page, PAGE_BYTES);
}

/* ---- timer and signals */

static int64_t timer_left_us(void)
{
    struct itimerspec left;
    assert_int_equal(timerfd_gettime(platform.timer, &left), 0);
    return (int64_t)left.it_value.tv_sec * 1000000 + left.it_value.tv_nsec / 1000;
}

static bool timer_is_due(int timeout_ms)
{
    struct pollfd polled = { platform.timer, POLLIN, 0 };
    return poll(&polled, 1, timeout_ms) == 1;
}

static void the_timer_is_set_to_an_instant_of_monotonic(void **state)
{
    (void)state;
    /* Late in a second, so that a wrong unit of the rest of it shows. */
    int64_t at_us = (platform.monotonic_us(platform.context) / 1000000 + 10) * 1000000 + 950000;
    assert_int_equal(platform.arm(platform.context, at_us), 0);
    int64_t left_us = timer_left_us();
    int64_t expected_us = at_us - platform.monotonic_us(platform.context);
    assert_in_range(left_us - expected_us + 1000, 0, 500000);
    assert_false(timer_is_due(0));
    assert_int_equal(platform.arm(platform.context, platform.monotonic_us(platform.context) - 1),
                     0);
    assert_true(timer_is_due(PATIENCE_MS));
    assert_int_equal(platform.arm(platform.context, 1), 0);
    assert_true(timer_is_due(PATIENCE_MS));
    assert_int_equal(platform.arm(platform.context, at_us), 0);
    assert_false(timer_is_due(0));
}

static void a_signal_is_taken_once(void **state)
{
    (void)state;
    static const int numbers[] = { SIGTERM, SIGINT };
    assert_int_equal(platform.take_signal(platform.context), 0);
    for (size_t i = 0; i < 2; i++) {
        struct pollfd polled = { platform.signals, POLLIN, 0 };
        assert_int_equal(kill(getpid(), numbers[i]), 0);
        assert_int_equal(platform.poll(platform.context, &polled, 1), 1);
        assert_int_equal(platform.take_signal(platform.context), numbers[i]);
        assert_int_equal(platform.take_signal(platform.context), 0);
    }
    assert_true(fcntl(platform.signals, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(platform.timer, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(platform.timer, F_GETFL) & O_NONBLOCK);
}

/* ---- sockets */

static int connect_here(void)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void the_socket_is_the_folders_owners_and_nothing_of_the_process_changes(void **state)
{
    (void)state;
    uid_t owner = 0;
    uid_t expected = geteuid() == 0 ? OTHER_USER : geteuid();
    assert_int_equal(chown(folder, expected, (gid_t)-1), 0);
    mode_t mask = umask(022);
    for (int i = 0; i < 2; i++) { /* the second in the place of a stale one */
        int fd = platform.listen(platform.context, path, &owner);
        assert_true(fd >= 0);
        assert_int_equal(owner, expected);
        struct stat status = status_of(path);
        assert_true(S_ISSOCK(status.st_mode));
        assert_int_equal(status.st_mode & 07777, 0660);
        assert_int_equal(status.st_uid, expected);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        close(connect_here());
        platform.close(platform.context, fd);
    }
    assert_int_equal(umask(mask), 022);
    assert_int_equal(setfsuid((uid_t)-1), geteuid());
    char long_path[128];
    memset(long_path, 'd', sizeof(long_path) - 1);
    long_path[0] = '/';
    long_path[sizeof(long_path) - 1] = '\0';
    assert_int_equal(platform.listen(platform.context, long_path, &owner), -ENAMETOOLONG);
}

static void connections_say_who_is_there_and_never_wait(void **state)
{
    (void)state;
    enum { ROOM_BYTES = 32768 };
    uid_t owner = 0;
    struct platform_peer peer = { (uid_t)-1, -1 };
    int room = 0;
    socklen_t length = sizeof(room);
    int listener = platform.listen(platform.context, path, &owner);
    assert_int_equal(platform.accept(platform.context, listener, &peer), -EAGAIN);
    int agent = connect_here();
    int fd = platform.accept(platform.context, listener, &peer);
    assert_true(fd >= 0);
    assert_int_equal(peer.uid, geteuid());
    assert_int_equal(peer.pid, getpid());
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, &length), 0);
    assert_int_equal(room, 2 * ROOM_BYTES); /* as the kernel counts, socket(7) */
    char bytes[64] = { 0 };
    assert_int_equal(platform.receive(platform.context, fd, bytes, sizeof(bytes)), -EAGAIN);
    /* A message that is longer than the room for it is not taken for one that fits. */
    assert_int_equal(send(agent, bytes, sizeof(bytes), 0), sizeof(bytes));
    assert_int_equal(platform.receive(platform.context, fd, bytes, 10), sizeof(bytes));
    assert_int_equal(platform.send(platform.context, fd, bytes, 17), 17);
    assert_int_equal(recv(agent, bytes, sizeof(bytes), 0), 17);
    ssize_t sent = 1;
    for (int i = 0; i < 100000 && sent > 0; i++)
        sent = platform.send(platform.context, fd, bytes, sizeof(bytes));
    assert_int_equal(sent, -EAGAIN);
    while (recv(agent, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        continue;
    close(agent);
    assert_int_equal(platform.receive(platform.context, fd, bytes, sizeof(bytes)), 0);
    assert_int_equal(platform.send(platform.context, fd, bytes, sizeof(bytes)), -EPIPE);
    platform.close(platform.context, fd);
    platform.close(platform.context, listener);
}

static void another_users_process_is_known_as_such(void **state)
{
    (void)state;
    uid_t owner = 0;
    struct platform_peer peer = { 0, 0 };
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(folder, 0755), 0);
    int listener = platform.listen(platform.context, path, &owner);
    assert_int_equal(chmod(path, 0666), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (setuid(OTHER_USER) != 0)
            _exit(1);
        close(connect_here());
        _exit(0);
    }
    assert_int_equal(end_of(child), 0);
    int fd = platform.accept(platform.context, listener, &peer);
    assert_true(fd >= 0);
    assert_int_equal(peer.uid, OTHER_USER);
    assert_int_equal(peer.pid, child);
    platform.close(platform.context, fd);
    platform.close(platform.context, listener);
}

/* ---- being on time */

/* In a process of its own, which ends with 0 if `check` is content, or 77 without the privilege. */
static void assert_in_a_process(int (*check)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(check());
    int result = end_of(child);
    if (result == 77)
        skip();
    assert_int_equal(result, 0);
}

static int check_schedule(void)
{
    struct sched_param parameter = { .sched_priority = 0 };
    if (platform.schedule(platform.context, 49) < 0)
        return 77;
    return sched_getscheduler(0) == SCHED_FIFO && sched_getparam(0, &parameter) == 0 &&
                   parameter.sched_priority == 49 ?
               0 :
               1;
}

static void it_is_scheduled_first_in_first_out_at_the_priority_asked_for(void **state)
{
    (void)state;
    assert_in_a_process(check_schedule);
}

static int check_slack(void)
{
    platform.sharpen_timers(platform.context);
    return prctl(PR_GET_TIMERSLACK) == 1 ? 0 : 1;
}

static void timers_have_no_slack(void **state)
{
    (void)state;
    assert_in_a_process(check_slack);
}

static long locked_kb(void)
{
    char line[128];
    long kb = -1;
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        (void)sscanf(line, "VmLck: %ld kB", &kb);
    if (file != NULL)
        fclose(file);
    return kb;
}

static int check_locked(void)
{
    enum { LATER_BYTES = 1 << 20 };
    if (platform.lock_memory(platform.context) < 0)
        return 77;
    long at_once_kb = locked_kb();
    /* What is mapped later counts, too. */
    char *later =
        mmap(NULL, LATER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (later == MAP_FAILED)
        return 1;
    later[0] = 1;
    if (at_once_kb <= 0 || locked_kb() < at_once_kb + LATER_BYTES / 1024)
        return 2;
    return platform.lock_program(platform.context) == 0 ? 0 : 3;
}

static void memory_that_is_mapped_later_is_locked_too(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    print_message("skipped: the sanitizer does not lock memory\n");
    skip();
#endif
    assert_in_a_process(check_locked);
}

/*
 * This test is linked with segments that are 64 KiB apart, as on arm64 (Makefile), so that there is a
 * hole. Sets *hole to a page in it; 0: there is none.
 */
static int find_hole(struct dl_phdr_info *object, size_t size, void *context)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t *hole = context;
    uintptr_t end = 0;
    (void)size;
    *hole = 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        uintptr_t from = (object->dlpi_addr + header->p_vaddr) & ~(page - 1);
        if (header->p_type != PT_LOAD)
            continue;
        if (end != 0 && from > end)
            *hole = end;
        end = (object->dlpi_addr + header->p_vaddr + header->p_memsz + page - 1) & ~(page - 1);
    }
    return 1;
}

static int count_segments(struct dl_phdr_info *object, size_t size, void *context)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    long *kb = context;
    (void)size;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];
        uintptr_t from = (object->dlpi_addr + header->p_vaddr) & ~(page - 1);
        uintptr_t to = object->dlpi_addr + header->p_vaddr + header->p_memsz;
        if (header->p_type == PT_LOAD)
            *kb += (long)((to - from + page - 1) / page * page / 1024);
    }
    return 1;
}

static int check_program_locked(void)
{
    uintptr_t hole = 0;
    long program_kb = 0;
    dl_iterate_phdr(find_hole, &hole);
    dl_iterate_phdr(count_segments, &program_kb);
    /* What is not mapped can't be locked. */
    if (hole == 0 || mlock((const void *)hole, 1) == 0 || errno != ENOMEM)
        return 1;
    int result = platform.lock_program(platform.context);
    if (result == -EPERM || result == -EAGAIN)
        return 77;
    if (result < 0)
        return 2;
    return locked_kb() >= program_kb ? 0 : 3;
}

static void a_program_with_holes_between_its_segments_is_locked_whole(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    print_message("skipped: the sanitizer does not lock memory\n");
    skip();
#endif
    assert_in_a_process(check_program_locked);
}

/* ---- the run directory */

static int check_second_taker(void)
{
    struct platform other;
    platform_linux(&other);
    return other.take_folder(other.context, folder) ? 1 : 0;
}

static void a_folder_is_made_and_is_one_guards(void **state)
{
    (void)state;
    assert_int_equal(rmdir(folder), 0);
    assert_true(platform.take_folder(platform.context, folder));
    assert_int_equal(status_of(folder).st_mode & 07777, 0755);
    assert_in_a_process(check_second_taker);
}

/* ---- the record of faults */

static int open_record(void)
{
    int handle = -1;
    assert_true(platform.open_record(platform.context, folder, &handle));
    return handle;
}

static void read_record(int handle, const char *expected)
{
    char text[64] = "";
    ssize_t length = platform.read_record(platform.context, handle, text, sizeof(text) - 1);
    if (expected == NULL) {
        assert_int_equal(length, -ENOENT);
        return;
    }
    assert_int_equal(length, strlen(expected));
    assert_string_equal(text, expected);
}

/* Nothing can be written until path is removed. */
static void stand_in_the_way(void)
{
    snprintf(path, sizeof(path), "%s/faults.new", folder);
    do /* the writer makes its room anew, behind an answer */
        (void)unlink(path);
    while (mkdir(path, 0700) != 0 && errno == EEXIST);
}

static int written(int handle)
{
    struct pollfd answer = { handle, POLLIN, 0 };
    int result = -EAGAIN;
    while (result == -EAGAIN) {
        assert_int_equal(poll(&answer, 1, PATIENCE_MS), 1);
        result = platform.record_written(platform.context, handle);
    }
    return result;
}

static void a_record_replaces_the_one_before_and_is_there_for_the_next(void **state)
{
    (void)state;
    int handle = open_record();
    read_record(handle, NULL);
    assert_int_equal(platform.record_written(platform.context, handle), -EAGAIN);
    assert_int_equal(platform.write_record(platform.context, handle, "first", 5), 0);
    assert_int_equal(written(handle), 0);
    assert_int_equal(platform.write_record(platform.context, handle, "two", 3), 0);
    assert_int_equal(written(handle), 0);
    snprintf(path, sizeof(path), "%s/faults", folder);
    assert_int_equal(status_of(path).st_mode & 07777, 0600);
    assert_int_equal(platform.write_record(platform.context, handle, "the last word", 13), 0);
    /* A guard that ends leaves its last word to its writer; the next one waits for that. */
    platform.close(platform.context, handle);
    handle = open_record();
    read_record(handle, "the last word");
    /* Room that a longer one left is used again: nothing of that one stays. */
    static const char *const shorter[] = { "two", "one" };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(platform.write_record(platform.context, handle, shorter[i], 3), 0);
        assert_int_equal(written(handle), 0);
    }
    platform.close(platform.context, handle);
    handle = open_record();
    read_record(handle, "one");
    platform.close(platform.context, handle);
}

/* What the writer, a process of its own, asks of the disk for a record, in this order. */
enum sync_step { SYNC_FILE, SYNC_NAME, SYNC_FOLDER, SYNC_STEPS };

static struct syncs {
    atomic_int next;   /* step */
    atomic_int wrong;  /* steps out of turn */
    atomic_int broken; /* the step that the disk refuses */
} * syncs;

static bool step_is_done(enum sync_step step)
{
    if (syncs == NULL)
        return true;
    syncs->wrong += syncs->next++ != (int)step;
    errno = EIO;
    return syncs->broken != (int)step;
}

int fsync(int fd)
{
    struct stat about;
    bool of_folder = fstat(fd, &about) == 0 && S_ISDIR(about.st_mode);
    return step_is_done(of_folder ? SYNC_FOLDER : SYNC_FILE) ? (int)syscall(SYS_fsync, fd) : -1;
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned how)
{
    return step_is_done(SYNC_NAME) ?
               (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, how) :
               -1;
}

/* What becomes of it when the writer asks the disk for room. */
static struct room {
    atomic_int hangs;
    atomic_int had; /* so often */
} * room;

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    while (room != NULL && room->hangs != 0)
        nap();
    if (room != NULL && length >= RECORD_TEXT_MAX)
        room->had++;
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

static void room_is_had(int times)
{
    for (int i = 0; room->had < times; i++, nap())
        assert_true(i < PATIENCE_MS);
    assert_int_equal(room->had, times);
}

/* What is there can be read, and the guard need not take all for faults. */
static void a_disk_that_hangs_in_writing_is_read_all_the_same(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "%s/faults", folder);
    make_file(path, 0);
    void *shared =
        mmap(NULL, sizeof(*room), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    room = shared;
    room->hangs = 1;
    int handle = open_record();
    struct pollfd answer = { handle, POLLIN, 0 };
    int answers = poll(&answer, 1, PATIENCE_MS);
    room->hangs = 0;
    assert_int_equal(answers, 1);
    read_record(handle, "");
    room_is_had(1);
    /* A file of small blocks has given some back when a short record was written to it. */
    assert_int_equal(platform.write_record(platform.context, handle, "text", 4), 0);
    assert_int_equal(written(handle), 0);
    room_is_had(2);
    platform.close(platform.context, handle);
    room = NULL;
    munmap(shared, sizeof(*room));
}

/* Else a reset leaves an empty file, or the record before, of what was said to be kept. */
static void a_record_is_synced_put_in_place_and_its_name_synced(void **state)
{
    (void)state;
    void *shared =
        mmap(NULL, sizeof(*syncs), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    syncs = shared;
    snprintf(path, sizeof(path), "%s/faults", folder);
    make_file(path, 0);
    int handle = open_record();
    read_record(handle, "");
    for (int broken = SYNC_FILE; broken <= SYNC_STEPS; broken++) {
        syncs->next = 0;
        syncs->broken = broken;
        assert_int_equal(platform.write_record(platform.context, handle, "text", 4), 0);
        assert_int_equal(written(handle), broken < SYNC_STEPS ? -EIO : 0);
        assert_int_equal(syncs->next, broken < SYNC_STEPS ? broken + 1 : SYNC_STEPS);
        assert_int_equal(syncs->wrong, 0);
    }
    platform.close(platform.context, handle);
    syncs = NULL;
    munmap(shared, sizeof(*syncs));
}

static void a_record_that_cannot_be_written_says_so_and_leaves_the_old_one(void **state)
{
    (void)state;
    int handle = open_record();
    read_record(handle, NULL);
    assert_int_equal(platform.write_record(platform.context, handle, "old", 3), 0);
    assert_int_equal(written(handle), 0);
    stand_in_the_way();
    assert_int_equal(platform.write_record(platform.context, handle, "new", 3), 0);
    assert_true(written(handle) < 0);
    assert_int_equal(rmdir(path), 0);
    platform.close(platform.context, handle);
    handle = open_record();
    read_record(handle, "old");
    platform.close(platform.context, handle);
}

/* A guard that gave up its read has its answer among those to its writes. */
static void what_was_read_too_late_is_not_taken_for_a_write(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "%s/faults", folder);
    make_file(path, 0);
    int handle = open_record();
    struct pollfd answer = { handle, POLLIN, 0 };
    assert_int_equal(poll(&answer, 1, PATIENCE_MS), 1);
    stand_in_the_way();
    assert_int_equal(platform.write_record(platform.context, handle, "new", 3), 0);
    assert_true(written(handle) < 0);
    assert_int_equal(platform.record_written(platform.context, handle), -EAGAIN);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(platform.write_record(platform.context, handle, "new", 3), 0);
    assert_int_equal(written(handle), 0);
    platform.close(platform.context, handle);
}

static void what_came_of_an_earlier_write_is_not_taken_for_a_later_one(void **state)
{
    (void)state;
    int handle = open_record();
    read_record(handle, NULL);
    assert_int_equal(platform.write_record(platform.context, handle, "old", 3), 0);
    snprintf(path, sizeof(path), "%s/faults", folder);
    for (int i = 0; access(path, F_OK) != 0 || status_of(path).st_size != 3; i++, nap())
        assert_true(i < PATIENCE_MS);
    stand_in_the_way();
    assert_int_equal(platform.write_record(platform.context, handle, "new", 3), 0);
    assert_true(written(handle) < 0);
    assert_int_equal(rmdir(path), 0);
    platform.close(platform.context, handle);
}

/* An earlier guard's writer that hangs has a latch in hand, and would put it over what is newer. */
static void nothing_is_written_while_an_earlier_writer_has_the_lock(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "%s/faults.lock", folder);
    make_file(path, 0);
    int lock = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    snprintf(path, sizeof(path), "%s/faults", folder);
    int handle = open_record();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(platform.write_record(platform.context, handle, "new", 3), 0);
        assert_int_equal(written(handle), -EBUSY);
        assert_int_equal(access(path, F_OK), -1);
    }
    close(lock);
    assert_int_equal(platform.write_record(platform.context, handle, "new", 3), 0);
    assert_int_equal(written(handle), 0);
    assert_int_equal(status_of(path).st_size, 3);
    platform.close(platform.context, handle);
}

static void a_record_that_is_a_link_is_not_read(void **state)
{
    char text[8];
    (void)state;
    snprintf(path, sizeof(path), "%s/faults", folder);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    int handle = open_record();
    assert_int_equal(platform.read_record(platform.context, handle, text, sizeof(text)), -EACCES);
    platform.close(platform.context, handle);
    assert_int_equal(unlink(path), 0);
}

static bool link_of(const char *process, const char *fd, char *target, size_t size)
{
    char name[PATH_MAX];
    snprintf(name, sizeof(name), "/proc/%s/fd/%s", process, fd);
    ssize_t length = readlink(name, target, size - 1);
    target[length > 0 ? length : 0] = '\0';
    return length > 0;
}

static bool open_in(const char *process, const char *sought)
{
    char target[PATH_MAX];
    bool found = false;
    char name[64];
    snprintf(name, sizeof(name), "/proc/%s/fd", process);
    DIR *all = opendir(name);
    for (struct dirent *entry = all != NULL ? readdir(all) : NULL; entry != NULL && !found;
         entry = readdir(all))
        found =
            link_of(process, entry->d_name, target, sizeof(target)) && strcmp(target, sought) == 0;
    if (all != NULL)
        closedir(all);
    return found;
}

/* The folder, its lock, and one socket that this process does not have. */
static int check_descriptors_of(pid_t writer)
{
    char process[32];
    char name[64];
    char target[PATH_MAX];
    int sockets = 0;
    int others = 0;
    snprintf(process, sizeof(process), "%d", (int)writer);
    snprintf(name, sizeof(name), "/proc/%s/fd", process);
    snprintf(path, sizeof(path), "%s/faults.lock", folder);
    DIR *all = opendir(name);
    if (all == NULL)
        return 10;
    for (struct dirent *entry = readdir(all); entry != NULL; entry = readdir(all)) {
        if (entry->d_name[0] == '.' || strtol(entry->d_name, NULL, 10) <= 2 ||
            !link_of(process, entry->d_name, target, sizeof(target)))
            continue;
        bool socket = strncmp(target, "socket:", 7) == 0 && !open_in("self", target);
        sockets += socket;
        others += !socket && strcmp(target, folder) != 0 && strcmp(target, path) != 0;
    }
    closedir(all);
    return others != 0 ? 11 : sockets == 1 ? 0 : 12;
}

/* A line, or the lock, that stays open there would outlive the guard. */
static int check_writers_descriptors(void)
{
    enum { HIGH = 500 };
    int pair[2];
    int handle = -1;
    char text[8];
    int lock = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (lock < 0 || fcntl(lock, F_DUPFD_CLOEXEC, HIGH) < HIGH ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 ||
        !platform.open_record(platform.context, folder, &handle))
        return 1;
    pid_t writer = child_of(getpid());
    /* It has answered: it is done with closing. */
    if (writer <= 0 ||
        platform.read_record(platform.context, handle, text, sizeof(text)) != -ENOENT)
        return 2;
    int result = 11; /* as long as it makes room for a record */
    for (int left = PATIENCE_MS; left > 0 && result == 11; left--, nap())
        result = check_descriptors_of(writer);
    close(handle);
    return result != 0 ? result : waitpid(writer, NULL, 0) == writer ? 0 : 3;
}

static void the_writer_has_no_descriptor_of_the_guards_and_ends_with_it(void **state)
{
    (void)state;
    assert_in_a_process(check_writers_descriptors);
}

static int check_writers_schedule(void)
{
    char text[8];
    int handle = -1;
    if (platform.schedule(platform.context, 49) < 0)
        return 77;
    if (!platform.open_record(platform.context, folder, &handle) ||
        platform.read_record(platform.context, handle, text, sizeof(text)) != -ENOENT)
        return 1;
    return sched_getscheduler(child_of(getpid())) == SCHED_OTHER ? 0 : 2;
}

static void the_writer_has_no_real_time_priority(void **state)
{
    (void)state;
    assert_in_a_process(check_writers_schedule);
}

static long page_faults(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_minflt + usage.ru_majflt : -1;
}

/* What a latch and a failed write take is in memory by then: it need not come from a sick disk. */
static int check_rehearsed(void)
{
    static struct record record;
    static char text[RECORD_TEXT_MAX];
    static char why[64];
    int handle = -1;
    if (platform.lock_memory(platform.context) < 0 || platform.lock_program(platform.context) < 0)
        return 77;
    if (!platform.open_record(platform.context, folder, &handle) ||
        platform.read_record(platform.context, handle, text, sizeof(text)) != -ENOENT)
        return 1;
    record_none(&record, &platform);
    record.count = 1;
    record.handle = handle;
    struct record_entry entry = { .fault = GUARD_FAULT_STUCK_ON, .since_s = 1790000000 };
    strcpy(entry.resource.text, "pump");
    record.entry[0] = entry;
    (void)page_faults();
    record_rehearse(&record);
    long before = page_faults();
    (void)record_print(&entry, 1, text);
    snprintf(why, sizeof(why), "%s", strerror(EIO));
    (void)platform.record_written(platform.context, handle);
    return page_faults() == before ? 0 : 2;
}

static void what_a_failed_write_takes_is_in_memory_before_it(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    print_message("skipped: the sanitizer does not lock memory\n");
    skip();
#endif
    assert_in_a_process(check_rehearsed);
}

/* ---- its folder */

static ssize_t answer_of(const char *data_dir)
{
    char text[8];
    int handle = -1;
    assert_true(platform.open_record(platform.context, data_dir, &handle));
    ssize_t answer = platform.read_record(platform.context, handle, text, sizeof(text));
    platform.close(platform.context, handle);
    return answer;
}

static void a_data_folder_that_cannot_be_used_is_refused(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "%s/none", folder);
    assert_int_equal(answer_of(path), -EPERM);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(answer_of(folder), -EPERM);
}

static int check_not_writable(void)
{
    if (geteuid() == 0 && setresuid(OTHER_USER, OTHER_USER, OTHER_USER) != 0)
        return 1;
    return answer_of("/usr") == -EPERM ? 0 : 2;
}

static void a_data_folder_that_this_user_may_not_write_is_refused(void **state)
{
    (void)state;
    assert_in_a_process(check_not_writable);
}

static int check_other_owner(void)
{
    enum { THIRD_USER = 65533 };
    if (chown(folder, THIRD_USER, (gid_t)-1) != 0)
        return 77;
    if (setresuid(OTHER_USER, OTHER_USER, OTHER_USER) != 0)
        return 1;
    return answer_of(folder) == -EPERM ? 0 : 2;
}

static void a_data_folder_of_another_user_is_refused(void **state)
{
    (void)state;
    assert_in_a_process(check_other_owner);
}

/* As the kernel does to a card that fails; and as an operator undoes it. */
static int check_read_only_disk(void)
{
    char text[8];
    int handle = -1;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", folder, "tmpfs", MS_RDONLY, "mode=0755") != 0)
        return 77;
    if (!platform.open_record(platform.context, folder, &handle) ||
        platform.read_record(platform.context, handle, text, sizeof(text)) != -EROFS)
        return 1;
    if (platform.write_record(platform.context, handle, "new", 3) != 0 || written(handle) != -EROFS)
        return 2;
    if (mount(NULL, folder, NULL, MS_REMOUNT, NULL) != 0)
        return 77;
    if (platform.write_record(platform.context, handle, "new", 3) != 0 || written(handle) != 0)
        return 3;
    return 0;
}

/* Another program's: it takes what there is, and then what is given back. */
static bool fill_disk(void)
{
    static const char bytes[1024];
    char filler[PATH_MAX];
    snprintf(filler, sizeof(filler), "%s/filler", folder);
    int file = open(filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    while (file >= 0 && write(file, bytes, sizeof(bytes)) > 0)
        ;
    bool full = file >= 0 && errno == ENOSPC;
    close(file);
    return full;
}

/* The writer sees to a first record, and to the room for the next, behind its answers. */
static void await_room(void)
{
    char next[PATH_MAX];
    struct stat about = { 0 };
    snprintf(path, sizeof(path), "%s/faults", folder);
    snprintf(next, sizeof(next), "%s/faults.new", folder);
    for (int left = PATIENCE_MS; left > 0 && (access(path, F_OK) != 0 || about.st_blocks == 0);
         left--, nap())
        if (stat(next, &about) != 0)
            about.st_blocks = 0;
}

static int check_full_disk(void)
{
    char text[8] = "";
    char record[RECORD_TEXT_MAX];
    int handle = -1;
    memset(record, 'r', sizeof(record));
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", folder, "tmpfs", 0, "size=64k,mode=0755") != 0)
        return 77;
    if (!platform.open_record(platform.context, folder, &handle) ||
        platform.read_record(platform.context, handle, text, sizeof(text)) != -ENOENT)
        return 1;
    await_room();
    for (int i = 0; i < 4; i++) {
        /* Nothing is taken from the disk once the guard has started: not for the second one either. */
        size_t length = i % 2 == 0 ? 1 : sizeof(record);
        if (!fill_disk())
            return 2;
        if (platform.write_record(platform.context, handle, record, length) != 0 ||
            written(handle) != 0)
            return 3 + i;
        snprintf(path, sizeof(path), "%s/faults", folder);
        if (status_of(path).st_size != (off_t)length)
            return 10 + i;
        await_room();
    }
    return 0;
}

static void a_full_disk_still_takes_a_record(void **state)
{
    (void)state;
    assert_in_a_process(check_full_disk);
}

static void a_disk_that_turned_read_only_is_no_refusal(void **state)
{
    (void)state;
    assert_in_a_process(check_read_only_disk);
}

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        count++;
    return count;
}

static int check_warning(void)
{
    static char text[4096];
    int log = memfd_create("log", MFD_CLOEXEC);
    if (log < 0 || dup2(log, STDERR_FILENO) < 0)
        return 1;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", folder, "tmpfs", 0, "mode=0755") != 0)
        return 77;
    if (answer_of(folder) != -ENOENT || pread(log, text, sizeof(text) - 1, 0) <= 0)
        return 2;
    return count_of(text, "latched faults are forgotten at a reset") == 1 &&
                   count_of(text, "\n") == 1 ?
               0 :
               3;
}

static void a_data_folder_in_memory_is_said(void **state)
{
    (void)state;
    assert_in_a_process(check_warning);
}

static void a_folder_that_others_may_write_is_not_taken(void **state)
{
    (void)state;
    assert_int_equal(chmod(folder, 0777), 0);
    assert_false(platform.take_folder(platform.context, folder));
    snprintf(path, sizeof(path), "%s/none/below", folder);
    assert_false(platform.take_folder(platform.context, path));
}

int main(void)
{
#define ON_LINUX(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ON_LINUX(a_new_file_takes_the_place_of_whatever_is_there),
        ON_LINUX(only_a_whole_file_of_this_user_is_mapped),
        ON_LINUX(all_readers_of_other_processes_are_woken),
        ON_LINUX(the_kernel_marks_the_page_of_an_owner_that_dies),
        ON_LINUX(the_timer_is_set_to_an_instant_of_monotonic),
        ON_LINUX(a_signal_is_taken_once),
        ON_LINUX(the_socket_is_the_folders_owners_and_nothing_of_the_process_changes),
        ON_LINUX(connections_say_who_is_there_and_never_wait),
        ON_LINUX(another_users_process_is_known_as_such),
        ON_LINUX(it_is_scheduled_first_in_first_out_at_the_priority_asked_for),
        ON_LINUX(timers_have_no_slack),
        ON_LINUX(memory_that_is_mapped_later_is_locked_too),
        ON_LINUX(a_program_with_holes_between_its_segments_is_locked_whole),
        ON_LINUX(a_folder_is_made_and_is_one_guards),
        ON_LINUX(a_record_replaces_the_one_before_and_is_there_for_the_next),
        ON_LINUX(a_record_is_synced_put_in_place_and_its_name_synced),
        ON_LINUX(a_record_that_cannot_be_written_says_so_and_leaves_the_old_one),
        ON_LINUX(what_was_read_too_late_is_not_taken_for_a_write),
        ON_LINUX(what_came_of_an_earlier_write_is_not_taken_for_a_later_one),
        ON_LINUX(nothing_is_written_while_an_earlier_writer_has_the_lock),
        ON_LINUX(a_record_that_is_a_link_is_not_read),
        ON_LINUX(the_writer_has_no_descriptor_of_the_guards_and_ends_with_it),
        ON_LINUX(the_writer_has_no_real_time_priority),
        ON_LINUX(what_a_failed_write_takes_is_in_memory_before_it),
        ON_LINUX(a_data_folder_that_cannot_be_used_is_refused),
        ON_LINUX(a_data_folder_that_this_user_may_not_write_is_refused),
        ON_LINUX(a_data_folder_of_another_user_is_refused),
        ON_LINUX(a_disk_that_turned_read_only_is_no_refusal),
        ON_LINUX(a_full_disk_still_takes_a_record),
        ON_LINUX(a_disk_that_hangs_in_writing_is_read_all_the_same),
        ON_LINUX(a_data_folder_in_memory_is_said),
        ON_LINUX(a_folder_that_others_may_write_is_not_taken),
    };
    if (prctl(PR_SET_CHILD_SUBREAPER, 1UL, 0UL, 0UL, 0UL) != 0)
        return 1;
    return cmocka_run_group_tests(tests, open_platform, NULL);
}
