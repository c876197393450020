from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url="http://localhost:8080/v1", api_key="sl-...")
agent = Agent(OpenAIResponsesModel("auto", provider=provider), instructions="Be concise, reply with one sentence.")

result = agent.run_sync('Where does "hello world" come from?')
print(result.output)
