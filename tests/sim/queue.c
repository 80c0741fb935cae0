#include "tests/sim/queue.h"

#include <stdlib.h>

#include "base/check.h"

static bool comes_before(const struct event *a, const struct event *b)
{
    if (a->at_us != b->at_us)
        return a->at_us < b->at_us;
    return a->order < b->order;
}

static void grow(struct queue *queue)
{
    if (queue->count < queue->capacity)
        return;
    queue->capacity = queue->capacity ? 2 * queue->capacity : 1024;
    queue->heap = realloc(queue->heap, queue->capacity * sizeof(queue->heap[0]));
    HF_CHECK(queue->heap);
}

struct event *queue_add(struct queue *queue, const struct event *event)
{
    struct event added = *event;
    grow(queue);
    added.order = ++queue->order;
    size_t at = queue->count++;
    while (at > 0 && comes_before(&added, &queue->heap[(at - 1) / 2])) {
        queue->heap[at] = queue->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->heap[at] = added;
    return &queue->heap[at];
}

bool queue_take(struct queue *queue, struct event *event)
{
    if (queue->count == 0)
        return false;
    *event = queue->heap[0];
    struct event last = queue->heap[--queue->count];
    size_t at = 0;
    for (size_t child = 1; child < queue->count; child = 2 * at + 1) {
        if (child + 1 < queue->count &&
            comes_before(&queue->heap[child + 1], &queue->heap[child]))
            child++;
        if (!comes_before(&queue->heap[child], &last))
            break;
        queue->heap[at] = queue->heap[child];
        at = child;
    }
    if (queue->count > 0)
        queue->heap[at] = last;
    return true;
}

void queue_clear(struct queue *queue)
{
    for (size_t i = 0; i < queue->count; i++)
        free(queue->heap[i].data);
    free(queue->heap);
    *queue = (struct queue){ 0 };
}
