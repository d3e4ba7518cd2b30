-- An upload's row begins when it is whole: a half one is a file. Nothing was ever in the table of before.
DROP TABLE uploads;
CREATE TABLE uploads (
    user      INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    media     BLOB NOT NULL,
    kind      INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    PRIMARY KEY (user, media, kind),
    FOREIGN KEY (media, kind) REFERENCES media (id, kind) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_media ON uploads (media, kind);

-- Whose storage media takes. What was there is who sent it first's.
ALTER TABLE media ADD COLUMN owner INTEGER NOT NULL DEFAULT 1;
UPDATE media SET owner = coalesce(
    (SELECT m.user FROM media_refs r JOIN messages m ON m.id = r.message
      WHERE r.media = media.id ORDER BY m.at, m.id LIMIT 1), 1);

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
