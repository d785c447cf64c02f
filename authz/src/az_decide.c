// SPDX-License-Identifier: GPL-3.0-or-later
// The decision table: what each action asks for, and the checks that ask it. Owns the texts that a
// refused person reads. See DESIGN.md section 5.
//
// An action is a set of requirements; a requirement is one check. The checks run in the order of
// their table. One that fails with `stops` ends the run: what follows would be meaningless (no
// user, so no role) or would tell a stranger about this host. All the others are collected, so that
// a preflight can show everything at once.
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "drover/authz.h"
#include "drover/util.h"

enum {
    NEED_CHANNEL = 1 << 0, // asked by an agent of the hosts' group
    NEED_DIRECT = 1 << 1,  // asked by the person itself, not by a host for it
    NEED_USER = 1 << 2,    // a Kerberos user, local root or not
    NEED_PROOF = 1 << 3,   // the user is proven to this host, through that agent: by constrained
                           // delegation, or by a permit for that agent and this VM
    NEED_RECEIVE = 1 << 4, // setting `receive`
    NEED_SEND = 1 << 5,    // setting `send`
    NEED_ROLE = 1 << 6,    // at least `role`
    NEED_AUTH = 1 << 7,    // setting `auth` admits what the move is authorised by
    NEED_TCP = 1 << 8,     // over the network
    NEED_PERMIT = 1 << 9,  // a permit for that agent, whatever the VM
};

static const struct rule {
    const char *name;
    const char *what; // completes "may not …"
    unsigned needs;
    enum az_role role;
    const char *role_id; // finding when the role is too low
    bool permit;         // it is about a permit, whether or not the actor has one
} rules[] = {
    [AZ_VIEW] = {"view", "look at VMs", NEED_DIRECT | NEED_ROLE, AZ_VIEWER, "A02"},
    [AZ_OPERATE] = {"operate", "start, stop or change running VMs", NEED_DIRECT | NEED_ROLE,
                    AZ_OPERATOR, "A02"},
    [AZ_ADMINISTER] = {"administer", "create or delete VMs or change settings",
                       NEED_DIRECT | NEED_ROLE, AZ_ADMIN, "A02"},
    [AZ_MOVE_CHECK] = {"move-check", "check a move",
                       NEED_DIRECT | NEED_USER | NEED_ROLE | NEED_AUTH, AZ_VIEWER, "A02"},
    [AZ_MOVE_OUT] = {"move-out", "move VMs away from here",
                     NEED_DIRECT | NEED_USER | NEED_ROLE | NEED_SEND | NEED_AUTH, AZ_OPERATOR,
                     "A02"},
    [AZ_PEER] = {"peer", "speak as a host", NEED_CHANNEL, AZ_NONE, "A04"},
    [AZ_PEER_CHECK] = {"peer-check", "check a move to here", NEED_CHANNEL | NEED_PROOF | NEED_ROLE,
                       AZ_VIEWER, "A03"},
    [AZ_MOVE_IN] = {"move-in", "move VMs to here",
                    NEED_CHANNEL | NEED_RECEIVE | NEED_PROOF | NEED_ROLE, AZ_OPERATOR, "A03"},
    [AZ_PERMIT_CHECK] = {"permit-check", "check moves to here",
                         NEED_DIRECT | NEED_TCP | NEED_USER | NEED_ROLE | NEED_AUTH, AZ_VIEWER,
                         "A03", true},
    [AZ_PERMIT_MOVE] = {"permit-move", "move VMs to here",
                        NEED_DIRECT | NEED_TCP | NEED_USER | NEED_RECEIVE | NEED_ROLE | NEED_AUTH,
                        AZ_OPERATOR, "A03", true},
    [AZ_PERMIT_SHOW] = {"permit-show", "show a permit", NEED_CHANNEL | NEED_AUTH | NEED_PERMIT,
                        AZ_NONE, "A03", true},
};
_Static_assert(DRV_ARRAY_LEN(rules) == AZ_ACTION_MAX_, "a rule for each action");

struct trial {
    const struct az_policy *policy;
    const struct az_actor *actor;
    const struct rule *rule;
    const struct az_role_entry *entry; // that gave the user's role; NULL if none
    bool local_admin;                  // and the action stays on this host
    struct az_decision *d;
};

static struct az_refusal *refuse(struct trial *t, const char *id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static struct az_refusal *refuse(struct trial *t, const char *id, const char *fmt, ...)
{
    if (t->d->n_refusals < AZ_REFUSALS_MAX)
        t->d->n_refusals++;
    struct az_refusal *r = &t->d->refusals[t->d->n_refusals - 1];
    DRV_COPY(r->id, id);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->reason, sizeof(r->reason), fmt, ap);
    va_end(ap);
    return r;
}

static void fix(struct az_refusal *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void fix(struct az_refusal *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->fix, sizeof(r->fix), fmt, ap);
    va_end(ap);
}

static const char *label_of(const struct az_role_entry *e)
{
    return e->label[0] ? e->label : e->sid;
}

// The group to join: the lowest role that is enough.
static const struct az_role_entry *entry_for(const struct az_roles *roles, enum az_role need,
                                             bool hosts)
{
    const struct az_role_entry *best = NULL;
    for (unsigned i = 0; i < roles->n; i++) {
        const struct az_role_entry *e = &roles->list[i];
        if (e->hosts == hosts && e->role >= need && (!best || e->role < best->role))
            best = e;
    }
    return best;
}

void az_role_advice(const struct az_roles *roles, enum az_role need, const char *account,
                    const char *fqdn, char *ret, size_t size)
{
    const struct az_role_entry *group = entry_for(roles, need, false);
    if (group)
        snprintf(ret, size,
                 "ask a domain admin to add %s to the group \"%s\" (samba-tool group addmembers "
                 "\"%s\" %s; on Windows Add-ADGroupMember), then log on anew: kinit %s",
                 account, label_of(group), label_of(group), account, account);
    else
        snprintf(ret, size, "give the role to a group: drover -H %s host set roles=…,%s=GROUP",
                 fqdn, az_role_name(need));
}

static bool check_channel(struct trial *t)
{
    const struct az_policy *p = t->policy;
    const struct az_identity *host = t->actor->host;
    if (host && !host->delegated && az_is_host(p->roles, host))
        return true;
    if (!host || host->delegated) {
        fix(refuse(t, "A04", "only another host's agent may %s, over its own host channel",
                   t->rule->what),
            "use the drover command; it asks its host, and the host asks the other one");
        return false;
    }
    const struct az_role_entry *group = entry_for(p->roles, AZ_NONE, true);
    if (!group) {
        fix(refuse(t, "A04", "%s is turned away: %s has no hosts' group", host->name, p->fqdn),
            "drover -H %s host set roles=…,hosts=GROUP, with the group of all drover hosts",
            p->fqdn);
        return false;
    }
    fix(refuse(t, "A04", "%s is not a member of %s, so %s does not speak with it", host->name,
               label_of(group), p->fqdn),
        "samba-tool group addmembers \"%s\" '%s' (Windows: Add-ADGroupMember \"%s\" -Members "
        "'%s'), "
        "then restart drover there for a new ticket",
        label_of(group), host->account, label_of(group), host->account);
    return false;
}

static bool check_direct(struct trial *t)
{
    const struct az_actor *a = t->actor;
    if (!a->host && !(a->user && a->user->delegated))
        return true;
    fix(refuse(t, "A06", "a host may pass a user on for a move only: it may not %s for %s",
               t->rule->what, a->user ? a->user->name : "anybody"),
        "connect as the user itself: kinit, then drover -H %s", t->policy->fqdn);
    return false;
}

static bool check_user(struct trial *t)
{
    if (t->actor->user)
        return true;
    fix(refuse(t, "K01", "to %s takes a Kerberos user; %s has shown no ticket", t->rule->what,
               t->d->who),
        "kinit USER, with a user who has the role %s or more, and run the command again",
        az_role_name(t->rule->role));
    return false;
}

// The network's log-on is the user's own; over the socket it could be one that root listens to.
static bool check_tcp(struct trial *t)
{
    if (!t->actor->local)
        return true;
    fix(refuse(t, "A06", "a permit is given over the network only, not over the local socket"),
        "connect as the user itself: kinit, then drover -H %s", t->policy->fqdn);
    return false;
}

// Does the setting `auth` admit what this move is, or will be, authorised by?
static bool check_auth(struct trial *t)
{
    const char *me = t->policy->fqdn;
    bool permit = t->actor->permit || t->rule->permit;
    if (t->policy->auth == AZ_AUTH_PERMIT && !permit) {
        fix(refuse(t, "D15", "%s wants a permit of the destination for every move", me),
            "move with --permit, or an administrator: drover -H %s host set auth=either", me);
        return false;
    }
    if (t->policy->auth == AZ_AUTH_DELEGATION && permit) {
        fix(refuse(t, "D16", "%s does not accept permits", me),
            "set up delegation: drover delegation setup; or an administrator: drover -H %s host "
            "set "
            "auth=either",
            me);
        return false;
    }
    return true;
}

static bool check_receive(struct trial *t)
{
    if (t->policy->receive)
        return true;
    fix(refuse(t, "R01", "%s does not receive VMs", t->policy->fqdn),
        "drover -H %s host set receive=on (role admin)", t->policy->fqdn);
    return false;
}

static bool check_send(struct trial *t)
{
    if (t->policy->send)
        return true;
    fix(refuse(t, "R02", "%s does not send VMs", t->policy->fqdn),
        "drover -H %s host set send=on (role admin)", t->policy->fqdn);
    return false;
}

// Account and DNS names compare without regard to case in AD; the realm of a target is optional.
static bool target_is(const char *target, const char *service, const char *fqdn)
{
    size_t service_len = strlen(service), fqdn_len = strlen(fqdn);
    return strncasecmp(target, service, service_len) == 0 && target[service_len] == '/' &&
           strncasecmp(target + service_len + 1, fqdn, fqdn_len) == 0 &&
           (target[service_len + 1 + fqdn_len] == '\0' ||
            target[service_len + 1 + fqdn_len] == '@');
}

// The host that it was given for? Names of hosts compare without regard to case.
static bool check_permit(struct trial *t)
{
    const struct az_actor *a = t->actor;
    if (strcasecmp(a->permit->from, a->host_fqdn) == 0)
        return true;
    fix(refuse(t, "A07", "the permit is for %s to show, and %s showed it", a->permit->from,
               a->host_fqdn),
        "run the command again on the host where the VM runs: it gets a new permit");
    return false;
}

// And the VM and the purpose that it was given for?
static bool check_permitted(struct trial *t)
{
    const struct az_permit *p = t->actor->permit;
    const char *uuid = t->actor->vm_uuid, *name = t->actor->vm_name;
    if (strcmp(p->vm_uuid, uuid) != 0 || strcmp(p->vm_name, name) != 0) {
        fix(refuse(t, "A07", "the permit is for VM %s (%s), not for %s (%s)", p->vm_name,
                   p->vm_uuid, name, uuid),
            "run the command again: it gets a permit for this VM");
        return false;
    }
    if (t->rule->role == AZ_OPERATOR && !p->for_move) {
        fix(refuse(t, "A07", "the permit is for checking a move of VM %s, not for moving it", name),
            "run the command again: it gets a permit for the move");
        return false;
    }
    return true;
}

static bool check_proof(struct trial *t)
{
    if (!check_auth(t))
        return false;
    if (t->actor->permit)
        return check_permit(t) && check_permitted(t);
    const struct az_identity *user = t->actor->user, *host = t->actor->host;
    const char *me = t->policy->fqdn;
    if (!user) {
        fix(refuse(t, "A06", "%s did not show on whose behalf it asks", host->name),
            "update drover on that host, or run the command there as a Kerberos user");
        return false;
    }
    if (!user->delegated) {
        fix(refuse(t, "D13", "%s used a ticket of %s itself, not one by constrained delegation",
                   host->name, user->name),
            "clear \"trust for delegation to any service\" on %s; allow drover/%s only",
            host->account, me);
        return false;
    }
    const char *last = user->transited[user->n_transited - 1];
    if (strcasecmp(last, host->name) != 0) {
        fix(refuse(t, "A06", "%s shows a ticket of %s that %s got, not itself", host->name,
                   user->name, last),
            "start the move again on the host where the VM runs");
        return false;
    }
    if (user->n_transited != 1) {
        fix(refuse(t, "A06", "the ticket of %s went through %u hosts, a move makes one step",
                   user->name, user->n_transited),
            "start the move again on the host where the VM runs");
        return false;
    }
    if (!target_is(user->target, "drover", me)) {
        fix(refuse(t, "A06", "the ticket of %s is for %s, not for drover/%s", user->name,
                   user->target, me),
            "check that the SPN drover/%s is on the account of that host and nowhere else", me);
        return false;
    }
    return true;
}

static bool check_role(struct trial *t)
{
    const struct az_identity *user = t->actor->user;
    const char *me = t->policy->fqdn;
    enum az_role need = t->rule->role;
    if (t->d->role >= need)
        return true;
    if (!user) {
        fix(refuse(t, "K01", "%s may not %s on %s without a Kerberos user", t->d->who,
                   t->rule->what, me),
            "kinit USER and run the command again, or run it as root on %s", me);
        return false;
    }
    bool none = t->d->role == AZ_NONE;
    struct az_refusal *r =
        none ? refuse(t, strcmp(t->rule->role_id, "A03") ? "A01" : "A03",
                      "%s may not %s: no role on %s (role %s needed)", user->name, t->rule->what,
                      me, az_role_name(need))
             : refuse(t, t->rule->role_id, "%s may not %s: %s is %s on %s (role %s needed)",
                      user->name, t->rule->what, user->account, az_role_name(t->d->role), me,
                      az_role_name(need));
    az_role_advice(t->policy->roles, need, user->account, me, r->fix, sizeof r->fix);
    return false;
}

static const struct check {
    unsigned need;
    bool stops;
    bool (*fn)(struct trial *t);
} checks[] = {
    {NEED_CHANNEL, true, check_channel},  {NEED_DIRECT, true, check_direct},
    {NEED_TCP, true, check_tcp},          {NEED_USER, true, check_user},
    {NEED_RECEIVE, false, check_receive}, {NEED_SEND, false, check_send},
    {NEED_PROOF, true, check_proof},      {NEED_ROLE, false, check_role},
    {NEED_AUTH, true, check_auth},        {NEED_PERMIT, false, check_permit},
};

static void describe(struct trial *t)
{
    const struct az_actor *a = t->actor;
    struct az_decision *d = t->d;
    char user[AZ_NAME_LEN + AZ_LABEL_LEN + 80] = "";
    if (a->user && t->entry)
        snprintf(user, sizeof(user), "%s (%s via %s)", a->user->name, az_role_name(t->entry->role),
                 label_of(t->entry));
    else if (a->user)
        snprintf(user, sizeof(user), "%s (no role)", a->user->name);

    if (a->permit && !a->host) // the source: the destination looks at it
        drv_copy(user + strlen(user), sizeof(user) - strlen(user), " with a permit");
    if (a->host)
        snprintf(d->who, sizeof(d->who), "%s%s%s", a->host->name,
                 !a->user    ? ""
                 : a->permit ? " with a permit of "
                             : " on behalf of ",
                 user);
    else if (a->local)
        snprintf(d->who, sizeof(d->who), "%s%slocal uid %u%s", user, a->user ? " from " : "",
                 (unsigned)a->uid, t->local_admin ? " (administrator)" : "");
    else
        DRV_COPY(d->who, a->user ? user : "nobody");
}

bool az_decide(const struct az_policy *policy, enum az_action action, const struct az_actor *actor,
               struct az_decision *ret)
{
    memset(ret, 0, sizeof(*ret));
    struct trial t = {.policy = policy, .actor = actor, .rule = &rules[action], .d = ret};
    enum az_role user_role = az_role_of(policy->roles, actor->user, &t.entry);
    t.local_admin = actor->local && (actor->uid == 0 || actor->uid == policy->own_uid) &&
                    !(t.rule->needs & (NEED_USER | NEED_CHANNEL));
    ret->role = t.local_admin ? AZ_ADMIN : user_role;
    describe(&t);

    for (unsigned i = 0; i < DRV_ARRAY_LEN(checks); i++)
        if ((t.rule->needs & checks[i].need) && !checks[i].fn(&t) && checks[i].stops)
            break;

    ret->allowed = ret->n_refusals == 0;
    if (ret->allowed) {
        snprintf(ret->reason, sizeof(ret->reason), "may %s", t.rule->what);
        return true;
    }
    DRV_COPY(ret->id, ret->refusals[0].id);
    DRV_COPY(ret->reason, ret->refusals[0].reason);
    DRV_COPY(ret->fix, ret->refusals[0].fix);
    return false;
}

int az_decision_err(const struct az_decision *d, struct drv_err *err)
{
    drv_err(err, DRV_EDENIED, "%s", d->reason);
    drv_err_hint(err, "%s", d->fix);
    return drv_err_id(err, d->id);
}

static const char *const auth_names[] = {
    [AZ_AUTH_EITHER] = "either", [AZ_AUTH_DELEGATION] = "delegation", [AZ_AUTH_PERMIT] = "permit"};
_Static_assert(DRV_ARRAY_LEN(auth_names) == AZ_AUTH_MAX_, "a name for each");

const char *az_auth_name(enum az_auth auth)
{
    return (unsigned)auth < AZ_AUTH_MAX_ ? auth_names[auth] : "?";
}

int az_auth_from_name(const char *name, enum az_auth *ret)
{
    for (unsigned i = 0; i < AZ_AUTH_MAX_; i++)
        if (!strcmp(auth_names[i], name)) {
            *ret = (enum az_auth)i;
            return 0;
        }
    return -1;
}

const char *az_action_name(enum az_action a)
{
    return (unsigned)a < AZ_ACTION_MAX_ ? rules[a].name : "?";
}
