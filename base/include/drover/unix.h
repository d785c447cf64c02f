// SPDX-License-Identifier: GPL-3.0-or-later
// Unix sockets: connecting to one (unix(7)). Any thread.
#ifndef DROVER_UNIX_H
#define DROVER_UNIX_H

// A stream socket, close-on-exec, that is connected to path. flags: SOCK_NONBLOCK or 0. patience_s:
// how long to wait for a listener that accepts nobody, and for each send() after that (EAGAIN); 0 =
// without end, or not at all with SOCK_NONBLOCK. -1 with errno: ENAMETOOLONG, ENOENT, ECONNREFUSED,
// EACCES, EAGAIN.
int drv_unix_connect(const char *path, int flags, int patience_s);

#endif
