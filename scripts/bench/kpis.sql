-- Conversations of 30 days, made up: %(n)s of them. See kpis.py.
INSERT INTO subjects (id, kind, key_id, wrapped_key)
    VALUES ('sb_' || repeat('0', 32), 'conversation', 'k', '');
CREATE TEMP TABLE made AS SELECT n, 'cv_' || lpad(to_hex(n), 32, '0') AS id, random() AS fate, random() AS luck,
    timestamptz '2026-10-23 07:00Z' + random() * interval '30 days' AS at,
    'intent_' || (n % 40) AS intent, 'intent_' || ((n * 7 + 1) % 40) AS other
    FROM generate_series(1, %(n)s) AS n;
INSERT INTO conversations (id, channel, subject_id, sealed_state, created_at, status, ended_at, end_reason, outcome_of)
    SELECT id, CASE WHEN n % 4 = 0 THEN 'chat' ELSE 'phone' END, 'sb_' || repeat('0', 32), '', at, 'ended',
    at + interval '3 min', 'goodbye', 'ended:0' FROM made;
INSERT INTO outcomes (conversation_id, channel, disposition, resolution, intent, category, escalated, first_sign_at,
        gaps, grounded, began_at, ended_at, segment, told_apart, first_useful_s, waited_ms)
    SELECT id, CASE WHEN n % 4 = 0 THEN 'chat' ELSE 'phone' END, 'answered',
    CASE WHEN fate < 0.25 THEN 'handed_over' WHEN fate < 0.35 THEN 'abandoned' WHEN fate < 0.45 THEN 'unresolved'
         WHEN fate < 0.48 THEN 'unknown' ELSE 'resolved' END,
    intent, 'category_' || (n % 6), fate < 0.25, CASE WHEN fate < 0.25 THEN at + interval '30 s' END,
    (luck < 0.1)::int, (luck > 0.3)::int, at, at + interval '3 min', CASE WHEN n % 5 = 0 THEN 'plus' ELSE '' END,
    n % 3 > 0, 1 + luck * 3, CASE WHEN n % 4 = 0 THEN '{}' ELSE
    ARRAY[(400 + luck * 900)::int, (400 + fate * 900)::int, 700, (500 + luck * fate * 2000)::int] END FROM made;
INSERT INTO outcome_intents (conversation_id, intent, category, resolution, complex, asked_at, resolved_at,
        first_useful_s, repeats, repeated_by)
    SELECT id, intent, 'category_' || (n % 6), CASE WHEN fate < 0.25 THEN 'handed_over' WHEN fate < 0.35
    THEN 'abandoned' WHEN fate < 0.45 THEN 'unresolved' ELSE 'resolved' END, luck < 0.2, at,
    CASE WHEN fate >= 0.45 THEN at + luck * interval '60 s' END, 1 + luck, NULL, NULL FROM made WHERE fate NOT BETWEEN 0.45 AND 0.48
    UNION ALL
    SELECT id, other, 'category_x', 'resolved', false, at, at + luck * interval '60 s', 1 + luck, NULL, NULL
    FROM made WHERE luck < 0.4 AND other <> intent AND fate NOT BETWEEN 0.45 AND 0.48;
INSERT INTO handoffs (id, conversation_id, turn, trigger, urgency, sealed_payload)
    SELECT replace(id, 'cv_', 'ho_'), id, 1, 't', 'normal', '' FROM made WHERE fate < 0.25;
INSERT INTO handoff_changes (handoff_id, what, who, at)
    SELECT replace(id, 'cv_', 'ho_'), step.what, 'ada', at + luck * step.after FROM made,
    (VALUES ('waiting', interval '30 s'), ('accepted', interval '60 s'), ('bridged', interval '90 s'),
    ('done', interval '300 s')) AS step (what, after) WHERE fate < 0.25 AND NOT (step.what = 'bridged' AND n % 2 = 0);
INSERT INTO agent_words (conversation_id, handoff_id, kind, value, who)
    SELECT id, replace(id, 'cv_', 'ho_'), 'verdict', CASE WHEN luck < 0.8 THEN 'agree' ELSE 'disagree' END, 'ada'
    FROM made WHERE fate < 0.2
    UNION ALL SELECT id, replace(id, 'cv_', 'ho_'), 'disposition', 'solved', 'ada' FROM made WHERE fate < 0.2;
INSERT INTO csat (conversation_id, score, how, turn) SELECT id, 1 + n % 5, 'keys', 4 FROM made WHERE luck > 0.9;
