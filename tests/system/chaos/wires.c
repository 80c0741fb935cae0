/*
 * The cables of a chaos run: a switch in user space, one interface for each host, and for each pair
 * and direction what its frames meet: a cut, loss, delay, reordering.
 *
 *   wires TABLE INTERFACE...
 *
 * TABLE is a file of struct wires_table, which the run maps and changes as it likes. A frame goes to
 * the host whose number is the last byte of its address, 02:00:00:00:00:NN, NN from 1 in the order of
 * the interfaces; one for all goes to all. Kernels without sch_netem need it; the others get the
 * same thing. Ends by SIGTERM, or when its parent ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HOSTS_MAX = 32,
    FRAMES_MAX = 16384,      /* under way; more are lost, as in any full queue */
    FRAME_BYTES = 65536 + 64 /* a kernel hands over what its card would have cut */
};

struct wire {
    uint32_t loss_ppm; /* 1000000: cut */
    uint32_t delay_us;
    uint32_t jitter_us;
    uint32_t reorders; /* 1: a frame may overtake */
};

struct wires_table {
    struct wire wire[HOSTS_MAX][HOSTS_MAX]; /* [from][to] */
    uint64_t passed;
    uint64_t lost;
    uint64_t delayed;
    uint64_t worst_late_us; /* beyond its delay, because this program came late */
    uint64_t ready;
};

struct frame {
    int64_t due_ns;
    uint64_t order;
    int to;
    size_t length;
    unsigned char *bytes;
};

struct wires {
    struct wires_table *table;
    int count;
    struct pollfd ports[HOSTS_MAX];
    int64_t last_due_ns[HOSTS_MAX][HOSTS_MAX];
    uint64_t order;
    uint64_t chance;
    int waiting; /* a heap by due time */
    struct frame heap[FRAMES_MAX];
};

static volatile sig_atomic_t ending;

static void on_signal(int number)
{
    (void)number;
    ending = 1;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static uint32_t draw(struct wires *wires, uint32_t below)
{
    wires->chance = wires->chance * 6364136223846793005u + 1442695040888963407u;
    return below ? (uint32_t)((wires->chance >> 33) % below) : 0;
}

/* ---- the heap */

static int sooner(const struct frame *a, const struct frame *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void swap(struct frame *a, struct frame *b)
{
    struct frame kept = *a;
    *a = *b;
    *b = kept;
}

static void push(struct wires *wires, struct frame frame)
{
    int at = wires->waiting++;
    wires->heap[at] = frame;
    for (; at > 0 && sooner(&wires->heap[at], &wires->heap[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&wires->heap[at], &wires->heap[(at - 1) / 2]);
}

static struct frame pop(struct wires *wires)
{
    struct frame first = wires->heap[0];
    wires->heap[0] = wires->heap[--wires->waiting];
    for (int at = 0;;) {
        int least = at;
        for (int child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < wires->waiting && sooner(&wires->heap[child], &wires->heap[least]))
                least = child;
        if (least == at)
            return first;
        swap(&wires->heap[at], &wires->heap[least]);
        at = least;
    }
}

/* ---- frames */

static void deliver(struct wires *wires, int to, const unsigned char *bytes, size_t length)
{
    ssize_t sent = send(wires->ports[to].fd, bytes, length, MSG_DONTWAIT);
    if (sent == (ssize_t)length)
        wires->table->passed++;
    else
        wires->table->lost++;
}

static void carry(struct wires *wires, int from, int to, const unsigned char *bytes, size_t length)
{
    const struct wire wire = wires->table->wire[from][to];
    if (wire.loss_ppm > draw(wires, 1000000) || wires->waiting == FRAMES_MAX) {
        wires->table->lost++;
        return;
    }
    int64_t due_ns = now_ns();
    int64_t wait_us = (int64_t)wire.delay_us + draw(wires, wire.jitter_us);
    int64_t *last = &wires->last_due_ns[from][to];
    due_ns += wait_us * 1000;
    if (!wire.reorders && due_ns < *last)
        due_ns = *last;
    if (wait_us == 0 && *last <= now_ns()) {
        deliver(wires, to, bytes, length);
        return;
    }
    *last = due_ns > *last ? due_ns : *last;
    struct frame frame = { due_ns, wires->order++, to, length, malloc(length) };
    if (frame.bytes == NULL)
        return;
    memcpy(frame.bytes, bytes, length);
    wires->table->delayed++;
    push(wires, frame);
}

/* Behind the kernel's own header of a frame (PACKET_VNET_HDR), which travels with it. */
enum { VNET_BYTES = 10 };

static void take(struct wires *wires, int from)
{
    static unsigned char bytes[FRAME_BYTES];
    for (int i = 0; i < 64; i++) {
        struct sockaddr_ll source;
        socklen_t size = sizeof source;
        ssize_t got = recvfrom(wires->ports[from].fd, bytes, sizeof bytes, MSG_DONTWAIT,
                               (struct sockaddr *)&source, &size);
        if (got < VNET_BYTES + ETH_HLEN)
            return;
        if (source.sll_pkttype == PACKET_OUTGOING)
            continue;
        const unsigned char *address = bytes + VNET_BYTES;
        int number = address[5] - 1;
        int for_all = address[0] & 1;
        for (int to = 0; to < wires->count; to++)
            if (to != from && (for_all || to == number))
                carry(wires, from, to, bytes, (size_t)got);
    }
}

static void deliver_due(struct wires *wires)
{
    while (wires->waiting > 0 && wires->heap[0].due_ns <= now_ns()) {
        struct frame frame = pop(wires);
        uint64_t late_us = (uint64_t)(now_ns() - frame.due_ns) / 1000;
        if (late_us > wires->table->worst_late_us)
            wires->table->worst_late_us = late_us;
        deliver(wires, frame.to, frame.bytes, frame.length);
        free(frame.bytes);
    }
}

static void run(struct wires *wires)
{
    while (!ending) {
        struct timespec until = { 1, 0 };
        if (wires->waiting > 0) {
            int64_t left_ns = wires->heap[0].due_ns - now_ns();
            left_ns = left_ns > 0 ? left_ns : 0;
            until = (struct timespec){ left_ns / 1000000000, left_ns % 1000000000 };
        }
        if (ppoll(wires->ports, (nfds_t)wires->count, &until, NULL) < 0 && errno != EINTR)
            return;
        for (int i = 0; i < wires->count; i++)
            if (wires->ports[i].revents)
                take(wires, i);
        deliver_due(wires);
    }
}

/* ---- start */

static int open_port(const char *name)
{
    struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
    int on = 1;
    int bytes = 4 << 20;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    address.sll_ifindex = (int)if_nametoindex(name);
    if (fd < 0 || address.sll_ifindex == 0 ||
        setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        fprintf(stderr, "wires: %s: %s\n", name, strerror(errno));
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    return fd;
}

static struct wires_table *map_table(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct wires_table)) != 0)
        return NULL;
    void *table = mmap(NULL, sizeof(struct wires_table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return table == MAP_FAILED ? NULL : table;
}

int main(int argc, char **argv)
{
    static struct wires wires = { .chance = 88172645463325252u };
    struct sigaction action = { .sa_handler = on_signal };
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigaction(SIGTERM, &action, NULL);
    if (argc < 3 || argc - 2 > HOSTS_MAX) {
        fprintf(stderr, "usage: wires TABLE INTERFACE...\n");
        return 2;
    }
    wires.table = map_table(argv[1]);
    if (wires.table == NULL) {
        perror(argv[1]);
        return 1;
    }
    wires.count = argc - 2;
    for (int i = 0; i < wires.count; i++) {
        wires.ports[i] = (struct pollfd){ open_port(argv[2 + i]), POLLIN, 0 };
        if (wires.ports[i].fd < 0)
            return 1;
    }
    wires.table->ready = 1;
    run(&wires);
    return 0;
}
