-- name: create_orders
create table orders (id bigint primary key, email text not null, total numeric(10, 2) not null, status text not null);

-- name: demo_insert
-- $1 id
insert into orders (id, email, total, status) values ($1, 'customer' || $1::bigint || '@example.com', 12.50 * $1::bigint, 'new');

-- name: demo_update
-- $1 id
update orders set status = 'paid' where id = $1;

-- name: demo_delete
-- $1 id
delete from orders where id = $1;

-- name: by_hand
-- What the demo tells people to try, as one line.
insert into orders values (100, 'you@example.com', 12.50, 'new')
