"""The control API: training as jobs, and releases, evidence and promotion over HTTP; closed without a token."""
