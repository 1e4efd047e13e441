// SPDX-License-Identifier: GPL-2.0
/*
 * io-load DEVICE THREADS READY: reads and writes of 4 KiB at random places, one at a time from each thread, whatever
 * they meet, until it is killed.
 *
 * For removal tests: it holds the device open and has requests on their way all the time, on a disk that
 * takes its time. After an error a thread rests for 10 ms, so that a device that only gives errors does not take all
 * of the processor. The file READY is made when every thread has done its first request.
 */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 4096 };

static int device;
static uint64_t blocks;
static atomic_int idle;
static const char *ready;

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *load(void *arg)
{
	uint64_t state = (uintptr_t)arg * 0x9e3779b97f4a7c15ull;
	bool first = true;
	void *data;

	if (posix_memalign(&data, BLOCK, BLOCK))
		errx(2, "no memory");
	memset(data, (int)(uintptr_t)arg, BLOCK);
	for (;;) {
		uint64_t r = next(&state);
		off_t at = (off_t)((r >> 8) % blocks * BLOCK);
		ssize_t done = r & 1 ? pread(device, data, BLOCK, at) : pwrite(device, data, BLOCK, at);

		if (done != BLOCK)
			usleep(10000);
		if (first && atomic_fetch_sub(&idle, 1) == 1)
			close(open(ready, O_CREAT | O_WRONLY, 0644));
		first = false;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	off_t size;
	int threads;

	if (argc != 4)
		errx(2, "usage: io-load DEVICE THREADS READY");
	threads = atoi(argv[2]);
	ready = argv[3];
	unlink(ready);
	device = open(argv[1], O_RDWR | O_DIRECT);
	size = device < 0 ? -1 : lseek(device, 0, SEEK_END);
	if (size < BLOCK || threads < 1)
		err(2, "%s", argv[1]);
	blocks = (uint64_t)size / BLOCK;
	atomic_store(&idle, threads);
	for (int i = 1; i <= threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, load, (void *)(uintptr_t)i))
			errx(2, "pthread_create");
	}
	pause();
	return 0;
}
