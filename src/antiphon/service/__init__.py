"""The service: the only place where the rooms meet. Faces call it, whatever protocol they speak."""
