-- The queue of handoffs: which team, how soon, who has it; what happened to each, and whom that was told.

ALTER TABLE handoffs
    ADD COLUMN skill       text NOT NULL DEFAULT 'general',
    ADD COLUMN priority    integer NOT NULL DEFAULT 30 CHECK (priority BETWEEN 0 AND 100),
    ADD COLUMN claimed_by  text CHECK (claimed_by ~ '^[A-Za-z0-9+][A-Za-z0-9 ._:@+-]{0,79}$'),
    ADD COLUMN accepted_at timestamptz,
    ADD COLUMN done_at     timestamptz,
    ADD COLUMN declined_by text[] NOT NULL DEFAULT '{}',
    ADD COLUMN summarised  timestamptz;

UPDATE handoffs SET status = 'done' WHERE status NOT IN ('waiting', 'offered', 'missed');
ALTER TABLE handoffs ADD CONSTRAINT handoffs_status CHECK
    (status IN ('waiting', 'offered', 'accepted', 'bridged', 'done', 'missed', 'callback'));
ALTER TABLE handoffs ADD CONSTRAINT handoffs_holder CHECK
    (status NOT IN ('accepted', 'bridged') OR (claimed_by IS NOT NULL AND accepted_at IS NOT NULL));
CREATE INDEX handoffs_by_skill ON handoffs (skill, done_at) WHERE status = 'done';

-- Every step of a handoff, in order.
CREATE TABLE handoff_changes (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    handoff_id text NOT NULL REFERENCES handoffs ON DELETE CASCADE,
    what       text NOT NULL,
    who        text,
    at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX handoff_changes_of ON handoff_changes (handoff_id, seq);
CREATE INDEX handoff_changes_at ON handoff_changes (at);

-- A change on its way to a system outside. Holds nothing personal: what is sent is read when it is sent.
CREATE TABLE handoff_deliveries (
    id            text PRIMARY KEY CHECK (id ~ '^de_[0-9a-f]{32}$'),
    change        bigint NOT NULL REFERENCES handoff_changes ON DELETE CASCADE,
    handoff_id    text NOT NULL REFERENCES handoffs ON DELETE CASCADE,
    connector     text NOT NULL,
    status        text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'delivered', 'given_up')),
    tries         integer NOT NULL DEFAULT 0,
    due_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    sending_until timestamptz,
    reason        text,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (connector, change)
);
CREATE INDEX handoff_deliveries_due ON handoff_deliveries (connector, due_at) WHERE status = 'queued';

-- Who does what was promised, and may see what that takes.
ALTER TABLE follow_ups ADD COLUMN claimed_by text CHECK (claimed_by ~ '^[A-Za-z0-9+][A-Za-z0-9 ._:@+-]{0,79}$');
