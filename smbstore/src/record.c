// SPDX-License-Identifier: GPL-3.0-or-later
// The owner record's bytes. Format: docs/RECORD.md. Everything read is checked before use: the file
// may have been torn by a crash, rolled back by a snapshot or edited by hand.
#include "drover/record.h"

#include "crc32c.h"
#include "fields.h"
#include "vmdef_int.h"
#include <endian.h>
#include <stdlib.h>
#include <string.h>

// Little-endian on disk. crc covers the whole slot with this field zero.
struct slot_header {
    uint8_t magic[8];
    uint32_t version;
    uint32_t body_bytes;
    uint64_t write_counter;
    uint64_t epoch;
    uint32_t crc;
    uint32_t reserved; // zero
};
_Static_assert(sizeof(struct slot_header) == 40, "no padding on disk");

enum {
    RECORD_VERSION = 1,
    BODY_MAX = SS_RECORD_SLOT_BYTES - sizeof(struct slot_header),
};
static const uint8_t magic[8] = "DROVOWN1"; // exactly eight: no NUL

// --- body ---

static const char *const state_names[] = {[SS_REC_RUNNING] = "running",
                                          [SS_REC_RELEASED] = "released",
                                          [SS_REC_STOPPED] = "stopped",
                                          NULL};
_Static_assert(DRV_ARRAY_LEN(state_names) == SS_REC_STATE_MAX_ + 1, "a name per state");

static int uuid_or_empty(const char *s)
{
    return !*s || drv_uuid_valid(s);
}

static int host_valid(const char *s)
{
    return drv_name_valid(s, 255);
}

static int host_or_empty(const char *s)
{
    return !*s || host_valid(s);
}

static int sha256_valid(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

#define TEXT(type, member, ok, text)                                                               \
    .kind = SS_F_TEXT, .offset = offsetof(struct type, member),                                    \
    .size = sizeof((struct type *)0)->member, .valid = (ok), .expected = (text)
#define UUID(type, member) TEXT(type, member, drv_uuid_valid, "a UUID in lower case")
#define UUID_OR_EMPTY(type, member)                                                                \
    TEXT(type, member, uuid_or_empty, "a UUID in lower case, or empty")
#define NUMBER(type, member, how, low, high)                                                       \
    .kind = (how), .offset = offsetof(struct type, member), .min = (low), .max = (high)

static const struct ss_field image_fields[] = {
    {"disk", TEXT(ss_record_image, disk, ssi_id_valid, SSI_ID_TEXT)},
    {"store", TEXT(ss_record_image, store, ssi_name_valid, SSI_NAME_TEXT)},
    {"path", TEXT(ss_record_image, path, ss_path_valid, SSI_PATH_TEXT)},
    {"volume_id", NUMBER(ss_record_image, volume_id, SS_F_HEX64, 0, 0)},
    {"file_id", NUMBER(ss_record_image, file_id, SS_F_HEX64, 0, 0)},
    {"size_bytes", NUMBER(ss_record_image, size_bytes, SS_F_U64, 0, INT64_MAX)},
    {"image_id", UUID_OR_EMPTY(ss_record_image, image_id)},
    {.key = NULL}};

static const struct ss_field body_fields[] = {
    {"state", .kind = SS_F_ENUM, .offset = offsetof(struct ss_record, state), .names = state_names},
    {"vm", UUID(ss_record, vm)},
    {"host", TEXT(ss_record, host, host_valid, "a host name")},
    {"boot_id", UUID(ss_record, boot_id)},
    {"instance", UUID_OR_EMPTY(ss_record, instance)},
    {"move", UUID_OR_EMPTY(ss_record, move)},
    {"to", TEXT(ss_record, to, host_or_empty, "a host name, or empty")},
    {"nonce", UUID(ss_record, nonce)},
    {"images", .kind = SS_F_ARRAY, .offset = offsetof(struct ss_record, images),
     .size = sizeof(struct ss_record_image), .max = SS_MAX_DISKS, .fields = image_fields,
     .count_offset = offsetof(struct ss_record, n_images)},
    {"home_store", TEXT(ss_record, home_store, ssi_name_valid, SSI_NAME_TEXT)},
    {"home_path", TEXT(ss_record, home_path, ss_path_valid, SSI_PATH_TEXT)},
    {"vm_json_sha256", TEXT(ss_record, vm_json_sha256, sha256_valid, "64 hexadecimal digits")},
    {"stall_deadline_s", NUMBER(ss_record, stall_deadline_s, SS_F_UINT, 1, 3600)},
    {.key = NULL}};

// What the state demands of the other fields.
static int check_body(const struct ss_record *r, struct drv_err *err)
{
    if (r->state == SS_REC_RELEASED && (!r->move[0] || !r->to[0]))
        return drv_err(err, DRV_EINVAL, "owner record: released, but to no host or for no move");
    if (r->state == SS_REC_RUNNING && !r->instance[0])
        return drv_err(err, DRV_EINVAL, "owner record: running, but names no QEMU instance");
    return 0;
}

// --- slots ---

int ss_record_encode(const struct ss_record *r, uint8_t slot[SS_RECORD_SLOT_BYTES],
                     struct drv_err *err)
{
    if (r->epoch < 1 || r->epoch > INT64_MAX || r->write_counter > INT64_MAX)
        return drv_err(err, DRV_EINVAL, "owner record: epoch or write counter out of range");
    DRV_AUTO_JSON json_t *body = ss_fields_write(body_fields, r);
    // Read back what will be written: a record that nobody could decode must never reach the disk.
    struct ss_record check = {.epoch = 0};
    if (!body)
        return drv_err(err, DRV_EINVAL, "owner record: a text is not UTF-8");
    if (ss_fields_read(body_fields, body, &check, "owner record", err) < 0 ||
        check_body(r, err) < 0)
        return -1;
    DRV_AUTO_FREE char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    size_t len = text ? strlen(text) : SIZE_MAX;
    if (len > BODY_MAX)
        return drv_err(err, DRV_EINVAL,
                       "owner record: %zu bytes, more than the %d of its slot: shorten image paths",
                       len, (int)BODY_MAX);

    struct slot_header h = {
        .version = htole32(RECORD_VERSION),
        .body_bytes = htole32((uint32_t)len),
        .write_counter = htole64(r->write_counter),
        .epoch = htole64(r->epoch),
    };
    memcpy(h.magic, magic, sizeof magic);
    memset(slot, 0, SS_RECORD_SLOT_BYTES);
    memcpy(slot, &h, sizeof h);
    memcpy(slot + sizeof h, text, len); // NOLINT(bugprone-not-null-terminated-result): zeros follow
    h.crc = htole32(ss_crc32c(slot, SS_RECORD_SLOT_BYTES));
    memcpy(slot, &h, sizeof h);
    return 0;
}

static int check_crc(const uint8_t slot[SS_RECORD_SLOT_BYTES], const struct slot_header *h,
                     struct drv_err *err)
{
    uint8_t copy[SS_RECORD_SLOT_BYTES];
    memcpy(copy, slot, sizeof copy);
    memset(copy + offsetof(struct slot_header, crc), 0, sizeof h->crc);
    if (ss_crc32c(copy, sizeof copy) != le32toh(h->crc))
        return drv_err(err, DRV_EINVAL, "owner record: checksum does not match");
    return 0;
}

static int decode_intact(const uint8_t slot[SS_RECORD_SLOT_BYTES], const struct slot_header *h,
                         struct ss_record *ret, struct drv_err *err)
{
    if (le32toh(h->version) != RECORD_VERSION)
        return drv_err(err, DRV_EINVAL, "owner record: version %u, this drover knows %d",
                       le32toh(h->version), RECORD_VERSION);
    uint32_t len = le32toh(h->body_bytes);
    if (len > BODY_MAX)
        return drv_err(err, DRV_EINVAL, "owner record: body of %u bytes", len);
    json_error_t je;
    DRV_AUTO_JSON json_t *body =
        json_loadb((const char *)slot + sizeof *h, len, JSON_REJECT_DUPLICATES, &je);
    if (!body)
        return drv_err(err, DRV_EINVAL, "owner record: %s", je.text);

    struct ss_record r = {.write_counter = le64toh(h->write_counter), .epoch = le64toh(h->epoch)};
    if (r.epoch < 1 || r.epoch > INT64_MAX || r.write_counter > INT64_MAX)
        return drv_err(err, DRV_EINVAL, "owner record: epoch or write counter out of range");
    if (ss_fields_read(body_fields, body, &r, "owner record", err) < 0 || check_body(&r, err) < 0)
        return -1;
    *ret = r;
    return 0;
}

int ss_record_decode_slot(const uint8_t slot[SS_RECORD_SLOT_BYTES], struct ss_record *ret,
                          struct drv_err *err)
{
    struct slot_header h;
    memcpy(&h, slot, sizeof h);
    if (memcmp(h.magic, magic, sizeof magic) != 0)
        return drv_err(err, DRV_EINVAL, "owner record: not one (wrong magic)");
    if (check_crc(slot, &h, err) < 0)
        return -1;
    struct drv_err why = DRV_ERR_INIT;
    if (decode_intact(slot, &h, ret, &why) < 0)
        return drv_err(err, DRV_EATTENTION, "%s", why.msg);
    return 0;
}

// Both slots are valid: they must tell one story.
static int check_pair(const struct ss_record *newer, const struct ss_record *older,
                      struct drv_err *err)
{
    if (newer->write_counter == older->write_counter)
        return drv_err(err, DRV_EATTENTION, "owner record: two slots of one write counter");
    if (newer->epoch < older->epoch)
        return drv_err(err, DRV_EATTENTION, "owner record: the newer slot has the lower epoch");
    if (strcmp(newer->vm, older->vm) != 0)
        return drv_err(err, DRV_EATTENTION, "owner record: its slots belong to two VMs");
    return 0;
}

int ss_record_decode(const uint8_t *bytes, size_t len, struct ss_record *ret, unsigned *ret_slot,
                     struct drv_err *err)
{
    struct ss_record slots[2] = {{.epoch = 0}, {.epoch = 0}};
    bool valid[2] = {false, false};
    struct drv_err why[2] = {DRV_ERR_INIT, DRV_ERR_INIT};
    if (len == 0)
        return drv_err(err, DRV_ENOTFOUND, "owner record: empty, never written");
    for (size_t i = 0; i < 2; i++) {
        if (len >= (i + 1) * SS_RECORD_SLOT_BYTES)
            valid[i] =
                ss_record_decode_slot(bytes + i * SS_RECORD_SLOT_BYTES, &slots[i], &why[i]) == 0;
        else
            drv_err(&why[i], DRV_EINVAL, "owner record: cut short");
        // Intact but not understood, such as from a newer drover: it may be the newest, so the
        // other slot must not stand in for it.
        if (why[i].code == DRV_EATTENTION)
            return drv_err(err, DRV_EATTENTION, "%s", why[i].msg);
    }
    if (!valid[0] && !valid[1]) {
        drv_err(err, DRV_EATTENTION, "%s; second slot: %s", why[0].msg, why[1].msg);
        return drv_err_hint(err,
                            "somebody must find out which host ran this VM last; until then no "
                            "host will start it");
    }
    unsigned newest = valid[0] ? 0 : 1;
    if (valid[0] && valid[1]) {
        newest = slots[1].write_counter > slots[0].write_counter ? 1 : 0;
        if (check_pair(&slots[newest], &slots[!newest], err) < 0)
            return -1;
    }
    *ret = slots[newest];
    *ret_slot = newest;
    return 0;
}

// --- JSON for the wire and the control socket: the body and the two numbers of the header ---

static const struct ss_field number_fields[] = {
    {"write_counter", NUMBER(ss_record, write_counter, SS_F_U64, 0, INT64_MAX)},
    {"epoch", NUMBER(ss_record, epoch, SS_F_U64, 1, INT64_MAX)},
    {"body", .kind = SS_F_OBJECT, .fields = body_fields},
    {.key = NULL}};

json_t *ss_record_to_json(const struct ss_record *r)
{
    return ss_fields_write(number_fields, r);
}

int ss_record_from_json(const json_t *j, struct ss_record *ret, struct drv_err *err)
{
    struct ss_record r = {.epoch = 0};
    if (ss_fields_read(number_fields, j, &r, "owner record", err) < 0 || check_body(&r, err) < 0)
        return -1;
    *ret = r;
    return 0;
}

const char *ss_record_state_name(enum ss_record_state s)
{
    return s < SS_REC_STATE_MAX_ ? state_names[s] : "unknown";
}

void ss_record_path(const char *uuid, char out[SS_PATH_MAX])
{
    snprintf(out, SS_PATH_MAX, ".drover/owners/%s", uuid);
}

bool ss_record_image_is(const struct ss_record_image *im, uint64_t volume_id, uint64_t file_id)
{
    return im->file_id == file_id &&
           (im->volume_id == 0 || volume_id == 0 || im->volume_id == volume_id);
}
