from openai import OpenAI

client = OpenAI(base_url="http://localhost:8080/v1", api_key="sl-...")

file = client.files.create(file=("notes.txt", b"The sky is blue."), purpose="user_data")
print([each.filename for each in client.files.list()])
print(client.files.content(file.id).text)
print(client.files.delete(file.id).deleted)
