/*
 * What a test wants done inside of an emulated board, where a shell is too slow or too vague:
 *
 *   now                  prints CLOCK_MONOTONIC_RAW in ns
 *   clock CHIP LINE N    N pulses on a spare line; per pulse, the instants around its rise
 *   kill SIGNAL PID...   prints the instant, then sends
 *   write FILE TEXT      opens, prints the instant, then writes
 *   follow FILE          copies what is appended to a file that may be replaced, for ever
 *   slew PPM             lets CLOCK_MONOTONIC run so much faster than the raw clock, up to 100000
 *   load FILE            loads a kernel module; prints the instant before
 *
 * Linked statically, so that it runs whatever userland the daemons have.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/gpio.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

enum { FOLLOW_POLL_NS = 10000000, PULSE_NS = 5000000, TICK_US = 10000 };

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void pause_ns(long ns)
{
    struct timespec span = { 0, ns };
    nanosleep(&span, NULL);
}

static int fail(const char *what)
{
    perror(what);
    return 1;
}

static void print_now(void)
{
    printf("%" PRId64 "\n", now_ns());
    fflush(stdout);
}

static int line_set(int line, int level)
{
    struct gpio_v2_line_values values = { .bits = (unsigned)level, .mask = 1 };
    return ioctl(line, GPIO_V2_LINE_SET_VALUES_IOCTL, &values);
}

static int do_clock(const char *chip, unsigned number, int pulses)
{
    struct gpio_v2_line_request request = { .num_lines = 1, .offsets = { number } };
    int fd = open(chip, O_RDWR);
    request.config.flags = GPIO_V2_LINE_FLAG_OUTPUT;
    if (fd < 0 || ioctl(fd, GPIO_V2_GET_LINE_IOCTL, &request) < 0)
        return fail(chip);
    for (int i = 0; i < pulses; i++) {
        int64_t before_ns = now_ns();
        if (line_set(request.fd, 1) < 0)
            return fail("rise");
        int64_t after_ns = now_ns();
        printf("%" PRId64 " %" PRId64 "\n", before_ns, after_ns);
        pause_ns(PULSE_NS);
        (void)line_set(request.fd, 0);
        pause_ns(PULSE_NS);
    }
    return 0;
}

static int do_kill(int number, char **pids)
{
    print_now();
    for (; *pids; pids++)
        if (kill(atoi(*pids), number) != 0)
            return fail(*pids);
    return 0;
}

static int do_write(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY);
    if (fd < 0)
        return fail(file);
    print_now();
    return write(fd, text, strlen(text)) < 0 ? fail(file) : 0;
}

/* Until another file has the name, or none. */
static void copy_all(int fd, const char *file)
{
    char bytes[65536];
    struct stat own, named;
    for (;;) {
        bool replaced =
            fstat(fd, &own) != 0 || stat(file, &named) != 0 || own.st_ino != named.st_ino;
        for (ssize_t got; (got = read(fd, bytes, sizeof(bytes))) > 0;)
            for (ssize_t put = 0, done = 0; done < got; done += put)
                if ((put = write(STDOUT_FILENO, bytes + done, (size_t)(got - done))) <= 0)
                    exit(1);
        if (replaced)
            return;
        pause_ns(FOLLOW_POLL_NS);
    }
}

static _Noreturn void do_follow(const char *file)
{
    for (;; pause_ns(FOLLOW_POLL_NS)) {
        int fd = open(file, O_RDONLY);
        if (fd < 0)
            continue;
        copy_all(fd, file);
        close(fd);
    }
}

/* By the kernel's tick of 10 ms: whole steps of 100 ppm. */
static int do_slew(long ppm)
{
    struct timex change = { .modes = ADJ_TICK, .tick = TICK_US + ppm * TICK_US / 1000000 };
    if (adjtimex(&change) < 0)
        return fail("adjtimex");
    print_now();
    return 0;
}

static int do_load(const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(file);
    print_now();
    return syscall(SYS_finit_module, fd, "", 0) != 0 ? fail(file) : 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "now") == 0)
        print_now();
    else if (strcmp(verb, "clock") == 0 && argc == 5)
        return do_clock(argv[2], (unsigned)atoi(argv[3]), atoi(argv[4]));
    else if (strcmp(verb, "kill") == 0 && argc > 3)
        return do_kill(atoi(argv[2]), argv + 3);
    else if (strcmp(verb, "write") == 0 && argc == 4)
        return do_write(argv[2], argv[3]);
    else if (strcmp(verb, "follow") == 0 && argc == 3)
        do_follow(argv[2]);
    else if (strcmp(verb, "slew") == 0 && argc == 3)
        return do_slew(atol(argv[2]));
    else if (strcmp(verb, "load") == 0 && argc == 3)
        return do_load(argv[2]);
    else
        return 2;
    return 0;
}
