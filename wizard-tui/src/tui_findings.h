// SPDX-License-Identifier: GPL-3.0-or-later
// Findings as lines (panel_doctor.c): errors first, with fix and command.
#ifndef TUI_FINDINGS_H
#define TUI_FINDINGS_H

#include "tui.h"

void tui_add_findings(struct tui_doc *d, const struct drv_findings *f);

#endif
