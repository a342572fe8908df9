-- To the operator: makes one small index. Nothing waits for it.

-- The overview asks which webhooks had deliveries stopped of late; hardly any lane ever has.
create index lanes_looped on tidings.lanes (looped_at) where looped_at is not null;
