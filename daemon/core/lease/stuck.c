#include "lease/stuck.h"

#include <string.h>

/* -1: not there. */
static int find(const struct stuck_list *list, const struct hf_name *resource,
                const struct hf_name *board)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (name_equal(&list->row[i].resource, resource) && name_equal(&list->row[i].board, board))
            return (int)i;
    }
    return -1;
}

const struct stuck_row *stuck_find(const struct stuck_list *list, const struct hf_name *resource,
                                   const struct hf_name *board)
{
    int found = find(list, resource, board);
    return found >= 0 ? &list->row[found] : NULL;
}

const struct stuck_row *stuck_holds(const struct stuck_list *list, const struct hf_name *resource)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (!list->row[i].let_go && name_equal(&list->row[i].resource, resource))
            return &list->row[i];
    }
    return NULL;
}

/* The oldest row that bars nothing; -1: none. */
static int find_let_go(const struct stuck_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->row[i].let_go)
            return (int)i;
    }
    return -1;
}

bool stuck_has_room(const struct stuck_list *list)
{
    return list->count < HF_STUCK_MAX || find_let_go(list) >= 0;
}

static void remove_at(struct stuck_list *list, int at)
{
    list->count--;
    for (uint32_t i = (uint32_t)at; i < list->count; i++)
        list->row[i] = list->row[i + 1];
}

bool stuck_add(struct stuck_list *list, const struct hf_name *resource, const struct hf_name *board,
               int64_t wall_us)
{
    if (find(list, resource, board) >= 0 || !stuck_has_room(list))
        return false;
    if (list->count == HF_STUCK_MAX)
        remove_at(list, find_let_go(list));
    list->row[list->count++] = (struct stuck_row){ *resource, *board, wall_us, false };
    return true;
}

bool stuck_remove(struct stuck_list *list, const struct hf_name *resource,
                  const struct hf_name *board)
{
    int found = find(list, resource, board);
    if (found >= 0)
        remove_at(list, found);
    return found >= 0;
}

void stuck_forget(struct stuck_list *list, const struct hf_name *resource)
{
    for (uint32_t i = list->count; i > 0; i--) {
        if (name_equal(&list->row[i - 1].resource, resource))
            remove_at(list, (int)i - 1);
    }
}

bool stuck_let_go(struct stuck_list *list, const struct hf_name *resource)
{
    bool any = false;
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->row[i].let_go || !name_equal(&list->row[i].resource, resource))
            continue;
        list->row[i].let_go = true;
        any = true;
    }
    return any;
}

/* ---- the snapshot */

static void put_number(uint8_t *out, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        out[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
}

static uint64_t take_number(const uint8_t *data, size_t width)
{
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value = value << 8 | data[i];
    return value;
}

static bool take_name(const uint8_t *data, struct hf_name *name)
{
    const char *text = (const char *)data;
    size_t length = 0;
    while (length <= HF_NAME_MAX && text[length] != '\0')
        length++;
    return length <= HF_NAME_MAX && name_set(name, text, length);
}

size_t stuck_encode(const struct stuck_list *list, uint8_t *out)
{
    size_t at = 4;
    put_number(out, list->count, 4);
    for (uint32_t i = 0; i < list->count; i++, at += STUCK_ROW_BYTES) {
        const struct stuck_row *row = &list->row[i];
        memcpy(out + at, row->resource.text, HF_NAME_MAX + 1);
        memcpy(out + at + HF_NAME_MAX + 1, row->board.text, HF_NAME_MAX + 1);
        put_number(out + at + 2 * (HF_NAME_MAX + 1), (uint64_t)row->wall_us, 8);
        out[at + STUCK_ROW_BYTES - 1] = row->let_go ? 1 : 0;
    }
    return at;
}

static bool take_row(struct stuck_list *list, const uint8_t *data)
{
    struct stuck_row *row = &list->row[list->count];
    uint8_t let_go = data[STUCK_ROW_BYTES - 1];
    if (!take_name(data, &row->resource) || !take_name(data + HF_NAME_MAX + 1, &row->board) ||
        let_go > 1 || find(list, &row->resource, &row->board) >= 0)
        return false;
    row->wall_us = (int64_t)take_number(data + 2 * (HF_NAME_MAX + 1), 8);
    row->let_go = let_go == 1;
    list->count++;
    return true;
}

size_t stuck_decode(struct stuck_list *list, struct bytes bytes)
{
    list->count = 0;
    if (bytes.length < 4)
        return 0;
    uint64_t count = take_number(bytes.data, 4);
    if (count > HF_STUCK_MAX || bytes.length - 4 < count * STUCK_ROW_BYTES)
        return 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!take_row(list, bytes.data + 4 + i * STUCK_ROW_BYTES))
            return 0;
    }
    return 4 + (size_t)count * STUCK_ROW_BYTES;
}
