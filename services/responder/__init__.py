"""The responder: the next message of a conversation, by a language model."""
