"""Sluice, a serverless LLM gateway."""

import logging

# pyproject.toml's, which no layer holds; a test keeps them equal.
__version__ = "0.1.0"

# In Lambda's JSON log format the root logger lets INFO through, at which these log each request: httpx its whole URL,
# whose query may hold a key. Set here, where no function can forget it.
for _name in ("boto3", "botocore", "groq", "httpcore", "httpx", "httpx2", "huggingface_hub", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)
