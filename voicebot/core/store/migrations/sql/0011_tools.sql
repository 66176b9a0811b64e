-- What tools were asked and answered, what changes counted against, and messages on their way. What is personal
-- (inputs, outputs, numbers, words) is sealed with the key of the conversation's subject.

-- Every call of a tool, also one that was refused or thrown away. `tool` is '?' where no such tool exists.
CREATE TABLE tool_calls (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn            integer NOT NULL,
    transaction_id  text,
    tool            text NOT NULL,
    effect          text NOT NULL CHECK (effect IN ('read', 'write', 'irreversible', 'none')),
    key             text,
    status          text NOT NULL
                    CHECK (status IN ('answered', 'done', 'refused', 'failed', 'unknown', 'rejected')),
    reason          text,
    sealed_inputs   bytea NOT NULL,
    sealed_outputs  bytea,
    duration_ms     double precision NOT NULL CHECK (duration_ms >= 0),
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX tool_calls_by_conversation ON tool_calls (conversation_id, id);

-- What changes counted against a limit, each under the key of its act: `subject` is whom the limit is about
-- (a customer by HMAC, a segment, everybody), `amount` cents or a number. The head is what two that come at
-- once wait for.
CREATE TABLE limit_heads (
    name    text NOT NULL,
    subject text NOT NULL,
    PRIMARY KEY (name, subject)
);
CREATE TABLE limit_uses (
    name    text NOT NULL,
    subject text NOT NULL,
    key     text NOT NULL,
    amount  bigint NOT NULL CHECK (amount >= 0),
    at      timestamptz NOT NULL,
    PRIMARY KEY (name, subject, key),
    FOREIGN KEY (name, subject) REFERENCES limit_heads ON DELETE CASCADE
);
CREATE INDEX limit_uses_window ON limit_uses (name, subject, at);
CREATE INDEX limit_uses_by_key ON limit_uses (key);

-- Text messages that an act ordered, once each; sent after its transaction.
CREATE TABLE text_messages (
    id              text PRIMARY KEY CHECK (id ~ '^tm_[0-9a-f]{32}$'),
    key             text NOT NULL UNIQUE,
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    status          text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sending', 'sent', 'failed')),
    sealed          bytea NOT NULL,
    provider_id     text,
    reason          text,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX text_messages_queued ON text_messages (created_at) WHERE status = 'queued';
