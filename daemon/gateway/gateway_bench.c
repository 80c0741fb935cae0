/* Beside hello, the one line that a gateway has to say. */
#include "gateway/gateway_bench.h"

#include <sys/socket.h>

#include "hal/clock.h"
#include "log/log.h"

void gateway_bench_open(struct gateway_bench *bench, const struct conf *conf)
{
    *bench = (struct gateway_bench){ .conf = conf };
    pthread_mutex_init(&bench->mutex, NULL);
}

/* The mutex is held. */
static void send_port(const struct gateway_bench *bench, uint16_t port)
{
    char line[32];
    int length = snprintf(line, sizeof(line), "modbus %u\n", port);
    /* A bench that is gone is noticed by its descriptor, not here. */
    if (length > 0)
        (void)send(bench->hal.fd, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void adopt(struct gateway_bench *bench, const struct hal *hal)
{
    pthread_mutex_lock(&bench->mutex);
    bench->hal = *hal;
    bench->registered = true;
    for (size_t i = 0; i < CONF_ACTUATORS_MAX; i++) {
        uint16_t port = bench->port[(bench->next_port + i) % CONF_ACTUATORS_MAX];
        if (port != 0)
            send_port(bench, port);
    }
    pthread_mutex_unlock(&bench->mutex);
}

bool gateway_bench_register(struct gateway_bench *bench)
{
    if (bench->conf->hal != CONF_HAL_SIM || bench->registered)
        return false;
    if (!instant_reached(bench->retry_at, hal_clock_now()))
        return true;
    struct hal hal;
    enum hal_result result =
        hal_sim_open(&hal, bench->conf->hal_socket, bench->conf->node_id.text, "gateway");
    bench->retry_at = instant_add(hal_clock_now(), span_from_ms(GATEWAY_BENCH_RETRY_MS));
    if (result == HAL_OK) {
        adopt(bench, &hal);
        log_line(LOG_INFO, "gateway: registered at the bench on %s", bench->conf->hal_socket);
    } else if (!bench->absence_logged) {
        log_line(LOG_WARNING, "gateway: no bench on %s: %s, trying on", bench->conf->hal_socket,
                 hal_result_name(result));
    }
    bench->absence_logged = result != HAL_OK;
    return result != HAL_OK;
}

int gateway_bench_descriptor(const struct gateway_bench *bench)
{
    return bench->registered ? bench->hal.fd : -1;
}

static void leave(struct gateway_bench *bench)
{
    pthread_mutex_lock(&bench->mutex);
    bench->registered = false;
    bench->hal.close(&bench->hal);
    pthread_mutex_unlock(&bench->mutex);
}

void gateway_bench_drain(struct gateway_bench *bench)
{
    if (bench->hal.service(bench->hal.context) == HAL_OK)
        return;
    log_line(LOG_WARNING, "gateway: the bench is gone");
    leave(bench);
    bench->absence_logged = true;
    bench->retry_at = instant_add(hal_clock_now(), span_from_ms(GATEWAY_BENCH_RETRY_MS));
}

void gateway_bench_tell_port(void *context, uint16_t port)
{
    struct gateway_bench *bench = context;
    pthread_mutex_lock(&bench->mutex);
    bench->port[bench->next_port] = port;
    bench->next_port = (bench->next_port + 1) % CONF_ACTUATORS_MAX;
    if (bench->registered)
        send_port(bench, port);
    pthread_mutex_unlock(&bench->mutex);
}

void gateway_bench_close(struct gateway_bench *bench)
{
    if (bench->registered)
        leave(bench);
    pthread_mutex_destroy(&bench->mutex);
}
