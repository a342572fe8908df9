-- To the operator: webhooks that show a certificate, or believe authorities of their own, are told of before these end. An index of webhooks that
-- have any, and a small table of what was told; nothing is rewritten. Those whose certificate ends within 30 days are told of once a worker starts.

create function tidings.client_certificate_end(credentials jsonb) returns timestamptz language sql immutable parallel safe
  return (credentials->'client_certificate'->>'not_after')::timestamptz;
comment on function tidings.client_certificate_end is 'Until when the certificate that a webhook shows is good. Immutable, since its time is written with its zone.';

create function tidings.authorities_end(credentials jsonb) returns timestamptz language sql immutable parallel safe
  return (select max((one->>'not_after')::timestamptz)
    from jsonb_array_elements(case when jsonb_typeof(credentials->'ca_certificates') = 'array' then credentials->'ca_certificates' end) one);
comment on function tidings.authorities_end is 'When the last authority ends that a webhook believes: until then others in the bundle may have ended.';

create function tidings.certificate_end(credentials jsonb) returns timestamptz language sql immutable parallel safe
  return least(tidings.client_certificate_end(credentials), tidings.authorities_end(credentials));
comment on function tidings.certificate_end is 'When the first of both ends; null: there is neither.';

create index webhooks_by_certificate_end on tidings.webhooks (tidings.certificate_end(credentials)) where tidings.certificate_end(credentials) is not null;

create table tidings.certificate_warnings (
  webhook_id uuid primary key references tidings.webhooks (id) on delete cascade,
  ends_at timestamptz not null,
  is_over boolean not null
);
comment on table tidings.certificate_warnings is 'Of which end of a certificate was told, and whether it had come: so that each is told once.';
