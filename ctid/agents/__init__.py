"""Commands to agents: in and out of queues, pauses, and the work after a call."""
