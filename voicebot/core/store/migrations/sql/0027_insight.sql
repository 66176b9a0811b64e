-- segment: the verified customer's as the records have it, '' where it is not known. ours: we made the call.
-- told_apart: it is known whether the same person came before or again. asked_again, is_repeat: of one of its intents.
-- waited_ms: of each turn of which it was measured, from the caller's last sound to the bot's first.
ALTER TABLE outcomes
    ADD COLUMN segment        text NOT NULL DEFAULT '',
    ADD COLUMN ours           boolean NOT NULL DEFAULT false,
    ADD COLUMN told_apart     boolean NOT NULL DEFAULT false,
    ADD COLUMN asked_again    boolean NOT NULL DEFAULT false,
    ADD COLUMN is_repeat      boolean NOT NULL DEFAULT false,
    ADD COLUMN first_useful_s double precision,
    ADD COLUMN waited_ms      integer[] NOT NULL DEFAULT '{}';

-- repeats: the earlier conversation in which the same person had asked it.
ALTER TABLE outcome_intents
    ADD COLUMN repeats        text,
    ADD COLUMN first_useful_s double precision;

-- When questions without an article came, by the hour: keywords and counts as in knowledge_gaps, and no way back to
-- a conversation.
CREATE TABLE knowledge_gap_hours (
    hour     timestamptz NOT NULL,
    keywords text[] NOT NULL,
    intent   text NOT NULL,
    reason   text NOT NULL,
    count    integer NOT NULL DEFAULT 1 CHECK (count > 0),
    PRIMARY KEY (hour, keywords, intent, reason)
);

-- Outcomes of before are made again.
UPDATE conversations SET outcome_of = NULL WHERE outcome_of IS NOT NULL;
