/* The time of day, which jumps by hours and years, forwards and back, while FAULTS_CLOCK is set.
   To be loaded before libc; the monotonic clock, which tells the moments of the jumps, stays. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static const long long JUMPS[] = {0, 3600, -7200, 86400, -86400 * 400LL, 315360000LL, -1, 0};
#define EVERY_MS 900

static int real_time(clockid_t id, struct timespec *at) {
  static int (*next)(clockid_t, struct timespec *);
  if (!next) next = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  return next(id, at);
}

static long long jumped(void) {
  struct timespec now;
  if (!getenv("FAULTS_CLOCK")) return 0;
  real_time(CLOCK_MONOTONIC, &now);
  long long turn = (now.tv_sec * 1000LL + now.tv_nsec / 1000000) / EVERY_MS;
  return JUMPS[turn % (sizeof JUMPS / sizeof *JUMPS)];
}

int clock_gettime(clockid_t id, struct timespec *at) {
  int status = real_time(id, at);
  if (status == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += jumped();
  return status;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
