-- SPDX-License-Identifier: GPL-3.0-or-later
-- Words in state, role and step columns are those of db.h; there is no CHECK on them, because a later
-- version may add words and SQLite cannot change a CHECK in place.

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID, STRICT;

CREATE TABLE stores (
    name TEXT PRIMARY KEY,
    url  TEXT NOT NULL
) WITHOUT ROWID, STRICT;

-- A cache: the stores hold the definitions.
CREATE TABLE vms (
    uuid           TEXT PRIMARY KEY,
    name           TEXT NOT NULL UNIQUE,
    home_store     TEXT NOT NULL REFERENCES stores (name),
    home_path      TEXT NOT NULL,
    wanted_running INTEGER NOT NULL DEFAULT 0,
    registered_at  INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

-- No cache: the highest owner epoch seen of a VM, kept when the VM has left this host, so that an old
-- record is never acted on. No reference to vms for that reason.
CREATE TABLE vm_epochs (
    uuid       TEXT PRIMARY KEY,
    last_epoch INTEGER NOT NULL CHECK (last_epoch > 0)
) WITHOUT ROWID, STRICT;

CREATE TRIGGER vm_epochs_only_grow BEFORE UPDATE ON vm_epochs
WHEN new.last_epoch < old.last_epoch OR new.uuid <> old.uuid
BEGIN
    SELECT raise(ABORT, 'the epoch of a VM only grows');
END;

CREATE TABLE moves (
    n            INTEGER PRIMARY KEY,       -- order of arrival
    id           TEXT NOT NULL UNIQUE,
    role         TEXT NOT NULL,             -- source, destination
    vm_uuid      TEXT NOT NULL,
    vm_name      TEXT NOT NULL,
    from_host    TEXT NOT NULL,
    to_host      TEXT NOT NULL,
    user         TEXT NOT NULL,
    decision     TEXT,
    plan         TEXT NOT NULL,             -- JSON
    epoch_before INTEGER NOT NULL,
    state        TEXT NOT NULL,             -- active, done, failed, cancelled, refused, attention
    taking       INTEGER NOT NULL DEFAULT 0, -- 1: an epoch write may have been sent
    phase        TEXT NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL,          -- ms since 1970
    updated_at   INTEGER NOT NULL,
    error        TEXT,                      -- JSON
    result       TEXT                       -- JSON
) STRICT;

-- One move of a VM at a time.
CREATE UNIQUE INDEX moves_one_active ON moves (vm_uuid) WHERE state = 'active';

CREATE TABLE move_phases (
    move   TEXT NOT NULL REFERENCES moves (id),
    seq    INTEGER NOT NULL,
    phase  TEXT NOT NULL,
    step   TEXT NOT NULL,                   -- start, undo
    state  TEXT NOT NULL,                   -- begun, done, failed
    at     INTEGER NOT NULL,
    detail TEXT,                            -- JSON
    PRIMARY KEY (move, seq)
) WITHOUT ROWID, STRICT;

-- Images that a move left at its source, to be deleted at their time. No references: a row outlives a
-- store that is removed, and goes on when the store is added again.
CREATE TABLE kept (
    store TEXT NOT NULL,
    path  TEXT NOT NULL,
    move  TEXT NOT NULL,
    until INTEGER NOT NULL,                 -- ms since 1970
    PRIMARY KEY (store, path)
) WITHOUT ROWID, STRICT;

CREATE TABLE audit (
    n         INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    who       TEXT NOT NULL,
    via       TEXT NOT NULL,
    on_behalf TEXT,
    action    TEXT NOT NULL,
    object    TEXT NOT NULL,
    allowed   INTEGER NOT NULL,
    reason    TEXT NOT NULL,
    move      TEXT                          -- no reference: refused moves have no row
) STRICT;
