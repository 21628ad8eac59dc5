"""What the promises cost, measured: `make bench`."""
