// SPDX-License-Identifier: GPL-3.0-or-later
// See krb.h.
#include "krb.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drover/gss.h"
#include "drover/util.h"

static gss_OID_desc spnego = {
    6, (void *)(uintptr_t) "\x2b\x06\x01\x05\x05\x02"}; // 1.3.6.1.5.5.2, RFC 4178

struct smb2_tickets {
    pthread_mutex_t lock; // held while a KDC is asked
    krb5_context k5;
    krb5_principal self;
    char *keytab, *ccache_name;
    krb5_ccache ccache; // NULL: none yet
    time_t begin, end;  // of the ticket-granting ticket in it
};

struct smb2_krb {
    struct smb2_tickets *tickets;
    bool fresh;
    gss_cred_id_t cred;
    gss_name_t target;
    gss_ctx_id_t ctx;
    OM_uint32 lifetime_s;
};

// --- tickets ---

static int krb5_failed(struct smb2_tickets *t, struct drv_err *err, krb5_error_code rc,
                       const char *what)
{
    // As GSSAPI would report it, so that causes are told apart in one place.
    return drv_gss_error(err, GSS_S_FAILURE, (OM_uint32)rc, what ? what : t->keytab);
}

struct smb2_tickets *smb2_tickets_new(const char *keytab, const char *principal,
                                      struct drv_err *err)
{
    struct smb2_tickets *t = drv_xcalloc(1, sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    krb5_error_code rc = krb5_init_context(&t->k5);
    if (rc == 0 && keytab) {
        t->keytab = drv_xstrdup(keytab);
        rc = krb5_parse_name(t->k5, principal, &t->self);
    }
    if (rc == 0)
        return t;
    krb5_failed(t, err, rc, "Kerberos");
    smb2_tickets_free(t);
    return NULL;
}

static void drop_ccache(struct smb2_tickets *t)
{
    if (t->ccache)
        krb5_cc_destroy(t->k5, t->ccache);
    t->ccache = NULL;
    free(DRV_TAKE(t->ccache_name));
}

void smb2_tickets_free(struct smb2_tickets *t)
{
    if (!t)
        return;
    if (t->k5) {
        drop_ccache(t);
        krb5_free_principal(t->k5, t->self);
        krb5_free_context(t->k5);
    }
    pthread_mutex_destroy(&t->lock);
    free(t->keytab);
    free(t);
}

void smb2_tickets_forget(struct smb2_tickets *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->end = 0;
    pthread_mutex_unlock(&t->lock);
}

// A ticket-granting ticket from the keytab, in a cache of its own that replaces the one before.
static krb5_error_code get_initial(struct smb2_tickets *t)
{
    krb5_keytab kt = NULL;
    krb5_ccache cc = NULL;
    krb5_creds creds;
    DRV_AUTO_FREE char *file = drv_xasprintf("FILE:%s", t->keytab);
    char *name = NULL;
    memset(&creds, 0, sizeof creds);
    krb5_error_code rc = krb5_kt_resolve(t->k5, file, &kt);
    if (rc == 0)
        rc = krb5_get_init_creds_keytab(t->k5, &creds, t->self, kt, 0, NULL, NULL);
    if (rc == 0)
        rc = krb5_cc_new_unique(t->k5, "MEMORY", NULL, &cc);
    if (rc == 0)
        rc = krb5_cc_initialize(t->k5, cc, t->self);
    if (rc == 0)
        rc = krb5_cc_store_cred(t->k5, cc, &creds);
    if (rc == 0)
        rc = krb5_cc_get_full_name(t->k5, cc, &name);
    if (rc == 0) {
        drop_ccache(t);
        t->ccache = cc;
        t->ccache_name = drv_xstrdup(name);
        t->begin = time(NULL);
        t->end = creds.times.endtime;
    } else if (cc) {
        krb5_cc_destroy(t->k5, cc);
    }
    krb5_free_string(t->k5, name);
    krb5_free_cred_contents(t->k5, &creds);
    if (kt)
        krb5_kt_close(t->k5, kt);
    return rc;
}

// Lock held. What is at hand does for reconnecting while more than half of its time is left.
static int renew(struct smb2_tickets *t, bool fresh, struct drv_err *err)
{
    time_t now = time(NULL);
    bool young = t->ccache && t->end - now > (t->end - t->begin) / 2;
    if (!t->keytab || (young && !fresh))
        return 0;
    krb5_error_code rc = get_initial(t);
    if (rc == 0 || (!fresh && t->ccache && t->end > now))
        return 0;
    return krb5_failed(t, err, rc, NULL);
}

// --- an authentication ---

struct smb2_krb *smb2_krb_new(struct smb2_tickets *t, const char *server, bool fresh,
                              struct drv_err *err)
{
    struct smb2_krb *k = drv_xcalloc(1, sizeof *k);
    k->tickets = t;
    k->fresh = fresh;
    DRV_AUTO_FREE char *name = drv_xasprintf("cifs@%s", server);
    gss_buffer_desc text = {strlen(name), name};
    OM_uint32 minor;
    OM_uint32 major = gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &k->target);
    if (!GSS_ERROR(major))
        return k;
    drv_gss_error(err, major, minor, name);
    smb2_krb_free(k);
    return NULL;
}

void smb2_krb_free(struct smb2_krb *k)
{
    if (!k)
        return;
    OM_uint32 minor;
    gss_delete_sec_context(&minor, &k->ctx, GSS_C_NO_BUFFER);
    gss_release_cred(&minor, &k->cred);
    gss_release_name(&minor, &k->target);
    free(k);
}

// Lock held.
static int acquire(struct smb2_krb *k, struct drv_err *err)
{
    struct smb2_tickets *t = k->tickets;
    if (renew(t, k->fresh, err) < 0)
        return -1;
    gss_key_value_element_desc e = {"ccache", t->ccache_name};
    gss_key_value_set_desc set = {t->ccache_name ? 1 : 0, &e};
    gss_OID_set_desc mechs = {1, &spnego}, krb5_only = {1, gss_mech_krb5};
    OM_uint32 minor;
    OM_uint32 major = gss_acquire_cred_from(&minor, GSS_C_NO_NAME, GSS_C_INDEFINITE, &mechs,
                                            GSS_C_INITIATE, &set, &k->cred, NULL, NULL);
    if (!GSS_ERROR(major))
        major = gss_set_neg_mechs(&minor, k->cred, &krb5_only);
    return GSS_ERROR(major) ? drv_gss_error(err, major, minor, "Kerberos credentials") : 0;
}

static int step(struct smb2_krb *k, gss_buffer_t in, void **ret, size_t *ret_len,
                struct drv_err *err)
{
    static const OM_uint32 flags =
        GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG | GSS_C_SEQUENCE_FLAG | GSS_C_INTEG_FLAG;
    OM_uint32 minor, got = 0;
    gss_buffer_desc out = GSS_C_EMPTY_BUFFER;
    OM_uint32 major =
        gss_init_sec_context(&minor, k->cred, &k->ctx, k->target, &spnego, flags, 0,
                             GSS_C_NO_CHANNEL_BINDINGS, in, NULL, &out, &got, &k->lifetime_s);
    *ret = NULL;
    *ret_len = out.length;
    if (out.length) {
        *ret = drv_xcalloc(1, out.length);
        memcpy(*ret, out.value, out.length);
    }
    OM_uint32 ignored;
    gss_release_buffer(&ignored, &out);
    int rc = major == GSS_S_CONTINUE_NEEDED ? 0 : 1;
    if (GSS_ERROR(major))
        rc = drv_gss_error(err, major, minor, "Kerberos at the file server");
    else if (rc == 1 && (got & flags) != flags)
        rc = drv_err(err, DRV_EPEER, "the file server did not prove who it is");
    if (rc < 0)
        free(DRV_TAKE(*ret));
    return rc;
}

int smb2_krb_step(struct smb2_krb *k, const void *in, size_t in_len, void **ret, size_t *ret_len,
                  struct drv_err *err)
{
    if (in) {
        gss_buffer_desc token = {in_len, (void *)(uintptr_t)in};
        return step(k, &token, ret, ret_len, err);
    }
    pthread_mutex_lock(&k->tickets->lock);
    int rc = acquire(k, err);
    if (rc == 0)
        rc = step(k, GSS_C_NO_BUFFER, ret, ret_len, err);
    pthread_mutex_unlock(&k->tickets->lock);
    return rc;
}

int smb2_krb_session_key(struct smb2_krb *k, uint8_t out[64], size_t *ret_len, struct drv_err *err)
{
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    OM_uint32 minor, ignored;
    OM_uint32 major =
        gss_inquire_sec_context_by_oid(&minor, k->ctx, GSS_C_INQ_SSPI_SESSION_KEY, &set);
    int rc = 0;
    if (GSS_ERROR(major))
        rc = drv_gss_error(err, major, minor, "session key");
    else if (!set || set->count < 1 || set->elements[0].length < 16 || set->elements[0].length > 64)
        rc = drv_err(err, DRV_EPEER, "Kerberos gave no usable session key");
    if (rc == 0) {
        *ret_len = set->elements[0].length;
        memcpy(out, set->elements[0].value, *ret_len);
    }
    if (set && set->count)
        explicit_bzero(set->elements[0].value, set->elements[0].length);
    gss_release_buffer_set(&ignored, &set);
    return rc;
}

int64_t smb2_krb_lifetime_s(const struct smb2_krb *k)
{
    return k->lifetime_s;
}
