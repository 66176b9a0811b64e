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

-- What a caller may be asked for besides. Never read back.
ALTER TABLE shop.customers
    ADD COLUMN IF NOT EXISTS birth_date date;
ALTER TABLE shop.payments
    ADD COLUMN IF NOT EXISTS card_digits text CHECK (card_digits ~ '^[0-9]{4}$');

-- Where an order goes. A post code stands in the table already; what is empty here is the customer's own address.
ALTER TABLE shop.orders
    ADD COLUMN IF NOT EXISTS street text,
    ADD COLUMN IF NOT EXISTS city   text;

-- Made for one customer, so it cannot come back.
ALTER TABLE shop.order_items
    ADD COLUMN IF NOT EXISTS custom boolean NOT NULL DEFAULT false;

ALTER TABLE shop.payments
    ADD COLUMN IF NOT EXISTS status text NOT NULL DEFAULT 'paid'
        CHECK (status IN ('paid', 'pending', 'declined'));

-- What is on its way back, line by line. A line comes back once.
CREATE TABLE IF NOT EXISTS shop.return_items (
    order_number text NOT NULL,
    line         integer NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('return', 'exchange')),
    value_cents  integer NOT NULL CHECK (value_cents >= 0),
    reason       text NOT NULL,
    created_on   date NOT NULL,
    PRIMARY KEY (order_number, line),
    FOREIGN KEY (order_number, line) REFERENCES shop.order_items ON DELETE CASCADE
);

-- Money that goes back: once for a cancellation, once for what was returned.
CREATE TABLE IF NOT EXISTS shop.refunds (
    order_number text NOT NULL REFERENCES shop.orders ON DELETE CASCADE,
    cause        text NOT NULL CHECK (cause IN ('cancellation', 'return', 'exchange')),
    amount_cents integer NOT NULL CHECK (amount_cents > 0),
    created_on   date NOT NULL,
    PRIMARY KEY (order_number, cause)
);

CREATE TABLE IF NOT EXISTS shop.stock (
    item        text PRIMARY KEY,
    price_cents integer NOT NULL CHECK (price_cents >= 0),
    pieces      integer NOT NULL CHECK (pieces >= 0)
);

CREATE TABLE IF NOT EXISTS shop.exchanges (
    order_number text NOT NULL,
    line         integer NOT NULL,
    item         text NOT NULL REFERENCES shop.stock,
    created_on   date NOT NULL,
    PRIMARY KEY (order_number, line),
    FOREIGN KEY (order_number, line) REFERENCES shop.return_items ON DELETE CASCADE
);

-- Plus, by the year. `ends_on`: it was ended and runs out then.
CREATE TABLE IF NOT EXISTS shop.memberships (
    customer_id text PRIMARY KEY REFERENCES shop.customers ON DELETE CASCADE,
    price_cents integer NOT NULL CHECK (price_cents >= 0),
    since       date NOT NULL,
    renews_on   date NOT NULL,
    ends_on     date
);

-- A day and a part of it on which somebody is at home.
CREATE TABLE IF NOT EXISTS shop.appointments (
    order_number text PRIMARY KEY REFERENCES shop.orders ON DELETE CASCADE,
    day          date NOT NULL,
    part         text NOT NULL CHECK (part IN ('morning', 'afternoon', 'evening')),
    booked_on    date NOT NULL
);
CREATE INDEX IF NOT EXISTS appointments_by_day ON shop.appointments (day, part);

-- Where a parcel was seen.
CREATE TABLE IF NOT EXISTS shop.scans (
    order_number text NOT NULL REFERENCES shop.shipments ON DELETE CASCADE,
    at           timestamptz NOT NULL,
    place        text NOT NULL,
    event        text NOT NULL CHECK (event IN ('announced', 'picked_up', 'sorted', 'out_for_delivery', 'delivered')),
    PRIMARY KEY (order_number, at)
);

-- Money that came by card over the telephone, once per payment; never a card.
CREATE TABLE IF NOT EXISTS shop.card_payments (
    payment      text PRIMARY KEY,
    order_number text NOT NULL REFERENCES shop.orders ON DELETE CASCADE,
    amount_cents integer NOT NULL CHECK (amount_cents > 0),
    currency     text NOT NULL,
    confirmation text NOT NULL,
    paid_on      date NOT NULL
);

-- What the shop's HTTP service was asked to change, each under its key, with the answer it gave first.
CREATE TABLE IF NOT EXISTS shop.answered (
    key         text PRIMARY KEY,
    asked       text NOT NULL,
    answer      jsonb NOT NULL,
    answered_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What cancelling an order would come to. The rule stands here alone: whoever proposes and whoever does it ask this.
CREATE OR REPLACE VIEW shop.cancellations AS
SELECT o.number, o.customer_id, p.amount_cents, p.method,
       CASE WHEN o.status = 'cancelled' THEN 'already'
            WHEN o.status NOT IN ('processing', 'delayed') OR s.shipped_on IS NOT NULL THEN 'too_late'
            ELSE 'cancelled' END AS outcome
FROM shop.orders o
LEFT JOIN shop.payments p ON p.order_number = o.number
LEFT JOIN shop.shipments s ON s.order_number = o.number;

-- What is still to be paid for an order.
CREATE OR REPLACE VIEW shop.open_payments AS
SELECT o.number, o.customer_id, p.amount_cents, 'USD' AS currency,
       CASE WHEN o.status IN ('cancelled', 'returned') OR p.amount_cents = 0 THEN 'nothing_open'
            WHEN p.status = 'paid' THEN 'paid'
            ELSE 'ready' END AS outcome
FROM shop.orders o
JOIN shop.payments p ON p.order_number = o.number;

-- Another address, as long as the order has not left.
CREATE OR REPLACE VIEW shop.address_changes AS
SELECT o.number, o.customer_id, o.total_cents, o.street, o.city, o.post_code,
       CASE WHEN o.status = 'cancelled' THEN 'cancelled'
            WHEN o.status NOT IN ('processing', 'delayed') OR s.shipped_on IS NOT NULL THEN 'too_late'
            ELSE 'changed' END AS outcome
FROM shop.orders o
LEFT JOIN shop.shipments s ON s.order_number = o.number;

-- The lines of an order and whether each may come back on a day. Thirty days after delivery, the last one included.
CREATE OR REPLACE FUNCTION shop.return_lines(order_number text, customer_id text, today date)
RETURNS TABLE (line integer, item text, value_cents integer, outcome text)
LANGUAGE sql STABLE AS $$
    SELECT i.line, i.item, i.price_cents * i.quantity,
           CASE WHEN r.line IS NOT NULL OR o.status = 'returned' THEN 'already'
                WHEN o.status = 'cancelled' THEN 'cancelled'
                WHEN s.delivered_on IS NULL THEN 'not_delivered'
                WHEN i.custom THEN 'custom'
                WHEN $3 - s.delivered_on > 30 THEN 'too_late'
                ELSE 'started' END
    FROM shop.orders o
    JOIN shop.order_items i ON i.order_number = o.number
    LEFT JOIN shop.return_items r ON r.order_number = i.order_number AND r.line = i.line
    LEFT JOIN shop.shipments s ON s.order_number = o.number
    WHERE o.number = $1 AND o.customer_id = $2
$$;

-- Money that is due and was not sent: for a cancelled order, or for lines that came back and arrived.
CREATE OR REPLACE VIEW shop.refunds_due AS
SELECT o.number, o.customer_id, p.method, c.cause, c.amount_cents,
       CASE WHEN p.refunded_on IS NOT NULL OR f.order_number IS NOT NULL THEN 'already'
            WHEN c.cause IS NULL OR c.amount_cents = 0 OR p.status <> 'paid' THEN 'not_due'
            WHEN c.cause = 'return' AND r.received_on IS NULL THEN 'not_received'
            ELSE 'refunded' END AS outcome
FROM shop.orders o
LEFT JOIN shop.payments p ON p.order_number = o.number
LEFT JOIN shop.returns r ON r.order_number = o.number
LEFT JOIN LATERAL (
    SELECT CASE WHEN o.status = 'cancelled' THEN 'cancellation'
                WHEN r.order_number IS NOT NULL THEN 'return' END AS cause,
           CASE WHEN o.status = 'cancelled' OR o.status = 'returned' THEN p.amount_cents
                ELSE (SELECT coalesce(sum(i.value_cents), 0)::integer FROM shop.return_items i
                      WHERE i.order_number = o.number AND i.kind = 'return') END AS amount_cents
) c ON true
LEFT JOIN shop.refunds f ON f.order_number = o.number AND f.cause = c.cause;
