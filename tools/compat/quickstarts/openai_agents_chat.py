from agents import Agent, Runner, function_tool, set_default_openai_api, set_default_openai_client, set_tracing_disabled
from openai import AsyncOpenAI

set_default_openai_client(AsyncOpenAI(base_url="http://localhost:8080/v1", api_key="sl-..."))
set_default_openai_api("chat_completions")
set_tracing_disabled(True)


@function_tool
def get_weather(city: str) -> str:
    return f"The weather in {city} is sunny."


agent = Agent(name="Hello world", instructions="You are a helpful agent.", model="auto", tools=[get_weather])

result = Runner.run_sync(agent, input="What's the weather in Tokyo?")
print(result.final_output)
