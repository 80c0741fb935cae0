/* Certificates: what pki makes is what TLS accepts, and nothing is replaced unasked. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mbedtls/oid.h>
#include <mbedtls/x509_crt.h>

#include "ctl/certificate.h"
#include "ctl/pki.h"
#include "ctl/pki_file.h"
#include "tests/unit/support/folder.h"
#include "tests/unit/support/unit.h"

/* Certificates of any dates; the function of ctl/pki.h of that name is another. */
#define pki_issue pki_issue_any
#include "tests/unit/peer/pki.h"
#undef pki_issue

struct fixture {
    char folder[64];
    char told[2048];
    char errors[2048];
};

static int set_up(void **state)
{
    struct fixture *fix = calloc(1, sizeof(*fix));
    snprintf(fix->folder, sizeof(fix->folder), "/tmp/holdfast-pki-XXXXXX");
    *state = fix;
    return mkdtemp(fix->folder) ? 0 : 1;
}

static int tear_down(void **state)
{
    struct fixture *fix = *state;
    folder_remove(fix->folder);
    free(fix);
    return 0;
}

static bool run(struct fixture *fix, bool (*command)(const struct pki_request *), const char *name,
                const char *role, int days, bool force)
{
    FILE *out = fmemopen(fix->told, sizeof(fix->told), "w");
    FILE *errors = fmemopen(fix->errors, sizeof(fix->errors), "w");
    const struct pki_request request = { .folder = fix->folder,
                                         .name = name,
                                         .role = role,
                                         .days = days,
                                         .force = force,
                                         .out = out,
                                         .errors = errors };
    bool done = command(&request);
    fclose(out);
    fclose(errors);
    return done;
}

static bool make_ca(struct fixture *fix)
{
    return run(fix, pki_init, "line-3", NULL, PKI_CA_DAYS, false);
}

static char *path(const struct fixture *fix, const char *name, char *out)
{
    snprintf(out, 128, "%s/%s", fix->folder, name);
    return out;
}

static void load(const struct fixture *fix, const char *name, mbedtls_x509_crt *crt)
{
    char file[128];
    mbedtls_x509_crt_init(crt);
    assert_int_equal(mbedtls_x509_crt_parse_file(crt, path(fix, name, file)), 0);
}

/* The bytes of a file; its length, or 0 if it is not there. */
static size_t bytes_of(const struct fixture *fix, const char *name, char *out, size_t size)
{
    char file[128];
    FILE *stream = fopen(path(fix, name, file), "r");
    if (!stream)
        return 0;
    size_t length = fread(out, 1, size, stream);
    fclose(stream);
    return length;
}

static void an_issued_certificate_says_who_and_what_and_verifies(void **state)
{
    struct fixture *fix = *state;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt cert;
    struct certificate_subject subject;
    uint32_t flags;
    assert_true(make_ca(fix));
    assert_true(run(fix, pki_issue, "board-a", "node", 30, false));
    load(fix, "ca.crt", &ca);
    load(fix, "board-a.crt", &cert);
    assert_int_equal(mbedtls_x509_crt_verify(&cert, &ca, NULL, "board-a", &flags, NULL, NULL), 0);
    certificate_read_subject(&cert, &subject);
    assert_string_equal(subject.common_name, "board-a");
    assert_string_equal(subject.organization, "line-3");
    assert_string_equal(subject.unit, "node");
    assert_true(ca.ca_istrue);
    assert_false(cert.ca_istrue);
    assert_int_equal(mbedtls_x509_crt_check_key_usage(&ca, MBEDTLS_X509_KU_KEY_CERT_SIGN), 0);
    assert_int_equal(mbedtls_x509_crt_check_key_usage(&cert, MBEDTLS_X509_KU_DIGITAL_SIGNATURE), 0);
    assert_int_not_equal(mbedtls_x509_crt_check_key_usage(&cert, MBEDTLS_X509_KU_KEY_CERT_SIGN), 0);
    assert_int_equal(mbedtls_x509_crt_check_extended_key_usage(
                         &cert, MBEDTLS_OID_SERVER_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)),
                     0);
    assert_int_equal(mbedtls_x509_crt_check_extended_key_usage(
                         &cert, MBEDTLS_OID_CLIENT_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH)),
                     0);
    mbedtls_x509_crt_free(&cert);
    mbedtls_x509_crt_free(&ca);
}

static void another_ca_of_the_same_name_does_not_verify(void **state)
{
    struct fixture *fix = *state;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt cert;
    uint32_t flags;
    assert_true(make_ca(fix));
    assert_true(run(fix, pki_issue, "board-a", "node", 30, false));
    load(fix, "board-a.crt", &cert);
    assert_true(run(fix, pki_init, "line-3", NULL, 30, true));
    load(fix, "ca.crt", &ca);
    assert_int_not_equal(mbedtls_x509_crt_verify(&cert, &ca, NULL, NULL, &flags, NULL, NULL), 0);
    mbedtls_x509_crt_free(&cert);
    mbedtls_x509_crt_free(&ca);
}

static void keys_are_closed_to_others_whatever_the_umask(void **state)
{
    struct fixture *fix = *state;
    static const char *const names[] = { "ca.key", "alice.key" };
    mode_t before = umask(0);
    bool done = make_ca(fix) && run(fix, pki_issue, "alice", "operator", 30, false);
    umask(before);
    assert_true(done);
    for (size_t i = 0; i < 2; i++) {
        struct stat status;
        char file[128];
        assert_int_equal(stat(path(fix, names[i], file), &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
    }
}

static void nothing_is_replaced_without_force(void **state)
{
    struct fixture *fix = *state;
    char before[4096];
    char after[4096];
    assert_true(make_ca(fix));
    size_t length = bytes_of(fix, "ca.key", before, sizeof(before));
    assert_false(make_ca(fix));
    assert_non_null(strstr(fix->errors, "--force"));
    assert_int_equal(bytes_of(fix, "ca.key", after, sizeof(after)), length);
    assert_memory_equal(before, after, length);
    assert_true(run(fix, pki_issue, "b", "node", 30, false));
    length = bytes_of(fix, "b.key", before, sizeof(before));
    assert_false(run(fix, pki_issue, "b", "node", 30, false));
    assert_int_equal(bytes_of(fix, "b.key", after, sizeof(after)), length);
    assert_memory_equal(before, after, length);
    assert_true(run(fix, pki_issue, "b", "node", 30, true));
    bytes_of(fix, "b.key", after, sizeof(after));
    assert_memory_not_equal(before, after, length);
}

static void a_certificate_left_alone_keeps_its_key_from_being_made(void **state)
{
    struct fixture *fix = *state;
    char file[128];
    char bytes[64];
    assert_true(make_ca(fix));
    assert_true(run(fix, pki_issue, "b", "node", 30, false));
    unlink(path(fix, "b.key", file));
    assert_false(run(fix, pki_issue, "b", "node", 30, false));
    assert_int_equal(bytes_of(fix, "b.key", bytes, sizeof(bytes)), 0);
}

static void no_half_written_file_is_left(void **state)
{
    struct fixture *fix = *state;
    assert_true(make_ca(fix));
    assert_true(run(fix, pki_issue, "b", "viewer", 30, false));
    assert_true(run(fix, pki_renew, "b", NULL, 60, false));
    DIR *folder = opendir(fix->folder);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        assert_null(strstr(entry->d_name, ".new"));
    closedir(folder);
}

static void a_renewed_certificate_has_the_same_key_and_name_and_later_dates(void **state)
{
    struct fixture *fix = *state;
    mbedtls_x509_crt old;
    mbedtls_x509_crt new;
    char before[4096];
    char after[4096];
    assert_true(make_ca(fix));
    assert_true(run(fix, pki_issue, "alice", "operator", 30, false));
    load(fix, "alice.crt", &old);
    size_t length = bytes_of(fix, "alice.key", before, sizeof(before));
    assert_true(run(fix, pki_renew, "alice", NULL, 800, false));
    load(fix, "alice.crt", &new);
    assert_int_equal(bytes_of(fix, "alice.key", after, sizeof(after)), length);
    assert_memory_equal(before, after, length);
    assert_int_equal(old.subject_raw.len, new.subject_raw.len);
    assert_memory_equal(old.subject_raw.p, new.subject_raw.p, old.subject_raw.len);
    assert_true(new.valid_to.year > old.valid_to.year);
    assert_false(old.serial.len ==
                 new.serial.len &&memcmp(old.serial.p, new.serial.p, old.serial.len) == 0);
    mbedtls_x509_crt_free(&old);
    mbedtls_x509_crt_free(&new);
}

static void no_certificate_outlives_its_ca(void **state)
{
    struct fixture *fix = *state;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt cert;
    assert_true(run(fix, pki_init, "line-3", NULL, 10, false));
    assert_true(run(fix, pki_issue, "b", "node", 3650, false));
    load(fix, "ca.crt", &ca);
    load(fix, "b.crt", &cert);
    assert_memory_equal(&ca.valid_to, &cert.valid_to, sizeof(ca.valid_to));
    mbedtls_x509_crt_free(&ca);
    mbedtls_x509_crt_free(&cert);
}

static void dates_past_2049_are_written_and_read(void **state)
{
    struct fixture *fix = *state;
    mbedtls_x509_crt ca;
    assert_true(run(fix, pki_init, "line-3", NULL, 30000, false));
    load(fix, "ca.crt", &ca);
    assert_true(ca.valid_to.year > 2049);
    mbedtls_x509_crt_free(&ca);
}

static void without_a_ca_nothing_is_issued(void **state)
{
    struct fixture *fix = *state;
    char bytes[64];
    assert_false(run(fix, pki_issue, "b", "node", 30, false));
    assert_non_null(strstr(fix->errors, "ca.crt: cannot read"));
    assert_int_equal(bytes_of(fix, "b.key", bytes, sizeof(bytes)), 0);
}

/* ---- check */

static int check(struct fixture *fix, const char *cert, const char *key, const char *node)
{
    char files[3][128];
    FILE *errors = fmemopen(fix->errors, sizeof(fix->errors), "w");
    int count = certificate_check_files(path(fix, "ca.crt", files[0]), path(fix, cert, files[1]),
                                        path(fix, key, files[2]), node, errors);
    fclose(errors);
    return count;
}

static void check_names_what_is_wrong_with_the_files(void **state)
{
    struct fixture *fix = *state;
    char file[128];
    assert_true(make_ca(fix));
    assert_true(run(fix, pki_issue, "a", "node", 30, false));
    assert_true(run(fix, pki_issue, "b", "viewer", 30, false));
    assert_int_equal(check(fix, "a.crt", "a.key", "a"), 0);
    assert_int_equal(check(fix, "a.crt", "b.key", "a"), 1);
    assert_non_null(strstr(fix->errors, "is not the key of"));
    assert_int_equal(check(fix, "a.crt", "a.key", "c"), 1);
    assert_non_null(strstr(fix->errors, "CN is \"a\", must be \"c\""));
    assert_int_equal(check(fix, "b.crt", "b.key", "b"), 1);
    assert_non_null(strstr(fix->errors, "OU is \"viewer\", must be \"node\""));
    assert_int_equal(check(fix, "a.crt", "none.key", "a"), 1);
    assert_non_null(strstr(fix->errors, "none.key: cannot read"));
    assert_int_equal(check(fix, "a.key", "a.key", "a"), 1);
    assert_non_null(strstr(fix->errors, "is no certificate"));
    chmod(path(fix, "a.key", file), 0644);
    assert_int_equal(check(fix, "a.crt", "a.key", "a"), 1);
    assert_non_null(strstr(fix->errors, "mode 0644"));
    assert_true(run(fix, pki_init, "line-3", NULL, 30, true));
    chmod(file, 0600);
    assert_int_equal(check(fix, "a.crt", "a.key", "a"), 1);
}

/* A key that the group may read is no secret either. */
static void check_wants_keys_closed_to_the_group_as_well(void **state)
{
    struct fixture *fix = *state;
    char file[128];
    assert_true(make_ca(fix));
    assert_true(run(fix, pki_issue, "a", "node", 30, false));
    chmod(path(fix, "a.key", file), 0640);
    assert_int_equal(check(fix, "a.crt", "a.key", "a"), 1);
    assert_non_null(strstr(fix->errors, "mode 0640, must be closed to group and others"));
}

static void a_key_beside_another_ca_issues_nothing(void **state)
{
    struct fixture *fix = *state;
    char file[128];
    char other[128];
    assert_true(make_ca(fix));
    assert_int_equal(rename(path(fix, "ca.key", file), path(fix, "kept", other)), 0);
    assert_true(run(fix, pki_init, "line-3", NULL, 30, true));
    assert_int_equal(rename(other, file), 0);
    assert_false(run(fix, pki_issue, "a", "node", 30, false));
    assert_non_null(strstr(fix->errors, "is not the key of the CA beside it"));
}

/* What it would sign, nobody would take. */
static void an_expired_ca_issues_nothing(void **state)
{
    struct fixture *fix = *state;
    struct pki pki;
    char folder[sizeof(fix->folder)];
    pki_open(&pki);
    pki_make_ca(&pki, "ca", "20200101000000", "20210101000000");
    memcpy(folder, fix->folder, sizeof(folder));
    snprintf(fix->folder, sizeof(fix->folder), "%s", pki.folder);
    bool done = run(fix, pki_issue, "a", "node", 30, false);
    memcpy(fix->folder, folder, sizeof(folder));
    pki_close(&pki);
    assert_false(done);
    assert_non_null(strstr(fix->errors, "ca.crt: the CA has expired"));
}

/* ---- files */

static int refused_write; /* errno of every longer write; 0: none */
static unsigned synced;   /* files, folders not counted */

ssize_t write(int file, const void *bytes, size_t length)
{
    if (refused_write != 0 && length > 100) {
        errno = refused_write;
        return -1;
    }
    return syscall(SYS_write, file, bytes, length);
}

int fsync(int file)
{
    struct stat about;
    synced += fstat(file, &about) == 0 && S_ISREG(about.st_mode);
    return (int)syscall(SYS_fsync, file);
}

static void what_is_written_is_synced_before_it_is_told(void **state)
{
    struct fixture *fix = *state;
    synced = 0;
    assert_true(make_ca(fix));
    assert_int_equal(synced, 2);
}

static unsigned files_in(const struct fixture *fix)
{
    unsigned count = 0;
    DIR *folder = opendir(fix->folder);
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void full_disk_leaves_nothing_behind(void **state)
{
    struct fixture *fix = *state;
    refused_write = ENOSPC;
    bool done = make_ca(fix);
    refused_write = 0;
    assert_false(done);
    assert_non_null(strstr(fix->errors, "No space left on device"));
    assert_int_equal(files_in(fix), 0);
}

/* Whoever else makes it between the look and the act keeps what it made. */
static void file_that_comes_meanwhile_is_not_replaced(void **state)
{
    struct fixture *fix = *state;
    char file[128];
    char bytes[8] = "";
    FILE *there = fopen(path(fix, "there", file), "w");
    assert_non_null(there);
    fputs("theirs", there);
    fclose(there);
    assert_false(pki_file_write(file, "ours", 4, 0600, false));
    assert_int_equal(errno, EEXIST);
    assert_int_equal(bytes_of(fix, "there", bytes, sizeof(bytes) - 1), 6);
    assert_string_equal(bytes, "theirs");
    assert_int_equal(files_in(fix), 1);
    assert_true(pki_file_write(file, "ours", 4, 0600, true));
    assert_int_equal(files_in(fix), 1);
}

static void force_replaces_files_only(void **state)
{
    struct fixture *fix = *state;
    struct stat there;
    char file[128];
    assert_int_equal(mkfifo(path(fix, "ca.key", file), 0600), 0);
    assert_false(run(fix, pki_init, "line-3", NULL, PKI_CA_DAYS, true));
    assert_non_null(strstr(fix->errors, "no regular file"));
    assert_int_equal(lstat(file, &there), 0);
    assert_true(S_ISFIFO(there.st_mode));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_issued_certificate_says_who_and_what_and_verifies),
        TEST(another_ca_of_the_same_name_does_not_verify),
        TEST(keys_are_closed_to_others_whatever_the_umask),
        TEST(nothing_is_replaced_without_force),
        TEST(force_replaces_files_only),
        TEST(a_certificate_left_alone_keeps_its_key_from_being_made),
        TEST(no_half_written_file_is_left),
        TEST(a_renewed_certificate_has_the_same_key_and_name_and_later_dates),
        TEST(no_certificate_outlives_its_ca),
        TEST(dates_past_2049_are_written_and_read),
        TEST(without_a_ca_nothing_is_issued),
        TEST(check_names_what_is_wrong_with_the_files),
        TEST(check_wants_keys_closed_to_the_group_as_well),
        TEST(a_key_beside_another_ca_issues_nothing),
        TEST(an_expired_ca_issues_nothing),
        TEST(what_is_written_is_synced_before_it_is_told),
        TEST(full_disk_leaves_nothing_behind),
        TEST(file_that_comes_meanwhile_is_not_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
