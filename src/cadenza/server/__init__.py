"""The service over HTTP: jobs, streams, and the page. It asks and answers; the work is in jobs."""
