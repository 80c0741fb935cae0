#include "issuer/store_watch.h"

static enum store_watch_news note_slow(struct store_watch *watch, uint64_t took_us,
                                       struct instant now)
{
    bool began = !watch->slow;
    if (began) {
        watch->count = 0;
        watch->worst_us = 0;
    }
    watch->slow = true;
    watch->count += watch->counted ? 0 : 1;
    watch->total += watch->counted ? 0 : 1;
    watch->worst_us = took_us > watch->worst_us ? took_us : watch->worst_us;
    watch->calm_at = instant_add(now, span_from_ms(STORE_WATCH_CALM_MS));
    return began ? STORE_WATCH_BEGAN : STORE_WATCH_NOTHING;
}

static enum store_watch_news note_calm(struct store_watch *watch, struct instant now)
{
    if (!watch->slow || !instant_reached(watch->calm_at, now))
        return STORE_WATCH_NOTHING;
    watch->slow = false;
    return STORE_WATCH_OVER;
}

enum store_watch_news store_watch_done(struct store_watch *watch, uint64_t took_us,
                                       struct instant now)
{
    enum store_watch_news news =
        took_us > watch->threshold_us ? note_slow(watch, took_us, now) : note_calm(watch, now);
    watch->counted = false;
    return news;
}

enum store_watch_news store_watch_look(struct store_watch *watch, uint64_t waiting_us,
                                       struct instant now)
{
    if (waiting_us <= watch->threshold_us)
        return note_calm(watch, now);
    enum store_watch_news news = note_slow(watch, waiting_us, now);
    watch->counted = true;
    return news;
}
