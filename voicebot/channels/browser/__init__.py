"""Sound and messages between a browser and this server, over WebRTC. `peer` is the door."""
