-- A program without Twilio may use one CallSid again after its call has ended. Of those that have
-- not ended there is one.
ALTER TABLE conversations DROP CONSTRAINT conversations_call_sid_key;
CREATE UNIQUE INDEX conversations_open_call ON conversations (call_sid) WHERE status <> 'ended';
CREATE INDEX conversations_by_call ON conversations (call_sid, created_at DESC) WHERE call_sid IS NOT NULL;
