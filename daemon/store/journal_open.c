/* Recovery: from two slots to the state that was last durable, or to why that can't be had. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "store/journal_recovery.h"

enum journal_result recovery_refuse(struct journal *journal, enum journal_result result,
                                    const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(journal->error, sizeof(journal->error), format, arguments);
    va_end(arguments);
    journal->failure = result;
    return result;
}

enum journal_result recovery_read_bytes(struct recovery *recovery, int slot, uint64_t offset,
                                        uint8_t *data, size_t length)
{
    const struct journal_config *config = &recovery->journal->config;
    uint64_t size = recovery->slot[slot].size;
    size_t there = offset >= size ? 0 : size - offset < length ? (size_t)(size - offset) : length;
    memset(data + there, 0, length - there);
    int error = there ? config->ops->read(config->disk, slot, offset, data, there) : 0;
    if (error == 0)
        return JOURNAL_OK;
    return recovery_refuse(recovery->journal, JOURNAL_IO, "journal.%d: cannot read: %s", slot,
                           strerror(error));
}

static bool all_zero(const uint8_t *data, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (data[i] != 0)
            return false;
    }
    return true;
}

/* The newer copy counts; of the same generation, the one that is superseded already. */
static void choose_header(struct slot_view *view)
{
    const struct format_header *first = &view->copy[0];
    const struct format_header *second = &view->copy[1];
    view->valid = view->copy_valid[0] || view->copy_valid[1];
    view->header = view->copy_valid[0] ? *first : *second;
    if (view->copy_valid[0] && view->copy_valid[1] &&
        (second->generation > first->generation ||
         (second->generation == first->generation && second->state == FORMAT_SUPERSEDED)))
        view->header = *second;
}

static enum journal_result read_header(struct recovery *recovery, int slot)
{
    struct slot_view *view = &recovery->slot[slot];
    const struct journal_config *config = &recovery->journal->config;
    uint8_t first[FORMAT_HEADER_BYTES];
    uint8_t second[FORMAT_HEADER_BYTES];
    int error = config->ops->size(config->disk, slot, &view->size);
    if (error != 0)
        return recovery_refuse(recovery->journal, JOURNAL_IO,
                               "journal.%d: cannot read its size: %s", slot, strerror(error));
    enum journal_result result = recovery_read_bytes(recovery, slot, 0, first, sizeof(first));
    if (result == JOURNAL_OK)
        result = recovery_read_bytes(recovery, slot, FORMAT_HEADER_COPY_AT, second, sizeof(second));
    if (result != JOURNAL_OK)
        return result;
    view->copy_valid[0] = format_get_header(&view->copy[0], first);
    view->copy_valid[1] = format_get_header(&view->copy[1], second);
    choose_header(view);
    view->copy_blank = all_zero(second, sizeof(second));
    recovery->journal->allocated[slot] = view->size;
    return JOURNAL_OK;
}

static enum journal_result check_identity(struct recovery *recovery, int slot)
{
    const struct format_header *header = &recovery->slot[slot].header;
    const struct journal_config *config = &recovery->journal->config;
    if (header->version < JOURNAL_VERSION_OLDEST || header->version > JOURNAL_VERSION)
        return recovery_refuse(recovery->journal, JOURNAL_FOREIGN,
                               "journal.%d: format version %" PRIu32
                               ", this program reads %d to %d",
                               slot, header->version, JOURNAL_VERSION_OLDEST, JOURNAL_VERSION);
    if (strcmp(header->cluster, config->cluster) != 0)
        return recovery_refuse(recovery->journal, JOURNAL_FOREIGN,
                               "journal.%d: belongs to cluster '%s', this is '%s'", slot,
                               header->cluster, config->cluster);
    if (!name_equal(&header->node, &config->node))
        return recovery_refuse(recovery->journal, JOURNAL_FOREIGN,
                               "journal.%d: belongs to node '%s', this is '%s'", slot,
                               header->node.text, config->node.text);
    return JOURNAL_OK;
}

/* Decides which slot is current: -1 for none yet. */
static enum journal_result choose_slot(struct recovery *recovery, int *chosen)
{
    const struct slot_view *a = &recovery->slot[0];
    const struct slot_view *b = &recovery->slot[1];
    *chosen = -1;
    if (!a->valid && !b->valid) {
        /* A first header that was torn has a blank copy; nothing was ever acknowledged then. */
        if (a->copy_blank && b->copy_blank)
            return JOURNAL_OK;
        return recovery_refuse(recovery->journal, JOURNAL_CORRUPT,
                               "journal: the headers of both slots are damaged");
    }
    *chosen = !a->valid || (b->valid && b->header.generation > a->header.generation) ? 1 : 0;
    enum journal_result result = check_identity(recovery, *chosen);
    if (result == JOURNAL_OK && recovery->slot[*chosen].header.state != FORMAT_CURRENT)
        return recovery_refuse(recovery->journal, JOURNAL_CORRUPT,
                               "journal.%d: damaged or missing; journal.%d was superseded by it",
                               1 - *chosen, *chosen);
    return result;
}

static enum journal_result recover_slot(struct recovery *recovery, int slot)
{
    struct journal *journal = recovery->journal;
    const struct format_header *header = &recovery->slot[slot].header;
    journal->slot = slot;
    journal->generation = header->generation;
    journal->image_end = header->image_end;
    enum journal_result result = recovery_replay(recovery, slot);
    if (result != JOURNAL_OK)
        return result;
    /* The header was written after the image was durable. */
    if (journal->frame_seq == 0 || journal->end < header->image_end)
        return recovery_refuse(journal, JOURNAL_CORRUPT, "journal.%d: its first record is damaged",
                               slot);
    return recovery_judge_end(recovery, slot);
}

static void note_recovered(struct journal *journal, struct journal_recovered *out)
{
    out->raft.entries = journal->config.entries;
    journal->term = out->raft.term;
    journal->vote = out->raft.vote;
    journal->recovering = out->raft.standing == RAFT_RECOVERING;
    journal->begun = out->raft.standing == RAFT_UNSURE;
    journal->snapshot_index = out->raft.snapshot_index;
    journal->snapshot_term = out->raft.snapshot_term;
    journal->members = out->raft.members;
    journal->snapshot = out->raft.snapshot;
    journal->last_index = recovery_last_index(&out->raft);
}

enum journal_result journal_open(struct journal *journal, const struct journal_config *config,
                                 struct journal_recovered *out)
{
    struct recovery recovery = { .journal = journal, .out = out };
    int slot = -1;
    memset(journal, 0, sizeof(*journal));
    memset(out, 0, sizeof(*out));
    journal->config = *config;
    journal->slot = -1;
    journal->pending.data = config->buffer[0];
    enum journal_result result = read_header(&recovery, 0);
    if (result == JOURNAL_OK)
        result = read_header(&recovery, 1);
    if (result == JOURNAL_OK)
        result = choose_slot(&recovery, &slot);
    if (result == JOURNAL_OK && slot >= 0)
        result = recover_slot(&recovery, slot);
    if (result == JOURNAL_OK && slot >= 0)
        result = recovery_sync(journal);
    if (result == JOURNAL_OK && slot >= 0)
        result = recovery_repair(&recovery, slot);
    if (result != JOURNAL_OK)
        return result;
    out->fresh = slot < 0;
    /* Nothing is lost, not new: only --init says that a cluster is. */
    if (out->fresh)
        out->raft.standing = RAFT_RECOVERING;
    note_recovered(journal, out);
    return JOURNAL_OK;
}

bool journal_holds_nothing(const struct journal_recovered *found)
{
    const struct raft_recovered *raft = &found->raft;
    return found->fresh || (raft->standing == RAFT_RECOVERING && raft->term == 0 &&
                            raft->snapshot_index == 0 && raft->entry_count == 0);
}

bool journal_knows_no_members(const struct journal_recovered *found)
{
    const struct raft_recovered *raft = &found->raft;
    return raft->members.count == 0 || (raft->standing == RAFT_RECOVERING &&
                                        raft->snapshot_index == 0 && raft->entry_count == 0);
}

void journal_keep_members(struct journal *journal, const struct raft_members *members)
{
    HF_CHECK(journal->snapshot_index == 0 && members->count > 0);
    journal->members = *members;
}

enum journal_result journal_open_or_begin_anew(struct journal *journal,
                                               const struct journal_config *config,
                                               struct journal_recovered *out)
{
    char damage[JOURNAL_ERROR_MAX + 1];
    bool kept = false;
    enum journal_result result = journal_open(journal, config, out);
    if (result != JOURNAL_CORRUPT)
        return result;
    memcpy(damage, journal->error, sizeof(damage));
    int error = config->ops->set_aside(config->disk, &kept);
    if (error != 0)
        return recovery_refuse(journal, JOURNAL_IO, "%.120s; cannot begin a new one: %s", damage,
                               strerror(error));
    result = journal_open(journal, config, out);
    if (result != JOURNAL_OK)
        return result;
    out->set_aside = true;
    out->kept = kept;
    memcpy(out->damage, damage, sizeof(damage));
    out->raft.standing = RAFT_RECOVERING;
    journal->recovering = true;
    return JOURNAL_OK;
}
