"""Jobs: accepted, planned, run, finished, cancelled and recovered, whatever their kind."""
