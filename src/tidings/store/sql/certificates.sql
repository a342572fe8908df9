-- name: warn
-- Notes of which ends of certificates is told now, and returns them: those of open webhooks that come before $2 and were not told of. $1 now, $3 how many
with due as (
  select w.id, tidings.certificate_end(w.credentials) as ends_at, tidings.certificate_end(w.credentials) <= $1::timestamptz as is_over,
    tidings.client_certificate_end(w.credentials) is not distinct from tidings.certificate_end(w.credentials) as is_own
  from tidings.webhooks w
  where tidings.certificate_end(w.credentials) is not null and tidings.certificate_end(w.credentials) < $2 and w.enabled and w.fault is null
    and not exists (
      select from tidings.certificate_warnings t where t.webhook_id = w.id and t.ends_at = tidings.certificate_end(w.credentials)
        and t.is_over = (tidings.certificate_end(w.credentials) <= $1::timestamptz)
    )
  order by tidings.certificate_end(w.credentials) limit $3 for key share of w skip locked
), noted as (
  insert into tidings.certificate_warnings as t (webhook_id, ends_at, is_over) select id, ends_at, is_over from due
  on conflict (webhook_id) do update set ends_at = excluded.ends_at, is_over = excluded.is_over
    where (t.ends_at, t.is_over) is distinct from (excluded.ends_at, excluded.is_over)
  returning webhook_id
)
select d.id, d.ends_at, d.is_over, d.is_own from due d join noted n on n.webhook_id = d.id;

-- name: ending
-- Open webhooks of a group with a certificate that ends before a time, the first to end first. $1 group, $2 before, $3 how many
select id from tidings.webhooks
where tidings.certificate_end(credentials) is not null and tidings.certificate_end(credentials) < $2 and group_id = $1 and enabled and fault is null
order by tidings.certificate_end(credentials) limit $3;
