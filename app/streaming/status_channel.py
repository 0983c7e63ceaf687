"""The channel `status`: the mode of the exchange with its reasons, whole in every frame."""

import time
from collections.abc import Callable

from app.protocol.channels import PublicKind
from app.protocol.messages import Status, encode_frame
from app.protocol.modes import ExchangeStatus
from app.protocol.shapes import timestamp_text
from app.streaming.fanout import FirstFrame, LiveChannel, Reason


class StatusChannel(LiveChannel):
    """State: a reader that lags gets the newest."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        super().__init__(PublicKind.STATUS)
        self._now_ns = now_ns
        self._text: str | None = None

    def first_frame(self, reason: Reason) -> FirstFrame | None:
        """Return how it is now, or None until that is known."""
        return None if self._text is None else FirstFrame(self._text, 0)

    def show(self, status: ExchangeStatus) -> None:
        """Tell every subscriber."""
        ts = timestamp_text(self._now_ns())
        self._text = encode_frame(Status(channel="status", mode=status.mode.value, reasons=status.reasons, ts=ts))
        self.publish(self._text)
        self.ready()
