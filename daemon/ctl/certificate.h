/*
 * Certificates and keys as files: loading, reading a subject, checking a node's three files.
 *
 * Owner: the caller; the mbedTLS objects are initialised by it and freed by it.
 */
#ifndef HOLDFAST_CTL_CERTIFICATE_H
#define HOLDFAST_CTL_CERTIFICATE_H

#include <stdbool.h>
#include <stdio.h>

#include <mbedtls/x509_crt.h>

#include "base/limits.h"

enum { CERTIFICATE_TEXT_MAX = 400 };

/* Parts of a subject; one that is missing or too long is empty. */
struct certificate_subject {
    char common_name[HF_NAME_MAX + 1];  /* CN: node id, or who it is */
    char organization[HF_NAME_MAX + 1]; /* O: cluster */
    char unit[HF_NAME_MAX + 1];         /* OU: role */
};

/* Both return false with "FILE: what is wrong" in `error` (CERTIFICATE_TEXT_MAX bytes). */
bool certificate_load_crt(mbedtls_x509_crt *crt, const char *file, char *error);
bool certificate_load_key(mbedtls_pk_context *key, const char *file, char *error);

void certificate_read_subject(const mbedtls_x509_crt *crt, struct certificate_subject *subject);

/*
 * Checks the files of one node: readable, the key is the certificate's and closed to others, the CA
 * signed it, its dates hold, CN is `node`, OU is "node". Writes one line per error to `errors`,
 * returns their number.
 */
int certificate_check_files(const char *ca_file, const char *cert_file, const char *key_file,
                            const char *node, FILE *errors);

#endif
