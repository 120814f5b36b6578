/* A TFTP load generator: many clients in one thread, every byte compared with the file.
 *
 * RFC 1350, 2347, 2348, 7440. Each client has its own loopback address (127.b.x.y) and a new port for every transfer, as machines
 * in a rack have. Loss (of every packet, both directions) and round-trip time are made here, alike for all servers, because
 * sch_netem may be missing from the kernel. Prints one line of JSON.
 *
 * usage: loadgen -a SERVER -f NAME -l LOCALFILE [-p 69] [-n clients] [-k transfers each] [-b blksize] [-w windowsize]
 *                [-L loss in percent] [-R round trip in ms] [-S seed] [-T client's time-out in ms] [-M limit in s] [-B b] [-e]
 *        -e: acknowledge every unexpected block, as EDK2 does (else once per gap)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BATCH 64
#define MAXPKT 65536

enum { ASKING, RECEIVING };

struct client {
    int fd, state, left, window, blksize, in_window, tries, gap_said, dead;
    uint64_t next;          /* the block expected, from 1 without end */
    uint64_t deadline, began;
    unsigned char last[520]; /* what to repeat when nothing comes */
    int last_size;
    struct sockaddr_in to;
};

struct delayed {
    uint64_t due;
    int client, size, serial;
    unsigned char packet[520];
};

static const char *name = "";
static unsigned char *file;
static uint64_t file_size;
static int blksize = 1428, window = 1, edk2 = 0, net = 1;
static double loss = 0;
static uint64_t rtt = 0, timeout_ns = 1000000000ull, rng = 88172645463325252ull;
static struct sockaddr_in server;
static struct client *clients;
static int *serials; /* a delayed packet of an earlier transfer must not go out on a later one's socket */
static int epfd, running;
static uint64_t done, failed, bytes, repeats, asked_again, duplicates, corrupt, slowest;
static struct delayed *queue;
static size_t queue_head, queue_tail, queue_size;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static int lost(void) {
    if (loss <= 0) return 0;
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (double)(rng >> 11) / (double)(1ull << 53) < loss;
}

static void put(struct client *c, const unsigned char *packet, int size) {
    if (c->state == ASKING) sendto(c->fd, packet, (size_t)size, 0, (struct sockaddr *)&c->to, sizeof c->to);
    else send(c->fd, packet, (size_t)size, 0);
}

static void transmit(struct client *c, uint64_t now) {
    c->deadline = now + timeout_ns;
    if (lost()) return;
    if (!rtt) {
        put(c, c->last, c->last_size);
        return;
    }
    size_t next = (queue_tail + 1) % queue_size;
    if (next == queue_head) {
        fprintf(stderr, "loadgen: delay queue full\n");
        exit(3);
    }
    struct delayed *d = &queue[queue_tail];
    d->due = now + rtt;
    d->client = (int)(c - clients);
    d->serial = serials[d->client];
    d->size = c->last_size;
    memcpy(d->packet, c->last, (size_t)c->last_size);
    queue_tail = next;
}

static void ack(struct client *c, uint64_t block, uint64_t now) {
    c->last[0] = 0;
    c->last[1] = 4;
    c->last[2] = (unsigned char)(block >> 8);
    c->last[3] = (unsigned char)block;
    c->last_size = 4;
    c->in_window = 0;
    transmit(c, now);
}

static int field(unsigned char *at, const char *text) {
    size_t size = strlen(text) + 1;
    memcpy(at, text, size);
    return (int)size;
}

static void ask(struct client *c, uint64_t now) {
    char number[16];
    unsigned char *p = c->last;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)(c - clients)};
    struct sockaddr_in ours = {.sin_family = AF_INET};
    uint32_t index = (uint32_t)(c - clients) + 1;
    int room = window * 2 * (blksize + 1000) + 65536;

    serials[c - clients]++;
    c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    ours.sin_addr.s_addr = htonl((127u << 24) | ((uint32_t)net << 16) | (index / 250 << 8) | (index % 250 + 1));
    if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&ours, sizeof ours) < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &event) < 0) {
        perror("loadgen: socket");
        exit(3);
    }
    *p++ = 0;
    *p++ = 1;
    p += field(p, name);
    p += field(p, "octet");
    p += field(p, "blksize");
    snprintf(number, sizeof number, "%d", blksize);
    p += field(p, number);
    p += field(p, "tsize");
    p += field(p, "0");
    if (window > 1) {
        p += field(p, "windowsize");
        snprintf(number, sizeof number, "%d", window);
        p += field(p, number);
    }
    c->last_size = (int)(p - c->last);
    c->state = ASKING;
    c->to = server;
    c->next = 1;
    c->in_window = c->tries = c->gap_said = 0;
    c->window = 1;
    c->blksize = 512;
    c->began = now;
    transmit(c, now);
}

static void finish(struct client *c, int good, uint64_t now) {
    if (good) {
        done++;
        bytes += file_size;
    } else failed++;
    if (now - c->began > slowest) slowest = now - c->began;
    if (!rtt || !good) { /* with a delay the last ACK still has to leave through this socket */
        close(c->fd);
    } else {
        while (queue_head != queue_tail && queue[(queue_tail + queue_size - 1) % queue_size].client == (int)(c - clients)) {
            struct delayed *d = &queue[(queue_tail + queue_size - 1) % queue_size];
            put(c, d->packet, d->size);
            break;
        }
        close(c->fd);
    }
    c->fd = -1;
    if (--c->left > 0 && good) ask(c, now);
    else {
        c->dead = 1;
        running--;
    }
}

static void options(struct client *c, const unsigned char *p, const unsigned char *end) {
    while (p < end) {
        const char *key = (const char *)p;
        p += strnlen(key, (size_t)(end - p)) + 1;
        if (p >= end) return;
        const char *value = (const char *)p;
        p += strnlen(value, (size_t)(end - p)) + 1;
        if (!strcasecmp(key, "blksize")) c->blksize = atoi(value);
        if (!strcasecmp(key, "windowsize")) c->window = atoi(value);
    }
}

/* 0: go on; 1: this transfer is over and the client may have a new socket */
static int packet(struct client *c, unsigned char *p, int size, struct sockaddr_in *from, uint64_t now) {
    if (lost()) return 0;
    if (size < 4) return 0;
    if (c->state == ASKING) {
        if (p[1] == 5) {
            finish(c, 0, now);
            return 1;
        }
        if (connect(c->fd, (struct sockaddr *)from, sizeof *from) < 0) perror("loadgen: connect");
        c->state = RECEIVING;
        if (p[1] == 6) {
            options(c, p + 2, p + size);
            c->tries = 0;
            ack(c, 0, now);
            return 0;
        }
    }
    if (p[1] == 6) { /* the OACK again: our ACK 0 was lost */
        if (c->next == 1) ack(c, 0, now);
        return 0;
    }
    if (p[1] == 5) {
        finish(c, 0, now);
        return 1;
    }
    if (p[1] != 3) return 0;
    uint16_t block = (uint16_t)(p[2] << 8 | p[3]);
    if (block != (uint16_t)c->next) {
        uint16_t ahead = (uint16_t)(block - (uint16_t)c->next);
        if (ahead >= 32768) duplicates++;
        if (edk2 || ahead >= 32768 || !c->gap_said) {
            if (ahead < 32768) c->gap_said = 1;
            ack(c, c->next - 1, now);
        }
        return 0;
    }
    uint64_t offset = (c->next - 1) * (uint64_t)c->blksize;
    int payload = size - 4;
    if (offset + (uint64_t)payload > file_size || memcmp(file + offset, p + 4, (size_t)payload)) {
        corrupt++;
        finish(c, 0, now);
        return 1;
    }
    c->next++;
    c->tries = c->gap_said = 0;
    c->deadline = now + timeout_ns;
    if (payload < c->blksize) {
        int whole = offset + (uint64_t)payload == file_size;
        ack(c, c->next - 1, now);
        if (!whole) corrupt++;
        finish(c, whole, now);
        return 1;
    }
    if (++c->in_window >= c->window) ack(c, c->next - 1, now);
    return 0;
}

static void flush_delayed(uint64_t now) {
    while (queue_head != queue_tail && queue[queue_head].due <= now) {
        struct delayed *d = &queue[queue_head];
        struct client *c = &clients[d->client];
        if (c->fd >= 0 && serials[d->client] == d->serial) put(c, d->packet, d->size);
        queue_head = (queue_head + 1) % queue_size;
    }
}

static void timers(uint64_t now, int count) {
    for (int i = 0; i < count; i++) {
        struct client *c = &clients[i];
        if (c->dead || c->deadline > now) continue;
        if (++c->tries > 10) {
            finish(c, 0, now);
            continue;
        }
        repeats++;
        if (c->state == ASKING) asked_again++;
        c->in_window = 0;
        transmit(c, now);
    }
}

int main(int argc, char **argv) {
    int option, count = 1, each = 1, port = 69, limit = 60;
    const char *address = "127.0.0.1", *local = "";
    while ((option = getopt(argc, argv, "a:f:l:p:n:k:b:w:L:R:S:T:M:B:e")) != -1) switch (option) {
        case 'a': address = optarg; break;
        case 'f': name = optarg; break;
        case 'l': local = optarg; break;
        case 'p': port = atoi(optarg); break;
        case 'n': count = atoi(optarg); break;
        case 'k': each = atoi(optarg); break;
        case 'b': blksize = atoi(optarg); break;
        case 'w': window = atoi(optarg); break;
        case 'L': loss = atof(optarg) / 100; break;
        case 'R': rtt = (uint64_t)(atof(optarg) * 1e6); break;
        case 'S': rng ^= (uint64_t)atoi(optarg) * 0x9E3779B97F4A7C15ull; break;
        case 'T': timeout_ns = (uint64_t)(atof(optarg) * 1e6); break;
        case 'M': limit = atoi(optarg); break;
        case 'B': net = atoi(optarg); break;
        case 'e': edk2 = 1; break;
        default: return 2;
    }
    struct rlimit files = {(rlim_t)count + 200, (rlim_t)count + 200};
    setrlimit(RLIMIT_NOFILE, &files);
    int fd = open(local, O_RDONLY);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) < 0 || strlen(name) > 100) {
        perror("loadgen: file");
        return 2;
    }
    file_size = (uint64_t)status.st_size;
    file = mmap(NULL, file_size ? file_size : 1, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    server.sin_family = AF_INET;
    server.sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, address, &server.sin_addr);
    epfd = epoll_create1(0);
    clients = calloc((size_t)count, sizeof *clients);
    serials = calloc((size_t)count, sizeof *serials);
    queue_size = (size_t)count * 64 + 1024;
    if (rtt) queue = calloc(queue_size, sizeof *queue);

    static unsigned char buffers[BATCH][MAXPKT];
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    static struct sockaddr_in from[BATCH];
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){buffers[i], MAXPKT};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    uint64_t start = now_ns(), end = start + (uint64_t)limit * 1000000000ull, scan = start;
    running = count;
    for (int i = 0; i < count; i++) {
        clients[i].left = each;
        ask(&clients[i], now_ns());
    }
    struct epoll_event events[256];
    while (running > 0) {
        uint64_t now = now_ns();
        if (now >= end) break;
        uint64_t wait = 20000000ull;
        if (rtt && queue_head != queue_tail) wait = queue[queue_head].due > now ? queue[queue_head].due - now : 0;
        if (wait > 20000000ull) wait = 20000000ull;
        struct timespec pause = {0, (long)wait};
        int ready = epoll_pwait2(epfd, events, 256, &pause, NULL);
        now = now_ns();
        for (int i = 0; i < ready; i++) {
            struct client *c = &clients[events[i].data.u32];
            if (c->fd < 0) continue;
            int fd_before = c->fd, serial = serials[events[i].data.u32];
            int batch = c->window > 1 ? BATCH : 1;
            for (int j = 0; j < batch; j++) messages[j].msg_hdr.msg_namelen = sizeof from[j];
            int got = recvmmsg(c->fd, messages, (unsigned)batch, 0, NULL);
            for (int j = 0; j < got; j++) {
                if (c->fd != fd_before || serials[events[i].data.u32] != serial) break;
                if (packet(c, buffers[j], (int)messages[j].msg_len, &from[j], now)) break;
            }
        }
        if (rtt) flush_delayed(now_ns());
        if (now >= scan) {
            timers(now, count);
            scan = now + 10000000ull;
        }
    }
    double seconds = (double)(now_ns() - start) / 1e9;
    for (int i = 0; i < count; i++) if (!clients[i].dead) failed++;
    printf("{\"done\": %lu, \"failed\": %lu, \"bytes\": %lu, \"seconds\": %.6f, \"asked_again\": %lu, \"repeats\": %lu, "
           "\"duplicates\": %lu, \"corrupt\": %lu, \"slowest\": %.6f}\n",
           done, failed, bytes, seconds, asked_again, repeats, duplicates, corrupt, (double)slowest / 1e9);
    return 0;
}
