/* Streams and the listener: what is refused, what is bounded, and that the rest goes on. */
#include "tests/unit/support/unit.h"

#include <limits.h>
#include <time.h>

#include "peer/tls_engine.h"
#include "peer/tls_stream.h"
#include "tests/unit/peer/client.h"

enum {
    HANDSHAKE_MS = 5000,
    SHORT_HANDSHAKE_MS = 400,
    PLACES_MAX = 4,
    HANDSHAKES_MAX = 2,
    PER_HOST_MAX = 2,
    CONNECTIONS_MAX = 6
};

static struct pki pki;
static struct tls_identity *server_identity;
static struct tls_identity *client_identity;

/* One side of a stream, as an owner sees it. */
struct end {
    struct tls_stream *stream;
    struct tls_name peer;
    size_t received;
    size_t pieces; /* in which they came */
    uint8_t next;  /* expected value of the next byte */
    bool in_order;
    bool ready;
    bool closed;
    bool deaf; /* server: aborts the stream when data comes */
    bool full; /* pauses the stream when data comes */
    enum tls_cause cause;
    char reason[200];
};

struct world {
    uv_loop_t loop;
    struct tls_listener *listener;
    struct end accepted[CONNECTIONS_MAX + 1];
    size_t accepted_count;
    unsigned refused[TLS_CAUSES];
    unsigned refused_total;
    char refused_reason[200];
    bool listener_gone;
};

static struct world world;

static void on_ready(void *context, const struct tls_name *peer)
{
    struct end *end = context;
    end->ready = true;
    end->peer = *peer;
}

static void on_data(void *context, struct bytes data)
{
    struct end *end = context;
    end->received += data.length;
    end->pieces++;
    for (size_t i = 0; i < data.length; i++)
        end->in_order = end->in_order && data.data[i] == end->next++;
    if (end->deaf)
        tls_stream_abort(end->stream);
    if (end->full)
        tls_stream_pause(end->stream, true);
}

static void on_closed(void *context, enum tls_cause cause, const char *reason)
{
    struct end *end = context;
    assert_false(end->closed);
    end->closed = true;
    end->stream = NULL;
    end->cause = cause;
    snprintf(end->reason, sizeof(end->reason), "%s", reason);
}

static void on_stream(void *context, struct tls_stream *stream, const struct tls_name *peer)
{
    struct world *w = context;
    struct end *end = &w->accepted[w->accepted_count++];
    const struct tls_stream_events events = { end, NULL, on_data, on_closed };
    *end = (struct end){ .stream = stream, .peer = *peer, .in_order = true };
    tls_stream_adopt(stream, &events);
}

static void on_refused(void *context, const char *remote, enum tls_cause cause, const char *reason)
{
    struct world *w = context;
    assert_non_null(strstr(remote, "127.0.0.1:"));
    w->refused[cause]++;
    w->refused_total++;
    snprintf(w->refused_reason, sizeof(w->refused_reason), "%s", reason);
}

static unsigned steps;  /* of handshakes that were computed for listeners */
static uv_loop_t *slow; /* its clock goes on while one is */

enum tls_progress __real_tls_engine_handshake(struct tls_engine *engine);
enum tls_progress __wrap_tls_engine_handshake(struct tls_engine *engine);
enum tls_progress __wrap_tls_engine_handshake(struct tls_engine *engine)
{
    steps += engine->identity == server_identity;
    if (slow != NULL) {
        uv_sleep(3);
        uv_update_time(slow);
    }
    return __real_tls_engine_handshake(engine);
}

static void world_listen_for(uint32_t places, uint32_t handshake_ms)
{
    const struct tls_listener_config config = {
        .address = "127.0.0.1:0",
        .identity = server_identity,
        .places_max = places,
        .handshakes_max = HANDSHAKES_MAX,
        .per_host_max = PER_HOST_MAX,
        .connections_max = CONNECTIONS_MAX,
        .limits = { .handshake_ms = handshake_ms, .silence_ms = 1000, .queue_max = 65536 },
    };
    const struct tls_listener_events events = { &world, on_stream, on_refused };
    char error[TLS_TEXT_MAX] = "";
    world.listener = tls_listener_create(&world.loop, &config, &events, error, sizeof(error));
    if (world.listener == NULL)
        fail_msg("%s", error);
}

static void world_listen(uint32_t handshake_ms)
{
    world_listen_for(PLACES_MAX, handshake_ms);
}

static void dial(struct end *end, struct tls_session *session)
{
    const struct tls_stream_limits limits = { HANDSHAKE_MS, 1000, 65536 };
    const struct tls_stream_events events = { end, on_ready, on_data, on_closed };
    char address[32];
    snprintf(address, sizeof(address), "127.0.0.1:%u", tls_listener_port(world.listener));
    *end = (struct end){ .in_order = true };
    end->stream = tls_stream_dial(&world.loop, client_identity, address, session, &limits, &events);
    assert_non_null(end->stream);
}

static void on_listener_gone(void *context)
{
    *(bool *)context = true;
}

static bool all_accepted_closed(void *context)
{
    (void)context;
    for (size_t i = 0; i < world.accepted_count; i++) {
        if (!world.accepted[i].closed)
            return false;
    }
    return true;
}

static int setup(void **state)
{
    (void)state;
    memset(&world, 0, sizeof(world));
    return uv_loop_init(&world.loop);
}

static int teardown(void **state)
{
    (void)state;
    if (world.listener != NULL) {
        tls_listener_close(world.listener, on_listener_gone, &world.listener_gone);
        for (size_t i = 0; i < world.accepted_count; i++) {
            if (!world.accepted[i].closed)
                tls_stream_abort(world.accepted[i].stream);
        }
        assert_true(run_until(&world.loop, is_set, &world.listener_gone));
        assert_true(run_until(&world.loop, all_accepted_closed, NULL));
    }
    return uv_loop_close(&world.loop);
}

static bool is_ready(void *end)
{
    return ((struct end *)end)->ready || ((struct end *)end)->closed;
}

/*
 * A well-behaved client still gets through: whatever came before did no harm. With little time for
 * a handshake a busy machine may need more than one.
 */
static void expect_service_goes_on(int tries)
{
    struct end end = { 0 };
    size_t before = world.accepted_count;
    for (int i = 0; i < tries && !end.ready; i++) {
        dial(&end, NULL);
        assert_true(run_until(&world.loop, is_ready, &end));
    }
    if (!end.ready)
        fail_msg("%s", end.reason);
    assert_true(world.accepted_count == before + 1);
    tls_stream_close(end.stream);
    assert_true(run_until(&world.loop, is_set, &end.closed));
}

static bool so_many_accepted(void *count)
{
    return world.accepted_count == *(unsigned *)count;
}

/* ---- the good case */

static bool five_hundred_thousand_came(void *end)
{
    return ((struct end *)end)->received == 500000;
}

static void push(struct end *from, uint8_t *next, size_t *sent, size_t total)
{
    uint8_t bytes[5000];
    while (*sent < total && tls_stream_queued(from->stream) < 32768) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (*next)++;
        assert_true(tls_stream_write(from->stream, (struct bytes){ bytes, sizeof(bytes) }));
        *sent += sizeof(bytes);
    }
}

static void bytes_arrive_in_order_with_names_proven(void **state)
{
    struct end end;
    uint8_t next[2] = { 0, 0 };
    size_t sent[2] = { 0, 0 };
    (void)state;
    world_listen(HANDSHAKE_MS);
    dial(&end, NULL);
    assert_true(run_until(&world.loop, is_ready, &end));
    assert_true(end.ready);
    assert_string_equal(end.peer.common_name, "board-a");
    assert_string_equal(end.peer.unit, "node");
    assert_string_equal(end.peer.organization, "line-3");
    while (sent[0] < 500000 || sent[1] < 500000) {
        push(&end, &next[0], &sent[0], 500000);
        push(&world.accepted[0], &next[1], &sent[1], 500000);
        uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    assert_string_equal(world.accepted[0].peer.common_name, "ops");
    assert_string_equal(world.accepted[0].peer.unit, "operator");
    assert_true(run_until(&world.loop, five_hundred_thousand_came, &end));
    assert_true(run_until(&world.loop, five_hundred_thousand_came, &world.accepted[0]));
    assert_true(end.in_order && world.accepted[0].in_order);
    tls_stream_abort(end.stream);
    assert_true(run_until(&world.loop, is_set, &end.closed));
}

/* Bytes that count up, and a client that is ready to send them. */
static void connect_to_say(struct end *end, uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)i;
    world_listen(HANDSHAKE_MS);
    dial(end, NULL);
    assert_true(run_until(&world.loop, is_ready, end));
}

static void what_was_sent_before_a_graceful_close_arrives(void **state)
{
    struct end end;
    uint8_t bytes[60000];
    (void)state;
    connect_to_say(&end, bytes, sizeof(bytes));
    assert_true(tls_stream_write(end.stream, (struct bytes){ bytes, sizeof(bytes) }));
    tls_stream_close(end.stream);
    assert_false(tls_stream_write(end.stream, (struct bytes){ bytes, 1 }));
    assert_false(end.closed);
    assert_true(run_until(&world.loop, is_set, &world.accepted[0].closed));
    assert_int_equal(world.accepted[0].received, sizeof(bytes));
    assert_int_equal(world.accepted[0].cause, TLS_CAUSE_NONE);
    assert_true(run_until(&world.loop, is_set, &end.closed));
    assert_string_equal(end.reason, "closed by this side");
}

static void second_connection_resumes_the_session_with_its_names(void **state)
{
    struct tls_session *session = tls_session_create();
    (void)state;
    world_listen(HANDSHAKE_MS);
    for (unsigned turn = 0; turn < 3; turn++) {
        struct end end;
        unsigned count = turn + 1;
        dial(&end, session);
        assert_true(run_until(&world.loop, is_ready, &end));
        assert_true(end.ready);
        assert_true(run_until(&world.loop, so_many_accepted, &count));
        assert_int_equal(tls_stream_resumed(end.stream), turn > 0);
        assert_string_equal(end.peer.common_name, "board-a");
        assert_string_equal(world.accepted[turn].peer.common_name, "ops");
        tls_stream_close(end.stream);
        assert_true(run_until(&world.loop, is_set, &end.closed));
    }
    tls_session_free(session);
}

/* ---- refusals */

/* What libmbedtls takes for the time of day. */
static time_t clock_ahead_s;

time_t time(time_t *out)
{
    struct timespec now = { 0, 0 };
    clock_gettime(CLOCK_REALTIME, &now);
    time_t told = now.tv_sec + clock_ahead_s;
    if (out != NULL)
        *out = told;
    return told;
}

#if LONG_MAX == INT_MAX
/* By this name libmbedtls asks there: it was built when seconds had 32 bits. */
long time_of_32_bits(long *out) __asm__("time");

long time_of_32_bits(long *out)
{
    long told = (long)time(NULL);
    if (out != NULL)
        *out = told;
    return told;
}
#endif

/* The last of three connections: its fate is known on both sides. */
static bool is_refused_or_accepted(void *end)
{
    bool here = ((struct end *)end)->ready || ((struct end *)end)->closed;
    return here && world.refused_total + world.accepted_count >= 3;
}

/* Good for ten minutes more, so that a ticket outlives it. */
static void issue_brief(const char *name)
{
    char to[16];
    struct tm parts;
    time_t end = time(NULL) + 600;
    assert_non_null(gmtime_r(&end, &parts));
    assert_int_equal(strftime(to, sizeof(to), "%Y%m%d%H%M%S", &parts), 14);
    pki_issue(&pki, "ca", name, "CN=brief,OU=node,O=test", PKI_FROM, to);
}

/*
 * One full handshake and one resumed while it is good, then one more that offers the session. True
 * if that one has ended: whoever has an expired one is told by the other side, after its own end.
 */
static bool resume_expired(struct tls_identity **side, struct end *end)
{
    struct tls_identity *kept = *side;
    struct tls_session *session = tls_session_create();
    bool resumed = true;
    issue_brief("brief");
    *side = pki_load(&pki, "ca", "brief");
    world_listen(HANDSHAKE_MS);
    for (int turn = 0; turn < 2; turn++) {
        dial(end, session);
        resumed = run_until(&world.loop, is_ready, end) && end->ready &&
                  tls_stream_resumed(end->stream) == (turn > 0);
        tls_stream_close(end->stream);
        (void)run_until(&world.loop, is_set, &end->closed);
    }
    clock_ahead_s = 601;
    dial(end, session);
    bool ended = run_until(&world.loop, is_refused_or_accepted, end);
    clock_ahead_s = 0;
    if (!end->closed)
        tls_stream_abort(end->stream);
    (void)run_until(&world.loop, is_set, &end->closed);
    for (size_t i = 0; i < world.accepted_count; i++) {
        if (!world.accepted[i].closed)
            tls_stream_abort(world.accepted[i].stream);
    }
    tls_listener_close(world.listener, on_listener_gone, &world.listener_gone);
    (void)run_until(&world.loop, is_set, &world.listener_gone);
    (void)run_until(&world.loop, all_accepted_closed, NULL);
    world.listener = NULL;
    tls_session_free(session);
    tls_identity_free(*side);
    *side = kept;
    return resumed && ended;
}

static void resumed_session_of_an_expired_client_is_refused(void **state)
{
    struct end end;
    (void)state;
    assert_true(resume_expired(&client_identity, &end));
    assert_int_equal(world.refused[TLS_CAUSE_EXPIRED], 1);
    assert_int_equal(world.accepted_count, 2);
}

static void resumed_session_of_an_expired_server_is_refused(void **state)
{
    struct end end;
    (void)state;
    assert_true(resume_expired(&server_identity, &end));
    assert_false(end.ready);
    assert_int_equal(end.cause, TLS_CAUSE_EXPIRED);
}

static void expect_refused(struct client *client, enum tls_cause cause, const char *reason)
{
    client->pki = &pki;
    client->port = tls_listener_port(world.listener);
    client_start(client);
    client_wait(&world.loop, client);
    unsigned *count = &world.refused[cause];
    bool told = false;
    for (int turn = 0; turn < 1000 && !told; turn++) {
        uv_run(&world.loop, UV_RUN_NOWAIT);
        told = *count > 0;
    }
    if (!told || strstr(world.refused_reason, reason) == NULL)
        fail_msg("refused with \"%s\", not \"%s\"", world.refused_reason, reason);
    assert_int_equal(world.accepted_count, 0);
    assert_int_equal(world.refused_total, 1);
    expect_service_goes_on(1);
}

static void tls_1_1_is_refused(void **state)
{
    struct client client = { .certificate = "ops", .version_minor = MBEDTLS_SSL_MINOR_VERSION_2 };
    (void)state;
    world_listen(HANDSHAKE_MS);
    expect_refused(&client, TLS_CAUSE_PROTOCOL, "TLS 1.2 or later is required");
}

static void cbc_and_static_rsa_are_refused(void **state)
{
    static const int poor[] = { MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256,
                                MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
                                MBEDTLS_TLS_RSA_WITH_AES_128_GCM_SHA256, 0 };
    struct client client = { .certificate = "ops", .suites = poor };
    (void)state;
    world_listen(HANDSHAKE_MS);
    expect_refused(&client, TLS_CAUSE_PROTOCOL, "ECDHE with an AEAD cipher is required");
}

static void client_without_certificate_is_refused(void **state)
{
    struct client client = { 0 };
    (void)state;
    world_listen(HANDSHAKE_MS);
    expect_refused(&client, TLS_CAUSE_NO_CERTIFICATE, "no certificate");
}

static void certificate_of_another_ca_is_refused(void **state)
{
    struct client client = { .certificate = "stranger" };
    (void)state;
    world_listen(HANDSHAKE_MS);
    expect_refused(&client, TLS_CAUSE_CA, "wrong CA");
}

/* Before anything of it is computed with. */
static void chain_of_certificates_is_refused(void **state)
{
    struct client client = { .certificate = "chain" };
    (void)state;
    world_listen(HANDSHAKE_MS);
    expect_refused(&client, TLS_CAUSE_CERTIFICATE, "it must be one, of at most 4096 bytes");
}

static bool one_accepted(void *context);

/* As OpenSSL sends it, where it has the CA's file. */
static void certificate_with_the_cas_own_behind_it_is_accepted(void **state)
{
    struct client client = { .pki = &pki, .certificate = "with-ca" };
    (void)state;
    world_listen(HANDSHAKE_MS);
    client.port = tls_listener_port(world.listener);
    client_start(&client);
    assert_true(run_until(&world.loop, one_accepted, NULL));
    tls_stream_abort(world.accepted[0].stream);
    client_wait(&world.loop, &client);
    assert_int_equal(world.refused_total, 0);
}

static void expired_certificate_is_refused(void **state)
{
    struct client client = { .certificate = "old" };
    (void)state;
    world_listen(HANDSHAKE_MS);
    expect_refused(&client, TLS_CAUSE_EXPIRED, "expired certificate");
}

static void certificate_of_the_future_is_refused_once_the_clock_is_set(void **state)
{
    struct client client = { .certificate = "early" };
    (void)state;
    world_listen(HANDSHAKE_MS);
    expect_refused(&client, TLS_CAUSE_NOT_YET_VALID, "not yet valid");
}

static bool one_refused(void *context)
{
    (void)context;
    return world.refused_total >= 1;
}

static void plain_text_is_refused(void **state)
{
    static const char request[] = "GET / HTTP/1.0\r\n\r\n";
    (void)state;
    world_listen(HANDSHAKE_MS);
    int fd = plain_connect(tls_listener_port(world.listener));
    assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
    assert_true(run_until(&world.loop, one_refused, NULL));
    assert_int_equal(world.refused[TLS_CAUSE_PROTOCOL], 1);
    close(fd);
    expect_service_goes_on(1);
}

/* ---- bounds */

static void slow_handshake_is_ended_by_its_time_limit(void **state)
{
    (void)state;
    world_listen(SHORT_HANDSHAKE_MS);
    int fd = plain_connect(tls_listener_port(world.listener));
    assert_int_equal(write(fd, "\x16\x03\x01", 3), 3);
    assert_true(run_until(&world.loop, one_refused, NULL));
    assert_int_equal(world.refused[TLS_CAUSE_TIMEOUT], 1);
    assert_non_null(strstr(world.refused_reason, "no ClientHello within 400 ms"));
    close(fd);
    expect_service_goes_on(50);
}

/* Those that hold every place have nothing to say; whoever has gets one of them, each time. */
static void the_silent_give_way_to_whoever_speaks(void **state)
{
    int fds[PLACES_MAX + 1];
    (void)state;
    world_listen(HANDSHAKE_MS);
    for (int i = 0; i < PLACES_MAX + 1; i++)
        fds[i] = plain_connect(tls_listener_port(world.listener));
    assert_true(run_until(&world.loop, one_refused, NULL));
    assert_int_equal(world.refused[TLS_CAUSE_BUSY], 1);
    assert_non_null(strstr(world.refused_reason, "gave way to a newer one"));
    assert_true(plain_is_closed(fds[0]));
    for (int i = 1; i < PLACES_MAX + 1; i++)
        assert_false(plain_is_closed(fds[i]));
    for (int turn = 0; turn < 3; turn++)
        expect_service_goes_on(1);
    for (int i = 0; i < PLACES_MAX + 1; i++)
        close(fds[i]);
}

static const uint8_t half_a_hello[] = { 22, 3, 1, 0, 200, 1, 0, 0, 196 };

static void halves_of_a_first_message_give_way_too(void **state)
{
    int fds[PLACES_MAX];
    (void)state;
    world_listen(HANDSHAKE_MS);
    for (int i = 0; i < PLACES_MAX; i++) {
        fds[i] = plain_connect(tls_listener_port(world.listener));
        assert_int_equal(write(fds[i], half_a_hello, sizeof(half_a_hello)), sizeof(half_a_hello));
    }
    for (int turn = 0; turn < 3; turn++)
        expect_service_goes_on(1);
    for (int i = 0; i < PLACES_MAX; i++)
        close(fds[i]);
}

static bool two_gave_way(void *context)
{
    (void)context;
    return world.refused[TLS_CAUSE_BUSY] >= 2;
}

/* As long as a first message may be, and not whole. */
static void what_strangers_say_is_bounded_for_all_of_them_together(void **state)
{
    enum { STRANGERS = 10, SAID = 8000, KEPT = 65536 };
    static const uint8_t hello[SAID] = { 22, 3, 1, 31, 64, 1 };
    int fds[STRANGERS];
    unsigned kept = STRANGERS;
    (void)state;
    world_listen_for(STRANGERS + 2, HANDSHAKE_MS);
    for (int i = 0; i < STRANGERS; i++) {
        fds[i] = plain_connect(tls_listener_port(world.listener));
        assert_int_equal(write(fds[i], hello, SAID), SAID);
    }
    assert_true(run_until(&world.loop, two_gave_way, NULL));
    assert_non_null(strstr(world.refused_reason, "gave way to a newer one"));
    expect_service_goes_on(1); /* who says little costs nobody anything, and has its say */
    for (int i = 0; i < STRANGERS; i++)
        kept -= plain_is_closed(fds[i]);
    assert_true(kept * SAID <= KEPT && world.refused[TLS_CAUSE_BUSY] == 2);
    for (int i = 0; i < STRANGERS; i++)
        close(fds[i]);
}

static void silence_has_a_time_limit_of_its_own(void **state)
{
    (void)state;
    world_listen(HANDSHAKE_MS);
    int fd = plain_connect(tls_listener_port(world.listener));
    uint64_t started_ns = uv_hrtime();
    assert_true(run_until(&world.loop, one_refused, NULL));
    assert_int_equal(world.refused[TLS_CAUSE_TIMEOUT], 1);
    assert_non_null(strstr(world.refused_reason, "no ClientHello within 1000 ms"));
    assert_true(uv_hrtime() - started_ns > 900000000);
    close(fd);
}

static void connections_above_the_cap_are_turned_away(void **state)
{
    struct end ends[CONNECTIONS_MAX + 1];
    (void)state;
    world_listen(HANDSHAKE_MS);
    for (int i = 0; i < CONNECTIONS_MAX + 1; i++) {
        dial(&ends[i], NULL);
        assert_true(run_until(&world.loop, is_ready, &ends[i]));
    }
    assert_true(run_until(&world.loop, is_set, &ends[CONNECTIONS_MAX].closed));
    assert_int_equal(world.accepted_count, CONNECTIONS_MAX);
    assert_int_equal(world.refused[TLS_CAUSE_BUSY], 1);
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        tls_stream_abort(ends[i].stream);
        assert_true(run_until(&world.loop, is_set, &ends[i].closed));
    }
}

/* Clients that read nothing do not see the end, so the listener's side waits for theirs. */
static void who_lingers_gives_way_to_a_newcomer(void **state)
{
    struct end ends[CONNECTIONS_MAX + 1];
    (void)state;
    world_listen(HANDSHAKE_MS);
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        dial(&ends[i], NULL);
        assert_true(run_until(&world.loop, is_ready, &ends[i]));
        tls_stream_pause(ends[i].stream, true);
    }
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        tls_stream_close(world.accepted[i].stream);
    dial(&ends[CONNECTIONS_MAX], NULL);
    assert_true(run_until(&world.loop, is_ready, &ends[CONNECTIONS_MAX]));
    assert_true(ends[CONNECTIONS_MAX].ready);
    assert_int_equal(world.accepted_count, CONNECTIONS_MAX + 1);
    assert_int_equal(world.refused_total, 0);
    for (int i = 0; i <= CONNECTIONS_MAX; i++) {
        tls_stream_abort(ends[i].stream);
        assert_true(run_until(&world.loop, is_set, &ends[i].closed));
    }
}

static bool a_piece_came(void *end)
{
    return ((struct end *)end)->pieces > 0;
}

static bool fifty_thousand_came(void *end)
{
    return ((struct end *)end)->received == 50000;
}

/* A piece at a time, as the owner wants it; then its end, which comes last. */
static void paused_stream_gives_nothing_and_loses_nothing(void **state)
{
    struct end end;
    uint8_t bytes[50000];
    (void)state;
    connect_to_say(&end, bytes, sizeof(bytes));
    struct end *owner = &world.accepted[0];
    owner->full = true;
    assert_true(tls_stream_write(end.stream, (struct bytes){ bytes, sizeof(bytes) }));
    tls_stream_close(end.stream);
    assert_true(run_until(&world.loop, a_piece_came, owner));
    while (owner->received < sizeof(bytes)) {
        size_t before = owner->pieces;
        for (int turn = 0; turn < 5; turn++)
            uv_run(&world.loop, UV_RUN_NOWAIT);
        assert_int_equal(owner->pieces, before);
        assert_false(owner->closed);
        owner->pieces = 0;
        tls_stream_pause(owner->stream, false);
        assert_true(run_until(&world.loop, a_piece_came, owner));
        assert_int_equal(owner->pieces, 1);
    }
    assert_true(fifty_thousand_came(owner) && owner->in_order);
    tls_stream_pause(owner->stream, false);
    assert_true(run_until(&world.loop, is_set, &owner->closed));
    assert_true(run_until(&world.loop, is_set, &end.closed));
}

static void queue_is_bounded(void **state)
{
    static uint8_t bytes[16384];
    struct end end;
    size_t taken = 0;
    (void)state;
    world_listen(HANDSHAKE_MS);
    dial(&end, NULL);
    assert_true(run_until(&world.loop, is_ready, &end));
    /* The loop does not run, so nobody reads: the kernel fills up, then the queue. */
    while (taken < 64 * 1024 * 1024 &&
           tls_stream_write(end.stream, (struct bytes){ bytes, sizeof(bytes) }))
        taken += sizeof(bytes);
    assert_true(taken < 64 * 1024 * 1024);
    assert_true(tls_stream_queued(end.stream) <= 65536 + 1024);
    assert_true(tls_stream_queued(end.stream) + sizeof(bytes) > 65536);
    assert_false(end.closed);
    tls_stream_abort(end.stream);
    assert_true(run_until(&world.loop, is_set, &end.closed));
}

static bool all_came(void *sent)
{
    return world.accepted[0].received == *(size_t *)sent;
}

/* The other side has nothing to say, and no further write pushes the rest. */
static void what_the_kernel_takes_in_part_goes_on_by_itself(void **state)
{
    struct end end;
    uint8_t bytes[9973];
    uint8_t next = 0;
    size_t sent = 0;
    (void)state;
    world_listen(HANDSHAKE_MS);
    dial(&end, NULL);
    assert_true(run_until(&world.loop, is_ready, &end));
    for (int round = 0; round < 8; round++) {
        /* The loop does not run, so nobody reads: the kernel fills up. */
        while (tls_stream_queued(end.stream) == 0) {
            for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = next++;
            assert_true(tls_stream_write(end.stream, (struct bytes){ bytes, sizeof(bytes) }));
            sent += sizeof(bytes);
        }
        assert_true(run_until(&world.loop, all_came, &sent));
        assert_int_equal(tls_stream_queued(end.stream), 0);
    }
    assert_true(world.accepted[0].in_order);
    tls_stream_abort(end.stream);
    assert_true(run_until(&world.loop, is_set, &end.closed));
}

static bool one_accepted(void *context)
{
    (void)context;
    return world.accepted_count == 1;
}

static void stream_that_takes_nothing_is_closed_and_one_that_is_idle_is_not(void **state)
{
    static uint8_t bytes[16384];
    struct client client = { .pki = &pki, .certificate = "ops", .deaf = true };
    struct end idle;
    (void)state;
    world_listen(HANDSHAKE_MS);
    client.port = tls_listener_port(world.listener);
    client_start(&client);
    assert_true(run_until(&world.loop, one_accepted, NULL));
    dial(&idle, NULL);
    struct end *stuck = &world.accepted[0];
    while (tls_stream_write(stuck->stream, (struct bytes){ bytes, sizeof(bytes) }))
        uv_run(&world.loop, UV_RUN_NOWAIT);
    bool closed = run_until(&world.loop, is_set, &stuck->closed);
    atomic_store(&client.deaf, false);
    assert_true(closed);
    assert_int_equal(stuck->cause, TLS_CAUSE_NETWORK);
    assert_non_null(strstr(stuck->reason, "timed out"));
    client_wait(&world.loop, &client);
    assert_true(idle.ready && !idle.closed);
    tls_stream_abort(idle.stream);
    assert_true(run_until(&world.loop, is_set, &idle.closed));
}

/* Each attempt would have an answer, which waits in memory for who does not read. */
static void who_negotiates_again_is_hung_up_on(void **state)
{
    struct client client = { .pki = &pki, .certificate = "ops", .renegotiates = true };
    (void)state;
    world_listen(HANDSHAKE_MS);
    client.port = tls_listener_port(world.listener);
    client_start(&client);
    assert_true(run_until(&world.loop, one_accepted, NULL));
    client_wait(&world.loop, &client);
    assert_true(run_until(&world.loop, is_set, &world.accepted[0].closed));
    assert_int_equal(world.accepted[0].cause, TLS_CAUSE_PROTOCOL);
    assert_non_null(strstr(world.accepted[0].reason, "after the handshake"));
}

static void who_warns_and_warns_is_hung_up_on(void **state)
{
    struct client client;
    (void)state;
    world_listen(HANDSHAKE_MS);
    for (unsigned warnings = 1; warnings <= 2; warnings++) {
        struct end *end = &world.accepted[world.accepted_count];
        client = (struct client){ .pki = &pki, .certificate = "ops", .warnings = warnings };
        client.port = tls_listener_port(world.listener);
        client_start(&client);
        assert_true(run_until(&world.loop, so_many_accepted, &warnings));
        for (int turn = 0; turn < (warnings > 1 ? 2000 : 50) && !end->closed; turn++) {
            usleep(1000);
            uv_run(&world.loop, UV_RUN_NOWAIT);
        }
        bool closed = end->closed;
        if (!closed)
            tls_stream_abort(end->stream);
        client_wait(&world.loop, &client);
        assert_true(run_until(&world.loop, is_set, &end->closed));
        assert_true(closed == (warnings > 1));
    }
    assert_int_equal(world.accepted[1].cause, TLS_CAUSE_PROTOCOL);
}

/* Of the smallest records, so that a piece is many of them; the owner hears of each. */
static void one_piece_of_a_stream_is_read_in_a_turn(void **state)
{
    enum { RECORD = 22, PIECE = 8192, RECORDS = 8 * PIECE / RECORD };
    struct end end;
    (void)state;
    world_listen(HANDSHAKE_MS);
    dial(&end, NULL);
    assert_true(run_until(&world.loop, is_ready, &end));
    struct end *owner = &world.accepted[0];
    for (unsigned i = 0; i < RECORDS; i++) {
        const uint8_t byte = (uint8_t)i;
        assert_true(tls_stream_write(end.stream, (struct bytes){ &byte, 1 }));
    }
    assert_int_equal(tls_stream_queued(end.stream), 0);
    for (unsigned turn = 0; owner->received < RECORDS; turn++) {
        size_t before = owner->pieces;
        uv_run(&world.loop, UV_RUN_NOWAIT);
        assert_true(owner->pieces - before <= PIECE / RECORD + 1);
        assert_true(turn < 1000);
    }
    assert_true(owner->in_order);
    tls_stream_abort(end.stream);
    assert_true(run_until(&world.loop, is_set, &end.closed));
}

/*
 * As the peer port and the console are: one identity, one loop. All clients say the same at the same time,
 * first and later.
 */
static void all_listeners_together_compute_one_step_in_a_turn(void **state)
{
    struct end ends[CONNECTIONS_MAX];
    struct tls_listener *listeners[2];
    unsigned count = CONNECTIONS_MAX;
    bool gone = false;
    (void)state;
    world_listen(HANDSHAKE_MS);
    listeners[0] = world.listener;
    world_listen(HANDSHAKE_MS);
    listeners[1] = world.listener;
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        world.listener = listeners[i % 2];
        dial(&ends[i], NULL);
    }
    unsigned all = 0;
    uint64_t limit = uv_hrtime() + 10 * (uint64_t)1000000000;
    slow = &world.loop;
    while (!so_many_accepted(&count) && uv_hrtime() < limit) {
        steps = 0;
        uv_run(&world.loop, UV_RUN_NOWAIT);
        assert_true(steps <= 1);
        all += steps;
    }
    slow = NULL;
    assert_true(so_many_accepted(&count));
    assert_true(all >= 2 * CONNECTIONS_MAX);
    for (int i = 0; i < CONNECTIONS_MAX; i++)
        tls_stream_abort(ends[i].stream);
    /* Who was accepted first need not be who dialled first. */
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        assert_true(run_until(&world.loop, is_set, &ends[i].closed));
        assert_true(run_until(&world.loop, is_set, &world.accepted[i].closed));
    }
    tls_listener_close(listeners[0], on_listener_gone, &gone);
    world.listener = listeners[1];
    assert_true(run_until(&world.loop, is_set, &gone));
}

static void owner_may_abort_inside_on_data(void **state)
{
    struct end end;
    uint8_t bytes[3] = { 0, 1, 2 };
    (void)state;
    world_listen(HANDSHAKE_MS);
    dial(&end, NULL);
    assert_true(run_until(&world.loop, is_ready, &end));
    world.accepted[0].deaf = true;
    for (int i = 0; i < 10; i++)
        (void)tls_stream_write(end.stream, (struct bytes){ bytes, sizeof(bytes) });
    assert_true(run_until(&world.loop, is_set, &end.closed));
    assert_true(run_until(&world.loop, is_set, &world.accepted[0].closed));
    assert_int_equal(world.accepted[0].received, 3);
}

static void dialling_failures_come_as_on_closed(void **state)
{
    struct end end = { 0 };
    const struct tls_stream_limits limits = { HANDSHAKE_MS, 1000, 65536 };
    const struct tls_stream_events events = { &end, on_ready, on_data, on_closed };
    (void)state;
    end.stream =
        tls_stream_dial(&world.loop, client_identity, "pump-house", NULL, &limits, &events);
    assert_non_null(end.stream);
    assert_false(end.closed);
    assert_true(run_until(&world.loop, is_set, &end.closed));
    assert_non_null(strstr(end.reason, "HOST:PORT"));
    end = (struct end){ 0 };
    end.stream =
        tls_stream_dial(&world.loop, client_identity, "127.0.0.1:1", NULL, &limits, &events);
    assert_true(run_until(&world.loop, is_set, &end.closed));
    assert_int_equal(end.cause, TLS_CAUSE_NETWORK);
    assert_non_null(strstr(end.reason, "cannot connect"));
}

static void address_in_use_is_told(void **state)
{
    char address[32];
    char error[TLS_TEXT_MAX] = "";
    const struct tls_listener_events events = { &world, on_stream, on_refused };
    (void)state;
    world_listen(HANDSHAKE_MS);
    snprintf(address, sizeof(address), "127.0.0.1:%u", tls_listener_port(world.listener));
    struct tls_listener_config config = { .address = address,
                                          .identity = server_identity,
                                          .places_max = 1,
                                          .handshakes_max = 1,
                                          .per_host_max = 1 };
    assert_null(tls_listener_create(&world.loop, &config, &events, error, sizeof(error)));
    assert_non_null(strstr(error, address));
    assert_non_null(strstr(error, "address already in use"));
    config.address = "everywhere";
    assert_null(tls_listener_create(&world.loop, &config, &events, error, sizeof(error)));
    assert_non_null(strstr(error, "everywhere"));
    uv_run(&world.loop, UV_RUN_NOWAIT);
}

static int open_pki(void **state)
{
    (void)state;
    pki_open(&pki);
    pki_make_ca(&pki, "other", PKI_FROM, PKI_TO);
    pki_issue(&pki, "ca", "board-a", "CN=board-a,OU=node,O=line-3", PKI_FROM, PKI_TO);
    pki_issue(&pki, "ca", "ops", "CN=ops,OU=operator,O=line-3", PKI_FROM, PKI_TO);
    pki_issue(&pki, "ca", "old", "CN=ops,OU=operator,O=line-3", PKI_FROM, "20200201000000");
    pki_issue(&pki, "ca", "early", "CN=ops,OU=operator,O=line-3", "20450101000000", PKI_TO);
    pki_issue(&pki, "other", "stranger", "CN=ops,OU=operator,O=line-3", PKI_FROM, PKI_TO);
    pki_chain(&pki, "chain", "ops", "other");
    pki_chain(&pki, "with-ca", "ops", "ca");
    server_identity = pki_load(&pki, "ca", "board-a");
    client_identity = pki_load(&pki, "ca", "ops");
    return 0;
}

static int close_pki(void **state)
{
    (void)state;
    tls_identity_free(server_identity);
    tls_identity_free(client_identity);
    pki_close(&pki);
    return 0;
}

#define STREAM_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STREAM_TEST(bytes_arrive_in_order_with_names_proven),
        STREAM_TEST(what_was_sent_before_a_graceful_close_arrives),
        STREAM_TEST(second_connection_resumes_the_session_with_its_names),
        STREAM_TEST(resumed_session_of_an_expired_client_is_refused),
        STREAM_TEST(resumed_session_of_an_expired_server_is_refused),
        STREAM_TEST(tls_1_1_is_refused),
        STREAM_TEST(cbc_and_static_rsa_are_refused),
        STREAM_TEST(client_without_certificate_is_refused),
        STREAM_TEST(certificate_of_another_ca_is_refused),
        STREAM_TEST(chain_of_certificates_is_refused),
        STREAM_TEST(certificate_with_the_cas_own_behind_it_is_accepted),
        STREAM_TEST(expired_certificate_is_refused),
        STREAM_TEST(certificate_of_the_future_is_refused_once_the_clock_is_set),
        STREAM_TEST(plain_text_is_refused),
        STREAM_TEST(slow_handshake_is_ended_by_its_time_limit),
        STREAM_TEST(the_silent_give_way_to_whoever_speaks),
        STREAM_TEST(halves_of_a_first_message_give_way_too),
        STREAM_TEST(what_strangers_say_is_bounded_for_all_of_them_together),
        STREAM_TEST(silence_has_a_time_limit_of_its_own),
        STREAM_TEST(connections_above_the_cap_are_turned_away),
        STREAM_TEST(who_lingers_gives_way_to_a_newcomer),
        STREAM_TEST(paused_stream_gives_nothing_and_loses_nothing),
        STREAM_TEST(queue_is_bounded),
        STREAM_TEST(what_the_kernel_takes_in_part_goes_on_by_itself),
        STREAM_TEST(stream_that_takes_nothing_is_closed_and_one_that_is_idle_is_not),
        STREAM_TEST(who_negotiates_again_is_hung_up_on),
        STREAM_TEST(who_warns_and_warns_is_hung_up_on),
        STREAM_TEST(one_piece_of_a_stream_is_read_in_a_turn),
        STREAM_TEST(all_listeners_together_compute_one_step_in_a_turn),
        STREAM_TEST(owner_may_abort_inside_on_data),
        STREAM_TEST(dialling_failures_come_as_on_closed),
        STREAM_TEST(address_in_use_is_told),
    };
    return cmocka_run_group_tests(tests, open_pki, close_pki);
}
