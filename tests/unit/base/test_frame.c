// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of the frame decoder and encoder.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the four above
#include <cmocka.h>

#include "drover/frame.h"

// Feed all of data in one piece; expects it to hold exactly one frame at the end of it.
static int feed_all(struct drv_frames *d, const uint8_t *data, size_t len, const uint8_t **frame,
                    size_t *frame_len, struct drv_err *err)
{
    size_t used;
    int rc = drv_frames_feed(d, data, len, &used, frame, frame_len, err);
    if (rc >= 0)
        assert_int_equal(used, len);
    return rc;
}

static void a_frame_split_at_every_byte_arrives_whole(void **state)
{
    (void)state;
    uint8_t wire[4 + 300];
    assert_int_equal(drv_frame_header(wire, 300, NULL), 0);
    for (int i = 0; i < 300; i++)
        wire[4 + i] = (uint8_t)i;
    for (size_t cut = 1; cut < sizeof wire; cut++) {
        struct drv_frames d = {0};
        const uint8_t *frame;
        size_t len;
        drv_frames_limit(&d, DRV_FRAME_MAX);
        assert_int_equal(feed_all(&d, wire, cut, &frame, &len, NULL), 0);
        assert_int_equal(feed_all(&d, wire + cut, sizeof wire - cut, &frame, &len, NULL), 1);
        assert_int_equal(len, 300);
        assert_memory_equal(frame, wire + 4, 300);
        drv_frames_done(&d);
    }
}

static void frames_in_one_piece_come_out_one_by_one(void **state)
{
    (void)state;
    const uint8_t wire[] = {0, 0, 0, 1, 'a', 0, 0, 0, 3, 'b', 'c', 'd', 0, 0};
    struct drv_frames d = {0};
    const uint8_t *frame;
    size_t len, used;
    drv_frames_limit(&d, 10);
    assert_int_equal(drv_frames_feed(&d, wire, sizeof wire, &used, &frame, &len, NULL), 1);
    assert_int_equal(used, 5);
    assert_int_equal(len, 1);
    assert_int_equal(frame[0], 'a');
    assert_int_equal(drv_frames_feed(&d, wire + 5, sizeof wire - 5, &used, &frame, &len, NULL), 1);
    assert_int_equal(len, 3);
    assert_memory_equal(frame, "bcd", 3);
    assert_int_equal(drv_frames_feed(&d, wire + 12, 2, &used, &frame, &len, NULL), 0);
    drv_frames_done(&d);
}

static void a_length_above_the_limit_breaks_the_stream_for_good(void **state)
{
    (void)state;
    const uint8_t http[] = "GET / HTTP/1.1\r\n";
    struct drv_frames d = {0};
    struct drv_err err = DRV_ERR_INIT;
    const uint8_t *frame;
    size_t len, used;
    drv_frames_limit(&d, DRV_FRAME_MAX);
    assert_int_equal(drv_frames_feed(&d, http, sizeof http, &used, &frame, &len, &err), -1);
    assert_int_equal(err.code, DRV_EPEER);
    assert_int_equal(drv_frames_feed(&d, "\0\0\0\1a", 5, &used, &frame, &len, NULL), -1);
    drv_frames_done(&d);
}

static void an_empty_frame_is_refused(void **state)
{
    (void)state;
    struct drv_frames d = {0};
    const uint8_t *frame;
    size_t len, used;
    drv_frames_limit(&d, DRV_FRAME_MAX);
    assert_int_equal(drv_frames_feed(&d, "\0\0\0\0", 4, &used, &frame, &len, NULL), -1);
    drv_frames_done(&d);
}

static void an_announcement_alone_costs_little_memory(void **state)
{
    (void)state;
    struct drv_frames d = {0};
    const uint8_t *frame;
    size_t len;
    uint8_t chunk[5000] = {0};
    drv_frames_limit(&d, DRV_FRAME_MAX);
    assert_int_equal(feed_all(&d, (const uint8_t *)"\0\x10\0\0", 4, &frame, &len, NULL), 0);
    assert_int_equal(d.cap, 0);
    size_t got = 0;
    int rc = 0;
    while (rc == 0) {
        size_t n = DRV_FRAME_MAX - got < sizeof chunk ? DRV_FRAME_MAX - got : sizeof chunk;
        rc = feed_all(&d, chunk, n, &frame, &len, NULL);
        got += n;
        assert_true(d.cap <= got + 64 * 1024);
    }
    assert_int_equal(rc, 1);
    assert_int_equal(len, DRV_FRAME_MAX);
    drv_frames_done(&d);
}

static void an_oversized_message_is_not_encoded(void **state)
{
    (void)state;
    uint8_t header[4];
    assert_int_equal(drv_frame_header(header, DRV_FRAME_MAX, NULL), 0);
    assert_int_equal(drv_frame_header(header, DRV_FRAME_MAX + 1, NULL), -1);
    assert_int_equal(drv_frame_header(header, 0, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_split_at_every_byte_arrives_whole),
        cmocka_unit_test(frames_in_one_piece_come_out_one_by_one),
        cmocka_unit_test(a_length_above_the_limit_breaks_the_stream_for_good),
        cmocka_unit_test(an_empty_frame_is_refused),
        cmocka_unit_test(an_announcement_alone_costs_little_memory),
        cmocka_unit_test(an_oversized_message_is_not_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
