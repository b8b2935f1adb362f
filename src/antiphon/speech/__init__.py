"""Speech: a text becomes a plan, its segments become audio, the audio becomes an answer."""
