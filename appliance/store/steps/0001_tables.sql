-- Every table of the design, and the full-text indexes beside session and segment.

CREATE TABLE account (
  id INTEGER NOT NULL,
  name VARCHAR NOT NULL,
  "plan" VARCHAR NOT NULL,
  timezone VARCHAR NOT NULL,
  created_at DATETIME NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (name)
);

CREATE TABLE audit (
  id INTEGER NOT NULL,
  account_id INTEGER,
  key_id VARCHAR,
  action VARCHAR NOT NULL,
  target VARCHAR NOT NULL,
  result VARCHAR NOT NULL,
  address VARCHAR,
  created_at DATETIME NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE api_key (
  id VARCHAR NOT NULL,
  account_id INTEGER NOT NULL,
  name VARCHAR NOT NULL,
  secret_sha256 VARCHAR NOT NULL,
  scopes VARCHAR NOT NULL,
  created_at DATETIME NOT NULL,
  expires_at DATETIME,
  last_used_at DATETIME,
  revoked_at DATETIME,
  PRIMARY KEY (id),
  FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE
);
CREATE INDEX ix_api_key_account_id ON api_key (account_id);

CREATE TABLE audio_file (
  storage_id VARCHAR NOT NULL,
  account_id INTEGER NOT NULL,
  path VARCHAR NOT NULL,
  bytes INTEGER NOT NULL,
  sha256 VARCHAR NOT NULL,
  media_type VARCHAR NOT NULL,
  created_at DATETIME NOT NULL,
  PRIMARY KEY (storage_id),
  FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE
);
CREATE INDEX ix_audio_file_account_id ON audio_file (account_id);

CREATE TABLE idempotency_key (
  account_id INTEGER NOT NULL,
  "key" VARCHAR NOT NULL,
  body_sha256 VARCHAR NOT NULL,
  status INTEGER NOT NULL,
  answer VARCHAR NOT NULL,
  created_at DATETIME NOT NULL,
  PRIMARY KEY (account_id, "key"),
  FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE
);
CREATE INDEX ix_idempotency_key_created_at ON idempotency_key (created_at);

CREATE TABLE session (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  state VARCHAR(6) NOT NULL,
  title VARCHAR NOT NULL,
  note VARCHAR NOT NULL,
  original_transcript VARCHAR NOT NULL,
  tags VARCHAR NOT NULL,
  language VARCHAR,
  source VARCHAR(10) NOT NULL,
  engine VARCHAR,
  warning VARCHAR,
  audio_path VARCHAR,
  audio_bytes INTEGER,
  audio_sha256 VARCHAR,
  captured_seconds FLOAT NOT NULL,
  elapsed_seconds FLOAT NOT NULL,
  created_at DATETIME NOT NULL,
  finished_at DATETIME,
  FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE
);
CREATE INDEX ix_session_listing ON session (account_id, state, id);

CREATE TABLE usage_event (
  id INTEGER NOT NULL,
  account_id INTEGER NOT NULL,
  kind VARCHAR NOT NULL,
  words INTEGER NOT NULL,
  audio_ms INTEGER NOT NULL,
  cost_micros INTEGER NOT NULL,
  engine VARCHAR,
  reference VARCHAR,
  created_at DATETIME NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY(account_id) REFERENCES account (id)
);
CREATE INDEX ix_usage_event_account_time ON usage_event (account_id, created_at);

CREATE TABLE usage_quarter (
  account_id INTEGER NOT NULL,
  kind VARCHAR NOT NULL,
  quarter INTEGER NOT NULL,
  events INTEGER NOT NULL,
  words INTEGER NOT NULL,
  audio_ms INTEGER NOT NULL,
  cost_micros INTEGER NOT NULL,
  PRIMARY KEY (account_id, kind, quarter),
  FOREIGN KEY(account_id) REFERENCES account (id)
);

CREATE TABLE vocabulary (
  account_id INTEGER NOT NULL,
  hotwords JSON NOT NULL,
  replacements JSON NOT NULL,
  PRIMARY KEY (account_id),
  FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE
);

CREATE TABLE webhook (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  url VARCHAR NOT NULL,
  events JSON NOT NULL,
  description VARCHAR NOT NULL,
  secret BLOB NOT NULL,
  old_secret BLOB,
  old_secret_until DATETIME,
  enabled BOOLEAN NOT NULL,
  failures INTEGER NOT NULL,
  failing_since DATETIME,
  created_at DATETIME NOT NULL,
  FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE
);
CREATE INDEX ix_webhook_account_id ON webhook (account_id);

CREATE TABLE delivery (
  id VARCHAR NOT NULL,
  webhook_id INTEGER NOT NULL,
  event VARCHAR NOT NULL,
  body BLOB NOT NULL,
  state VARCHAR(9) NOT NULL,
  tries INTEGER NOT NULL,
  due_at DATETIME NOT NULL,
  leased_until DATETIME,
  created_at DATETIME NOT NULL,
  PRIMARY KEY (id),
  CONSTRAINT body_not_empty CHECK (length(body) > 0),
  FOREIGN KEY(webhook_id) REFERENCES webhook (id) ON DELETE CASCADE
);
CREATE INDEX ix_delivery_due ON delivery (state, due_at);
CREATE INDEX ix_delivery_webhook_id ON delivery (webhook_id);

CREATE TABLE history_entry (
  id VARCHAR NOT NULL,
  account_id INTEGER NOT NULL,
  raw_transcript VARCHAR NOT NULL,
  cleaned_text VARCHAR NOT NULL,
  duration_ms FLOAT NOT NULL,
  target_app VARCHAR,
  tone VARCHAR,
  confidence FLOAT,
  word_count INTEGER NOT NULL,
  counted_words INTEGER NOT NULL,
  audio_duration_sec FLOAT,
  model VARCHAR,
  request_id VARCHAR,
  storage_id VARCHAR,
  created_at DATETIME NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE,
  UNIQUE (storage_id),
  FOREIGN KEY(storage_id) REFERENCES audio_file (storage_id)
);
CREATE INDEX ix_history_entry_listing ON history_entry (account_id, id);

CREATE TABLE job (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  session_id INTEGER NOT NULL,
  state VARCHAR(9) NOT NULL,
  language VARCHAR,
  progress FLOAT NOT NULL,
  error VARCHAR,
  created_at DATETIME NOT NULL,
  started_at DATETIME,
  finished_at DATETIME,
  FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE,
  FOREIGN KEY(session_id) REFERENCES session (id) ON DELETE CASCADE
);
CREATE INDEX ix_job_account_id ON job (account_id);
CREATE INDEX ix_job_session_id ON job (session_id);
CREATE INDEX ix_job_state ON job (state, id);

CREATE TABLE recording (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  session_id INTEGER NOT NULL,
  state VARCHAR(9) NOT NULL,
  device VARCHAR NOT NULL,
  profile VARCHAR NOT NULL,
  started_at DATETIME NOT NULL,
  stopped_at DATETIME,
  max_seconds FLOAT,
  FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE,
  FOREIGN KEY(session_id) REFERENCES session (id) ON DELETE CASCADE
);
CREATE INDEX ix_recording_account_id ON recording (account_id);
CREATE INDEX ix_recording_session_id ON recording (session_id);

CREATE TABLE segment (
  id INTEGER NOT NULL,
  session_id INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL,
  text VARCHAR NOT NULL,
  words JSON NOT NULL,
  engine VARCHAR NOT NULL,
  confidence FLOAT NOT NULL,
  suppressed VARCHAR,
  PRIMARY KEY (id),
  UNIQUE (session_id, sequence),
  FOREIGN KEY(session_id) REFERENCES session (id) ON DELETE CASCADE
);

CREATE TABLE attempt (
  id INTEGER NOT NULL,
  delivery_id VARCHAR NOT NULL,
  status INTEGER,
  error VARCHAR,
  ms INTEGER NOT NULL,
  created_at DATETIME NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY(delivery_id) REFERENCES delivery (id) ON DELETE CASCADE
);
CREATE INDEX ix_attempt_delivery_id ON attempt (delivery_id);

CREATE TABLE recording_event (
  id INTEGER NOT NULL,
  recording_id INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  kind VARCHAR NOT NULL,
  payload JSON NOT NULL,
  created_at DATETIME NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (recording_id, sequence),
  FOREIGN KEY(recording_id) REFERENCES recording (id) ON DELETE CASCADE
);

CREATE VIRTUAL TABLE session_fts USING fts5(
  title, note, content='session', content_rowid='id', tokenize='unicode61 remove_diacritics 2'
);
CREATE TRIGGER session_fts_insert AFTER INSERT ON session BEGIN
  INSERT INTO session_fts(rowid, title, note) VALUES (new.id, new.title, new.note);
END;
CREATE TRIGGER session_fts_delete AFTER DELETE ON session BEGIN
  INSERT INTO session_fts(session_fts, rowid, title, note)
  VALUES ('delete', old.id, old.title, old.note);
END;
CREATE TRIGGER session_fts_update AFTER UPDATE OF title, note ON session BEGIN
  INSERT INTO session_fts(session_fts, rowid, title, note)
  VALUES ('delete', old.id, old.title, old.note);
  INSERT INTO session_fts(rowid, title, note) VALUES (new.id, new.title, new.note);
END;

CREATE VIRTUAL TABLE segment_fts USING fts5(
  text, content='segment', content_rowid='id', tokenize='unicode61 remove_diacritics 2'
);
CREATE TRIGGER segment_fts_insert AFTER INSERT ON segment BEGIN
  INSERT INTO segment_fts(rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER segment_fts_delete AFTER DELETE ON segment BEGIN
  INSERT INTO segment_fts(segment_fts, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TRIGGER segment_fts_update AFTER UPDATE OF text ON segment BEGIN
  INSERT INTO segment_fts(segment_fts, rowid, text) VALUES ('delete', old.id, old.text);
  INSERT INTO segment_fts(rowid, text) VALUES (new.id, new.text);
END;
