from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def get_weather(location: str) -> str:
    """Get the current weather in a location."""
    return f"It is sunny in {location}."


model = ChatOpenAI(model="auto", base_url="http://localhost:8080/v1", api_key="sl-...")

print(model.invoke("Translate to French: I love programming.").content)
for chunk in model.stream("Translate to German: I love programming."):
    print(chunk.text, end="")
print(model.bind_tools([get_weather]).invoke("What's the weather in London?").tool_calls)
