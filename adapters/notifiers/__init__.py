"""Where alerts go: one channel a file. Channels send; `delivery` retries; nobody waits for a slow one."""
