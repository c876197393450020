#!/bin/sh
# What the Lambda Web Adapter starts when ResponseStreaming is on: the app as a server of its own.
PYTHONPATH="/opt/python:${LAMBDA_RUNTIME_DIR:-/var/runtime}${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
cd "${LAMBDA_TASK_ROOT:-/var/task}" || exit
exec python3.13 -m uvicorn --factory app:asgi_app --host 127.0.0.1 --port "${AWS_LWA_PORT:-8080}" \
  --loop asyncio --http h11 --ws none --no-server-header --no-access-log --log-level warning
