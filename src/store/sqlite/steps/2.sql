-- Which messages have which word. The rowid is messages.id. It keeps nothing but this (no text, no places, no
-- counts), so a row is taken out by naming its text again ('delete'). Filled behind the messages: see chats.indexed_seq.
CREATE VIRTUAL TABLE words USING fts5 (
    body, content = '', columnsize = 0, detail = none, tokenize = "unicode61 remove_diacritics 2"
);

-- Up to and with this message the chat's messages are in words.
ALTER TABLE chats ADD COLUMN indexed_seq INTEGER NOT NULL DEFAULT 0;

INSERT INTO words (rowid, body)
SELECT id, iif(kind IN (0, 16), body, name) FROM messages WHERE iif(kind IN (0, 16), body, name) <> '' ORDER BY id;

UPDATE chats SET indexed_seq = coalesce(
    (SELECT m.id & 4294967295 FROM messages m
      WHERE m.id BETWEEN chats.id << 32 AND chats.id << 32 | 4294967295 ORDER BY m.id DESC LIMIT 1), 0);
