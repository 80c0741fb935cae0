#include "store/format.h"

#include <string.h>

#include "store/crc32c.h"

static const uint8_t header_magic[8] = { 'H', 'F', 'J', 'O', 'U', 'R', 'N', '\n' };
static const uint8_t frame_magic[4] = { 'H', 'F', 'F', '\n' };
static const uint8_t mark_magic[4] = { 'H', 'F', 'M', '\n' };

void format_put_u32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

void format_put_u64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

uint32_t format_get_u32(const uint8_t *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

uint64_t format_get_u64(const uint8_t *in)
{
    return format_get_u32(in) | (uint64_t)format_get_u32(in + 4) << 32;
}

void format_put_header(uint8_t out[FORMAT_HEADER_BYTES], const struct format_header *header)
{
    memset(out, 0, FORMAT_HEADER_BYTES);
    memcpy(out, header_magic, sizeof(header_magic));
    format_put_u32(out + 8, header->version);
    format_put_u32(out + 12, header->state);
    format_put_u64(out + 16, header->generation);
    format_put_u64(out + 24, header->image_end);
    memcpy(out + 32, header->cluster, HF_NAME_MAX + 1);
    memcpy(out + 64, header->node.text, HF_NAME_MAX + 1);
    format_put_u32(out + FORMAT_HEADER_BYTES - 4, crc32c(0, out, FORMAT_HEADER_BYTES - 4));
}

bool format_get_header(struct format_header *header, const uint8_t in[FORMAT_HEADER_BYTES])
{
    memset(header, 0, sizeof(*header));
    if (memcmp(in, header_magic, sizeof(header_magic)) != 0 ||
        format_get_u32(in + FORMAT_HEADER_BYTES - 4) != crc32c(0, in, FORMAT_HEADER_BYTES - 4))
        return false;
    header->version = format_get_u32(in + 8);
    header->state = format_get_u32(in + 12);
    header->generation = format_get_u64(in + 16);
    header->image_end = format_get_u64(in + 24);
    memcpy(header->cluster, in + 32, HF_NAME_MAX);
    memcpy(header->node.text, in + 64, HF_NAME_MAX);
    return true;
}

void format_put_frame(uint8_t out[FORMAT_FRAME_BYTES], const struct format_frame *frame)
{
    memset(out, 0, FORMAT_FRAME_BYTES);
    memcpy(out, frame_magic, sizeof(frame_magic));
    format_put_u32(out + 4, frame->length);
    format_put_u64(out + 8, frame->seq);
    format_put_u64(out + 16, frame->generation);
    format_put_u32(out + 24, frame->records);
    format_put_u32(out + 28, frame->payload_crc);
    format_put_u32(out + FORMAT_FRAME_BYTES - 4, crc32c(0, out, FORMAT_FRAME_BYTES - 4));
}

bool format_get_frame(struct format_frame *frame, const uint8_t in[FORMAT_FRAME_BYTES])
{
    if (memcmp(in, frame_magic, sizeof(frame_magic)) != 0 ||
        format_get_u32(in + FORMAT_FRAME_BYTES - 4) != crc32c(0, in, FORMAT_FRAME_BYTES - 4))
        return false;
    frame->length = format_get_u32(in + 4);
    frame->seq = format_get_u64(in + 8);
    frame->generation = format_get_u64(in + 16);
    frame->records = format_get_u32(in + 24);
    frame->payload_crc = format_get_u32(in + 28);
    return true;
}

void format_put_mark(uint8_t out[FORMAT_MARK_BYTES], const struct format_mark *mark)
{
    memset(out, 0, FORMAT_MARK_BYTES);
    memcpy(out, mark_magic, sizeof(mark_magic));
    format_put_u32(out + 4, mark->length);
    format_put_u64(out + 8, mark->seq);
    format_put_u64(out + 16, mark->generation);
    format_put_u64(out + 24, mark->offset);
    format_put_u32(out + FORMAT_MARK_BYTES - 4, crc32c(0, out, FORMAT_MARK_BYTES - 4));
}

bool format_get_mark(struct format_mark *mark, const uint8_t in[FORMAT_MARK_BYTES])
{
    if (memcmp(in, mark_magic, sizeof(mark_magic)) != 0 ||
        format_get_u32(in + FORMAT_MARK_BYTES - 4) != crc32c(0, in, FORMAT_MARK_BYTES - 4))
        return false;
    mark->length = format_get_u32(in + 4);
    mark->seq = format_get_u64(in + 8);
    mark->generation = format_get_u64(in + 16);
    mark->offset = format_get_u64(in + 24);
    return mark->length <= FORMAT_COPIED_MAX;
}
