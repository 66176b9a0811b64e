"""Speech models in their own processes, and the clients that talk to them."""
