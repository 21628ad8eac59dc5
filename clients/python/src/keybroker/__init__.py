"""Python client of Keybroker: the generated messages and stubs of its API (`keybroker.v1`)."""
