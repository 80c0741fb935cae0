#include "ctl/certificate.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mbedtls/error.h>
#include <mbedtls/oid.h>

/* mbedTLS says only "file I/O error": the system knows more. */
static bool readable(const char *file, char *error)
{
    if (access(file, R_OK) == 0)
        return true;
    snprintf(error, CERTIFICATE_TEXT_MAX, "%.200s: cannot read: %s", file, strerror(errno));
    return false;
}

static bool loaded(int result, const char *file, const char *what, char *error)
{
    char why[100];
    if (result == 0)
        return true;
    mbedtls_strerror(result, why, sizeof(why));
    snprintf(error, CERTIFICATE_TEXT_MAX, "%.200s: is no %s: %s", file, what, why);
    return false;
}

bool certificate_load_crt(mbedtls_x509_crt *crt, const char *file, char *error)
{
    return readable(file, error) &&
           loaded(mbedtls_x509_crt_parse_file(crt, file), file, "certificate", error);
}

bool certificate_load_key(mbedtls_pk_context *key, const char *file, char *error)
{
    return readable(file, error) &&
           loaded(mbedtls_pk_parse_keyfile(key, file, NULL), file, "private key", error);
}

static void read_part(const mbedtls_x509_crt *crt, const char *oid, size_t oid_length, char *out)
{
    const mbedtls_asn1_named_data *part = &crt->subject;
    memset(out, 0, HF_NAME_MAX + 1);
    while (part && (part->oid.len != oid_length || memcmp(part->oid.p, oid, oid_length) != 0))
        part = part->next;
    if (part && part->val.len <= HF_NAME_MAX)
        memcpy(out, part->val.p, part->val.len);
}

void certificate_read_subject(const mbedtls_x509_crt *crt, struct certificate_subject *subject)
{
    read_part(crt, MBEDTLS_OID_AT_CN, MBEDTLS_OID_SIZE(MBEDTLS_OID_AT_CN), subject->common_name);
    read_part(crt, MBEDTLS_OID_AT_ORGANIZATION, MBEDTLS_OID_SIZE(MBEDTLS_OID_AT_ORGANIZATION),
              subject->organization);
    read_part(crt, MBEDTLS_OID_AT_ORG_UNIT, MBEDTLS_OID_SIZE(MBEDTLS_OID_AT_ORG_UNIT),
              subject->unit);
}

static int expect(const char *file, const char *part, const char *is, const char *wanted,
                  FILE *errors)
{
    if (strcmp(is, wanted) == 0)
        return 0;
    fprintf(errors, "%s: %s is \"%s\", must be \"%s\"\n", file, part, is, wanted);
    return 1;
}

static int check_signature(mbedtls_x509_crt *ca, mbedtls_x509_crt *cert, const char *cert_file,
                           FILE *errors)
{
    uint32_t flags = 0;
    char why[400];
    if (mbedtls_x509_crt_verify(cert, ca, NULL, NULL, &flags, NULL, NULL) == 0)
        return 0;
    mbedtls_x509_crt_verify_info(why, sizeof(why), "", flags);
    for (char *c = why; *c != '\0'; c++) {
        if (*c == '\n')
            *c = c[1] == '\0' ? '\0' : ';';
    }
    fprintf(errors, "%s: %s\n", cert_file, why);
    return 1;
}

static int check_key(const mbedtls_x509_crt *cert, const mbedtls_pk_context *key,
                     const char *cert_file, const char *key_file, FILE *errors)
{
    struct stat status;
    int count = 0;
    if (mbedtls_pk_check_pair(&cert->pk, key) != 0) {
        fprintf(errors, "%s: is not the key of %s\n", key_file, cert_file);
        count++;
    }
    if (stat(key_file, &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        fprintf(errors, "%s: mode %04o, must be closed to group and others (0600)\n", key_file,
                (unsigned)status.st_mode & 07777u);
        count++;
    }
    return count;
}

struct files {
    mbedtls_x509_crt ca;
    mbedtls_x509_crt cert;
    mbedtls_pk_context key;
};

static int load_all(struct files *files, const char *ca_file, const char *cert_file,
                    const char *key_file, FILE *errors)
{
    char error[CERTIFICATE_TEXT_MAX];
    int count = 0;
    if (!certificate_load_crt(&files->ca, ca_file, error)) {
        fprintf(errors, "%s\n", error);
        count++;
    }
    if (!certificate_load_crt(&files->cert, cert_file, error)) {
        fprintf(errors, "%s\n", error);
        count++;
    }
    if (!certificate_load_key(&files->key, key_file, error)) {
        fprintf(errors, "%s\n", error);
        count++;
    }
    return count;
}

int certificate_check_files(const char *ca_file, const char *cert_file, const char *key_file,
                            const char *node, FILE *errors)
{
    struct files files;
    mbedtls_x509_crt_init(&files.ca);
    mbedtls_x509_crt_init(&files.cert);
    mbedtls_pk_init(&files.key);
    int count = load_all(&files, ca_file, cert_file, key_file, errors);
    if (count == 0) {
        struct certificate_subject subject;
        certificate_read_subject(&files.cert, &subject);
        count += check_signature(&files.ca, &files.cert, cert_file, errors);
        count += check_key(&files.cert, &files.key, cert_file, key_file, errors);
        count += expect(cert_file, "CN", subject.common_name, node, errors);
        count += expect(cert_file, "OU", subject.unit, "node", errors);
    }
    mbedtls_pk_free(&files.key);
    mbedtls_x509_crt_free(&files.cert);
    mbedtls_x509_crt_free(&files.ca);
    return count;
}
