"""Parts of the engine `openai`."""
