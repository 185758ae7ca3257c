-- For whom a file was changed: undo shows each user the changes that were made for them.

ALTER TABLE workspace_changes ADD COLUMN user TEXT NOT NULL DEFAULT '';
