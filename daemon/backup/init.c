#include "backup/init.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backup/making.h"
#include "lease/replica.h"

/* Large: one of them, in one process that does nothing else. */
struct work {
    const struct init *request;
    uint64_t index;   /* and term, of the snapshot */
    bool has_journal; /* to be set aside */
    struct lease_table table;
    uint8_t state[REPLICA_SNAPSHOT_MAX]; /* its bytes */
    struct raft_members members;
    struct making making;
};

#define TELL(work, ...)   fprintf((work)->request->out, __VA_ARGS__)
#define REFUSE(work, ...) (fprintf((work)->request->errors, "init: " __VA_ARGS__), false)

static bool check_request(struct work *work)
{
    const struct init *request = work->request;
    if (!request->conf->issuer_role)
        return REFUSE(work, "%s is no issuer: only issuers keep a journal\n",
                      request->conf->node_id.text);
    if (request->has_above && (request->above == 0 || request->above > MAKING_ABOVE_MAX))
        return REFUSE(work,
                      "--above %" PRIu64 ": must be 1 to %" PRIu64 ", the highest token ever "
                      "given; where none ever was, leave --above out\n",
                      request->above, MAKING_ABOVE_MAX);
    work->index = request->has_above ? request->above + MAKING_JUMP : 1;
    return true;
}

/* ---- what is there */

/* What else there is to do with one that has a journal. */
static bool refuse_journal(struct work *work, const struct journal_recovered *found)
{
    const struct conf *conf = work->request->conf;
    const struct raft_recovered *raft = &found->raft;
    uint64_t last = raft->snapshot_index + (uint64_t)raft->entry_count;
    if (raft->standing == RAFT_UNSURE)
        return REFUSE(work,
                      "%s was begun already, at entry %" PRIu64 ": start it; to begin it above "
                      "another number: --above N --force\n",
                      conf->data_dir, last);
    return REFUSE(
        work,
        "%s has a journal (entry %" PRIu64 " of term %" PRIu64 "%s): start it, it needs "
        "no --init; if all issuers are lost: holdfastd -c %s --restore BACKUP --force, or "
        "without a backup, on each of them: holdfastd -c %s --init --above N --force\n",
        conf->data_dir, last, raft->term, raft->standing == RAFT_RECOVERING ? ", recovering" : "",
        conf->file, conf->file);
}

/* Not even with --force: what another issuer promised is not to be forgotten by a wrong file. */
static bool refuse_foreign(struct work *work)
{
    const struct conf *conf = work->request->conf;
    return REFUSE(work,
                  "%s: %s: node.id, cluster.name and node.data_dir of %s must be those of "
                  "this issuer; if they are, and nobody needs that journal, move it away\n",
                  conf->data_dir, work->making.journal.error, conf->file);
}

/* With --force: what is there goes aside, and the log goes on above it. */
static bool check_force(struct work *work, const struct journal_recovered *found)
{
    const struct raft_recovered *raft = &found->raft;
    uint64_t known = raft->snapshot_index + (uint64_t)raft->entry_count;
    known = raft->term > known ? raft->term : known;
    if (raft->standing == RAFT_UNSURE)
        known = 0; /* as it was begun: no token was given by it */
    if (!work->request->has_above)
        return REFUSE(work,
                      "--force: the journal that is there shows %" PRIu64 ": say --above N with "
                      "the highest token ever given\n",
                      known);
    if (work->request->above < known)
        return REFUSE(work,
                      "--above %" PRIu64 ": must be at least %" PRIu64
                      ", shown by the journal that "
                      "is there\n",
                      work->request->above, known);
    work->has_journal = true;
    return true;
}

/* A name of what an issuer had here before; false: none. */
static bool find_remains(const char *data_dir, char name[64])
{
    DIR *directory = opendir(data_dir);
    const struct dirent *entry = NULL;
    bool found = false;
    while (directory != NULL && !found && (entry = readdir(directory)) != NULL) {
        size_t length = strlen(entry->d_name);
        found = strncmp(entry->d_name, "before-", 7) == 0 ||
                (length > 8 && strncmp(entry->d_name, "journal.", 8) == 0 &&
                 strcmp(entry->d_name + length - 8, ".damaged") == 0);
        if (found)
            snprintf(name, 64, "%.63s", entry->d_name);
    }
    if (directory != NULL)
        closedir(directory);
    return found;
}

static bool check_data(struct work *work)
{
    const struct conf *conf = work->request->conf;
    struct journal_recovered found;
    char remains[64];
    if (!making_lock(&work->making))
        return false;
    enum journal_result result = making_read(&work->making, &work->making.files, &found);
    if (result == JOURNAL_FOREIGN)
        return refuse_foreign(work);
    if (result != JOURNAL_OK && (!work->request->force || !work->request->has_above))
        return REFUSE(
            work,
            "%s has a journal that cannot be read (%s): start it, it recovers from the "
            "other issuers; if all are lost: holdfastd -c %s --restore BACKUP --force, or "
            "--init --above N --force\n",
            conf->data_dir, work->making.journal.error, conf->file);
    if (result != JOURNAL_OK) {
        work->has_journal = true;
        return true;
    }
    if (!journal_holds_nothing(&found))
        return work->request->force ? check_force(work, &found) : refuse_journal(work, &found);
    if (!work->request->has_above && find_remains(conf->data_dir, remains))
        return REFUSE(work,
                      "%s/%s shows that an issuer had a state here: if all issuers are lost and "
                      "there is no backup, say --above N with the highest token ever given\n",
                      conf->data_dir, remains);
    return true;
}

/* ---- the new one */

static bool make_journal(struct work *work)
{
    lease_table_begin(&work->table, work->index);
    making_bootstrap(work->request->conf, &work->members);
    const struct raft_persist content = {
        .wanted = true,
        .seq = 1,
        .hard_state = true,
        .term = work->index,
        .begun = true,
        .snapshot = true,
        .snapshot_index = work->index,
        .snapshot_term = work->index,
        .members = work->members,
        .snapshot_bytes = { work->state,
                            lease_table_encode(&work->table, work->state, sizeof(work->state)) },
        .first_index = 1,
    };
    return making_make(&work->making, &content) &&
           (!work->has_journal || making_set_aside(&work->making, work->request->out)) &&
           making_put_in_place(&work->making);
}

static void tell_done(struct work *work)
{
    const struct conf *conf = work->request->conf;
    TELL(work,
         "begun: %s, an issuer of the new cluster '%s', at entry and term %" PRIu64 "; issuers:",
         conf->node_id.text, conf->cluster_name.text, work->index);
    for (uint8_t i = 0; i < conf->issuer_count; i++)
        TELL(work, " %s", conf->issuer[i].id.text);
    if (conf->issuer_count == 1)
        TELL(work, "\nnext: start it\n");
    else
        TELL(work,
             "\nnext: the same on every other issuer%s; the first start waits until all are "
             "there\n",
             work->request->has_above ? ", with the same number" : "");
}

bool init_run(const struct init *init)
{
    struct work *work = calloc(1, sizeof(*work));
    if (work == NULL) {
        fprintf(init->errors, "init: out of memory\n");
        return false;
    }
    work->request = init;
    bool done = making_init(&work->making, "init", init->platform, init->conf, init->errors) &&
                check_request(work) && check_data(work) && make_journal(work);
    if (done)
        tell_done(work);
    making_close(&work->making);
    free(work);
    return done;
}
