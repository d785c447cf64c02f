// SPDX-License-Identifier: GPL-3.0-or-later
// What a path within a store may look like: legal on Linux and on every SMB server (MS-FSCC 2.1.5),
// the same file on each of them, and unable to leave the store. A name that Samba would take and
// Windows would not is refused on Samba, too: stores may be moved.
#include "drover/vmdef.h"

#include <string.h>

// Control characters, also those above ASCII, and those that turn the direction of what is written
// after them: a name that shows as another one.
static int is_hidden(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0x2028 || c == 0x2029 || c == 0xfeff;
}

static const char *refuse_characters(const char *path)
{
    while (*path) {
        uint32_t c = 0;
        size_t n = drv_utf8(path, &c);
        if (!n)
            return "it is not UTF-8";
        if (is_hidden(c))
            return "it holds a character that is not seen";
        if (c < 0x80 && strchr("\\:*?\"<>|", (int)c))
            return "\\ : * ? \" < > | cannot be in a name on Windows file servers";
        path += n;
    }
    return NULL;
}

// Windows takes these for devices, whatever follows the first dot.
static int is_device(const char *name, size_t len)
{
    static const char *const devices[] = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"};
    const char *dot = memchr(name, '.', len);
    size_t stem = dot ? (size_t)(dot - name) : len;
    for (size_t i = 0; i < DRV_ARRAY_LEN(devices); i++)
        if (stem == strlen(devices[i]) && !strncasecmp(name, devices[i], stem))
            return 1;
    return stem == 4 && (!strncasecmp(name, "COM", 3) || !strncasecmp(name, "LPT", 3)) &&
           name[3] >= '1' && name[3] <= '9';
}

static const char *refuse_component(const char *name, size_t len)
{
    if (len == 0)
        return "it begins or ends with '/' or has two of them together";
    // Also "." and "..".
    if (name[len - 1] == '.' || name[len - 1] == ' ')
        return "a name ends in a dot or a blank, which SMB servers drop";
    if (is_device(name, len))
        return "Windows takes such a name for a device";
    return NULL;
}

const char *ss_path_refusal(const char *path)
{
    if (!path || !*path)
        return "it is empty";
    if (strlen(path) >= SS_PATH_MAX)
        return "it is longer than 255 bytes";
    const char *why = refuse_characters(path);
    for (const char *p = path; !why;) {
        size_t len = strcspn(p, "/");
        why = refuse_component(p, len);
        if (!p[len])
            break;
        p += len + 1;
    }
    return why;
}

int ss_path_valid(const char *path)
{
    return ss_path_refusal(path) == NULL;
}
