-- What a turn does besides words. What is personal (arguments, words, outcomes) is sealed with the key of
-- the conversation's subject; what queues and reports need is in the clear.

-- Which turn's transaction wrote it.
ALTER TABLE events ADD COLUMN transaction_id text;
ALTER TABLE audit ADD COLUMN transaction_id text;

-- How the words of a turn were written: route, writer, first word and whole in ms, tokens, cost.
ALTER TABLE turns ADD COLUMN writing jsonb;

-- Acts, once each: the key is (conversation, turn, act). A local act is intended and settled in the
-- turn's own transaction; one on a remote system is intended there and settled by its outcome.
CREATE TABLE acts (
    key              text PRIMARY KEY,
    conversation_id  text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn             integer NOT NULL,
    act              text NOT NULL,
    status           text NOT NULL CHECK (status IN ('intended', 'done', 'refused', 'failed')),
    sealed_arguments bytea NOT NULL,
    sealed_outcome   bytea,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at       timestamptz,
    CHECK ((status = 'intended') = (settled_at IS NULL)),
    CHECK ((status = 'intended') = (sealed_outcome IS NULL))
);
CREATE INDEX acts_by_conversation ON acts (conversation_id, turn);
CREATE INDEX acts_open ON acts (created_at) WHERE status = 'intended';

-- Promises: somebody does something by a time.
CREATE TABLE follow_ups (
    id              text PRIMARY KEY CHECK (id ~ '^fu_[0-9a-f]{32}$'),
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn            integer NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('callback', 'request')),
    intent          text NOT NULL,
    owner           text NOT NULL,
    urgency         text NOT NULL,
    due_at          timestamptz NOT NULL,
    status          text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'done', 'cancelled')),
    sealed_details  bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (conversation_id, turn)
);
CREATE INDEX follow_ups_due ON follow_ups (due_at) WHERE status = 'open';

-- Words that wait until a person has approved them.
CREATE TABLE drafts (
    id              text PRIMARY KEY CHECK (id ~ '^dr_[0-9a-f]{32}$'),
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn            integer NOT NULL,
    intent          text NOT NULL,
    status          text NOT NULL DEFAULT 'waiting'
                    CHECK (status IN ('waiting', 'approve', 'edit', 'reject', 'expired')),
    due_at          timestamptz NOT NULL,
    decided_by      text,
    decided_at      timestamptz,
    sealed_words    bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (conversation_id, turn),
    CHECK ((status = 'waiting') = (decided_at IS NULL))
);
CREATE INDEX drafts_waiting ON drafts (due_at) WHERE status = 'waiting';
