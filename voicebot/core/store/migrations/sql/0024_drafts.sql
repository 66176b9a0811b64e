-- Drafts that a person decides on from any process, and what agents whisper to the bot. Words are sealed.

ALTER TABLE drafts DROP CONSTRAINT drafts_status_check;
ALTER TABLE drafts ADD CONSTRAINT drafts_status_check
    CHECK (status IN ('waiting', 'approve', 'edit', 'reject', 'expired', 'withdrawn'));

-- What waits is words, or an act (proposal_id says which).
ALTER TABLE drafts ADD COLUMN kind text NOT NULL DEFAULT 'words' CHECK (kind IN ('words', 'act'));
ALTER TABLE drafts ADD COLUMN proposal_id text;
ALTER TABLE drafts ADD CHECK ((kind = 'act') = (proposal_id IS NOT NULL));

-- The words that a person put in place of the bot's; they may hold the caller's values, so under the vault's key.
ALTER TABLE drafts ADD COLUMN sealed_text bytea;

-- Why it was withdrawn: a closed set.
ALTER TABLE drafts ADD COLUMN reason text CHECK (reason IN ('ended', 'handoff', 'erased'));

-- The turn that took the decision up; until then it has to reach the conversation, wherever that is.
ALTER TABLE drafts ADD COLUMN told_turn integer;
ALTER TABLE drafts ADD COLUMN offered_at timestamptz;
UPDATE drafts SET told_turn = turn WHERE status <> 'waiting';
CREATE INDEX drafts_to_tell ON drafts (conversation_id)
    WHERE told_turn IS NULL AND status IN ('approve', 'edit', 'reject');
CREATE INDEX drafts_by_conversation ON drafts (conversation_id, turn);

-- What an agent tells the bot of a conversation that goes on.
CREATE TABLE whispers (
    id              text PRIMARY KEY CHECK (id ~ '^wh_[0-9a-f]{32}$'),
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    kind            text NOT NULL CHECK (kind IN ('say', 'fact', 'steer', 'avoid', 'hand_over')),
    intent          text,
    who             text NOT NULL,
    sealed_text     bytea,
    status          text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'taken', 'dropped')),
    taken_turn      integer,
    until_at        timestamptz NOT NULL,
    offered_at      timestamptz,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((kind IN ('say', 'fact')) = (sealed_text IS NOT NULL)),
    CHECK (kind NOT IN ('steer', 'avoid') OR intent IS NOT NULL),
    CHECK ((status = 'taken') = (taken_turn IS NOT NULL))
);
CREATE INDEX whispers_waiting ON whispers (conversation_id) WHERE status = 'waiting';
CREATE INDEX whispers_by_conversation ON whispers (conversation_id, created_at);
