"""What operators' tools read over plain HTTP."""
