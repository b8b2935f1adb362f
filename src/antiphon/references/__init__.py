"""References: recordings whose voices are cloned; each belongs to one owner."""
