/* The real program over real sockets, pids and Modbus masters (HOLDFAST_BIN names its folder). */
#include <errno.h>
#include <fcntl.h>
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/check.h"
#include "tests/bench/posix.h"
#include "tests/unit/support/unit.h"

static const char bench_file[] =
    "bench = { socket = \"s\"; ctl = \"c\"; trace = \"t\"; boards = (\"board-a\", \"board-b\");\n"
    "  resources = ( { name = \"pump\"; lines = (\n"
    "    { name = \"enable\"; kind = \"gpio\"; readback = true; },\n"
    "    { name = \"charge\"; kind = \"pulse\"; hold_ms = 20; readback = true; } ); } );\n"
    "  actuators = ( { name = \"valve\"; listen = \"127.0.0.1:0\"; resource = \"pump\"; },\n"
    "                { name = \"lift\"; rtu = true; unit = 7; } ); reset_ms = 50; };\n";

struct fixture {
    char folder[64];
    char program[512];
    char ready[1024];
    pid_t pid;
};

static void path_in(const struct fixture *fixture, const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", fixture->folder, name);
}

static int launch(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    const char *bin = getenv("HOLDFAST_BIN");
    char config[128];
    int out[2];
    assert_non_null(fixture);
    *state = fixture;
    if (!bin)
        return 0;
    snprintf(fixture->program, sizeof fixture->program, "%s/holdfast-bench", bin);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/bench-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    path_in(fixture, "bench.conf", config);
    FILE *file = fopen(config, "we");
    assert_non_null(file);
    fputs(bench_file, file);
    fclose(file);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    fixture->pid = fork();
    if (fixture->pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        execl(fixture->program, fixture->program, "-c", config, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    FILE *ready = fdopen(out[0], "r");
    assert_non_null(fgets(fixture->ready, sizeof fixture->ready, ready));
    fclose(ready);
    return 0;
}

/* Ends the bench; its exit status. */
static int finish(struct fixture *fixture)
{
    int status = 0;
    assert_int_equal(kill(fixture->pid, SIGTERM), 0);
    assert_int_equal(waitpid(fixture->pid, &status, 0), fixture->pid);
    fixture->pid = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int tidy(void **state)
{
    struct fixture *fixture = *state;
    static const char *const names[] = { "bench.conf", "t", "s", "c" };
    char path[128];
    if (fixture->pid > 0)
        (void)finish(fixture);
    for (size_t i = 0; fixture->folder[0] && i < 4; i++) {
        path_in(fixture, names[i], path);
        unlink(path);
    }
    if (fixture->folder[0])
        rmdir(fixture->folder);
    free(fixture);
    return 0;
}

static struct fixture *need(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->pid == 0) {
        printf("HOLDFAST_BIN is not set: skipped\n");
        skip();
    }
    return fixture;
}

static void say(int fd, const char *text)
{
    assert_true(posix_send(fd, text, strlen(text)));
}

static void wait_for(int fd, const char *text)
{
    char all[1024] = "";
    size_t used = 0;
    struct pollfd entry = { .fd = fd, .events = POLLIN };
    while (!strstr(all, text)) {
        if (poll(&entry, 1, 5000) != 1)
            fail_msg("no \"%s\" within 5 s, only \"%s\"", text, all);
        /* A byte at a time: what follows is for the next call. */
        ssize_t got = recv(fd, all + used, 1, 0);
        if (got <= 0 || used + 2 > sizeof all)
            fail_msg("closed without \"%s\": \"%s\"", text, all);
        used++;
        all[used] = '\0';
    }
}

static int connect_as(const struct fixture *fixture, const char *board, const char *role)
{
    char path[128];
    char hello[128];
    path_in(fixture, "s", path);
    int fd = posix_connect_unix(path);
    assert_true(fd >= 0);
    snprintf(hello, sizeof hello, "hello %s %s %d\n", board, role, (int)getpid());
    say(fd, hello);
    if (strcmp(role, "guard") == 0)
        wait_for(fd, "in pump/charge");
    return fd;
}

static char *read_trace(const struct fixture *fixture, char *out, size_t size)
{
    char path[128];
    path_in(fixture, "t", path);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
    return out;
}

static void wait_for_trace(const struct fixture *fixture, const char *text)
{
    char trace[16384];
    const struct timespec pause = { .tv_nsec = 2000000 };
    for (int i = 0; i < 2500; i++) {
        if (strstr(read_trace(fixture, trace, sizeof trace), text))
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("no %s in the trace:\n%s", text, trace);
}

static int check(const struct fixture *fixture)
{
    char path[128];
    path_in(fixture, "t", path);
    return check_trace(path, stdout, stderr);
}

static int ctl(const struct fixture *fixture, const char *words)
{
    char command[1024];
    snprintf(command, sizeof command, "%s ctl -s %s/c %s 2>/dev/null", fixture->program,
             fixture->folder, words);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Both drive for 1 ms: board-a goes off when 1 ms has passed since board-b went on. */
static void a_planted_overlap_of_1_ms_is_reported(void **state)
{
    struct fixture *fixture = need(state);
    char trace[16384];
    const struct timespec one_ms = { .tv_nsec = 1000000 };
    int a = connect_as(fixture, "board-a", "guard");
    int b = connect_as(fixture, "board-b", "guard");
    say(a, "out pump/enable 1\n");
    wait_for(a, "in pump/enable 1");
    say(b, "out pump/enable 1\n");
    nanosleep(&one_ms, NULL);
    say(a, "out pump/enable 0\n");
    wait_for(a, "in pump/enable 0");
    say(b, "out pump/enable 0\n");
    wait_for(b, "in pump/enable 0");
    close(a);
    close(b);
    assert_int_equal(finish(fixture), 1);
    assert_non_null(strstr(read_trace(fixture, trace, sizeof trace), "\"ev\":\"overlap\""));
    assert_int_equal(check(fixture), 1);
}

/* The bench is stopped meanwhile, so that it finds both boards' commands at once. */
static void an_overlap_behind_a_stopped_bench_is_reported(void **state)
{
    struct fixture *fixture = need(state);
    int a = connect_as(fixture, "board-a", "guard");
    int b = connect_as(fixture, "board-b", "guard");
    say(a, "out pump/enable 1\n");
    wait_for(a, "in pump/enable 1");
    kill(fixture->pid, SIGSTOP);
    say(b, "out pump/enable 1\n");
    say(a, "out pump/enable 0\n");
    kill(fixture->pid, SIGCONT);
    wait_for(a, "in pump/enable 0");
    close(a);
    close(b);
    assert_int_equal(finish(fixture), 1);
}

static void a_clean_handover_is_no_overlap(void **state)
{
    struct fixture *fixture = need(state);
    char trace[16384];
    int a = connect_as(fixture, "board-a", "guard");
    int b = connect_as(fixture, "board-b", "guard");
    say(a, "out pump/charge 1\nout pump/charge 0\n");
    wait_for(a, "in pump/charge 1");
    wait_for(a, "in pump/charge 0");
    say(b, "out pump/enable 1\n");
    wait_for(b, "in pump/enable 1");
    close(b);
    wait_for_trace(fixture, "\"board\":\"board-b\",\"resource\":\"pump\",\"level\":0");
    close(a);
    assert_int_equal(finish(fixture), 0);
    assert_null(strstr(read_trace(fixture, trace, sizeof trace), "overlap"));
    assert_int_equal(check(fixture), 0);
}

static void a_starved_watchdog_kills_the_boards_processes(void **state)
{
    struct fixture *fixture = need(state);
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        int fd = connect_as(fixture, "board-a", "guard");
        say(fd, "out pump/enable 1\nwd arm 60\n");
        for (;;)
            pause();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    wait_for_trace(fixture, "\"ev\":\"reset\",\"board\":\"board-a\"");
    wait_for_trace(fixture,
                   "\"ev\":\"drive\",\"board\":\"board-a\",\"resource\":\"pump\",\"level\":0");
    assert_int_equal(finish(fixture), 0);
}

static void broken_rules_are_answered_and_the_rest_goes_on(void **state)
{
    struct fixture *fixture = need(state);
    static const char *const bad[] = { "out pump/enable 1\n", "hello board-x guard 2\n",
                                       "hello board-a guard 3\n", "hello board-a king 2\n", "\n" };
    char path[128];
    path_in(fixture, "s", path);
    int good = connect_as(fixture, "board-b", "guard");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fd = posix_connect_unix(path);
        assert_true(fd >= 0);
        say(fd, bad[i]);
        wait_for(fd, "err ");
        close(fd);
    }
    int second = posix_connect_unix(path);
    char hello[64];
    snprintf(hello, sizeof hello, "hello board-b guard %d\n", (int)getpid());
    say(second, hello);
    wait_for(second, "err hello: board-b: a second guard");
    close(second);
    say(good, "out pump/enable 1\n");
    wait_for(good, "in pump/enable 1");
    say(good, "out pump/enable 2\n");
    wait_for(good, "err out: level: 2");
    close(good);
    assert_int_equal(finish(fixture), 0);
}

static void a_write_over_tcp_and_rtu_is_recorded(void **state)
{
    struct fixture *fixture = need(state);
    const char *port = strstr(fixture->ready, " valve=127.0.0.1:");
    char pty[64];
    uint16_t values[2] = { 0 };
    assert_non_null(port);
    modbus_t *tcp = modbus_new_tcp("127.0.0.1", atoi(port + strlen(" valve=127.0.0.1:")));
    modbus_set_slave(tcp, 1);
    assert_int_equal(modbus_connect(tcp), 0);
    assert_int_equal(modbus_write_register(tcp, 3, 77), 1);
    assert_int_equal(modbus_mask_write_register(tcp, 3, 0xff, 0x100), 1);
    assert_int_equal(modbus_read_registers(tcp, 3, 2, values), 2);
    assert_int_equal(values[0], 77 | 0x100);
    assert_int_equal(modbus_read_registers(tcp, 2000, 1, values), -1);
    assert_int_equal(errno, EMBXILADD);
    modbus_close(tcp);
    modbus_free(tcp);
    assert_non_null(strstr(fixture->ready, " lift="));
    assert_int_equal(sscanf(strstr(fixture->ready, " lift="), " lift=%63s", pty), 1);
    modbus_t *rtu = modbus_new_rtu(pty, 9600, 'N', 8, 1);
    modbus_set_slave(rtu, 7);
    assert_int_equal(modbus_connect(rtu), 0);
    assert_int_equal(modbus_write_registers(rtu, 9, 2, (const uint16_t[]){ 5, 6 }), 2);
    modbus_close(rtu);
    modbus_free(rtu);
    wait_for_trace(fixture,
                   "\"actuator\":\"valve\",\"resource\":\"pump\",\"board\":\"\",\"function\":6,"
                   "\"register\":3,\"count\":1,\"values\":[77]");
    wait_for_trace(fixture,
                   "\"actuator\":\"lift\",\"resource\":\"\",\"board\":\"\",\"function\":16,"
                   "\"register\":9,\"count\":2,\"values\":[5,6]");
    assert_int_equal(finish(fixture), 0);
    assert_int_equal(check(fixture), 0);
}

/* The gateway of board-a writes, known by its port, while board-b drives. */
static void a_write_of_a_board_while_another_drives_is_an_overlap(void **state)
{
    struct fixture *fixture = need(state);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    char line[64];
    int gateway = connect_as(fixture, "board-a", "gateway");
    int guard = connect_as(fixture, "board-b", "guard");
    say(guard, "out pump/enable 1\n");
    wait_for(guard, "in pump/enable 1");
    modbus_t *tcp = modbus_new_tcp("127.0.0.1", atoi(strstr(fixture->ready, " valve=127.0.0.1:") +
                                                     strlen(" valve=127.0.0.1:")));
    modbus_set_slave(tcp, 1);
    assert_int_equal(modbus_connect(tcp), 0);
    assert_int_equal(getsockname(modbus_get_socket(tcp), (struct sockaddr *)&address, &size), 0);
    snprintf(line, sizeof line, "modbus %u\n", ntohs(address.sin_port));
    say(gateway, line);
    assert_int_equal(modbus_write_bit(tcp, 5, 1), 1);
    modbus_close(tcp);
    modbus_free(tcp);
    wait_for_trace(fixture, "\"kind\":\"modbus\",\"resource\":\"pump\",\"board\":\"board-a\","
                            "\"other\":\"board-b\"");
    close(gateway);
    close(guard);
    assert_int_equal(finish(fixture), 1);
}

/* A slow actuator acts after its delay, though its master has hung up. */
static void a_slow_actuator_acts_late_even_for_a_master_that_has_gone(void **state)
{
    struct fixture *fixture = need(state);
    static const unsigned char request[] = { 0, 1, 0, 0, 0, 6, 1, 6, 0, 8, 0, 9 };
    char trace[16384];
    long long at_ns = 0;
    long long received_ns = 0;
    assert_int_equal(ctl(fixture, "slow valve 40"), 0);
    modbus_t *tcp = modbus_new_tcp("127.0.0.1", atoi(strstr(fixture->ready, " valve=127.0.0.1:") +
                                                     strlen(" valve=127.0.0.1:")));
    assert_int_equal(modbus_connect(tcp), 0);
    assert_true(posix_send(modbus_get_socket(tcp), (const char *)request, sizeof request));
    modbus_close(tcp);
    modbus_free(tcp);
    wait_for_trace(fixture, "\"register\":8,\"count\":1,\"values\":[9]");
    char *event = strstr(read_trace(fixture, trace, sizeof trace), "\"ev\":\"modbus\"");
    assert_non_null(event);
    assert_int_equal(sscanf(strstr(event, "received_ns"), "received_ns\":%lld", &received_ns), 1);
    while (event > trace && event[-1] != '\n')
        event--;
    assert_int_equal(sscanf(event, "{\"t_ns\":%lld", &at_ns), 1);
    assert_true(at_ns - received_ns >= 40000000);
    assert_int_equal(finish(fixture), 0);
}

/* A master of the valve; from this local port, unless it is 0. */
static int dial_valve(const struct fixture *fixture, uint16_t *local_port)
{
    struct sockaddr_in local = { .sin_family = AF_INET, .sin_port = htons(*local_port) };
    struct sockaddr_in valve = { .sin_family = AF_INET };
    socklen_t size = sizeof local;
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    local.sin_addr.s_addr = valve.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    valve.sin_port = htons(
        (uint16_t)atoi(strstr(fixture->ready, " valve=127.0.0.1:") + strlen(" valve=127.0.0.1:")));
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof local), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&valve, sizeof valve), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &size), 0);
    *local_port = ntohs(local.sin_port);
    return fd;
}

/* Hangs up as a gateway does: nothing of it stays queued. */
static void hang_up(int fd)
{
    const struct linger now = { .l_onoff = 1, .l_linger = 0 };
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
}

static void write_register(int fd, unsigned char number)
{
    const unsigned char request[] = { 0, 1, 0, 0, 0, 6, 1, 6, 0, number, 0, 9 };
    char answer[sizeof request];
    assert_true(posix_send(fd, (const char *)request, sizeof request));
    assert_int_equal(recv(fd, answer, sizeof answer, MSG_WAITALL), sizeof answer);
}

static void a_gateway_is_known_after_any_number_of_resets_and_after_its_end(void **state)
{
    struct fixture *fixture = need(state);
    static const unsigned char late_write[] = { 0, 1, 0, 0, 0, 6, 1, 6, 0, 11, 0, 9 };
    char line[64];
    int gateway = connect_as(fixture, "board-a", "gateway");
    uint16_t kept_port = 0;
    int kept = dial_valve(fixture, &kept_port);
    snprintf(line, sizeof line, "modbus %u\n", kept_port);
    say(gateway, line);
    for (int i = 0; i < 20; i++) {
        uint16_t port = 0;
        int other = dial_valve(fixture, &port);
        snprintf(line, sizeof line, "modbus %u\n", port);
        say(gateway, line);
        hang_up(other);
    }
    write_register(kept, 10);
    wait_for_trace(fixture, "\"board\":\"board-a\",\"function\":6,\"register\":10");
    /* Under way when the gateway dies. */
    assert_int_equal(ctl(fixture, "slow valve 60"), 0);
    assert_true(posix_send(kept, (const char *)late_write, sizeof late_write));
    close(gateway);
    wait_for_trace(fixture, "\"board\":\"board-a\",\"function\":6,\"register\":11");
    assert_int_equal(finish(fixture), 0);
}

static void a_port_that_was_given_up_is_nobodys(void **state)
{
    struct fixture *fixture = need(state);
    char line[64];
    int gateway = connect_as(fixture, "board-a", "gateway");
    uint16_t port = 0;
    int first = dial_valve(fixture, &port);
    snprintf(line, sizeof line, "modbus %u\n", port);
    say(gateway, line);
    write_register(first, 10);
    wait_for_trace(fixture, "\"board\":\"board-a\",\"function\":6,\"register\":10");
    hang_up(first);
    int second = dial_valve(fixture, &port);
    write_register(second, 11);
    wait_for_trace(fixture, "\"board\":\"\",\"function\":6,\"register\":11");
    hang_up(second);
    close(gateway);
    assert_int_equal(finish(fixture), 0);
}

static void wrong_usage_and_a_bad_file_have_their_own_exit_status(void **state)
{
    struct fixture *fixture = need(state);
    static const char *const rest[] = { "-x",         "",          "-c /nonexistent -t",
                                        "ctl status", "--version", "--help" };
    static const int expected[] = { 2, 2, 78, 2, 0, 0 };
    char command[1024];
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        snprintf(command, sizeof command, "%s %s >/dev/null 2>&1", fixture->program, rest[i]);
        int status = system(command);
        assert_int_equal(WEXITSTATUS(status), expected[i]);
    }
    assert_int_equal(finish(fixture), 0);
}

static void faults_on_command_do_what_they_say(void **state)
{
    struct fixture *fixture = need(state);
    int a = connect_as(fixture, "board-a", "guard");
    assert_int_equal(ctl(fixture, "stuck readback board-a pump/enable on"), 0);
    wait_for(a, "in pump/enable 1");
    assert_int_equal(ctl(fixture, "stuck readback board-a pump/enable none"), 0);
    wait_for(a, "in pump/enable 0");
    assert_int_equal(ctl(fixture, "stuck relay board-b pump/enable on"), 0);
    assert_int_equal(ctl(fixture, "slow valve 5"), 0);
    assert_int_equal(ctl(fixture, "dead watchdog board-a on"), 0);
    assert_int_equal(ctl(fixture, "mark about to kill"), 0);
    assert_int_equal(ctl(fixture, "status --json | grep -q '\"drives\":\\[\"board-b\"\\]'"), 0);
    assert_int_equal(ctl(fixture, "stuck relay board-x pump/enable on"), 1);
    assert_int_equal(ctl(fixture, "dance"), 1);
    say(a, "wd arm 1\n");
    wait_for_trace(fixture, "\"what\":\"dead\"");
    say(a, "out pump/enable 1\n");
    wait_for_trace(fixture, "\"ev\":\"overlap\"");
    close(a);
    assert_int_equal(finish(fixture), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_planted_overlap_of_1_ms_is_reported, launch, tidy),
        cmocka_unit_test_setup_teardown(an_overlap_behind_a_stopped_bench_is_reported, launch,
                                        tidy),
        cmocka_unit_test_setup_teardown(a_clean_handover_is_no_overlap, launch, tidy),
        cmocka_unit_test_setup_teardown(a_starved_watchdog_kills_the_boards_processes, launch,
                                        tidy),
        cmocka_unit_test_setup_teardown(broken_rules_are_answered_and_the_rest_goes_on, launch,
                                        tidy),
        cmocka_unit_test_setup_teardown(a_write_over_tcp_and_rtu_is_recorded, launch, tidy),
        cmocka_unit_test_setup_teardown(a_write_of_a_board_while_another_drives_is_an_overlap,
                                        launch, tidy),
        cmocka_unit_test_setup_teardown(a_slow_actuator_acts_late_even_for_a_master_that_has_gone,
                                        launch, tidy),
        cmocka_unit_test_setup_teardown(
            a_gateway_is_known_after_any_number_of_resets_and_after_its_end, launch, tidy),
        cmocka_unit_test_setup_teardown(a_port_that_was_given_up_is_nobodys, launch, tidy),
        cmocka_unit_test_setup_teardown(wrong_usage_and_a_bad_file_have_their_own_exit_status,
                                        launch, tidy),
        cmocka_unit_test_setup_teardown(faults_on_command_do_what_they_say, launch, tidy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
