-- How conversations ended. Everything here is a closed set, an intent's name, a time or a count; words are sealed.

-- Of which state the outcome was made (status and version); NULL: it has to be made, or made again.
ALTER TABLE conversations ADD COLUMN outcome_of text;
CREATE INDEX conversations_outcome_due ON conversations (created_at)
    WHERE status <> 'live' AND outcome_of IS DISTINCT FROM (status || ':' || version::text);

CREATE TABLE outcomes (
    conversation_id text PRIMARY KEY REFERENCES conversations ON DELETE CASCADE,
    channel         text NOT NULL,
    disposition     text NOT NULL CHECK (disposition IN
        ('answered', 'acted', 'promised', 'handed_over', 'left_queue', 'left', 'not_settled', 'nothing_wanted', 'erased')),
    resolution      text NOT NULL CHECK (resolution IN ('resolved', 'unresolved', 'abandoned', 'handed_over', 'unknown')),
    intent          text NOT NULL DEFAULT '',
    category        text NOT NULL DEFAULT '',
    escalated       boolean NOT NULL,
    trigger         text,
    first_sign      text,
    first_sign_at   timestamptz,
    missed_sign     boolean NOT NULL DEFAULT false,
    turns           integer NOT NULL DEFAULT 0,
    grounded        integer NOT NULL DEFAULT 0,
    gaps            integer NOT NULL DEFAULT 0,
    began_at        timestamptz NOT NULL,
    ended_at        timestamptz,
    resolved_at     timestamptz,
    made_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outcomes_by_time ON outcomes (began_at);

-- What it was about, an intent each. repeated_by: the later conversation in which the same person asked it again.
CREATE TABLE outcome_intents (
    conversation_id text NOT NULL REFERENCES outcomes ON DELETE CASCADE,
    intent          text NOT NULL,
    category        text NOT NULL DEFAULT '',
    resolution      text NOT NULL CHECK (resolution IN ('resolved', 'unresolved', 'abandoned', 'handed_over', 'unknown')),
    complex         boolean NOT NULL,
    grounded        integer NOT NULL DEFAULT 0,
    gaps            integer NOT NULL DEFAULT 0,
    asked_at        timestamptz NOT NULL,
    resolved_at     timestamptz,
    repeated_by     text,
    PRIMARY KEY (conversation_id, intent)
);
CREATE INDEX outcome_intents_by_intent ON outcome_intents (intent, asked_at);

-- How satisfied a caller was, 1 to 5, once.
CREATE TABLE csat (
    conversation_id text PRIMARY KEY REFERENCES conversations ON DELETE CASCADE,
    score           smallint NOT NULL CHECK (score BETWEEN 1 AND 5),
    how             text NOT NULL CHECK (how IN ('keys', 'voice', 'text')),
    turn            integer NOT NULL,
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What agents say of a handoff or a turn. Of an agent and a thing the newest counts; earlier ones stay.
CREATE TABLE agent_words (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    handoff_id      text REFERENCES handoffs ON DELETE CASCADE,
    turn            integer,
    kind            text NOT NULL CHECK (kind IN ('disposition', 'verdict', 'note')),
    value           text NOT NULL,
    who             text NOT NULL,
    sealed_text     bytea,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    replaced_at     timestamptz,
    CHECK ((kind = 'note') = (handoff_id IS NULL)),
    CHECK ((kind = 'note') = (turn IS NOT NULL)),
    CHECK (kind <> 'disposition' OR value IN ('solved', 'not_solved', 'passed_on', 'not_reached')),
    CHECK (kind <> 'verdict' OR value IN ('agree', 'disagree')),
    CHECK (kind <> 'note' OR value IN ('wrong_answer', 'missing_article', 'wrong_intent', 'missed_escalation', 'good', 'other'))
);
CREATE UNIQUE INDEX agent_words_of_handoff ON agent_words (handoff_id, kind, who)
    WHERE replaced_at IS NULL AND handoff_id IS NOT NULL;
CREATE UNIQUE INDEX agent_words_of_turn ON agent_words (conversation_id, turn, who)
    WHERE replaced_at IS NULL AND handoff_id IS NULL;

-- A correction that waits for review: nothing counts before somebody accepted it.
CREATE TABLE corrections (
    id              text PRIMARY KEY CHECK (id ~ '^co_[0-9a-f]{32}$'),
    source          text NOT NULL UNIQUE,
    kind            text NOT NULL CHECK (kind IN ('golden_case', 'article_change', 'training_row')),
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    turn            integer,
    proposed_by     text NOT NULL,
    sealed          bytea NOT NULL,
    status          text NOT NULL DEFAULT 'proposed' CHECK (status IN ('proposed', 'accepted', 'rejected')),
    decided_by      text,
    decided_at      timestamptz,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((status = 'proposed') = (decided_at IS NULL))
);
CREATE INDEX corrections_open ON corrections (created_at) WHERE status = 'proposed';
