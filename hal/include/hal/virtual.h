/*
 * Is this board a virtual machine? One that is paused from outside stands still with all its clocks,
 * CLOCK_MONOTONIC_RAW too, while its outputs keep their levels: no lease bounds that.
 *
 * Owner: whoever calls; stateless. "No" means that nothing was found.
 */
#ifndef HOLDFAST_HAL_VIRTUAL_H
#define HOLDFAST_HAL_VIRTUAL_H

#include <stdbool.h>

#include "hal/files.h"

enum { HAL_VIRTUAL_MAX = 127 };

/* True with what showed it in `what`: "clock source \"kvm-clock\"". */
bool hal_virtual(const struct hal_files *files, char what[HAL_VIRTUAL_MAX + 1]);

#endif
