-- What changes while a webhook is paused can be recovered, so its tables stay captured: only one that Tidings disabled gives them up.
comment on table tidings.table_subscriptions is 'The tables that webhooks name, paused ones too: which triggers there are follows from it.';

insert into tidings.table_subscriptions (webhook_id, table_schema, table_name, operation)
select distinct w.id, coalesce(f.item ->> 'schema', 'public'), f.item ->> 'table', o.operation
from tidings.webhooks w
cross join lateral jsonb_array_elements(case jsonb_typeof(w.events) when 'array' then w.events else '[]' end) f (item)
cross join lateral jsonb_array_elements_text(case jsonb_typeof(f.item -> 'operations') when 'array' then f.item -> 'operations' else '[]' end) o (operation)
where not w.enabled and w.disabled_reason is null and jsonb_typeof(f.item -> 'table') = 'string' and f.item ->> 'table' <> '*'
  and o.operation in ('INSERT', 'UPDATE', 'DELETE')
on conflict do nothing;
