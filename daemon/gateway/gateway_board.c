/* Joins the board at the start, and again whenever the connection to it was lost. */
#include "gateway/gateway_board.h"

#include "hal/clock.h"
#include "log/log.h"

void gateway_board_open(struct gateway_board *board, const struct conf *conf)
{
    *board = (struct gateway_board){ .board = conf_hal_board(conf, "gateway") };
    pthread_mutex_init(&board->mutex, NULL);
}

static void adopt(struct gateway_board *board, const struct hal *hal)
{
    pthread_mutex_lock(&board->mutex);
    board->hal = *hal;
    board->joined = true;
    /* A failure here is not looked at: the descriptor shows when the board is gone again. */
    for (size_t i = 0; i < CONF_ACTUATORS_MAX; i++) {
        uint16_t port = board->port[(board->next_port + i) % CONF_ACTUATORS_MAX];
        if (port != 0)
            (void)hal->announce_port(hal->context, port);
    }
    pthread_mutex_unlock(&board->mutex);
}

bool gateway_board_join(struct gateway_board *board)
{
    const char *backend = hal_backend_name(board->board.backend);
    if (board->joined)
        return false;
    if (!instant_reached(board->retry_at, hal_clock_now()))
        return true;
    struct hal hal;
    enum hal_result result = hal_open(&hal, &board->board);
    board->retry_at = instant_add(hal_clock_now(), span_from_ms(GATEWAY_BOARD_RETRY_MS));
    if (result == HAL_OK) {
        adopt(board, &hal);
        log_line(LOG_INFO, "gateway: hal %s %s: joined", backend, board->board.socket);
    } else if (!board->absence_logged) {
        log_line(LOG_WARNING, "gateway: hal %s %s: %s, trying on", backend, board->board.socket,
                 hal_result_name(result));
    }
    board->absence_logged = result != HAL_OK;
    return result != HAL_OK;
}

int gateway_board_descriptor(const struct gateway_board *board)
{
    return board->joined ? board->hal.fd : -1;
}

/* Call it with the mutex held: other threads announce ports. */
static void leave(struct gateway_board *board)
{
    board->joined = false;
    board->hal.close(&board->hal);
}

void gateway_board_drain(struct gateway_board *board)
{
    pthread_mutex_lock(&board->mutex);
    enum hal_result result = board->hal.service(board->hal.context);
    if (result != HAL_OK)
        leave(board);
    pthread_mutex_unlock(&board->mutex);
    if (result == HAL_OK)
        return;
    log_line(LOG_WARNING, "gateway: hal %s %s: %s", board->hal.backend, board->board.socket,
             hal_result_name(result));
    board->absence_logged = true;
    board->retry_at = instant_add(hal_clock_now(), span_from_ms(GATEWAY_BOARD_RETRY_MS));
}

void gateway_board_announce_port(void *context, uint16_t port)
{
    struct gateway_board *board = context;
    pthread_mutex_lock(&board->mutex);
    board->port[board->next_port] = port;
    board->next_port = (board->next_port + 1) % CONF_ACTUATORS_MAX;
    if (board->joined)
        (void)board->hal.announce_port(board->hal.context, port);
    pthread_mutex_unlock(&board->mutex);
}

void gateway_board_close(struct gateway_board *board)
{
    pthread_mutex_lock(&board->mutex);
    if (board->joined)
        leave(board);
    pthread_mutex_unlock(&board->mutex);
    pthread_mutex_destroy(&board->mutex);
}
