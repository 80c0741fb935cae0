/* The writer thread's half of the journal: what was taken goes to the disk. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "store/crc32c.h"
#include "store/journal_write.h"

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

bool journal_write_bytes(struct journal *journal, int slot, uint64_t offset, const void *data,
                         size_t length)
{
    const struct journal_config *config = &journal->config;
    if (!allocate(journal, slot, offset + length))
        return false;
    journal->bytes_written += length;
    return check_disk(journal, config->ops->write(config->disk, slot, offset, data, length), slot,
                      "write");
}

bool journal_sync(struct journal *journal, int slot)
{
    const struct journal_config *config = &journal->config;
    journal->syncs++;
    return check_disk(journal, config->ops->sync(config->disk, slot), slot, "sync");
}

bool journal_write_mark(struct journal *journal, int slot, uint64_t offset, const uint8_t *frame,
                        size_t length)
{
    uint8_t bytes[FORMAT_BLOCK_BYTES];
    struct format_frame head;
    size_t copied = length <= FORMAT_COPIED_MAX ? length : 0;
    HF_CHECK(format_get_frame(&head, frame));
    struct format_mark mark = {
        .length = (uint32_t)copied, .seq = head.seq, .generation = head.generation, .offset = offset
    };
    format_put_mark(bytes, &mark);
    memcpy(bytes + FORMAT_MARK_BYTES, frame, copied);
    return journal_write_bytes(journal, slot, format_mark_at(head.seq), bytes,
                               FORMAT_MARK_BYTES + copied);
}

bool journal_write_header(struct journal *journal, int slot, int copy, enum format_state state,
                          uint64_t generation, uint64_t image_end)
{
    uint8_t bytes[FORMAT_HEADER_BYTES];
    struct format_header header = { .version = JOURNAL_VERSION,
                                    .state = (uint32_t)state,
                                    .generation = generation,
                                    .image_end = image_end,
                                    .node = journal->config.node };
    memcpy(header.cluster, journal->config.cluster, sizeof(header.cluster));
    format_put_header(bytes, &header);
    return journal_write_bytes(journal, slot, copy ? FORMAT_HEADER_COPY_AT : 0, bytes,
                               sizeof(bytes)) &&
           journal_sync(journal, slot);
}

static void finish_frame(struct journal_batch *batch)
{
    size_t payload = batch->length - FORMAT_FRAME_BYTES;
    struct format_frame frame = { .length = (uint32_t)payload,
                                  .seq = batch->frame_seq,
                                  .generation = batch->generation,
                                  .records = batch->records };
    frame.payload_crc = crc32c(0, batch->data + FORMAT_FRAME_BYTES, payload);
    format_put_frame(batch->data, &frame);
}

static bool write_frame(struct journal *journal)
{
    struct journal_batch *batch = &journal->taken;
    finish_frame(batch);
    if (!journal_write_bytes(journal, batch->slot, batch->offset, batch->data, batch->length))
        return false;
    /* A mark without a copy vouches for its frame, so the frame comes first. */
    if ((batch->image || batch->length > FORMAT_COPIED_MAX) && !journal_sync(journal, batch->slot))
        return false;
    /* The headers vouch for an image. */
    return batch->image ||
           (journal_write_mark(journal, batch->slot, batch->offset, batch->data, batch->length) &&
            journal_sync(journal, batch->slot));
}

/* One copy is synced before the other is touched, so that one of them is whole at any time. */
static bool write_headers(struct journal *journal, int slot, enum format_state state,
                          uint64_t generation, uint64_t image_end)
{
    return journal_write_header(journal, slot, 0, state, generation, image_end) &&
           journal_write_header(journal, slot, 1, state, generation, image_end);
}

static bool make_current(struct journal *journal)
{
    const struct journal_batch *batch = &journal->taken;
    return write_headers(journal, batch->slot, FORMAT_CURRENT, batch->generation,
                         batch->offset + batch->length) &&
           write_headers(journal, batch->old_slot, FORMAT_SUPERSEDED, batch->generation - 1,
                         batch->old_image_end);
}

enum journal_result journal_flush(struct journal *journal)
{
    if (journal->failure == JOURNAL_OK && write_frame(journal) && journal->taken.image)
        make_current(journal);
    return journal->failure;
}
