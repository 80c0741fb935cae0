#include "log/log.h"

enum { LOG_BRAKE_MS = 1000 };

bool log_brake_admit(struct log_brake *brake, struct instant now)
{
    if (!instant_reached(brake->open_at, now)) {
        brake->held++;
        return false;
    }
    brake->open_at = instant_add(now, span_from_ms(LOG_BRAKE_MS));
    return true;
}

uint64_t log_brake_release(struct log_brake *brake, struct instant now)
{
    if (brake->held == 0 || !instant_reached(brake->open_at, now))
        return 0;
    uint64_t held = brake->held;
    brake->held = 0;
    brake->open_at = instant_add(now, span_from_ms(LOG_BRAKE_MS));
    return held;
}
