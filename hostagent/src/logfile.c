// SPDX-License-Identifier: GPL-3.0-or-later
// Bounded logs: see logfile.h.
#include "logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NOTICE = 5, TAKE_AT_ONCE = HA_LOGFILE_BYTES };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void old_path(const char *path, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s.1", path);
}

// --- one line ---

// text without what could move a terminal or forge a line; ret has size bytes.
static void clean(const char *text, size_t len, char *ret, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n + 5 < size; i++) {
        unsigned char c = (unsigned char)text[i];
        bool c1 = c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] >= 0x80 &&
                  (unsigned char)text[i + 1] < 0xa0; // U+0080…U+009F: CSI and friends
        if (c1)
            c = (unsigned char)text[++i];
        if (c1 || c < 0x20 || c == 0x7f)
            n += (size_t)snprintf(ret + n, size - n, "\\x%02x", c);
        else
            ret[n++] = (char)c;
    }
    ret[n] = '\0';
    drv_utf8_clean(ret); // a character that the end has cut, too
}

static size_t put_time(char *ret, size_t size, int64_t at_ms)
{
    const time_t s = (time_t)(at_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(ret, size, "%Y-%m-%dT%H:%M:%S", &tm);
    return n + (size_t)snprintf(ret + n, size - n, ".%03dZ ", (int)(at_ms % 1000));
}

// "2026-11-26T20:05:50.123456Z " (any number of decimals) at the beginning of text: its length.
static size_t take_time(const char *text, int64_t *ret_ms)
{
    struct tm tm = {0};
    const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    int64_t ms = 0;
    if (!p)
        return 0;
    if (*p == '.') {
        char *end;
        double part = strtod(p, &end);
        if (part < 0 || part >= 1)
            return 0;
        ms = (int64_t)(part * 1000);
        p = end;
    }
    if (p[0] != 'Z' || p[1] != ' ')
        return 0;
    *ret_ms = (int64_t)timegm(&tm) * 1000 + ms;
    return (size_t)(p + 2 - text);
}

// --- writing; the lock is held ---

// The file to append to, which has room for more.
static int open_log(const char *path, size_t more)
{
    char old[PATH_MAX];
    struct stat st;
    old_path(path, old);
    if (lstat(path, &st) == 0 && (size_t)st.st_size + more > HA_LOGFILE_BYTES)
        rename(path, old);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static void write_line(const char *path, int64_t at_ms, const char *source, const char *text,
                       size_t len)
{
    char line[HA_LOGFILE_LINE + 128];
    size_t n = put_time(line, sizeof line, at_ms);
    n += (size_t)snprintf(line + n, sizeof line - n, "%.31s ", source);
    clean(text, len, line + n, HA_LOGFILE_LINE);
    n += strlen(line + n);
    line[n++] = '\n';
    DRV_AUTO_CLOSE int fd = open_log(path, n);
    if (fd >= 0 && write(fd, line, n) < 0) {
        // A full disk: see the header.
    }
}

static void write_lines(const char *path, int64_t at_ms, const char *source, const char *text)
{
    for (const char *end; *text; text = *end ? end + 1 : end) {
        end = strchrnul(text, '\n');
        if (end > text)
            write_line(path, at_ms, source, text, (size_t)(end - text));
    }
}

void ha_logfile_add(const char *path, int64_t at_ms, const char *source, const char *text)
{
    pthread_mutex_lock(&lock);
    write_lines(path, at_ms, source, text);
    pthread_mutex_unlock(&lock);
}

void ha_logfile_remove(const char *path)
{
    char old[PATH_MAX];
    old_path(path, old);
    pthread_mutex_lock(&lock);
    unlink(path);
    unlink(old);
    pthread_mutex_unlock(&lock);
}

// --- taking ---

static void take_line(const char *path, const char *source, char *text, int64_t now_ms)
{
    int priority = 0;
    int64_t at_ms = now_ms;
    if (text[0] == '<' && text[1] >= '0' && text[1] <= '7' && text[2] == '>') {
        priority = text[1] - '0';
        text += 3;
    }
    text += take_time(text, &at_ms);
    if (priority <= NOTICE && text[0])
        write_line(path, at_ms, source, text, strlen(text));
}

// The bytes from `at` on are in the log: they need not be in the file any more.
static void forget(int fd, off_t at, off_t len, off_t size)
{
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len) == 0)
        return;
    // No holes here. The writer appends, so it goes on at the new end; a line that it has written
    // in this very moment is lost.
    if (at + len == size && ftruncate(fd, 0) < 0) {
        // Then the same lines come again, and the log stays bounded.
    }
}

// Of the n bytes at buf, whole lines unless `rest`. Returns how many bytes were taken.
static size_t take_lines(const char *path, const char *source, char *buf, size_t n, bool rest,
                         int64_t now_ms)
{
    size_t from = 0;
    while (from < n && buf[from] == '\0') // a hole's edge
        from++;
    while (from < n) {
        char *end = memchr(buf + from, '\n', n - from);
        if (!end && !rest)
            break;
        size_t len = end ? (size_t)(end - (buf + from)) : n - from;
        buf[from + len] = '\0'; // buf has room for one more
        take_line(path, source, buf + from, now_ms);
        from += len + (end ? 1 : 0);
    }
    return from;
}

static void take(const char *path, const char *source, int fd, bool rest, int64_t now_ms)
{
    struct stat st;
    off_t at = lseek(fd, 0, SEEK_DATA);
    if (at < 0 || fstat(fd, &st) < 0 || st.st_size <= at)
        return;
    off_t first = at;
    if (st.st_size - at > TAKE_AT_ONCE) {
        char text[64];
        first = st.st_size - TAKE_AT_ONCE;
        snprintf(text, sizeof text, "%lld bytes are left out here", (long long)(first - at));
        write_line(path, now_ms, source, text, strlen(text));
    }
    size_t want = (size_t)(st.st_size - first);
    DRV_AUTO_FREE char *buf = drv_xcalloc(1, want + 1);
    ssize_t n = pread(fd, buf, want, first);
    if (n <= 0)
        return;
    // A line longer than all that is taken at once ends here.
    rest |= first > at && !memchr(buf, '\n', (size_t)n);
    size_t taken = take_lines(path, source, buf, (size_t)n, rest, now_ms);
    if (taken > 0)
        forget(fd, at, first - at + (off_t)taken, st.st_size);
}

void ha_logfile_take(const char *path, const char *source, const char *from, bool rest,
                     int64_t now_ms)
{
    DRV_AUTO_CLOSE int fd = open(from, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    pthread_mutex_lock(&lock);
    take(path, source, fd, rest, now_ms);
    pthread_mutex_unlock(&lock);
}

// --- reading ---

struct content {
    char *text; // of the older file, then of the newer one
    size_t len, newer_at;
    uint64_t older, newer; // inodes; 0 = there is none
};

static size_t load_file(const char *path, char *ret, uint64_t *ret_inode)
{
    struct stat st;
    DRV_AUTO_CLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    *ret_inode = 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return 0;
    ssize_t n = read(fd, ret, HA_LOGFILE_BYTES);
    *ret_inode = st.st_ino;
    return n > 0 ? (size_t)n : 0;
}

static void load(const char *path, struct content *ret)
{
    char old[PATH_MAX];
    old_path(path, old);
    ret->text = drv_xcalloc(2, HA_LOGFILE_BYTES);
    pthread_mutex_lock(&lock);
    ret->newer_at = load_file(old, ret->text, &ret->older);
    ret->len = ret->newer_at + load_file(path, ret->text + ret->newer_at, &ret->newer);
    pthread_mutex_unlock(&lock);
}

// Positions are "INODE:OFFSET" of a file: it stays the same file when it becomes the older one.
static size_t position_of(const struct content *c, const char *after)
{
    uint64_t inode = 0, offset = 0;
    if (sscanf(after, "%" SCNu64 ":%" SCNu64, &inode, &offset) != 2 || offset > HA_LOGFILE_BYTES)
        return 0;
    if (inode && inode == c->newer && c->newer_at + offset <= c->len)
        return c->newer_at + offset;
    return inode && inode == c->older && offset <= c->newer_at ? offset : 0;
}

static void name_position(const struct content *c, size_t at, char ret[64])
{
    bool newer = at >= c->newer_at && c->newer;
    snprintf(ret, 64, "%" PRIu64 ":%zu", newer ? c->newer : c->older,
             newer ? at - c->newer_at : at);
}

// Where the newest lines begin: so many, and not more text than fits an answer.
static size_t newest(const struct content *c, unsigned lines)
{
    size_t at = c->len, floor = c->len > HA_LOGFILE_ANSWER ? c->len - HA_LOGFILE_ANSWER : 0;
    for (size_t i = c->len; i-- > floor + 1 && lines > 0;)
        if (c->text[i - 1] == '\n') {
            at = i;
            lines--;
        }
    return lines > 0 && floor == 0 ? 0 : at;
}

static json_t *entry(char *line)
{
    int64_t at_ms = 0;
    line += take_time(line, &at_ms);
    char *text = strchr(line, ' ');
    if (!at_ms || !text)
        return NULL; // cut by a crash or a full disk
    *text++ = '\0';
    drv_utf8_clean(line);
    drv_utf8_clean(text);
    return json_pack("{s:I, s:s, s:s}", "at", (json_int_t)at_ms, "source", line, "text", text);
}

json_t *ha_logfile_read(const char *path, unsigned lines, const char *after, char ret_next[64])
{
    struct content c = {.text = NULL};
    load(path, &c);
    DRV_AUTO_FREE char *owned = c.text;
    json_t *list = json_array();
    size_t at = after && after[0] ? position_of(&c, after) : newest(&c, lines), first = at;
    while (at < c.len && json_array_size(list) < lines && at - first < HA_LOGFILE_ANSWER) {
        char *end = memchr(c.text + at, '\n', c.len - at);
        if (!end)
            break;
        *end = '\0';
        json_t *e = entry(c.text + at);
        if (e)
            json_array_append_new(list, e);
        at = (size_t)(end - c.text) + 1;
    }
    name_position(&c, at, ret_next);
    return list;
}
