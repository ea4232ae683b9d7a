"""Looking at runs: pictures. Nothing but the command line imports it."""
