-- Files that agents changed: what each was before and after, so that a person can undo it.

CREATE TABLE workspace_changes (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        REAL NOT NULL,
    root      TEXT NOT NULL,
    path      TEXT NOT NULL,
    tool      TEXT NOT NULL,
    -- Hashes of the content; empty where there was no file.
    before    TEXT NOT NULL,
    after     TEXT NOT NULL,
    mode      INTEGER NOT NULL,
    -- Directories that were made for the file.
    made      INTEGER NOT NULL,
    agent     TEXT NOT NULL,
    session   TEXT NOT NULL,
    turn      INTEGER NOT NULL,
    call_id   TEXT NOT NULL,
    state     TEXT NOT NULL CHECK (state IN ('intended', 'done', 'undone'))
) STRICT;

CREATE INDEX workspace_changes_by_root ON workspace_changes(root, id) WHERE state <> 'undone';

CREATE TABLE workspace_contents (
    hash      TEXT PRIMARY KEY,
    size      INTEGER NOT NULL,
    body      BLOB NOT NULL
) STRICT;
