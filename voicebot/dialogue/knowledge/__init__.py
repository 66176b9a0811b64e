"""The deployment's articles: read from files, stored as chunks, found by full text, cited."""
