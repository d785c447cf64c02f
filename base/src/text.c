// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers and foreign text for people: see text.h.
#include "drover/text.h"

#include <inttypes.h>
#include <stdbool.h>

#include "drover/util.h"

struct drv_text drv_fmt_bytes(int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    struct drv_text t;
    double v = (double)bytes;
    unsigned u = 0;
    while (v >= 1024 && u + 1 < DRV_ARRAY_LEN(units)) {
        v /= 1024;
        u++;
    }
    snprintf(t.s, sizeof t.s, v < 10 && u > 0 ? "%.1f %s" : "%.0f %s", v, units[u]);
    return t;
}

struct drv_text drv_fmt_ms(double ms)
{
    struct drv_text t;
    int64_t s = (int64_t)(ms / 1000);
    if (ms < 1000)
        snprintf(t.s, sizeof t.s, "%.0f ms", ms);
    else if (s < 60)
        snprintf(t.s, sizeof t.s, "%.1f s", ms / 1000);
    else if (s < 3600)
        snprintf(t.s, sizeof t.s, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else
        snprintf(t.s, sizeof t.s, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
    return t;
}

void drv_put(FILE *f, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool c1 = *p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0; // U+0080…U+009F: CSI and friends
        fputc(*p < ' ' || *p == 0x7f || c1 ? '?' : *p, f);
        p += c1;
    }
}
