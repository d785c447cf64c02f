// SPDX-License-Identifier: GPL-3.0-or-later
// drover-troubleshooting(7). The table says what is the matter and what to do in a line each;
// docs/FINDINGS.md has the explanation, of whose Markdown only this is used: paragraphs, indented
// code, `code`, *emphasis*.
#include "man.h"

#include <stdlib.h>
#include <string.h>

static const char *const letters[] = {
    ['K'] = "Tickets",
    ['D'] = "Delegation",
    ['A'] = "Roles",
    ['R'] = "Receiving, sending, slots",
    ['V'] = "Versions, CPU, machine",
    ['M'] = "Memory",
    ['S'] = "Stores and disks",
    ['N'] = "Networks",
    ['T'] = "Time",
    ['G'] = "Guests and their devices",
};

// The text below "### ID: …", up to the next heading. Malloc'd; NULL: no such heading.
static char *section_of(const char *markdown, const char *id)
{
    DRV_AUTO_FREE char *head = drv_xasprintf("\n### %s:", id);
    const char *at = strstr(markdown, head);
    if (!at || !(at = strchr(at + 1, '\n')))
        return NULL;
    size_t len = strlen(at);
    const char *next = strstr(at, "\n#"); // a comment in code is indented
    if (next)
        len = (size_t)(next - at);
    char *text = drv_xasprintf("%.*s", (int)len, at);
    // *Seen as:* loses its asterisks, other emphasis as well; code keeps its own.
    bool code = false;
    char *to = text, *from = text;
    for (bool literal = false; *from; from++) {
        if (from == text || from[-1] == '\n')
            literal = !strncmp(from, "    ", 4);
        code = *from == '`' ? !code : code;
        if (*from != '*' || code || literal)
            *to++ = *from;
    }
    *to = '\0';
    return text;
}

static void put_finding(FILE *out, const struct drv_finding_def *d, const char *text)
{
    fprintf(out, ".It \"\\fB%s\\fR: ", d->id);
    man_quoted(out, d->title);
    fprintf(out, " (%s", drv_severity_name(d->severity));
    if (d->severity == DRV_SEV_ERROR)
        fprintf(out, ", exit status %d", (int)d->exit_class);
    fputs(")\"\n", out);
    man_prose(out, text);
    fputs(".Pp\nTo do:\n", out);
    man_prose(out, d->fix);
}

int man_findings_page(FILE *out, const char *markdown)
{
    char letter = '\0';
    man_head(out, "drover-troubleshooting", 7, "what drover finds, what it means, what to do");
    fputs(".Sh DESCRIPTION\n", out);
    man_prose(
        out,
        "`drover check`, `drover doctor`, the first phase of every move and error messages name "
        "what they find by a letter and two digits. An error stops a move before anything is "
        "touched; warnings and notes stop nothing.\n\n"
        "Begin with these:\n\n"
        "  drover doctor                    tickets, delegation, stores, networks of all hosts\n"
        "  drover check VM --to HOST        could this VM move?\n"
        "  drover vm list                   why is a VM paused?\n"
        "  drover audit --refused           what was refused here, and why (admins)\n"
        "  journalctl -u drover-agent       what the agent says\n\n"
        "HV1$ and HV2$ stand for the accounts of source and destination, hv1.example.lan for their "
        "full names, fs.example.lan for the file server. `samba-tool` runs on a Samba domain "
        "controller; Windows lines are for an elevated PowerShell with the ActiveDirectory "
        "module. A change of groups or delegation counts from the next ticket on: `kinit` again "
        "(users), `drover doctor --fix` (hosts).");
    for (unsigned i = 0; i < drv_finding_defs_count; i++) {
        const struct drv_finding_def *d = &drv_finding_defs[i];
        DRV_AUTO_FREE char *text = section_of(markdown, d->id);
        if (!text) {
            fprintf(stderr, "docs/FINDINGS.md: no heading for %s\n", d->id);
            return -1;
        }
        if (d->id[0] != letter) {
            unsigned char c = (unsigned char)d->id[0];
            if (letter)
                fputs(".El\n", out);
            letter = d->id[0];
            fprintf(out, ".Ss %c: %s\n.Bl -tag -width Ds\n", letter,
                    c < DRV_ARRAY_LEN(letters) && letters[c] ? letters[c] : "Others");
        }
        put_finding(out, d, text);
    }
    fputs(".El\n.Sh SEE ALSO\n.Xr drover 1 ,\n.Xr drover-check 1 ,\n.Xr drover-doctor 1 ,\n"
          ".Xr drover.conf 5 ,\n.Xr droverd 8\n",
          out);
    return 0;
}
