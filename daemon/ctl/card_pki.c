#include "ctl/card_pki.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mbedtls/x509_crt.h>

#include "ctl/certificate.h"
#include "ctl/pki.h"

void card_pki_path(const struct card_pki *pki, const char *name, const char *ending, char *out)
{
    int length = snprintf(out, PATH_MAX, "%s/%s.%s", pki->folder, name, ending);
    if (length < 0 || length >= PATH_MAX)
        out[0] = '\0'; /* and is not there */
}

bool card_pki_has(const struct card_pki *pki, const char *board)
{
    char file[PATH_MAX];
    card_pki_path(pki, board, "crt", file);
    return access(file, F_OK) == 0;
}

void card_pki_find(struct card_pki *pki, const char *beside, const char *cluster, const char *board,
                   FILE *errors)
{
    *pki = (struct card_pki){ .cluster = cluster, .board = board, .errors = errors };
    bool here = strcmp(beside, ".") == 0;
    int length = snprintf(pki->folder, sizeof(pki->folder), "%s%s%s.pki", here ? "" : beside,
                          here ? "" : "/", cluster);
    if (length < 0 || (size_t)length >= sizeof(pki->folder))
        pki->folder[0] = '\0';
    pki->begins = !card_pki_has(pki, "ca");
    pki->made_before = card_pki_has(pki, board);
}

/* ---- what is there */

static bool is_empty(const char *path)
{
    bool empty = true;
    DIR *folder = opendir(path);
    for (struct dirent *entry = folder ? readdir(folder) : NULL; entry; entry = readdir(folder))
        empty = empty && entry->d_name[0] == '.';
    if (folder)
        closedir(folder);
    return empty;
}

/* Closed to others; and without a CA only if it has nothing else: else that was lost. */
static bool check_folder(const struct card_pki *pki)
{
    struct stat there;
    if (stat(pki->folder, &there) != 0) {
        if (errno == ENOENT && pki->folder[0] != '\0')
            return true;
        fprintf(pki->errors, "holdfastctl: %s: %s\n", pki->folder, strerror(errno));
    } else if (!S_ISDIR(there.st_mode)) {
        fprintf(pki->errors, "holdfastctl: %s: is no folder, must be that of the certificates\n",
                pki->folder);
    } else if ((there.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        fprintf(pki->errors,
                "holdfastctl: %s: mode %04o, must be closed to group and others (0700): it has "
                "keys\n",
                pki->folder, (unsigned)there.st_mode & 07777u);
    } else if (pki->begins && !is_empty(pki->folder)) {
        fprintf(pki->errors,
                "holdfastctl: %s: has files, but no ca.crt, must have the CA that they are of: put "
                "it back; if no card was ever made from it, remove the folder\n",
                pki->folder);
    } else {
        return true;
    }
    return false;
}

static bool check_ca(const struct card_pki *pki)
{
    char file[PATH_MAX];
    char error[CERTIFICATE_TEXT_MAX];
    struct certificate_subject subject;
    mbedtls_x509_crt ca;
    mbedtls_x509_crt_init(&ca);
    card_pki_path(pki, "ca", "crt", file);
    bool good = certificate_load_crt(&ca, file, error);
    if (good) {
        certificate_read_subject(&ca, &subject);
        good = strcmp(subject.organization, pki->cluster) == 0;
        snprintf(error, sizeof(error),
                 "%.200s: is the CA of cluster \"%s\", must be that of \"%s\"", file,
                 subject.organization, pki->cluster);
    }
    mbedtls_x509_crt_free(&ca);
    if (!good)
        fprintf(pki->errors, "holdfastctl: %s\n", error);
    return good;
}

/* True if it can be read, and its time is over. */
static bool has_expired(const char *file)
{
    char error[CERTIFICATE_TEXT_MAX];
    mbedtls_x509_crt crt;
    mbedtls_x509_crt_init(&crt);
    bool expired =
        certificate_load_crt(&crt, file, error) && mbedtls_x509_time_is_past(&crt.valid_to);
    mbedtls_x509_crt_free(&crt);
    return expired;
}

static bool check_board(const struct card_pki *pki)
{
    char files[3][PATH_MAX];
    card_pki_path(pki, "ca", "crt", files[0]);
    card_pki_path(pki, pki->board, "crt", files[1]);
    card_pki_path(pki, pki->board, "key", files[2]);
    return certificate_check_files(files[0], files[1], files[2], pki->board, pki->errors) == 0;
}

bool card_pki_decide(struct card_pki *pki, bool anew)
{
    char file[PATH_MAX];
    if (!check_folder(pki) || (!pki->begins && !check_ca(pki)))
        return false;
    card_pki_path(pki, pki->board, "crt", file);
    pki->act = anew || !pki->made_before ? CARD_PKI_MAKE :
               has_expired(file)         ? CARD_PKI_RENEW :
                                           CARD_PKI_KEEP;
    if (pki->act != CARD_PKI_KEEP || check_board(pki))
        return true;
    fprintf(pki->errors,
            "holdfastctl: %s: what is there of %s cannot be used; --replace makes a new key and "
            "certificate\n",
            pki->folder, pki->board);
    return false;
}

/* ---- what is made */

bool card_pki_act(struct card_pki *pki)
{
    FILE *quiet = fopen("/dev/null", "we");
    if (!quiet) {
        fprintf(pki->errors, "holdfastctl: /dev/null: %s\n", strerror(errno));
        return false;
    }
    struct pki_request request = { .folder = pki->folder,
                                   .name = pki->cluster,
                                   .days = PKI_CA_DAYS,
                                   .out = quiet,
                                   .errors = pki->errors };
    bool done = !pki->begins || pki_init(&request);
    request.name = pki->board;
    request.role = "node";
    request.days = PKI_NODE_DAYS;
    request.force = true; /* over a key without its certificate, or what is to be replaced */
    if (done && pki->act == CARD_PKI_MAKE)
        done = pki_issue(&request);
    else if (done && pki->act == CARD_PKI_RENEW)
        done = pki_renew(&request);
    fclose(quiet);
    return done && check_board(pki);
}

void card_pki_take_back(const struct card_pki *pki)
{
    char file[PATH_MAX];
    if (pki->act != CARD_PKI_MAKE || pki->made_before)
        return;
    card_pki_path(pki, pki->board, "crt", file);
    unlink(file);
    card_pki_path(pki, pki->board, "key", file);
    unlink(file);
}
