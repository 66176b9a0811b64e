-- Which conversations used a word, not only the last one: two that take turns are two. The digests are keyed from here
-- on; those of before could be opened with a dictionary, match nothing any more, and go.
DELETE FROM gap_words;

ALTER TABLE gap_words
    DROP COLUMN conversations,
    DROP COLUMN last_by,
    ADD COLUMN seen_by bytea[] NOT NULL CHECK (cardinality(seen_by) > 0);
