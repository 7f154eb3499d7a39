"""What the pages read, a file for each page, kept for a moment so that many viewers cost as much as one."""
