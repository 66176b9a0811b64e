-- What callers said of themselves, behind the tokens that stand for it everywhere else ("[card 1]"). Sealed
-- under a key of its own, derived from the conversation's: it goes when the conversation is erased.
CREATE TABLE vault (
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    token           text NOT NULL CHECK (token ~ '^\[[a-z][a-z ]* [1-9][0-9]*\]$'),
    turn            integer NOT NULL CHECK (turn >= 0),
    sealed_value    bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (conversation_id, token)
);
