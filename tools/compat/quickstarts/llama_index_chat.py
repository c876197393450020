from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

llm = OpenAILike(model="auto", api_base="http://localhost:8080/v1", api_key="sl-...", is_chat_model=True)

print(llm.complete("Paul Graham is "))
for chunk in llm.stream_chat([ChatMessage(role="user", content="What is your name")]):
    print(chunk.delta, end="")
