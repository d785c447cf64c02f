// SPDX-License-Identifier: GPL-3.0-or-later
// One error value for the whole product: what happened, who must act, and what to do about it.
//
// A function that can fail returns -1 (or NULL) *and* fills its last parameter. On success *err is
// untouched. Library code never logs an error: the frame that decides what to do with it does,
// once.
#ifndef DROVER_ERR_H
#define DROVER_ERR_H

#include <stdarg.h>
#include <stdbool.h>

// Chosen by who must act. The names (drv_code_name) are stable: they stand on the wire and in the
// db.
enum drv_code {
    DRV_OK = 0,
    DRV_EINVAL,       // the request, file or argument is wrong: whoever wrote it
    DRV_EDENIED,      // not authorised: the administrator of roles, ACLs or delegation
    DRV_EUNREACHABLE, // a host, server or process does not answer
    DRV_EBUSY,        // somebody else is using it: try later
    DRV_ETIMEDOUT,    // it answered nothing in the time allowed
    DRV_ENOTFOUND,    // no such VM, store, file, call
    DRV_EEXIST,       // it is there already
    DRV_ENOSPACE,     // disk, memory or slots are full
    DRV_EPEER,        // the other side (QEMU, agent, KDC, server) refused or answered nonsense
    DRV_EIO,          // the operating system failed to read or write
    DRV_ESTATE,       // not possible in the present state of the VM or move
    DRV_ECANCELLED,   // a person cancelled
    DRV_EATTENTION,   // ownership is unclear: a person must look
    DRV_EINTERNAL,    // a bug in drover
    DRV_CODE_MAX_
};

#define DRV_ID_LEN 4 // finding id such as "D14", with its NUL

struct drv_err {
    enum drv_code code;
    char id[DRV_ID_LEN]; // finding id, "" if none
    char origin[16];     // library that reported it: os, qmp, gss, smb, ldap, sqlite; "" = drover
    long native;         // that library's own number
    char msg[512];       // one line, outer context first
    char hint[384];      // what to do; "" if there is nothing better than the message
};

#define DRV_ERR_INIT                                                                               \
    {                                                                                              \
        .code = DRV_OK                                                                             \
    }

// Set *err (NULL allowed). fmt gives one line without a full stop. Returns -1, so that a caller can
// write `return drv_err(err, …)`. A second set on the same error overwrites nothing: the first
// wins.
int drv_err(struct drv_err *err, enum drv_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// The same from errno-style numbers: appends ": strerror(errnum)", sets origin "os", and picks the
// code (ENOSPC → DRV_ENOSPACE, ENOENT → DRV_ENOTFOUND, EACCES → DRV_EDENIED, …, else DRV_EIO).
int drv_err_os(struct drv_err *err, int errnum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

// Give *err a hint (what to do) or a finding id, keeping the rest. No effect on NULL. Return -1.
int drv_err_hint(struct drv_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int drv_err_id(struct drv_err *err, const char *id);
// Note the library's own number.
int drv_err_native(struct drv_err *err, const char *origin, long native);

// Prepend outer context: "fmt: old message". Returns -1.
int drv_err_prefix(struct drv_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void drv_err_clear(struct drv_err *err);
const char *drv_code_name(enum drv_code code);      // "denied"
enum drv_code drv_code_from_name(const char *name); // DRV_EPEER for unknown names
enum drv_code drv_code_from_errno(int errnum);

#endif
