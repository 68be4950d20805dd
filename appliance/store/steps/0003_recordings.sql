-- How far a recording is: the sample up to which its text is committed, whether that was in the
-- middle of speech, and how many lines of its journal's events have been told.
ALTER TABLE recording ADD COLUMN settled_samples INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recording ADD COLUMN mid_speech BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE recording ADD COLUMN told_events INTEGER NOT NULL DEFAULT 0;
ALTER TABLE recording ADD COLUMN language VARCHAR;
CREATE INDEX ix_recording_state ON recording (state);
