"""What people look at: the REST API and live streams."""
