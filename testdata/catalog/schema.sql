CREATE TABLE customers (
    id serial PRIMARY KEY,
    name varchar(20) NOT NULL UNIQUE,
    score numeric(10,2) DEFAULT 0,
    tags int[],
    at timestamptz(3) DEFAULT now()
);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer int NOT NULL,
    note text,
    total numeric CHECK (total = abs(total)),
    twice numeric GENERATED ALWAYS AS (total + total) STORED,
    "Key" char(3),
    CONSTRAINT orders_customer_fkey FOREIGN KEY (customer) REFERENCES customers(id)
        ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED
);
CREATE UNIQUE INDEX orders_note ON orders (note DESC, customer) INCLUDE (total) WHERE note IS NOT NULL;
CREATE INDEX orders_lower ON orders (lower(note));
CREATE VIEW totals AS SELECT customer, total FROM orders;
CREATE SEQUENCE invoice START WITH 5 CACHE 1 CYCLE;
CREATE SCHEMA store;
CREATE TABLE store.stock (item int, shelf smallint, PRIMARY KEY (item, shelf));
COMMENT ON TABLE customers IS 'Who buys';
COMMENT ON COLUMN customers.name IS 'As on the letter box';
