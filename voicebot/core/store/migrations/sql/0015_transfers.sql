-- Warm transfers: a caller waits in a conference while people are rung. `body` is the state machine's own memory
-- (no number, nothing personal); the times are for figures. `due_at`: when it must be looked at again.
CREATE TABLE transfers (
    id              text PRIMARY KEY CHECK (id ~ '^tr_[0-9a-f]{32}$'),
    handoff_id      text NOT NULL UNIQUE REFERENCES handoffs ON DELETE CASCADE,
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    call_sid        text NOT NULL,
    state           text NOT NULL,
    body            jsonb NOT NULL,
    told            integer NOT NULL DEFAULT 0,
    legs            text[] NOT NULL DEFAULT '{}',
    base_url        text,
    due_at          timestamptz,
    requested_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ringing_at      timestamptz,
    briefing_at     timestamptz,
    accepted_at     timestamptz,
    bridged_at      timestamptz,
    over_at         timestamptz
);
CREATE INDEX transfers_by_due ON transfers (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX transfers_by_call ON transfers (call_sid, requested_at);
CREATE INDEX transfers_by_conversation ON transfers (conversation_id);
CREATE INDEX transfers_by_leg ON transfers USING gin (legs);

-- What a transfer has to have done at Twilio: claimed before it is done, so that no two nodes do it. One that was
-- claimed and whose node says nothing more is claimed again when `expires_at` has passed.
CREATE TABLE transfer_effects (
    transfer_id text NOT NULL REFERENCES transfers ON DELETE CASCADE,
    number      integer NOT NULL,
    body        jsonb NOT NULL,
    status      text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'started', 'done', 'void')),
    claims      integer NOT NULL DEFAULT 0,
    node_id     text,
    expires_at  timestamptz,
    ordered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at  timestamptz,
    PRIMARY KEY (transfer_id, number)
);
CREATE INDEX transfer_effects_open ON transfer_effects (ordered_at) WHERE status IN ('pending', 'started');
