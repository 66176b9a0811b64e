"""Recording: format, writer, reader."""
