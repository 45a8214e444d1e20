"""What a PBX, as ctid is connected to it, can do."""

from enum import StrEnum


class Capability(StrEnum):
    """An ability a driver may lack; a command that needs it is then refused before anything is sent."""

    SUPERVISE = "supervise"
    """Listen, whisper and barge, switched live."""
    TAKE_OVER = "take_over"
    PIN = "pin"
    """Ask whoever answers a supervisor's phone for a PIN."""
    HAND_BACK = "hand_back"
    HEAR_CUSTOMER = "hear_customer"
    """Hear the customer alone, whatever the mode."""
    NOTICE_TONE = "notice_tone"
    """Sound a tone that the agent alone hears."""
    AGENT_COMMANDS = "agent_commands"
    """Log agents in and out of queues, pause and resume them."""
    CALL_COMMANDS = "call_commands"
    """Hang up and transfer calls, and keep with them that they are private."""
    PRIORITIZE = "prioritize"
    """Move up who waits in a queue."""
    RECORD = "record"
    """Keep the audio of a call."""
    MESSAGE = "message"
    """Send a text to a phone."""
    DIAL = "dial"
    """Call a number on an agent's behalf."""
