/* A span as text in milliseconds, for messages: "998.5". Plain data. */
#ifndef HOLDFAST_CONF_MS_H
#define HOLDFAST_CONF_MS_H

#include "base/instant.h"

struct conf_ms {
    char text[32];
};

/* Whole microseconds as milliseconds, exact, without trailing zeros. */
struct conf_ms conf_ms(struct span span);

#endif
