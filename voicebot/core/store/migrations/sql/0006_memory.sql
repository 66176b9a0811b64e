-- Customers that the identity gate has seen, each a subject with a key of its own. record_hash is a
-- keyed hash of the id in the system of record; it goes when the customer is erased.
CREATE TABLE customers (
    id            text PRIMARY KEY CHECK (id ~ '^cm_[0-9a-f]{32}$'),
    subject_id    text NOT NULL UNIQUE REFERENCES subjects,
    record_hash   bytea UNIQUE CHECK (length(record_hash) = 32),
    sealed_record bytea NOT NULL,
    remembers     boolean, -- as the customer consented when last asked; NULL: not known
    created_at    timestamptz NOT NULL DEFAULT now()
);

-- Whose conversation it is: written by a turn that holds a verified customer, and by nothing else.
CREATE TABLE customer_links (
    conversation_id text PRIMARY KEY REFERENCES conversations ON DELETE CASCADE,
    customer_id     text NOT NULL REFERENCES customers ON DELETE CASCADE,
    turn            integer NOT NULL CHECK (turn >= 0),
    factors         text[] NOT NULL,
    made_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX customer_links_by_customer ON customer_links (customer_id, made_at DESC);

-- What is kept, sealed under the customer's key. name tells memories of one kind apart: a conversation's
-- id, or the name of a slot.
CREATE TABLE memories (
    customer_id  text NOT NULL REFERENCES customers ON DELETE CASCADE,
    kind         text NOT NULL CHECK (kind IN ('contact', 'slot')),
    name         text NOT NULL,
    purpose      text NOT NULL CHECK (purpose IN ('service')),
    sealed_value bytea NOT NULL,
    changed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (customer_id, kind, name)
);
CREATE INDEX memories_by_expiry ON memories (expires_at);
