"""Stats: what happened to jobs, units and requests, counted."""
