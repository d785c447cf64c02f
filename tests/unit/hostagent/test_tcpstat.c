// SPDX-License-Identifier: GPL-3.0-or-later
// Promises of the count of bytes sent, with connections to ourselves.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
// cmocka.h needs those above
#include <cmocka.h>

#include "drover/util.h"
#include "tcpstat.h"

enum { SENT = 100000 };

static void only_bytes_to_that_peer_count(void **state)
{
    (void)state;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof sa;
    int listener = socket(AF_INET, SOCK_STREAM, 0), a = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&sa, &size), 0);
    if (listen(listener, 1) < 0 || connect(a, (struct sockaddr *)&sa, sizeof sa) < 0)
        skip();
    int b = accept(listener, NULL, NULL);
    char *data = drv_xcalloc(1, SENT);
    assert_int_equal(send(a, data, SENT, 0), SENT);
    assert_int_equal(recv(b, data, SENT, MSG_WAITALL), SENT);
    assert_int_equal(send(b, data, 7, 0), 7); // the other direction

    uint64_t bytes = 0;
    unsigned port = ntohs(sa.sin_port);
    assert_int_equal(ha_tcp_sent("127.0.0.1", port, &bytes, NULL), 0);
    assert_true(bytes >= SENT && bytes <= SENT + 1); // the SYN may count
    assert_int_equal(ha_tcp_sent("127.0.0.2", port, &bytes, NULL), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(ha_tcp_sent("127.0.0.1", port ^ 1, &bytes, NULL), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(ha_tcp_sent("::1", port, &bytes, NULL), 0);
    assert_int_equal(bytes, 0);
    free(data);
    close(a);
    close(b);
    close(listener);
}

static void name_is_no_address(void **state)
{
    (void)state;
    uint64_t bytes;
    struct drv_err err = DRV_ERR_INIT;
    assert_int_equal(ha_tcp_sent("hv2.example.lan", 1, &bytes, &err), -1);
    assert_int_equal(err.code, DRV_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_bytes_to_that_peer_count),
        cmocka_unit_test(name_is_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
