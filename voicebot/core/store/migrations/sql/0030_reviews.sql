-- When somebody last listened to a call: for the reminder of the weekly review.
CREATE INDEX access_log_listening ON access_log (at) WHERE resource = 'recording' AND purpose = 'listening';
