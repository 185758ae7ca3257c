-- What model calls outside of sessions used: sessions have theirs in the journal.

CREATE TABLE llm_usage (
    id         INTEGER PRIMARY KEY,
    at         REAL NOT NULL,
    actor      TEXT NOT NULL,
    model      TEXT NOT NULL,
    prompt     INTEGER NOT NULL,
    completion INTEGER NOT NULL,
    thinking   INTEGER NOT NULL,
    cached     INTEGER NOT NULL,
    cost_usd   REAL
) STRICT;

CREATE INDEX llm_usage_by_time ON llm_usage(at);
