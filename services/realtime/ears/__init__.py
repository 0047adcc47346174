"""How a session hears: its input as bytes becomes 16 kHz sound, probabilities of voice, and recordings to recognise.

ears       Ears: the models of a process, loaded once
listener   Listener: what one session has been sent
formats    what the bytes of a format mean
recording  Recording: sound that is kept until nobody asks for it any more
voices     Voices: the voice detector's steps of all sessions, taken together
turn       TurnModel: whether a speaker is through
log_mel    what the turn model is given
"""

from services.realtime.ears.ears import Ears, open_ears
from services.realtime.ears.listener import Listener

__all__ = ["Ears", "Listener", "open_ears"]
