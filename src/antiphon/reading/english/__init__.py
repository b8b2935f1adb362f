"""English: how numbers, signs and abbreviations are read in English."""
