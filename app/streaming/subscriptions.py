"""The public channels of one session: joining, first frames when there is room, and starting over.

A channel's first frame is queued only while the backlog is low: so two hundred large snapshots
do not fill the outbox at once, and a session that lagged gets fresh ones when it has caught up.
"""

from app import metrics
from app.errors import ApiError
from app.protocol.channels import PublicChannel, PublicKind
from app.protocol.messages import BookOptions, Lagging, encode_frame
from app.streaming.book_channels import RAW
from app.streaming.fanout import LiveChannel, Subscription
from app.streaming.outbox import Outbox


class Subscriptions:
    """Implements what the session does with its public channels, by name."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._by_name: dict[str, Subscription] = {}
        self._pending: dict[str, Subscription] = {}
        """Those that wait for a first frame, oldest first."""

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def names(self) -> list[str]:
        """Return what is joined, in that order."""
        return list(self._by_name)

    def join(self, channel: LiveChannel) -> None:
        """Join a channel, or start it over; its first frame comes with the next `pump`."""
        name = channel.name
        subscription = self._by_name.get(name)
        if subscription is not None and subscription.channel is not channel:
            # The same book under other options.
            self.leave(name)
            subscription = None
        if subscription is None:
            subscription = Subscription(channel, self._outbox, self._on_pending)
            self._by_name[name] = subscription
            channel.members.add(subscription)
            metrics.CHANNELS_OPEN.inc()
        elif not channel.is_fact:
            # Facts go on while their first frame is repeated: none in between may be missed.
            subscription.is_live = False
            subscription.reason = "resync"
        self._pending[name] = subscription

    def leave(self, name: str) -> bool:
        """Leave a channel; says whether it was joined."""
        subscription = self._by_name.pop(name, None)
        if subscription is None:
            return False
        self._pending.pop(name, None)
        subscription.is_live = False
        subscription.channel.leave(subscription)
        metrics.CHANNELS_OPEN.dec()
        return True

    def pump(self) -> None:
        """Queue the first frames that are waited for, as far as there is room."""
        for name, subscription in tuple(self._pending.items()):
            if not self._outbox.has_room:
                return
            if subscription.open():
                self._pending.pop(name, None)

    def lag(self) -> None:
        """Start all state channels over: what waited for the reader was dropped."""
        lagging = [
            (name, subscription)
            for name, subscription in self._by_name.items()
            if subscription.is_live and not subscription.channel.is_fact
        ]
        for name, subscription in lagging:
            subscription.is_live = False
            subscription.reason = "resync"
            self._pending[name] = subscription
        if lagging:
            self._outbox.put_fact(encode_frame(Lagging(channels=[name for name, _ in lagging])))

    def books(self) -> str:
        """Return the inside of a heartbeat's `books`: seq sent by symbol."""
        return ",".join(
            [
                f'"{name.partition(":")[2]}":{subscription.seq}'
                for name, subscription in self._by_name.items()
                if subscription.is_live and name.startswith("orderbook:")
            ]
        )

    def _on_pending(self, subscription: Subscription) -> None:
        self._pending[subscription.channel.name] = subscription
        self.pump()


def options_of(channel: PublicChannel, options: BookOptions | None) -> BookOptions:
    """Return a channel's options, the default being everything. Raises ApiError if it takes none."""
    if options is None:
        return RAW
    if channel.kind is not PublicKind.ORDERBOOK:
        raise ApiError("invalid_request", "Only order books take options.", field="options")
    return options
