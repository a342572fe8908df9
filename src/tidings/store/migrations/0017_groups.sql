-- No group is named by dots alone: such a name means another place in a path. Groups that are there stay. No data is read.
alter table tidings.groups add constraint groups_id_is_no_place check (id !~ '^\.+$') not valid;
comment on constraint groups_id_is_no_place on tidings.groups is 'Forbids names that mean another place in a path.';
