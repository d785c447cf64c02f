// SPDX-License-Identifier: GPL-3.0-or-later
// IP networks: see subnet.h.
#include "subnet.h"

#include <arpa/inet.h>
#include <string.h>

#include "drover/util.h"

// One to three digits, no sign and no blank: as strtoul() would take both.
static bool parse_bits(const char *text, unsigned *ret)
{
    size_t n = strspn(text, "0123456789");
    *ret = 0;
    for (size_t i = 0; i < n && i < 3; i++)
        *ret = *ret * 10 + (unsigned)(text[i] - '0');
    return n >= 1 && n <= 3 && text[n] == '\0';
}

int ha_subnet_parse(const char *text, struct ha_subnet *ret, struct drv_err *err)
{
    char host[sizeof ret->text];
    memset(ret, 0, sizeof *ret);
    bool fits = DRV_COPY(ret->text, text) == 0;
    DRV_COPY(host, ret->text);
    char *slash = strchr(host, '/');
    ret->family = strchr(host, ':') ? AF_INET6 : AF_INET;
    if (slash)
        *slash = '\0';
    if (fits && slash && parse_bits(slash + 1, &ret->bits) &&
        ret->bits <= (ret->family == AF_INET ? 32 : 128) &&
        inet_pton(ret->family, host, ret->addr) == 1)
        return 0;
    return drv_err(err, DRV_EINVAL, "\"%.64s\" is not a network such as 10.0.1.0/24", text);
}

const void *ha_sockaddr_ip(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET)
        return &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
    return &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
}

bool ha_sockaddr_is(const struct sockaddr *sa, int family, const void *ip)
{
    return sa && sa->sa_family == family &&
           !memcmp(ha_sockaddr_ip(sa), ip, family == AF_INET6 ? 16 : 4);
}

bool ha_subnet_has(const struct ha_subnet *s, const struct sockaddr *sa)
{
    if (!sa || sa->sa_family != s->family)
        return false;
    const unsigned char *a = ha_sockaddr_ip(sa);
    unsigned whole = s->bits / 8, rest = s->bits % 8;
    if (memcmp(a, s->addr, whole) != 0)
        return false;
    return !rest || ((a[whole] ^ s->addr[whole]) & (0xff00 >> rest) & 0xff) == 0;
}
