/* A disk that fails and forgets: stands between the server and the system (LD_PRELOAD), for tests alone.
 *
 * CHATWIRE_DISK_CONTROL  a file of what is to fail, mapped, so that a test can change it at any time (struct control)
 * CHATWIRE_DISK_LOG      a file that gets a record of every change and every sync, from which a test builds what a loss
 *                        of power may have left; syncs are then not carried out, since nothing else relies on them
 * CHATWIRE_DISK_ROOT     the folder that the records are about
 *
 * It knows the calls that the server makes: SQLite's and those of Rust's standard library. What is mapped (the -shm
 * file) is not seen, and means nothing after a crash. tests/support/disk.rs is the other side. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum op { READ = 1, WRITE = 2, SYNC = 4, OPEN = 8, RENAME = 16, UNLINK = 32, TRUNCATE = 64, LINK = 128, MKDIR = 256, CLOCK = 512 };
enum action { FAIL, SHORT, KILL_BEFORE, KILL_AFTER, KILL_HALF, WAIT };

/* Of the calls of `ops` on paths with `pattern` in them (at their end if it ends with '$'), in threads whose names begin with `thread`, `skip` pass, and
 * the next `times` are met by `action`. `times` 0: the rule is off. */
struct rule {
    _Atomic uint64_t times, ops, skip, action, error, hits;
    char pattern[64], thread[16];
};

struct control {
    _Atomic int64_t clock_shift; /* microseconds */
    struct rule rules[8];
};

/* Kinds of records: type u8, then three u64, then two lengths u32, then so many bytes. */
enum record { R_OPEN = 1, R_WRITE, R_TRUNCATE, R_SYNC_BEGIN, R_SYNC_END, R_RENAME, R_UNLINK, R_LINK, R_MKDIR, R_SYNC_FAILED, R_RMDIR };

static struct control *control;
static int log_fd = -1;
static char root[512];
static dev_t root_dev;
static _Atomic uint64_t next_sync;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *find(void **real, const char *name) { return *real ? *real : (*real = dlsym(RTLD_NEXT, name)); }
#define REAL(name) ((__typeof__(real_##name))find((void **)&real_##name, #name))
static int (*real_open64)(const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_pread64)(int, void *, size_t, off64_t);
static int (*real_ftruncate64)(int, off64_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);
static int (*real_linkat)(int, const char *, int, const char *, int);
static int (*real_mkdir)(const char *, mode_t);
static int (*real_rmdir)(const char *);

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CHATWIRE_DISK_CONTROL");
    if (path) {
        int fd = REAL(open64)(path, O_RDWR | O_CLOEXEC);
        void *mapped = mmap(0, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (fd < 0 || mapped == MAP_FAILED) abort();
        control = mapped;
    }
    path = getenv("CHATWIRE_DISK_LOG");
    if (path && (log_fd = REAL(open64)(path, O_WRONLY | O_APPEND | O_CLOEXEC)) < 0) abort();
    path = getenv("CHATWIRE_DISK_ROOT");
    /* Others may write the same log. */
    next_sync = (uint64_t)getpid() << 32;
    struct stat st;
    if (path && strlen(path) < sizeof root && stat(path, &st) == 0) {
        strcpy(root, path);
        root_dev = st.st_dev;
    }
}

/* Whether a path has the pattern in it, or ends with one that ends with '$'. */
static int matches(const char *path, const char *pattern) {
    size_t n = strlen(pattern), len = strlen(path);
    if (n == 0 || pattern[n - 1] != '$') return strstr(path, pattern) != 0;
    return len >= n - 1 && strncmp(path + len - (n - 1), pattern, n - 1) == 0;
}

/* What is to become of a call: -1 nothing, or an action, with errno set. */
static int rule_for(int op, const char *path) {
    char name[16] = "";
    for (int i = 0; control && i < 8; i++) {
        struct rule *rule = &control->rules[i];
        uint64_t times = rule->times;
        if (!times || !(rule->ops & op) || (path && !matches(path, rule->pattern))) continue;
        if (rule->thread[0]) {
            if (!name[0]) prctl(PR_GET_NAME, name);
            if (strncmp(name, rule->thread, strlen(rule->thread))) continue;
        }
        uint64_t hit = rule->hits++;
        if (hit < rule->skip || hit - rule->skip >= times) continue;
        if (rule->action == KILL_BEFORE) raise(SIGKILL);
        while (rule->action == WAIT && rule->times) usleep(200);
        if (rule->action == WAIT) continue;
        errno = (int)rule->error;
        return (int)rule->action;
    }
    return -1;
}

static int has_rules(int op) {
    for (int i = 0; control && i < 8; i++)
        if (control->rules[i].times && (control->rules[i].ops & op)) return 1;
    return 0;
}

static const char *path_of(int fd, char *buffer, size_t size) {
    char link[32] = "/proc/self/fd/", digits[12];
    int n = 0, at = 14;
    do digits[n++] = '0' + fd % 10; while ((fd /= 10) > 0);
    while (n > 0) link[at++] = digits[--n];
    ssize_t len = readlink(link, buffer, size - 1);
    buffer[len < 0 ? 0 : len] = 0;
    return buffer;
}

static int rule_for_fd(int op, int fd) {
    if (!has_rules(op)) return -1;
    struct stat st;
    char path[600];
    if (fstat(fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) return -1;
    return rule_for(op, path_of(fd, path, sizeof path));
}

/* Around each record, since one of a process that is killed may not be whole, and another process goes on behind it. */
static const char begin_mark[8] = "\x8b" "record", end_mark[8] = "\x8b" "ended.";

static void record(int type, uint64_t a, uint64_t b, uint64_t c, const void *x, uint32_t xn, const void *y, uint32_t yn) {
    unsigned char head[33];
    head[0] = (unsigned char)type;
    memcpy(head + 1, &a, 8), memcpy(head + 9, &b, 8), memcpy(head + 17, &c, 8);
    memcpy(head + 25, &xn, 4), memcpy(head + 29, &yn, 4);
    struct iovec parts[5] = {
        {(void *)begin_mark, 8}, {head, 33}, {(void *)x, xn}, {(void *)y, yn}, {(void *)end_mark, 8}};
    if (syscall(SYS_writev, log_fd, parts, 5) < 0) abort();
}

static void record_paths(int type, uint64_t a, const char *x, const char *y) {
    record(type, a, 0, 0, x, (uint32_t)strlen(x), y, y ? (uint32_t)strlen(y) : 0);
}

/* Whether a change of this file, or at this path, is to be recorded. */
static int is_ours(int fd, struct stat *st) {
    return log_fd >= 0 && fstat(fd, st) == 0 && st->st_dev == root_dev && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode));
}
static int is_in(const char *path) { return log_fd >= 0 && strncmp(path, root, strlen(root)) == 0; }

/* A change: carried out and recorded in one step, so that the records' order is that of the changes. */
#define CHANGE(call, failed, recorded)                                                                                 \
    do {                                                                                                               \
        pthread_mutex_lock(&lock);                                                                                     \
        done = (call);                                                                                                 \
        int error = errno;                                                                                             \
        if (done != (failed)) { recorded; }                                                                            \
        pthread_mutex_unlock(&lock);                                                                                   \
        errno = error;                                                                                                 \
    } while (0)

static int open_it(const char *path, int flags, mode_t mode) {
    int done, action = has_rules(OPEN) ? rule_for(OPEN, path) : -1;
    if (action == FAIL || action == SHORT) return -1;
    if (!is_in(path)) return REAL(open64)(path, flags, mode);
    struct stat st;
    CHANGE(REAL(open64)(path, flags, mode), -1, {
        if (fstat(done, &st) == 0 && S_ISREG(st.st_mode)) {
            record_paths(R_OPEN, st.st_ino, path, 0);
            if (flags & O_TRUNC) record(R_TRUNCATE, st.st_ino, 0, 0, 0, 0, 0, 0);
        }
    });
    return done;
}
int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_it(path, flags, mode);
}
int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_it(path, flags | O_LARGEFILE, mode);
}

static ssize_t write_at(int fd, const void *bytes, size_t n, off64_t at, int has_place) {
    int action = rule_for_fd(WRITE, fd);
    if (action == FAIL) return -1;
    if (action == SHORT || action == KILL_HALF) n = n > 1 ? n / 2 : n;
    struct stat st;
    ssize_t done;
    if (!is_ours(fd, &st)) {
        done = has_place ? REAL(pwrite64)(fd, bytes, n, at) : REAL(write)(fd, bytes, n);
    } else {
        if (!has_place) at = lseek64(fd, 0, SEEK_CUR);
        CHANGE(has_place ? REAL(pwrite64)(fd, bytes, n, at) : REAL(write)(fd, bytes, n), -1,
               record(R_WRITE, st.st_ino, (uint64_t)at, 0, bytes, (uint32_t)done, 0, 0));
    }
    if (action == KILL_AFTER || action == KILL_HALF) raise(SIGKILL);
    return done;
}
ssize_t write(int fd, const void *bytes, size_t n) { return write_at(fd, bytes, n, 0, 0); }
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) { return write_at(fd, bytes, n, at, 1); }
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { return write_at(fd, bytes, n, at, 1); }

ssize_t read(int fd, void *bytes, size_t n) {
    return rule_for_fd(READ, fd) == FAIL ? -1 : REAL(read)(fd, bytes, n);
}
ssize_t pread64(int fd, void *bytes, size_t n, off64_t at) {
    return rule_for_fd(READ, fd) == FAIL ? -1 : REAL(pread64)(fd, bytes, n, at);
}

int ftruncate64(int fd, off64_t len) {
    int done, action = rule_for_fd(TRUNCATE, fd);
    if (action == FAIL || action == SHORT) return -1;
    struct stat st;
    if (!is_ours(fd, &st)) done = REAL(ftruncate64)(fd, len);
    else CHANGE(REAL(ftruncate64)(fd, len), -1, record(R_TRUNCATE, st.st_ino, (uint64_t)len, 0, 0, 0, 0, 0));
    if (action == KILL_AFTER) raise(SIGKILL);
    return done;
}
int ftruncate(int fd, off_t len) { return ftruncate64(fd, len); }

/* What was recorded before the beginning of a sync that has ended is on the disk. */
static int sync_it(int fd, int (*real)(int)) {
    int action = rule_for_fd(SYNC, fd);
    struct stat st;
    if (action == FAIL || action == SHORT) {
        int error = errno;
        if (is_ours(fd, &st)) {
            char path[600] = "";
            if (S_ISDIR(st.st_mode)) path_of(fd, path, sizeof path);
            pthread_mutex_lock(&lock);
            record(R_SYNC_FAILED, st.st_ino, 0, 0, path, (uint32_t)strlen(path), 0, 0);
            pthread_mutex_unlock(&lock);
        }
        errno = error;
        return -1;
    }
    int done = 0;
    if (!is_ours(fd, &st)) {
        done = real(fd);
    } else {
        char path[600];
        uint64_t number = next_sync++;
        pthread_mutex_lock(&lock);
        int is_folder = S_ISDIR(st.st_mode);
        path_of(fd, path, sizeof path);
        record(R_SYNC_BEGIN, st.st_ino, number, (uint64_t)is_folder, path, (uint32_t)strlen(path), 0, 0);
        pthread_mutex_unlock(&lock);
        pthread_mutex_lock(&lock);
        record(R_SYNC_END, number, 0, 0, 0, 0, 0, 0);
        pthread_mutex_unlock(&lock);
    }
    if (action == KILL_AFTER) raise(SIGKILL);
    return done;
}
int fsync(int fd) { return sync_it(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_it(fd, REAL(fdatasync)); }

int rename(const char *from, const char *to) {
    int done, action = has_rules(RENAME) ? rule_for(RENAME, to) : -1;
    if (action == FAIL || action == SHORT) return -1;
    if (!is_in(from)) done = REAL(rename)(from, to);
    else CHANGE(REAL(rename)(from, to), -1, record_paths(R_RENAME, 0, from, to));
    if (action == KILL_AFTER) raise(SIGKILL);
    return done;
}
int unlink(const char *path) {
    int done, action = has_rules(UNLINK) ? rule_for(UNLINK, path) : -1;
    if (action == FAIL || action == SHORT) return -1;
    if (!is_in(path)) done = REAL(unlink)(path);
    else CHANGE(REAL(unlink)(path), -1, record_paths(R_UNLINK, 0, path, 0));
    if (action == KILL_AFTER) raise(SIGKILL);
    return done;
}
int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags) {
    int done, action = has_rules(LINK) ? rule_for(LINK, to) : -1;
    if (action == FAIL || action == SHORT) return -1;
    if (!is_in(from)) done = REAL(linkat)(from_fd, from, to_fd, to, flags);
    else CHANGE(REAL(linkat)(from_fd, from, to_fd, to, flags), -1, record_paths(R_LINK, 0, from, to));
    if (action == KILL_AFTER) raise(SIGKILL);
    return done;
}
int mkdir(const char *path, mode_t mode) {
    int done, action = has_rules(MKDIR) ? rule_for(MKDIR, path) : -1;
    if (action == FAIL || action == SHORT) return -1;
    if (!is_in(path)) done = REAL(mkdir)(path, mode);
    else CHANGE(REAL(mkdir)(path, mode), -1, record_paths(R_MKDIR, 0, path, 0));
    if (action == KILL_AFTER) raise(SIGKILL);
    return done;
}

int rmdir(const char *path) {
    int done;
    if (!is_in(path)) return REAL(rmdir)(path);
    CHANGE(REAL(rmdir)(path), -1, record_paths(R_RMDIR, 0, path, 0));
    return done;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (clock == CLOCK_REALTIME && has_rules(CLOCK) && rule_for(CLOCK, 0) == FAIL) return -1;
    if (syscall(SYS_clock_gettime, clock, now) != 0) return -1;
    if (clock == CLOCK_REALTIME && control && control->clock_shift) {
        int64_t micros = (int64_t)now->tv_sec * 1000000 + now->tv_nsec / 1000 + control->clock_shift;
        now->tv_sec = micros / 1000000, now->tv_nsec = micros % 1000000 * 1000;
    }
    return 0;
}
