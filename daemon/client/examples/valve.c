/*
 * Opens and closes a valve once a second, only while this board holds the lease. Copy and adapt.
 *
 *   valve /run/holdfast/lease.page pump
 *
 * Three rules: ask right before each act; leave time for the act itself; carry the token along, so
 * that a device that keeps tokens can refuse an old one.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "holdfast.h"

enum {
    ACT_LONGEST_US = 2000, /* the longest that one act on the valve may take */
    PERIOD_MS = 1000
};

static volatile sig_atomic_t stop_asked;

static void ask_stop(int number)
{
    (void)number;
    stop_asked = 1;
}

/* Where an application writes to its device. */
static void valve_move(bool open, uint64_t token)
{
    printf("valve %s under token %" PRIu64 "\n", open ? "opens" : "closes", token);
    fflush(stdout);
}

/* Until the guard goes or a signal comes. Returns when the page must be opened anew. */
static void valve_run(struct hf_page *page, const char *resource)
{
    bool open = false;
    while (!stop_asked && !hf_page_stale(page)) {
        uint64_t token = 0;
        int64_t left_us = 0;
        if (hf_lease_valid(page, resource, &token, &left_us) && left_us > ACT_LONGEST_US) {
            open = !open;
            valve_move(open, token);
        }
        /* Wakes at once when the lease comes or goes. */
        (void)hf_wait_change(page, PERIOD_MS);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: valve LEASE_PAGE RESOURCE\n");
        return 2;
    }
    signal(SIGINT, ask_stop);
    signal(SIGTERM, ask_stop);
    struct hf_page *page = NULL;
    int error = hf_open(argv[1], &page);
    if (error != HF_OK) {
        fprintf(stderr, "valve: %s: %s\n", argv[1], hf_error_text(error));
        return 1;
    }
    valve_run(page, argv[2]);
    if (hf_page_stale(page))
        fprintf(stderr, "valve: the guard is gone\n");
    hf_close(page);
    return 0;
}
