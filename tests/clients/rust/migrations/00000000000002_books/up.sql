create table books (
    id bigserial primary key,
    author integer not null references authors (id),
    title text not null,
    price numeric(8, 2) not null default 0,
    at timestamptz not null default now(),
    day date,
    more jsonb,
    tags text[] not null default '{}',
    code uuid,
    data bytea,
    sold boolean not null default false,
    score double precision
);
create index books_author on books (author);
