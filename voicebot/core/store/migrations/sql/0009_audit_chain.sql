-- The hash chain over audit (tier 1) and access_log (tier 2): docs/audit.md. No foreign keys: a link outlives the row
-- that was deleted, and says so.

-- Whose chain it is, and which rows are older than it: they are sealed as they are at the first start.
CREATE TABLE audit_chain (
    only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    chain_id   text NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', ''),
    old_audit  bigint NOT NULL,
    old_access bigint NOT NULL,
    adopted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO audit_chain (old_audit, old_access)
    SELECT (SELECT coalesce(max(seq), 0) FROM audit), (SELECT coalesce(max(seq), 0) FROM access_log);

-- Keys of the seals, wrapped by the master key. The newest that is not retired seals; all of them prove.
CREATE TABLE audit_keys (
    id          text PRIMARY KEY CHECK (id ~ '^ak_[0-9a-f]{32}$'),
    master_id   text NOT NULL,
    wrapped_key bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at  timestamptz
);

-- The last link of each shard, locked by whoever appends until it commits. Updated often, hence the free space.
CREATE TABLE audit_heads (
    shard  text PRIMARY KEY CHECK (shard ~ '^[12]-([0-9]{2}|old)$'),
    seq    bigint NOT NULL,
    hash   bytea NOT NULL,
    key_id text,
    seal   bytea
) WITH (fillfactor = 10);

-- All of them from the start: two transactions that made heads beside those they hold would wait for each other.
INSERT INTO audit_heads (shard, seq, hash)
    SELECT s.shard, 0, sha256(convert_to('voicebot audit genesis 1', 'UTF8') || '\x00'::bytea
        || convert_to('["' || c.chain_id || '","' || s.shard || '"]', 'UTF8'))
    FROM audit_chain c, (
        SELECT '1-' || lpad(n::text, 2, '0') FROM generate_series(0, 15) n
        UNION ALL SELECT '2-' || lpad(n::text, 2, '0') FROM generate_series(0, 3) n
        UNION ALL VALUES ('1-old'), ('2-old')
    ) AS s (shard);

-- One for each row of audit (tier 1) and access_log (tier 2), in the order of commits within a shard.
CREATE TABLE audit_links (
    shard   text NOT NULL,
    seq     bigint NOT NULL,
    tier    smallint NOT NULL CHECK (tier IN (1, 2)),
    record  bigint NOT NULL,
    form    smallint NOT NULL,
    content bytea NOT NULL,
    prev    bytea NOT NULL,
    hash    bytea NOT NULL,
    key_id  text NOT NULL,
    seal    bytea NOT NULL,
    PRIMARY KEY (shard, seq),
    UNIQUE (tier, record)
);

-- Up to where a shard was deleted because its time was over: signed, so that the rest still proves itself.
CREATE TABLE audit_prunes (
    shard  text PRIMARY KEY,
    up_to  bigint NOT NULL,
    hash   bytea NOT NULL,
    rows   bigint NOT NULL,
    before timestamptz NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    key_id text NOT NULL,
    seal   bytea NOT NULL
);
