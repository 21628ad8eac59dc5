"""Where calls come in: bytes in, service call, bytes out."""
