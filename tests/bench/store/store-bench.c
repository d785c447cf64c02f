// SPDX-License-Identifier: GPL-3.0-or-later
// store-bench: drover's SMB client from a C loop, or an NBD server through libnbd. See README.md.
#include "bench.h"

#include <string.h>

int main(int argc, char **argv)
{
    struct bench b;
    bench_options(&b, argc, argv);
    if (b.target && strcmp(b.target, "direct") == 0 && b.url)
        return bench_direct(&b);
    if (b.target && strcmp(b.target, "nbd") == 0 && b.socket) {
#ifdef HAVE_LIBNBD
        return bench_nbd(&b);
#else
        bench_die("built without libnbd");
#endif
    }
    if (b.target && strcmp(b.target, "call") == 0 && b.socket && b.call)
        return bench_call(&b);
    bench_die("what shall be measured: direct with --url, or nbd with --socket?");
}
