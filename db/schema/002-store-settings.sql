-- Settings of a store on this host, where they are not the defaults.
CREATE TABLE store_settings (
    store TEXT NOT NULL REFERENCES stores (name) ON DELETE CASCADE,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (store, key)
) WITHOUT ROWID, STRICT;
