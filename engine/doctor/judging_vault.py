"""Judge whether credentials can be handed out and rotated here. Pure."""

from __future__ import annotations

from engine.doctor.facts import VaultFacts
from engine.doctor.finding import Finding, ok, problem, unknown

_CHECK = "vault.keys"


def vault_finding(vault: VaultFacts) -> Finding:
    """Whether every key that credentials are wrapped by is at hand on this machine."""
    number = sum(vault.used.values())
    what = f"{number:,} credential" if number == 1 else f"{number:,} credentials"
    if vault.refused is not None and not vault.is_set_up:
        sentence = f"{what}, and no keyring on this machine, so nothing can be said of the keys from here."
        return unknown(_CHECK, sentence, "Ask where workers and services run.", credentials=number)
    if vault.refused is not None:
        sentence = f"No credential can be handed out here: {vault.refused}".rstrip(".") + "."
        cure = "Do what it says; nothing is lost while the keys are somewhere."
        return problem(_CHECK, sentence, cure, credentials=number)
    missing = sorted(set(vault.used) - vault.known)
    if missing:
        held = sum(vault.used[key_id] for key_id in missing)
        sentence = f"{held:,} of {what} cannot be handed out here: {', '.join(missing)} is not among the keys."
        cure = "Copy the keyring from the machine that rotated, or put the key back from a copy."
        return problem(_CHECK, sentence, cure, credentials=number, missing=missing)
    return ok(_CHECK, f"The keys of {what} are at hand.", credentials=number)
