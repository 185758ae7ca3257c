-- What a journal row said when it was written: SHA-256 over all its columns. Rows from
-- before this have none.
ALTER TABLE journal ADD COLUMN hash TEXT NOT NULL DEFAULT '';

-- Which session refers to which blob; one that nobody refers to goes with the last session.
CREATE TABLE blob_uses (
    session   TEXT NOT NULL,
    hash      TEXT NOT NULL,
    PRIMARY KEY (session, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX blob_uses_by_hash ON blob_uses(hash);

INSERT OR IGNORE INTO blob_uses(session, hash)
    SELECT j.session, b.hash FROM blobs b JOIN journal j
    ON j.kind IN ('tool_call_finished', 'delegated') AND instr(CAST(j.body AS TEXT), b.hash) > 0;
