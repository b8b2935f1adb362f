"""What is spoken, before anybody speaks it: clean text, its language, its segments."""
