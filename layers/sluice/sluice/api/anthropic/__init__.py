"""Anthropic's Messages API: requests, answers and events from and to those of a chat. Pure but for `routes`."""
