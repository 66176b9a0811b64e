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

-- The figures of whole days, so that a month is not counted anew for everybody who looks. A day is one of a time zone;
-- it counts when kpi_days_made has it, made by the same rules, and nothing of it stands in kpi_touched: what does not
-- count is worked out from the rows. Measured times are whole milliseconds, four bytes each, largest byte first.
CREATE TABLE kpi_days (
    zone            text NOT NULL,
    day             date NOT NULL,
    by              text NOT NULL,
    key             text NOT NULL,
    counts          jsonb NOT NULL,
    safe_ms         bytea NOT NULL,
    first_useful_ms bytea NOT NULL,
    simple_ms       bytea NOT NULL,
    complex_ms      bytea NOT NULL,
    waited_ms       bytea NOT NULL,
    PRIMARY KEY (zone, by, day, key)
);
CREATE TABLE kpi_days_made (
    zone  text NOT NULL,
    day   date NOT NULL,
    rules text NOT NULL,
    PRIMARY KEY (zone, day)
);

-- When the conversations began of which something changed since their day was counted. Without a key, so that nobody
-- waits for anybody who writes one.
CREATE TABLE kpi_touched (began_at timestamptz NOT NULL);

CREATE FUNCTION kpi_touch_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO kpi_touched (began_at) VALUES (CASE TG_OP WHEN 'DELETE' THEN OLD.began_at ELSE NEW.began_at END);
    RETURN NULL;
END $$;
CREATE FUNCTION kpi_touch_beside() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO kpi_touched (began_at) SELECT began_at FROM outcomes WHERE conversation_id =
        CASE TG_OP WHEN 'DELETE' THEN OLD.conversation_id ELSE NEW.conversation_id END;
    RETURN NULL;
END $$;
CREATE FUNCTION kpi_touch_handoff() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO kpi_touched (began_at) SELECT o.began_at FROM handoffs h JOIN outcomes o USING (conversation_id)
        WHERE h.id = NEW.handoff_id;
    RETURN NULL;
END $$;
CREATE TRIGGER kpi_touch AFTER INSERT OR UPDATE OR DELETE ON outcomes FOR EACH ROW EXECUTE FUNCTION kpi_touch_outcome();
CREATE TRIGGER kpi_touch AFTER INSERT OR UPDATE OR DELETE ON csat FOR EACH ROW EXECUTE FUNCTION kpi_touch_beside();
CREATE TRIGGER kpi_touch AFTER INSERT OR UPDATE OR DELETE ON agent_words FOR EACH ROW EXECUTE FUNCTION kpi_touch_beside();
CREATE TRIGGER kpi_touch AFTER INSERT ON handoff_changes FOR EACH ROW
    WHEN (NEW.what IN ('accepted', 'bridged')) EXECUTE FUNCTION kpi_touch_handoff();

-- Outcomes of before are made again.
UPDATE conversations SET outcome_of = NULL WHERE outcome_of IS NOT NULL;
