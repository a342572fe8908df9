-- To the operator: two small tables, for people who sign in to the portal by a provider, and some columns of sessions and portal links.
-- Who is signed in stays signed in. Portal links that are good while this is applied do not know who made them, and end by their time.

create table tidings.members (
  id uuid primary key,
  email text not null unique,
  name text not null default '',
  issuer text,
  subject text,
  invited_at timestamptz not null,
  joined_at timestamptz,
  signed_in_at timestamptz,
  constraint member_is_bounded check (length(email) between 3 and 254 and length(name) <= 200 and length(issuer) <= 2000 and length(subject) <= 255),
  constraint member_joins_whole check ((issuer is null) = (subject is null) and (subject is null) = (joined_at is null)),
  constraint member_is_one_person unique (issuer, subject)
);
comment on table tidings.members is 'People who may sign in to the portal by the provider. One who was invited and never came has no issuer and no subject.';
comment on column tidings.members.email is 'In small letters: what they were invited by. Who it is says the subject, once they have come.';
comment on column tidings.members.subject is 'Who they are at the provider, for good: an address can be given to somebody else.';

create table tidings.member_roles (
  member_id uuid not null references tidings.members on delete cascade,
  group_id text references tidings.groups (id) on delete cascade,
  role text not null,
  constraint member_role_is_known check (role in ('owner', 'developer', 'support', 'viewer'))
);
comment on table tidings.member_roles is 'What members are, of one group or of all.';
comment on column tidings.member_roles.group_id is 'The one group that it is for; null: all of them.';
create unique index member_roles_by_member on tidings.member_roles (member_id, coalesce(group_id, ''));
create index member_roles_of_group on tidings.member_roles (group_id);

-- Sessions --------------------------------------------------------------------------------------------------------------

alter table tidings.sessions add column member_id uuid references tidings.members on delete cascade;
alter table tidings.sessions alter column key_id drop not null, alter column key_hash drop not null;
alter table tidings.sessions add constraint session_is_begun_by_something check ((member_id is null) = (key_id is not null) and (member_id is null or link_id is null));
create index sessions_of_member on tidings.sessions (member_id) where member_id is not null;
comment on column tidings.sessions.member_id is 'The member who began it by the provider: it may what their roles say now. Null: a key or a link began it.';
comment on constraint session_is_begun_by_something on tidings.sessions is 'Forbids a session that nothing ends: each has a member or a key.';

-- Portal links ----------------------------------------------------------------------------------------------------------

alter table tidings.portal_links
  add column key_id uuid references tidings.api_keys on delete cascade,
  add column member_id uuid references tidings.members on delete cascade,
  add column made_by text not null default '';
alter table tidings.portal_links add constraint portal_link_maker_is_bounded check (length(made_by) <= 254);
create index portal_links_of_key on tidings.portal_links (key_id) where key_id is not null;
create index portal_links_of_member on tidings.portal_links (member_id) where member_id is not null;
comment on column tidings.portal_links.key_id is 'The key that made it: it ends with that. Null: a member did, or it was made before this was kept.';
comment on column tidings.portal_links.made_by is 'What that key was called, or the address of that member.';

create function tidings.maker_may(link tidings.portal_links, at timestamptz, roles text[]) returns boolean language sql stable as $$
  select (link.key_id is null or exists (select from tidings.api_keys k where k.id = link.key_id and k.revoked_at is null
      and (k.expires_at is null or k.expires_at > at)
      and (k.rotated_at is null or link.created_at >= k.rotated_at or k.previous_until > at)))
    and (link.member_id is null or exists (select from tidings.member_roles r where r.member_id = link.member_id
      and (r.group_id is null or r.group_id = link.group_id) and r.role = any (roles)))
$$;
comment on function tidings.maker_may is 'Whether whoever made a link may still make it: the key is good, and was not rotated since or that overlap lasts; the member has one of these roles.';

-- Who did what ----------------------------------------------------------------------------------------------------------

alter table tidings.audit drop constraint audit_who_is_known;
alter table tidings.audit add constraint audit_who_is_known check (who in ('key', 'session', 'member', 'link', 'system'));
alter table tidings.audit drop constraint audit_key_is_bounded;
alter table tidings.audit add constraint audit_key_is_bounded check (length(key_name) <= 254);
comment on column tidings.audit.key_name is 'What that key was called then; of a member the address.';
