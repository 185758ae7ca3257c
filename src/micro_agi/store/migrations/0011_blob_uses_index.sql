-- Every new session wrote to as many pages of this index as it refers to blobs, before its
-- first token; only deleting a session reads it, and can read the table instead.
DROP INDEX blob_uses_by_hash;
