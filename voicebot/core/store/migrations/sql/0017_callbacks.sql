-- Calls that we make: promised to a caller for a day and time, or ordered by a system of the house. Numbers and
-- words are sealed with the key of a subject: the conversation's that it comes from, else one of the call's own.

CREATE TABLE callbacks (
    id              text PRIMARY KEY CHECK (id ~ '^cb_[0-9a-f]{32}$'),
    -- What asked for it: the turn that booked it, or the idempotency key of an order. Twice is once.
    key             text NOT NULL UNIQUE,
    -- Of an order: what else it said, so that the same key with another order is noticed.
    request_hash    bytea,
    origin          text NOT NULL CHECK (origin IN ('caller', 'api', 'cli')),
    subject_id      text NOT NULL REFERENCES subjects,
    conversation_id text REFERENCES conversations ON DELETE CASCADE,
    follow_up_id    text REFERENCES follow_ups ON DELETE SET NULL,
    purpose         text NOT NULL,
    intent          text NOT NULL,
    owner           text NOT NULL,
    due_at          timestamptz NOT NULL,
    until_at        timestamptz NOT NULL CHECK (until_at >= due_at),
    next_at         timestamptz NOT NULL,
    status          text NOT NULL DEFAULT 'booked'
                    CHECK (status IN ('booked', 'dialling', 'reached', 'failed', 'gone', 'cancelled')),
    tries           integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    messages        integer NOT NULL DEFAULT 0 CHECK (messages >= 0),
    reason          text,
    number_hash     bytea NOT NULL,
    sealed          bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX callbacks_due ON callbacks (next_at) WHERE status = 'booked';
CREATE INDEX callbacks_by_conversation ON callbacks (conversation_id, created_at);
CREATE INDEX callbacks_by_number ON callbacks (number_hash, created_at);

-- One try each. `claimed`: about to be placed; `unknown`: Twilio was asked, and did not say; `unplaced`: it was
-- looked, and no call exists. What was placed is followed to its end by Twilio's callbacks, or by asking.
CREATE TABLE dials (
    id              text PRIMARY KEY CHECK (id ~ '^dl_[0-9a-f]{32}$'),
    callback_id     text NOT NULL REFERENCES callbacks ON DELETE CASCADE,
    nth             integer NOT NULL CHECK (nth > 0),
    status          text NOT NULL DEFAULT 'claimed'
                    CHECK (status IN ('claimed', 'unknown', 'placed', 'answered', 'connected', 'machine', 'busy',
                                      'no_answer', 'failed', 'cancelled', 'unplaced')),
    node_id         text NOT NULL,
    call_sid        text UNIQUE,
    answered_by     text,
    left_message    boolean NOT NULL DEFAULT false,
    conversation_id text REFERENCES conversations ON DELETE SET NULL,
    look_at         timestamptz NOT NULL,
    began_at        timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (callback_id, nth)
);
CREATE INDEX dials_open ON dials (look_at)
    WHERE status IN ('claimed', 'unknown', 'placed', 'answered', 'connected');

-- Who asked not to be called. A number is only known by its HMAC.
CREATE TABLE do_not_call (
    number_hash bytea PRIMARY KEY,
    conversation_id text,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A message that a caller left, as far as it came: the words of its turns, and where they stand in the recording.
ALTER TABLE follow_ups DROP CONSTRAINT follow_ups_kind_check;
ALTER TABLE follow_ups ADD CONSTRAINT follow_ups_kind_check CHECK (kind IN ('callback', 'request', 'message'));
CREATE TABLE message_parts (
    follow_up_id text NOT NULL REFERENCES follow_ups ON DELETE CASCADE,
    turn         integer NOT NULL,
    sealed       bytea NOT NULL,
    PRIMARY KEY (follow_up_id, turn)
);
