-- The shop's system of record: customers, orders, what was paid, sent and came back. It belongs to this
-- deployment, not to the server; the server reads it through queries.sql and applies this file at start
-- (every statement may run again).

CREATE SCHEMA IF NOT EXISTS shop;

CREATE TABLE IF NOT EXISTS shop.customers (
    id         text PRIMARY KEY CHECK (id ~ '^cu_[0-9]{5}$'),
    first_name text NOT NULL,
    last_name  text NOT NULL,
    email      text NOT NULL UNIQUE,
    phone      text NOT NULL,
    post_code  text NOT NULL CHECK (post_code ~ '^[0-9]{5}$'),
    city       text NOT NULL,
    tier       text NOT NULL DEFAULT 'standard' CHECK (tier IN ('standard', 'plus')),
    created_on date NOT NULL
);

-- How the customer likes to be spoken to, and what he has agreed to.
ALTER TABLE shop.customers
    ADD COLUMN IF NOT EXISTS preferred_name   text,
    ADD COLUMN IF NOT EXISTS language         text NOT NULL DEFAULT 'en',
    ADD COLUMN IF NOT EXISTS region           text,
    ADD COLUMN IF NOT EXISTS consent_memory   boolean NOT NULL DEFAULT true,
    ADD COLUMN IF NOT EXISTS consent_training boolean NOT NULL DEFAULT false;

CREATE TABLE IF NOT EXISTS shop.orders (
    number      text PRIMARY KEY CHECK (number ~ '^[0-9]{6}$'),
    customer_id text NOT NULL REFERENCES shop.customers,
    status      text NOT NULL CHECK (status IN
        ('processing', 'shipped', 'out_for_delivery', 'delivered', 'delayed', 'cancelled', 'returned')),
    post_code   text NOT NULL CHECK (post_code ~ '^[0-9]{5}$'),
    total_cents integer NOT NULL CHECK (total_cents >= 0),
    placed_on   date NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_by_customer ON shop.orders (customer_id, placed_on DESC);

CREATE TABLE IF NOT EXISTS shop.order_items (
    order_number text NOT NULL REFERENCES shop.orders ON DELETE CASCADE,
    line         integer NOT NULL CHECK (line > 0),
    item         text NOT NULL,
    quantity     integer NOT NULL CHECK (quantity > 0),
    price_cents  integer NOT NULL CHECK (price_cents >= 0),
    PRIMARY KEY (order_number, line)
);

CREATE TABLE IF NOT EXISTS shop.shipments (
    order_number text PRIMARY KEY REFERENCES shop.orders ON DELETE CASCADE,
    carrier      text NOT NULL,
    tracking     text NOT NULL UNIQUE,
    shipped_on   date,
    due_on       date NOT NULL,
    delivered_on date
);

CREATE TABLE IF NOT EXISTS shop.payments (
    order_number text PRIMARY KEY REFERENCES shop.orders ON DELETE CASCADE,
    method       text NOT NULL CHECK (method IN ('credit card', 'debit card', 'gift card', 'installments')),
    amount_cents integer NOT NULL CHECK (amount_cents >= 0),
    paid_on      date NOT NULL,
    refunded_on  date
);

CREATE TABLE IF NOT EXISTS shop.returns (
    order_number text PRIMARY KEY REFERENCES shop.orders ON DELETE CASCADE,
    reason       text NOT NULL,
    received_on  date,
    created_on   date NOT NULL
);
