"""The command line. Every command's own module is imported when the command runs, so that --help is quick."""
