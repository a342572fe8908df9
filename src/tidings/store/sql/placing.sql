-- Where groups of a fleet live, as a home knows it (theory: core.fleet).

-- name: get
-- The directory has thousands of groups, and some ask all the time: who names the version that there is gets no more than that.
-- $1 the version that is known already, or null
select p.version, n.home, n.fleet, n.gone, n.parked
from tidings.placing p left join lateral (
  select p.home, p.fleet::text as fleet, array(select m.group_id from tidings.group_moves m where m.has_left) as gone,
    array(select m.group_id from tidings.group_moves m where not m.has_left) as parked
  where p.version is distinct from $1::bigint
) n on true;

-- name: put
-- What the fleet is, as it was heard. Nothing comes back where it was known. $1 home, $2 directory
insert into tidings.placing as p (home, fleet) values ($1, $2::text::json)
on conflict (only_row) do update set version = p.version + 1, home = excluded.home, fleet = excluded.fleet
where (p.home, p.fleet::text) is distinct from (excluded.home, excluded.fleet::text) returning version;

-- name: leave
-- This is no home of a fleet any more.
delete from tidings.placing returning home;

-- name: owned
-- Those of some groups that have webhooks. $1 groups
select g.id from unnest($1::text[]) as g (id) where exists (select from tidings.webhooks w where w.group_id = g.id);

-- name: groups_after
-- $1 behind this one, $2 how many
select g.id from tidings.groups g where g.id > $1 order by g.id limit $2;
