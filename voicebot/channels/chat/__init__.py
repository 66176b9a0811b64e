"""Text chat: the same dialogue as on the phone, written. `service` runs turns, `router` serves them."""
