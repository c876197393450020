"""Answers kept under an idempotency key, so that a request that is sent twice is answered once."""
