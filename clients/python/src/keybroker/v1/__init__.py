"""The API of Keybroker, version 1, generated from `protos/keybroker/v1` by `make proto`."""
