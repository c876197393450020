"""Vector stores, as OpenAI's API has them."""
