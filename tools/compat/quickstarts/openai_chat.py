from openai import OpenAI

client = OpenAI(base_url="http://localhost:8080/v1", api_key="sl-...")

completion = client.chat.completions.create(
    model="auto",
    messages=[
        {"role": "developer", "content": "Talk like a pirate."},
        {"role": "user", "content": "How do I check if a Python object is an instance of a class?"},
    ],
)
print(completion.choices[0].message.content)

stream = client.chat.completions.create(
    model="auto",
    messages=[{"role": "user", "content": "Say this is a test"}],
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="")
