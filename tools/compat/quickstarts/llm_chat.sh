export LLM_USER_PATH=$PWD/llm
mkdir -p "$LLM_USER_PATH"
cat > "$LLM_USER_PATH/extra-openai-models.yaml" <<YAML
- model_id: sluice
  model_name: auto
  api_base: http://localhost:8080/v1
  api_key_name: sluice
YAML
llm keys set sluice --value sl-...
llm -m sluice 'Ten fun names for a pet pelican'
