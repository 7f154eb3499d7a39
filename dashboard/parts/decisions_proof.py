"""The proof of one decision: its events in the organization's hash chain, recomputed when they are shown."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from dashboard.wording import plain, plural
from engine.ledger.proof import EventProof
from engine.ledger.queries.decisions import RecordedEvent

NOT_PROVED = "Not proved"


def hash_proof(events: Sequence[RecordedEvent], proofs: Sequence[EventProof]) -> None:
    """Each event with its hash and the one before it, and whether it is what was written."""
    st.markdown("**Recorded**")
    if not events:
        st.caption("No events are kept for this decision: retention has dropped their month, or it was not recorded.")
        return
    sentence, good = verdict(proofs)
    if good:
        st.success(plain(sentence), icon=":material/verified:")
    else:
        st.error(plain(sentence), title=NOT_PROVED, icon=":material/gpp_bad:")
    by_seq = {proof.seq: proof for proof in proofs}
    st.dataframe(
        [
            {
                "No.": event.seq,
                "Event": event.kind,
                "At (UTC)": f"{event.at:%d %b %H:%M:%S.%f}"[:-3],
                "Hash": event.hash,
                "Hash before": _of(by_seq.get(event.seq)),
                "Month": by_seq[event.seq].partition if event.seq in by_seq else "–",
            }
            for event in events
        ],
        hide_index=True,
        key="decision_events",
        alt="Events of this decision in the order of recording, with their hashes",
        column_config={name: st.column_config.TextColumn(width=110) for name in ("Hash", "Hash before")},
    )
    st.caption("`bursar audit verify` proves the whole chain, against a signed head if there is one.")


def verdict(proofs: Sequence[EventProof]) -> tuple[str, bool]:
    """A sentence on the proof, and whether it holds."""
    wrong = next((proof.problem for proof in proofs if proof.problem is not None), None)
    if wrong is not None:
        return f"{wrong[:1].upper()}{wrong[1:]}.", False
    months = " and ".join(sorted({proof.partition for proof in proofs}))
    return f"Proved: {plural(len(proofs), 'hash', 'hashes')} recomputed just now, in the chain of {months}.", True


def _of(proof: EventProof | None) -> str:
    return "–" if proof is None or not proof.previous else proof.previous
