"""The one truth: `Store.apply(fact)` returns what changed. Pure, time is an argument."""
