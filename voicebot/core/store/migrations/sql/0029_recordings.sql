-- cut_offs: turns that may have been ended while the caller was still speaking. NULL: made before that was looked at.
ALTER TABLE outcomes ADD COLUMN cut_offs integer CHECK (cut_offs >= 0);

-- The list of recordings: calls that are over, the newest first.
CREATE INDEX conversations_recorded ON conversations (created_at DESC, id)
    WHERE channel IN ('phone', 'browser') AND status = 'ended';

-- Outcomes of before are made again.
UPDATE conversations SET outcome_of = NULL WHERE outcome_of IS NOT NULL AND channel IN ('phone', 'browser');
