"""Audio: PCM in, encoded audio and subtitles out."""
