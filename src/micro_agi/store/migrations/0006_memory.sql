-- Long-term memory: one row for each item, found again by its words and, where an
-- embedding model is configured, by its meaning.

CREATE TABLE memory_items (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,   -- never given out twice
    space      TEXT NOT NULL,                       -- whose memory it is
    space_word TEXT NOT NULL,                       -- the same as one word of the index
    hash       TEXT NOT NULL,                       -- of the content
    content    TEXT NOT NULL,
    tags       TEXT NOT NULL,
    spaced     TEXT NOT NULL,                       -- words of scripts without spaces, cut up
    metadata   TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    origin     TEXT NOT NULL,                       -- session, turn, call, agent …
    revised_by TEXT NOT NULL
) STRICT;

-- The same fact told twice, also by two processes at once, is one item.
CREATE UNIQUE INDEX memory_items_by_content ON memory_items(space, hash);
CREATE INDEX memory_items_by_change ON memory_items(space, updated_at, id);

-- Kept in step by `memory/rows.py`: with `trusted_schema` off, no trigger may write to it.
CREATE VIRTUAL TABLE memory_words USING fts5(
    content, tags, spaced, space_word,
    content = 'memory_items', content_rowid = 'id',
    tokenize = 'porter unicode61 remove_diacritics 2'
);

-- One vector for each item and model, of unit length, as 32-bit floats. A changed item gets
-- a new id here, so that a reader who has the rest in memory knows what is new.
CREATE TABLE memory_vectors (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    item       INTEGER NOT NULL,
    model      TEXT NOT NULL,
    vector     BLOB NOT NULL,
    UNIQUE (item, model)
) STRICT;
