import json
import time

from openai import OpenAI

client = OpenAI(base_url="http://localhost:8080/v1", api_key="sl-...")

lines = [
    {
        "custom_id": f"request-{number}",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "auto", "messages": [{"role": "user", "content": f"What is {number} squared?"}]},
    }
    for number in range(3)
]
content = "\n".join(json.dumps(line) for line in lines)
file = client.files.create(file=("requests.jsonl", content.encode()), purpose="batch")
batch = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
while batch.status not in ("completed", "failed", "expired", "cancelled"):
    time.sleep(1)
    batch = client.batches.retrieve(batch.id)
print(batch.status)
print(client.files.content(batch.output_file_id).text)
