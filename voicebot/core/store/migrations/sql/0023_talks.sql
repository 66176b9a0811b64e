-- An agent at a desk speaks with a caller whose sound comes to us over the media socket. Nothing personal: ids and times.
-- `told_at`: the bot, which has the caller again, has been told so.
CREATE TABLE talks (
    id              text PRIMARY KEY CHECK (id ~ '^tk_[0-9a-f]{32}$'),
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    handoff_id      text NOT NULL REFERENCES handoffs ON DELETE CASCADE,
    call_sid        text NOT NULL,
    agent           text NOT NULL,
    state           text NOT NULL DEFAULT 'coming' CHECK (state IN ('coming', 'talking', 'lost', 'over')),
    ending          text CHECK (ending IN ('goodbye', 'bot', 'queue', 'caller_left')),
    reason          text,
    told            integer NOT NULL DEFAULT 0,
    asked_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    began_at        timestamptz,
    lost_at         timestamptz,
    over_at         timestamptz,
    told_at         timestamptz,
    CHECK ((state = 'over') = (over_at IS NOT NULL)),
    CHECK ((state = 'over') = (ending IS NOT NULL))
);
CREATE UNIQUE INDEX talks_open ON talks (conversation_id) WHERE state <> 'over';
CREATE INDEX talks_by_handoff ON talks (handoff_id, asked_at);
CREATE INDEX talks_by_conversation ON talks (conversation_id, asked_at);
