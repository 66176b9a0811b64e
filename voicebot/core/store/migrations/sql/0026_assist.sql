-- What was suggested to people who speak with callers, and what they made of it. Words are sealed.

CREATE TABLE assist_offers (
    conversation_id text NOT NULL REFERENCES conversations ON DELETE CASCADE,
    suggestion      text NOT NULL CHECK (suggestion ~ '^as_[0-9a-f]{16}$'),
    kind            text NOT NULL CHECK (kind IN ('warning', 'action', 'reply', 'article')),
    about           text NOT NULL,
    line            bigint NOT NULL,
    sealed          bytea NOT NULL,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (conversation_id, suggestion)
);

-- Of an agent and a suggestion the newest counts. handoff_id: whose handoff it was used in, NULL: nobody's.
CREATE TABLE assist_marks (
    conversation_id text NOT NULL,
    suggestion      text NOT NULL,
    handoff_id      text REFERENCES handoffs ON DELETE CASCADE,
    who             text NOT NULL,
    mark            text NOT NULL CHECK (mark IN ('used', 'not_useful')),
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (conversation_id, suggestion, who),
    FOREIGN KEY (conversation_id, suggestion) REFERENCES assist_offers ON DELETE CASCADE
);
CREATE INDEX assist_marks_of_handoff ON assist_marks (handoff_id) WHERE handoff_id IS NOT NULL;

-- A person may promise, too, and more than once in a turn. origin: the suggestion that it was put down from.
ALTER TABLE follow_ups ADD COLUMN origin text NOT NULL DEFAULT '';
ALTER TABLE follow_ups DROP CONSTRAINT follow_ups_conversation_id_turn_key;
ALTER TABLE follow_ups ADD CONSTRAINT follow_ups_of_turn UNIQUE (conversation_id, turn, origin);
