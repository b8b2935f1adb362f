"""Command line: `antiphon` and its commands. Each command's module is imported when it runs, so --help is fast."""
