-- What the cloud heard for the box: why, by segment; how much, by recording.
ALTER TABLE segment ADD COLUMN engine_reason VARCHAR;
ALTER TABLE recording ADD COLUMN cloud_ms INTEGER NOT NULL DEFAULT 0;
