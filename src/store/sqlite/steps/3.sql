-- A token names its user. Those of before do not, so whoever has one logs in anew. And a home chat has no members.
DROP TABLE tokens;
CREATE TABLE tokens (
    user       INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    device     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used  INTEGER,
    PRIMARY KEY (user, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_use ON tokens (last_used) WHERE last_used IS NOT NULL;

DROP INDEX users_guests;
CREATE INDEX users_guests ON users (last_seen) WHERE kind = 0 AND deleted_at IS NULL AND last_seen IS NOT NULL;

DELETE FROM members WHERE chat IN (SELECT id FROM chats WHERE kind = 0);
CREATE VIEW memberships (user, chat) AS
    SELECT id, 1 FROM users
    UNION ALL SELECT high, id FROM chats WHERE low = 1
    UNION ALL SELECT user, chat FROM members;
