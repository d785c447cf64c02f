/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of the test guest, sectioned by the file that implements them.
 *
 * The guest is one static program that runs as PID 1.  Each part has threads of its own, started
 * once and never ended; what control.c changes in a part it changes through the functions below.
 * Functions that can fail return 0, or -1 after writing one line about it, without newline, to why.
 */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../common/abi.h"

enum { GUEST_TEXT = 512 }; /* bytes of an answer or an error text */

#define NS_PER_S UINT64_C(1000000000)
#define MIB (UINT64_C(1) << 20)

/* ---- util.c ---- */

uint64_t guest_now_ns(void);
void guest_sleep_ms(unsigned ms);
void guest_sleep_ns(uint64_t ns);

/* Starts a detached thread.  Ends the guest by a message and power-off when there is no memory for
 * it. */
void guest_thread(void *(*body)(void *), void *arg);

/* A socket bound to port on all addresses, listening when type is SOCK_STREAM.  Powers off on
 * failure. */
int guest_listen(int type, enum tg_port port);

/* Accepts for ever on listener, calling serve for each connection in a thread of its own, which
 * ends with serve and closes the connection. */
_Noreturn void guest_serve(int listener, void (*serve)(int connection));

/* Syncs and powers off.  Returns never; the guest's exit from anything hopeless. */
_Noreturn void guest_power_off(const char *reason);

/* ---- net.c ---- */

/* Brings up lo and eth0, eth0 with this address, and serves the echo ports. */
void net_start(const char *ip, const char *mask);

/* ---- memory.c: a working set of pages whose content is known ---- */

void memory_start(void);

/* Replaces the working set by one of so many MiB, freshly filled; 0 frees it. */
int memory_set(uint64_t mib, char why[GUEST_TEXT]);

/* Rewrites the working set in rounds at this rate; 0 stops.  full rewrites whole pages, otherwise
 * each page's first 24 bytes.  Time in which the guest did not run is not made up for. */
void memory_dirty(uint64_t mib_per_s, bool full);

/* Compares every byte of the working set with what was last written there.
 * Returns the number of pages that differ. */
uint64_t memory_check(uint64_t *ret_pages);

/* Pages rewritten since the last memory_dirty(). */
uint64_t memory_dirtied(void);

/* ---- disk.c: a writer of acknowledged records for each disk, see ../common/ring.h ---- */

struct disk;

struct disk_stat {
    uint64_t seq;        /* last acknowledged */
    uint64_t errors;     /* failed writes; each is tried again */
    uint64_t max_lat_us; /* of a write since the last call */
};

/* Opens vda to vdd and starts their writers at rate 0; a disk that holds a ring continues it. */
void disk_start(void);

/* The disk of this name ("vda"), or NULL. */
struct disk *disk_find(const char *name);

/* The disk number index, or NULL past the last; and its name. */
struct disk *disk_at(unsigned index);
const char *disk_name(const struct disk *disk);

/* Sets the records per second.  slots 0 keeps the ring; any other number than the present one
 * begins a new ring after the last record.  The first call on an empty disk makes a ring of 4096
 * slots. */
int disk_write(struct disk *disk, uint64_t per_s, uint64_t slots, char why[GUEST_TEXT]);

/* Reads the whole ring back and judges it.  answer gets "checked= lost= corrupt= ahead= seq=".
 * Returns 0 when nothing is wrong; -1 with the reason in answer. */
int disk_verify(struct disk *disk, char answer[GUEST_TEXT]);

void disk_stat(struct disk *disk, struct disk_stat *ret_stat);

/* Fills, or discards, part of the disk past its ring, or sums any part of it.  Offset and length
 * are in MiB.  The fill is incompressible and depends on seed and offset alone. */
int disk_fill(struct disk *disk, uint64_t offset, uint64_t length, uint64_t seed,
              char why[GUEST_TEXT]);
int disk_discard(struct disk *disk, uint64_t offset, uint64_t length, char why[GUEST_TEXT]);
int disk_sum(struct disk *disk, uint64_t offset, uint64_t length, uint64_t *ret_sum,
             char why[GUEST_TEXT]);

/* ---- acks.c: tells followers of each record that is safe ---- */

void acks_start(void);

/* Sends a hello or an ack of one disk to every follower and keeps it for those to come.  A follower
 * that does not take it is cut off: it would miss one otherwise.  index: the disk's. */
void acks_publish(unsigned index, const struct tg_ack *ack);

/* ---- power.c ---- */

/* Powers off when somebody presses the ACPI power button (QMP system_powerdown). */
void power_start(void);

/* ---- control.c ---- */

/* Serves the control port.  Returns never. */
_Noreturn void control_run(void);

#endif
