"""The HTTP faces: the article's, OpenAI's, and our own. They validate, ask the service, and answer."""
