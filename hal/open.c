/* The one place that chooses a backend. */
#include <string.h>

#include "hal/hal.h"

enum hal_result hal_open(struct hal *hal, const struct hal_board *board)
{
    return board->backend == HAL_SIM ? hal_sim_open(hal, board->socket, board->name, board->role) :
                                       hal_linux_open(hal, strcmp(board->role, "guard") == 0);
}

const char *hal_backend_name(enum hal_backend backend)
{
    return backend == HAL_SIM ? "sim" : "linux";
}
