"""One channel to its subscribers: rendered once, queued everywhere.

A subscription is *live* once its first frame is queued; before, and after its backlog was
dropped, it is *pending* and gets nothing: so no delta can come before its snapshot. The session
decides when there is room for a first frame (`Session.pump`). No I/O.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, NamedTuple

from app.streaming.outbox import Outbox

Reason = Literal["subscribe", "resync", "epoch"]


class FirstFrame(NamedTuple):
    """Where a channel stands: the text of a new subscriber's first frame, and its seq (0 if it has none)."""

    text: str
    seq: int


class Subscription:
    """One session's place in one public channel."""

    __slots__ = ("channel", "is_live", "on_pending", "outbox", "reason", "seq")

    def __init__(self, channel: "LiveChannel", outbox: Outbox, on_pending: Callable[["Subscription"], None]) -> None:
        self.channel = channel
        self.outbox = outbox
        self.on_pending = on_pending
        """Told when the subscription waits for a first frame, and again when one can be had."""
        self.is_live = False
        self.reason: Reason = "subscribe"
        self.seq = 0
        """Seq of the last frame queued."""

    def start_over(self, reason: Reason) -> None:
        """Get nothing more until a fresh first frame."""
        self.is_live = False
        self.reason = reason
        self.on_pending(self)

    def open(self) -> bool:
        """Queue the first frame and go live; False if the channel has none yet."""
        frame = self.channel.first_frame(self.reason)
        if frame is None:
            return False
        if self.channel.is_fact:
            self.outbox.put_fact(frame.text)
        elif not self.outbox.put_state(frame.text):
            return False
        self.is_live = True
        self.seq = frame.seq
        return True


class LiveChannel(ABC):
    """Base of the public channels; subclasses know the first frame."""

    is_fact = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.members: set[Subscription] = set()
        self.on_abandoned: Callable[[], object] = lambda: None
        """Told when the last subscriber left."""

    @abstractmethod
    def first_frame(self, reason: Reason) -> FirstFrame | None:
        """Return the frame a new subscriber starts from, or None while there is no state."""

    def leave(self, member: Subscription) -> None:
        """Let a subscriber go."""
        self.members.discard(member)
        if not self.members:
            self.on_abandoned()

    def publish(self, text: str, seq: int = 0) -> None:
        """Queue one frame for every live subscriber."""
        # A copy: a session that overflows leaves while it is told.
        if self.is_fact:
            for member in tuple(self.members):
                if member.is_live:
                    member.outbox.put_fact(text)
            return
        for member in tuple(self.members):
            if member.is_live and member.outbox.put_state(text):
                member.seq = seq

    def start_over(self, reason: Reason) -> None:
        """Let every subscriber wait for a fresh first frame."""
        for member in tuple(self.members):
            member.start_over(reason)

    def ready(self) -> None:
        """Tell waiting subscribers that there is a first frame."""
        for member in tuple(self.members):
            if not member.is_live:
                member.on_pending(member)
