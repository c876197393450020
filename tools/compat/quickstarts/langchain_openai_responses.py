from langchain_openai import ChatOpenAI

model = ChatOpenAI(model="auto", base_url="http://localhost:8080/v1", api_key="sl-...", use_responses_api=True)

print(model.invoke("Translate to French: I love programming.").text)
