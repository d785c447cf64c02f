// SPDX-License-Identifier: GPL-3.0-or-later
// The context of both SMB programs: see context.h. Written against libsmbclient 4.17.
#include "context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "drover/util.h"

static const char smb_conf[] = "[global]\n"
                               "client use kerberos = required\n"
                               "client smb encrypt = required\n"
                               "client smb3 encryption algorithms = AES-128-GCM, AES-256-GCM\n"
                               "client signing = required\n"
                               "client min protocol = SMB3_11\n"
                               "client max protocol = SMB3_11\n"
                               "client ipc min protocol = SMB3_11\n"
                               "client ipc max protocol = SMB3_11\n"
                               "name resolve order = host\n"
                               "name cache timeout = 0\n"
                               "disable netbios = yes\n"
                               "load printers = no\n";

// Our settings, over those of the machine's smb.conf, which the library has read by then. (It has
// no interest in SMB_CONF_PATH.)
static int set_configuration(SMBCCTX *ctx, struct drv_err *err)
{
    DRV_AUTO_CLOSE int fd = memfd_create("drover-smb.conf", 0);
    if (fd < 0 || write(fd, smb_conf, sizeof smb_conf - 1) != (ssize_t)sizeof smb_conf - 1)
        return drv_err_os(err, errno, "smb.conf in memory");
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    if (smbc_setConfiguration(ctx, name) < 0)
        return drv_err_os(err, errno, "libsmbclient: configuration");
    return 0;
}

// No password and no user name: the ticket is all that we have.
static void no_password(SMBCCTX *ctx, const char *server, const char *share, char *workgroup,
                        int workgroup_size, char *user, int user_size, char *password,
                        int password_size)
{
    (void)ctx, (void)server, (void)share, (void)workgroup, (void)workgroup_size, (void)user,
        (void)user_size;
    if (password_size > 0)
        password[0] = '\0';
}

SMBCCTX *ss_smb_context(int timeout_ms, struct drv_err *err)
{
    unsetenv("HOME"); // a user's .smb/smb.conf would be read
    SMBCCTX *ctx = smbc_new_context();
    if (!ctx) {
        drv_err_os(err, errno, "libsmbclient: new context");
        return NULL;
    }
    smbc_setFunctionAuthDataWithContext(ctx, no_password);
    smbc_setOptionUseKerberos(ctx, 1);
    smbc_setOptionFallbackAfterKerberos(ctx, 0);
    smbc_setOptionNoAutoAnonymousLogin(ctx, 1);
    smbc_setOptionSmbEncryptionLevel(ctx, SMBC_ENCRYPTLEVEL_REQUIRE);
    smbc_setTimeout(ctx, timeout_ms);
    int rc = smbc_init_context(ctx) ? 0 : drv_err_os(err, errno, "libsmbclient: context");
    // Only after smbc_init_context, which loads the machine's configuration.
    if (rc == 0)
        rc = set_configuration(ctx, err);
    if (rc == 0 && !smbc_setOptionProtocols(ctx, "SMB3_11", "SMB3_11"))
        rc = drv_err(err, DRV_EINTERNAL, "libsmbclient does not know SMB3_11");
    if (rc == 0)
        return ctx;
    smbc_free_context(ctx, 1);
    return NULL;
}
