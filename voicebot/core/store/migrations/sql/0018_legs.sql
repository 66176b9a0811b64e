-- A stream's key may be that of one leg of a conference: then it names the conversation whose transcript gets
-- what is heard there, since an agent's leg is a call of its own. Neither: the bot's own stream of the call.
ALTER TABLE stream_tokens
    ADD COLUMN conversation_id text REFERENCES conversations ON DELETE CASCADE,
    ADD COLUMN leg text CHECK (leg IN ('caller', 'agent')),
    ADD CHECK ((leg IS NULL) = (conversation_id IS NULL));
