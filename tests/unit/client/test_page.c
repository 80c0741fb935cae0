/* libholdfast against a page that the test writes as a guard would. */
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/name.h"
#include "client/holdfast.h"
#include "client/page.h"
#include "guard/guard.h"
#include "guard/page_file.h"
#include "hal/clock.h"
#include "tests/unit/support/unit.h"

/* For whoever asks in this program: how far MONOTONIC and BOOTTIME are ahead of what they are. */
static time_t slewed_s;
static int clock_readings;
/* The board sleeps for so long after so many readings. */
static time_t sleeps_s;
static int sleeps_after;

int clock_gettime(clockid_t clock, struct timespec *now)
{
    clock_readings++;
#ifdef SYS_clock_gettime64
    int result = (int)syscall(SYS_clock_gettime64, clock, now);
#else
    int result = (int)syscall(SYS_clock_gettime, clock, now);
#endif
    if (clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME)
        now->tv_sec += slewed_s;
    if (clock == CLOCK_BOOTTIME && clock_readings > sleeps_after)
        now->tv_sec += sleeps_s;
    return result;
}

struct fixture {
    char folder[64];
    char path[96];
    struct guard guard;
    struct platform platform;
    struct page_file file;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->folder, "/tmp/holdfast-page-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof(f->path), "%s/lease.page", f->folder);
    struct guard_config config;
    memset(&config, 0, sizeof(config));
    config.status_interval = span_from_ms(20);
    config.resource_count = 2;
    name_from_string(&config.resource[0].name, "pump");
    name_from_string(&config.resource[1].name, "valve");
    guard_init(&f->guard, &config);
    platform_linux(&f->platform);
    assert_true(page_file_open(&f->file, &f->platform, f->folder, &config, 1));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    page_file_close(&f->file);
    unlink(f->path);
    rmdir(f->folder);
    free(f);
    return 0;
}

/* `unknown_us`: sleep of the board that the guard has not been told of. */
static void publish_before_sleep(struct fixture *f, int64_t ahead_us, int64_t unknown_us)
{
    f->guard.resource[0].state = GUARD_DRIVING;
    f->guard.resource[0].token = 42;
    f->guard.resource[0].deadline = instant_add(hal_clock_now(), span_from_us(ahead_us));
    page_file_publish(&f->file, &f->guard, 0, span_from_us(hal_clock_slept().us - unknown_us));
}

static void publish(struct fixture *f, enum guard_state state, uint64_t token, int64_t ahead_us)
{
    f->guard.resource[0].state = state;
    f->guard.resource[0].token = token;
    f->guard.resource[0].deadline = instant_add(hal_clock_now(), span_from_us(ahead_us));
    page_file_publish(&f->file, &f->guard, 0, hal_clock_slept());
}

static struct hf_page *opened(struct fixture *f)
{
    struct hf_page *page = NULL;
    assert_int_equal(hf_open(f->path, &page), HF_OK);
    return page;
}

static void lease_is_valid_only_while_driving_and_before_the_deadline(void **state)
{
    struct fixture *f = *state;
    struct hf_page *page = opened(f);
    uint64_t token = 1;
    int64_t left_us = 1;
    assert_false(hf_lease_valid(page, "pump", &token, &left_us));
    assert_int_equal(token, 0);
    assert_int_equal(left_us, 0);
    publish(f, GUARD_DRIVING, 42, 10000000);
    assert_true(hf_lease_valid(page, "pump", &token, &left_us));
    assert_int_equal(token, 42);
    assert_in_range(left_us, 1, 10000000);
    assert_true(hf_lease_valid(page, "pump", NULL, NULL));
    assert_false(hf_lease_valid(page, "valve", NULL, NULL));
    assert_false(hf_lease_valid(page, "pum", NULL, NULL));
    assert_false(hf_lease_valid(page, "pumps", NULL, NULL));
    assert_false(hf_lease_valid(page, "", NULL, NULL));
    publish(f, GUARD_DRIVING, 42, -1);
    assert_false(hf_lease_valid(page, "pump", &token, &left_us));
    assert_int_equal(token, 42);
    assert_int_equal(left_us, 0);
    publish(f, GUARD_DROPPING, 42, 10000000);
    assert_false(hf_lease_valid(page, "pump", NULL, NULL));
    hf_close(page);
}

/* The raw clock stood meanwhile, and by it the deadline is as far ahead as before. */
static void sleep_counts_against_a_lease(void **state)
{
    struct fixture *f = *state;
    struct hf_page *page = opened(f);
    int64_t left_us = 0;
    publish_before_sleep(f, 100000000, 40000000);
    assert_true(hf_lease_valid(page, "pump", NULL, &left_us));
    assert_in_range(left_us, 1, 60000000);
    publish_before_sleep(f, 100000000, 100000001);
    assert_false(hf_lease_valid(page, "pump", NULL, &left_us));
    assert_int_equal(left_us, 0);
    publish_before_sleep(f, 100000000, 0);
    assert_true(hf_lease_valid(page, "pump", NULL, NULL));
    hf_close(page);
}

/* What stands in a page is judged by the raw clock, and by the state beside it. */
static void deadline_ends_a_lease_and_no_other_state_is_one(void **state)
{
    enum { HALF_HOUR_US = 1800 * 1000 * 1000 };
    struct fixture *f = *state;
    struct hf_page *page = opened(f);
    struct page_resource *entry = &f->file.map->resource[0];
    int64_t raw_us = hal_clock_now().us;
    struct page_reading value = { PAGE_DRIVING, 7, raw_us - 1, hal_clock_slept().us };
    (void)page_write(entry, &value);
    assert_false(hf_lease_valid(page, "pump", NULL, NULL));
    value.deadline_us = raw_us + HALF_HOUR_US;
    for (int other = PAGE_SAFE; other <= PAGE_FAULT; other++) {
        value.state = (enum page_state)other;
        (void)page_write(entry, &value);
        assert_int_equal(hf_lease_valid(page, "pump", NULL, NULL), other == PAGE_DRIVING);
    }
    hf_close(page);
}

/* MONOTONIC and BOOTTIME are slewed together, by 2 s here: that ends no lease, and prolongs none. */
static void slewed_clocks_are_no_clocks_of_a_lease(void **state)
{
    struct fixture *f = *state;
    struct hf_page *page = opened(f);
    publish_before_sleep(f, 100000000, 90000000);
    for (int ahead_s = -2; ahead_s <= 2; ahead_s += 4) {
        int64_t left_us = 0;
        slewed_s = ahead_s;
        bool valid = hf_lease_valid(page, "pump", NULL, &left_us);
        slewed_s = 0;
        assert_true(valid);
        assert_in_range(left_us, 1, 10000000);
    }
    hf_close(page);
}

static void sleep_between_the_readings_counts_against_a_lease(void **state)
{
    struct fixture *f = *state;
    struct hf_page *page = opened(f);
    publish(f, GUARD_DRIVING, 42, 100000000);
    int before = clock_readings;
    assert_true(hf_lease_valid(page, "pump", NULL, NULL));
    int readings = clock_readings - before;
    for (int i = 0; i < readings; i++) {
        sleeps_after = clock_readings + i;
        sleeps_s = 200;
        bool valid = hf_lease_valid(page, "pump", NULL, NULL);
        sleeps_s = 0;
        assert_false(valid);
    }
    hf_close(page);
}

static void page_of_an_ended_or_replaced_guard_is_stale(void **state)
{
    struct fixture *f = *state;
    struct hf_page *page = opened(f);
    publish(f, GUARD_DRIVING, 42, 10000000);
    assert_false(hf_page_stale(page));
    struct page_file second;
    assert_true(page_file_open(&second, &f->platform, f->folder, &f->guard.config, 1));
    assert_true(hf_page_stale(page));
    assert_false(hf_lease_valid(page, "pump", NULL, NULL));
    struct hf_page *fresh = opened(f);
    assert_false(hf_page_stale(fresh));
    page_file_close(&second);
    assert_true(hf_page_stale(fresh));
    hf_close(fresh);
    hf_close(page);
}

/* Killed, so that no code of its own could say so: the kernel does. */
static void lease_ends_with_the_guard_that_is_killed(void **state)
{
    struct fixture *f = *state;
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        struct page_file file;
        if (!page_file_open(&file, &f->platform, f->folder, &f->guard.config, 1))
            _exit(1);
        f->file = file;
        publish(f, GUARD_DRIVING, 9, 60000000);
        (void)!write(ready[1], "x", 1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    struct hf_page *page = opened(f);
    assert_true(hf_lease_valid(page, "pump", NULL, NULL));
    kill(child, SIGKILL);
    assert_int_equal(hf_wait_change(page, 5000), HF_OK);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(hf_page_stale(page));
    assert_false(hf_lease_valid(page, "pump", NULL, NULL));
    hf_close(page);
    close(ready[0]);
    close(ready[1]);
}

static void files_that_are_no_page_are_refused(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct hf_page *page = NULL;
    snprintf(path, sizeof(path), "%s/other", f->folder);
    assert_int_equal(hf_open(path, &page), HF_ERROR_NOT_FOUND);
    assert_int_equal(hf_open(f->folder, &page), HF_ERROR_FORMAT);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(hf_open(path, &page), HF_ERROR_FORMAT);
    assert_int_equal(ftruncate(fd, 65536), 0);
    assert_int_equal(hf_open(path, &page), HF_ERROR_FORMAT);
    struct lease_page other;
    memcpy(&other, f->file.map, sizeof(other));
    other.version++;
    assert_int_equal(pwrite(fd, &other, sizeof(other), 0), sizeof(other));
    assert_int_equal(hf_open(path, &page), HF_ERROR_FORMAT);
    other.version--;
    other.resource_count = PAGE_RESOURCES_MAX + 1;
    assert_int_equal(pwrite(fd, &other, sizeof(other), 0), sizeof(other));
    assert_int_equal(hf_open(path, &page), HF_ERROR_FORMAT);
    other.resource_count = f->file.map->resource_count;
    other.magic++;
    assert_int_equal(pwrite(fd, &other, sizeof(other), 0), sizeof(other));
    assert_int_equal(hf_open(path, &page), HF_ERROR_FORMAT);
    other.magic--;
    other.size++;
    assert_int_equal(pwrite(fd, &other, sizeof(other), 0), sizeof(other));
    assert_int_equal(hf_open(path, &page), HF_ERROR_FORMAT);
    assert_null(page);
    close(fd);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes there: it is not waited for */
    assert_int_equal(hf_open(path, &page), HF_ERROR_FORMAT);
    unlink(path);
}

static int mappings(const char *path)
{
    char line[512];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL)
        count += strstr(line, path) != NULL;
    fclose(maps);
    return count;
}

/* An application may ask for years, and gateways open the page anew every time a guard starts. */
static void opening_and_closing_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct hf_page *page = NULL;
    int before = mappings(f->path);
    int next = dup(STDIN_FILENO);
    close(next);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(hf_open(f->path, &page), HF_OK);
        assert_int_equal(mappings(f->path), before + 1);
        assert_int_equal(fcntl(next, F_GETFD), -1); /* the mapping needs none */
        hf_close(page);
        f->file.map->version++;
        assert_int_equal(hf_open(f->path, &page), HF_ERROR_FORMAT);
        f->file.map->version--;
        assert_int_equal(mappings(f->path), before);
    }
    assert_int_equal(fcntl(next, F_GETFD), -1);
}

static void a_page_that_may_not_be_read_is_told_as_such(void **state)
{
    struct fixture *f = *state;
    struct hf_page *page = NULL;
    uid_t own = geteuid();
    assert_int_equal(chmod(f->path, 0), 0);
    assert_int_equal(chmod(f->folder, 0755), 0);
    if (own == 0)
        assert_int_equal(seteuid(65534), 0);
    int result = hf_open(f->path, &page);
    assert_int_equal(seteuid(own), 0);
    assert_int_equal(result, HF_ERROR_DENIED);
    assert_string_equal(hf_error_text(result), "permission denied");
}

/* Where the run directory outlives a restart of the board, and no guard has started yet. */
static void page_of_before_a_restart_is_no_page(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct hf_page *page = NULL;
    struct lease_page before;
    publish(f, GUARD_DRIVING, 42, 10000000);
    memcpy(&before, f->file.map, sizeof(before));
    assert_int_not_equal(before.boot, 0);
    before.boot++;
    snprintf(path, sizeof(path), "%s/before", f->folder);
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(pwrite(fd, &before, sizeof(before), 0), sizeof(before));
    assert_int_equal(hf_open(path, &page), HF_ERROR_NOT_FOUND);
    assert_null(page);
    before.boot--;
    assert_int_equal(pwrite(fd, &before, sizeof(before), 0), sizeof(before));
    assert_int_equal(hf_open(path, &page), HF_OK);
    assert_true(hf_lease_valid(page, "pump", NULL, NULL));
    hf_close(page);
    close(fd);
    unlink(path);
}

static void *drop_soon(void *argument)
{
    struct timespec nap = { 0, 20000000 };
    nanosleep(&nap, NULL);
    publish(argument, GUARD_DROPPING, 42, 10000000);
    return NULL;
}

static void wait_wakes_on_a_change_and_not_on_a_renewal(void **state)
{
    struct fixture *f = *state;
    struct hf_page *page = opened(f);
    pthread_t thread;
    assert_int_equal(hf_wait_change(page, 0), HF_ERROR_TIMEOUT);
    publish(f, GUARD_DRIVING, 42, 10000000);
    assert_int_equal(hf_wait_change(page, 0), HF_OK);
    publish(f, GUARD_DRIVING, 42, 20000000);
    clock_readings = 0;
    assert_int_equal(hf_wait_change(page, 30), HF_ERROR_TIMEOUT);
    assert_true(clock_readings < 30); /* it sleeps in between */
    assert_int_equal(pthread_create(&thread, NULL, drop_soon, f), 0);
    assert_int_equal(hf_wait_change(page, 5000), HF_OK);
    pthread_join(thread, NULL);
    hf_close(page);
    /* What was before it was opened is no change, an end of the guard neither. */
    page = opened(f);
    assert_int_equal(hf_wait_change(page, 0), HF_ERROR_TIMEOUT);
    hf_close(page);
    atomic_store(&f->file.map->owner, 0);
    page = opened(f);
    assert_true(hf_page_stale(page));
    assert_int_equal(hf_wait_change(page, 0), HF_ERROR_TIMEOUT);
    hf_close(page);
}

static void *die_soon(void *argument)
{
    struct fixture *f = argument;
    struct timespec nap = { 0, 20000000 };
    nanosleep(&nap, NULL);
    /* As the kernel does: it changes nothing that a reader waits for. */
    atomic_fetch_or(&f->file.map->owner, PAGE_OWNER_DIED);
    return NULL;
}

/* Of a few: one alone may have been held up by the machine. */
static void wait_ends_soon_after_the_guard(void **state)
{
    enum { SOON_US = 300000 };
    struct fixture *f = *state;
    int64_t least_us = INT64_MAX;
    for (int tries = 0; tries < 5 && least_us >= SOON_US; tries++) {
        pthread_t thread;
        atomic_fetch_and(&f->file.map->owner, ~(uint32_t)PAGE_OWNER_DIED);
        struct hf_page *page = opened(f);
        struct instant begin = hal_clock_now();
        assert_int_equal(pthread_create(&thread, NULL, die_soon, f), 0);
        assert_int_equal(hf_wait_change(page, 5000), HF_OK);
        int64_t took_us = instant_diff(hal_clock_now(), begin).us;
        least_us = took_us < least_us ? took_us : least_us;
        assert_true(hf_page_stale(page));
        pthread_join(thread, NULL);
        hf_close(page);
    }
    assert_true(least_us < SOON_US);
}

/* The writer keeps token and deadline in step; a torn reading would show a pair that never was. */
static void *write_pairs(void *argument)
{
    struct page_resource *entry = argument;
    for (uint64_t i = 1; i <= 200000; i++) {
        struct page_reading value = { PAGE_DRIVING, i, (int64_t)i * 3, (int64_t)i * 5 };
        (void)page_write(entry, &value);
    }
    return NULL;
}

static void reading_is_never_torn(void **state)
{
    struct fixture *f = *state;
    struct page_resource *entry = &f->file.map->resource[1];
    struct page_reading value = { .state = PAGE_SAFE };
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_pairs, entry), 0);
    while (value.token < 200000) {
        if (!page_read(entry, &value))
            continue;
        assert_int_equal(value.deadline_us, (int64_t)value.token * 3);
        assert_int_equal(value.slept_us, (int64_t)value.token * 5);
    }
    pthread_join(thread, NULL);
}

static const struct page_reading stepped[2] = { { PAGE_DRIVING, 7, 70, 700 },
                                                { PAGE_DROPPING, 8, 80, 800 } };

static pid_t writer_to_be_stepped(struct page_resource *entry)
{
    pid_t writer = fork();
    assert_true(writer >= 0);
    if (writer > 0)
        return writer;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
        _exit(1);
    (void)page_write(entry, &stepped[1]);
    _exit(0);
}

static bool is_reading(const struct page_reading *value, const struct page_reading *wanted)
{
    return value->state == wanted->state && value->token == wanted->token &&
           value->deadline_us == wanted->deadline_us && value->slept_us == wanted->slept_us;
}

/*
 * Wherever the writer is put aside, a reader gets all of what was, all of what is, or nothing. Where a
 * store of 64 bits is a load and a store that succeed together (32-bit ARM), a writer that is put aside
 * in between tries again for ever, and can't be stepped.
 */
static void reading_is_whole_after_each_instruction_of_the_writer(void **state)
{
    enum { STEPS_MAX = 20000 };
    struct fixture *f = *state;
    struct page_resource *entry = &f->file.map->resource[1];
    unsigned came[3] = { 0 }; /* before, after, nothing */
    int status = 0;
    (void)page_write(entry, &stepped[0]);
    pid_t writer = writer_to_be_stepped(entry);
    assert_int_equal(waitpid(writer, &status, 0), writer);
    while (WIFSTOPPED(status)) {
        struct page_reading value;
        bool whole = page_read(entry, &value);
        bool after = whole && value.token == stepped[1].token;
        if (whole)
            assert_true(is_reading(&value, &stepped[after ? 1 : 0]));
        came[!whole ? 2 : after ? 1 : 0]++;
        if (came[0] + came[1] + came[2] > STEPS_MAX ||
            ptrace(PTRACE_SINGLESTEP, writer, NULL, NULL) != 0)
            kill(writer, SIGKILL); /* a 32-bit ARM kernel has no such thing */
        assert_int_equal(waitpid(writer, &status, 0), writer);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        skip();
    assert_true(came[0] > 0 && came[1] > 0 && came[2] > 0);
}

static void writer_that_stalls_in_the_middle_is_not_valid(void **state)
{
    struct fixture *f = *state;
    struct hf_page *page = opened(f);
    publish(f, GUARD_DRIVING, 42, 10000000);
    atomic_fetch_add(&f->file.map->resource[0].sequence, 1);
    uint64_t token = 1;
    int64_t left_us = 1;
    assert_false(hf_lease_valid(page, "pump", &token, &left_us));
    assert_int_equal(token, 0);
    assert_int_equal(left_us, 0);
    hf_close(page);
}

int main(void)
{
#define PAGE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        PAGE_TEST(lease_is_valid_only_while_driving_and_before_the_deadline),
        PAGE_TEST(sleep_counts_against_a_lease),
        PAGE_TEST(deadline_ends_a_lease_and_no_other_state_is_one),
        PAGE_TEST(slewed_clocks_are_no_clocks_of_a_lease),
        PAGE_TEST(sleep_between_the_readings_counts_against_a_lease),
        PAGE_TEST(page_of_an_ended_or_replaced_guard_is_stale),
        PAGE_TEST(lease_ends_with_the_guard_that_is_killed),
        PAGE_TEST(files_that_are_no_page_are_refused),
        PAGE_TEST(opening_and_closing_leaves_nothing_behind),
        PAGE_TEST(a_page_that_may_not_be_read_is_told_as_such),
        PAGE_TEST(page_of_before_a_restart_is_no_page),
        PAGE_TEST(wait_wakes_on_a_change_and_not_on_a_renewal),
        PAGE_TEST(wait_ends_soon_after_the_guard),
        PAGE_TEST(reading_is_never_torn),
        PAGE_TEST(reading_is_whole_after_each_instruction_of_the_writer),
        PAGE_TEST(writer_that_stalls_in_the_middle_is_not_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
