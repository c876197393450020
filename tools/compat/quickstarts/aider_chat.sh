aider --openai-api-base http://localhost:8080/v1 --openai-api-key sl-... --model openai/auto \
  --no-git --no-show-model-warnings --no-check-update --yes-always --message 'What is a hash map?'
