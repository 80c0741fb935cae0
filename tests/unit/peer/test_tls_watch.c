/* What a Certificate message may be, however its bytes are cut into messages, records and reads. */
#include "tests/unit/support/unit.h"

#include <string.h>

#include "peer/tls_watch.h"

enum {
    CHANGE_CIPHER_SPEC = 20,
    ALERT = 21,
    HANDSHAKE = 22,
    DATA = 23,
    CLIENT_HELLO = 1,
    CERTIFICATE = 11,
    MAX = 65536
};

static uint8_t flight[MAX];
static size_t length;
static struct bytes ca; /* as certificates() makes them */

static void put(const void *bytes, size_t count)
{
    memcpy(flight + length, bytes, count);
    length += count;
}

static void put_length(size_t value, size_t bytes)
{
    while (bytes-- > 0)
        flight[length++] = (uint8_t)(value >> 8 * bytes);
}

static void record(uint8_t type, const uint8_t *body, size_t count)
{
    const uint8_t head[] = { type, 3, 3 };
    put(head, sizeof(head));
    put_length(count, 2);
    put(body, count);
}

/* Certificates of these lengths, 0 ends them, in records of at most `cut` bytes. */
static void certificates(const size_t *lengths, size_t cut)
{
    static uint8_t message[MAX];
    static const uint8_t hello[] = { CLIENT_HELLO, 0, 0, 3, 11, 11, 11 };
    size_t list = 0;
    length = 0;
    for (size_t i = 0; lengths[i] > 0; i++) {
        size_t at = 7 + list;
        message[at] = (uint8_t)(lengths[i] >> 16);
        message[at + 1] = (uint8_t)(lengths[i] >> 8);
        message[at + 2] = (uint8_t)lengths[i];
        memset(message + at + 3, CERTIFICATE, lengths[i]);
        list += 3 + lengths[i];
    }
    const uint8_t head[] = {
        CERTIFICATE,         (uint8_t)((list + 3) >> 16), (uint8_t)((list + 3) >> 8),
        (uint8_t)(list + 3), (uint8_t)(list >> 16),       (uint8_t)(list >> 8),
        (uint8_t)list
    };
    memcpy(message, head, sizeof(head));
    record(HANDSHAKE, hello, sizeof(hello));
    for (size_t at = 0; at < 7 + list; at += cut)
        record(HANDSHAKE, message + at, 7 + list - at < cut ? 7 + list - at : cut);
}

/* In reads of `step` bytes; SIZE_MAX: all of it was let through. */
static size_t stopped_at(size_t step)
{
    struct tls_watch watch = { .ca = ca };
    for (size_t at = 0; at < length; at += step) {
        size_t count = length - at < step ? length - at : step;
        if (!tls_watch_take(&watch, (struct bytes){ flight + at, count }))
            return at;
    }
    return SIZE_MAX;
}

static void expect(const size_t *lengths, bool passes)
{
    for (size_t cut = 1; cut < 20000; cut = cut * 3 + 1) {
        certificates(lengths, cut);
        for (size_t step = 1; step < 20000; step = step * 5 + 2)
            assert_true((stopped_at(step) == SIZE_MAX) == passes);
    }
}

static void one_certificate_passes(void **state)
{
    (void)state;
    expect((const size_t[]){ 500, 0 }, true);
    expect((const size_t[]){ TLS_CERTIFICATE_MAX, 0 }, true);
}

static void none_is_for_tls_to_refuse(void **state)
{
    (void)state;
    expect((const size_t[]){ 0 }, true);
}

static void a_chain_is_refused(void **state)
{
    (void)state;
    expect((const size_t[]){ 500, 500, 0 }, false);
    expect((const size_t[]){ 500, 2300, 2300, 2300, 2300, 0 }, false);
}

static void the_cas_own_may_come_behind_and_nothing_else(void **state)
{
    static uint8_t own[600];
    (void)state;
    memset(own, CERTIFICATE, sizeof(own));
    ca = (struct bytes){ own, sizeof(own) };
    expect((const size_t[]){ 500, 0 }, true);
    expect((const size_t[]){ 500, 600, 0 }, true);
    expect((const size_t[]){ 500, 599, 0 }, false);
    expect((const size_t[]){ 500, 601, 0 }, false);
    expect((const size_t[]){ 500, 600, 600, 0 }, false);
    expect((const size_t[]){ 500, 300, 297, 0 }, false);
    own[599]++;
    expect((const size_t[]){ 500, 600, 0 }, false);
    ca = (struct bytes){ NULL, 0 };
}

static void a_long_certificate_is_refused(void **state)
{
    (void)state;
    expect((const size_t[]){ TLS_CERTIFICATE_MAX + 1, 0 }, false);
}

/* Refused by its lengths: not a byte of a second certificate is let through. */
static void it_is_refused_before_its_keys_come(void **state)
{
    (void)state;
    certificates((const size_t[]){ 500, 500, 0 }, 16384);
    assert_true(stopped_at(1) < 40);
}

static void what_is_encrypted_is_not_looked_at(void **state)
{
    (void)state;
    const uint8_t one = 1;
    certificates((const size_t[]){ 500, 0 }, 16384);
    record(CHANGE_CIPHER_SPEC, &one, 1);
    const uint8_t secret[] = { CERTIFICATE, 0, 0, 9, 0, 0, 6, 0, 0, 1, 0 };
    record(HANDSHAKE, secret, sizeof(secret));
    assert_true(stopped_at(7) == SIZE_MAX);
}

/* A whole handshake, and data behind it. */
static void talk(void)
{
    static const uint8_t secret[600] = { CERTIFICATE };
    const uint8_t one = 1;
    certificates((const size_t[]){ 500, 0 }, 16384);
    record(CHANGE_CIPHER_SPEC, &one, 1);
    record(HANDSHAKE, secret, 40);
    record(DATA, secret, sizeof(secret));
    record(DATA, secret, 0);
    record(DATA, secret, sizeof(secret));
}

/* Of it, then, let through: all before that record, if the steps end there. */
static void expect_stopped_at(size_t before)
{
    for (size_t step = 1; step < 20000; step = step * 5 + 2)
        assert_true(stopped_at(step) == before / step * step);
}

static void no_handshake_comes_behind_the_end_of_one(void **state)
{
    static const uint8_t types[] = { HANDSHAKE, CHANGE_CIPHER_SPEC };
    static const uint8_t secret[28];
    (void)state;
    talk();
    for (size_t step = 1; step < 20000; step = step * 5 + 2)
        assert_true(stopped_at(step) == SIZE_MAX);
    for (size_t i = 0; i < sizeof(types); i++) {
        talk();
        size_t before = length;
        record(types[i], secret, sizeof(secret));
        expect_stopped_at(before);
    }
}

static void the_first_alert_is_the_last(void **state)
{
    static const uint8_t secret[26];
    (void)state;
    for (size_t talked = 0; talked < 2; talked++) {
        certificates((const size_t[]){ 500, 0 }, 16384);
        if (talked)
            talk();
        record(ALERT, secret, talked ? sizeof(secret) : 2);
        assert_true(stopped_at(7) == SIZE_MAX);
        size_t before = length;
        record(ALERT, secret, talked ? sizeof(secret) : 2);
        expect_stopped_at(before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_certificate_passes),
        cmocka_unit_test(none_is_for_tls_to_refuse),
        cmocka_unit_test(a_chain_is_refused),
        cmocka_unit_test(the_cas_own_may_come_behind_and_nothing_else),
        cmocka_unit_test(a_long_certificate_is_refused),
        cmocka_unit_test(it_is_refused_before_its_keys_come),
        cmocka_unit_test(what_is_encrypted_is_not_looked_at),
        cmocka_unit_test(no_handshake_comes_behind_the_end_of_one),
        cmocka_unit_test(the_first_alert_is_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
