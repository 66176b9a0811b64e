-- Payments by card that callers agreed to, from the yes to the money. Never a card: what came back of it (the
-- processor's confirmation and token) is sealed, and so is what it was for. `about` is an HMAC of what is paid for:
-- of one thing only one payment can be under way, over all calls and nodes.
CREATE TABLE payments (
    id              text PRIMARY KEY CHECK (id ~ '^pay_[a-p]{32}$'),
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn            integer NOT NULL,
    act_key         text NOT NULL UNIQUE,
    way             text NOT NULL CHECK (way IN ('pay', 'keypad')),
    amount_cents    integer NOT NULL CHECK (amount_cents > 0),
    currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    about           bytea NOT NULL,
    status          text NOT NULL DEFAULT 'agreed' CHECK (status IN
                    ('agreed', 'taking', 'charging', 'paid', 'declined', 'spent', 'stopped', 'failed', 'left', 'unknown')),
    result          text CHECK (length(result) <= 64),
    sealed_details  bytea NOT NULL,
    sealed_receipt  bytea,
    booked_at       timestamptz,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX payments_by_conversation ON payments (conversation_id, created_at);
CREATE UNIQUE INDEX payments_under_way ON payments (about)
    WHERE status IN ('agreed', 'taking', 'charging', 'unknown');
CREATE INDEX payments_unsettled ON payments (changed_at)
    WHERE status IN ('agreed', 'taking', 'charging') OR (status = 'paid' AND booked_at IS NULL);
