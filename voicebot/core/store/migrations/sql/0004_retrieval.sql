-- Retrieval by meaning, versions that stay citable, gaps, and how conversations like this one were resolved.
-- Nothing here is personal.
CREATE EXTENSION IF NOT EXISTS vector;

-- Every version of an article that was ever ingested. The one without `superseded_at` is what may be quoted; the
-- others stay, so that what an answer cited can be looked up.
ALTER TABLE chunks DROP CONSTRAINT chunks_article_id_fkey;
ALTER TABLE articles DROP CONSTRAINT articles_pkey;
ALTER TABLE articles
    ADD COLUMN review_days   integer NOT NULL DEFAULT 180 CHECK (review_days > 0),
    ADD COLUMN superseded_at timestamptz,
    ADD PRIMARY KEY (id, version);
CREATE UNIQUE INDEX articles_current ON articles (id) WHERE superseded_at IS NULL;

ALTER TABLE chunks DROP CONSTRAINT chunks_pkey;
ALTER TABLE chunks
    ADD COLUMN id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ADD COLUMN version text,
    ADD COLUMN current boolean NOT NULL DEFAULT true;
UPDATE chunks SET version = articles.version FROM articles WHERE articles.id = chunks.article_id;
ALTER TABLE chunks
    ALTER COLUMN version SET NOT NULL,
    ADD UNIQUE (article_id, version, position),
    ADD FOREIGN KEY (article_id, version) REFERENCES articles ON DELETE CASCADE;
DROP INDEX chunks_words;
CREATE INDEX chunks_words ON chunks USING gin (words) WHERE current;

-- One vector for each current chunk, with what a search filters by, in rows narrow enough that a scan reads little
-- and nothing is stored out of line. All were made by the embedding that `knowledge` names.
CREATE TABLE chunk_vectors (
    chunk_id  bigint PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
    embedding halfvec NOT NULL,
    intents   text[] NOT NULL DEFAULT '{}',
    region    text
);
ALTER TABLE chunk_vectors ALTER COLUMN embedding SET STORAGE PLAIN;
CREATE INDEX chunk_vectors_intents ON chunk_vectors USING gin (intents);

-- What the searchable whole is: one row.
CREATE TABLE knowledge (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    embedding   text,
    dimensions  integer CHECK (dimensions > 0),
    chunks      integer NOT NULL DEFAULT 0,
    searched_by text NOT NULL DEFAULT 'auto' CHECK (searched_by IN ('auto', 'exact', 'hnsw')),
    hnsw        boolean NOT NULL DEFAULT false,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    CHECK ((embedding IS NULL) = (dimensions IS NULL))
);
INSERT INTO knowledge (chunks) SELECT count(*) FROM chunks;

-- Questions that no article answers: keywords only, never the words as they were said.
CREATE TABLE knowledge_gaps (
    keywords text[] NOT NULL,
    intent   text NOT NULL,
    reason   text NOT NULL,
    hidden   integer NOT NULL DEFAULT 0 CHECK (hidden >= 0),
    count    integer NOT NULL DEFAULT 1 CHECK (count > 0),
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (keywords, intent, reason)
);

-- A word that no article holds may be a name: it is kept as a digest until several conversations have used it.
CREATE TABLE gap_words (
    digest        bytea PRIMARY KEY,
    conversations integer NOT NULL DEFAULT 1 CHECK (conversations > 0),
    last_by       bytea NOT NULL,
    last_at       timestamptz NOT NULL DEFAULT now()
);

-- How conversations of one shape were resolved, counted. A shape is made of closed sets (intent, outcomes of tools,
-- urgency ...); no row leads back to a conversation.
CREATE TABLE resolved_shapes (
    features   text[] NOT NULL,
    resolution text NOT NULL,
    articles   text[] NOT NULL DEFAULT '{}',
    count      integer NOT NULL DEFAULT 1 CHECK (count > 0),
    last_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (features, resolution, articles)
);
CREATE INDEX resolved_shapes_features ON resolved_shapes USING gin (features);
