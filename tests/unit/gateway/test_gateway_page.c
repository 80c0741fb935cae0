/* The lease page in the gateway: none, a guard's, a dead guard's, the next guard's. */
#include <stdlib.h>

#include "gateway/gateway_page.h"
#include "tests/unit/gateway/page_file.h"

enum { PATIENCE_MS = 5000, LIVE_GUARD = 1234 };

static char folder[] = "/tmp/holdfast-page-XXXXXX";
static char path[sizeof(folder) + sizeof("/lease.page")];

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

    page_publish(folder, "valve", LIVE_GUARD, 60000000);
    assert_true(becomes_valid(&page, &left_us));
    assert_in_range(left_us, 1, 60000000);

    kill_guard();
    assert_false(gateway_page_valid(&page, &left_us));
    /* Opening the dead guard's page again gives no lease either. */
    usleep((GATEWAY_PAGE_RETRY_MS + 10) * 1000);
    assert_false(gateway_page_valid(&page, &left_us));

    page_publish(folder, "valve", LIVE_GUARD + 1, 60000000);
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
    page_publish(folder, "valve", LIVE_GUARD, 60000000);
    assert_true(name_from_string(&other, "pump"));
    gateway_page_open(&page, folder, &other);
    assert_false(gateway_page_valid(&page, &left_us));
    gateway_page_close(&page);
    page_publish(folder, "valve", LIVE_GUARD, -1);
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
