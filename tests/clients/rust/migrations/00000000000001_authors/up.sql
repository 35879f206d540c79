create table authors (id serial primary key, name varchar not null);
