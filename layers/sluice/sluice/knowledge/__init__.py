"""Knowledge: stores of documents that are found by what they mean."""
