#include "lease/stuck.h"

#include "lease/packed.h"

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

uint32_t stuck_count_held(const struct stuck_list *list, const struct hf_name *resource)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < list->count; i++)
        count += !list->row[i].let_go && name_equal(&list->row[i].resource, resource) ? 1 : 0;
    return count;
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

bool stuck_let_go(struct stuck_list *list, const struct hf_name *resource,
                  const struct hf_name *board)
{
    int found = find(list, resource, board);
    if (found < 0 || list->row[found].let_go)
        return false;
    list->row[found].let_go = true;
    return true;
}

/* ---- the snapshot */

size_t stuck_encode(const struct stuck_list *list, uint8_t *out)
{
    size_t at = 0;
    put_number(out, &at, list->count, 4);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct stuck_row *row = &list->row[i];
        put_name(out, &at, &row->resource);
        put_name(out, &at, &row->board);
        put_number(out, &at, (uint64_t)row->wall_us, 8);
        put_number(out, &at, row->let_go ? 1 : 0, 1);
    }
    return at;
}

static bool take_row(struct stuck_list *list, const uint8_t *data, size_t *at)
{
    struct stuck_row *row = &list->row[list->count];
    if (!take_name(data, at, &row->resource) || !take_name(data, at, &row->board) ||
        find(list, &row->resource, &row->board) >= 0)
        return false;
    row->wall_us = (int64_t)take_number(data, at, 8);
    uint64_t let_go = take_number(data, at, 1);
    row->let_go = let_go == 1;
    list->count++;
    return let_go <= 1;
}

size_t stuck_decode(struct stuck_list *list, struct bytes bytes)
{
    size_t at = 0;
    list->count = 0;
    if (bytes.length < 4)
        return 0;
    uint64_t count = take_number(bytes.data, &at, 4);
    if (count > HF_STUCK_MAX || bytes.length - 4 < count * STUCK_ROW_BYTES)
        return 0;
    for (uint64_t i = 0; i < count; i++) {
        if (!take_row(list, bytes.data, &at))
            return 0;
    }
    return at;
}
