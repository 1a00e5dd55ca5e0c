package demostore

// schema is what messengers keep, in the shape that costs a backup most: wide
// indices and a full-text index that change all over with every message.
const schema = `
CREATE TABLE jid (_id INTEGER PRIMARY KEY, user TEXT NOT NULL, server TEXT NOT NULL, name TEXT NOT NULL);
CREATE UNIQUE INDEX jid_user ON jid(user, server);
CREATE TABLE chat (_id INTEGER PRIMARY KEY, jid_row_id INTEGER UNIQUE, subject TEXT, unseen INTEGER NOT NULL DEFAULT 0,
	last_message_row_id INTEGER, sort_timestamp INTEGER);
CREATE TABLE message (_id INTEGER PRIMARY KEY, chat_row_id INTEGER NOT NULL, from_me INTEGER NOT NULL, key_id TEXT NOT NULL,
	sender_jid_row_id INTEGER, status INTEGER, timestamp INTEGER, received_timestamp INTEGER, message_type INTEGER,
	text_data TEXT, starred INTEGER, sort_id INTEGER NOT NULL);
CREATE UNIQUE INDEX message_key ON message(chat_row_id, from_me, key_id, sender_jid_row_id);
CREATE INDEX message_sort ON message(chat_row_id, sort_id);
CREATE INDEX message_received ON message(received_timestamp);
CREATE INDEX message_type ON message(chat_row_id, message_type, sort_id);
CREATE INDEX message_starred ON message(starred) WHERE starred = 1;
CREATE TABLE message_media (message_row_id INTEGER PRIMARY KEY, chat_row_id INTEGER, file_path TEXT, file_size INTEGER,
	mime_type TEXT, file_hash TEXT);
CREATE INDEX message_media_hash ON message_media(file_hash);
CREATE INDEX message_media_chat ON message_media(chat_row_id);
CREATE TABLE message_thumbnail (message_row_id INTEGER PRIMARY KEY, thumbnail BLOB);
CREATE TABLE receipt_user (_id INTEGER PRIMARY KEY, message_row_id INTEGER NOT NULL, receipt_user_jid_row_id INTEGER NOT NULL,
	receipt_timestamp INTEGER, read_timestamp INTEGER);
CREATE UNIQUE INDEX receipt_user_message ON receipt_user(message_row_id, receipt_user_jid_row_id);
CREATE VIRTUAL TABLE message_ftsv2 USING fts5(content, content='', contentless_delete=1);
CREATE TABLE demo_commit (_id INTEGER PRIMARY KEY CHECK (_id = 1), commits INTEGER NOT NULL);
INSERT INTO demo_commit VALUES (1, 0);
`
