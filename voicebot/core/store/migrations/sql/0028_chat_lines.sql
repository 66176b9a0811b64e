-- What people at the desk write to customers in chats. Words are sealed, under the vault's key.

CREATE TABLE chat_lines (
    line            bigint PRIMARY KEY,
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    handoff_id      text NOT NULL REFERENCES handoffs ON DELETE CASCADE,
    who             text NOT NULL,
    key             text NOT NULL,
    sealed_text     bytea NOT NULL,
    told_at         timestamptz,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (handoff_id, who, key)
);
CREATE INDEX chat_lines_of ON chat_lines (conversation_id, line);

-- The person gave the chat back: the bot goes on by itself, and does not wait for the customer's next words.
ALTER TABLE handoffs ADD COLUMN to_bot boolean NOT NULL DEFAULT false;
