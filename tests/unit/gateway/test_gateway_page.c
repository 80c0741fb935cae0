/* The lease page in the gateway: none, a guard's, a dead guard's, the next guard's. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/page.h"
#include "gateway/gateway_page.h"
#include "hal/clock.h"
#include "tests/unit/support/unit.h"

enum { PATIENCE_MS = 5000, LIVE_GUARD = 1234 };

static char folder[] = "/tmp/holdfast-page-XXXXXX";
static char path[sizeof(folder) + sizeof("/lease.page")];

/* As the guard does: a new file, renamed into place. */
static void publish(uint32_t owner, int64_t left_us)
{
    char draft[sizeof(path) + 4];
    snprintf(draft, sizeof(draft), "%s.new", path);
    struct lease_page page = { .magic = PAGE_MAGIC, .version = PAGE_VERSION, .size = sizeof(page),
                               .resource_count = 1 };
    atomic_init(&page.owner, owner);
    strcpy(page.resource[0].name, "valve");
    struct page_reading value = { PAGE_DRIVING, 7, hal_clock_now().us + left_us };
    page_write(&page.resource[0], &value);
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, &page, sizeof(page)), sizeof(page));
    close(fd);
    assert_int_equal(rename(draft, path), 0);
}

/* What the kernel does to the page of a guard that died. */
static void kill_guard(void)
{
    uint32_t owner = LIVE_GUARD | PAGE_OWNER_DIED;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &owner, sizeof(owner), offsetof(struct lease_page, owner)),
                     sizeof(owner));
    close(fd);
}

static bool becomes_valid(struct gateway_page *page, int64_t *left_us)
{
    struct instant end = instant_add(hal_clock_now(), span_from_ms(PATIENCE_MS));
    while (!instant_reached(end, hal_clock_now())) {
        if (gateway_page_valid(page, left_us))
            return true;
        usleep(2000);
    }
    return false;
}

static void lease_follows_the_guards_page(void **state)
{
    (void)state;
    struct gateway_page page;
    struct hf_name resource;
    int64_t left_us = 0;
    assert_true(name_from_string(&resource, "valve"));
    gateway_page_open(&page, folder, &resource);
    assert_false(gateway_page_valid(&page, &left_us));

    publish(LIVE_GUARD, 60000000);
    assert_true(becomes_valid(&page, &left_us));
    assert_in_range(left_us, 1, 60000000);

    kill_guard();
    assert_false(gateway_page_valid(&page, &left_us));
    /* Opening the dead guard's page again gives no lease either. */
    usleep((GATEWAY_PAGE_RETRY_MS + 10) * 1000);
    assert_false(gateway_page_valid(&page, &left_us));

    publish(LIVE_GUARD + 1, 60000000);
    assert_true(becomes_valid(&page, &left_us));
    gateway_page_close(&page);
}

static void other_resources_and_ended_leases_are_no_lease(void **state)
{
    (void)state;
    struct gateway_page page;
    struct hf_name other;
    struct hf_name resource;
    int64_t left_us = 0;
    publish(LIVE_GUARD, 60000000);
    assert_true(name_from_string(&other, "pump"));
    gateway_page_open(&page, folder, &other);
    assert_false(gateway_page_valid(&page, &left_us));
    gateway_page_close(&page);
    publish(LIVE_GUARD, -1);
    assert_true(name_from_string(&resource, "valve"));
    gateway_page_open(&page, folder, &resource);
    assert_false(gateway_page_valid(&page, &left_us));
    gateway_page_close(&page);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/lease.page", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lease_follows_the_guards_page),
        cmocka_unit_test(other_resources_and_ended_leases_are_no_lease),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
