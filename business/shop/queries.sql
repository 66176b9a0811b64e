-- What the server may ask the shop. One named query each: `-- name: NAME`, the scope that a tool needs for it,
-- the shape of a row (`?` may be null), and then the statement, with %(parameters)s. What changes something says
-- so (`-- changes: ...`); its statements run in order on one transaction, and the last one gives the rows.
-- A query without a scope is the server's own: no tool may ask it.

-- name: identity_by_order_number
-- The identity gate's look-up: customer_id, then one column per factor that must match.
SELECT customer_id, post_code
FROM shop.orders
WHERE number = %(order_number)s;

-- name: order_by_number
-- scope: orders:read
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
-- The customer behind the gate: how to address him, which rules are his, what he has agreed to.
SELECT coalesce(preferred_name, first_name) AS preferred_name, language, region, tier AS segment,
       consent_memory, consent_training
FROM shop.customers
WHERE id = %(customer_id)s;

-- name: open_orders
-- Orders of a customer that are not finished, newest first.
SELECT number, status
FROM shop.orders
WHERE customer_id = %(customer_id)s AND status IN ('processing', 'shipped', 'out_for_delivery', 'delayed')
ORDER BY placed_on DESC, number
LIMIT 5;
