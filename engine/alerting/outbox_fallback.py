"""Messages whose channel does not take them: who gets them instead, with a line that says so.

1. The channels of `alerts.fallback`; without any, the others that are told of the same alert; without these, the log.
2. Not those that are broken themselves, nor those that are told of the same step in the alert's life anyway. One that
   stands in for many channels stands in once.
3. Replies go into the thread of the message that stood in for the first one, where there is one. Mailboxes do not get
   what calls nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from engine.alerting import lane_rows
from engine.alerting.action import Action
from engine.alerting.alert_message import AlertMessage
from engine.alerting.effects import EffectKind, Why
from engine.alerting.lane_rows import Lanes
from engine.alerting.outbox import DIGEST, LOG, SUPERSEDED, Receiver, insert_row
from engine.document.store import live_document
from engine.errors import DocumentError
from engine.ledger.queries.channels import shown_target
from engine.ledger.tables import outbox

_STANDS_IN = "|fallback|"
_MOST_CHANNELS = 100
_QUIET = frozenset((EffectKind.THREAD_REPLY, EffectKind.PARENT_EDIT))


@dataclass(frozen=True, slots=True)
class HandedOver:
    """`sent` has the notifications that stand in for a message, by channel; `told` the channels that needed none.

    `threads` has what stands in by channel, whether it was sent now or for another channel before.
    """

    reason: str
    sent: dict[str, str]
    told: tuple[str, ...]
    threads: dict[str, str]

    @property
    def sentence(self) -> str:
        """Why the message itself is dead, and who has it now."""
        parts = [self.reason]
        if self.sent:
            parts.append(f"sent to {', '.join(self.sent)} instead")
        if self.told:
            parts.append(f"told anyway: {', '.join(self.told)}")
        return "; ".join(parts)

    @property
    def receipt(self) -> dict[str, Any]:
        """What later messages need to follow this one."""
        return {"fallback": self.threads}


def fallback_of(connection: Connection, org_id: str) -> tuple[Receiver, ...]:
    """The channels of `alerts.fallback`. Reads the whole document: not for a transaction that writes."""
    try:
        alerts = live_document(connection, org_id).document.alerts
    except DocumentError:
        return ()
    chosen = ((name, alerts.channels[name]) for name in alerts.fallback)
    return tuple(Receiver(name, spec.kind, spec.target, spec.mention) for name, spec in chosen)


def hand_over(
    connection: Connection,
    row: Row[Any],
    first: Row[Any] | None,
    fallback: Sequence[Receiver],
    places: Lanes,
    *,
    reason: str,
    repeat: bool = False,
    tell_all: bool = False,
    whole_kind: bool = False,
) -> HandedOver:
    """Queue an outbox row's message for other channels, in the caller's transaction.

    `first` is the row that it replies to. `repeat`: it may have been sent before. With `tell_all` channels that are
    told the same anyway get it too, marked: it is how they learn that they are the only ones. With `whole_kind` no
    channel of the same type is asked. Raises `UnreadableMessage`.
    """
    action, message = Action(row.action), AlertMessage.from_json(row.message)
    known: dict[str, str] = ((first.receipt if first is not None else None) or {}).get("fallback", {})
    handed = HandedOver(reason, {}, (), {})
    kept_back = action is Action.EDIT
    for receiver in _receivers(connection, row, fallback, places, whole_kind=whole_kind):
        thread = known.get(receiver.name)
        if action is Action.EDIT and (thread is None or receiver.kind != "slack"):
            continue
        if receiver.kind == "email" and _calls_nobody(action, message):
            kept_back = True
            continue
        told = _is_told(connection, row, receiver)
        if told is False:
            # It was lost there before: another place must have it.
            continue
        if told and not tell_all:
            handed = replace(handed, told=(*handed.told, receiver.name))
            continue
        handed = _stand_in(
            connection, row, receiver, thread, _message(row, message, receiver, reason, repeat or bool(told)), handed
        )
    if not (handed.sent or handed.told or kept_back or row.channel_type == LOG.kind):
        handed = _stand_in(connection, row, LOG, None, _message(row, message, LOG, reason, repeat), handed)
    return handed


def first_of(connection: Connection, row: Row[Any]) -> Row[Any] | None:
    """The row that a reply or an edit is about; None for a message of its own."""
    if row.action == Action.POST.value or row.first_notification_id is None:
        return None
    return connection.execute(select(outbox).where(outbox.c.notification_id == row.first_notification_id)).one_or_none()


def _stand_in(
    connection: Connection,
    row: Row[Any],
    receiver: Receiver,
    thread: str | None,
    message: AlertMessage,
    handed: HandedOver,
) -> HandedOver:
    place = hashlib.sha256(f"{receiver.kind} {receiver.target}".encode()).hexdigest()[:16]
    dedupe_key = f"{_step_of(row)}{_STANDS_IN}{place}"
    added = insert_row(
        connection,
        org_id=row.org_id,
        alert_id=row.alert_id,
        channel=receiver.name,
        channel_type=receiver.kind,
        target=receiver.target,
        dedupe_key=dedupe_key,
        action=(Action.POST if thread is None else Action(row.action)).value,
        first_notification_id=thread,
        message=message.to_json(),
        state="queued",
        next_attempt_at=row.created_at,
        created_at=row.created_at,
    )
    if added is not None:
        return replace(
            handed, sent={**handed.sent, receiver.name: added}, threads={**handed.threads, receiver.name: added}
        )
    standing = connection.execute(
        select(outbox.c.notification_id, outbox.c.state).where(outbox.c.dedupe_key == dedupe_key)
    ).one()
    if standing.state == "dead":
        return handed
    threads = {**handed.threads, receiver.name: str(standing.notification_id)}
    return replace(handed, told=(*handed.told, receiver.name), threads=threads)


def _receivers(
    connection: Connection, row: Row[Any], fallback: Sequence[Receiver], places: Lanes, *, whole_kind: bool
) -> list[Receiver]:
    """Those who can take it, each place once."""
    out = lane_rows.broken_lanes(connection) | {(row.channel_type, places.of(row.channel_type, row.target))}
    found: dict[tuple[str, str], Receiver] = {}
    for each in fallback or _others_told(connection, row):
        place = (each.kind, places.of(each.kind, each.target))
        if place not in out and not (whole_kind and each.kind == row.channel_type):
            found.setdefault(place, each)
    return list(found.values())


def _others_told(connection: Connection, row: Row[Any]) -> list[Receiver]:
    if row.alert_id is None:
        return []
    others = connection.execute(
        select(outbox.c.channel, outbox.c.channel_type, outbox.c.target)
        .where(
            outbox.c.alert_id == row.alert_id,
            outbox.c.action == Action.POST.value,
            outbox.c.state.not_in(("suppressed", "dead")),
        )
        .distinct()
        .order_by(outbox.c.channel)
        .limit(_MOST_CHANNELS)
    )
    return [Receiver(*other) for other in others]


def _is_told(connection: Connection, row: Row[Any], receiver: Receiver) -> bool | None:
    """Whether the same step in the alert's life is told there anyway; False: it could not be. None: nobody tried."""
    step = _step_of(row)
    if row.alert_id is None:
        same = [outbox.c.dedupe_key == f"{step}|{receiver.name}"]
    else:
        same = [outbox.c.alert_id == row.alert_id, outbox.c.dedupe_key.startswith(f"{step}|", autoescape=True)]
    said_otherwise = or_(outbox.c.error == SUPERSEDED, outbox.c.error.startswith(DIGEST, autoescape=True))
    states = connection.execute(
        select(outbox.c.state)
        .where(
            *same,
            outbox.c.channel_type == receiver.kind,
            outbox.c.target == receiver.target,
            or_(outbox.c.state != "suppressed", said_otherwise),
            outbox.c.notification_id != row.notification_id,
        )
        .limit(_MOST_CHANNELS)
    ).scalars()
    found = states.all()
    return any(state != "dead" for state in found) if found else None


def _step_of(row: Row[Any]) -> str:
    """What the messages of one step have in common: their keys, up to the channel's name."""
    step, stands_in, _ = str(row.dedupe_key).partition(_STANDS_IN)
    return step if stands_in else step.removesuffix(f"|{row.channel}")


def _calls_nobody(action: Action, message: AlertMessage) -> bool:
    return action is Action.REPLY and message.kind in _QUIET and message.why != Why.SEVERITY_ROSE


def _message(row: Row[Any], message: AlertMessage, receiver: Receiver, reason: str, repeat: bool) -> AlertMessage:
    meant_for = shown_target(row.target) or row.channel
    return replace(
        message,
        details=(*message.details, f"This was meant for {meant_for}, which did not take it: {reason}."),
        mention=receiver.mention if message.mention is not None else None,
        possible_repeat=message.possible_repeat or repeat,
    )
