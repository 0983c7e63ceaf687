"""Close codes of `GET /v1/stream`: why the server ends a session."""

from enum import IntEnum


class Close(IntEnum):
    """Code of the close frame."""

    TOO_BIG = 1009
    RESTART = 1012
    AUTHENTICATION_FAILED = 4001
    TOKEN_EXPIRED = 4002
    IDLE = 4003
    """Neither authenticated nor subscribed in time."""
    TIMEOUT = 4007
    """Nothing could be written for too long, or no ping was answered."""
    SLOW_CONSUMER = 4008
    RATE_LIMITED = 4009
    PROTOCOL_ERROR = 4013

    @property
    def reason(self) -> str:
        """Return the text beside the code."""
        return self.name.lower()
