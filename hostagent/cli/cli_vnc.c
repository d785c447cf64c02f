// SPDX-License-Identifier: GPL-3.0-or-later
// drover vm vnc: a VM's screen at a port of this computer, for any VNC viewer. One viewer at a
// time. RFB has no way to go on after a cut, so a move ends the viewer's connection, and the next
// one at the same port gets the screen at its new host.
#include "relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// ---- the port ----

static int listen_here(unsigned *ret_port, struct drv_err *err)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) < 0) {
        drv_err_os(err, errno, "a port at 127.0.0.1");
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *ret_port = ntohs(sa.sin_port);
    return fd;
}

// The uid at the other end of a connection from this computer: the kernel's table of TCP sockets
// (proc(5), /proc/net/tcp) has it. -1: not found.
static long uid_of(const struct sockaddr_in *viewer, unsigned port)
{
    DRV_AUTO_FILE FILE *f = fopen("/proc/net/tcp", "re");
    char line[256];
    while (f && fgets(line, sizeof line, f)) {
        unsigned address, from, to_address, to;
        long uid;
        if (sscanf(line, " %*u: %8X:%4X %8X:%4X %*X %*X:%*X %*X:%*X %*X %ld", &address, &from,
                   &to_address, &to, &uid) == 5 &&
            address == viewer->sin_addr.s_addr && from == ntohs(viewer->sin_port) && to == port)
            return uid;
    }
    return -1;
}

// The port is open to everybody on this computer; the screen is the user's alone.
static int accept_own(int listener, unsigned port)
{
    for (;;) {
        struct sockaddr_in sa;
        socklen_t len = sizeof sa;
        int fd = accept4(listener, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC);
        if (fd < 0)
            continue; // the viewer has gone, or a signal
        long uid = uid_of(&sa, port);
        if (uid == (long)getuid() || uid == 0)
            return fd;
        fprintf(stderr, "drover: turned a viewer of another user away (uid %ld)\n", uid);
        close(fd);
    }
}

// ---- the verb ----

static void say_address(struct cli *c, const struct cli_relay *r, unsigned port)
{
    DRV_AUTO_JSON json_t *m =
        json_pack("{s:s, s:s, s:i}", "vm", r->name, "address", "127.0.0.1", "port", (int)port);
    if (c->json)
        cli_put_json(m);
    else if (c->plain)
        printf("127.0.0.1\t%u\n", port);
    else
        printf("The screen of %s is at 127.0.0.1:%u until Ctrl-C, for one viewer at a time:\n"
               "  vncviewer 127.0.0.1::%u\n",
               r->name, port, port);
    fflush(stdout);
}

// One viewer, from its connection to its end. 0: the next one may come; 1: the VM has stopped; -1:
// the screen cannot be had any more.
static int serve(struct cli_relay *r, int viewer, unsigned port, struct drv_err *err)
{
    r->in_fd = r->out_fd = viewer;
    if (cli_relay_again(r, err) < 0)
        return err->code == DRV_OK ? 0 : -1; // the viewer has gone before
    enum cli_relay_end end = cli_relay_run(r, err);
    cli_disconnect(r->c);
    if (end == CLI_RELAY_MOVED)
        cli_relay_say(r, "%s has moved to %s; connect the viewer to 127.0.0.1:%u again", r->name,
                      r->c->host, port);
    else if (end == CLI_RELAY_LOST)
        cli_relay_say(r, "%s; connect the viewer to 127.0.0.1:%u again", err->msg, port);
    else if (end == CLI_RELAY_CLOSED)
        cli_relay_say(r, "%s has stopped", r->name);
    return end == CLI_RELAY_CLOSED ? 1 : 0;
}

int cli_vm_vnc(struct cli *c, const struct cli_args *a)
{
    struct drv_err err = DRV_ERR_INIT;
    unsigned port = 0;
    struct cli_relay r = {.c = c,
                          .call = "vm.vnc",
                          .asked = a->pos[0],
                          .in_fd = -1,
                          .out_fd = -1,
                          .end_with_in = true,
                          .newline = "\n"};
    if (cli_relay_open(&r, &err) < 0) // may it be had at all?
        return cli_error(c, &err);
    cli_disconnect(c);
    DRV_AUTO_CLOSE int listener = listen_here(&port, &err);
    if (listener < 0)
        return cli_error(c, &err);
    signal(SIGPIPE, SIG_IGN); // of a viewer that has gone
    say_address(c, &r, port);
    int rc = 0;
    while (rc == 0) {
        DRV_AUTO_CLOSE int viewer = accept_own(listener, port);
        drv_err_clear(&err);
        rc = serve(&r, viewer, port, &err);
    }
    return rc > 0 ? DRV_EXIT_OK : cli_error(c, &err);
}
