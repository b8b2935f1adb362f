"""Text before it is spoken. Entry points: `markup.parse`, `normalise.clean`, `language.detect`, `segment.segment`,
`incremental.Splitter`, `chapters.split`, `length.length`, `emotion_words.emotion_weights`, `transcript`.

A submodule is imported by name, since `segment` loads the sentence splitter.
"""

#: The modules that other rooms use; the rest is this room's own.
__all__ = [
    "chapters",
    "emotion_words",
    "incremental",
    "language",
    "length",
    "markup",
    "normalise",
    "segment",
    "spans",
    "transcript",
]
