/*
 * Certificates made on the spot, in a directory of their own.
 */
#ifndef HOLDFAST_TESTS_PEER_PKI_H
#define HOLDFAST_TESTS_PEER_PKI_H

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/ecp.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer/tls.h"
#include "tests/unit/support/folder.h"

#define PKI_FROM "20200101000000"
#define PKI_TO   "20491231235959"

struct pki {
    char folder[64];
    mbedtls_entropy_context entropy;
    mbedtls_ctr_drbg_context random;
};

static inline const char *pki_path(const struct pki *pki, const char *name, const char *ending)
{
    static char paths[8][128];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s.%s", pki->folder, name, ending);
    return path;
}

static inline void pki_write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static inline void pki_make_key(struct pki *pki, const char *name, mbedtls_pk_context *key)
{
    char text[2048];
    mbedtls_pk_init(key);
    assert_int_equal(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)), 0);
    assert_int_equal(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key),
                                         mbedtls_ctr_drbg_random, &pki->random),
                     0);
    assert_int_equal(mbedtls_pk_write_key_pem(key, (unsigned char *)text, sizeof(text)), 0);
    pki_write_text(pki_path(pki, name, "key"), text);
}

/* Writes NAME.key and NAME.crt, signed by `ca` (the name of an earlier call, or NAME itself). */
static inline void pki_issue(struct pki *pki, const char *ca, const char *name, const char *subject,
                             const char *from, const char *to)
{
    static unsigned serial_next = 1;
    char text[4096];
    bool is_ca = strcmp(ca, name) == 0;
    mbedtls_pk_context key;
    mbedtls_pk_context ca_key;
    mbedtls_mpi serial;
    mbedtls_x509write_cert writer;
    pki_make_key(pki, name, &key);
    mbedtls_pk_init(&ca_key);
    assert_int_equal(mbedtls_pk_parse_keyfile(&ca_key, pki_path(pki, ca, "key"), NULL), 0);
    mbedtls_mpi_init(&serial);
    assert_int_equal(mbedtls_mpi_lset(&serial, (int)serial_next++), 0);
    mbedtls_x509write_crt_init(&writer);
    mbedtls_x509write_crt_set_md_alg(&writer, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_version(&writer, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_subject_key(&writer, &key);
    mbedtls_x509write_crt_set_issuer_key(&writer, &ca_key);
    assert_int_equal(mbedtls_x509write_crt_set_serial(&writer, &serial), 0);
    assert_int_equal(mbedtls_x509write_crt_set_subject_name(&writer, subject), 0);
    /* All CAs have one name, so that only the signature tells them apart. */
    assert_int_equal(mbedtls_x509write_crt_set_issuer_name(&writer, "CN=ca,O=test"), 0);
    assert_int_equal(mbedtls_x509write_crt_set_validity(&writer, from, to), 0);
    assert_int_equal(mbedtls_x509write_crt_set_basic_constraints(&writer, is_ca, -1), 0);
    assert_int_equal(mbedtls_x509write_crt_pem(&writer, (unsigned char *)text, sizeof(text),
                                               mbedtls_ctr_drbg_random, &pki->random),
                     0);
    pki_write_text(pki_path(pki, name, "crt"), text);
    mbedtls_x509write_crt_free(&writer);
    mbedtls_mpi_free(&serial);
    mbedtls_pk_free(&ca_key);
    mbedtls_pk_free(&key);
}

/* `name`: the certificate and key of `first`, and the certificate of `second` behind it. */
static inline void pki_chain(const struct pki *pki, const char *name, const char *first,
                             const char *second)
{
    static char text[16384];
    size_t length = 0;
    const char *const paths[] = { pki_path(pki, first, "crt"), pki_path(pki, second, "crt"),
                                  pki_path(pki, first, "key") };
    for (int i = 0; i < 3; i++) {
        FILE *file = fopen(paths[i], "r");
        assert_non_null(file);
        length += fread(text + length, 1, sizeof(text) - 1 - length, file);
        fclose(file);
        text[length] = '\0';
        if (i > 0) {
            pki_write_text(pki_path(pki, name, i == 1 ? "crt" : "key"), text);
            length = 0;
        }
    }
}

static inline void pki_make_ca(struct pki *pki, const char *name, const char *from, const char *to)
{
    pki_issue(pki, name, name, "CN=ca,O=test", from, to);
}

static inline void pki_open(struct pki *pki)
{
    snprintf(pki->folder, sizeof(pki->folder), "/tmp/hf-pki-XXXXXX");
    assert_non_null(mkdtemp(pki->folder));
    signal(SIGPIPE, SIG_IGN);
    mbedtls_entropy_init(&pki->entropy);
    mbedtls_ctr_drbg_init(&pki->random);
    assert_int_equal(
        mbedtls_ctr_drbg_seed(&pki->random, mbedtls_entropy_func, &pki->entropy, NULL, 0), 0);
    pki_make_ca(pki, "ca", PKI_FROM, PKI_TO);
}

static inline void pki_close(struct pki *pki)
{
    folder_remove(pki->folder);
    mbedtls_ctr_drbg_free(&pki->random);
    mbedtls_entropy_free(&pki->entropy);
}

static inline struct tls_identity *pki_load(const struct pki *pki, const char *ca, const char *name)
{
    char error[TLS_TEXT_MAX] = "";
    struct tls_identity *identity =
        tls_identity_load(pki_path(pki, ca, "crt"), pki_path(pki, name, "crt"),
                          pki_path(pki, name, "key"), error, sizeof(error));
    if (identity == NULL)
        fail_msg("%s", error);
    return identity;
}

#endif
