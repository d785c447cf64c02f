// SPDX-License-Identifier: GPL-3.0-or-later
// See rig.h.
#include "rig.h"

#include "permit.h"

#include <ftw.h>
#include <krb5.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void *loop_main(void *arg)
{
    struct rig *r = arg;
    r->ha.loop = drv_loop_new(NULL);
    sem_post(&r->loop_ready);
    drv_loop_run(r->ha.loop);
    return NULL;
}

static void must(int rc, const struct drv_err *err)
{
    if (rc < 0)
        fail_msg("%s", err->msg);
}

int rig_setup(void **state)
{
    struct drv_err err = DRV_ERR_INIT;
    struct rig *r = drv_xcalloc(1, sizeof *r);
    DRV_COPY(r->dir, "/tmp/drover-ha-XXXXXX");
    if (!mkdtemp(r->dir))
        return -1;
    *state = r;
    struct ha *ha = &r->ha;
    DRV_COPY(ha->fqdn, "hv1.drover.test");
    drv_uuid_new(ha->boot_id);
    ha->conf = drv_conf_new(ha_conf_options);
    DRV_AUTO_FREE char *path = drv_xasprintf("%s/drover.db", r->dir);
    DRV_AUTO_FREE char *vms = drv_xasprintf("%s/vm", r->dir);
    must(drv_conf_set(ha->conf, "run_dir", r->dir, &err), &err);
    must(drv_conf_set(ha->conf, "state_dir", r->dir, &err), &err);
    must(mkdir(vms, 0700), &err);
    ha->db = db_open(path, &err);
    must(ha->db ? 0 : -1, &err);
    sem_init(&r->loop_ready, 0, 0);
    if (pthread_create(&r->loop_thread, NULL, loop_main, r) != 0)
        return -1;
    sem_wait(&r->loop_ready);
    must(ha_settings_load(ha, &err), &err);
    ha->permits = ha_permits_new(ha->fqdn, drv_now_ms);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

int rig_teardown(void **state)
{
    struct rig *r = *state;
    drv_loop_stop(r->ha.loop);
    pthread_join(r->loop_thread, NULL);
    drv_loop_free(r->ha.loop);
    for (struct ha_vm *vm = r->ha.vms, *next; vm; vm = next) {
        next = vm->next;
        free(vm);
    }
    ha_permits_free(r->ha.permits);
    db_close(r->ha.db);
    drv_conf_free(r->ha.conf);
    sem_destroy(&r->loop_ready);
    int rc = nftw(r->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(r);
    return rc;
}

void rig_smb_store(struct rig *r, const char *name, const char *url)
{
    struct drv_err err = DRV_ERR_INIT;
    must(db_store_add(r->ha.db, name, url, &err), &err);
}

void rig_local_store(struct rig *r, const char *name)
{
    DRV_AUTO_FREE char *path = drv_xasprintf("%s/%s", r->dir, name);
    DRV_AUTO_FREE char *url = drv_xasprintf("local:%s", path);
    assert_int_equal(mkdir(path, 0700), 0);
    rig_smb_store(r, name, url);
}

void rig_arbiter(struct rig *r, const char *store)
{
    struct drv_err err = DRV_ERR_INIT;
    char value[SS_NAME_MAX];
    DRV_COPY(value, store);
    const struct db_setting change = {.key = "arbiter", .value = value};
    must(ha_settings_change(&r->ha, &change, 1, &err), &err);
}

void rig_file(struct rig *r, const char *store, const char *path, size_t bytes)
{
    DRV_AUTO_FREE char *full = drv_xasprintf("%s/%s/%s", r->dir, store, path);
    DRV_AUTO_FREE char *folder = drv_xstrdup(full);
    *strrchr(folder, '/') = '\0';
    mkdir(folder, 0700);
    DRV_AUTO_FILE FILE *f = fopen(full, "we");
    assert_non_null(f);
    assert_int_equal(ftruncate(fileno(f), (off_t)bytes), 0);
}

void rig_ticket(struct rig *r)
{
    DRV_AUTO_FREE char *conf = drv_xasprintf("%s/krb5.conf", r->dir);
    DRV_AUTO_FREE char *cache = drv_xasprintf("FILE:%s/host.ccache", r->dir);
    DRV_AUTO_FILE FILE *f = fopen(conf, "we");
    fputs("[libdefaults]\n default_realm = X.TEST\n dns_lookup_kdc = false\n", f);
    fflush(f);
    setenv("KRB5_CONFIG", conf, 1);
    krb5_context k;
    krb5_ccache cc;
    krb5_creds cred = {0};
    krb5_octet bytes[32] = {2};
    char ticket[] = "ticket";
    assert_int_equal(krb5_init_context(&k), 0);
    assert_int_equal(krb5_parse_name(k, "HV1$@X.TEST", &cred.client), 0);
    assert_int_equal(krb5_parse_name(k, "krbtgt/X.TEST@X.TEST", &cred.server), 0);
    cred.keyblock = (krb5_keyblock){
        .enctype = ENCTYPE_AES256_CTS_HMAC_SHA1_96, .length = sizeof bytes, .contents = bytes};
    cred.times.authtime = cred.times.starttime = (krb5_timestamp)time(NULL);
    cred.times.endtime = (krb5_timestamp)(time(NULL) + 36000);
    cred.ticket = (krb5_data){.length = sizeof ticket, .data = ticket};
    assert_int_equal(krb5_cc_resolve(k, cache, &cc), 0);
    assert_int_equal(krb5_cc_initialize(k, cc, cred.client), 0);
    assert_int_equal(krb5_cc_store_cred(k, cc, &cred), 0);
    krb5_cc_close(k, cc);
    krb5_free_principal(k, cred.client);
    krb5_free_principal(k, cred.server);
    krb5_free_context(k);
}

struct ss_vmdef rig_vm(const char *name)
{
    struct ss_vmdef d = {.vcpus = 1, .memory_kib = 262152};
    drv_uuid_new(d.uuid);
    DRV_COPY(d.name, name);
    DRV_COPY(d.machine, "pc-q35-7.2");
    DRV_COPY(d.accel, "tcg");
    DRV_COPY(d.cpu_model, "qemu64");
    DRV_COPY(d.graphics, "none");
    DRV_COPY(d.on_host_shutdown, "stop");
    d.shutdown_timeout_s = SS_SHUTDOWN_TIMEOUT_S;
    return d;
}

void rig_plan(struct mv_plan *ret, const char *from, const char *to)
{
    memset(ret, 0, sizeof *ret);
    drv_uuid_new(ret->move);
    DRV_COPY(ret->user, "alice@DROVER.TEST");
    DRV_COPY(ret->from, from);
    DRV_COPY(ret->to, to);
    ret->def = rig_vm("web");
    DRV_COPY(ret->from_home_store, "fs");
    DRV_COPY(ret->from_home, "web");
    DRV_COPY(ret->to_home_store, "fs");
    DRV_COPY(ret->to_home, "web");
    DRV_COPY(ret->arbiter_url, "smb://fs.drover.test/VM");
    ret->epoch = 4;
    ret->max_blackout_ms = 2000;
    ret->keep_source_s = -1;
    ret->encrypt = true;
}

void rig_disk(struct ss_vmdef *def, const char *store, const char *path)
{
    unsigned i = def->n_disks++;
    struct ss_disk *d = &def->disks[i];
    snprintf(d->id, sizeof d->id, "disk%u", i);
    DRV_COPY(d->store, store);
    DRV_COPY(d->path, path);
    d->pci_slot = 3 + i;
    d->format = strstr(path, ".raw") ? SS_RAW : SS_QCOW2;
}

json_t *rig_json(const char *text)
{
    DRV_AUTO_FREE char *copy = drv_xstrdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_t *j = json_loads(copy, 0, NULL);
    assert_non_null(j);
    return j;
}
