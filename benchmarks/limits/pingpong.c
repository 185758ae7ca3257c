/* The least a message to another process and back can take here: two C processes and a stream
 * socket pair, no encoding, no Python. Arguments: bytes per message, round trips.
 * Prints the nanoseconds of every round trip, one per line. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void take(int fd, char *buffer, size_t size) {
    for (size_t have = 0; have < size;) {
        ssize_t got = read(fd, buffer + have, size - have);
        if (got <= 0) _exit(0);
        have += (size_t)got;
    }
}

static void give(int fd, const char *buffer, size_t size) {
    for (size_t sent = 0; sent < size;) {
        ssize_t put = write(fd, buffer + sent, size - sent);
        if (put <= 0) _exit(1);
        sent += (size_t)put;
    }
}

static long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

int main(int count, char **arguments) {
    if (count != 3) return 2;
    size_t size = strtoul(arguments[1], NULL, 10);
    long rounds = strtol(arguments[2], NULL, 10);
    char *buffer = calloc(size, 1);
    long *taken = calloc((size_t)rounds, sizeof *taken);
    int ends[2];
    if (!buffer || !taken || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 1;
    if (fork() == 0) {
        close(ends[0]);
        for (;;) {
            take(ends[1], buffer, size);
            give(ends[1], buffer, size);
        }
    }
    close(ends[1]);
    for (long round = 0; round < rounds; round++) {
        long start = now_ns();
        give(ends[0], buffer, size);
        take(ends[0], buffer, size);
        taken[round] = now_ns() - start;
    }
    for (long round = 0; round < rounds; round++) printf("%ld\n", taken[round]);
    return 0;
}
