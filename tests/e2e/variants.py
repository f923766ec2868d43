"""Other people's programs, as variants of the reference ones, and what each of them can carry.

    peer variant       edition  takes whole from others                gives whole to others
    -----------------  -------  -------------------------------------  -----------------------------------------------------
    recv-2048          1, 2     directories and files to 2,048 bytes   everything
    recv-8192          1        directories and files to 8,192 bytes   everything
                       2        files to 8 KiB less the header         everything
    short-read         1        everything up to 8 MiB                 everything
                       2        files to 8 KiB less the header         everything
    close-late         1, 2     everything                             everything, a second later
    never-close        1, 2     everything                             everything
    close-middle       1        everything                             nothing: each stump looks whole, so here it has no files
                       2        everything                             empty files
    close-middle-once  1        everything                             everything to `--verify-classic=twice`
                       2        everything                             everything
    pieces-1024        1, 2     everything                             everything
    die-on-dead        1, 2     everything, while nobody dead is told  everything
    constant-port      1, 2     everything                             everything

    tracker variant  edition  carries
    ---------------  -------  ---------------------------------------------------------------------------
    refuse-extra     1, 2     everything, for those who send no key too many
    float-mtime      1, 2     everything
    no-newline       2        peers of ours; the reference peer of edition 2 waits for the newline
    pieces-200       1, 2     everything
    dead-forever     1, 2     everything but the files of the dead

What edition 2 cannot take whole it refuses; edition 1 stores the stump, in its own folder. Called by `test_compatibility.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

EVERYTHING: Final = math.inf
TO_8_KIB_LESS_THE_HEADER: Final = 8192 - 30
FITTING_CROWD: Final = 12
"""With so many names on top, a directory is shorter than 2,048 bytes if it is spelt compactly, and longer if not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A reference peer with one habit; `takes` and `gives` are the largest sizes that pass whole, by edition."""

    quirk: str = ""
    takes: Mapping[int, float] = field(default_factory=lambda: {1: EVERYTHING, 2: EVERYTHING})
    gives: Mapping[int, float] = field(default_factory=lambda: {1: EVERYTHING, 2: EVERYTHING})
    with_ghost: bool = False
    second_comes_late: bool = False
    words_of_ours: tuple[str, ...] = ()


PLAIN: Final = Variant()
RECV_2048: Final = Variant(quirk="recv-2048", takes={1: 2048, 2: 2048})
READERS: Final = (
    RECV_2048,
    Variant(quirk="recv-8192", takes={1: 8192, 2: TO_8_KIB_LESS_THE_HEADER}),
    Variant(quirk="short-read", takes={1: EVERYTHING, 2: TO_8_KIB_LESS_THE_HEADER}),
)
OTHERS: Final = (
    Variant(quirk="die-on-dead", with_ghost=True),
    Variant(quirk="constant-port", second_comes_late=True),
    Variant(quirk="close-late"),
    Variant(quirk="never-close"),
    Variant(quirk="close-middle", gives={1: 0, 2: 0}),
    Variant(quirk="close-middle-once", words_of_ours=("--verify-classic=twice",)),
    Variant(quirk="pieces-1024"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One swarm: `tracker` as in `Cluster.any_tracker`; no `variant` leaves the two of ours alone. `crowd`: names on top."""

    variant: Variant | None = PLAIN
    edition: int
    tracker: str
    tracker_quirk: str = ""
    crowd: int = 0

    @property
    def hides_the_directory(self) -> bool:
        """Whether the directory is longer than what the variant reads of it."""
        return self.variant is not None and self.variant.quirk == "recv-2048" and self.crowd > FITTING_CROWD

    def __str__(self) -> str:
        who = (self.variant.quirk if self.variant else "") or f"tracker-{self.tracker_quirk}"
        return f"{who}-edition-{self.edition}-{self.tracker}" + (f"-{self.crowd}-more" if self.crowd else "")


CASES: Final = (
    *(
        Case(variant=variant, edition=edition, tracker=tracker)
        for variant in READERS
        for edition, tracker in ((1, "ours"), (2, "ours"), (2, "theirs-2"))
    ),
    *(
        Case(variant=variant, edition=edition, tracker=tracker)
        for variant in OTHERS
        for edition, tracker in ((1, "ours"), (2, "theirs-2"))
    ),
    Case(variant=RECV_2048, edition=1, tracker="ours", crowd=FITTING_CROWD),
    Case(variant=RECV_2048, edition=1, tracker="ours", crowd=5 * FITTING_CROWD),
    *(
        Case(edition=edition, tracker=f"theirs-{edition}", tracker_quirk=quirk)
        for quirk in ("refuse-extra", "float-mtime", "pieces-200")
        for edition in (1, 2)
    ),
    Case(variant=None, edition=2, tracker="theirs-2", tracker_quirk="no-newline"),
    *(
        Case(
            variant=Variant(with_ghost=True), edition=edition, tracker=f"theirs-{edition}", tracker_quirk="dead-forever"
        )
        for edition in (1, 2)
    ),
)
