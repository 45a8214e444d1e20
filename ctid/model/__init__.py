"""Pure data that every room shares: ids, facts, entities, commands, errors. Imports nothing of ctid."""
