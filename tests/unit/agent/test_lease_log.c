/* The lease log: what the file holds after messages, starts, kills and at its size. */
#include "agent/lease_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/support/descriptors.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

enum { TEXT_MAX = 8192 };

struct fixture {
    struct conf conf;
    struct lease_log log;
    struct hf_name issuer;
    struct hf_name pump;
    char path[64];
    char text[TEXT_MAX];
};

static const struct instant now = { 1234567 };

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    strcpy(f->conf.run_dir, "/tmp/holdfast-log-XXXXXX");
    assert_non_null(mkdtemp(f->conf.run_dir));
    snprintf(f->path, sizeof(f->path), "%.40s/lease.log", f->conf.run_dir);
    assert_true(name_from_string(&f->issuer, "issuer-1"));
    assert_true(name_from_string(&f->pump, "pump"));
    assert_true(name_from_string(&f->conf.node_id, "board-a"));
    f->conf.lease_log_kb = 64;
    f->conf.drift_ppm = 2000;
    f->conf.resource_count = 1;
    f->conf.resource[0].name = f->pump;
    f->conf.resource[0].ttl_ms = 1000;
    f->conf.resource[0].release_ms = 5;
    f->conf.resource[0].fence = span_from_ms(20);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    lease_log_close(&f->log, now);
    folder_remove(f->conf.run_dir);
    free(f);
    return 0;
}

/* The whole of a file in f->text, "" if there is none. */
static const char *read_file(struct fixture *f, const char *suffix)
{
    char path[80];
    snprintf(path, sizeof(path), "%s%s", f->path, suffix);
    FILE *file = fopen(path, "re");
    size_t length = 0;
    if (file != NULL) {
        length = fread(f->text, 1, TEXT_MAX - 1, file);
        fclose(file);
    }
    f->text[length] = '\0';
    return f->text;
}

static void assert_ends(struct fixture *f, const char *expected)
{
    const char *text = read_file(f, "");
    assert_true(strlen(text) >= strlen(expected));
    assert_string_equal(text + strlen(text) - strlen(expected), expected);
}

static void put_issuer(struct fixture *f, const struct lease_message *message)
{
    lease_log_issuer(&f->log, now, &f->issuer, message);
}

static void put_status(struct fixture *f, enum guard_state guard, uint64_t token)
{
    struct guard_message status;
    guard_message_init(&status, GUARD_STATUS);
    status.name = f->pump;
    status.token = token;
    status.state = (uint8_t)guard;
    status.changed_us = 99;
    lease_log_guard(&f->log, now, &status);
}

static void without_a_size_there_is_no_file(void **state)
{
    struct fixture *f = *state;
    const struct lease_message message = { .kind = LEASE_GRANTED, .resource = f->pump };
    f->conf.lease_log_kb = 0;
    lease_log_open(&f->log, &f->conf, now);
    put_issuer(f, &message);
    put_status(f, GUARD_DRIVING, 5);
    lease_log_event(&f->log, now, "slept");
    assert_int_equal(access(f->path, F_OK), -1);
}

static void start_tells_the_times_that_the_promises_rest_on(void **state)
{
    struct fixture *f = *state;
    lease_log_open(&f->log, &f->conf, now);
    assert_non_null(strstr(read_file(f, ""),
                           "{\"t_us\":1234567,\"ev\":\"start\",\"board\":\"board-a\",\"pid\":"));
    assert_non_null(strstr(f->text, ",\"drift_ppm\":2000}\n"));
    assert_ends(f, "{\"t_us\":1234567,\"ev\":\"resource\",\"resource\":\"pump\",\"ttl_us\":1000000,"
                   "\"release_us\":5000,\"fence_us\":20000}\n");
}

static void renewals_are_a_line_for_each_lease(void **state)
{
    struct fixture *f = *state;
    struct lease_message message = { .kind = LEASE_RENEWED, .nonce = 0xabc, .item_count = 2 };
    message.items[0] = (struct lease_item){ f->pump, 5, false };
    message.items[1] = (struct lease_item){ f->pump, 6, true };
    lease_log_open(&f->log, &f->conf, now);
    put_issuer(f, &message);
    assert_ends(f, "{\"t_us\":1234567,\"ev\":\"renewed\",\"issuer\":\"issuer-1\",\"resource\":"
                   "\"pump\",\"token\":5,\"nonce\":\"0000000000000abc\"}\n"
                   "{\"t_us\":1234567,\"ev\":\"lost\",\"issuer\":\"issuer-1\",\"resource\":"
                   "\"pump\",\"token\":6,\"nonce\":\"0000000000000abc\"}\n");
}

static void every_kind_of_message_has_its_line(void **state)
{
    struct fixture *f = *state;
    lease_log_open(&f->log, &f->conf, now);
    for (int kind = 0; kind < LEASE_MESSAGE_KINDS; kind++) {
        char expected[80];
        struct lease_message message = { .kind = (enum lease_message_kind)kind,
                                         .resource = f->pump,
                                         .item_count = 1 };
        message.items[0].resource = f->pump;
        put_issuer(f, &message);
        snprintf(expected, sizeof(expected), "\"ev\":\"%s\",\"issuer\":\"issuer-1\",",
                 lease_message_name(message.kind));
        assert_non_null(strstr(read_file(f, ""), expected));
    }
}

static void the_guards_status_is_told_when_it_changes(void **state)
{
    struct fixture *f = *state;
    lease_log_open(&f->log, &f->conf, now);
    put_status(f, GUARD_SAFE, 0);
    put_status(f, GUARD_DRIVING, 5);
    size_t once = strlen(read_file(f, ""));
    assert_ends(f, "{\"t_us\":1234567,\"ev\":\"guard\",\"resource\":\"pump\",\"token\":5,\"state\":"
                   "\"driving\",\"fault\":\"none\",\"changed_us\":99}\n");
    put_status(f, GUARD_DRIVING, 5);
    assert_int_equal(strlen(read_file(f, "")), once);
    put_status(f, GUARD_DROPPING, 5);
    assert_true(strlen(read_file(f, "")) > once);
}

static void a_permit_is_told_with_its_deadline(void **state)
{
    struct fixture *f = *state;
    struct guard_message permit;
    guard_message_init(&permit, GUARD_PERMIT);
    permit.name = f->pump;
    permit.token = 5;
    permit.deadline_us = 2000000;
    lease_log_open(&f->log, &f->conf, now);
    lease_log_guard(&f->log, now, &permit);
    assert_ends(f, "{\"t_us\":1234567,\"ev\":\"permit\",\"resource\":\"pump\",\"token\":5,"
                   "\"deadline_us\":2000000}\n");
}

static void text_of_others_cannot_break_a_line(void **state)
{
    struct fixture *f = *state;
    struct lease_message message = { .kind = LEASE_YIELD, .resource = f->pump };
    lease_log_open(&f->log, &f->conf, now);
    strcpy(message.text, "a\"},\n\\\x01\xc3");
    put_issuer(f, &message);
    assert_ends(f, "\"token\":0,\"why\":\"a?},????\"}\n");
    memset(message.text, 'x', HF_REASON_MAX);
    put_issuer(f, &message);
    assert_ends(f, "xxxx\"}\n");
}

static void a_line_cut_off_by_a_kill_is_ended_at_the_next_start(void **state)
{
    struct fixture *f = *state;
    lease_log_open(&f->log, &f->conf, now);
    lease_log_close(&f->log, now);
    int fd = open(f->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "{\"t_us\":7", 9), 9);
    close(fd);
    lease_log_open(&f->log, &f->conf, now);
    assert_non_null(strstr(read_file(f, ""), "\"ev\":\"stop\"}\n{\"t_us\":7\n{\"t_us\":1234567,"));
}

static void the_full_log_is_kept_once_and_a_new_one_says_who_goes_on(void **state)
{
    struct fixture *f = *state;
    struct stat about;
    char former[80];
    f->conf.lease_log_kb = 1;
    snprintf(former, sizeof(former), "%s.1", f->path);
    lease_log_open(&f->log, &f->conf, now);
    unsigned descriptors = descriptors_open();
    for (int i = 0; i < 1000; i++) {
        put_status(f, i % 2 ? GUARD_SAFE : GUARD_DRIVING, 5);
        assert_int_equal(stat(f->path, &about), 0);
        assert_true(about.st_size < 2048);
    }
    assert_int_equal(descriptors_open(), descriptors);
    assert_int_equal(stat(former, &about), 0);
    assert_true(about.st_size >= 1024 && about.st_size < 2048);
    const char *text = read_file(f, "");
    assert_ptr_equal(strstr(text, "{\"t_us\":1234567,\"ev\":\"continued\",\"board\":"), text);
}

static void a_log_that_cannot_be_opened_stays_off(void **state)
{
    struct fixture *f = *state;
    struct conf elsewhere = f->conf;
    snprintf(elsewhere.run_dir, sizeof(elsewhere.run_dir), "%.40s/none", f->conf.run_dir);
    lease_log_open(&f->log, &elsewhere, now);
    put_status(f, GUARD_DRIVING, 5);
    assert_null(f->log.conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_size_there_is_no_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(start_tells_the_times_that_the_promises_rest_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(renewals_are_a_line_for_each_lease, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_kind_of_message_has_its_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_guards_status_is_told_when_it_changes, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_permit_is_told_with_its_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_of_others_cannot_break_a_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_cut_off_by_a_kill_is_ended_at_the_next_start, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_full_log_is_kept_once_and_a_new_one_says_who_goes_on,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_log_that_cannot_be_opened_stays_off, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
