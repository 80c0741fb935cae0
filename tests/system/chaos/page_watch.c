/*
 * Looks at the lease pages of all boards 10,000 times a second, as applications on them would: by
 * libholdfast, each by its own board's clock. One process looks at all, one after the other, so that
 * what it saw needs no comparing of clocks.
 *
 *   page_watch PERIOD_US OUT BOARD=RUN_DIR=CLOCK_FILE... -- RESOURCE...
 *
 * OUT gets one line for each stretch in which every look found the same board's lease valid with the
 * same token: {"board","resource","token","from_ns","until_ns"} of the first look and the last, in
 * true time; one for each time that it could not look: {"blind_from_ns","blind_ns"}; and at its end how
 * often it looked: {"looks"}. A lease that
 * is valid at two looks with the same token is valid between them, however long that is. Ends by
 * SIGTERM.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock_shim.h"
#include "holdfast.h"

enum { BOARDS_MAX = 8, RESOURCES_MAX = 16, BLIND_NS = 5000000, OPEN_EVERY = 20 };

struct stretch {
    bool valid;
    uint64_t token;
    int64_t from_ns;
    int64_t until_ns;
};

struct board {
    const char *name;
    char path[4096];
    struct clock_file *clock;
    struct hf_page *page;
    struct stretch stretch[RESOURCES_MAX];
};

static struct clock_file *looked_at; /* whose clock libholdfast is given just now */
static volatile sig_atomic_t ending;

static void on_signal(int number)
{
    (void)number;
    ending = 1;
}

static int64_t true_ns(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC_RAW, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Instead of libc's: libholdfast asks for the raw clock, and gets the board's. */
int clock_gettime(clockid_t clock, struct timespec *at)
{
    if (clock != CLOCK_MONOTONIC_RAW || looked_at == NULL)
        return (int)syscall(SYS_clock_gettime, clock, at);
    int64_t now_ns = true_ns();
    struct clock_segment segment = clock_segment_at(looked_at, now_ns);
    int64_t ns = clock_segment_raw_ns(&segment, now_ns);
    *at = (struct timespec){ ns / 1000000000, ns % 1000000000 };
    return 0;
}

static void end_stretch(FILE *out, const struct board *board, const char *resource,
                        struct stretch *stretch)
{
    if (stretch->valid)
        fprintf(out,
                "{\"board\":\"%s\",\"resource\":\"%s\",\"token\":%" PRIu64 ",\"from_ns\":%" PRId64
                ",\"until_ns\":%" PRId64 "}\n",
                board->name, resource, stretch->token, stretch->from_ns, stretch->until_ns);
    stretch->valid = false;
}

static void look(FILE *out, struct board *board, const char *resource, struct stretch *stretch)
{
    uint64_t token = 0;
    looked_at = board->clock;
    bool valid = board->page != NULL && hf_lease_valid(board->page, resource, &token, NULL);
    if (!valid || token != stretch->token)
        end_stretch(out, board, resource, stretch);
    if (!valid)
        return;
    stretch->until_ns = true_ns();
    if (!stretch->valid) {
        stretch->from_ns = stretch->until_ns;
        stretch->token = token;
        stretch->valid = true;
    }
}

/* A page of a guard that is gone is opened anew, now and then: the next guard makes a new file. */
static void renew_page(struct board *board)
{
    struct hf_page *page = NULL;
    if (board->page != NULL && !hf_page_stale(board->page))
        return;
    looked_at = NULL;
    if (hf_open(board->path, &page) != HF_OK)
        return;
    hf_close(board->page);
    board->page = page;
}

static bool add_board(struct board *board, char *text)
{
    char *folder = strchr(text, '=');
    char *clock = folder ? strchr(folder + 1, '=') : NULL;
    if (clock == NULL)
        return false;
    *folder++ = '\0';
    *clock++ = '\0';
    board->name = text;
    snprintf(board->path, sizeof board->path, "%s/lease.page", folder);
    int fd = open(clock, O_RDONLY | O_CLOEXEC);
    void *map =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *board->clock, PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    board->clock = map == MAP_FAILED ? NULL : map;
    return board->clock != NULL;
}

static void watch(FILE *out, long period_us, struct board *boards, int board_count,
                  char **resources, int resource_count)
{
    int64_t last_ns = true_ns();
    uint64_t turn = 0;
    int64_t next_ns = monotonic_ns();
    for (; !ending; turn++) {
        /* At fixed instants, so that the looks' own time does not slow them; what was missed is. */
        next_ns = next_ns + 1000 * period_us > monotonic_ns() ? next_ns + 1000 * period_us :
                                                                monotonic_ns();
        const struct timespec wait = { next_ns / 1000000000, next_ns % 1000000000 };
        for (int b = 0; b < board_count; b++) {
            /* A suspended board's applications do not run. */
            if (atomic_load(&boards[b].clock->asleep))
                continue;
            if (turn % OPEN_EVERY == 0)
                renew_page(&boards[b]);
            for (int r = 0; r < resource_count; r++)
                look(out, &boards[b], resources[r], &boards[b].stretch[r]);
        }
        int64_t now_ns = true_ns();
        if (now_ns - last_ns > BLIND_NS)
            fprintf(out, "{\"blind_from_ns\":%" PRId64 ",\"blind_ns\":%" PRId64 "}\n", last_ns,
                    now_ns - last_ns);
        last_ns = now_ns;
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wait, NULL);
    }
    fprintf(out, "{\"looks\":%" PRIu64 "}\n", turn);
    for (int b = 0; b < board_count; b++)
        for (int r = 0; r < resource_count; r++)
            end_stretch(out, &boards[b], resources[r], &boards[b].stretch[r]);
}

int main(int argc, char **argv)
{
    static struct board boards[BOARDS_MAX];
    struct sigaction action = { .sa_handler = on_signal };
    int board_count = 0;
    int at = 3;
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)prctl(PR_SET_TIMERSLACK, 1000ul, 0ul, 0ul, 0ul);
    sigaction(SIGTERM, &action, NULL);
    for (; at < argc && strcmp(argv[at], "--") != 0; at++)
        if (board_count == BOARDS_MAX || !add_board(&boards[board_count++], argv[at])) {
            fprintf(stderr, "page_watch: %s: allowed: BOARD=RUN_DIR=CLOCK_FILE\n", argv[at]);
            return 2;
        }
    if (board_count == 0 || at + 1 >= argc || argc - at - 1 > RESOURCES_MAX) {
        fprintf(stderr, "usage: page_watch PERIOD_US OUT BOARD=RUN_DIR=CLOCK_FILE... -- "
                        "RESOURCE...\n");
        return 2;
    }
    FILE *out = fopen(argv[2], "we");
    if (out == NULL) {
        perror(argv[2]);
        return 1;
    }
    setvbuf(out, NULL, _IOLBF, 0);
    watch(out, atol(argv[1]), boards, board_count, argv + at + 1, argc - at - 1);
    return fclose(out) == 0 ? 0 : 1;
}
