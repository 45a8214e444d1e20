"""What ctid tells the outside: documents, events as CloudEvents, the topics they are on. Pure."""
