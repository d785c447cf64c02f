// SPDX-License-Identifier: GPL-3.0-or-later
// GSSAPI contexts (MIT Kerberos): see gss.h. Numbers and texts were measured against MIT 1.20 with
// Samba's and MIT's KDC.
#include "drover/gss.h"

#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "drover/util.h"

static const OM_uint32 required_flags = GSS_C_MUTUAL_FLAG | GSS_C_REPLAY_FLAG |
                                        GSS_C_SEQUENCE_FLAG | GSS_C_CONF_FLAG | GSS_C_INTEG_FLAG;

// MIT's contexts may not be used by two threads at once. A session's loop wraps while a call's
// worker asks for a PRF, so the lock is here, around each library call after establishment.
struct drv_gss {
    pthread_mutex_t lock;
    gss_ctx_id_t ctx;
    gss_cred_id_t cred; // borrowed
    bool initiator, established;
    gss_name_t target; // initiator
    char *target_text; // "drover@hv2.drover.test", for messages
    gss_name_t peer;   // established
    char *peer_text;
    gss_cred_id_t delegated; // acceptor
};

struct cause {
    OM_uint32 minor;
    enum drv_code code;
    const char *id;
    const char *hint;
};

// Only causes that are certain: KRB5KDC_ERR_BADOPTION, which every refused delegation gives, has no
// entry; delegation/ finds out why.
static const struct cause causes[] = {
    {(OM_uint32)KRB5_FCC_NOFILE, DRV_EDENIED, "K01", "get a ticket: kinit USER"},
    {(OM_uint32)KRB5_CC_NOTFOUND, DRV_EDENIED, "K01", "get a ticket: kinit USER"},
    {(OM_uint32)KRB5KRB_AP_ERR_TKT_EXPIRED, DRV_EDENIED, "K02", "renew the ticket: kinit USER"},
    {(OM_uint32)KRB5KRB_AP_ERR_SKEW, DRV_EDENIED, "T01",
     "set the clock of this host and of the peer by the domain controller's (timedatectl, chronyc "
     "tracking)"},
    {(OM_uint32)KRB5_KDC_UNREACH, DRV_EUNREACHABLE, "K04",
     "check the network to the domain controller, and DNS or [realms] in /etc/krb5.conf"},
    {(OM_uint32)KRB5_REALM_UNKNOWN, DRV_EUNREACHABLE, "K04",
     "check default_realm, and DNS or [realms] in /etc/krb5.conf"},
    {(OM_uint32)KRB5_REALM_CANT_RESOLVE, DRV_EUNREACHABLE, "K04",
     "check DNS, or [realms] in /etc/krb5.conf"},
    {(OM_uint32)KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN, DRV_ENOTFOUND, "K05",
     "check the name: `drover host list` shows the hosts; if it is right, its account lacks it: "
     "samba-tool spn add drover/HOST 'ACCOUNT$'"},
    {(OM_uint32)KRB5KRB_AP_ERR_BAD_INTEGRITY, DRV_EDENIED, "K06",
     "the accepting host's keytab has another key than the directory: export it again"},
    {(OM_uint32)KRB5KRB_AP_ERR_BADKEYVER, DRV_EDENIED, "K06",
     "the accepting host's keytab is older than its account's password: export it again; users "
     "with a newer "
     "ticket need nothing"},
    {(OM_uint32)KRB5KRB_AP_ERR_NOKEY, DRV_EDENIED, "K06",
     "the accepting host's keytab has no key for it: export it again"},
    {(OM_uint32)KRB5KRB_AP_ERR_NOT_US, DRV_EDENIED, "K06",
     "the accepting host's keytab has another key: it is older than the account's password or "
     "belongs "
     "to another account (export it again), or it is newer than your ticket (kinit again)"},
    {(OM_uint32)KRB5_KT_NOTFOUND, DRV_EDENIED, "K06",
     "the host's keytab lacks its account: samba-tool domain exportkeytab FILE "
     "--principal='HOST$'"},
    {(OM_uint32)KRB5_KT_KVNONOTFOUND, DRV_EDENIED, "K06",
     "the accepting host's keytab is older than its account's password: export it again"},
    {(OM_uint32)KRB5KDC_ERR_PREAUTH_FAILED, DRV_EDENIED, "K06",
     "the key in the keytab is not the account's: export it again"},
    {(OM_uint32)KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN, DRV_EDENIED, "K06",
     "the keytab's account is not in the directory: create it, or export the right one"},
};

static const struct cause *find_cause(OM_uint32 major, OM_uint32 minor)
{
    static const struct cause no_cred = {0, DRV_EDENIED, "K01", "get a ticket: kinit USER"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(causes); i++)
        if (causes[i].minor == minor)
            return &causes[i];
    if (GSS_ROUTINE_ERROR(major) == GSS_S_CREDENTIALS_EXPIRED)
        return &causes[2];
    return GSS_ROUTINE_ERROR(major) == GSS_S_NO_CRED ? &no_cred : NULL;
}

static void status_text(OM_uint32 status, int type, char *out, size_t size)
{
    OM_uint32 minor;
    OM_uint32 more = 0;
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    out[0] = '\0';
    if (gss_display_status(&minor, status, type, gss_mech_krb5, &more, &text) == GSS_S_COMPLETE)
        snprintf(out, size, "%.*s", (int)text.length, (const char *)text.value);
    gss_release_buffer(&minor, &text);
}

int drv_gss_error(struct drv_err *err, OM_uint32 major, OM_uint32 minor, const char *what)
{
    char outer[160];
    char inner[256] = "";
    status_text(major, GSS_C_GSS_CODE, outer, sizeof outer);
    if (minor)
        status_text(minor, GSS_C_MECH_CODE, inner, sizeof inner);
    const struct cause *cause = find_cause(major, minor);
    enum drv_code code = cause ? cause->code : DRV_EPEER;
    // "Unspecified GSS failure.  Minor code may provide more information" tells nobody anything,
    // and "No credentials were supplied, …" no more than the reason before it.
    if (inner[0] &&
        (GSS_ROUTINE_ERROR(major) == GSS_S_FAILURE || GSS_ROUTINE_ERROR(major) == GSS_S_NO_CRED))
        drv_err(err, code, "%s: %s", what, inner);
    else if (inner[0])
        drv_err(err, code, "%s: %s (%s)", what, inner, outer);
    else
        drv_err(err, code, "%s: %s", what, outer);
    if (cause) {
        drv_err_id(err, cause->id);
        drv_err_hint(err, "%s", cause->hint);
    }
    return drv_err_native(err, "gss", (long)(int32_t)minor);
}

void drv_gss_hint_service(struct drv_err *err, const char *spn)
{
    if (err && !strcmp(err->id, "K05"))
        drv_err_hint(err,
                     "use the host's full name; if this is it, register the service: samba-tool "
                     "spn add %s 'ACCOUNT$'",
                     spn);
}

struct drv_gss *drv_gss_initiate(const char *service, const char *host, gss_cred_id_t cred,
                                 struct drv_err *err)
{
    struct drv_gss *g = drv_xcalloc(1, sizeof *g);
    pthread_mutex_init(&g->lock, NULL);
    g->initiator = true;
    g->cred = cred;
    g->target_text = drv_xasprintf("%s@%s", service, host);
    gss_buffer_desc text = {strlen(g->target_text), g->target_text};
    OM_uint32 minor;
    OM_uint32 major = gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &g->target);
    if (GSS_ERROR(major)) {
        drv_gss_error(err, major, minor, g->target_text);
        drv_gss_free(g);
        return NULL;
    }
    return g;
}

struct drv_gss *drv_gss_accept(gss_cred_id_t cred)
{
    struct drv_gss *g = drv_xcalloc(1, sizeof *g);
    pthread_mutex_init(&g->lock, NULL);
    g->cred = cred;
    return g;
}

void drv_gss_free(struct drv_gss *g)
{
    OM_uint32 minor;
    if (!g)
        return;
    gss_delete_sec_context(&minor, &g->ctx, GSS_C_NO_BUFFER);
    gss_release_name(&minor, &g->target);
    gss_release_name(&minor, &g->peer);
    gss_release_cred(&minor, &g->delegated);
    pthread_mutex_destroy(&g->lock);
    free(g->target_text);
    free(g->peer_text);
    free(g);
}

// Copy a library buffer into malloc'd memory and release it.
static int take_buffer(gss_buffer_t b, void **ret, size_t *ret_len, struct drv_err *err)
{
    OM_uint32 minor;
    int rc = 0;
    *ret = NULL;
    *ret_len = b->length;
    if (b->length > 0) {
        *ret = malloc(b->length);
        if (*ret)
            memcpy(*ret, b->value, b->length);
        else
            rc = drv_err(err, DRV_ENOSPACE, "no memory for %zu bytes", b->length);
    }
    gss_release_buffer(&minor, b);
    return rc;
}

static int check_established(struct drv_gss *g, gss_OID mech, OM_uint32 flags, struct drv_err *err)
{
    if (!gss_oid_equal(mech, gss_mech_krb5))
        return drv_err(err, DRV_EPEER, "the peer chose another mechanism than Kerberos 5");
    if ((flags & required_flags) != required_flags)
        return drv_err(err, DRV_EPEER, "the peer does without encryption or mutual authentication");
    OM_uint32 minor;
    if (g->initiator) {
        OM_uint32 major =
            gss_inquire_context(&minor, g->ctx, NULL, &g->peer, NULL, NULL, NULL, NULL, NULL);
        if (GSS_ERROR(major))
            return drv_gss_error(err, major, minor, "name of the peer");
    }
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 major = gss_display_name(&minor, g->peer, &text, NULL);
    if (GSS_ERROR(major))
        return drv_gss_error(err, major, minor, "name of the peer");
    g->peer_text = drv_xasprintf("%.*s", (int)text.length, (const char *)text.value);
    gss_release_buffer(&minor, &text);
    g->established = true;
    return 1;
}

static int initiate_step(struct drv_gss *g, gss_buffer_t in, gss_buffer_t out, struct drv_err *err)
{
    OM_uint32 minor;
    OM_uint32 flags = 0;
    gss_OID mech = GSS_C_NO_OID;
    OM_uint32 major =
        gss_init_sec_context(&minor, g->cred, &g->ctx, g->target, gss_mech_krb5, required_flags, 0,
                             GSS_C_NO_CHANNEL_BINDINGS, in, &mech, out, &flags, NULL);
    if (major == GSS_S_COMPLETE)
        return check_established(g, mech, flags, err);
    if (!GSS_ERROR(major))
        return 0;
    drv_gss_error(err, major, minor, g->target_text);
    DRV_AUTO_FREE char *spn = drv_xstrdup(g->target_text); // "drover@hv2.example.lan"
    spn[strcspn(spn, "@")] = '/';
    drv_gss_hint_service(err, spn);
    return -1;
}

static int accept_step(struct drv_gss *g, gss_buffer_t in, gss_buffer_t out, struct drv_err *err)
{
    OM_uint32 minor;
    OM_uint32 flags = 0;
    gss_OID mech = GSS_C_NO_OID;
    OM_uint32 major =
        gss_accept_sec_context(&minor, &g->ctx, g->cred, in, GSS_C_NO_CHANNEL_BINDINGS, &g->peer,
                               &mech, out, &flags, NULL, &g->delegated);
    if (major == GSS_S_COMPLETE)
        return check_established(g, mech, flags, err);
    return GSS_ERROR(major) ? drv_gss_error(err, major, minor, "Kerberos log-on") : 0;
}

int drv_gss_step(struct drv_gss *g, const void *in, size_t in_len, void **ret_out, size_t *ret_len,
                 struct drv_err *err)
{
    gss_buffer_desc input = {in_len, (void *)in};
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    *ret_out = NULL;
    *ret_len = 0;
    if (g->established)
        return drv_err(err, DRV_ESTATE, "the Kerberos log-on is complete already");
    if (in_len > DRV_GSS_TOKEN_MAX)
        return drv_err(err, DRV_EPEER, "Kerberos token of %zu bytes; %d are allowed", in_len,
                       DRV_GSS_TOKEN_MAX);
    if (!g->initiator && in_len == 0)
        return drv_err(err, DRV_EPEER, "empty Kerberos token");
    int rc = g->initiator ? initiate_step(g, &input, &output, err)
                          : accept_step(g, &input, &output, err);
    if (take_buffer(&output, ret_out, ret_len, err) < 0)
        return -1;
    return rc;
}

int drv_gss_wrap(struct drv_gss *g, const void *in, size_t len, void **ret, size_t *ret_len,
                 struct drv_err *err)
{
    gss_buffer_desc input = {len, (void *)in};
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    int conf = 0;
    pthread_mutex_lock(&g->lock);
    OM_uint32 major = gss_wrap(&minor, g->ctx, 1, GSS_C_QOP_DEFAULT, &input, &conf, &output);
    int rc = major == GSS_S_COMPLETE ? 0 : drv_gss_error(err, major, minor, "encrypting a message");
    pthread_mutex_unlock(&g->lock);
    if (rc == 0 && !conf)
        rc = drv_err(err, DRV_EINTERNAL, "a message was not encrypted");
    if (rc < 0) {
        gss_release_buffer(&minor, &output);
        return -1;
    }
    return take_buffer(&output, ret, ret_len, err);
}

int drv_gss_unwrap(struct drv_gss *g, const void *in, size_t len, void **ret, size_t *ret_len,
                   struct drv_err *err)
{
    gss_buffer_desc input = {len, (void *)in};
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    int conf = 0;
    pthread_mutex_lock(&g->lock);
    OM_uint32 major = gss_unwrap(&minor, g->ctx, &input, &output, &conf, NULL);
    // Replayed, old and missing messages come as supplementary bits of a "successful" status.
    int rc = major == GSS_S_COMPLETE ? 0 : drv_gss_error(err, major, minor, "decrypting a message");
    pthread_mutex_unlock(&g->lock);
    if (rc == 0 && !conf)
        rc = drv_err(err, DRV_EPEER, "the peer sent a message that is not encrypted");
    if (rc < 0) {
        gss_release_buffer(&minor, &output);
        return -1;
    }
    return take_buffer(&output, ret, ret_len, err);
}

const char *drv_gss_peer(const struct drv_gss *g)
{
    return g->peer_text;
}

gss_name_t drv_gss_peer_name(const struct drv_gss *g)
{
    return g->peer;
}

gss_cred_id_t drv_gss_delegated(const struct drv_gss *g)
{
    return g->delegated;
}

int drv_gss_refuse_tgt(const struct drv_gss *g, struct drv_err *err)
{
    if (g->delegated == GSS_C_NO_CREDENTIAL)
        return 0;
    OM_uint32 minor;
    gss_buffer_set_t set = GSS_C_NO_BUFFER_SET;
    // The OID's const was forgotten in MIT's prototype.
    OM_uint32 major = gss_inquire_cred_by_oid(&minor, g->delegated,
                                              (gss_OID)GSS_KRB5_GET_CRED_IMPERSONATOR, &set);
    bool constrained = major == GSS_S_COMPLETE && set && set->count > 0;
    gss_release_buffer_set(&minor, &set);
    if (constrained)
        return 0;
    drv_err(err, DRV_EDENIED, "%s handed over a whole ticket-granting ticket", g->peer_text);
    drv_err_id(err, "D13");
    return drv_err_hint(err, "log on with a client that does not forward tickets (no "
                             "GSS_C_DELEG_FLAG): drover needs constrained delegation only");
}

int64_t drv_gss_lifetime_s(const struct drv_gss *g)
{
    OM_uint32 minor;
    OM_uint32 left = 0;
    struct drv_gss *w = (struct drv_gss *)g; // the lock is not part of the value
    pthread_mutex_lock(&w->lock);
    OM_uint32 major = gss_context_time(&minor, g->ctx, &left);
    pthread_mutex_unlock(&w->lock);
    return major == GSS_S_COMPLETE ? (int64_t)left : 0;
}

int drv_gss_prf(struct drv_gss *g, const char *label, uint8_t out[32], struct drv_err *err)
{
    if (!g->established)
        return drv_err(err, DRV_ESTATE, "no key before the Kerberos log-on is complete");
    gss_buffer_desc input = {strlen(label), (void *)label};
    gss_buffer_desc output = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor;
    pthread_mutex_lock(&g->lock);
    OM_uint32 major = gss_pseudo_random(&minor, g->ctx, GSS_C_PRF_KEY_FULL, &input, 32, &output);
    int rc = major == GSS_S_COMPLETE ? 0 : drv_gss_error(err, major, minor, "deriving a key");
    pthread_mutex_unlock(&g->lock);
    if (rc == 0 && output.length != 32)
        rc = drv_err(err, DRV_EINTERNAL, "a derived key has %zu bytes", output.length);
    if (rc == 0)
        memcpy(out, output.value, 32);
    if (output.value)
        explicit_bzero(output.value, output.length);
    gss_release_buffer(&minor, &output);
    return rc;
}
