-- What webhooks and the upkeep of a box need: the bytes of a message once for all its endpoints (they
-- go when their session goes),
-- when an endpoint failed for good, how long an account keeps things.
CREATE TABLE message (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  account_id INTEGER NOT NULL,
  session_id INTEGER,
  event VARCHAR NOT NULL,
  body BLOB NOT NULL,
  created_at DATETIME NOT NULL,
  CONSTRAINT body_not_empty CHECK (length(body) > 0),
  FOREIGN KEY(account_id) REFERENCES account (id) ON DELETE CASCADE,
  FOREIGN KEY(session_id) REFERENCES session (id) ON DELETE CASCADE
);
CREATE INDEX ix_message_account_id ON message (account_id);
CREATE INDEX ix_message_session_id ON message (session_id);

CREATE TABLE delivery_of_message (
  id VARCHAR NOT NULL,
  webhook_id INTEGER NOT NULL,
  message_id INTEGER NOT NULL,
  state VARCHAR(9) NOT NULL,
  tries INTEGER NOT NULL,
  due_at DATETIME NOT NULL,
  leased_until DATETIME,
  created_at DATETIME NOT NULL,
  finished_at DATETIME,
  PRIMARY KEY (id),
  FOREIGN KEY(webhook_id) REFERENCES webhook (id) ON DELETE CASCADE,
  FOREIGN KEY(message_id) REFERENCES message (id) ON DELETE CASCADE
);
-- One message for each delivery there was; none was ever sent, so their order is of no account.
INSERT INTO message (id, account_id, event, body, created_at)
  SELECT delivery.rowid, webhook.account_id, delivery.event, delivery.body, delivery.created_at
  FROM delivery JOIN webhook ON webhook.id = delivery.webhook_id;
INSERT INTO delivery_of_message
  SELECT id, webhook_id, rowid, state, tries, due_at, leased_until, created_at, NULL FROM delivery;
DROP TABLE attempt;
DROP TABLE delivery;
ALTER TABLE delivery_of_message RENAME TO delivery;
CREATE INDEX ix_delivery_due ON delivery (webhook_id, state, due_at);
CREATE INDEX ix_delivery_message_id ON delivery (message_id);
CREATE INDEX ix_delivery_finished ON delivery (state, finished_at);
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

ALTER TABLE webhook ADD COLUMN disabled_because VARCHAR;
ALTER TABLE webhook ADD COLUMN deleted_at DATETIME;

ALTER TABLE account ADD COLUMN retention_audio_days INTEGER;
ALTER TABLE account ADD COLUMN retention_text_days INTEGER;

-- So that a look for what is too old, or for the row of a file, reads an index and no texts.
DROP INDEX ix_session_listing;
CREATE INDEX ix_session_listing ON session (account_id, state, id, finished_at);
CREATE INDEX ix_session_audio_path ON session (audio_path) WHERE audio_path IS NOT NULL;
