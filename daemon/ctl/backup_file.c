#include "ctl/backup_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backup/backup.h"
#include "ctl/pki_file.h"
#include "ctl/printable.h"

bool ctl_backup_parse(const struct ctl_options *options, struct ctl_backup *what)
{
    *what = (struct ctl_backup){ .json = options->json };
    for (int i = 1; i < options->word_count; i++) {
        const char *word = options->words[i];
        if (strcmp(word, "--verify") == 0)
            what->verify = true;
        else if (strcmp(word, "--force") == 0)
            what->force = true;
        else if (what->file || word[0] == '-')
            return false;
        else
            what->file = word;
    }
    return what->file != NULL && !(what->verify && what->force);
}

static void print_json(const struct backup *backup, const struct lease_table *table, FILE *out)
{
    char time[BACKUP_TIME_MAX];
    backup_time(backup->wall_us, time);
    fprintf(out,
            "{\"ok\":true,\"cluster\":\"%s\",\"node\":\"%s\",\"index\":%" PRIu64
            ",\"term\":%" PRIu64 ",\"time\":\"%s\",\"members\":[",
            backup->cluster.text, backup->node.text, backup->index, backup->term, time);
    for (uint8_t i = 0; i < backup->members.count; i++)
        fprintf(out, "%s\"%s\"", i > 0 ? "," : "", backup->members.member[i].id.text);
    fprintf(out, "],\"resources\":%" PRIu32 ",\"history\":%" PRIu64 "}\n", table->count,
            table->history_total);
}

static void print_text(const struct backup *backup, const struct lease_table *table,
                       const char *file, FILE *out)
{
    char time[BACKUP_TIME_MAX];
    backup_time(backup->wall_us, time);
    fprintf(out,
            "%s: good; cluster %s, entry %" PRIu64 " of term %" PRIu64 ", %" PRIu32
            " resources, %u issuers, written by %s at %s\n",
            file, backup->cluster.text, backup->index, backup->term, table->count,
            backup->members.count, backup->node.text, time);
}

/* The reason may quote the text, which came from the network. */
static void tell_bad(const struct ctl_backup *what, const char *error, FILE *errors)
{
    fprintf(errors, "holdfastctl: %s: ", what->file);
    printable_puts(error, errors);
    fputs("\n", errors);
}

/* Checks the text and says what is in it, or what is wrong with it. */
static bool examine(const struct ctl_backup *what, const char *text, size_t length, FILE *out,
                    FILE *errors)
{
    struct backup backup;
    char error[BACKUP_ERROR_MAX] = "out of memory";
    struct lease_table *table = malloc(sizeof(*table));
    size_t capacity = lease_table_encoded_max();
    uint8_t *bytes = malloc(capacity);
    bool good = table && bytes &&
                backup_read(&backup, (struct bytes){ (const uint8_t *)text, length }, bytes,
                            capacity, table, error);
    if (!good)
        tell_bad(what, error, errors);
    else if (out && what->json)
        print_json(&backup, table, out);
    else if (out)
        print_text(&backup, table, what->file, out);
    free(table);
    free(bytes);
    return good;
}

enum ctl_exit ctl_backup_verify(const struct ctl_backup *what, FILE *out, FILE *errors)
{
    size_t capacity = backup_text_max(lease_table_encoded_max());
    char *text = malloc(capacity);
    FILE *file = text ? fopen(what->file, "rb") : NULL;
    size_t length = file ? fread(text, 1, capacity, file) : 0;
    bool read = file && !ferror(file);
    if (!read)
        fprintf(errors, "holdfastctl: %s: cannot read: %s\n", what->file, strerror(errno));
    if (file)
        fclose(file);
    bool good = read && examine(what, text, length, out, errors);
    free(text);
    return good ? CTL_EXIT_OK : CTL_EXIT_REFUSED;
}

enum ctl_exit ctl_backup_store(const struct ctl_backup *what, const char *text, size_t length,
                               FILE *out, FILE *errors)
{
    if (!examine(what, text, length, NULL, errors))
        return CTL_EXIT_REFUSED;
    if (!pki_file_write(what->file, text, length, 0600, what->force)) {
        fprintf(errors, "holdfastctl: %s: %s\n", what->file,
                errno != EEXIST ? strerror(errno) :
                what->force     ? "is no regular file, only such a one is replaced" :
                                  "is there already, --force replaces it");
        return CTL_EXIT_REFUSED;
    }
    return examine(what, text, length, out, errors) ? CTL_EXIT_OK : CTL_EXIT_REFUSED;
}
