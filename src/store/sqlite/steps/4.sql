-- Whether media that no message has any more may still be sent by somebody who has uploaded it.
CREATE INDEX uploads_by_media ON uploads (media, kind) WHERE stored_at IS NOT NULL;
