-- The registry: every version, what it changed, and where each entry stands now.

CREATE TABLE registry_versions (
    id        INTEGER PRIMARY KEY,
    parent    INTEGER,
    at        REAL NOT NULL,
    actor     TEXT NOT NULL,
    session   TEXT NOT NULL,
    call_id   TEXT NOT NULL,
    turn      INTEGER NOT NULL,
    agent     TEXT NOT NULL,
    model     TEXT NOT NULL,
    reason    TEXT NOT NULL,
    report    BLOB NOT NULL,
    hash      TEXT NOT NULL
) STRICT;

-- One row for each entry that a version changed. `content` is the canonical JSON of the
-- entry after the change, NULL when it was deleted; the hashes tie it to its neighbours.
CREATE TABLE registry_operations (
    version   INTEGER NOT NULL REFERENCES registry_versions(id),
    seq       INTEGER NOT NULL,
    kind      TEXT NOT NULL
        CHECK (kind IN ('entry.create', 'entry.update', 'entry.delete')),
    entry     TEXT NOT NULL,
    before    TEXT NOT NULL,
    after     TEXT NOT NULL,
    content   BLOB,
    session   TEXT NOT NULL,
    call_id   TEXT NOT NULL,
    PRIMARY KEY (version, seq)
) STRICT;

CREATE INDEX registry_operations_by_entry ON registry_operations(entry, version);

-- After a crash, recovery asks whether a call's write happened: there is at most one.
CREATE UNIQUE INDEX registry_operations_by_call
    ON registry_operations(session, call_id, entry) WHERE call_id <> '';

-- Which version an entry that exists now comes from; saves folding the history at start.
CREATE TABLE registry_current (
    entry     TEXT PRIMARY KEY,
    version   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the files said when they were last loaded, to tell a changed file from a change
-- that was made at run time.
CREATE TABLE registry_baseline (
    entry     TEXT PRIMARY KEY,
    hash      TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Sessions: the journal is the only record, conversations are derived from it.

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY,
    agent      TEXT NOT NULL,
    created_at REAL NOT NULL,
    title      TEXT NOT NULL,
    meta       TEXT NOT NULL
) STRICT;

CREATE TABLE journal (
    session   TEXT NOT NULL,
    seq       INTEGER NOT NULL,
    at        REAL NOT NULL,
    turn      INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    schema    INTEGER NOT NULL,
    body      BLOB NOT NULL,
    PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;

-- Small lasting answers: is this app trusted, was that model server accepted.
CREATE TABLE facts (
    key       TEXT PRIMARY KEY,
    value     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Large results by the hash of their content.
CREATE TABLE blobs (
    hash      TEXT PRIMARY KEY,
    size      INTEGER NOT NULL,
    body      BLOB NOT NULL
) STRICT;
