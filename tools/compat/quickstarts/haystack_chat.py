from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.utils import Secret

generator = OpenAIChatGenerator(
    model="auto", api_base_url="http://localhost:8080/v1", api_key=Secret.from_token("sl-...")
)

result = generator.run([ChatMessage.from_user("What's Natural Language Processing?")])
print(result["replies"][0].text)
