"""Batches: requests from a file, answered when there is quota left, by whatever takes messages from a queue.

Read `worker` first; `splitting` comes before it and `closing` after.
"""
