"""Decide when the parent and a worker pass messages through memory instead of the socket.

`mailbox.py` is how; this is when, and only the parent decides. Looking costs the core that it is
done on, so it begins when messages follow each other closely, and stops when it brings nothing:
because the worker computes for long, or because the two share a core.
"""

from time import monotonic

from micro_agi.sandbox.mailbox import INVITATION, ParentEnd
from micro_agi.sandbox.wire import HEADER

CLOSE_S = 100e-6
"""A message that comes no later after an answer belongs to the same row of messages."""
A_ROW = 8
"""Messages of a row before the worker is invited: it then moves to another core, which takes as
long as it saves in two or three calls."""
AWAKE_S = 20e-6
"""A worker on a core of its own looks for the next message for longer."""
BLIND = (0, 4, 16, 64)
"""Messages through the socket after so many looks in vain. One may be in vain by chance: a tick of
the clock takes 50 µs in a virtual machine."""
MAKES_UP = 1 / 16
"""So much of a look in vain is made up for by one that finds something."""
LOOKED_S = 150e-6
"""The longest look of a worker."""
LATE_NOTICES = 128
"""What an honest worker may have sent that nobody has read yet: one for each message that was taken
here since the event loop had its turn before the last (`worker_channel.IN_PLACE_TIMES`)."""


class Talk:
    """One worker's mailbox, and how well it went so far."""

    def __init__(self, mailbox: ParentEnd) -> None:
        self._mailbox = mailbox
        self.looks = False
        """The worker's next message may come here."""
        self.late_notices = 0
        """How many may come. Fewer than none: the worker invents them."""
        self._well = False
        """The last message and its answer came here."""
        self.awake_s = 0.0
        """How long the worker computed or looked here since the message before: of the last answer
        that came here, or of the last frame that `say` returned."""
        self._vain_looks = 0.0
        self._blind = 0
        """Messages until the next look."""
        self._in_a_row = 0
        """Messages that followed closely on an answer."""
        self._heard_at = 0.0

    def say(self, payload: bytes, *, quick: bool) -> bytes:
        """Put a message into the mailbox, or return the frame for the socket; then call `said`.

        `quick`: this worker answers fast enough to wait for it in place.
        """
        mailbox = self._mailbox
        if self._well and mailbox.put(payload, look=True):
            self.looks = True
            return b""
        # What the worker may have looked for this message, in vain.
        self.awake_s = LOOKED_S if mailbox.talking else 0.0
        look = quick and self._may_look()
        self._well = False
        if mailbox.talking:
            self.looks = look
            if mailbox.put(payload, look=look):
                return b""
        header = len(payload)
        if not mailbox.talking:
            self.looks = False
            if look:
                mailbox.invite()
                header |= INVITATION
        return HEADER.pack(header) + payload

    def said(self, frame: bytes) -> None:
        """Note that the frame that `say` returned is in the socket."""
        if self._mailbox.talking and not frame[HEADER.size - 1] & INVITATION >> 24:
            self._mailbox.sent()

    def _may_look(self) -> bool:
        since = monotonic() - self._heard_at
        if since > CLOSE_S:
            self._in_a_row = 0
            return False
        self._in_a_row += 1
        if self._blind:
            self._blind -= 1
        elif self._mailbox.given_up and since < AWAKE_S:
            # It looked in vain while this side went on: it has no core of its own.
            self._in_vain()
        return not self._blind and self._in_a_row > A_ROW

    def _in_vain(self) -> None:
        self._blind = BLIND[int(self._vain_looks)]
        self._vain_looks = min(self._vain_looks + 1, len(BLIND) - 1)

    def listen(self) -> bytes | None:
        """Return the worker's message if it comes here, and at once.

        None: it will come through the socket. If `owes_a_notice`, the worker needs one.
        """
        self.looks = False
        mailbox = self._mailbox
        if not mailbox.look():
            self._in_vain()
            if self._blind:
                self._well = False
            return None
        message = self.noticed()
        if mailbox.both_ways:
            self._well = True
            self._vain_looks = max(0.0, self._vain_looks - MAKES_UP)
        now = monotonic()
        self.awake_s = now - self._heard_at
        self._heard_at = now
        return message

    def noticed(self) -> bytes | None:
        """Return the message that is in the mailbox now, if there is one."""
        message = self._mailbox.take()
        if message is not None and self.late_notices < LATE_NOTICES:
            self.late_notices += 1
        return message

    @property
    def owes_a_notice(self) -> bool:
        """Whether the last message to the worker is in the mailbox and was not taken."""
        return self._mailbox.owes_a_notice

    def heard(self) -> None:
        """Note that a message came through the socket."""
        self._heard_at = monotonic()
        if self._mailbox.talking:
            self._mailbox.heard()

    def close(self) -> None:
        """Give the memory back."""
        self._mailbox.close()
