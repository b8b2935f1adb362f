"""The schedule: who goes next, what it costs, when it will be done, and whether more is taken."""
