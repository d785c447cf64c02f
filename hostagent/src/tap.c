// SPDX-License-Identifier: GPL-3.0-or-later
// Taps and bridges: see tap.h. Sockets' ioctls and not /sys: those answer for our network namespace
// whatever is mounted.
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "drover/util.h"

static int control_socket(void)
{
    return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static bool is_bridge(int ctl, const char *name)
{
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq ifr = {.ifr_data = (char *)&info};
    return DRV_COPY(ifr.ifr_name, name) == 0 && ioctl(ctl, SIOCETHTOOL, &ifr) == 0 &&
           !strcmp(info.driver, "bridge");
}

bool ha_bridge_exists(const char *name)
{
    DRV_AUTO_CLOSE int ctl = control_socket();
    return ctl >= 0 && is_bridge(ctl, name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

int ha_bridges(char names[][IFNAMSIZ], unsigned max, struct drv_err *err)
{
    DRV_AUTO_CLOSE int ctl = control_socket();
    struct if_nameindex *all = ctl < 0 ? NULL : if_nameindex();
    if (!all)
        return drv_err_os(err, errno, "cannot list network interfaces");
    unsigned n = 0;
    for (const struct if_nameindex *i = all; i->if_index && n < max; i++)
        if (is_bridge(ctl, i->if_name))
            drv_copy(names[n++], IFNAMSIZ, i->if_name);
    if_freenameindex(all);
    qsort(names, n, IFNAMSIZ, by_name);
    return (int)n;
}

// A bridge without an address of its own takes over the lowest MAC of its ports: a tap must not
// have that one, or the host's address would change with each VM. So its first byte is fe, as
// libvirt does it; the guest's MAC is another matter.
static int raise_mac(int fd, struct drv_err *err)
{
    struct ifreq ifr;
    if (ioctl(fd, SIOCGIFHWADDR, &ifr) < 0)
        return drv_err_os(err, errno, "cannot read the MAC of a tap");
    ifr.ifr_hwaddr.sa_data[0] = (char)0xfe;
    if (ioctl(fd, SIOCSIFHWADDR, &ifr) < 0)
        return drv_err_os(err, errno, "cannot set the MAC of a tap");
    return 0;
}

static int join_bridge(int ctl, const char *tap, const char *bridge, struct drv_err *err)
{
    struct ifreq add = {.ifr_ifindex = (int)if_nametoindex(tap)};
    struct ifreq up = {.ifr_flags = 0};
    DRV_COPY(add.ifr_name, bridge);
    DRV_COPY(up.ifr_name, tap);
    if (ioctl(ctl, SIOCBRADDIF, &add) < 0)
        return drv_err_os(err, errno, "cannot add %s to bridge %s", tap, bridge);
    if (ioctl(ctl, SIOCGIFFLAGS, &up) < 0)
        return drv_err_os(err, errno, "cannot read the flags of %s", tap);
    up.ifr_flags |= IFF_UP;
    if (ioctl(ctl, SIOCSIFFLAGS, &up) < 0)
        return drv_err_os(err, errno, "cannot bring %s up", tap);
    return 0;
}

int ha_tap_open(const char *bridge, uid_t owner, char ret_name[IFNAMSIZ], struct drv_err *err)
{
    DRV_AUTO_CLOSE int ctl = control_socket();
    if (ctl < 0)
        return drv_err_os(err, errno, "socket");
    if (!is_bridge(ctl, bridge)) {
        drv_err(err, DRV_ENOTFOUND, "this host has no bridge %s", bridge);
        return drv_err_hint(err, "create the bridge, or name another one for this VM's network");
    }
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        drv_err_os(err, errno, "cannot open /dev/net/tun");
        return drv_err_hint(err, "modprobe tun; chmod 0666 /dev/net/tun, as udev's rules do it");
    }
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    DRV_COPY(ifr.ifr_name, "dvt%d"); // the kernel puts in the first free number
    int rc = ioctl(fd, TUNSETIFF, &ifr) < 0 ? drv_err_os(err, errno, "cannot create a tap") : 0;
    // Whoever holds the descriptor can make the tap outlive it (TUNSETPERSIST): only he is let at
    // it.
    if (rc == 0 && ioctl(fd, TUNSETOWNER, (unsigned long)owner) < 0)
        rc = drv_err_os(err, errno, "cannot give a tap its owner");
    if (rc < 0 || raise_mac(fd, err) < 0 || join_bridge(ctl, ifr.ifr_name, bridge, err) < 0) {
        close(fd); // and the tap is gone
        return -1;
    }
    drv_copy(ret_name, IFNAMSIZ, ifr.ifr_name);
    return fd;
}
