-- Uploads that nobody has sent are over some day.
CREATE INDEX uploads_by_age ON uploads (stored_at);

-- The operator has the data cleared up.
ALTER TABLE orders ADD COLUMN sweep INTEGER NOT NULL DEFAULT 0;
