// SPDX-License-Identifier: GPL-3.0-or-later
// Integrity and encryption of SMB 3.1.1: MS-SMB2 3.1.4.1 (signing), 3.1.4.2 (keys), 3.1.4.3 and
// 3.1.4.4 (encryption), 3.2.5.2 (pre-authentication integrity). Nothing here knows a socket.
// A key object belongs to one thread at a time.
#ifndef DROVER_SMB2_CRYPTO_H
#define DROVER_SMB2_CRYPTO_H

#include "drover/err.h"
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum smb2_cipher { // MS-SMB2 2.2.3.1.2; 0 = none negotiated. CCM is left out: four times as slow.
    SMB2_AES128_GCM = 0x0002,
    SMB2_AES256_GCM = 0x0004,
};

enum smb2_signing {          // MS-SMB2 2.2.3.1.7
    SMB2_SIGN_CMAC = 0x0001, // AES-128-CMAC: what a server without the context uses
    SMB2_SIGN_GMAC = 0x0002, // AES-128-GMAC
};

enum {
    SMB2_HASH_BYTES = 64, // SHA-512
    SMB2_KEY_MAX = 32,
    SMB2_TRANSFORM_BYTES = 52, // the TRANSFORM_HEADER, MS-SMB2 2.2.41
    SMB2_SIGNATURE_BYTES = 16,
};

// The pre-authentication integrity hash: begins as zeros, takes in whole messages in wire order.
struct smb2_preauth {
    uint8_t hash[SMB2_HASH_BYTES];
};
void smb2_preauth_add(struct smb2_preauth *p, const void *msg, size_t len);

// SP800-108 in counter mode with HMAC-SHA256, MS-SMB2 3.1.4.2. out_len: 16 or 32. label with its
// NUL counted in label_len.
void smb2_kdf(const uint8_t *key, size_t key_len, const char *label, size_t label_len,
              const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len);

// The keys of a session. session_key: what GSSAPI gave (whole); preauth: the hash over negotiate
// and session setup up to the client's last request.
struct smb2_keys {
    uint8_t signing[16];
    uint8_t encrypt[SMB2_KEY_MAX]; // client to server
    uint8_t decrypt[SMB2_KEY_MAX]; // server to client
    size_t cipher_len;             // 16 or 32
};
// -1 DRV_EPEER: a session key too short for this cipher.
int smb2_derive_keys(const uint8_t *session_key, size_t len, const struct smb2_preauth *preauth,
                     enum smb2_cipher cipher, struct smb2_keys *ret, struct drv_err *err);
void smb2_keys_wipe(struct smb2_keys *k);

// --- encryption ---

struct smb2_crypt; // one direction of one session
struct smb2_crypt *smb2_crypt_new(enum smb2_cipher cipher, const uint8_t *key, uint64_t session_id,
                                  struct drv_err *err);
void smb2_crypt_free(struct smb2_crypt *c); // wipes the key; NULL allowed

// Encrypt the parts of one message, in order, into dst (their total length), and write the
// transform header before it. All parts but the last have lengths that are multiples of 16 bytes.
// Every call uses a fresh nonce (a counter); -1 only when nonces are used up: the session must end.
int smb2_seal(struct smb2_crypt *c, const struct iovec *parts, unsigned n_parts,
              uint8_t header[SMB2_TRANSFORM_BYTES], uint8_t *dst, struct drv_err *err);

// Begin, feed and end the decryption of one message: bytes come out as they are fed, so that a long
// answer goes straight to where it belongs; nothing may be trusted before smb2_open_end() said so.
// len of every feed but the last: a multiple of 16. in and out may be the same.
// begin: -1 DRV_EPEER for a header that is not one, of another session, or of another cipher.
// *ret_len: the plain message's length as the header says: to be bounded by the caller.
int smb2_open_begin(struct smb2_crypt *c, const uint8_t header[SMB2_TRANSFORM_BYTES],
                    size_t *ret_len, struct drv_err *err);
void smb2_open_feed(struct smb2_crypt *c, const uint8_t *in, uint8_t *out, size_t len);
bool smb2_open_end(struct smb2_crypt *c); // true: authentic

// --- signing ---

struct smb2_signer;
struct smb2_signer *smb2_signer_new(enum smb2_signing how, const uint8_t key[16],
                                    struct drv_err *err);
void smb2_signer_free(struct smb2_signer *s);
// Signature over the parts of a message whose first part begins with the SMB2 header; the header's
// signature field counts as zeros. message_id and flags are read from the header (GMAC's nonce,
// MS-SMB2 3.1.4.1: message id, server-to-client bit, CANCEL bit). All parts but the last have
// lengths that are multiples of 16 bytes.
void smb2_sign(struct smb2_signer *s, const struct iovec *parts, unsigned n_parts,
               uint8_t signature[SMB2_SIGNATURE_BYTES]);
// Constant-time comparison with the signature that stands in the header.
bool smb2_verify(struct smb2_signer *s, const struct iovec *parts, unsigned n_parts);

#endif
