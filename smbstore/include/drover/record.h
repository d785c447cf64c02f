// SPDX-License-Identifier: GPL-3.0-or-later
// The owner record of a VM: who may run it (DESIGN.md section 3). Two 4 KiB slots, written in turn;
// each has magic, version, a write counter, the epoch, a body and a crc32c. The newest valid slot
// counts; one bad slot is a torn write (the older one counts); two bad slots are "needs attention".
// Final format, specified in docs/RECORD.md. Pure encode/decode: who reads and writes it is
// drover-store. Any thread.
#ifndef DROVER_RECORD_H
#define DROVER_RECORD_H

#include "drover/vmdef.h"

enum { SS_RECORD_SLOT_BYTES = 4096, SS_RECORD_BYTES = 2 * SS_RECORD_SLOT_BYTES };

enum ss_record_state { SS_REC_RUNNING, SS_REC_RELEASED, SS_REC_STOPPED, SS_REC_STATE_MAX_ };

// One image that may be opened for running while this record stands.
struct ss_record_image {
    char disk[SS_NAME_MAX];
    char store[SS_NAME_MAX];
    char path[SS_PATH_MAX];
    uint64_t volume_id; // as the server or file system tells it; 0 = unknown
    uint64_t file_id;   // inode / SMB file id
    uint64_t size_bytes;
    char image_id[DRV_UUID_LEN]; // given by drover when the image is created
};

struct ss_record {
    uint64_t write_counter; // one more than the previous record's: set by who writes
    uint64_t epoch;         // >= 1
    enum ss_record_state state;
    char vm[DRV_UUID_LEN];
    char host[256];              // FQDN of the holder (or last holder)
    char boot_id[DRV_UUID_LEN];  // /proc/sys/kernel/random/boot_id of that host
    char instance[DRV_UUID_LEN]; // QEMU instance that may run; "" when stopped
    char move[DRV_UUID_LEN];     // move id when released, or by which it was taken; "" otherwise
    char to[256];                // FQDN that may take a released record
    char nonce[DRV_UUID_LEN];    // random per write: settles a write without an answer
    struct ss_record_image images[SS_MAX_DISKS];
    unsigned n_images;
    char home_store[SS_NAME_MAX]; // where vm.<epoch>.json is
    char home_path[SS_PATH_MAX];
    char vm_json_sha256[65];
    unsigned stall_deadline_s; // the holder pauses its guest when it could not verify for so long
};

// Encode r (write_counter as given) into one slot. -1 DRV_EINVAL when a field is bad or it does not
// fit 4 KiB (then nothing was encoded).
int ss_record_encode(const struct ss_record *r, uint8_t slot[SS_RECORD_SLOT_BYTES],
                     struct drv_err *err);
// One slot. -1 DRV_EINVAL: never written or torn (magic or checksum); DRV_EATTENTION: intact, but
// not understood (a newer drover's version, a field out of range).
int ss_record_decode_slot(const uint8_t slot[SS_RECORD_SLOT_BYTES], struct ss_record *ret,
                          struct drv_err *err);
// Decode both slots of a record file, choose the newest valid. ret_slot: 0 or 1, the slot it came
// from (the next write goes to the other). len may be less than SS_RECORD_BYTES: slots not wholly
// there are invalid. -1 DRV_ENOTFOUND: len is 0, a record never written; DRV_EATTENTION: neither
// slot is valid, one is not understood, or the two contradict each other.
int ss_record_decode(const uint8_t *bytes, size_t len, struct ss_record *ret, unsigned *ret_slot,
                     struct drv_err *err);
// For the wire and the control socket: {"write_counter","epoch","body":{…}}; file and volume ids
// are strings of hexadecimal digits, as JSON integers end at 2^63. New reference.
json_t *ss_record_to_json(const struct ss_record *r);
int ss_record_from_json(const json_t *j, struct ss_record *ret, struct drv_err *err);
const char *ss_record_state_name(enum ss_record_state s);

// Is this the file that im names? A volume id of 0 is unknown, and then does not count.
bool ss_record_image_is(const struct ss_record_image *im, uint64_t volume_id, uint64_t file_id);

// Path of a VM's record within its arbiter store: ".drover/owners/<uuid>".
void ss_record_path(const char *uuid, char out[SS_PATH_MAX]);

#endif
