-- What there is in the database of somebody who reads how one thing or another is done: customers' orders.
create table orders (id int primary key, account_id text, status text, total numeric, card_number text);
