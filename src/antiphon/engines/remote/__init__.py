"""Another speech server as an engine (`openai`). Entry point: `engine.OpenAI`."""
