from anthropic import Anthropic

client = Anthropic(base_url="http://localhost:8080", api_key="sl-...")

message = client.messages.create(
    max_tokens=1024,
    messages=[{"role": "user", "content": "Hello, Claude"}],
    model="auto",
)
print(message.content[0].text)

with client.messages.stream(
    max_tokens=1024,
    messages=[{"role": "user", "content": "Say hello there!"}],
    model="auto",
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
