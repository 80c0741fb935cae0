#include "backup/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/backup.h"
#include "backup/making.h"
#include "lease/replica.h"

enum { DAY_S = 86400 };

/* Large: one of them, in one process that does nothing else. */
struct work {
    const struct restore *request;
    struct backup backup;
    struct lease_table table;
    uint8_t state[REPLICA_SNAPSHOT_MAX]; /* the restored table's bytes */
    size_t state_length;
    char digest[65];
    uint64_t index;    /* and term, of the restored snapshot; the term to begin with is the next */
    bool has_journal;  /* something is there */
    uint64_t known;    /* highest index or term that anything here shows */
    char shown_by[64]; /* what shows it */
    struct making making;
};

#define TELL(work, ...) fprintf((work)->request->out, __VA_ARGS__)
/* Behind what was said to `out`, also where both are one pipe. */
#define REFUSE(work, ...)                                                                          \
    (fflush((work)->request->out), fprintf((work)->request->errors, "restore: " __VA_ARGS__), false)

/* ---- the backup */

static bool read_file(struct work *work, char **text, size_t *length)
{
    size_t capacity = backup_text_max(REPLICA_SNAPSHOT_MAX);
    FILE *file = fopen(work->request->file, "rb");
    if (file == NULL)
        return REFUSE(work, "%s: cannot open: %s\n", work->request->file, strerror(errno));
    *text = malloc(capacity);
    *length = *text != NULL ? fread(*text, 1, capacity, file) : 0;
    bool good = *text != NULL && !ferror(file);
    fclose(file);
    return good || REFUSE(work, "%s: cannot read: %s\n", work->request->file, strerror(errno));
}

static void note_known(struct work *work, uint64_t number, const char *shown_by)
{
    if (number <= work->known)
        return;
    work->known = number;
    snprintf(work->shown_by, sizeof(work->shown_by), "%s", shown_by);
}

static bool read_backup(struct work *work)
{
    char *text = NULL;
    size_t length = 0;
    char error[BACKUP_ERROR_MAX];
    char time[BACKUP_TIME_MAX];
    const struct backup *backup = &work->backup;
    bool good = read_file(work, &text, &length);
    if (good && !backup_read(&work->backup, (struct bytes){ (const uint8_t *)text, length },
                             work->state, sizeof(work->state), &work->table, error))
        good = REFUSE(work, "%s: %s\n", work->request->file, error);
    free(text);
    if (!good)
        return false;
    backup_time(backup->wall_us, time);
    TELL(work,
         "backup: %s: entry %" PRIu64 " of term %" PRIu64 ", written by %s at %s, checksum "
         "good\n",
         work->request->file, backup->index, backup->term, backup->node.text, time);
    note_known(work, backup->index, "the backup");
    note_known(work, backup->term, "the backup's term");
    return true;
}

/* The file may be older than a change of the issuers: the line says whom it has to list. */
static bool refuse_issuer(struct work *work, const struct hf_name *issuer)
{
    const struct raft_members *members = &work->backup.members;
    FILE *errors = work->request->errors;
    fprintf(errors, "restore: cluster.issuers has %s, which is not among the backup's issuers:",
            issuer->text);
    for (uint8_t i = 0; i < members->count; i++)
        fprintf(errors, " %s", members->member[i].id.text);
    fputs("; cluster.issuers must list these\n", errors);
    return false;
}

static bool check_identity(struct work *work)
{
    const struct conf *conf = work->request->conf;
    const struct raft_members *members = &work->backup.members;
    if (!conf->issuer_role)
        return REFUSE(work, "%s is no issuer: only issuers keep a journal\n", conf->node_id.text);
    if (!name_equal(&work->backup.cluster, &conf->cluster_name))
        return REFUSE(work, "the backup is of cluster '%s', this is '%s'\n",
                      work->backup.cluster.text, conf->cluster_name.text);
    if (raft_member_index(members, &conf->node_id) < 0)
        return REFUSE(work, "%s is not among the backup's issuers\n", conf->node_id.text);
    for (uint8_t i = 0; i < conf->issuer_count; i++) {
        if (raft_member_index(members, &conf->issuer[i].id) < 0)
            return refuse_issuer(work, &conf->issuer[i].id);
    }
    if (members->count != conf->issuer_count)
        return REFUSE(work,
                      "the backup has %u issuers, cluster.issuers %u: they must be the same\n",
                      members->count, conf->issuer_count);
    return true;
}

/* ---- journals that are there */

/* Reads the journal of an open directory and notes what it shows. */
static enum journal_result look_at(struct work *work, struct disk_file *files, const char *where,
                                   struct journal_recovered *found)
{
    enum journal_result result = making_read(&work->making, files, found);
    if (result != JOURNAL_OK || journal_holds_nothing(found))
        return result;
    note_known(work, found->raft.snapshot_index + found->raft.entry_count, where);
    note_known(work, found->raft.term, where);
    TELL(work, "journal: %s: entry %" PRIu64 " of term %" PRIu64 "\n", where,
         found->raft.snapshot_index + (uint64_t)found->raft.entry_count, found->raft.term);
    return JOURNAL_OK;
}

static void look_at_aside(struct work *work, const char *act, int number)
{
    const struct disk_platform *platform = work->request->platform;
    char path[MAKING_PATH_BYTES];
    char where[sizeof(work->shown_by)];
    char error[256];
    struct disk_file files;
    struct journal_recovered found;
    snprintf(where, sizeof(where), "before-%.16s-%d", act, number);
    snprintf(path, sizeof(path), "%s/%.40s", work->request->conf->data_dir, where);
    if (platform->faccessat(AT_FDCWD, path, F_OK) != 0)
        return;
    if (disk_file_open(&files, platform, path, error, sizeof(error)) != 0) {
        TELL(work, "journal: %s\n", error);
        return;
    }
    if (look_at(work, &files, where, &found) != JOURNAL_OK)
        TELL(work, "journal: %s: %s\n", where, work->making.journal.error);
    disk_file_close(&files);
}

/* Journals that earlier acts moved aside show what was given before them. */
static void look_at_asides(struct work *work)
{
    for (int i = 1; i <= MAKING_ASIDE_MAX; i++) {
        look_at_aside(work, "restore", i);
        look_at_aside(work, "init", i);
    }
}

static bool look_at_data(struct work *work)
{
    struct journal_recovered found;
    if (!making_lock(&work->making))
        return false;
    enum journal_result result =
        look_at(work, &work->making.files, "the journal that is there", &found);
    work->has_journal = result != JOURNAL_OK || !journal_holds_nothing(&found);
    if (result != JOURNAL_OK)
        TELL(work, "journal: the one that is there cannot be read: %s\n",
             work->making.journal.error);
    look_at_asides(work);
    return true;
}

/* ---- the number to go on above */

static bool clock_is_sane(const struct work *work)
{
    return work->request->wall_us > work->backup.wall_us;
}

/* Told, not done: every issuer must be given the same number, so it is made once. */
static bool propose_number(struct work *work)
{
    const struct restore *request = work->request;
    char now[BACKUP_TIME_MAX];
    char then[BACKUP_TIME_MAX];
    backup_time(request->wall_us, now);
    backup_time(work->backup.wall_us, then);
    if (!clock_is_sane(work))
        return REFUSE(work,
                      "this node's clock says %s, before the backup of %s: set it, or say "
                      "--above TOKEN with a number above every token ever given\n",
                      now, then);
    uint64_t wall = (uint64_t)request->wall_us;
    uint64_t above = work->known > wall ? work->known : wall;
    if (above > MAKING_ABOVE_MAX)
        return REFUSE(work, "%" PRIu64 ", shown by %s, leaves no room above it\n", above,
                      work->known > wall ? work->shown_by : "this node's clock");
    TELL(work,
         "nothing was changed. Tokens given after the backup are not in it, so the log must go "
         "on above\nall of them. If %s is the time, run this on every issuer, with this number:\n"
         "  holdfastd -c %s --restore %s --above %" PRIu64 "%s\n",
         now, request->conf->file, request->file, above, request->force ? " --force" : "");
    return false;
}

static bool check_number(struct work *work)
{
    const struct restore *request = work->request;
    uint64_t day_us = (uint64_t)DAY_S * 1000000;
    uint64_t wall = (uint64_t)request->wall_us;
    if (!request->has_above)
        return propose_number(work);
    if (request->above > MAKING_ABOVE_MAX)
        return REFUSE(work, "--above %" PRIu64 ": must be at most %" PRIu64 "\n", request->above,
                      MAKING_ABOVE_MAX);
    if (request->above < work->known)
        return REFUSE(work, "--above %" PRIu64 ": must be at least %" PRIu64 ", shown by %s\n",
                      request->above, work->known, work->shown_by);
    if (clock_is_sane(work) && wall > day_us && request->above < wall - day_us)
        return REFUSE(work,
                      "--above %" PRIu64 ": made more than a day ago by this node's clock, or "
                      "by hand: leave it out to be told a new one, for all issuers\n",
                      request->above);
    work->index = request->above + MAKING_JUMP;
    return true;
}

static bool check_journal(struct work *work)
{
    const struct conf *conf = work->request->conf;
    if (!work->has_journal || work->request->force)
        return true;
    return REFUSE(work,
                  "%s has a journal: if this issuer's state is lost all the same, --force "
                  "moves it to %s/before-restore-N\n",
                  conf->data_dir, conf->data_dir);
}

/* ---- making the new one */

static void make_state(struct work *work)
{
    lease_table_restore(&work->table, work->index, work->backup.lease_max_us, work->backup.wall_us);
    work->state_length = lease_table_encode(&work->table, work->state, sizeof(work->state));
    backup_digest((struct bytes){ work->state, work->state_length }, work->digest);
}

static bool make_journal(struct work *work)
{
    const struct raft_persist content = {
        .wanted = true,
        .seq = 1,
        .hard_state = true,
        /* Above the snapshot's: what was begun by --init with the same number is not as new. */
        .term = work->index + 1,
        .snapshot = true,
        .snapshot_index = work->index,
        .snapshot_term = work->index,
        .members = work->backup.members,
        .snapshot_bytes = { work->state, work->state_length },
        .first_index = 1,
    };
    return making_make(&work->making, &content);
}

/* ---- putting it in place */

static bool replace_journal(struct work *work)
{
    return make_journal(work) &&
           (!work->has_journal || making_set_aside(&work->making, work->request->out)) &&
           making_put_in_place(&work->making);
}

/* ---- what it means */

static void tell_resources(struct work *work)
{
    for (uint32_t i = 0; i < work->table.count; i++) {
        const struct lease_record *record = &work->table.record[i];
        const char *to = name_empty(&record->pinned_to) ? "nobody" : record->pinned_to.text;
        TELL(work, "resource: %s: free, last token in the backup %" PRIu64 "%s%s\n",
             record->resource.text, record->last_token, record->pinned ? ", pinned to " : "",
             record->pinned ? to : "");
    }
}

static void tell_done(struct work *work)
{
    const struct conf *conf = work->request->conf;
    struct span hold_off = timing_stretch(span_from_us(work->backup.lease_max_us), conf->drift_ppm);
    tell_resources(work);
    TELL(work, "restored: entry %" PRIu64 "; every new token is above it\n", work->index);
    TELL(work, "state: sha256 %s; must be the same on every issuer\n", work->digest);
    TELL(work,
         "grants: none for %" PRId64 " ms, or longer by the policy now, after a leader is "
         "there: until then a board may hold\n"
         "  a lease from after the backup\n",
         span_to_ms(hold_off));
    TELL(work,
         "next: the same command on every other issuer; start no issuer before all are done\n");
}

bool restore_run(const struct restore *restore)
{
    struct work *work = calloc(1, sizeof(*work));
    if (work == NULL) {
        fprintf(restore->errors, "restore: out of memory\n");
        return false;
    }
    work->request = restore;
    bool done =
        making_init(&work->making, "restore", restore->platform, restore->conf, restore->errors);
    done = done && read_backup(work) && check_identity(work) && look_at_data(work) &&
           check_journal(work) && check_number(work);
    if (done) {
        make_state(work);
        done = replace_journal(work);
    }
    if (done)
        tell_done(work);
    making_close(&work->making);
    free(work);
    return done;
}
