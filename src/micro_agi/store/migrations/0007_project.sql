-- Projects: a state, tasks, a lab notebook. One of each tenant is the current one; a
-- project that was replaced stays to be read.

CREATE TABLE projects (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    state       TEXT NOT NULL
        CHECK (state IN ('planning', 'executing', 'reviewing', 'complete', 'paused')),
    paused_from TEXT NOT NULL,                 -- where a paused project goes on, else ''
    current     INTEGER NOT NULL,
    tasks_made  INTEGER NOT NULL DEFAULT 0,    -- so that no task's id is made twice
    created_at  REAL NOT NULL,
    updated_at  REAL NOT NULL
) STRICT;

CREATE UNIQUE INDEX projects_current ON projects(tenant) WHERE current = 1;

CREATE TABLE project_tasks (
    project      INTEGER NOT NULL REFERENCES projects(id),
    id           TEXT NOT NULL,
    seq          INTEGER NOT NULL,             -- order of the list
    description  TEXT NOT NULL,
    status       TEXT NOT NULL
        CHECK (status IN ('pending', 'in_progress', 'blocked', 'complete')),
    note         TEXT NOT NULL,
    created_at   REAL NOT NULL,
    completed_at REAL,
    session      TEXT NOT NULL,                -- that changed it last
    PRIMARY KEY (project, id)
) STRICT, WITHOUT ROWID;

-- The notebook: what was written down, and each change of state and tasks.
CREATE TABLE project_notes (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    project  INTEGER NOT NULL REFERENCES projects(id),
    at       REAL NOT NULL,
    kind     TEXT NOT NULL CHECK (kind IN ('note', 'change')),
    text     TEXT NOT NULL,
    origin   TEXT NOT NULL
) STRICT;

CREATE INDEX project_notes_by_project ON project_notes(project, id);
