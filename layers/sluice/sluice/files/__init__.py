"""Files of callers: what batches are made of and what they answer."""
