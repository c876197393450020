"""Vector stores on a socket, by OpenAI's own SDK."""

from typing import Any

import openai

from tests.stores import Knowledge


class Served:
    """The functions of files and stores on a socket, and the one that works when a test says so."""

    def __init__(self, knowledge: Knowledge, url: str) -> None:
        self.knowledge = knowledge
        self.url = url
        self.client = self.openai(knowledge.api_key)
        self.stores = self.client.vector_stores

    def openai(self, api_key: str) -> openai.OpenAI:
        """The official client, without retries."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=api_key, max_retries=0)

    def upload(self, content: bytes | str, name: str = "notes.txt") -> str:
        """Upload a file; returns its id."""
        body = content.encode() if isinstance(content, str) else content
        return self.client.files.create(file=(name, body), purpose="user_data").id

    def work(self) -> None:
        """Do all that is in the queue."""
        while self.knowledge.deliver():
            pass

    def add(self, store: str, content: bytes | str, name: str = "notes.txt", **fields: Any) -> Any:
        """Take a file into a store and wait for it."""
        file_id = self.upload(content, name)
        self.stores.files.create(store, file_id=file_id, **fields)
        self.work()
        return self.stores.files.retrieve(file_id, vector_store_id=store)

    def texts(self, store: str, query: Any, **fields: Any) -> list[str]:
        """What is found, the nearest first."""
        return [each.content[0].text for each in self.stores.search(store, query=query, **fields)]
