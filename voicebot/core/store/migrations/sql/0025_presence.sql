-- Who is at the desk now: an agent's id and times, nothing of a caller. `seen_at` moves while a page of theirs is open.
CREATE TABLE desk_presence (
    agent   text PRIMARY KEY,
    since   timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    paused  boolean NOT NULL DEFAULT false
);

-- What supervisors look at every few seconds: what goes on, however many have ended.
CREATE INDEX conversations_going_on ON conversations (created_at DESC) WHERE ended_at IS NULL;
