-- What was proposed to a caller: one change of one tool, read back, waiting for a yes. What is personal
-- (arguments, customer, the values that were read back) is sealed with the key of the conversation's subject.
-- `digest` is over tool, canonical arguments, customer and policy version: a yes is to that and to nothing else.
-- `turn` is the turn that asked last; only the one after it can consent.
CREATE TABLE proposals (
    id              text PRIMARY KEY CHECK (id ~ '^pr_[a-p]{32}$'),
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn            integer NOT NULL,
    intent          text NOT NULL,
    tool            text NOT NULL,
    digest          text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    policy_version  text NOT NULL,
    status          text NOT NULL DEFAULT 'open' CHECK (status IN
                    ('waiting', 'open', 'consented', 'done', 'refused', 'failed', 'unknown', 'declined', 'voided')),
    reason          text,
    sealed          bytea NOT NULL,
    approved_by     text,
    heard_at        timestamptz,
    expires_at      timestamptz NOT NULL,
    consent         text CHECK (consent IN ('words', 'key')),
    consented_at    timestamptz,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (status IN ('waiting', 'open', 'declined', 'voided')
           OR (consent IS NOT NULL AND consented_at IS NOT NULL AND heard_at IS NOT NULL))
);
CREATE INDEX proposals_by_conversation ON proposals (conversation_id, created_at);
-- One at a time: a new one voids the one before it.
CREATE UNIQUE INDEX proposals_open ON proposals (conversation_id) WHERE status = 'open';

-- Acts on remote systems: who is at work on one until when, and those of which nobody could learn what came.
ALTER TABLE acts
    ADD COLUMN proposal      text REFERENCES proposals ON DELETE SET NULL,
    ADD COLUMN remote        boolean NOT NULL DEFAULT false,
    ADD COLUMN claimed_until timestamptz,
    DROP CONSTRAINT acts_status_check,
    ADD CONSTRAINT acts_status_check CHECK (status IN ('intended', 'done', 'refused', 'failed', 'unknown'));
-- Whatever happens, a proposal leads to one act.
CREATE UNIQUE INDEX acts_by_proposal ON acts (proposal) WHERE proposal IS NOT NULL;
CREATE INDEX acts_unsettled ON acts (claimed_until) WHERE remote AND status IN ('intended', 'unknown');
