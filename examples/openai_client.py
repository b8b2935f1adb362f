"""OpenAI's own package against Antiphon: only the address changes. Needs: pip install openai"""

import os
import sys

from openai import OpenAI

server = os.environ.get("ANTIPHON_SERVER", "http://127.0.0.1:7860")
path = sys.argv[1] if len(sys.argv) > 1 else "openai.mp3"

# Without keys on the server any key will do, but the package insists on one.
with OpenAI(base_url=f"{server}/v1", api_key="none") as client:
    print("models:", ", ".join(model.id for model in client.models.list()))
    speech = client.audio.speech.with_streaming_response
    with speech.create(model="tts-1", voice="alloy", input="The same client, another server.") as answer:
        answer.stream_to_file(path)
print(path)
