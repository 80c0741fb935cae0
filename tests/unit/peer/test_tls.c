/* Loading an identity: what is wrong is said with the file that it is wrong in. */
#include "tests/unit/support/unit.h"

#include "tests/unit/peer/pki.h"

static struct pki pki;

static int open_pki(void **state)
{
    (void)state;
    pki_open(&pki);
    pki_issue(&pki, "ca", "board-a", "CN=board-a,OU=node,O=line-3", PKI_FROM, PKI_TO);
    return 0;
}

static int close_pki(void **state)
{
    (void)state;
    pki_close(&pki);
    return 0;
}

static void expect_refused(const char *ca, const char *certificate, const char *key,
                           const char *file, const char *cause)
{
    char error[TLS_TEXT_MAX] = "";
    assert_null(tls_identity_load(ca, certificate, key, error, sizeof(error)));
    if (strstr(error, file) != error || strstr(error, cause) == NULL)
        fail_msg("error is \"%s\", not \"%s: %s\"", error, file, cause);
}

static void good_files_give_the_subject(void **state)
{
    (void)state;
    struct tls_identity *identity = pki_load(&pki, "ca", "board-a");
    assert_string_equal(tls_identity_name(identity)->common_name, "board-a");
    assert_string_equal(tls_identity_name(identity)->unit, "node");
    assert_string_equal(tls_identity_name(identity)->organization, "line-3");
    tls_identity_free(identity);
}

static void missing_or_foreign_files_are_named(void **state)
{
    (void)state;
    const char *ca = pki_path(&pki, "ca", "crt");
    const char *certificate = pki_path(&pki, "board-a", "crt");
    const char *key = pki_path(&pki, "board-a", "key");
    const char *none = pki_path(&pki, "none", "crt");
    expect_refused(none, certificate, key, none, "cannot be read: No such file");
    expect_refused(ca, none, key, none, "cannot be read: No such file");
    expect_refused(ca, certificate, none, none, "cannot be read: No such file");
    expect_refused(key, certificate, key, key, "no valid CA certificate");
    expect_refused(ca, key, key, key, "no valid certificate");
    expect_refused(ca, certificate, certificate, certificate, "no valid private key");
}

static void key_of_another_certificate_is_refused(void **state)
{
    (void)state;
    pki_issue(&pki, "ca", "board-b", "CN=board-b,OU=node,O=line-3", PKI_FROM, PKI_TO);
    const char *key = pki_path(&pki, "board-b", "key");
    expect_refused(pki_path(&pki, "ca", "crt"), pki_path(&pki, "board-a", "crt"), key, key,
                   "does not match the certificate");
}

static void certificate_of_another_ca_is_refused(void **state)
{
    (void)state;
    pki_make_ca(&pki, "other", PKI_FROM, PKI_TO);
    const char *certificate = pki_path(&pki, "board-a", "crt");
    expect_refused(pki_path(&pki, "other", "crt"), certificate, pki_path(&pki, "board-a", "key"),
                   certificate, "not signed by the CA");
}

static void file_with_a_chain_is_refused(void **state)
{
    (void)state;
    pki_chain(&pki, "chain", "board-a", "ca");
    const char *certificate = pki_path(&pki, "chain", "crt");
    expect_refused(pki_path(&pki, "ca", "crt"), certificate, pki_path(&pki, "chain", "key"),
                   certificate, "must hold one certificate of at most 4096 bytes");
}

static void expired_certificate_is_refused(void **state)
{
    (void)state;
    pki_issue(&pki, "ca", "old", "CN=old,OU=node,O=line-3", PKI_FROM, "20200201000000");
    const char *certificate = pki_path(&pki, "old", "crt");
    expect_refused(pki_path(&pki, "ca", "crt"), certificate, pki_path(&pki, "old", "key"),
                   certificate, "valid to 2020-02-01");
}

/* A wall clock before the CA's birth was never set, as on a board without a battery. */
static void unset_clock_does_not_make_a_certificate_invalid(void **state)
{
    (void)state;
    pki_make_ca(&pki, "future", "20400101000000", PKI_TO);
    pki_issue(&pki, "future", "early", "CN=early,OU=node,O=line-3", "20410101000000", PKI_TO);
    tls_identity_free(pki_load(&pki, "future", "early"));
}

static void unset_clock_does_not_revive_an_expired_certificate(void **state)
{
    (void)state;
    pki_make_ca(&pki, "future", "20400101000000", PKI_TO);
    pki_issue(&pki, "future", "stale", "CN=stale,OU=node,O=line-3", "20300101000000",
              "20350101000000");
    const char *certificate = pki_path(&pki, "stale", "crt");
    expect_refused(pki_path(&pki, "future", "crt"), certificate, pki_path(&pki, "stale", "key"),
                   certificate, "valid to 2035-01-01");
}

static void names_that_do_not_fit_are_no_names(void **state)
{
    (void)state;
    pki_issue(&pki, "ca", "long", "CN=a-name-of-more-than-thirty-one-characters,OU=node", PKI_FROM,
              PKI_TO);
    const char *ca = pki_path(&pki, "ca", "crt");
    const char *certificate = pki_path(&pki, "long", "crt");
    expect_refused(ca, certificate, pki_path(&pki, "long", "key"), certificate, "one CN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_files_give_the_subject),
        cmocka_unit_test(missing_or_foreign_files_are_named),
        cmocka_unit_test(key_of_another_certificate_is_refused),
        cmocka_unit_test(certificate_of_another_ca_is_refused),
        cmocka_unit_test(file_with_a_chain_is_refused),
        cmocka_unit_test(expired_certificate_is_refused),
        cmocka_unit_test(unset_clock_does_not_make_a_certificate_invalid),
        cmocka_unit_test(unset_clock_does_not_revive_an_expired_certificate),
        cmocka_unit_test(names_that_do_not_fit_are_no_names),
    };
    return cmocka_run_group_tests(tests, open_pki, close_pki);
}
