/*
 * The service manager of a board whose system lives in RAM: what /init becomes, so process 1.
 *
 *   supervise NAME           of /etc/services, and starts them; the board's NAME is on the console
 *   supervise watchdog       arms the watchdog: it bites 30 s later, unless somebody takes it
 *   supervise led TRIGGER    what the board's own light does: heartbeat, timer, default-on
 *   supervise as USER COMMAND...   runs a command as it runs services
 *
 * /etc/services is made of the shipped units (firmware/systemd), a line each; system.py says how. They
 * are started in their order, each when the one before it is ready (sd_notify(3)) or has failed; one
 * that ends is started again, for ever, but not after a final status. One that is silent for longer
 * than it promised is killed. SIGTERM restarts the board, SIGUSR2 switches it off: all are stopped, the
 * first last.
 *
 * Until the guard has the watchdog, this program pings it, but not while a guard is starting: one that
 * hangs then is over after 30 s, with the board. Once a guard was ready, the watchdog is the guard's alone: it
 * may want the board reset.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/watchdog.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    WATCHDOG_S = 30,
    PING_MS = 5000,
    SERVICES_MAX = 12,
    WORDS_MAX = 16,
    FINAL_MAX = 4,
    LINE_MAX_BYTES = 1024,
    LOG_MAX_BYTES = 256 * 1024,
    GROUPS_MAX = 16,
    INHERITED = 9 /* the watchdog, as /init has it open */
};
#define WATCHDOG "/dev/watchdog0"
#define NOTIFY   "/run/notify"
#define LOGS     "/run/log"

struct service {
    char *name, *user, *umask;
    char *command[WORDS_MAX];
    int restart_ms;        /* from its end to its next start */
    int ready_ms, stop_ms; /* how long it may take; 0: it does not say that it is ready */
    int alive_ms;          /* how often it says that it lives, at the least; 0: it does not */
    int oom;
    int final[FINAL_MAX], finals; /* statuses after which it is not started again */
    bool guard;                   /* has the watchdog, once it is ready */

    pid_t pid; /* 0: it does not run */
    bool ready, stopped, over;
    int64_t since_ms, alive_at_ms; /* of its start or end; of its last word */
    int output;                    /* what it says, a pipe; -1 */
    char line[LINE_MAX_BYTES];
    size_t length;
};

static struct service services[SERVICES_MAX];
static int count;
static const char *board = "board";
static int console = -1, notify_socket = -1;
static bool guard_was_ready; /* in this boot */
static int watchdog = -1;    /* open while it is ours */
static char text[16384];     /* /etc/services, cut into words */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- what is said: to the console, which never holds this process up, and to a file in RAM */

static void put_line(const char *name, const char *line, size_t length)
{
    char out[LINE_MAX_BYTES + 64], path[96], old[104];
    struct stat file;
    int size = snprintf(out, sizeof(out), "%s: %.*s\r\n", name, (int)length, line);
    if (console >= 0 && write(console, out, (size_t)size) < 0 && errno != EAGAIN)
        console = -1;
    snprintf(path, sizeof(path), LOGS "/%s", name);
    snprintf(old, sizeof(old), "%s.old", path);
    if (stat(path, &file) == 0 && file.st_size > LOG_MAX_BYTES)
        (void)rename(path, old);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return;
    size = snprintf(out, sizeof(out), "%.3f %.*s\n", (double)now_ms() / 1e3, (int)length, line);
    (void)!write(fd, out, (size_t)size);
    close(fd);
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(line, sizeof(line), format, list);
    va_end(list);
    put_line(board, line, strnlen(line, (size_t)length));
}

static void open_console(void)
{
    console = open("/dev/console", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* ---- light and watchdog */

/* Boards name their lights: ACT on a Raspberry Pi, usr0 on a BeagleBone. */
static void set_led(const char *trigger)
{
    char path[320];
    DIR *folder = opendir("/sys/class/leds");
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if (strstr(entry->d_name, "ACT") == NULL && strstr(entry->d_name, "act") == NULL &&
            strstr(entry->d_name, "usr0") == NULL && strstr(entry->d_name, "led0") == NULL)
            continue;
        snprintf(path, sizeof(path), "/sys/class/leds/%s/trigger", entry->d_name);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0 && write(fd, trigger, strlen(trigger)) < 0)
            say("%s: %s", path, strerror(errno));
        close(fd);
    }
    if (folder != NULL)
        closedir(folder);
}

/*
 * A watchdog that can't count to 30 s counts as far as it can: the kernel pings it in between. One that is
 * open already was inherited from /init.
 */
static int ping_watchdog(void)
{
    int seconds = WATCHDOG_S;
    if (watchdog < 0)
        watchdog = open(WATCHDOG, O_WRONLY | O_CLOEXEC);
    if (watchdog < 0)
        return -1; /* none, or the guard has it */
    if (ioctl(watchdog, WDIOC_SETTIMEOUT, &seconds) != 0 && errno != EINVAL && errno != EOPNOTSUPP)
        say(WATCHDOG ": %s", strerror(errno));
    return ioctl(watchdog, WDIOC_KEEPALIVE, 0);
}

/* Without the magic character: it goes on counting, and the guard has 30 s to take it. */
static void leave_watchdog(void)
{
    (void)ping_watchdog();
    close(watchdog);
    watchdog = -1;
}

/* ---- /etc/services */

static char *next_word(char **rest)
{
    char *word;
    do
        word = strsep(rest, " \t");
    while (word != NULL && *word == '\0');
    return word;
}

static int next_number(char **rest)
{
    char *word = next_word(rest);
    return word == NULL ? 0 : atoi(word);
}

static void read_service(char *line)
{
    struct service *service = &services[count];
    int words = 0;
    char *final;
    *service = (struct service){ .output = -1 };
    service->name = next_word(&line);
    if (service->name == NULL || *service->name == '#')
        return;
    service->user = next_word(&line);
    service->restart_ms = next_number(&line) * 1000;
    service->ready_ms = next_number(&line) * 1000;
    service->stop_ms = next_number(&line) * 1000;
    service->alive_ms = next_number(&line) * 1000;
    service->oom = next_number(&line);
    service->umask = next_word(&line);
    final = next_word(&line);
    for (char *word;
         final != NULL && service->finals < FINAL_MAX && (word = strsep(&final, ",")) != NULL;)
        if (strcmp(word, "-") != 0)
            service->final[service->finals++] = atoi(word);
    while (words < WORDS_MAX - 1 && (service->command[words] = next_word(&line)) != NULL)
        words++;
    service->guard = strcmp(service->name, "holdfast-guard") == 0 &&
                     access("/run/guard-has-watchdog", F_OK) == 0;
    if (words == 0)
        say("/etc/services: %s: no command", service->name);
    else
        count++;
}

static void read_services(void)
{
    int fd = open("/etc/services", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    char *rest = text;
    if (size < 0)
        say("/etc/services: %s", strerror(errno));
    close(fd);
    for (char *line; size > 0 && count < SERVICES_MAX && (line = strsep(&rest, "\n")) != NULL;)
        read_service(line);
}

/* ---- a start. What follows fork() is the child's, up to its exec. */

/* What limits.d(5) gives a user: its lines of /etc/limits. */
static int take_limits(const char *user)
{
    char line[128], name[33], word[16];
    unsigned long number = 0;
    FILE *file = fopen("/etc/limits", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "%32s - %15s %lu", name, word, &number) != 3 || strcmp(name, user) != 0)
            continue;
        bool memory = strcmp(word, "memlock") == 0; /* in KB; the other one is a priority */
        struct rlimit limit = { memory ? number * 1024 : number, memory ? number * 1024 : number };
        if (!memory && strcmp(word, "rtprio") != 0)
            return -1;
        if (setrlimit(memory ? RLIMIT_MEMLOCK : RLIMIT_RTPRIO, &limit) != 0)
            return -1;
    }
    return file == NULL ? -1 : fclose(file);
}

static int take_groups(const char *user, gid_t own)
{
    gid_t groups[GROUPS_MAX] = { own };
    size_t got = 1;
    FILE *file = fopen("/etc/group", "re");
    for (struct group *group; file != NULL && (group = fgetgrent(file)) != NULL;)
        for (char **member = group->gr_mem; *member != NULL; member++)
            if (strcmp(*member, user) == 0 && got < GROUPS_MAX)
                groups[got++] = group->gr_gid;
    return file == NULL || fclose(file) != 0 ? -1 : setgroups(got, groups);
}

/* With its groups and limits, without any capability, and with no way to get one. */
static int become(const char *user)
{
    struct passwd *passwd = NULL;
    if (strcmp(user, "root") == 0)
        return 0;
    FILE *file = fopen("/etc/passwd", "re");
    while (file != NULL && (passwd = fgetpwent(file)) != NULL && strcmp(passwd->pw_name, user) != 0)
        continue;
    if (file != NULL)
        fclose(file);
    if (passwd == NULL || take_limits(user) != 0 || take_groups(user, passwd->pw_gid) != 0 ||
        setgid(passwd->pw_gid) != 0 || setuid(passwd->pw_uid) != 0)
        return -1;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void set_environment(const struct service *service)
{
    char number[24];
    if (service->ready_ms == 0)
        return;
    setenv("NOTIFY_SOCKET", NOTIFY, 1);
    if (service->alive_ms == 0)
        return;
    snprintf(number, sizeof(number), "%lld", (long long)service->alive_ms * 1000);
    setenv("WATCHDOG_USEC", number, 1);
    snprintf(number, sizeof(number), "%d", (int)getpid());
    setenv("WATCHDOG_PID", number, 1);
}

static _Noreturn void run(const struct service *service, int output)
{
    sigset_t none;
    char number[16];
    int null = open("/dev/null", O_RDWR);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(output, STDOUT_FILENO);
    (void)dup2(output, STDERR_FILENO);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid();
    snprintf(number, sizeof(number), "%d", service->oom);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, number, strlen(number)) < 0)
        perror("oom_score_adj");
    umask((mode_t)strtol(service->umask, NULL, 8));
    set_environment(service);
    if (become(service->user) != 0)
        perror(service->user);
    else
        execvp(service->command[0], service->command);
    perror(service->command[0]);
    _exit(127);
}

static void start(struct service *service)
{
    int ends[2];
    if (service->guard && !guard_was_ready)
        leave_watchdog();
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    pid_t pid = fork();
    if (pid == 0)
        run(service, ends[1]);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return;
    }
    (void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
    service->output = ends[0];
    service->length = 0;
    service->pid = pid;
    service->ready = service->ready_ms == 0;
    service->since_ms = service->alive_at_ms = now_ms();
}

/* ---- what services say */

/* By lines; one that is too long is cut. With `all`, also what has no end yet. */
static void take_output(struct service *service, bool all)
{
    ssize_t got = 0;
    while (service->output >= 0 && (got = read(service->output, service->line + service->length,
                                               sizeof(service->line) - service->length)) > 0) {
        service->length += (size_t)got;
        for (char *end; (end = memchr(service->line, '\n', service->length)) != NULL ||
                        service->length == sizeof(service->line);) {
            size_t length = end == NULL ? service->length : (size_t)(end - service->line);
            size_t used = end == NULL ? length : length + 1;
            put_line(service->name, service->line, length);
            service->length -= used;
            memmove(service->line, service->line + used, service->length);
        }
    }
    if (all && service->length > 0) {
        put_line(service->name, service->line, service->length);
        service->length = 0;
    }
    if (service->output >= 0 && (got == 0 || all)) {
        close(service->output);
        service->output = -1;
    }
}

static void now_ready(struct service *service)
{
    static const char *const means[][2] = {
        { "holdfast-guard", "outputs are off until there is a lease" },
        { "holdfastd", "asks the cluster, and says below what it waits for" },
        { "holdfast-gateway", "Modbus writes pass while there is a lease" },
    };
    service->ready = true;
    guard_was_ready |= service->guard;
    for (size_t i = 0; i < sizeof(means) / sizeof(means[0]); i++)
        if (strcmp(service->name, means[i][0]) == 0)
            say("%s is ready: %s", service->name, means[i][1]);
}

/* Words of sd_notify(3). The kernel says whose they are. */
static void take_notices(void)
{
    char words[512];
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec vector = { words, sizeof(words) - 1 };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control };
    for (;;) {
        message.msg_controllen = sizeof(control);
        ssize_t got = recvmsg(notify_socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (got < 0)
            return;
        words[got] = '\0';
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        if (head == NULL || head->cmsg_type != SCM_CREDENTIALS)
            continue;
        struct ucred sender;
        memcpy(&sender, CMSG_DATA(head), sizeof(sender));
        for (int i = 0; i < count; i++) {
            if (services[i].pid == 0 || services[i].pid != sender.pid)
                continue;
            services[i].alive_at_ms = now_ms();
            if (strstr(words, "READY=1") != NULL && !services[i].ready)
                now_ready(&services[i]);
        }
    }
}

/* ---- ends */

static bool is_final(const struct service *service, int status)
{
    for (int i = 0; i < service->finals; i++)
        if (WIFEXITED(status) && WEXITSTATUS(status) == service->final[i])
            return true;
    return false;
}

static void ended(struct service *service, int status, bool stopping)
{
    char how[64];
    take_output(service, true);
    service->pid = 0;
    service->ready = false;
    service->stopped = true;
    service->since_ms = now_ms();
    if (WIFSIGNALED(status))
        snprintf(how, sizeof(how), "was ended by %s", strsignal(WTERMSIG(status)));
    else
        snprintf(how, sizeof(how), "ended with status %d", WEXITSTATUS(status));
    service->over = is_final(service, status);
    if (stopping) {
        say("%s is stopped", service->name);
    } else if (service->over) {
        set_led("timer");
        say("%s %s, which does not mend itself: it stays ended. Its last words above, and in " LOGS
            "/%s, say what is wrong%s",
            service->name, how, service->name,
            WEXITSTATUS(status) == 78 ? ": put holdfast.conf right on the card and restart" : "");
    } else {
        say("%s %s; it is started again in %d s", service->name, how, service->restart_ms / 1000);
    }
}

static void reap(bool stopping)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (int i = 0; i < count; i++)
            if (services[i].pid == pid)
                ended(&services[i], status, stopping);
}

/* ---- the loop */

static void tell_service(void)
{
    static bool in_service;
    bool all = true;
    for (int i = 0; i < count; i++)
        all = all && services[i].ready;
    if (all && !in_service) {
        set_led("default-on");
        say("in service");
    }
    in_service = all;
}

/* Who is due is started; who is silent or slow is killed. */
static void look(void)
{
    int64_t now = now_ms();
    bool before = true; /* all before it are ready or have failed */
    for (int i = 0; i < count; i++) {
        struct service *service = &services[i];
        if (service->pid == 0 && !service->over && (before || service->ready_ms == 0) &&
            (!service->stopped || now - service->since_ms >= service->restart_ms))
            start(service);
        if (service->pid != 0 && !service->ready && now - service->since_ms > service->ready_ms) {
            say("%s is not ready after %d s: killed", service->name, service->ready_ms / 1000);
            (void)kill(service->pid, SIGKILL);
        }
        if (service->pid != 0 && service->ready && service->alive_ms > 0 &&
            now - service->alive_at_ms > service->alive_ms) {
            say("%s has been silent for %d s: killed", service->name, service->alive_ms / 1000);
            service->alive_at_ms = now;
            (void)kill(service->pid, SIGKILL);
        }
        if (service->ready_ms > 0)
            before = before && (service->ready || service->stopped);
    }
}

static void keep_watchdog(void)
{
    static int64_t pinged_ms;
    int64_t now = now_ms();
    for (int i = 0; i < count; i++)
        if (services[i].guard && (guard_was_ready || services[i].pid != 0))
            return;
    if (now - pinged_ms >= PING_MS) {
        pinged_ms = now;
        (void)ping_watchdog();
    }
}

static void wait_for_news(int signals, int timeout_ms)
{
    struct pollfd polled[SERVICES_MAX + 2] = { { signals, POLLIN, 0 },
                                               { notify_socket, POLLIN, 0 } };
    nfds_t number = 2;
    for (int i = 0; i < count; i++)
        if (services[i].output >= 0)
            polled[number++] = (struct pollfd){ services[i].output, POLLIN, 0 };
    (void)poll(polled, number, timeout_ms);
    take_notices();
    for (int i = 0; i < count; i++)
        take_output(&services[i], false);
}

/* The signal that asks for an end, or 0. */
static int take_signals(int signals, bool stopping)
{
    struct signalfd_siginfo info;
    int asked = 0;
    while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            continue;
        asked = (int)info.ssi_signo;
    }
    reap(stopping);
    return asked;
}

static void stop(struct service *service, int signals)
{
    int64_t until = now_ms() + service->stop_ms;
    if (service->pid == 0)
        return;
    (void)kill(service->pid, SIGTERM);
    while (service->pid != 0) {
        wait_for_news(signals, 100);
        (void)take_signals(signals, true);
        if (service->pid != 0 && now_ms() > until) {
            say("%s does not end: killed", service->name);
            (void)kill(service->pid, SIGKILL);
            until = now_ms() + 1000;
        }
    }
}

/* What was started last is stopped first, the guard last, when all that it fences has ended. */
static _Noreturn void end(int signals, int asked)
{
    bool off = asked == SIGUSR2 || asked == SIGUSR1;
    say("%s: services are being stopped", off ? "power off" : "restart");
    for (int i = count - 1; i >= 0; i--)
        stop(&services[i], signals);
    (void)umount2("/var/lib/holdfast", MNT_DETACH);
    (void)mount(NULL, "/data", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    sync();
    if (!off)
        (void)ping_watchdog(); /* a restart that hangs is over in 30 s */
    say("%s", off ? "off" : "restarting");
    (void)reboot(off ? RB_POWER_OFF : RB_AUTOBOOT);
    for (;;)
        pause();
}

static int open_notify(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = NOTIFY };
    int one = 1, fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(NOTIFY);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) != 0 || chmod(NOTIFY, 0666) != 0)
        say(NOTIFY ": %s", strerror(errno));
    return fd;
}

static _Noreturn void supervise(void)
{
    sigset_t asked;
    sigemptyset(&asked);
    sigaddset(&asked, SIGCHLD);
    sigaddset(&asked, SIGTERM);
    sigaddset(&asked, SIGINT);
    sigaddset(&asked, SIGUSR1);
    sigaddset(&asked, SIGUSR2);
    (void)sigprocmask(SIG_BLOCK, &asked, NULL);
    int signals = signalfd(-1, &asked, SFD_CLOEXEC | SFD_NONBLOCK);
    (void)mkdir(LOGS, 0750);
    notify_socket = open_notify();
    (void)reboot(RB_DISABLE_CAD);
    read_services();
    for (;;) {
        keep_watchdog();
        look();
        tell_service();
        wait_for_news(signals, 200);
        int signal_number = take_signals(signals, false);
        if (signal_number != 0)
            end(signals, signal_number);
    }
}

int main(int argc, char **argv)
{
    open_console();
    if (argc == 2 && strcmp(argv[1], "watchdog") == 0)
        return ping_watchdog() == 0 ? 0 : 1;
    if (argc == 3 && strcmp(argv[1], "led") == 0) {
        set_led(argv[2]);
        return 0;
    }
    if (argc > 3 && strcmp(argv[1], "as") == 0) {
        if (become(argv[2]) == 0)
            execvp(argv[3], argv + 3);
        perror(argv[3]);
        return 127;
    }
    watchdog = fcntl(INHERITED, F_SETFD, FD_CLOEXEC) == 0 ? INHERITED : -1;
    if (argc != 2 || getpid() != 1) {
        fprintf(stderr, "usage: supervise BOARD (as process 1) | watchdog | led TRIGGER | as USER "
                        "COMMAND...\n");
        return 2;
    }
    board = argv[1];
    supervise();
}
