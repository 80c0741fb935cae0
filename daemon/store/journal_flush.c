/* The writer thread's half of the journal: what was taken goes to the disk. */
#include <stdio.h>
#include <string.h>

#include "store/crc32c.h"
#include "store/format.h"

enum { ALLOCATION_BYTES = 1024 * 1024 };

static bool check_disk(struct journal *journal, int error, int slot, const char *act)
{
    if (error == 0)
        return true;
    journal->failure = JOURNAL_IO;
    snprintf(journal->error, sizeof(journal->error), "journal.%d: cannot %s: %s", slot, act,
             strerror(error));
    return false;
}

static bool write_bytes(struct journal *journal, int slot, uint64_t offset, const void *data,
                        size_t length)
{
    const struct journal_config *config = &journal->config;
    journal->bytes_written += length;
    return check_disk(journal, config->ops->write(config->disk, slot, offset, data, length), slot,
                      "write");
}

static bool sync_slot(struct journal *journal, int slot)
{
    const struct journal_config *config = &journal->config;
    journal->syncs++;
    return check_disk(journal, config->ops->sync(config->disk, slot), slot, "sync");
}

static bool allocate(struct journal *journal, int slot, uint64_t end)
{
    const struct journal_config *config = &journal->config;
    if (end <= journal->allocated[slot])
        return true;
    uint64_t bytes = (end + ALLOCATION_BYTES - 1) / ALLOCATION_BYTES * ALLOCATION_BYTES;
    if (!check_disk(journal, config->ops->preallocate(config->disk, slot, bytes), slot,
                    "reserve space"))
        return false;
    journal->allocated[slot] = bytes;
    return true;
}

static bool write_frame(struct journal *journal)
{
    struct journal_batch *batch = &journal->taken;
    size_t payload = batch->length - FORMAT_FRAME_BYTES;
    struct format_frame frame = { .length = (uint32_t)payload, .seq = batch->frame_seq,
                                  .generation = batch->generation, .records = batch->records };
    frame.payload_crc = crc32c(0, batch->data + FORMAT_FRAME_BYTES, payload);
    format_put_frame(batch->data, &frame);
    return allocate(journal, batch->slot, batch->offset + batch->length) &&
           write_bytes(journal, batch->slot, batch->offset, batch->data, batch->length) &&
           sync_slot(journal, batch->slot);
}

/* One copy is synced before the other is touched, so that one of them is whole at any time. */
static bool write_header(struct journal *journal, int slot, enum format_state state,
                         uint64_t generation, uint64_t image_end)
{
    uint8_t bytes[FORMAT_HEADER_BYTES];
    struct format_header header = { .version = JOURNAL_VERSION, .state = (uint32_t)state,
                                    .generation = generation, .image_end = image_end,
                                    .node = journal->config.node };
    memcpy(header.cluster, journal->config.cluster, sizeof(header.cluster));
    format_put_header(bytes, &header);
    return write_bytes(journal, slot, 0, bytes, sizeof(bytes)) && sync_slot(journal, slot) &&
           write_bytes(journal, slot, FORMAT_HEADER_COPY_AT, bytes, sizeof(bytes)) &&
           sync_slot(journal, slot);
}

static bool make_current(struct journal *journal)
{
    const struct journal_batch *batch = &journal->taken;
    if (!write_header(journal, batch->slot, FORMAT_CURRENT, batch->generation,
                      batch->offset + batch->length))
        return false;
    return batch->old_slot < 0 ||
           write_header(journal, batch->old_slot, FORMAT_SUPERSEDED, batch->generation - 1,
                        batch->old_image_end);
}

enum journal_result journal_flush(struct journal *journal)
{
    if (journal->failure == JOURNAL_OK && write_frame(journal) && journal->taken.image)
        make_current(journal);
    return journal->failure;
}
