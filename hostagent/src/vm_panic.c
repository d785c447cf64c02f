// SPDX-License-Identifier: GPL-3.0-or-later
// The file `panicked` of a VM's run directory: see vm_panic.h.
#include "vm_panic.h"

#include <string.h>
#include <unistd.h>

static void file_of(const struct ha_vm *vm, char ret[300])
{
    char dir[256];
    ha_vm_dir(vm->ha, vm->def.uuid, dir, sizeof dir);
    snprintf(ret, 300, "%s/panicked", dir);
}

void ha_panic_keep(const struct ha_vm *vm, const char *text)
{
    char path[300];
    file_of(vm, path);
    if (!text[0]) {
        unlink(path);
        return;
    }
    DRV_AUTO_FILE FILE *f = fopen(path, "we");
    if (f)
        fputs(text, f);
}

struct recall_call {
    struct ha_vm *vm;
    char text[96];
};

static void recall_on_loop(void *arg)
{
    struct recall_call *c = arg;
    DRV_COPY(c->vm->panic, c->text);
}

void ha_panic_recall(struct ha_vm *vm)
{
    struct recall_call c = {.vm = vm};
    char path[300];
    file_of(vm, path);
    DRV_AUTO_FILE FILE *f = fopen(path, "re");
    if (f && fgets(c.text, sizeof c.text, f))
        drv_loop_call(vm->ha->loop, recall_on_loop, &c);
}
