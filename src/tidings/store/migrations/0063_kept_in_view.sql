-- To the operator: two small indexes, of groups, and of groups that are moved between homes. Nothing is rewritten.

-- Groups in one order at all homes of a fleet, whatever the collation of their databases: lists of all homes go on behind one name.
create index groups_in_order on tidings.groups (id collate "C");

-- Whoever looks after a home is told of moves that were broken off; of those that are over there may be many.
create index group_moves_unfinished on tidings.group_moves (begun_at) where not has_left;
