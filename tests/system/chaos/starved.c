/*
 * Says when the computer itself starved, in a chaos run: a thread that wants to run every
 * millisecond, as any daemon may, one per processor; one that has 5 ms of work to do four times a
 * second, as a handshake has; and one that writes a block to the disk and waits for it five times a
 * second. When any comes late, the product had no fair chance then.
 *
 *   starved OUT SCRATCH_FILE
 *
 * OUT: {"what":"processor"|"work"|"disk","from_ns","until_ns"} for each time that it waited for longer
 * than 20 ms beyond its turn, or 100 ms for the work or the disk; instants of CLOCK_MONOTONIC_RAW. Ends by SIGTERM.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    PROCESSOR_LATE_NS = 20000000,
    DISK_LATE_NS = 100000000,
    WORK_NS = 5000000,
    WORK_LATE_NS = 100000000
};

static FILE *out;
static int scratch_fd;

static int64_t read_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC_RAW);
}

static void say(const char *what, int64_t from_ns, int64_t until_ns)
{
    fprintf(out, "{\"what\":\"%s\",\"from_ns\":%" PRId64 ",\"until_ns\":%" PRId64 "}\n", what,
            from_ns, until_ns);
}

static void *watch_processor(void *context)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)(intptr_t)context, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    for (int64_t last_ns = now_ns();;) {
        const struct timespec turn = { 0, 1000000 };
        nanosleep(&turn, NULL);
        int64_t at_ns = now_ns();
        if (at_ns - last_ns > PROCESSOR_LATE_NS)
            say("processor", last_ns, at_ns);
        last_ns = at_ns;
    }
    return NULL;
}

static void *watch_work(void *context)
{
    (void)context;
    for (;;) {
        const struct timespec turn = { 0, 250000000 };
        int64_t from_ns = now_ns();
        int64_t until_ns = read_ns(CLOCK_THREAD_CPUTIME_ID) + WORK_NS;
        while (read_ns(CLOCK_THREAD_CPUTIME_ID) < until_ns)
            continue;
        if (now_ns() - from_ns > WORK_LATE_NS)
            say("work", from_ns, now_ns());
        nanosleep(&turn, NULL);
    }
    return NULL;
}

static void *watch_disk(void *context)
{
    static const char block[4096] = "is the disk there?";
    (void)context;
    for (;;) {
        const struct timespec turn = { 0, 200000000 };
        int64_t from_ns = now_ns();
        if (pwrite(scratch_fd, block, sizeof block, 0) != sizeof block ||
            fdatasync(scratch_fd) != 0)
            say("disk", from_ns, from_ns + DISK_LATE_NS);
        int64_t until_ns = now_ns();
        if (until_ns - from_ns > DISK_LATE_NS)
            say("disk", from_ns, until_ns);
        nanosleep(&turn, NULL);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (argc != 3) {
        fprintf(stderr, "usage: starved OUT SCRATCH_FILE\n");
        return 2;
    }
    out = fopen(argv[1], "we");
    scratch_fd = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (out == NULL || scratch_fd < 0) {
        perror(argv[0]);
        return 1;
    }
    setvbuf(out, NULL, _IOLBF, 0);
    for (long i = 0; i < sysconf(_SC_NPROCESSORS_ONLN); i++)
        pthread_create(&thread, NULL, watch_processor, (void *)(intptr_t)i);
    pthread_create(&thread, NULL, watch_work, NULL);
    pthread_create(&thread, NULL, watch_disk, NULL);
    for (;;)
        pause();
}
