#include "peer/refusals.h"

#include "base/name.h"

const char *refusal_cause_text(int cause)
{
    static const char *const texts[REFUSAL_CAUSES - TLS_CAUSES] = {
        [REFUSAL_CLUSTER - TLS_CAUSES] = "wrong cluster name",
        [REFUSAL_VERSION - TLS_CAUSES] = "protocol version mismatch",
        [REFUSAL_HELLO - TLS_CAUSES] = "no hello",
        [REFUSAL_FRAME - TLS_CAUSES] = "bad frame",
        [REFUSAL_LINE - TLS_CAUSES] = "bad line",
    };
    return cause < TLS_CAUSES ? tls_cause_text((enum tls_cause)cause) : texts[cause - TLS_CAUSES];
}

bool refusals_admit(struct refusals *refusals, int cause, const char *who, uint64_t now_ms)
{
    if (!refusals->window[cause].open) {
        refusals->window[cause].open = true;
        refusals->window[cause].started_ms = now_ms;
        refusals->window[cause].held_back = 0;
        return true;
    }
    refusals->window[cause].held_back++;
    text_copy(refusals->window[cause].last, sizeof(refusals->window[cause].last), who);
    return false;
}

uint32_t refusals_collect(struct refusals *refusals, int cause, uint64_t now_ms)
{
    if (!refusals->window[cause].open ||
        now_ms - refusals->window[cause].started_ms < REFUSALS_WINDOW_MS)
        return 0;
    uint32_t held_back = refusals->window[cause].held_back;
    /*
     * While refusals go on, the summary is the one line of a minute: a next window opens with it.
     */
    refusals->window[cause].open = held_back > 0;
    refusals->window[cause].started_ms = now_ms;
    refusals->window[cause].held_back = 0;
    return held_back;
}

bool refusals_pending(const struct refusals *refusals)
{
    for (int cause = 0; cause < REFUSAL_CAUSES; cause++) {
        if (refusals->window[cause].open)
            return true;
    }
    return false;
}
