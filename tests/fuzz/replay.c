// SPDX-License-Identifier: GPL-3.0-or-later
// Runs a fuzz target over the files of a folder, each whole, and cut at some lengths.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drover/util.h"
#include "fuzz.h"

enum { INPUT_LIMIT = 2 << 20, CUTS = 64 };

static void run_file(const char *path)
{
    DRV_AUTO_FILE FILE *f = fopen(path, "re");
    DRV_AUTO_FREE uint8_t *data = drv_xcalloc(1, INPUT_LIMIT);
    if (!f) {
        perror(path);
        exit(1);
    }
    size_t len = fread(data, 1, INPUT_LIMIT, f);
    for (size_t i = 0; i <= CUTS; i++) {
        // A copy of exactly that size, so that ASan sees a read past it.
        size_t n = len * i / CUTS;
        DRV_AUTO_FREE uint8_t *input = malloc(n ? n : 1);
        if (!input)
            abort();
        memcpy(input, data, n);
        LLVMFuzzerTestOneInput(input, n);
    }
}

int main(int argc, char **argv)
{
    unsigned files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            perror(argv[i]);
            return 1;
        }
        for (const struct dirent *e; (e = readdir(d));)
            if (e->d_name[0] != '.') {
                DRV_AUTO_FREE char *path = drv_xasprintf("%s/%s", argv[i], e->d_name);
                run_file(path);
                files++;
            }
        closedir(d);
    }
    printf("%u inputs\n", files);
    return files > 0 ? 0 : 1;
}
