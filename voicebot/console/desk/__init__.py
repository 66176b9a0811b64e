"""The desk: pages for the people who take over, in a process that reads and acts through the REST API."""
