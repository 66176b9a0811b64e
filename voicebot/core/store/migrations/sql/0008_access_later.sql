-- Reads of personal data (tier 2) wait here, in the transaction of what they tell of, until a relay has chained them
-- into access_log. The id makes twice once.
CREATE TABLE audit_outbox (
    id              text PRIMARY KEY CHECK (id ~ '^ev_[0-9a-f]{32}$'),
    place           bigint GENERATED ALWAYS AS IDENTITY,
    entry           text NOT NULL CHECK (entry IN ('read', 'used')),
    actor           text NOT NULL,
    resource        text NOT NULL,
    fields          text[] NOT NULL DEFAULT '{}',
    purpose         text NOT NULL,
    conversation_id text,
    turn            integer,
    discarded       boolean NOT NULL DEFAULT false,
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX audit_outbox_in_order ON audit_outbox (place);

-- 'used': the plan of that turn, by that actor, was committed, so that its reads were not thrown away. A row never changes.
ALTER TABLE access_log
    ADD COLUMN id text UNIQUE,
    ADD COLUMN entry text NOT NULL DEFAULT 'read' CHECK (entry IN ('read', 'used'));
