-- What there is in the database of somebody who comes from Supabase, as far as the page asks for it.
create schema supabase_functions;
create function supabase_functions.http_request() returns trigger language plpgsql as $$ begin return null; end $$;
create table orders (id int primary key, status text);
create trigger tell_erp after insert or update on orders for each row
  execute function supabase_functions.http_request('https://erp.example.com/hook', 'POST', '{"Content-Type":"application/json"}', '{}', '5000');
