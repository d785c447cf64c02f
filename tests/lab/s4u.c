// SPDX-License-Identifier: GPL-3.0-or-later
// Selftest of the lab's directory: may HOST act for a user (S4U2Proxy) at TARGET?
//   s4u USER_CCACHE HOST_CCACHE HOST_SPN TARGET_SPN
// The evidence is the user's own ticket for the host, taken as it is: what this asks is the KDC's
// opinion, so no handshake is needed. (kvno -P cannot ask it: it starts from S4U2Self.)
#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>

static krb5_context k;

static void must(krb5_error_code code, const char *what)
{
    if (code == 0)
        return;
    const char *text = krb5_get_error_message(k, code);
    fprintf(stderr, "s4u: %s: %s (%d)\n", what, text, (int)code);
    exit(1);
}

// A ticket for `spn` with the TGT in `ccache`; with `evidence`, on behalf of whom that names.
static krb5_creds *ticket(const char *ccache, const char *spn, const krb5_data *evidence)
{
    krb5_ccache cc;
    krb5_creds in = {0};
    krb5_creds *out = NULL;

    must(krb5_cc_resolve(k, ccache, &cc), ccache);
    must(krb5_cc_get_principal(k, cc, &in.client), ccache);
    must(krb5_parse_name(k, spn, &in.server), spn);
    if (evidence != NULL)
        in.second_ticket = *evidence;
    must(krb5_get_credentials(k, evidence != NULL ? KRB5_GC_CONSTRAINED_DELEGATION : 0, cc, &in,
                              &out),
         spn);
    return out; // lives as long as the process, like everything here
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: s4u USER_CCACHE HOST_CCACHE HOST_SPN TARGET_SPN\n");
        return 2;
    }
    must(krb5_init_context(&k), "krb5_init_context");
    krb5_creds *evidence = ticket(argv[1], argv[3], NULL);
    krb5_creds *proxied = ticket(argv[2], argv[4], &evidence->ticket);
    char *client = NULL;
    char *server = NULL;
    must(krb5_unparse_name(k, proxied->client, &client), "client");
    must(krb5_unparse_name(k, proxied->server, &server), "server");
    printf("%s for %s\n", server, client);
    return 0;
}
