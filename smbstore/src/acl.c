// SPDX-License-Identifier: GPL-3.0-or-later
// ACLs as libsmbclient writes them (libsmb_xattr.c of 4.17), to and from struct ss_acl. The text
// comes from a server that may be hostile. Flags and types: MS-DTYP 2.4.4.1.
#include "drover/store.h"

#include <stdlib.h>
#include <string.h>

#include "store_int.h"

enum {
    FLAG_FILES = 0x01,
    FLAG_FOLDERS = 0x02,
    FLAG_ONE_LEVEL = 0x04,
    FLAG_ONLY_BELOW = 0x08,
    FLAG_INHERITED = 0x10,
    TYPE_ALLOW = 0,
    TYPE_DENY = 1,
};

static bool is_sid(const char *who)
{
    return !strncmp(who, "S-1-", 4) && who[4] && strspn(who + 4, "0123456789-") == strlen(who + 4);
}

// One number of "type/flags/mask" and what ends it.
static int take_number(const char **p, char end, uint32_t max, uint32_t *ret)
{
    if (**p < '0' || **p > '9')
        return -1;
    char *stop;
    unsigned long long n = strtoull(*p, &stop, 0);
    if (n > max || *stop != end)
        return -1;
    *ret = (uint32_t)n;
    *p = stop + (end != '\0');
    return 0;
}

static int bad(struct drv_err *err, const char *what)
{
    return drv_err(err, DRV_EPEER, "the server's list of permissions: %s", what);
}

// "who:type/flags/mask"; who may hold a ':' as little as a SID or a Windows name does.
static int parse_ace(const char *text, struct ss_ace *ret, struct drv_err *err)
{
    const char *colon = strrchr(text, ':');
    uint32_t type, flags, mask;
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof ret->who)
        return bad(err, "an entry without a grantee, or with a very long one");
    const char *p = colon + 1;
    if (take_number(&p, '/', 255, &type) < 0 || take_number(&p, '/', 255, &flags) < 0 ||
        take_number(&p, '\0', UINT32_MAX, &mask) < 0)
        return bad(err, "an entry that cannot be read");
    if (type != TYPE_ALLOW && type != TYPE_DENY)
        return bad(err, "it has entries that neither allow nor deny");
    *ret = (struct ss_ace){
        .deny = type == TYPE_DENY,
        .mask = mask,
        .to_files = flags & FLAG_FILES,
        .to_folders = flags & FLAG_FOLDERS,
        .only_below = flags & FLAG_ONLY_BELOW,
        .one_level = flags & FLAG_ONE_LEVEL,
        .inherited = flags & FLAG_INHERITED,
    };
    memcpy(ret->who, text, (size_t)(colon - text));
    return 0;
}

static int parse_item(const char *item, struct ss_acl *ret, struct drv_err *err)
{
    if (!strncmp(item, "ACL:", 4)) {
        if (ret->n == SS_ACL_MAX)
            return bad(err, "it is longer than drover reads");
        return parse_ace(item + 4, &ret->list[ret->n++], err);
    }
    if ((!strncmp(item, "OWNER:", 6) && DRV_COPY(ret->owner, item + 6) < 0) ||
        (!strncmp(item, "GROUP:", 6) && DRV_COPY(ret->group, item + 6) < 0))
        return bad(err, "the owner's name is too long");
    return 0; // REVISION
}

int ssi_acl_parse(const char *text, struct ss_acl *ret, struct drv_err *err)
{
    DRV_AUTO_FREE char *copy = drv_xstrdup(text);
    memset(ret, 0, sizeof *ret);
    if (strncmp(text, "REVISION:", 9) != 0)
        return bad(err, "it does not begin as one");
    char *rest = copy;
    for (char *item; (item = strsep(&rest, ","));)
        if (parse_item(item, ret, err) < 0)
            return -1;
    return 0;
}

// --- for setting ---

static int check_who(const char *who, struct drv_err *err)
{
    if (!*who || strpbrk(who, ",:/\t\r\n") || strchr(who, '*'))
        return drv_err(err, DRV_EINVAL, "\"%s\" is neither a SID nor DOMAIN\\NAME", who);
    return 0;
}

static int check_list(const struct ss_acl *acl, struct drv_err *err)
{
    bool allowed = false, all = false;
    if (acl->n == 0 || acl->n > SS_ACL_MAX)
        return drv_err(err, DRV_EINVAL, "a list of permissions has 1 to %d entries", SS_ACL_MAX);
    for (unsigned i = 0; i < acl->n; i++) {
        const struct ss_ace *a = &acl->list[i];
        if (check_who(a->who, err) < 0)
            return -1;
        if (is_sid(a->who) != is_sid(acl->list[0].who))
            return drv_err(err, DRV_EINVAL, "a list of permissions holds SIDs or names, not both");
        if (!a->mask)
            return drv_err(err, DRV_EINVAL, "the entry of %s gives or denies nothing", a->who);
        if (a->deny && allowed && !a->inherited)
            return drv_err(err, DRV_EINVAL, "entries that deny come before those that allow");
        allowed |= !a->deny && !a->inherited;
        all |= !a->deny;
    }
    return all ? 0 : drv_err(err, DRV_EINVAL, "a list of permissions that allows nobody anything");
}

static unsigned flags_of(const struct ss_ace *a)
{
    return (a->to_files ? FLAG_FILES : 0) | (a->to_folders ? FLAG_FOLDERS : 0) |
           (a->one_level ? FLAG_ONE_LEVEL : 0) | (a->only_below ? FLAG_ONLY_BELOW : 0) |
           (a->inherited ? FLAG_INHERITED : 0);
}

char *ssi_acl_format(const struct ss_acl *acl, bool *ret_names, struct drv_err *err)
{
    if (check_list(acl, err) < 0)
        return NULL;
    size_t size = 16 + acl->n * (SS_WHO_MAX + 40), used;
    char *out = drv_xcalloc(1, size);
    used = (size_t)snprintf(out, size, "REVISION:1");
    // Decimal: libsmbclient 4.17 stores a mask written in hexadecimal as 0.
    for (unsigned i = 0; i < acl->n; i++)
        used += (size_t)snprintf(out + used, size - used, ",ACL:%s:%d/%u/%u", acl->list[i].who,
                                 acl->list[i].deny ? TYPE_DENY : TYPE_ALLOW,
                                 flags_of(&acl->list[i]), acl->list[i].mask);
    *ret_names = !is_sid(acl->list[0].who);
    return out;
}

static bool same_ace(const struct ss_ace *a, const struct ss_ace *b)
{
    return (!is_sid(a->who) || strcmp(a->who, b->who) == 0) && a->deny == b->deny &&
           a->mask == b->mask && flags_of(a) == flags_of(b);
}

static unsigned count(const struct ss_acl *acl, const struct ss_ace *a)
{
    unsigned n = 0;
    for (unsigned i = 0; i < acl->n; i++)
        n += same_ace(a, &acl->list[i]);
    return n;
}

// libsmbclient sorts what it sets: those that deny come first, as Windows wants, and the rest by
// SID.
bool ssi_acl_same(const struct ss_acl *a, const struct ss_acl *b)
{
    if (a->n != b->n)
        return false;
    for (unsigned i = 0; i < a->n; i++)
        if (count(a, &a->list[i]) != count(b, &a->list[i]))
            return false;
    return true;
}
