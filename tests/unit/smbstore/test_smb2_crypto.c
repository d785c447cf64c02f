// SPDX-License-Identifier: GPL-3.0-or-later
// Keys, encryption and signatures of SMB 3.1.1 against published values (Microsoft's examples for
// dialect 3.1.1, RFC 4493, NIST) and against GnuTLS's one-call functions; and what is refused.
#include "crypto.h"

#include "drover/util.h"
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    HDR = 64,
    AT_COMMAND = 12,
    AT_FLAGS = 16,
    AT_MESSAGE_ID = 24,
    AT_SIGNATURE = 48,
    // of the TRANSFORM_HEADER
    T_SIGNATURE = 4,
    T_NONCE = 20,
    T_LENGTH = 36,
    T_RESERVED = 40,
    T_FLAGS = 42,
    T_SESSION = 44,
    NONCE = 12,
    AAD = SMB2_TRANSFORM_BYTES - T_NONCE,
    BIG = 112 + (1 << 20),
};
static const uint64_t session = 0x100000000025;

static size_t unhex(const char *hex, uint8_t *to, size_t max)
{
    size_t n = strlen(hex) / 2;
    assert_true(n <= max);
    for (size_t i = 0; i < n; i++) {
        const char byte[] = {hex[2 * i], hex[2 * i + 1], 0};
        to[i] = (uint8_t)strtoul(byte, NULL, 16);
    }
    return n;
}

static void assert_hex(const void *got, const char *hex)
{
    uint8_t wanted[512];
    size_t n = unhex(hex, wanted, sizeof wanted);
    assert_memory_equal(got, wanted, n);
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + seed);
}

// --- keys ---

static struct smb2_keys published_keys(const char *session_key, const char *preauth)
{
    struct smb2_preauth p;
    struct smb2_keys k;
    uint8_t key[16];
    unhex(session_key, key, sizeof key);
    unhex(preauth, p.hash, sizeof p.hash);
    assert_int_equal(smb2_derive_keys(key, sizeof key, &p, SMB2_AES128_GCM, &k, NULL), 0);
    assert_int_equal(k.cipher_len, 16);
    return k;
}

static void keys_of_microsofts_examples_are_derived(void **state)
{
    (void)state;
    struct smb2_keys k =
        published_keys("270E1BA896585EEB7AF3472D3B4C75A7",
                       "0DD13628CC3ED218EF9DF9772D436D0887AB9814BFAE63A80AA845F36909DB79"
                       "28622DDDAD522D9751640A459762C5A9D6BB084CBB3CE6BDADEF5D5BCE3C6C01");
    assert_hex(k.signing, "73FE7A9A77BEF0BDE49C650D8CCB5F76");
    assert_hex(k.encrypt, "629BCBC54422A0F572B97F45989B6073");
    assert_hex(k.decrypt, "E2AF0DCEFAC68DA71A0DFBD0D1350D74");
}

// SP800-108, counter mode, one block, in one buffer and one call.
static void one_call_kdf(const uint8_t *key, size_t key_len, const char *label, size_t label_len,
                         const uint8_t *context, unsigned bits, uint8_t ret[32])
{
    uint8_t in[4 + 32 + 1 + SMB2_HASH_BYTES + 4] = {0, 0, 0, 1};
    size_t n = 4;
    memcpy(in + n, label, label_len);
    n += label_len;
    in[n++] = 0;
    memcpy(in + n, context, SMB2_HASH_BYTES);
    n += SMB2_HASH_BYTES;
    const uint8_t be[4] = {0, 0, (uint8_t)(bits >> 8), (uint8_t)bits};
    memcpy(in + n, be, sizeof be);
    n += sizeof be;
    assert_int_equal(gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, key_len, in, n, ret), 0);
}

static void kdf_is_hmac_sha256_of_counter_label_context_and_length(void **state)
{
    (void)state;
    uint8_t key[32], context[SMB2_HASH_BYTES], wanted[32], got[32];
    fill(key, sizeof key, 1);
    fill(context, sizeof context, 2);
    one_call_kdf(key, 32, "Any label", 10, context, 256, wanted);
    smb2_kdf(key, 32, "Any label", 10, context, sizeof context, got, 32);
    assert_memory_equal(got, wanted, 32);
    one_call_kdf(key, 16, "Any label", 10, context, 128, wanted);
    smb2_kdf(key, 16, "Any label", 10, context, sizeof context, got, 16);
    assert_memory_equal(got, wanted, 16);
}

static void aes256_takes_the_whole_session_key_and_signing_16_bytes_of_it(void **state)
{
    (void)state;
    struct smb2_preauth p;
    struct smb2_keys k;
    uint8_t key[32], wanted[32];
    fill(key, sizeof key, 3);
    fill(p.hash, sizeof p.hash, 4);
    assert_int_equal(smb2_derive_keys(key, sizeof key, &p, SMB2_AES256_GCM, &k, NULL), 0);
    assert_int_equal(k.cipher_len, 32);
    one_call_kdf(key, 32, "SMBC2SCipherKey", 16, p.hash, 256, wanted);
    assert_memory_equal(k.encrypt, wanted, 32);
    one_call_kdf(key, 32, "SMBS2CCipherKey", 16, p.hash, 256, wanted);
    assert_memory_equal(k.decrypt, wanted, 32);
    one_call_kdf(key, 16, "SMBSigningKey", 14, p.hash, 128, wanted);
    assert_memory_equal(k.signing, wanted, 16);
}

static void aes128_takes_16_bytes_of_a_long_session_key(void **state)
{
    (void)state;
    struct smb2_preauth p = {0};
    struct smb2_keys k;
    uint8_t key[32], wanted[32];
    fill(key, sizeof key, 5);
    assert_int_equal(smb2_derive_keys(key, sizeof key, &p, SMB2_AES128_GCM, &k, NULL), 0);
    one_call_kdf(key, 16, "SMBC2SCipherKey", 16, p.hash, 128, wanted);
    assert_memory_equal(k.encrypt, wanted, 16);
}

static void short_session_key_is_the_servers_fault(void **state)
{
    (void)state;
    const struct smb2_preauth p = {0};
    const uint8_t key[15] = {0};
    struct smb2_keys k;
    struct drv_err err = {0};
    assert_int_equal(smb2_derive_keys(key, sizeof key, &p, SMB2_AES128_GCM, &k, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
}

static void wiped_keys_are_zeros(void **state)
{
    (void)state;
    static const struct smb2_keys zeros;
    struct smb2_keys k;
    memset(&k, 0xaa, sizeof k);
    smb2_keys_wipe(&k);
    assert_memory_equal(k.signing, zeros.signing, sizeof k.signing);
    assert_memory_equal(k.encrypt, zeros.encrypt, sizeof k.encrypt);
    assert_memory_equal(k.decrypt, zeros.decrypt, sizeof k.decrypt);
}

static void preauth_hash_chains_sha512_over_messages(void **state)
{
    (void)state;
    struct smb2_preauth p = {0};
    uint8_t in[SMB2_HASH_BYTES + 300] = {0}, wanted[SMB2_HASH_BYTES];
    const size_t lens[] = {3, 300, 1};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(lens); i++) {
        fill(in + SMB2_HASH_BYTES, lens[i], i);
        assert_int_equal(gnutls_hash_fast(GNUTLS_DIG_SHA512, in, SMB2_HASH_BYTES + lens[i], wanted),
                         0);
        smb2_preauth_add(&p, in + SMB2_HASH_BYTES, lens[i]);
        assert_memory_equal(p.hash, wanted, sizeof wanted);
        memcpy(in, wanted, sizeof wanted);
    }
}

// --- encryption ---

static const uint8_t test_key[32] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 77};

static struct smb2_crypt *crypt_new(enum smb2_cipher cipher)
{
    struct smb2_crypt *c = smb2_crypt_new(cipher, test_key, session, NULL);
    assert_non_null(c);
    return c;
}

// As an independent receiver would: one call for all.
static void assert_opens_elsewhere(enum smb2_cipher cipher, const uint8_t *header,
                                   const uint8_t *sealed, const uint8_t *plain, size_t len)
{
    bool big = cipher == SMB2_AES256_GCM;
    gnutls_datum_t key = {(uint8_t *)(uintptr_t)test_key, big ? 32 : 16};
    gnutls_aead_cipher_hd_t h;
    DRV_AUTO_FREE uint8_t *in = drv_xcalloc(1, len + SMB2_SIGNATURE_BYTES);
    DRV_AUTO_FREE uint8_t *out = drv_xcalloc(1, len);
    size_t out_len = len;
    memcpy(in, sealed, len);
    memcpy(in + len, header + T_SIGNATURE, SMB2_SIGNATURE_BYTES);
    assert_int_equal(gnutls_aead_cipher_init(
                         &h, big ? GNUTLS_CIPHER_AES_256_GCM : GNUTLS_CIPHER_AES_128_GCM, &key),
                     0);
    assert_int_equal(gnutls_aead_cipher_decrypt(h, header + T_NONCE, NONCE, header + T_NONCE, AAD,
                                                SMB2_SIGNATURE_BYTES, in,
                                                len + SMB2_SIGNATURE_BYTES, out, &out_len),
                     0);
    assert_int_equal(out_len, len);
    assert_memory_equal(out, plain, len);
    gnutls_aead_cipher_deinit(h);
}

// Decrypt in pieces of step bytes (the last may be shorter), in place when out is in.
static bool open_message(struct smb2_crypt *c, const uint8_t *header, const uint8_t *in,
                         uint8_t *out, size_t len, size_t step)
{
    size_t announced;
    assert_int_equal(smb2_open_begin(c, header, &announced, NULL), 0);
    assert_int_equal(announced, len);
    for (size_t at = 0; at < len; at += step)
        smb2_open_feed(c, in + at, out + at, len - at < step ? len - at : step);
    return smb2_open_end(c);
}

static void round_trip(enum smb2_cipher cipher, const size_t *lens, unsigned n)
{
    struct smb2_crypt *c = crypt_new(cipher);
    DRV_AUTO_FREE uint8_t *plain = drv_xcalloc(1, BIG), *sealed = drv_xcalloc(1, BIG + 1);
    uint8_t header[SMB2_TRANSFORM_BYTES];
    struct iovec parts[4];
    size_t len = 0;
    fill(plain, BIG, 11);
    for (unsigned i = 0; i < n; i++) {
        parts[i] = (struct iovec){plain + len, lens[i]};
        len += lens[i];
    }
    assert_true(len <= BIG);
    sealed[len] = 0x5a;
    assert_int_equal(smb2_seal(c, parts, n, header, sealed, NULL), 0);
    assert_int_equal(sealed[len], 0x5a); // nothing behind the message
    assert_opens_elsewhere(cipher, header, sealed, plain, len);
    const size_t steps[] = {BIG, 16, 112, 4096, 65536};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(steps); i++) {
        DRV_AUTO_FREE uint8_t *out = drv_xcalloc(1, BIG);
        assert_true(open_message(c, header, sealed, out, len, steps[i]));
        assert_memory_equal(out, plain, len);
    }
    assert_true(open_message(c, header, sealed, sealed, len, 4096)); // in place
    assert_memory_equal(sealed, plain, len);
    smb2_crypt_free(c);
}

static void sealed_parts_are_opened_in_pieces_and_in_place_with(enum smb2_cipher cipher)
{
    round_trip(cipher, (const size_t[]){112, 4096}, 2);
    round_trip(cipher, (const size_t[]){112, 1 << 20}, 2);
    round_trip(cipher, (const size_t[]){112, 4097}, 2);
    round_trip(cipher, (const size_t[]){64, 48, 1}, 3);
    round_trip(cipher, (const size_t[]){112, 16, 512, 77}, 4);
    round_trip(cipher, (const size_t[]){68}, 1);
}

static void aes128_messages_are_sealed_and_opened(void **state)
{
    (void)state;
    sealed_parts_are_opened_in_pieces_and_in_place_with(SMB2_AES128_GCM);
}

static void aes256_messages_are_sealed_and_opened(void **state)
{
    (void)state;
    sealed_parts_are_opened_in_pieces_and_in_place_with(SMB2_AES256_GCM);
}

static void parts_of_no_length_do_not_matter(void **state)
{
    (void)state;
    round_trip(SMB2_AES128_GCM, (const size_t[]){112, 0, 4096}, 3);
    round_trip(SMB2_AES128_GCM, (const size_t[]){112, 33, 0}, 3);
}

static void transform_header_says_what_it_must(void **state)
{
    (void)state;
    struct smb2_crypt *c = crypt_new(SMB2_AES128_GCM);
    uint8_t header[SMB2_TRANSFORM_BYTES], plain[0x123] = {0}, sealed[sizeof plain];
    memset(header, 0xff, sizeof header);
    const struct iovec part = {plain, sizeof plain};
    assert_int_equal(smb2_seal(c, &part, 1, header, sealed, NULL), 0);
    assert_hex(header, "FD534D42");
    assert_hex(header + T_NONCE + NONCE, "00000000"); // the rest of the nonce's field
    assert_hex(header + T_LENGTH, "23010000");
    assert_hex(header + T_RESERVED, "0000");
    assert_hex(header + T_FLAGS, "0100");
    assert_hex(header + T_SESSION, "2500000000100000");
    smb2_crypt_free(c);
}

static void microsofts_encrypted_examples_are_opened(void **state)
{
    (void)state;
    static const struct {
        const char *sealed, *plain;
        bool from_client;
    } examples[] = {
        {"FD534D42BD73D97D2BC9001BCAFAC0FDFF5FEEBCC7D6822D269CAF48904C664C0000000087000000"
         "0000010025000000001000006ECDD2A7AFC7B47763057A041B8FD4DAFFE990B70C9E09D36C084E02"
         "D14EF247F8BDE38ACF6256F8B1D3B56F77FBDEB312FEA5E92CBCC1ED8FB2EBBFAA75E49A4A394BB4"
         "4576545567C24D4C014D47C9FBDFDAFD2C4F9B72F8D256452620A299F48E29E53D6B61D1C13A19E9"
         "1AF013F00D17E3ABC2FC3D36C8C1B6B93973253852DBD442E46EE8",
         "FE534D4240000100000000000900010008000000000000000500000000000000FFFE000001000000"
         "25000000001000000000000000000000000000000000000031007000170000000000000000000000"
         "0600000004000000010000000400000000000000000000007000000000000000536D623320656E63"
         "72797074696F6E2074657374696E67",
         true},
        {"FD534D42ACBE1CB7ED343ADF1725EF144D90D4B0E06831DD2E8EB7B4000000000000000050000000"
         "00000100250000000010000026BBBF949983A6C1C796559D0F2C510CB651D1F7B6AC8DED32A2A0B8"
         "F2D793A815C6F6B848D69767A215841A42D400AE6DDB5F0B44173A014973321FDD7950DA6179159B"
         "82E03C9E18A050FF0EA1C967",
         "FE534D4240000100000000000900010001000000000000000500000000000000FFFE000001000000"
         "25000000001000000000000000000000000000000000000011000000170000000000000000000000",
         false},
    };
    struct smb2_keys k =
        published_keys("419FDDF34C1E001909D362AE7FB6AF79",
                       "B23F3CBFD69487D9832B79B1594A367CDD950909B774C3A4C412B4FCEA9EDDDB"
                       "A7DB256BA2EA30E977F11F9B113247578E0E915C6D2A513B8F2FCA5707DC8770");
    for (unsigned i = 0; i < DRV_ARRAY_LEN(examples); i++) {
        struct smb2_crypt *c = smb2_crypt_new(
            SMB2_AES128_GCM, examples[i].from_client ? k.encrypt : k.decrypt, session, NULL);
        uint8_t msg[256], out[256];
        size_t n = unhex(examples[i].sealed, msg, sizeof msg) - SMB2_TRANSFORM_BYTES;
        assert_true(open_message(c, msg, msg + SMB2_TRANSFORM_BYTES, out, n, 64));
        assert_int_equal(n, strlen(examples[i].plain) / 2);
        assert_hex(out, examples[i].plain);
        smb2_crypt_free(c);
    }
}

struct sealed {
    struct smb2_crypt *c;
    uint8_t header[SMB2_TRANSFORM_BYTES], msg[112 + 50], out[112 + 50];
};

static struct sealed seal_one(void)
{
    struct sealed s = {.c = crypt_new(SMB2_AES128_GCM)};
    uint8_t plain[sizeof s.msg];
    fill(plain, sizeof plain, 21);
    const struct iovec parts[] = {{plain, 112}, {plain + 112, 50}};
    assert_int_equal(smb2_seal(s.c, parts, 2, s.header, s.msg, NULL), 0);
    return s;
}

static bool opens(struct sealed *s)
{
    return open_message(s->c, s->header, s->msg, s->out, sizeof s->msg, 64);
}

static void changed_ciphertext_is_refused_wherever_it_is(void **state)
{
    (void)state;
    struct sealed s = seal_one();
    for (size_t i = 0; i < sizeof s.msg; i++) {
        s.msg[i] ^= 0x10;
        assert_false(opens(&s));
        s.msg[i] ^= 0x10;
    }
    assert_true(opens(&s));
    smb2_crypt_free(s.c);
}

static void changed_tag_nonce_or_reserved_bytes_are_refused(void **state)
{
    (void)state;
    struct sealed s = seal_one();
    for (size_t i = T_SIGNATURE; i < T_FLAGS; i++) {
        if (i >= T_LENGTH && i < T_RESERVED)
            continue; // the next test
        s.header[i] ^= 1;
        assert_false(opens(&s));
        s.header[i] ^= 1;
    }
    assert_true(opens(&s));
    smb2_crypt_free(s.c);
}

static void changed_length_is_refused(void **state)
{
    (void)state;
    struct sealed s = seal_one();
    size_t len;
    s.header[T_LENGTH] -= 1;
    assert_int_equal(smb2_open_begin(s.c, s.header, &len, NULL), 0);
    assert_int_equal(len, sizeof s.msg - 1);
    smb2_open_feed(s.c, s.msg, s.out, len);
    assert_false(smb2_open_end(s.c));
    smb2_crypt_free(s.c);
}

static void nothing_fed_is_not_authentic(void **state)
{
    (void)state;
    struct sealed s = seal_one();
    size_t len;
    assert_int_equal(smb2_open_begin(s.c, s.header, &len, NULL), 0);
    assert_false(smb2_open_end(s.c));
    assert_true(opens(&s));
    smb2_crypt_free(s.c);
}

static void assert_no_header(struct sealed *s, size_t at)
{
    size_t len;
    struct drv_err err = {0};
    s->header[at] ^= 1;
    assert_int_equal(smb2_open_begin(s->c, s->header, &len, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
    s->header[at] ^= 1;
}

static void other_protocol_flags_or_session_is_no_header(void **state)
{
    (void)state;
    struct sealed s = seal_one();
    for (size_t i = 0; i < T_SIGNATURE; i++)
        assert_no_header(&s, i);
    for (size_t i = T_FLAGS; i < SMB2_TRANSFORM_BYTES; i++)
        assert_no_header(&s, i);
    assert_true(opens(&s));
    smb2_crypt_free(s.c);
}

static void message_of_another_key_is_refused(void **state)
{
    (void)state;
    struct sealed s = seal_one();
    const uint8_t other[32] = {1};
    smb2_crypt_free(s.c);
    s.c = smb2_crypt_new(SMB2_AES128_GCM, other, session, NULL);
    assert_false(opens(&s));
    smb2_crypt_free(s.c);
}

static void nonces_never_repeat(void **state)
{
    (void)state;
    enum { N = 2000 };
    struct smb2_crypt *c = crypt_new(SMB2_AES128_GCM);
    DRV_AUTO_FREE uint8_t *nonces = drv_xcalloc(N, NONCE);
    uint8_t plain[32] = {0}, sealed[32], header[SMB2_TRANSFORM_BYTES];
    const struct iovec part = {plain, sizeof plain};
    for (size_t i = 0; i < N; i++) {
        size_t len;
        assert_int_equal(smb2_seal(c, &part, 1, header, sealed, NULL), 0);
        memcpy(nonces + i * NONCE, header + T_NONCE, NONCE);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(nonces + j * NONCE, nonces + i * NONCE, NONCE);
        if (i % 3 == 0) // opening one in between changes nothing
            assert_int_equal(smb2_open_begin(c, header, &len, NULL), 0);
    }
    smb2_crypt_free(c);
}

// --- signing ---

static void fresh_header(uint8_t h[HDR])
{
    memset(h, 0, HDR);
    memcpy(h, "\xFESMB\x40", 5);
    h[AT_COMMAND] = 9;
    h[AT_MESSAGE_ID] = 5;
}

static struct smb2_signer *signer_new(enum smb2_signing how, const char *key_hex)
{
    uint8_t key[16];
    unhex(key_hex, key, sizeof key);
    struct smb2_signer *s = smb2_signer_new(how, key, NULL);
    assert_non_null(s);
    return s;
}
static const char rfc_key[] = "2b7e151628aed2a6abf7158809cf4f3c";

static void encrypt_block(gnutls_cipher_hd_t aes, const uint8_t in[16], uint8_t out[16])
{
    uint8_t iv[16] = {0}; // one block of CBC with a zero IV is the block cipher
    gnutls_cipher_set_iv(aes, iv, sizeof iv);
    assert_int_equal(gnutls_cipher_encrypt2(aes, in, 16, out, 16), 0);
}

static void double_block(uint8_t b[16])
{
    uint8_t carry = b[0] >> 7;
    for (int i = 0; i < 15; i++)
        b[i] = (uint8_t)(b[i] << 1 | b[i + 1] >> 7);
    b[15] = (uint8_t)(b[15] << 1 ^ (carry ? 0x87 : 0));
}

// RFC 4493 by its text, from the block cipher alone.
static void rfc4493(const char *key_hex, const uint8_t *msg, size_t len, uint8_t mac[16])
{
    uint8_t key[16], iv[16] = {0}, sub[16] = {0}, last[16] = {0}, x[16] = {0};
    gnutls_datum_t k = {key, sizeof key}, v = {iv, sizeof iv};
    gnutls_cipher_hd_t aes;
    unhex(key_hex, key, sizeof key);
    assert_int_equal(gnutls_cipher_init(&aes, GNUTLS_CIPHER_AES_128_CBC, &k, &v), 0);
    encrypt_block(aes, sub, sub);
    double_block(sub);
    size_t whole = len > 0 ? (len - 1) / 16 : 0, rest = len - whole * 16;
    memcpy(last, msg + whole * 16, rest);
    if (rest < 16) {
        double_block(sub);
        last[rest] = 0x80;
    }
    for (size_t i = 0; i <= whole; i++) {
        for (int j = 0; j < 16; j++)
            x[j] ^= i < whole ? msg[i * 16 + j] : last[j] ^ sub[j];
        encrypt_block(aes, x, x);
    }
    memcpy(mac, x, 16);
    gnutls_cipher_deinit(aes);
}

// The reference above is right where RFC 4493 has examples; messages of SMB are longer than those.
static void reference_for_cmac_makes_the_examples_of_rfc_4493(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        const char *mac;
    } examples[] = {{0, "bb1d6929e95937287fa37d129b756746"},
                    {16, "070a16b46b4d4144f79bdd9dd04a287c"},
                    {40, "dfa66747de9ae63030ca32611497c827"},
                    {64, "51f0bebf7e3b9d92fc49741779363cfe"}};
    uint8_t msg[64], mac[16];
    unhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
          "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
          msg, sizeof msg);
    for (unsigned i = 0; i < DRV_ARRAY_LEN(examples); i++) {
        rfc4493(rfc_key, msg, examples[i].len, mac);
        assert_hex(mac, examples[i].mac);
    }
}

static void cmac_signs_header_and_parts_as_rfc_4493_says(void **state)
{
    (void)state;
    struct smb2_signer *s = signer_new(SMB2_SIGN_CMAC, rfc_key);
    uint8_t msg[HDR + 200], wanted[16], got[16];
    fill(msg, sizeof msg, 31);
    const size_t bodies[] = {0, 1, 15, 16, 17, 48, 200};
    for (unsigned i = 0; i < DRV_ARRAY_LEN(bodies); i++) {
        size_t b = bodies[i];
        memset(msg + AT_SIGNATURE, 0, 16);
        rfc4493(rfc_key, msg, HDR + b, wanted);
        memset(msg + AT_SIGNATURE, 0xee, 16); // counts as zeros
        const struct iovec whole = {msg, HDR + b};
        smb2_sign(s, &whole, 1, got);
        assert_memory_equal(got, wanted, 16);
        const struct iovec split[] = {
            {msg, HDR}, {msg + HDR, b / 2}, {msg + HDR + b / 2, b - b / 2}};
        smb2_sign(s, split, 3, got);
        assert_memory_equal(got, wanted, 16);
    }
    smb2_signer_free(s);
}

static void assert_gmac_is(const uint8_t *key, const uint8_t *msg, size_t len,
                           const uint8_t nonce[NONCE], const uint8_t *got)
{
    gnutls_aead_cipher_hd_t h;
    gnutls_datum_t k = {(uint8_t *)(uintptr_t)key, 16};
    uint8_t tag[16];
    size_t tag_len = sizeof tag;
    assert_int_equal(gnutls_aead_cipher_init(&h, GNUTLS_CIPHER_AES_128_GCM, &k), 0);
    assert_int_equal(
        gnutls_aead_cipher_encrypt(h, nonce, NONCE, msg, len, 16, "", 0, tag, &tag_len), 0);
    gnutls_aead_cipher_deinit(h);
    assert_memory_equal(got, tag, 16);
}

static void gmac_nonce_is_message_id_response_bit_and_cancel_bit(void **state)
{
    (void)state;
    static const struct {
        uint8_t command, flags, bits;
    } cases[] = {{9, 0, 0}, {9, 1, 1}, {9, 8, 0}, {12, 0, 2}, {12, 9, 3}};
    struct smb2_signer *s = signer_new(SMB2_SIGN_GMAC, rfc_key);
    uint8_t key[16], msg[HDR + 77], got[16];
    unhex(rfc_key, key, sizeof key);
    fill(msg, sizeof msg, 41);
    for (unsigned i = 0; i < DRV_ARRAY_LEN(cases); i++) {
        fresh_header(msg);
        msg[AT_COMMAND] = cases[i].command;
        msg[AT_FLAGS] = cases[i].flags;
        unhex("0102030405060708", msg + AT_MESSAGE_ID, 8);
        uint8_t nonce[NONCE] = {1, 2, 3, 4, 5, 6, 7, 8, cases[i].bits};
        const struct iovec parts[] = {{msg, HDR + 32}, {msg + HDR + 32, 45}};
        smb2_sign(s, parts, 2, got);
        assert_gmac_is(key, msg, sizeof msg, nonce, got);
    }
    smb2_signer_free(s);
}

static void gmac_of_equal_messages_differs_by_id_and_direction(void **state)
{
    (void)state;
    struct smb2_signer *s = signer_new(SMB2_SIGN_GMAC, rfc_key);
    uint8_t msg[HDR], sig[4][16];
    const struct iovec part = {msg, sizeof msg};
    fresh_header(msg);
    smb2_sign(s, &part, 1, sig[0]);
    msg[AT_MESSAGE_ID]++;
    smb2_sign(s, &part, 1, sig[1]);
    msg[AT_FLAGS] |= 1;
    smb2_sign(s, &part, 1, sig[2]);
    assert_memory_not_equal(sig[0], sig[1], 16);
    assert_memory_not_equal(sig[1], sig[2], 16);
    fresh_header(msg);
    smb2_sign(s, &part, 1, sig[3]); // and nothing of the last message is left
    assert_memory_equal(sig[0], sig[3], 16);
    smb2_signer_free(s);
}

static void check_verify(enum smb2_signing how)
{
    struct smb2_signer *s = signer_new(how, rfc_key);
    uint8_t msg[HDR + 100];
    const struct iovec parts[] = {{msg, HDR + 16}, {msg + HDR + 16, 84}};
    fill(msg, sizeof msg, 51);
    fresh_header(msg);
    smb2_sign(s, parts, 2, msg + AT_SIGNATURE);
    assert_true(smb2_verify(s, parts, 2));
    for (size_t i = 0; i < sizeof msg; i++) {
        msg[i] ^= 0x80;
        assert_false(smb2_verify(s, parts, 2));
        msg[i] ^= 0x80;
    }
    assert_true(smb2_verify(s, parts, 2));
    const struct iovec cut = {msg, HDR - 1};
    assert_false(smb2_verify(s, &cut, 1));
    smb2_signer_free(s);
    s = signer_new(how, "00000000000000000000000000000001");
    assert_false(smb2_verify(s, parts, 2));
    smb2_signer_free(s);
}

static void signature_is_refused_when_any_byte_or_the_key_is_another(void **state)
{
    (void)state;
    check_verify(SMB2_SIGN_CMAC);
    check_verify(SMB2_SIGN_GMAC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_microsofts_examples_are_derived),
        cmocka_unit_test(kdf_is_hmac_sha256_of_counter_label_context_and_length),
        cmocka_unit_test(aes256_takes_the_whole_session_key_and_signing_16_bytes_of_it),
        cmocka_unit_test(aes128_takes_16_bytes_of_a_long_session_key),
        cmocka_unit_test(short_session_key_is_the_servers_fault),
        cmocka_unit_test(wiped_keys_are_zeros),
        cmocka_unit_test(preauth_hash_chains_sha512_over_messages),
        cmocka_unit_test(aes128_messages_are_sealed_and_opened),
        cmocka_unit_test(aes256_messages_are_sealed_and_opened),
        cmocka_unit_test(parts_of_no_length_do_not_matter),
        cmocka_unit_test(transform_header_says_what_it_must),
        cmocka_unit_test(microsofts_encrypted_examples_are_opened),
        cmocka_unit_test(changed_ciphertext_is_refused_wherever_it_is),
        cmocka_unit_test(changed_tag_nonce_or_reserved_bytes_are_refused),
        cmocka_unit_test(changed_length_is_refused),
        cmocka_unit_test(nothing_fed_is_not_authentic),
        cmocka_unit_test(other_protocol_flags_or_session_is_no_header),
        cmocka_unit_test(message_of_another_key_is_refused),
        cmocka_unit_test(nonces_never_repeat),
        cmocka_unit_test(reference_for_cmac_makes_the_examples_of_rfc_4493),
        cmocka_unit_test(cmac_signs_header_and_parts_as_rfc_4493_says),
        cmocka_unit_test(gmac_nonce_is_message_id_response_bit_and_cancel_bit),
        cmocka_unit_test(gmac_of_equal_messages_differs_by_id_and_direction),
        cmocka_unit_test(signature_is_refused_when_any_byte_or_the_key_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
