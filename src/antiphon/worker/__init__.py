"""Worker processes: the frames on their pipe, the child's life, its parent's side, and what keeps them running."""
