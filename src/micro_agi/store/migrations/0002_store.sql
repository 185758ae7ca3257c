-- What Lua's `store` module keeps: keys and values by store entry.

CREATE TABLE store_items (
    store     TEXT NOT NULL,
    key       TEXT NOT NULL,
    value     BLOB NOT NULL,
    version   INTEGER NOT NULL,
    expires   REAL,
    PRIMARY KEY (store, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX store_items_by_end ON store_items(store, expires) WHERE expires IS NOT NULL;

-- The last version number given out in a store: a deleted key never gets an old one again.
CREATE TABLE store_versions (
    store     TEXT PRIMARY KEY,
    version   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
