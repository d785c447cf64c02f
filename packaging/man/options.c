// SPDX-License-Identifier: GPL-3.0-or-later
// At build time: drover.conf(5) from drover.conf.5.in, with the options of both tables.
#include <stdlib.h>
#include <string.h>

#include "agent.h"

int main(void)
{
    char line[1024];
    while (fgets(line, sizeof line, stdin)) {
        if (!strcmp(line, "@OPTIONS@\n"))
            drv_conf_man(ha_conf_options, stdout);
        else if (!strcmp(line, "@SETTINGS@\n"))
            drv_conf_man(ha_setting_options, stdout);
        else
            fputs(line, stdout);
    }
    return ferror(stdout) || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
