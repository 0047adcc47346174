"""Language models. What they are told and what they say; jobs are none of their business."""

from services.responder.engines.language_model import (
    CallPiece,
    End,
    LanguageModel,
    Piece,
    Prompt,
    RefusalPiece,
    SoundPiece,
    TextPiece,
)

__all__ = ["CallPiece", "End", "LanguageModel", "Piece", "Prompt", "RefusalPiece", "SoundPiece", "TextPiece"]
