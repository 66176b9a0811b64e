-- What the server may ask the shop. One named query each: `-- name: NAME` and then the statement, with
-- %(parameters)s. Read only.

-- name: identity_by_order_number
-- The identity gate's look-up: customer_id, then one column per factor that must match.
SELECT customer_id, post_code
FROM shop.orders
WHERE number = %(order_number)s;

-- name: order_by_number
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
