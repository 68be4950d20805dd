-- One full-text index for each finished session (title, note and what was said), with the account
-- and the tags as labels in it, so that a search never walks through the sessions of others.

DROP TRIGGER segment_fts_insert;
DROP TRIGGER segment_fts_delete;
DROP TRIGGER segment_fts_update;
DROP TABLE segment_fts;
DROP TRIGGER session_fts_insert;
DROP TRIGGER session_fts_delete;
DROP TRIGGER session_fts_update;
DROP TABLE session_fts;

ALTER TABLE session ADD COLUMN labels VARCHAR NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN audio_type VARCHAR;
UPDATE session SET labels = 'a' || account_id;

CREATE VIEW session_text AS
  SELECT id, labels, title, note, original_transcript AS spoken FROM session WHERE state = 'done';
CREATE VIRTUAL TABLE session_fts USING fts5(
  labels, title, note, spoken, content='session_text', content_rowid='id',
  tokenize='unicode61 remove_diacritics 2', prefix='1 2'
);
INSERT INTO session_fts(session_fts) VALUES ('rebuild');
CREATE TRIGGER session_fts_insert AFTER INSERT ON session WHEN new.state = 'done' BEGIN
  INSERT INTO session_fts(rowid, labels, title, note, spoken)
  VALUES (new.id, new.labels, new.title, new.note, new.original_transcript);
END;
CREATE TRIGGER session_fts_delete AFTER DELETE ON session WHEN old.state = 'done' BEGIN
  INSERT INTO session_fts(session_fts, rowid, labels, title, note, spoken)
  VALUES ('delete', old.id, old.labels, old.title, old.note, old.original_transcript);
END;
CREATE TRIGGER session_fts_leave
BEFORE UPDATE OF state, labels, title, note, original_transcript ON session
WHEN old.state = 'done' BEGIN
  INSERT INTO session_fts(session_fts, rowid, labels, title, note, spoken)
  VALUES ('delete', old.id, old.labels, old.title, old.note, old.original_transcript);
END;
CREATE TRIGGER session_fts_enter
AFTER UPDATE OF state, labels, title, note, original_transcript ON session
WHEN new.state = 'done' BEGIN
  INSERT INTO session_fts(rowid, labels, title, note, spoken)
  VALUES (new.id, new.labels, new.title, new.note, new.original_transcript);
END;
