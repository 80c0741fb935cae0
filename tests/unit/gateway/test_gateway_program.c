/* The program itself: flags, bad configurations, the lease page, the bench, signals, a kill. */
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/unit/gateway/actuator.h"
#include "tests/unit/gateway/page_file.h"

enum { PATIENCE_TRIES = 2500, PATIENCE_STEP_US = 2000, UNIT = 1, RESPONSE_MS = 100 };

struct program {
    char folder[32];
    char file[64];
    char log[64];
    uint16_t port;
    struct actuator actuator;
};

static const char *binary(char *path, size_t size)
{
    const char *folder = getenv("HOLDFAST_BIN");
    if (folder == NULL)
        return NULL;
    snprintf(path, size, "%s/holdfast-gateway", folder);
    return path;
}

static uint16_t free_port(void)
{
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
    uint16_t port = bound_port(fd);
    close(fd);
    return port;
}

static void write_file(const struct program *program, bool with_gateway, const char *more)
{
    FILE *out = fopen(program->file, "w");
    assert_non_null(out);
    fprintf(out,
            "node = { id = \"board-a\"; data_dir = \"%s\"; run_dir = \"%s\"; };\n"
            "cluster = { name = \"test\"; issuers = (\n"
            "  { id = \"i-1\"; address = \"127.0.0.1:7401\"; },\n"
            "  { id = \"i-2\"; address = \"127.0.0.1:7402\"; },\n"
            "  { id = \"i-3\"; address = \"127.0.0.1:7403\"; } ); };\n"
            "tls = { ca = \"ca.crt\"; cert = \"a.crt\"; key = \"a.key\"; };\n"
            "timing = { heartbeat_ms = 50; election_ms = 300; drift_ppm = 2000; };\n"
            "agent = { resources = ( { name = \"valve\"; ttl_ms = 1000; priority = 100;\n"
            "  release_ms = 5; outputs = ( { name = \"enable\"; kind = \"pulse\"; chip = \"sim\";\n"
            "  line = 17; rate_hz = 500; hold_ms = 20;\n"
            "  readback = { chip = \"sim\"; line = 27; within_ms = 5; }; } ); } ); };\n"
            "hal = { backend = \"sim\"; socket = \"%s/bench.sock\"; };\n",
            program->folder, program->folder, program->folder);
    if (with_gateway)
        fprintf(out,
                "gateway = { listen = \"127.0.0.1:%u\"; resource = \"valve\"; actuators = (\n"
                "  { unit = %d; tcp = \"127.0.0.1:%u\"; response_ms = %d; } ); };\n",
                program->port, UNIT, program->actuator.port, RESPONSE_MS);
    fputs(more, out);
    assert_int_equal(fclose(out), 0);
}

static pid_t start(const struct program *program, const char *const *arguments)
{
    char path[256];
    const char *name = binary(path, sizeof(path));
    const char *argv[6] = { name };
    for (int i = 0; i < 4 && arguments[i] != NULL; i++)
        argv[i + 1] = arguments[i];
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int log = open(program->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
        if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
            _exit(126);
        execv(name, (char *const *)argv);
        _exit(127);
    }
    return child;
}

static int end_status(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static bool log_has(const struct program *program, const char *text)
{
    char log[8192] = { 0 };
    FILE *in = fopen(program->log, "r");
    if (in == NULL)
        return false;
    (void)!fread(log, 1, sizeof(log) - 1, in);
    fclose(in);
    return strstr(log, text) != NULL;
}

static void await_log(const struct program *program, const char *text)
{
    for (int i = 0; i < PATIENCE_TRIES && !log_has(program, text); i++)
        usleep(PATIENCE_STEP_US);
    assert_true(log_has(program, text));
}

static int run(const struct program *program, const char *const *arguments)
{
    return end_status(start(program, arguments));
}

static void flags_do_what_they_say(void **state)
{
    const struct program *program = *state;
    if (program == NULL)
        skip();
    write_file(program, true, "");
    assert_int_equal(run(program, (const char *[]){ "-t", "-c", program->file, NULL }), 0);
    assert_int_equal(run(program, (const char *[]){ "--version", NULL }), 0);
    assert_true(log_has(program, "holdfast-gateway "));
    assert_int_equal(run(program, (const char *[]){ "--help", NULL }), 0);
    assert_true(log_has(program, "usage: holdfast-gateway"));
    assert_int_equal(run(program, (const char *[]){ "-x", NULL }), 2);
    assert_true(log_has(program, "usage: holdfast-gateway"));
    assert_int_equal(run(program, (const char *[]){ "-t", "more", NULL }), 2);
    assert_int_equal(run(program, (const char *[]){ "-c", NULL }), 2);
}

static void bad_configurations_end_with_78_and_the_reason(void **state)
{
    const struct program *program = *state;
    if (program == NULL)
        skip();
    const char *const arguments[] = { "-c", program->file, NULL };
    write_file(program, false, "");
    assert_int_equal(run(program, arguments), 78);
    assert_true(log_has(program, "gateway: missing"));
    write_file(program, true, "nonsense = { a = 1; };\n");
    assert_int_equal(run(program, arguments), 78);
    assert_true(log_has(program, "nonsense"));
    unlink(program->file);
    assert_int_equal(run(program, arguments), 78);
}

static modbus_t *connect_master(const struct program *program)
{
    modbus_t *master = modbus_new_tcp("127.0.0.1", program->port);
    modbus_set_slave(master, UNIT);
    modbus_set_response_timeout(master, 5, 0);
    assert_int_equal(modbus_connect(master), 0);
    return master;
}

static void write_is_refused_and_read_passes_without_a_lease_page(void **state)
{
    struct program *program = *state;
    if (program == NULL)
        skip();
    write_file(program, true, "");
    pid_t child = start(program, (const char *[]){ "-f", "-c", program->file, NULL });
    await_log(program, "gateway listens on");
    modbus_t *master = connect_master(program);
    assert_int_equal(modbus_write_register(master, 12, 1), -1);
    assert_int_equal(errno, EMBXSBUSY);
    uint16_t value = 1;
    assert_int_equal(modbus_read_registers(master, 12, 1, &value), 1);
    assert_int_equal(value, 0);
    assert_int_equal(program->actuator.writes, 0);
    await_log(program, "valve unit 1: write refused: no lease (function 6 register 12)");
    assert_int_equal(kill(child, SIGUSR1), 0);
    await_log(program, "1 reads and 0 writes forwarded, 1 requests refused");
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(end_status(child), 0);
    modbus_close(master);
    modbus_free(master);
}

/* The hazard: what a killed writer has queued would still be delivered. */
static void killed_gateway_resets_the_write_under_way(void **state)
{
    struct program *program = *state;
    if (program == NULL)
        skip();
    write_file(program, true, "");
    page_publish(program->folder, "valve", 1, INT64_C(60000000));
    pid_t child = start(program, (const char *[]){ "-c", program->file, NULL });
    await_log(program, "gateway listens on");
    modbus_t *master = connect_master(program);
    assert_int_equal(modbus_write_register(master, 12, 5), 1);
    assert_int_equal(program->actuator.map->tab_registers[12], 5);
    program->actuator.delay_ms = RESPONSE_MS * 100;
    const uint8_t write_7[] = { UNIT, 6, 0, 12, 0, 7 };
    assert_true(modbus_send_raw_request(master, write_7, sizeof(write_7)) > 0);
    for (int i = 0; i < PATIENCE_TRIES && program->actuator.writes < 2; i++)
        usleep(PATIENCE_STEP_US);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    for (int i = 0; i < PATIENCE_TRIES && program->actuator.resets < 1; i++)
        usleep(PATIENCE_STEP_US);
    assert_int_equal(program->actuator.resets, 1);
    assert_int_equal(program->actuator.writes, 2);
    assert_int_equal(program->actuator.map->tab_registers[12], 5);
    modbus_close(master);
    modbus_free(master);
}

static void registers_at_the_bench_and_outlives_it(void **state)
{
    struct program *program = *state;
    if (program == NULL)
        skip();
    write_file(program, true, "");
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    snprintf(at.sun_path, sizeof(at.sun_path), "%s/bench.sock", program->folder);
    int bench = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(bench, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(bench, 1), 0);
    pid_t child = start(program, (const char *[]){ "-c", program->file, NULL });
    int board = accept(bench, NULL, NULL);
    char hello[64] = { 0 };
    char want[64];
    snprintf(want, sizeof(want), "hello board-a gateway %ld\n", (long)child);
    assert_int_equal(recv(board, hello, strlen(want), MSG_WAITALL), strlen(want));
    assert_string_equal(hello, want);
    await_log(program, ": joined");
    /* Then the port of its connection to the actuator, for the witness. */
    char ports[64] = { 0 };
    for (int i = 0; i < PATIENCE_TRIES && program->actuator.connections < 1; i++)
        usleep(PATIENCE_STEP_US);
    assert_true(recv(board, ports, sizeof(ports) - 1, 0) > 0);
    assert_memory_equal(ports, "modbus ", strlen("modbus "));
    assert_int_equal(strtoul(ports + strlen("modbus "), NULL, 10), program->actuator.peer_port);
    close(board);
    close(bench);
    unlink(at.sun_path);
    await_log(program, ": connection to the bench lost");
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(end_status(child), 0);
}

/* As when the collector of logs restarts: a standby that dies of it fences, but forwards no more. */
static void gateway_outlives_the_reader_of_its_log(void **state)
{
    struct program *program = *state;
    if (program == NULL)
        skip();
    write_file(program, true, "");
    assert_int_equal(mkfifo(program->log, 0600), 0);
    int reader = open(program->log, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    pid_t child = start(program, (const char *[]){ "-c", program->file, NULL });
    modbus_t *master = NULL;
    for (int i = 0; i < PATIENCE_TRIES && program->actuator.connections < 1; i++)
        usleep(PATIENCE_STEP_US);
    master = connect_master(program);
    close(reader);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(modbus_write_register(master, 12, 7), -1);
        assert_int_equal(errno, EMBXSBUSY);
        assert_int_equal(kill(child, SIGUSR1), 0);
    }
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(end_status(child), 0);
    modbus_close(master);
    modbus_free(master);
}

static void second_gateway_on_the_same_port_says_so(void **state)
{
    struct program *program = *state;
    if (program == NULL)
        skip();
    write_file(program, true, "");
    const char *const arguments[] = { "-c", program->file, NULL };
    pid_t first = start(program, arguments);
    await_log(program, "gateway listens on");
    assert_int_equal(run(program, arguments), 1);
    assert_true(log_has(program, "Address already in use"));
    assert_int_equal(kill(first, SIGTERM), 0);
    assert_int_equal(end_status(first), 0);
}

static int set_up(void **state)
{
    *state = NULL;
    if (getenv("HOLDFAST_BIN") == NULL)
        return 0;
    struct program *program = calloc(1, sizeof(*program));
    assert_non_null(program);
    strcpy(program->folder, "/tmp/holdfast-gateway-XXXXXX");
    assert_non_null(mkdtemp(program->folder));
    snprintf(program->file, sizeof(program->file), "%s/holdfast.conf", program->folder);
    snprintf(program->log, sizeof(program->log), "%s/log", program->folder);
    program->port = free_port();
    actuator_start(&program->actuator);
    *state = program;
    return 0;
}

static int tear_down(void **state)
{
    struct program *program = *state;
    if (program == NULL)
        return 0;
    actuator_stop(&program->actuator);
    unlink(program->file);
    unlink(program->log);
    char page[64];
    snprintf(page, sizeof(page), "%s/lease.page", program->folder);
    unlink(page);
    rmdir(program->folder);
    free(program);
    return 0;
}

#define ON_A_PROGRAM(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_PROGRAM(flags_do_what_they_say),
        ON_A_PROGRAM(bad_configurations_end_with_78_and_the_reason),
        ON_A_PROGRAM(write_is_refused_and_read_passes_without_a_lease_page),
        ON_A_PROGRAM(killed_gateway_resets_the_write_under_way),
        ON_A_PROGRAM(registers_at_the_bench_and_outlives_it),
        ON_A_PROGRAM(gateway_outlives_the_reader_of_its_log),
        ON_A_PROGRAM(second_gateway_on_the_same_port_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
