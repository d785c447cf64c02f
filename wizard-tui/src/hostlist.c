// SPDX-License-Identifier: GPL-3.0-or-later
// ~/.config/drover/hosts: see hostlist.h.
#include "hostlist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "drover/file.h"
#include "tui.h"

// "" when the user has no home.
static void config_path(char *ret, size_t size, const char *file)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    ret[0] = '\0';
    if (xdg && *xdg == '/')
        snprintf(ret, size, "%s/drover%s", xdg, file);
    else if (home && *home == '/')
        snprintf(ret, size, "%s/.config/drover%s", home, file);
}

void tui_hostlist_load(struct tui_hostlist *l)
{
    char path[512], line[256];
    l->n = 0;
    config_path(path, sizeof path, "/hosts");
    DRV_AUTO_FILE FILE *f = *path ? fopen(path, "re") : NULL;
    while (f && l->n < TUI_HOSTS_MAX && fgets(line, sizeof line, f)) {
        line[strcspn(line, "# \t\r\n")] = '\0';
        if (*line)
            DRV_COPY(l->name[l->n++], line);
    }
}

int tui_hostlist_save(const struct tui *t, struct drv_err *err)
{
    char path[512];
    config_path(path, sizeof path, "");
    if (!*path)
        return 0;
    char *slash = strrchr(path, '/');
    *slash = '\0';
    mkdir(path, 0755); // it may be there; what is really wrong shows at the writing
    *slash = '/';
    mkdir(path, 0755);
    config_path(path, sizeof path, "/hosts");
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    if (!f)
        abort();
    fputs("# Hosts that drover-wizard begins with, as the domain listed them.\n", f);
    for (unsigned i = 0; i < t->n_hosts; i++)
        if (t->hosts[i].fqdn[0])
            fprintf(f, "%s\n", t->hosts[i].fqdn);
    fclose(f);
    int rc = drv_file_replace(path, text, len, 0644, err);
    free(text);
    return rc;
}
