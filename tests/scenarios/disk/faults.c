/* Makes file operations below one directory fail while a control file says so: "read 5", "write 28", "all 30".
   The numbers are errno values. Everything else is passed on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int real_open(const char *path, int flags, mode_t mode) {
  int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
  return next(path, flags, mode);
}

/* The errno for an operation of this kind, or 0. */
static int fault(const char *kind) {
  const char *control = getenv("FAULTS_CONTROL");
  char text[32] = {0}, what[16] = {0};
  int number = 0;
  int fd = control ? real_open(control, O_RDONLY, 0) : -1;
  if (fd < 0) return 0;
  ssize_t (*next)(int, void *, size_t) = dlsym(RTLD_NEXT, "read");
  ssize_t length = next(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0 || sscanf(text, "%15s %d", what, &number) != 2) return 0;
  return strcmp(what, "all") == 0 || strcmp(what, kind) == 0 ? number : 0;
}

static int is_below(const char *path) {
  const char *dir = getenv("FAULTS_DIR");
  return dir && strncmp(path, dir, strlen(dir)) == 0;
}

static int fails(int fd, const char *kind) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  int number = is_below(path) ? fault(kind) : 0;
  if (number) errno = number;
  return number;
}

#define PASS(type, name, kind, ...)                         \
  if (fails(fd, kind)) return -1;                           \
  type = dlsym(RTLD_NEXT, name);                            \
  return next(__VA_ARGS__)

ssize_t pread64(int fd, void *buf, size_t n, off64_t at) {
  PASS(ssize_t (*next)(int, void *, size_t, off64_t), "pread64", "read", fd, buf, n, at);
}
ssize_t read(int fd, void *buf, size_t n) {
  PASS(ssize_t (*next)(int, void *, size_t), "read", "read", fd, buf, n);
}
ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at) {
  PASS(ssize_t (*next)(int, const void *, size_t, off64_t), "pwrite64", "write", fd, buf, n, at);
}
ssize_t write(int fd, const void *buf, size_t n) {
  PASS(ssize_t (*next)(int, const void *, size_t), "write", "write", fd, buf, n);
}
/* A full disk refuses what is written; what takes nothing, such as emptying a file, it still makes durable. */
static int syncs(int fd, const char *name) {
  if (fails(fd, "write") && errno != ENOSPC) return -1;
  int (*next)(int) = dlsym(RTLD_NEXT, name);
  return next(fd);
}
int fsync(int fd) { return syncs(fd, "fsync"); }
int fdatasync(int fd) { return syncs(fd, "fdatasync"); }
int ftruncate64(int fd, off64_t n) { PASS(int (*next)(int, off64_t), "ftruncate64", "write", fd, n); }

int open64(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  int writes = flags & (O_CREAT | O_TRUNC);
  int number = is_below(path) && writes ? fault("write") : 0;
  if (number && number != ENOSPC) {
    errno = number;
    return -1;
  }
  return real_open(path, flags, mode);
}

int unlink(const char *path) {
  int number = is_below(path) ? fault("write") : 0;
  if (number && number != ENOSPC) {
    errno = number;
    return -1;
  }
  int (*next)(const char *) = dlsym(RTLD_NEXT, "unlink");
  return next(path);
}
