"""OpenAI's older text completions: requests, answers and chunks from and to those of a chat. Pure but for `routes`."""
