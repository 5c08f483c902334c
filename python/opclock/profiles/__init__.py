"""One board's measurements in one file."""
