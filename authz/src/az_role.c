// SPDX-License-Identifier: GPL-3.0-or-later
// The setting `roles`: its text form, and the role that it gives an identity.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "drover/authz.h"
#include "drover/util.h"

static const char *const role_names[] = {
    [AZ_NONE] = "none",
    [AZ_VIEWER] = "viewer",
    [AZ_OPERATOR] = "operator",
    [AZ_ADMIN] = "admin",
};
_Static_assert(DRV_ARRAY_LEN(role_names) == AZ_ROLE_MAX_, "a name for each role");

static const char kind_hosts[] = "hosts";

const char *az_role_name(enum az_role role)
{
    return (unsigned)role < AZ_ROLE_MAX_ ? role_names[role] : "?";
}

int az_role_from_name(const char *name, enum az_role *ret)
{
    for (unsigned i = 0; i < AZ_ROLE_MAX_; i++)
        if (strcmp(role_names[i], name) == 0) {
            *ret = (enum az_role)i;
            return 0;
        }
    return -1;
}

// A decimal number without sign or leading zeros, at most max; *p moves behind it.
static bool number(const char **p, uint64_t max)
{
    const char *s = *p;
    if (!isdigit((unsigned char)*s) || (s[0] == '0' && isdigit((unsigned char)s[1])))
        return false;
    uint64_t value = 0;
    for (; isdigit((unsigned char)*s); s++) {
        value = value * 10 + (uint64_t)(*s - '0');
        if (value > max)
            return false;
    }
    *p = s;
    return true;
}

bool az_sid_valid(const char *sid)
{
    const uint64_t authority_max = (UINT64_C(1) << 48) - 1;
    if (!sid || strncmp(sid, "S-1-", 4) != 0 || strlen(sid) >= AZ_SID_LEN)
        return false;
    const char *p = sid + 4;
    if (!number(&p, authority_max))
        return false;
    unsigned n = 0;
    for (; *p == '-'; n++) {
        p++;
        if (!number(&p, UINT32_MAX))
            return false;
    }
    return *p == '\0' && n >= 1 && n <= 15;
}

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t len = strlen(s);
    while (len > 0 && strchr(" \t", s[len - 1]))
        s[--len] = '\0';
    return s;
}

// What AD allows in a group's sAMAccountName, minus control characters.
static bool label_valid(const char *s)
{
    if (!*s || strlen(s) >= AZ_LABEL_LEN)
        return false;
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || strchr("\"/\\[]:;|=,+*?<>", *s))
            return false;
    return true;
}

static int parse_entry(char *text, struct az_role_entry *ret, struct drv_err *err)
{
    char *eq = strchr(text, '=');
    if (!eq)
        return drv_err(err, DRV_EINVAL, "roles: \"%s\" is not KIND=GROUP", text);
    *eq = '\0';
    const char *kind = trim(text);
    char *value = trim(eq + 1);

    if (strcmp(kind, kind_hosts) == 0)
        ret->hosts = true;
    else if (az_role_from_name(kind, &ret->role) < 0 || ret->role == AZ_NONE)
        return drv_err(err, DRV_EINVAL, "roles: \"%s\" is none of admin, operator, viewer, hosts",
                       kind);

    if (strncasecmp(value, "S-1-", 4) !=
        0) { // a name alone: SIDs cannot be group names in AD's tools
        if (!label_valid(value))
            return drv_err(err, DRV_EINVAL, "roles: \"%s\" is neither a SID nor a group's name",
                           value);
        return DRV_COPY(ret->label, value);
    }
    char *colon = strchr(value, ':');
    if (colon)
        *colon = '\0';
    value = trim(value);
    if (!az_sid_valid(value))
        return drv_err(err, DRV_EINVAL, "roles: \"%s\" is not a SID", value);
    if (colon && !label_valid(trim(colon + 1)))
        return drv_err(err, DRV_EINVAL, "roles: \"%s\" is not a group's name", trim(colon + 1));
    if (colon)
        DRV_COPY(ret->label, trim(colon + 1));
    return DRV_COPY(ret->sid, value);
}

int az_roles_parse(const char *text, struct az_roles *ret, struct drv_err *err)
{
    struct az_roles roles = {0};
    char *copy DRV_AUTO_FREE = drv_xstrdup(text);
    char *save = NULL;
    for (char *part = strtok_r(copy, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
        part = trim(part);
        if (!*part)
            continue;
        if (roles.n == AZ_ROLES_MAX)
            return drv_err(err, DRV_EINVAL, "roles: more than %d entries", AZ_ROLES_MAX);
        if (parse_entry(part, &roles.list[roles.n], err) < 0)
            return drv_err_hint(err, "write roles=admin=VM Admins,operator=VM Operators,"
                                     "viewer=VM Viewers,hosts=VM Hosts (group names or SIDs)");
        roles.n++;
    }
    *ret = roles;
    return 0;
}

struct az_role_entry *az_roles_unresolved(struct az_roles *roles)
{
    for (unsigned i = 0; i < roles->n; i++)
        if (!roles->list[i].sid[0])
            return &roles->list[i];
    return NULL;
}

char *az_roles_text(const struct az_roles *roles)
{
    char *text = drv_xstrdup("");
    for (unsigned i = 0; i < roles->n; i++) {
        const struct az_role_entry *e = &roles->list[i];
        char *before DRV_AUTO_FREE = text;
        text = drv_xasprintf("%s%s%s=%s%s%s", before, i ? "," : "",
                             e->hosts ? kind_hosts : az_role_name(e->role), e->sid,
                             e->sid[0] && e->label[0] ? ":" : "", e->label);
    }
    return text;
}

enum az_role az_role_of(const struct az_roles *roles, const struct az_identity *id,
                        const struct az_role_entry **ret_entry)
{
    const struct az_role_entry *best = NULL;
    for (unsigned i = 0; i < roles->n; i++) {
        const struct az_role_entry *e = &roles->list[i];
        if (!e->hosts && (!best || e->role > best->role) && az_identity_has_sid(id, e->sid))
            best = e;
    }
    if (ret_entry)
        *ret_entry = best;
    return best ? best->role : AZ_NONE;
}

bool az_is_host(const struct az_roles *roles, const struct az_identity *id)
{
    for (unsigned i = 0; i < roles->n; i++)
        if (roles->list[i].hosts && az_identity_has_sid(id, roles->list[i].sid))
            return true;
    return false;
}
