#!/bin/sh
# Makes voicebot/audio/engines/engines_pb2.py and .pyi from engines.proto (grpcio-tools, a development
# dependency). Both are committed: a user of the package needs no protoc. Run from the repository root.
set -eu
cd "$(dirname "$0")/.."
PYTHON="${PYTHON:-.venv/bin/python}"
"$PYTHON" -m grpc_tools.protoc -I. --python_out=. --pyi_out=. voicebot/audio/engines/engines.proto
# protoc's stubs name bare generics; strict checking is for what people wrote.
sed -i '1i # pyright: basic' voicebot/audio/engines/engines_pb2.pyi
