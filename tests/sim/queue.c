#include "tests/sim/queue.h"

#include <stdlib.h>

#include "base/check.h"

static bool comes_before(const struct queue_place *a, const struct queue_place *b)
{
    if (a->at_us != b->at_us)
        return a->at_us < b->at_us;
    return a->order < b->order;
}

/* Places double; every new one is free. */
static void grow(struct queue *queue)
{
    if (queue->count < queue->capacity)
        return;
    uint32_t capacity = queue->capacity ? 2 * queue->capacity : 256;
    queue->heap = realloc(queue->heap, capacity * sizeof(queue->heap[0]));
    queue->event = realloc(queue->event, capacity * sizeof(queue->event[0]));
    HF_CHECK(queue->heap && queue->event);
    for (uint32_t i = queue->capacity; i < capacity; i++)
        queue->heap[i].event = i;
    queue->capacity = capacity;
}

/*
 * The heap's places beyond `count` hold the numbers of the free events, so no list of them is
 * needed: what is added takes the number at its end, what is taken leaves its number there.
 */
struct event *queue_add(struct queue *queue, const struct event *event)
{
    grow(queue);
    uint32_t at = queue->count++;
    struct queue_place added = { event->at_us, ++queue->order, queue->heap[at].event };
    queue->event[added.event] = *event;
    while (at > 0 && comes_before(&added, &queue->heap[(at - 1) / 2])) {
        queue->heap[at] = queue->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->heap[at] = added;
    return &queue->event[added.event];
}

bool queue_take(struct queue *queue, struct event *event)
{
    if (queue->count == 0)
        return false;
    const struct queue_place first = queue->heap[0];
    const struct queue_place last = queue->heap[--queue->count];
    uint32_t at = 0;
    *event = queue->event[first.event];
    for (uint32_t child = 1; child < queue->count; child = 2 * at + 1) {
        if (child + 1 < queue->count && comes_before(&queue->heap[child + 1], &queue->heap[child]))
            child++;
        if (!comes_before(&queue->heap[child], &last))
            break;
        queue->heap[at] = queue->heap[child];
        at = child;
    }
    queue->heap[at] = last;
    queue->heap[queue->count].event = first.event;
    return true;
}

void queue_clear(struct queue *queue)
{
    for (uint32_t i = 0; i < queue->count; i++)
        free(queue->event[queue->heap[i].event].data);
    free(queue->heap);
    free(queue->event);
    *queue = (struct queue){ 0 };
}
