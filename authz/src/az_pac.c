// SPDX-License-Identifier: GPL-3.0-or-later
// The PAC of a ticket → struct az_identity. Owns the limits on what a PAC may hold; the NDR
// decoding itself is Samba's (libndr-krb5pac). Formats: MS-PAC 2.5 (KERB_VALIDATION_INFO) and 2.9
// (S4U_DELEGATION_INFO); attribute names: MIT krb5, "urn:mspac:…" of gss_get_name_attribute.
//
// A PAC is signed by the KDC and checked by MIT before the attributes count as authenticated, so
// the limits guard against a mad domain controller and our own mistakes, not against a user.
#include "drover/authz.h"

#include <gssapi/gssapi_ext.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// Samba's generated headers do not include what they use: this order gives it to them.
// clang-format off
#include <talloc.h>
#include <core/ntstatus.h>
#include <core/werror.h>
#include <util/data_blob.h>
#include <util/time.h>
#include <gen_ndr/ndr_krb5pac.h>
// clang-format on

#include "drover/util.h"

#define PAC_AUTO_TALLOC DRV_CLEANUP(cleanup_talloc)

// libndr converts UTF-16 through one lazily made converter of the process.
static pthread_mutex_t ndr_lock = PTHREAD_MUTEX_INITIALIZER;

static void cleanup_talloc(TALLOC_CTX **mem)
{
    talloc_free(*mem);
}

// Decode one PAC buffer of the given type. 0, or -1 with err set.
static int pull(const void *data, size_t len, uint32_t type, TALLOC_CTX *mem, union PAC_INFO *ret,
                struct drv_err *err)
{
    if (!data || len == 0 || len > AZ_PAC_BUFFER_MAX)
        return drv_err(err, DRV_EPEER, "PAC buffer of %zu bytes refused (1..%d)", len,
                       AZ_PAC_BUFFER_MAX);
    DATA_BLOB blob = {.data = (uint8_t *)data, .length = len};
    pthread_mutex_lock(&ndr_lock);
    enum ndr_err_code rc =
        ndr_pull_union_blob(&blob, mem, ret, type, (ndr_pull_flags_fn_t)ndr_pull_PAC_INFO);
    pthread_mutex_unlock(&ndr_lock);
    if (rc != NDR_ERR_SUCCESS) {
        drv_err(err, DRV_EPEER, "PAC buffer of type %u cannot be read: %s", (unsigned)type,
                ndr_map_error2string(rc));
        return drv_err_native(err, "ndr", (long)rc);
    }
    return 0;
}

// Text form of a SID, with one more sub-authority if rid is not NULL. -1 for a malformed one.
static int sid_text(const struct dom_sid *sid, const uint32_t *rid, char ret[AZ_SID_LEN])
{
    if (!sid || sid->sid_rev_num != 1 || sid->num_auths < 0 || sid->num_auths > 15 ||
        (rid && sid->num_auths == 15))
        return -1;
    uint64_t authority = 0;
    for (unsigned i = 0; i < 6; i++)
        authority = authority << 8 | sid->id_auth[i];
    size_t used = (size_t)snprintf(ret, AZ_SID_LEN, "S-1-%llu", (unsigned long long)authority);
    for (int i = 0; i < sid->num_auths && used < AZ_SID_LEN; i++)
        used += (size_t)snprintf(ret + used, AZ_SID_LEN - used, "-%u", sid->sub_auths[i]);
    if (rid && used < AZ_SID_LEN)
        used += (size_t)snprintf(ret + used, AZ_SID_LEN - used, "-%u", *rid);
    return used < AZ_SID_LEN ? 0 : -1;
}

static int add_sid(struct az_identity *id, const struct dom_sid *sid, const uint32_t *rid)
{
    if (id->n_groups >= AZ_GROUPS_MAX || sid_text(sid, rid, id->groups[id->n_groups]) < 0)
        return -1;
    id->n_groups++;
    return 0;
}

static int add_rids(struct az_identity *id, const struct dom_sid *domain,
                    const struct samr_RidWithAttributeArray *rids)
{
    for (uint32_t i = 0; rids->rids && i < rids->count; i++)
        if (add_sid(id, domain, &rids->rids[i].rid) < 0)
            return -1;
    return 0;
}

// Everything that counts as a group: the primary one, those of the domain, extra SIDs (universal
// groups of other domains, SID history), and the resource groups that the KDC compressed.
static int collect_groups(const struct PAC_LOGON_INFO *info, struct az_identity *ret)
{
    const struct netr_SamInfo3 *sam = &info->info3;
    size_t total =
        (size_t)1 + sam->base.groups.count + sam->sidcount + info->resource_groups.groups.count;
    if (total > AZ_GROUPS_MAX)
        return -1;
    ret->groups = drv_xcalloc(total, sizeof(*ret->groups));
    if (add_sid(ret, sam->base.domain_sid, &sam->base.primary_gid) < 0 ||
        add_rids(ret, sam->base.domain_sid, &sam->base.groups) < 0)
        return -1;
    for (uint32_t i = 0; sam->sids && i < sam->sidcount; i++)
        if (add_sid(ret, sam->sids[i].sid, NULL) < 0)
            return -1;
    return add_rids(ret, info->resource_groups.domain_sid, &info->resource_groups.groups);
}

int az_pac_logon_info(const void *data, size_t len, struct az_identity *ret, struct drv_err *err)
{
    enum { RID_PROTECTED_USERS = 525 }; // MS-ADTS 6.1.1.6.18
    TALLOC_CTX *mem PAC_AUTO_TALLOC = talloc_new(NULL);
    union PAC_INFO pac = {0};
    if (pull(data, len, PAC_TYPE_LOGON_INFO, mem, &pac, err) < 0)
        return -1;
    const struct PAC_LOGON_INFO *info = pac.logon_info.info;
    if (!info || !info->info3.base.domain_sid)
        return drv_err(err, DRV_EPEER, "PAC names no user or no domain");

    const struct netr_SamBaseInfo *base = &info->info3.base;
    char protected_sid[AZ_SID_LEN];
    const uint32_t protected_rid = RID_PROTECTED_USERS;
    if (sid_text(base->domain_sid, NULL, ret->domain_sid) < 0 ||
        sid_text(base->domain_sid, &base->rid, ret->sid) < 0 ||
        sid_text(base->domain_sid, &protected_rid, protected_sid) < 0)
        return drv_err(err, DRV_EPEER, "PAC holds a malformed SID");
    if (!base->account_name.string || DRV_COPY(ret->account, base->account_name.string) < 0)
        return drv_err(err, DRV_EPEER, "PAC holds no usable account name");
    if (collect_groups(info, ret) < 0) {
        az_identity_done(ret);
        return drv_err(err, DRV_EPEER, "PAC holds a malformed SID or more than %d groups",
                       AZ_GROUPS_MAX);
    }
    ret->account_flags = base->acct_flags;
    ret->not_delegated = (base->acct_flags & ACB_NOT_DELEGATED) != 0;
    ret->protected_user = az_identity_has_sid(ret, protected_sid);
    return 0;
}

int az_pac_delegation_info(const void *data, size_t len, struct az_identity *ret,
                           struct drv_err *err)
{
    TALLOC_CTX *mem PAC_AUTO_TALLOC = talloc_new(NULL);
    union PAC_INFO pac = {0};
    if (pull(data, len, PAC_TYPE_CONSTRAINED_DELEGATION, mem, &pac, err) < 0)
        return -1;
    const struct PAC_CONSTRAINED_DELEGATION *info = pac.constrained_delegation.info;
    if (!info || !info->proxy_target.string || DRV_COPY(ret->target, info->proxy_target.string) < 0)
        return drv_err(err, DRV_EPEER, "delegation in the PAC names no target");
    if (!info->transited_services || info->num_transited_services == 0 ||
        info->num_transited_services > AZ_TRANSITED_MAX)
        return drv_err(err, DRV_EPEER, "delegation in the PAC went through %u services (1..%d)",
                       (unsigned)info->num_transited_services, AZ_TRANSITED_MAX);
    for (uint32_t i = 0; i < info->num_transited_services; i++)
        if (!info->transited_services[i].string ||
            DRV_COPY(ret->transited[i], info->transited_services[i].string) < 0)
            return drv_err(err, DRV_EPEER, "delegation in the PAC has an unusable service name");
    ret->n_transited = info->num_transited_services;
    ret->delegated = true;
    return 0;
}

// One attribute of an accepted name. 1 = there and authenticated (*ret owned by GSSAPI), 0 = not
// there, -1 = there, but nobody vouches for it.
static int attribute(gss_name_t name, const char *urn, gss_buffer_t ret)
{
    OM_uint32 minor = 0;
    gss_buffer_desc attr = {.length = strlen(urn), .value = (void *)urn};
    gss_buffer_desc display = GSS_C_EMPTY_BUFFER;
    int authenticated = 0, complete = 0, more = -1;
    OM_uint32 major = gss_get_name_attribute(&minor, name, &attr, &authenticated, &complete, ret,
                                             &display, &more);
    (void)gss_release_buffer(&minor, &display);
    if (GSS_ERROR(major))
        return 0;
    return authenticated && complete ? 1 : -1;
}

static int unproven(const char *display, struct drv_err *err)
{
    drv_err(err, DRV_EDENIED,
            "the ticket of %s carries no authenticated PAC, so its groups are unknown", display);
    drv_err_hint(err,
                 "use an account of the Active Directory domain; if this host's keytab is newer "
                 "than the ticket, run kdestroy and kinit again");
    return drv_err_id(err, "A06");
}

int az_identity_from_gss(gss_name_t name, const char *display, struct az_identity *ret,
                         struct drv_err *err)
{
    struct az_identity id AZ_AUTO_IDENTITY = {0};
    OM_uint32 minor = 0;
    if (DRV_COPY(id.name, display) < 0)
        return drv_err(err, DRV_EPEER, "principal name longer than %d bytes", AZ_NAME_LEN - 1);

    gss_buffer_desc logon = GSS_C_EMPTY_BUFFER;
    int rc = -1;
    if (attribute(name, "urn:mspac:logon-info", &logon) == 1)
        rc = az_pac_logon_info(logon.value, logon.length, &id, err);
    else
        unproven(display, err);
    (void)gss_release_buffer(&minor, &logon);
    if (rc < 0)
        return drv_err_prefix(err, "ticket of %s", display);

    gss_buffer_desc delegation = GSS_C_EMPTY_BUFFER;
    int there = attribute(name, "urn:mspac:delegation-info", &delegation);
    if (there == 1)
        rc = az_pac_delegation_info(delegation.value, delegation.length, &id, err);
    else if (there < 0)
        rc = unproven(display, err);
    (void)gss_release_buffer(&minor, &delegation);
    if (rc < 0)
        return drv_err_prefix(err, "ticket of %s", display);

    *ret = id;
    memset(&id, 0, sizeof(id));
    return 0;
}

void az_identity_done(struct az_identity *id)
{
    if (!id)
        return;
    free(id->groups);
    memset(id, 0, sizeof(*id));
}

void az_cleanup_identity(struct az_identity *id)
{
    az_identity_done(id);
}

bool az_identity_has_sid(const struct az_identity *id, const char *sid)
{
    if (!id || !sid || !*sid)
        return false;
    if (strcmp(id->sid, sid) == 0)
        return true;
    for (unsigned i = 0; i < id->n_groups; i++)
        if (strcmp(id->groups[i], sid) == 0)
            return true;
    return false;
}
