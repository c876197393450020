from openai import OpenAI

client = OpenAI(base_url="http://localhost:8080/v1", api_key="sl-...")

for model in client.models.list():
    print(model.id)
