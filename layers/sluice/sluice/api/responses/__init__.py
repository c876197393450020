"""Responses, as OpenAI's API has them: /v1/responses.

`routes` declares them; all else is imported when one of them is called. `items`, `options` and `request` translate
what is asked into the one request type, `answer` and `events` what is answered from it, whole and streamed: all of
them pure. `searching` asks again, with what was found, where a model searches files.
"""
