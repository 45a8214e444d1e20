"""Programs that write what is kept in the repository and made from its own tables."""
