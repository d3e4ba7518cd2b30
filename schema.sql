-- Everything that is kept, but for the bytes of media: those are files, named by their digest. Data of an earlier
-- version is brought to this one by src/store/sqlite/steps.
--
-- Times are microseconds since the Unix epoch. Ids of users and chats are AUTOINCREMENT, because an id that
-- anyone may have seen is never given again. The store writes through one thread; what a constraint here
-- forbids is a fault of that thread, so constraints stand where a fault would do lasting harm, and not on the
-- one table where each costs time at every message.

-- Facts about the data as a whole. `epoch`: random since the data was made or restored from a backup. `seen_at`: where
-- the clock was when it was last believed, written once an hour. `doubted_at` and `doubted_for`: where it was since, and
-- for how many microseconds of running, while it is not believed.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE users (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind       INTEGER NOT NULL CHECK (kind IN (0, 1, 2)), -- 0 guest, 1 registered, 2 the assistant
    name       TEXT NOT NULL,                              -- as it was first spelled
    name_key   TEXT UNIQUE,                                -- as it is compared; NULL when it is free again
    password   TEXT,                                       -- its hash, with algorithm and salt (PHC string)
    created_at INTEGER NOT NULL,
    last_seen  INTEGER,                                    -- end of the last connection; NULL while there is one
    deleted_at INTEGER,                                    -- the row stays: its messages need a name
    disabled_at INTEGER                                    -- the operator lets this user not log in
) STRICT;

-- Registered users come and go for years; who is to be swept away are the guests, once they are gone.
CREATE INDEX users_guests ON users (last_seen) WHERE kind = 0 AND deleted_at IS NULL AND last_seen IS NOT NULL;

-- A guest that is over keeps its name for a while.
CREATE INDEX users_names ON users (last_seen) WHERE kind = 0 AND deleted_at IS NOT NULL AND name_key IS NOT NULL;

-- What a device logs in with instead of a password. Only the hash is known here. A token names its user, whose
-- tokens lie together: those of new users at the end, where pages are in memory.
CREATE TABLE tokens (
    user       INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    device     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used  INTEGER, -- NULL: a guest's, which is good for as long as the guest
    PRIMARY KEY (user, hash)
) STRICT, WITHOUT ROWID;

-- One that was not used for long is over.
CREATE INDEX tokens_by_use ON tokens (last_used) WHERE last_used IS NOT NULL;

CREATE TABLE chats (
    id         INTEGER PRIMARY KEY AUTOINCREMENT CHECK (id < 2147483648), -- see messages.id
    kind       INTEGER NOT NULL CHECK (kind IN (0, 1, 2, 3)), -- 0 home, 1 room, 2 group, 3 direct
    name       TEXT NOT NULL DEFAULT '',                      -- a room's name or a group's title
    name_key   TEXT,                                          -- a room's name as it is compared
    low        INTEGER REFERENCES users,                      -- the two of a direct chat, the smaller id first;
    high       INTEGER REFERENCES users,                      -- of a home chat: the assistant and its user
    created_at INTEGER NOT NULL,
    -- The least that the chat's newest seq and time can be. An append leaves them alone, since the newest
    -- message says the same; whoever deletes the newest messages raises them first.
    last_seq   INTEGER NOT NULL DEFAULT 0,
    last_at    INTEGER NOT NULL DEFAULT 0,
    indexed_seq INTEGER NOT NULL DEFAULT 0, -- up to and with this message the chat's messages are in words
    CHECK ((kind = 1) = (name_key IS NOT NULL)),
    CHECK ((kind IN (0, 3)) = (low IS NOT NULL AND high IS NOT NULL)),
    CHECK (low < high)
) STRICT;

-- Rooms are found by name and listed in this order.
CREATE UNIQUE INDEX chats_by_name ON chats (name_key) WHERE kind = 1;

-- One direct chat for two users, one home chat for one.
CREATE UNIQUE INDEX chats_by_pair ON chats (low, high) WHERE low IS NOT NULL;

-- Who is in which room, group or direct chat. The room `all` has no rows, and a home chat none: see memberships.
CREATE TABLE members (
    chat      INTEGER NOT NULL REFERENCES chats ON DELETE CASCADE,
    user      INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    role      INTEGER NOT NULL DEFAULT 0 CHECK (role IN (0, 1)), -- 1: owns the group
    joined_at INTEGER NOT NULL,
    PRIMARY KEY (chat, user)
) STRICT, WITHOUT ROWID;

-- A login asks for all chats of a user.
CREATE INDEX members_by_user ON members (user, chat);

-- Every chat of every user.
CREATE VIEW memberships (user, chat) AS
    SELECT id, 1 FROM users
    UNION ALL SELECT high, id FROM chats WHERE low = 1
    UNION ALL SELECT user, chat FROM members;

-- How far a user has read a chat. Not in members: in `all` there are none, and a position outlives a
-- guest's membership.
CREATE TABLE positions (
    user     INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    chat     INTEGER NOT NULL REFERENCES chats ON DELETE CASCADE,
    read_seq INTEGER NOT NULL,
    PRIMARY KEY (user, chat)
) STRICT, WITHOUT ROWID;

-- A chat that is deleted takes its positions along.
CREATE INDEX positions_by_chat ON positions (chat);

-- The id is chat << 32 | seq: one integer key clusters each chat's messages in their order, is the cheapest
-- that SQLite can insert and scan, and says (chat, seq) is unique. No foreign keys: they would be looked up
-- at every append, and the writer has just checked both.
CREATE TABLE messages (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    user     INTEGER NOT NULL,
    kind     INTEGER NOT NULL,            -- the content type on the wire; 0x10 for any of the assistant's
    nonce    INTEGER NOT NULL DEFAULT 0,  -- all 64 bits, as a signed number; 0: none
    reply_to INTEGER NOT NULL DEFAULT 0,  -- a seq of the same chat; 0: none
    name     TEXT NOT NULL DEFAULT '',    -- a file's name
    body     TEXT NOT NULL DEFAULT ''     -- text; media is found through media_refs
) STRICT;

-- Exactly once. Led by the nonce, which grows with time, so that new entries go to the index's end, into
-- pages that are in memory; led by the user, each sender would touch a page of its own.
CREATE UNIQUE INDEX messages_by_nonce ON messages (nonce, user) WHERE nonce <> 0;

-- Which messages have which word. The rowid is messages.id. It keeps nothing but this (no text, no places, no
-- counts), so a row is taken out by naming its text again ('delete'). Filled behind the messages: see chats.indexed_seq.
CREATE VIRTUAL TABLE words USING fts5 (
    body, content = '', columnsize = 0, detail = none, tokenize = "unicode61 remove_diacritics 2"
);

-- A file that is whole, checked and synced. The same bytes may be sent as an MP3 and as any file, which are
-- two kinds of one file.
CREATE TABLE media (
    id          BLOB NOT NULL CHECK (length(id) = 32),      -- BLAKE3 of its bytes
    kind        INTEGER NOT NULL CHECK (kind IN (1, 2, 3, 4)),
    size        INTEGER NOT NULL,
    mime        TEXT NOT NULL,
    path        TEXT NOT NULL,                              -- within the data folder
    duration_ms INTEGER NOT NULL DEFAULT 0,
    width       INTEGER NOT NULL DEFAULT 0,
    height      INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL,
    -- Who brought it first: it counts as that user's, as long as it is kept. All kinds of one file have one owner;
    -- what nobody is known to have brought is the assistant's.
    owner       INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (id, kind)
) STRICT, WITHOUT ROWID;

-- Which message refers to which media: what a message has, who may read it, and when nobody needs it.
CREATE TABLE media_refs (
    message INTEGER NOT NULL REFERENCES messages ON DELETE CASCADE,
    part    INTEGER NOT NULL,                               -- its place among the message's media
    media   BLOB NOT NULL,
    kind    INTEGER NOT NULL,
    PRIMARY KEY (message, part),
    FOREIGN KEY (media, kind) REFERENCES media (id, kind)
) STRICT, WITHOUT ROWID;

-- From media to the chats that it stands in.
CREATE INDEX media_refs_by_media ON media_refs (media, kind, message);

-- What a user has STORED by an upload, and may send, whether or not a message has it. It ends with the media. A half
-- upload has no row: it is a file, which says all that there is to know of it.
CREATE TABLE uploads (
    user      INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    media     BLOB NOT NULL,
    kind      INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    PRIMARY KEY (user, media, kind),
    FOREIGN KEY (media, kind) REFERENCES media (id, kind) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Whether media that no message has any more may still be sent by somebody who has uploaded it. Media that goes takes
-- its uploads along.
CREATE INDEX uploads_by_media ON uploads (media, kind);

-- One that nobody has sent is over some day.
CREATE INDEX uploads_by_age ON uploads (stored_at);

-- Bytes of the files of media, by owner; of all together under 0. A file counts once, however many kinds it is of.
-- Kept by triggers, so that whoever adds or removes media need not know of it.
CREATE TABLE storage (
    owner INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT;

CREATE TRIGGER media_comes AFTER INSERT ON media
WHEN NOT EXISTS (SELECT 1 FROM media WHERE id = NEW.id AND kind <> NEW.kind)
BEGIN
    INSERT INTO storage (owner, bytes)
    SELECT NEW.owner, 0 WHERE NOT EXISTS (SELECT 1 FROM storage WHERE owner = NEW.owner);
    UPDATE storage SET bytes = bytes + NEW.size WHERE owner IN (0, NEW.owner);
END;

CREATE TRIGGER media_goes AFTER DELETE ON media
WHEN NOT EXISTS (SELECT 1 FROM media WHERE id = OLD.id)
BEGIN
    UPDATE storage SET bytes = bytes - OLD.size WHERE owner IN (0, OLD.owner);
END;

-- Who is kept out: a user or an address (with a prefix length).
CREATE TABLE bans (
    id         INTEGER PRIMARY KEY,
    user       INTEGER REFERENCES users ON DELETE CASCADE,
    address    TEXT,
    reason     TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    until      INTEGER,                                     -- NULL: for ever
    CHECK ((user IS NULL) <> (address IS NULL))
) STRICT;

-- One ban for one user or address.
CREATE UNIQUE INDEX bans_by_user ON bans (user) WHERE user IS NOT NULL;
CREATE UNIQUE INDEX bans_by_address ON bans (address) WHERE address IS NOT NULL;

-- What the operator's commands have changed and the server is still to act on. A user: end its connections, and
-- if it was deleted, its memberships and home chat. NULL: read the bans of addresses again.
CREATE TABLE orders (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    user  INTEGER REFERENCES users ON DELETE CASCADE,
    sweep INTEGER NOT NULL DEFAULT 0 -- 1: it is about no user, nor bans: clear up what nobody needs
) STRICT;

-- The first user is the assistant, the first chat the room that everybody is in.
INSERT INTO users (id, kind, name, name_key, created_at) VALUES (1, 2, 'assistant', 'assistant', 0);
INSERT INTO chats (id, kind, name, name_key, created_at) VALUES (1, 1, 'all', 'all', 0);
INSERT INTO storage (owner, bytes) VALUES (0, 0);
