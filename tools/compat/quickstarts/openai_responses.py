from openai import OpenAI

client = OpenAI(base_url="http://localhost:8080/v1", api_key="sl-...")

response = client.responses.create(
    model="auto",
    instructions="You are a coding assistant that talks like a pirate.",
    input="How do I check if a Python object is an instance of a class?",
)
print(response.output_text)

stream = client.responses.create(model="auto", input="Write a one-sentence bedtime story.", stream=True)
for event in stream:
    if event.type == "response.output_text.delta":
        print(event.delta, end="")
