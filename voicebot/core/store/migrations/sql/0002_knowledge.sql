-- The deployment's articles, cut into chunks that can be quoted. Nothing personal. `version` is a digest
-- of the article's text, so that an answer can say which words it was made from.
CREATE TABLE articles (
    id          text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9-]*$'),
    title       text NOT NULL,
    intents     text[] NOT NULL DEFAULT '{}',
    owner       text NOT NULL,
    reviewed    date NOT NULL,
    region      text,
    version     text NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE chunks (
    article_id text NOT NULL REFERENCES articles ON DELETE CASCADE,
    position   integer NOT NULL CHECK (position >= 0),
    heading    text NOT NULL,
    body       text NOT NULL,
    words      tsvector NOT NULL,
    PRIMARY KEY (article_id, position)
);
CREATE INDEX chunks_words ON chunks USING gin (words);

-- In how many chunks a word occurs: rare words say more about what an answer must cover.
CREATE TABLE chunk_words (
    word   text PRIMARY KEY,
    chunks integer NOT NULL CHECK (chunks > 0)
);
