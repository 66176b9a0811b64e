-- What the server may ask the shop. One named query each: `-- name: NAME`, the scope that a tool needs for it,
-- the shape of a row (`?` may be null), and then the statement, with %(parameters)s. What changes something says
-- so (`-- changes: ...`); its statements run in order on one transaction, and the last one gives the rows.
-- A query without a scope is the server's own: no tool may ask it.

-- name: identity_by_order_number
-- row: customer_id text, post_code text, name text, birth_date date?, card_digits text?, phone text
-- The identity gate's look-up: customer_id, one column per factor that must match, and where a code is sent.
SELECT o.customer_id, o.post_code, c.first_name || ' ' || c.last_name AS name, c.birth_date, p.card_digits, c.phone
FROM shop.orders o
JOIN shop.customers c ON c.id = o.customer_id
LEFT JOIN shop.payments p ON p.order_number = o.number
WHERE o.number = %(order_number)s;

-- name: order_by_number
-- scope: orders:read
-- row: number text, status text, placed_on date, total_cents integer, carrier text?, shipped_on date?, due_on date?, delivered_on date?, paid_with text?, refunded_on date?, return_received_on date?, items text[]?
-- One order of one customer, with its parcel, its payment and its items.
SELECT o.number, o.status, o.placed_on, o.total_cents,
       s.carrier, s.shipped_on, s.due_on, s.delivered_on,
       p.method AS paid_with, p.refunded_on,
       r.received_on AS return_received_on,
       (SELECT array_agg(i.item ORDER BY i.line) FROM shop.order_items i WHERE i.order_number = o.number) AS items
FROM shop.orders o
LEFT JOIN shop.shipments s ON s.order_number = o.number
LEFT JOIN shop.payments p ON p.order_number = o.number
LEFT JOIN shop.returns r ON r.order_number = o.number
WHERE o.number = %(order_number)s AND o.customer_id = %(customer_id)s;

-- name: customer_profile
-- row: preferred_name text, language text, region text?, segment text, consent_memory boolean, consent_training boolean
-- The customer behind the gate: how to address him, which rules are his, what he has agreed to.
SELECT coalesce(preferred_name, first_name) AS preferred_name, language, region, tier AS segment,
       consent_memory, consent_training
FROM shop.customers
WHERE id = %(customer_id)s;

-- name: open_orders
-- row: number text, status text
-- Orders of a customer that are not finished, newest first.
SELECT number, status
FROM shop.orders
WHERE customer_id = %(customer_id)s AND status IN ('processing', 'shipped', 'out_for_delivery', 'delayed')
ORDER BY placed_on DESC, number
LIMIT 5;

-- name: parcel_of_order
-- scope: orders:read
-- row: status text, carrier text?, tracking text?, due_on date?, delivered_on date?, place text?, event text?, seen_at timestamp?
-- Where the parcel of an order was seen last.
SELECT o.status, s.carrier, s.tracking, s.due_on, s.delivered_on, c.place, c.event, c.at AS seen_at
FROM shop.orders o
LEFT JOIN shop.shipments s ON s.order_number = o.number
LEFT JOIN LATERAL (
    SELECT place, event, at FROM shop.scans WHERE order_number = o.number ORDER BY at DESC LIMIT 1
) c ON true
WHERE o.number = %(order_number)s AND o.customer_id = %(customer_id)s;

-- name: payment_of_order
-- scope: payments:read
-- row: status text, method text, amount_cents integer, paid_on date, cancelled boolean, refunded_on date?, refund_cents integer?, refund text?
-- How an order was paid, and what went back or is due.
SELECT p.status, p.method, p.amount_cents, p.paid_on, o.status = 'cancelled' AS cancelled,
       coalesce(f.created_on, p.refunded_on) AS refunded_on,
       coalesce(f.amount_cents, d.amount_cents) AS refund_cents, d.outcome AS refund
FROM shop.orders o
JOIN shop.payments p ON p.order_number = o.number
LEFT JOIN shop.refunds_due d ON d.number = o.number
LEFT JOIN LATERAL (
    SELECT sum(amount_cents)::integer AS amount_cents, max(created_on) AS created_on
    FROM shop.refunds WHERE order_number = o.number HAVING count(*) > 0
) f ON true
WHERE o.number = %(order_number)s AND o.customer_id = %(customer_id)s;

-- name: cancellation
-- scope: orders:read
-- row: outcome text, amount_cents integer?, method text?
SELECT outcome, amount_cents, method
FROM shop.cancellations
WHERE number = %(order_number)s AND customer_id = %(customer_id)s;

-- name: cancel_order
-- scope: orders:write
-- changes: orders, refunds
-- row: outcome text, amount_cents integer?, method text?
SELECT 1 FROM shop.orders WHERE number = %(order_number)s AND customer_id = %(customer_id)s FOR UPDATE;
WITH now_is AS (
    SELECT number, outcome, amount_cents, method FROM shop.cancellations
    WHERE number = %(order_number)s AND customer_id = %(customer_id)s
), cancelled AS (
    UPDATE shop.orders o SET status = 'cancelled' FROM now_is n WHERE o.number = n.number AND n.outcome = 'cancelled'
), repaid AS (
    INSERT INTO shop.refunds (order_number, cause, amount_cents, created_on)
    SELECT number, 'cancellation', amount_cents, %(today)s FROM now_is
    WHERE outcome = 'cancelled' AND amount_cents > 0
)
SELECT outcome, amount_cents, method FROM now_is;

-- name: address_of_order
-- scope: orders:read
-- row: outcome text, total_cents integer, street text?, city text?, post_code text
SELECT outcome, total_cents, street, city, post_code
FROM shop.address_changes
WHERE number = %(order_number)s AND customer_id = %(customer_id)s;

-- name: change_address
-- scope: orders:write
-- changes: orders
-- row: outcome text, total_cents integer, street text?, city text?, post_code text
SELECT 1 FROM shop.orders WHERE number = %(order_number)s AND customer_id = %(customer_id)s FOR UPDATE;
WITH now_is AS (
    SELECT * FROM shop.address_changes WHERE number = %(order_number)s AND customer_id = %(customer_id)s
), changed AS (
    UPDATE shop.orders o SET street = %(street)s, city = %(city)s, post_code = %(post_code)s
    FROM now_is n WHERE o.number = n.number AND n.outcome = 'changed'
    RETURNING o.number, o.street, o.city, o.post_code
)
SELECT n.outcome, n.total_cents, coalesce(c.street, n.street) AS street, coalesce(c.city, n.city) AS city,
       coalesce(c.post_code, n.post_code) AS post_code
FROM now_is n LEFT JOIN changed c ON c.number = n.number;

-- name: lines_of_order
-- scope: returns:read
-- row: line integer, item text, value_cents integer, outcome text
-- The lines of an order, and whether each may come back.
SELECT line, item, value_cents, outcome
FROM shop.return_lines(%(order_number)s, %(customer_id)s, %(today)s)
ORDER BY line;

-- name: start_return
-- scope: returns:write
-- changes: returns
-- row: line integer, value_cents integer, outcome text
-- Each of the lines that were asked for, as it was before; all of them are returned, or none.
SELECT 1 FROM shop.orders WHERE number = %(order_number)s AND customer_id = %(customer_id)s FOR UPDATE;
WITH wanted AS (
    SELECT line, value_cents, outcome FROM shop.return_lines(%(order_number)s, %(customer_id)s, %(today)s)
    WHERE line = ANY(%(lines)s::integer[])
), whole AS (
    SELECT bool_and(outcome = 'started') AND count(*) = cardinality(%(lines)s::integer[]) AS fine FROM wanted
), started AS (
    INSERT INTO shop.return_items (order_number, line, kind, value_cents, reason, created_on)
    SELECT %(order_number)s, line, 'return', value_cents, %(reason)s, %(today)s FROM wanted, whole WHERE fine
), noted AS (
    INSERT INTO shop.returns (order_number, reason, created_on)
    SELECT %(order_number)s, %(reason)s, %(today)s FROM whole WHERE fine
    ON CONFLICT (order_number) DO NOTHING
)
SELECT line, value_cents, outcome FROM wanted ORDER BY line;

-- name: in_stock
-- scope: stock:read
-- row: item text, price_cents integer, pieces integer
SELECT item, price_cents, pieces FROM shop.stock ORDER BY item;

-- name: exchange_item
-- scope: returns:write
-- changes: returns, exchanges, stock
-- row: line integer, value_cents integer, outcome text, item text, price_cents integer
SELECT 1 FROM shop.orders WHERE number = %(order_number)s AND customer_id = %(customer_id)s FOR UPDATE;
SELECT 1 FROM shop.stock WHERE item = %(to_item)s FOR UPDATE;
WITH now_is AS (
    SELECT l.line, l.value_cents, s.item, s.price_cents,
           CASE WHEN l.outcome <> 'started' THEN l.outcome
                WHEN s.pieces = 0 THEN 'out_of_stock'
                WHEN s.price_cents > l.value_cents THEN 'dearer'
                ELSE 'exchanged' END AS outcome
    FROM shop.return_lines(%(order_number)s, %(customer_id)s, %(today)s) l
    JOIN shop.stock s ON s.item = %(to_item)s
    WHERE l.line = %(line)s
), taken AS (
    UPDATE shop.stock s SET pieces = pieces - 1 FROM now_is n WHERE s.item = n.item AND n.outcome = 'exchanged'
), back AS (
    INSERT INTO shop.return_items (order_number, line, kind, value_cents, reason, created_on)
    SELECT %(order_number)s, line, 'exchange', value_cents, 'exchange', %(today)s FROM now_is
    WHERE outcome = 'exchanged'
    RETURNING order_number, line
), sent AS (
    INSERT INTO shop.exchanges (order_number, line, item, created_on)
    SELECT b.order_number, b.line, n.item, %(today)s FROM back b JOIN now_is n ON n.line = b.line
), repaid AS (
    INSERT INTO shop.refunds (order_number, cause, amount_cents, created_on)
    SELECT %(order_number)s, 'exchange', value_cents - price_cents, %(today)s FROM now_is
    WHERE outcome = 'exchanged' AND value_cents > price_cents
    ON CONFLICT (order_number, cause) DO UPDATE SET amount_cents = refunds.amount_cents + excluded.amount_cents
)
SELECT line, value_cents, outcome, item, price_cents FROM now_is;

-- name: refund_due
-- scope: payments:read
-- row: outcome text, amount_cents integer?, method text?
SELECT outcome, amount_cents, method
FROM shop.refunds_due
WHERE number = %(order_number)s AND customer_id = %(customer_id)s;

-- name: refund_order
-- scope: payments:write
-- changes: refunds
-- row: outcome text, amount_cents integer?, method text?
SELECT 1 FROM shop.orders WHERE number = %(order_number)s AND customer_id = %(customer_id)s FOR UPDATE;
WITH now_is AS (
    SELECT * FROM shop.refunds_due WHERE number = %(order_number)s AND customer_id = %(customer_id)s
), repaid AS (
    INSERT INTO shop.refunds (order_number, cause, amount_cents, created_on)
    SELECT number, cause, amount_cents, %(today)s FROM now_is WHERE outcome = 'refunded'
)
SELECT outcome, amount_cents, method FROM now_is;

-- name: open_payment
-- scope: payments:read
-- row: outcome text, amount_cents integer, currency text
SELECT outcome, amount_cents, currency
FROM shop.open_payments
WHERE number = %(order_number)s AND customer_id = %(customer_id)s;

-- name: book_payment
-- scope: cardmoney:write
-- changes: payments
-- row: outcome text
-- Money that has come is written down, whatever the order says by now. The server asks it; no tool has its scope.
SELECT 1 FROM shop.orders WHERE number = %(order_number)s AND customer_id = %(customer_id)s FOR UPDATE;
WITH now_is AS (
    SELECT n.number, CASE WHEN b.payment IS NOT NULL OR n.outcome = 'ready' THEN 'booked' ELSE n.outcome END AS outcome
    FROM shop.open_payments n
    LEFT JOIN shop.card_payments b ON b.payment = %(payment)s
    WHERE n.number = %(order_number)s AND n.customer_id = %(customer_id)s
), kept AS (
    INSERT INTO shop.card_payments (payment, order_number, amount_cents, currency, confirmation, paid_on)
    SELECT %(payment)s, number, %(amount_cents)s, %(currency)s, %(confirmation)s, %(today)s FROM now_is
    ON CONFLICT (payment) DO NOTHING
), paid AS (
    UPDATE shop.payments p SET status = 'paid', method = 'credit card', paid_on = %(today)s
    FROM now_is n WHERE p.order_number = n.number AND n.outcome = 'booked'
)
SELECT outcome FROM now_is;

-- name: membership
-- scope: memberships:read
-- row: price_cents integer, renews_on date, ends_on date?
SELECT price_cents, renews_on, ends_on FROM shop.memberships WHERE customer_id = %(customer_id)s;

-- name: change_membership
-- scope: memberships:write
-- changes: memberships
-- row: price_cents integer, renews_on date, ends_on date?, before date?
SELECT 1 FROM shop.memberships WHERE customer_id = %(customer_id)s FOR UPDATE;
WITH was AS (
    SELECT customer_id, ends_on FROM shop.memberships WHERE customer_id = %(customer_id)s
)
UPDATE shop.memberships m SET ends_on = CASE WHEN %(change)s = 'end' THEN m.renews_on END
FROM was WHERE m.customer_id = was.customer_id
RETURNING m.price_cents, m.renews_on, m.ends_on, was.ends_on AS before;

-- name: delivery_day
-- scope: deliveries:read
-- row: status text, carrier text?, due_on date?, taken integer, booked_day date?, booked_part text?
-- An order's delivery, and how many others are booked for that part of the day.
SELECT o.status, s.carrier, s.due_on,
       (SELECT count(*)::integer FROM shop.appointments a
        WHERE a.day = %(day)s AND a.part = %(part)s AND a.order_number <> o.number) AS taken,
       b.day AS booked_day, b.part AS booked_part
FROM shop.orders o
LEFT JOIN shop.shipments s ON s.order_number = o.number
LEFT JOIN shop.appointments b ON b.order_number = o.number
WHERE o.number = %(order_number)s AND o.customer_id = %(customer_id)s;

-- name: book_delivery
-- scope: deliveries:write
-- changes: appointments
-- row: outcome text, day date, part text
-- Whoever books a part of a day waits for the others who do.
SELECT pg_advisory_xact_lock(hashtextextended('delivery ' || %(day)s::text || ' ' || %(part)s, 0));
SELECT 1 FROM shop.orders WHERE number = %(order_number)s AND customer_id = %(customer_id)s FOR UPDATE;
WITH now_is AS (
    SELECT o.number,
           CASE WHEN o.status NOT IN ('processing', 'shipped', 'delayed') THEN 'too_late'
                WHEN (SELECT count(*) FROM shop.appointments a
                      WHERE a.day = %(day)s AND a.part = %(part)s AND a.order_number <> o.number) >= %(room)s
                THEN 'full' ELSE 'booked' END AS outcome
    FROM shop.orders o WHERE o.number = %(order_number)s AND o.customer_id = %(customer_id)s
), booked AS (
    INSERT INTO shop.appointments (order_number, day, part, booked_on)
    SELECT number, %(day)s, %(part)s, %(today)s FROM now_is WHERE outcome = 'booked'
    ON CONFLICT (order_number) DO UPDATE
    SET day = excluded.day, part = excluded.part, booked_on = excluded.booked_on
)
SELECT outcome, %(day)s::date AS day, %(part)s::text AS part FROM now_is;

-- name: phone_of_customer
-- scope: customers:read
-- row: phone text
SELECT phone FROM shop.customers WHERE id = %(customer_id)s;

-- name: own_identifiers
-- row: kind text, value text?
-- What the verified customer may say of himself, to be masked even when it is misheard. Kinds as in safety/pii/cues.py.
SELECT 'name' AS kind, first_name || ' ' || last_name AS value FROM shop.customers WHERE id = %(customer_id)s
UNION ALL SELECT 'email', email FROM shop.customers WHERE id = %(customer_id)s
UNION ALL SELECT 'phone number', phone FROM shop.customers WHERE id = %(customer_id)s
UNION ALL SELECT 'address', street FROM shop.orders WHERE customer_id = %(customer_id)s AND street IS NOT NULL
UNION ALL SELECT 'order number', number FROM shop.orders WHERE customer_id = %(customer_id)s;

-- name: customer_identifiers
-- row: customer text, kind text, value text?
-- What points at one customer, for the output guard: orders, phones, addresses of the net, tracking numbers, full
-- names, and a post code beside the last name. In pages of customers, in their order.
WITH page AS (
    SELECT * FROM shop.customers WHERE id > %(after)s ORDER BY id LIMIT %(page)s
)
SELECT id AS customer, 'phone' AS kind, phone AS value FROM page
UNION ALL SELECT id, 'mail', email FROM page
UNION ALL SELECT id, 'code', id FROM page
UNION ALL SELECT id, 'name', first_name || ' ' || last_name FROM page
UNION ALL SELECT id, 'place', post_code || ' ' || last_name FROM page
UNION ALL SELECT o.customer_id, 'order', o.number FROM shop.orders o JOIN page p ON p.id = o.customer_id
UNION ALL SELECT o.customer_id, 'place', o.post_code || ' ' || p.last_name
    FROM shop.orders o JOIN page p ON p.id = o.customer_id WHERE o.post_code <> p.post_code
UNION ALL SELECT o.customer_id, 'code', s.tracking
    FROM shop.shipments s JOIN shop.orders o ON o.number = s.order_number JOIN page p ON p.id = o.customer_id;
