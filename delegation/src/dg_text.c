// SPDX-License-Identifier: GPL-3.0-or-later
// Text forms that LDAP needs: filter values and SIDs. No I/O.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "delegation_int.h"

char *dg_filter_escape(const char *value)
{
    static const char hex[] = "0123456789abcdef";
    char *out = drv_xcalloc(strlen(value) + 1, 3);
    char *o = out;
    for (const unsigned char *p = (const unsigned char *)value; *p; p++) {
        if ((*p < 0x80 && isalnum(*p)) || strchr(" ._-", *p)) {
            *o++ = (char)*p;
        } else {
            *o++ = '\\';
            *o++ = hex[*p >> 4];
            *o++ = hex[*p & 15];
        }
    }
    return out;
}

int dg_sid_text(const void *data, size_t len, char ret[DG_SID_LEN])
{
    const uint8_t *b = data;
    if (len < 8 || b[0] != 1 || b[1] > 15 || len != 8 + (size_t)4 * b[1])
        return -1;
    uint64_t authority = 0;
    for (unsigned i = 2; i < 8; i++)
        authority = authority << 8 | b[i];
    size_t used = (size_t)snprintf(ret, DG_SID_LEN, "S-1-%llu", (unsigned long long)authority);
    for (unsigned i = 0; i < b[1] && used < DG_SID_LEN; i++) {
        const uint8_t *s = b + 8 + (size_t)4 * i; // little-endian
        uint32_t sub =
            (uint32_t)s[0] | (uint32_t)s[1] << 8 | (uint32_t)s[2] << 16 | (uint32_t)s[3] << 24;
        used += (size_t)snprintf(ret + used, DG_SID_LEN - used, "-%u", sub);
    }
    return used < DG_SID_LEN ? 0 : -1;
}

bool dg_sid_valid(const char *sid)
{
    return sid && strncmp(sid, "S-1-", 4) == 0 && strlen(sid) < DG_SID_LEN &&
           strspn(sid + 4, "0123456789-") == strlen(sid + 4);
}

void dg_strings_done(struct dg_strings *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n; i++)
        free(s->list[i]);
    free(s->list);
    *s = (struct dg_strings){0};
}

void dg_strings_add(struct dg_strings *s, const char *value)
{
    if (dg_strings_has(s, value))
        return;
    s->list = reallocarray(s->list, s->n + 1, sizeof(*s->list));
    if (!s->list)
        abort();
    s->list[s->n++] = drv_xstrdup(value);
}

bool dg_strings_has(const struct dg_strings *s, const char *value)
{
    for (unsigned i = 0; i < s->n; i++)
        if (strcasecmp(s->list[i], value) == 0)
            return true;
    return false;
}
