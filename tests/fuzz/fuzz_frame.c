// SPDX-License-Identifier: GPL-3.0-or-later
// The frame decoder, fed in pieces whose sizes the input decides: the first byte is the step.
#include <string.h>

#include "drover/frame.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct drv_frames d = {0};
    size_t step = size ? data[0] % 64 + 1U : 1;
    size_t at = size ? 1 : 0;
    volatile uint8_t sink __attribute__((unused)) = 0;
    drv_frames_limit(&d, 1 << 16);
    while (at < size) {
        size_t n = size - at < step ? size - at : step;
        size_t used, len;
        const uint8_t *frame;
        int rc = drv_frames_feed(&d, data + at, n, &used, &frame, &len, NULL);
        FUZZ_CHECK(used <= n && d.cap <= 1 << 16);
        if (rc < 0)
            break;
        if (rc == 1) {
            FUZZ_CHECK(len > 0 && len <= 1 << 16);
            for (size_t i = 0; i < len; i++)
                sink ^= frame[i];
        } else {
            FUZZ_CHECK(used == n);
        }
        at += used;
    }
    drv_frames_done(&d);
    return 0;
}
