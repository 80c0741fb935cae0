#include "ctl/pki.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <mbedtls/asn1write.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/oid.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/x509_crt.h>

#include "base/name.h"
#include "ctl/certificate.h"
#include "ctl/pki_file.h"

enum { PEM_MAX = 4096, SERIAL_BYTES = 16, SUBJECT_MAX = 160, DAY_SECONDS = 24 * 60 * 60 };

/* Nothing was made before 2020: a clock that shows less was never set. */
static const time_t clock_unset_before = 1577836800;

static const char *const roles[] = { "node", "viewer", "operator" };

struct pki {
    const struct pki_request *request;
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
    mbedtls_pk_context ca_key;
    mbedtls_pk_context key;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt old;
};

bool pki_role_known(const char *role)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(roles[i], role) == 0)
            return true;
    }
    return false;
}

/* ---- errors and files */

static bool fail(const struct pki *pki, const char *what, int error)
{
    char why[128];
    mbedtls_strerror(error, why, sizeof(why));
    fprintf(pki->request->errors, "holdfastctl: %s: %s\n", what, why);
    return false;
}

static void path_of(const struct pki *pki, const char *name, const char *ending, char *out)
{
    snprintf(out, PATH_MAX, "%s/%s.%s", pki->request->folder, name, ending);
}

static bool save(const struct pki *pki, const char *name, const char *ending, const char *pem,
                 bool force)
{
    char file[PATH_MAX];
    mode_t mode = strcmp(ending, "key") == 0 ? 0600 : 0644;
    path_of(pki, name, ending, file);
    if (pki_file_write(file, pem, strlen(pem), mode, force)) {
        fprintf(pki->request->out, "%s\n", file);
        return true;
    }
    fprintf(pki->request->errors, "holdfastctl: %s: %s%s\n", file, strerror(errno),
            errno != EEXIST ? "" :
            force           ? "; it is no regular file, and is kept" :
                              "; it is kept, --force replaces it");
    return false;
}

/* Neither file of the pair may be there, so that a refusal comes before anything is made. */
static bool nothing_there(const struct pki *pki, const char *name)
{
    const char *const endings[] = { "key", "crt" };
    char file[PATH_MAX];
    for (size_t i = 0; i < 2 && !pki->request->force; i++) {
        path_of(pki, name, endings[i], file);
        if (access(file, F_OK) == 0) {
            fprintf(pki->request->errors,
                    "holdfastctl: %s: is there already; it is kept, --force replaces it\n", file);
            return false;
        }
    }
    return true;
}

/* ---- certificates */

static bool write_dates(const struct pki *pki, time_t end_limit, mbedtls_x509write_cert *cert)
{
    char text[2][16];
    time_t now = time(NULL);
    time_t end = now + (time_t)pki->request->days * DAY_SECONDS;
    time_t dates[2] = { now - DAY_SECONDS, end_limit > 0 && end > end_limit ? end_limit : end };
    for (int i = 0; i < 2; i++) {
        struct tm parts;
        if (!gmtime_r(&dates[i], &parts) ||
            strftime(text[i], sizeof(text[i]), "%Y%m%d%H%M%S", &parts) != 14)
            return fail(pki, "dates", MBEDTLS_ERR_X509_INVALID_DATE);
    }
    int error = mbedtls_x509write_crt_set_validity(cert, text[0], text[1]);
    return error == 0 || fail(pki, "dates", error);
}

static bool write_serial(struct pki *pki, mbedtls_x509write_cert *cert)
{
    unsigned char bytes[SERIAL_BYTES];
    mbedtls_mpi serial;
    mbedtls_mpi_init(&serial);
    int error = mbedtls_ctr_drbg_random(&pki->random, bytes, sizeof(bytes));
    /* Positive, and as long as every other: neither zero nor a sign bit in front. */
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
    if (error == 0)
        error = mbedtls_mpi_read_binary(&serial, bytes, sizeof(bytes));
    if (error == 0)
        error = mbedtls_x509write_crt_set_serial(cert, &serial);
    mbedtls_mpi_free(&serial);
    return error == 0 || fail(pki, "serial number", error);
}

/* SEQUENCE { serverAuth, clientAuth }: nodes are both to each other. Written from its end. */
static int write_key_purposes(mbedtls_x509write_cert *cert)
{
    unsigned char buffer[64];
    unsigned char *at = buffer + sizeof(buffer);
    int length = 0;
    /* cppcheck-suppress unusedVariable ; MBEDTLS_ASN1_CHK_ADD's own */
    int ret;
    MBEDTLS_ASN1_CHK_ADD(length, mbedtls_asn1_write_oid(&at, buffer, MBEDTLS_OID_CLIENT_AUTH,
                                                        MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH)));
    MBEDTLS_ASN1_CHK_ADD(length, mbedtls_asn1_write_oid(&at, buffer, MBEDTLS_OID_SERVER_AUTH,
                                                        MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)));
    MBEDTLS_ASN1_CHK_ADD(length, mbedtls_asn1_write_len(&at, buffer, (size_t)length));
    MBEDTLS_ASN1_CHK_ADD(
        length,
        mbedtls_asn1_write_tag(&at, buffer, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE));
    return mbedtls_x509write_crt_set_extension(cert, MBEDTLS_OID_EXTENDED_KEY_USAGE,
                                               MBEDTLS_OID_SIZE(MBEDTLS_OID_EXTENDED_KEY_USAGE), 0,
                                               at, (size_t)length);
}

/* SEQUENCE { [2] dNSName }, for tools that look nowhere else. */
static int write_alternative_name(mbedtls_x509write_cert *cert, const char *name)
{
    unsigned char buffer[HF_NAME_MAX + 16];
    unsigned char *at = buffer + sizeof(buffer);
    int length = 0;
    /* cppcheck-suppress unusedVariable ; MBEDTLS_ASN1_CHK_ADD's own */
    int ret;
    MBEDTLS_ASN1_CHK_ADD(length, mbedtls_asn1_write_raw_buffer(
                                     &at, buffer, (const unsigned char *)name, strlen(name)));
    MBEDTLS_ASN1_CHK_ADD(length, mbedtls_asn1_write_len(&at, buffer, strlen(name)));
    MBEDTLS_ASN1_CHK_ADD(length,
                         mbedtls_asn1_write_tag(&at, buffer, MBEDTLS_ASN1_CONTEXT_SPECIFIC | 2));
    MBEDTLS_ASN1_CHK_ADD(length, mbedtls_asn1_write_len(&at, buffer, (size_t)length));
    MBEDTLS_ASN1_CHK_ADD(
        length,
        mbedtls_asn1_write_tag(&at, buffer, MBEDTLS_ASN1_CONSTRUCTED | MBEDTLS_ASN1_SEQUENCE));
    return mbedtls_x509write_crt_set_extension(cert, MBEDTLS_OID_SUBJECT_ALT_NAME,
                                               MBEDTLS_OID_SIZE(MBEDTLS_OID_SUBJECT_ALT_NAME), 0,
                                               at, (size_t)length);
}

/* What a certificate says besides its keys, dates and serial number. */
struct content {
    const char *subject;
    const char *issuer;
    const char *node; /* NULL: it is the CA's */
    time_t end_limit; /* 0: none */
};

static bool write_extensions(struct pki *pki, const struct content *content,
                             mbedtls_x509write_cert *cert)
{
    bool ca = content->node == NULL;
    unsigned usage = ca ? MBEDTLS_X509_KU_KEY_CERT_SIGN | MBEDTLS_X509_KU_CRL_SIGN :
                          MBEDTLS_X509_KU_DIGITAL_SIGNATURE;
    int error = mbedtls_x509write_crt_set_basic_constraints(cert, ca ? 1 : 0, ca ? 0 : -1);
    if (error == 0)
        error = mbedtls_x509write_crt_set_key_usage(cert, usage);
    if (error == 0)
        error = mbedtls_x509write_crt_set_subject_key_identifier(cert);
    if (error == 0)
        error = mbedtls_x509write_crt_set_authority_key_identifier(cert);
    if (error == 0 && !ca)
        error = write_key_purposes(cert);
    if (error == 0 && !ca)
        error = write_alternative_name(cert, content->node);
    return error == 0 || fail(pki, "extensions", error);
}

static bool fill(struct pki *pki, const struct content *content, mbedtls_x509write_cert *cert)
{
    bool ca = content->node == NULL;
    mbedtls_x509write_crt_set_version(cert, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(cert, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(cert, ca ? &pki->ca_key : &pki->key);
    mbedtls_x509write_crt_set_issuer_key(cert, &pki->ca_key);
    int error = mbedtls_x509write_crt_set_subject_name(cert, content->subject);
    if (error == 0)
        error = mbedtls_x509write_crt_set_issuer_name(cert, content->issuer);
    if (error != 0)
        return fail(pki, content->subject, error);
    return write_serial(pki, cert) && write_dates(pki, content->end_limit, cert) &&
           write_extensions(pki, content, cert);
}

static bool make_certificate(struct pki *pki, const struct content *content, char *pem)
{
    mbedtls_x509write_cert cert;
    mbedtls_x509write_crt_init(&cert);
    bool done = fill(pki, content, &cert);
    if (done) {
        int error = mbedtls_x509write_crt_pem(&cert, (unsigned char *)pem, PEM_MAX,
                                              mbedtls_ctr_drbg_random, &pki->random);
        done = error == 0 || fail(pki, "signing", error);
    }
    mbedtls_x509write_crt_free(&cert);
    return done;
}

/* ---- keys */

static bool make_key(struct pki *pki, mbedtls_pk_context *key)
{
    int error = mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));
    if (error == 0)
        error = mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key),
                                    mbedtls_ctr_drbg_random, &pki->random);
    return error == 0 || fail(pki, "making a key", error);
}

static bool save_key(struct pki *pki, const char *name, mbedtls_pk_context *key)
{
    char pem[PEM_MAX];
    int error = mbedtls_pk_write_key_pem(key, (unsigned char *)pem, sizeof(pem));
    bool done = error == 0 ? save(pki, name, "key", pem, pki->request->force) :
                             fail(pki, "writing a key", error);
    mbedtls_platform_zeroize(pem, sizeof(pem));
    return done;
}

static time_t time_of(const mbedtls_x509_time *date)
{
    struct tm parts = { .tm_year = date->year - 1900,
                        .tm_mon = date->mon - 1,
                        .tm_mday = date->day,
                        .tm_hour = date->hour,
                        .tm_min = date->min,
                        .tm_sec = date->sec };
    return timegm(&parts);
}

static bool load_ca(struct pki *pki)
{
    char file[PATH_MAX];
    char error[CERTIFICATE_TEXT_MAX];
    path_of(pki, "ca", "crt", file);
    bool done = certificate_load_crt(&pki->ca, file, error);
    path_of(pki, "ca", "key", file);
    done = done && certificate_load_key(&pki->ca_key, file, error);
    if (done && mbedtls_pk_check_pair(&pki->ca.pk, &pki->ca_key) != 0) {
        snprintf(error, sizeof(error), "%.200s: is not the key of the CA beside it", file);
        done = false;
    }
    if (done && mbedtls_x509_time_is_past(&pki->ca.valid_to)) {
        snprintf(error, sizeof(error), "%.200s/ca.crt: the CA has expired", pki->request->folder);
        done = false;
    }
    if (!done)
        fprintf(pki->request->errors, "holdfastctl: %s\n", error);
    return done;
}

static bool issue_certificate(struct pki *pki, const char *name, const char *role, bool force)
{
    char subject[SUBJECT_MAX];
    char issuer[SUBJECT_MAX];
    char pem[PEM_MAX];
    struct certificate_subject ca;
    certificate_read_subject(&pki->ca, &ca);
    if (ca.organization[0] == '\0') {
        fprintf(pki->request->errors,
                "holdfastctl: %s/ca.crt: no cluster name (O) in it, must be "
                "made by pki init\n",
                pki->request->folder);
        return false;
    }
    snprintf(issuer, sizeof(issuer), "CN=%s CA,O=%s", ca.organization, ca.organization);
    snprintf(subject, sizeof(subject), "CN=%s,O=%s,OU=%s", name, ca.organization, role);
    const struct content content = {
        .subject = subject, .issuer = issuer, .node = name, .end_limit = time_of(&pki->ca.valid_to)
    };
    return make_certificate(pki, &content, pem) && save(pki, name, "crt", pem, force);
}

/* ---- the three commands */

static bool run_init(struct pki *pki)
{
    const char *cluster = pki->request->name;
    char subject[SUBJECT_MAX];
    char pem[PEM_MAX];
    snprintf(subject, sizeof(subject), "CN=%s CA,O=%s", cluster, cluster);
    const struct content content = { .subject = subject, .issuer = subject };
    if (mkdir(pki->request->folder, 0700) != 0 && errno != EEXIST) {
        fprintf(pki->request->errors, "holdfastctl: %s: %s\n", pki->request->folder,
                strerror(errno));
        return false;
    }
    return nothing_there(pki, "ca") && make_key(pki, &pki->ca_key) &&
           make_certificate(pki, &content, pem) && save_key(pki, "ca", &pki->ca_key) &&
           save(pki, "ca", "crt", pem, pki->request->force);
}

static bool run_issue(struct pki *pki)
{
    const struct pki_request *request = pki->request;
    return nothing_there(pki, request->name) && load_ca(pki) && make_key(pki, &pki->key) &&
           save_key(pki, request->name, &pki->key) &&
           issue_certificate(pki, request->name, request->role, request->force);
}

static bool run_renew(struct pki *pki)
{
    const struct pki_request *request = pki->request;
    struct certificate_subject subject;
    char file[PATH_MAX];
    char error[CERTIFICATE_TEXT_MAX];
    path_of(pki, request->name, "crt", file);
    bool done = certificate_load_crt(&pki->old, file, error);
    path_of(pki, request->name, "key", file);
    done = done && certificate_load_key(&pki->key, file, error);
    if (done) {
        certificate_read_subject(&pki->old, &subject);
        if (mbedtls_pk_check_pair(&pki->old.pk, &pki->key) == 0 && pki_role_known(subject.unit) &&
            strcmp(subject.common_name, request->name) == 0)
            return load_ca(pki) && issue_certificate(pki, request->name, subject.unit, true);
        snprintf(error, sizeof(error),
                 "%.200s: key, name and role do not fit the certificate "
                 "beside it; issue a new one",
                 file);
    }
    fprintf(request->errors, "holdfastctl: %s\n", error);
    return false;
}

static bool with_pki(const struct pki_request *request, bool (*run)(struct pki *pki))
{
    struct pki pki = { .request = request };
    if (time(NULL) < clock_unset_before) {
        fprintf(request->errors, "holdfastctl: this machine's clock shows a time before 2020, must "
                                 "be set before certificates are made\n");
        return false;
    }
    mbedtls_entropy_init(&pki.entropy);
    mbedtls_ctr_drbg_init(&pki.random);
    mbedtls_pk_init(&pki.ca_key);
    mbedtls_pk_init(&pki.key);
    mbedtls_x509_crt_init(&pki.ca);
    mbedtls_x509_crt_init(&pki.old);
    int error = mbedtls_ctr_drbg_seed(&pki.random, mbedtls_entropy_func, &pki.entropy, NULL, 0);
    bool done = error == 0 ? run(&pki) : fail(&pki, "random numbers", error);
    mbedtls_x509_crt_free(&pki.old);
    mbedtls_x509_crt_free(&pki.ca);
    mbedtls_pk_free(&pki.key);
    mbedtls_pk_free(&pki.ca_key);
    mbedtls_ctr_drbg_free(&pki.random);
    mbedtls_entropy_free(&pki.entropy);
    return done;
}

bool pki_init(const struct pki_request *request)
{
    return with_pki(request, run_init);
}

bool pki_issue(const struct pki_request *request)
{
    return with_pki(request, run_issue);
}

bool pki_renew(const struct pki_request *request)
{
    return with_pki(request, run_renew);
}
