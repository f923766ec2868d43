"""The command line: docopt texts, configuration, what is printed, and the exit codes."""
