-- Who runs a turn of a session now. The token grows with each turn and each take-over; a
-- write that carries an older one is refused.
CREATE TABLE leases (
    session   TEXT PRIMARY KEY,
    token     INTEGER NOT NULL,
    holder    TEXT NOT NULL,
    until     REAL NOT NULL
) STRICT, WITHOUT ROWID;
