"""Sources and their structure: one connector a file, the catalogue, the collected table."""
