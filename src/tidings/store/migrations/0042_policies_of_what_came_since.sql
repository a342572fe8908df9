-- To the operator: row-level security for the tables that came after 0034_groups_apart.sql. Nothing is rewritten; the tables are needed for a
-- moment each. Other tables of that time are out of reach of the role of requests, so they need no policy.

-- Rows that say whose they are -------------------------------------------------------------------------------------------

do $$
declare
  name text;
begin
  foreach name in array array['group_limits', 'stored_changes', 'group_egress', 'redaction_rules', 'erasures', 'sealed_payloads']
  loop
    execute format('alter table tidings.%I enable row level security', name);
    execute format('create policy own_group on tidings.%I using (group_id = (select current_setting(''tidings.group'', true))) '
      || 'with check (group_id = (select current_setting(''tidings.group'', true)))', name);
  end loop;
end $$;

-- Rows of no group ---------------------------------------------------------------------------------------------------------

-- The limits of all groups that have none of their own, and how often any were changed: they say nothing of anybody.
alter table tidings.default_limits enable row level security;
create policy of_no_group on tidings.default_limits for select using (true);
alter table tidings.api_key_changes enable row level security;
create policy of_no_group on tidings.api_key_changes for select using (true);

-- Functions that have our own rights -----------------------------------------------------------------------------------------

revoke all on function tidings.audit_entered from public;
