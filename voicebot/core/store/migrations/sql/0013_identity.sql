-- Tries at the identity gate: what failed, of whom and about what, counted over all calls and nodes. A subject is
-- an HMAC (of an order number, of a caller's number); its head row is locked by whoever counts.
CREATE TABLE lock_heads (
    subject bytea PRIMARY KEY CHECK (octet_length(subject) = 32)
);

CREATE TABLE failed_tries (
    subject         bytea NOT NULL CHECK (octet_length(subject) = 32),
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn            integer NOT NULL,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subject, conversation_id, turn)
);
CREATE INDEX failed_tries_by_time ON failed_tries (subject, at);

-- What came of a turn's try, so that a commit that is repeated says the same.
CREATE TABLE gate_outcomes (
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn            integer NOT NULL,
    outcome         text NOT NULL,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (conversation_id, turn)
);

-- One-time codes: never the code, only its digest under our key, bound to conversation and number.
CREATE TABLE one_time_codes (
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn            integer NOT NULL,
    customer        bytea NOT NULL CHECK (octet_length(customer) = 32),
    digest          bytea NOT NULL CHECK (octet_length(digest) = 32),
    sent_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at      timestamptz NOT NULL,
    closed_at       timestamptz,
    PRIMARY KEY (conversation_id, turn)
);
CREATE INDEX one_time_codes_by_customer ON one_time_codes (customer, sent_at);
