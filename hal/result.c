#include "hal/hal.h"

const char *hal_result_name(enum hal_result result)
{
    static const char *const names[] = {
        [HAL_OK] = "ok",
        [HAL_NOT_FOUND] = "not found",
        [HAL_BUSY] = "held by another process",
        [HAL_DENIED] = "permission denied",
        [HAL_IO] = "input/output error",
        [HAL_UNSUPPORTED] = "not supported by the device",
        [HAL_AMBIGUOUS] = "ambiguous",
        [HAL_LOST] = "connection to the bench lost",
    };
    return (unsigned)result < sizeof(names) / sizeof(names[0]) ? names[result] : "unknown";
}
