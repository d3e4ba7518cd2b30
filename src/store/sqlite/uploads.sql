-- What a user has STORED by an upload, and may send, whether or not a message has it. It ends with the media. A half
-- upload has no row: it is a file, which says all that there is to know of it.
DROP TABLE IF EXISTS uploads;
CREATE TABLE uploads (
    user      INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    media     BLOB NOT NULL,
    kind      INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    PRIMARY KEY (user, media, kind),
    FOREIGN KEY (media, kind) REFERENCES media (id, kind) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Media that goes takes its uploads along.
CREATE INDEX uploads_by_media ON uploads (media, kind);

-- Who brought it first: it counts as that user's, as long as it is kept. All kinds of one file have one owner; what
-- nobody is known to have brought is the assistant's.
ALTER TABLE media ADD COLUMN owner INTEGER NOT NULL DEFAULT 1;
UPDATE media SET owner = coalesce(
    (SELECT m.user FROM media_refs r JOIN messages m ON m.id = r.message
      WHERE r.media = media.id ORDER BY m.at, m.id LIMIT 1), 1);

-- Bytes of the files of media, by owner; of all together under 0. A file counts once, however many kinds it is of.
-- Kept by triggers, so that whoever adds or removes media need not know of it.
CREATE TABLE storage (
    owner INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT;

INSERT INTO storage (owner, bytes)
SELECT 0, coalesce(sum(size), 0) FROM (SELECT DISTINCT id, size FROM media);
INSERT INTO storage (owner, bytes)
SELECT owner, sum(size) FROM (SELECT DISTINCT id, size, owner FROM media) GROUP BY owner;

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
