"""One file a verb of the command line, and the worker that panel and page talk to."""
