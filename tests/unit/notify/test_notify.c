/* What a service manager hears, at its socket. A program says it once: each test is a child of its own. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "notify/notify.h"
#include "tests/unit/support/unit.h"

struct manager {
    int socket;
    char folder[64];
    char path[96];
};

static int set_up(void **state)
{
    static struct manager manager;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    strcpy(manager.folder, "/tmp/holdfast-notify-XXXXXX");
    if (mkdtemp(manager.folder) == NULL)
        return -1;
    snprintf(manager.path, sizeof(manager.path), "%s/socket", manager.folder);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", manager.path);
    manager.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(manager.socket, (struct sockaddr *)&address, sizeof(address)) != 0)
        return -1;
    setenv("NOTIFY_SOCKET", manager.path, 1);
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    *state = &manager;
    return 0;
}

static int tear_down(void **state)
{
    struct manager *manager = *state;
    close(manager->socket);
    unlink(manager->path);
    return rmdir(manager->folder);
}

/* The next words, "" if there are none. */
static const char *heard(const struct manager *manager)
{
    static char words[256];
    ssize_t length = recv(manager->socket, words, sizeof(words) - 1, 0);
    words[length > 0 ? length : 0] = '\0';
    return words;
}

/* Runs it as a program of its own; the status that it ends with. */
static int program(int (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(body());
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int starts_and_ends(void)
{
    notify_open();
    notify_ready();
    (void)notify_alive(); /* which nobody asked for */
    notify_stopping();
    return notify_interval_ms() == 0 && getenv("NOTIFY_SOCKET") == NULL ? 0 : 1;
}

static void ready_and_stopping_are_said_and_the_environment_is_taken(void **state)
{
    assert_int_equal(program(starts_and_ends), 0);
    assert_string_equal(heard(*state), "READY=1");
    assert_string_equal(heard(*state), "STOPPING=1");
    assert_string_equal(heard(*state), "");
}

static _Noreturn void lives(void)
{
    notify_open();
    alarm(20); /* the listener is gone */
    for (;;)
        (void)notify_alive();
}

static int lives_without_hurry(void)
{
    notify_open();
    for (int i = 0; i < 1000; i++)
        (void)notify_alive();
    return getenv("WATCHDOG_USEC") == NULL ? 0 : 1;
}

static void life_is_said_again_and_again_but_not_before_it_is_due(void **state)
{
    const struct manager *manager = *state;
    setenv("WATCHDOG_USEC", "1800000000",
           1); /* of which a third is over when the machine has slept */
    assert_int_equal(program(lives_without_hurry), 0);
    assert_string_equal(heard(manager), "");
    setenv("WATCHDOG_USEC", "30000", 1);
    pid_t child = fork();
    if (child == 0)
        lives();
    for (int i = 0; i < 3; i++) {
        struct pollfd polled = { .fd = manager->socket, .events = POLLIN };
        assert_int_equal(poll(&polled, 1, 10000), 1);
        assert_string_equal(heard(manager), "WATCHDOG=1");
    }
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static int is_asked(void)
{
    char pid[16];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    notify_open();
    return (int)notify_interval_ms();
}

static int is_not_asked(void)
{
    notify_open();
    return (int)notify_interval_ms();
}

static void life_is_asked_of_the_process_that_is_named(void **state)
{
    (void)state;
    setenv("WATCHDOG_USEC", "30000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(program(is_not_asked), 0);
    assert_int_equal(program(is_asked), 10);
}

/* The manager's queue is full: nothing waits, and "ready" is said once there is room. */
static int full[2];

static int finds_no_room(void)
{
    char byte;
    int flood = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", getenv("NOTIFY_SOCKET"));
    while (sendto(flood, "x", 1, 0, (struct sockaddr *)&address, sizeof(address)) == 1)
        ;
    if (errno != EAGAIN)
        return 1;
    notify_open();
    notify_ready();
    if (write(full[1], "f", 1) != 1 || read(full[1], &byte, 1) != 1)
        return 1;
    (void)notify_alive();
    return 0;
}

static void ready_is_said_again_if_there_was_no_room(void **state)
{
    char byte;
    int status = -1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, full), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(finds_no_room());
    close(full[1]);
    assert_int_equal(read(full[0], &byte, 1), 1);
    while (strcmp(heard(*state), "x") == 0)
        ;
    assert_int_equal(write(full[0], "g", 1), 1);
    close(full[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_string_equal(heard(*state), "READY=1");
}

static int says_to_nobody(void)
{
    setenv("WATCHDOG_USEC", "30000", 1);
    notify_open();
    notify_ready();
    (void)notify_alive();
    notify_stopping();
    return (int)notify_interval_ms();
}

static void a_socket_that_is_none_is_no_manager(void **state)
{
    (void)state;
    char longer[200];
    memset(longer, 'a', sizeof(longer) - 1);
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    const char *const names[] = { "", "/", "relative", "vsock:2:1", longer };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        assert_int_equal(program(says_to_nobody), 0);
    }
    setenv("NOTIFY_SOCKET", "/tmp/holdfast-notify-nobody/socket", 1);
    assert_int_equal(program(says_to_nobody), 10);
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(program(says_to_nobody), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(ready_and_stopping_are_said_and_the_environment_is_taken),
        TEST(life_is_said_again_and_again_but_not_before_it_is_due),
        TEST(life_is_asked_of_the_process_that_is_named),
        TEST(ready_is_said_again_if_there_was_no_room),
        TEST(a_socket_that_is_none_is_no_manager),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
