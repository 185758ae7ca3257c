-- What a session's journal adds up to after one of its rows: a cache, so that opening a long
-- session reads the rows behind it only. Rows may be deleted at any time.
CREATE TABLE standings (
    session   TEXT PRIMARY KEY,
    seq       INTEGER NOT NULL,
    format    INTEGER NOT NULL,
    body      BLOB NOT NULL,
    hash      TEXT NOT NULL
) STRICT;
