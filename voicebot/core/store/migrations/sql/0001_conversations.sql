-- What must outlive a process. Everything a person said or is (state, turns, events, payloads,
-- numbers) is sealed with the key of its subject (bytea columns named sealed_*); what is in the
-- clear is never personal. Times are timestamptz.

-- One row says which master key this database belongs to.
CREATE TABLE key_check (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    key_id     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Whose data it is. Without wrapped_key nothing sealed for the subject can be read again.
CREATE TABLE subjects (
    id          text PRIMARY KEY CHECK (id ~ '^sb_[0-9a-f]{32}$'),
    kind        text NOT NULL CHECK (kind IN ('conversation', 'person')),
    key_id      text NOT NULL,
    wrapped_key bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    erased_at   timestamptz,
    CHECK ((wrapped_key IS NULL) = (erased_at IS NOT NULL))
);

CREATE TABLE conversations (
    id             text PRIMARY KEY CHECK (id ~ '^cv_[0-9a-f]{32}$'),
    channel        text NOT NULL CHECK (channel IN ('phone', 'browser', 'chat', 'sms')),
    call_sid       text UNIQUE,
    subject_id     text NOT NULL REFERENCES subjects,
    status         text NOT NULL DEFAULT 'live' CHECK (status IN ('live', 'handoff', 'ended')),
    version        integer NOT NULL DEFAULT 0 CHECK (version >= 0),
    epoch          integer NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    turn           integer NOT NULL DEFAULT 0 CHECK (turn >= 0),
    sealed_state   bytea NOT NULL,
    sealed_caller  bytea,
    sealed_called  bytea,
    caller_hash    bytea CHECK (length(caller_hash) = 32),
    created_at     timestamptz NOT NULL DEFAULT now(),
    ended_at       timestamptz,
    end_reason     text,
    CHECK ((status = 'ended') = (ended_at IS NOT NULL)),
    CHECK ((status = 'ended') = (end_reason IS NOT NULL))
);
CREATE INDEX conversations_by_time ON conversations (created_at DESC, id);
CREATE INDEX conversations_by_caller ON conversations (caller_hash, created_at DESC) WHERE caller_hash IS NOT NULL;
CREATE INDEX conversations_open ON conversations (status) WHERE status <> 'ended';

CREATE TABLE turns (
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn            integer NOT NULL CHECK (turn >= 0),
    transaction_id  text NOT NULL UNIQUE,
    sealed_input    bytea NOT NULL,
    sealed_decision bytea NOT NULL,
    sealed_spoken   bytea,
    sealed_heard    bytea,
    timings         jsonb,
    created_at      timestamptz NOT NULL DEFAULT now(),
    closed_at       timestamptz,
    PRIMARY KEY (conversation_id, turn),
    CHECK ((closed_at IS NULL) = (sealed_heard IS NULL)),
    CHECK ((closed_at IS NULL) = (timings IS NULL))
);

-- Facts for others. Within one conversation seq follows the order of commits, because whoever
-- appends holds the conversation's row until it commits.
CREATE TABLE events (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id              text NOT NULL UNIQUE,
    type            text NOT NULL CHECK (type ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$'),
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn            integer,
    subject_id      text NOT NULL REFERENCES subjects,
    time            timestamptz NOT NULL,
    sealed_data     bytea NOT NULL
);
CREATE INDEX events_by_conversation ON events (conversation_id, seq);

-- Events not delivered yet. origin is the relay that delivers first; others after a while.
CREATE TABLE outbox (
    seq             bigint PRIMARY KEY REFERENCES events ON DELETE CASCADE,
    conversation_id text NOT NULL,
    origin          text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outbox_by_conversation ON outbox (conversation_id, seq);
CREATE INDEX outbox_by_age ON outbox (created_at);

-- Which node holds the media of a call. 'claimed': its node died and another is bringing it back.
CREATE TABLE leases (
    call_sid        text PRIMARY KEY,
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    stream_sid      text NOT NULL,
    node_id         text NOT NULL,
    address         text NOT NULL,
    status          text NOT NULL DEFAULT 'held' CHECK (status IN ('held', 'lost', 'claimed')),
    claims          integer NOT NULL DEFAULT 0,
    taken_at        timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL
);
CREATE INDEX leases_by_expiry ON leases (expires_at);
CREATE INDEX leases_by_node ON leases (node_id);

-- One-time keys of media sockets; only their SHA-256.
CREATE TABLE stream_tokens (
    token_hash bytea PRIMARY KEY CHECK (length(token_hash) = 32),
    call_sid   text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX stream_tokens_by_expiry ON stream_tokens (expires_at);

-- Tier 1: written in the transaction of what it records. facts are never personal. No foreign
-- key: the record outlives what it is about.
CREATE TABLE audit (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('refusal', 'action')),
    what            text NOT NULL,
    actor           text NOT NULL,
    reason          text,
    facts           jsonb NOT NULL DEFAULT '{}',
    conversation_id text,
    turn            integer,
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX audit_by_conversation ON audit (conversation_id, seq) WHERE conversation_id IS NOT NULL;
CREATE INDEX audit_by_time ON audit (at);

-- Every read of personal data, that of a discarded plan too.
CREATE TABLE access_log (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor           text NOT NULL,
    resource        text NOT NULL,
    fields          text[] NOT NULL DEFAULT '{}',
    purpose         text NOT NULL,
    conversation_id text,
    turn            integer,
    discarded       boolean NOT NULL DEFAULT false,
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX access_log_by_conversation ON access_log (conversation_id, seq) WHERE conversation_id IS NOT NULL;
CREATE INDEX access_log_by_time ON access_log (at);

CREATE TABLE handoffs (
    id              text PRIMARY KEY CHECK (id ~ '^ho_[0-9a-f]{32}$'),
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn            integer NOT NULL,
    trigger         text NOT NULL,
    urgency         text NOT NULL,
    status          text NOT NULL DEFAULT 'waiting',
    sealed_payload  bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    changed_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (conversation_id, turn)
);
CREATE INDEX handoffs_by_status ON handoffs (status, created_at);

-- Absent means on.
CREATE TABLE switches (
    name       text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_.:-]*$'),
    is_on      boolean NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
