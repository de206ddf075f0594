"""Whether a board is what the ledger says that it was given, and well."""

from typing import List, NamedTuple, Optional

from .canonical import hexadecimal
from .accounts import MODES
from .ledger import Given


_NETWORK = "its network and registration"


class Proof(NamedTuple):
    """What came of looking at a board."""

    proved: List[str]
    left: List[str]  # what was not looked at, or not compared
    faults: List[str]  # sentences without their beginning, "The board … "


def compare(
    status: dict, tested: List[str], given: Optional[Given], record: Optional[dict]
) -> Proof:
    """status, tested: what the board says. given, record: what the ledger does, where there is one."""
    proof = Proof(list(tested), [_NETWORK], [])
    guard = status.get("guard")
    if guard is None:
        proof.left.append("whether it has crashed")
    elif guard.get("crash"):
        what = guard["crash"][0]
        proof.faults.append(f"has crashed ({what}): `status` shows where, `erase` forgets it.")
    else:
        proof.proved.append("no crash")
    if status["fault"]:
        proof.faults.append(f"cannot use its accounts: {status['fault']}.")
    if record is None or given is None:
        proof.left.append("what it was given")
        return proof
    if given.endpoint != status["endpoint"]:
        proof.faults.append(f"was given {given.endpoint}, but has {status['endpoint']}.")
    if given.mac and status["mac"] and hexadecimal(given.mac) != hexadecimal(status["mac"]):
        proof.faults.append(f"had the MAC {given.mac}, and has {status['mac']}.")
    # Its keys and settings: the factory copy, whole.
    if record.get("sha256") is None:
        proof.left.append("keys and settings, which the ledger does not have of it")
    elif record["sha256"] != status["sha256"]:
        proof.faults.append("has another configuration than it was given.")
    else:
        proof.proved.append("what was given")
    _accounts(status, record, proof)
    return proof


def registered(proof: Proof, server: str) -> None:
    """Note that it has registered."""
    proof.left.remove(_NETWORK)
    proof.proved.append(f"its registration with {server}")


def _accounts(status: dict, record: dict, proof: Proof) -> None:
    # Those that it uses, which servers may have changed since.
    wanted = sorted(
        (each.get("short_id") or 0, each["uri"], MODES[each["security"]["mode"]])
        for each in record["accounts"]
    )
    found = sorted(
        (each["short_id"] or 0, each["uri"], each["mode"]) for each in status["accounts"]
    )
    if found == wanted:
        proof.proved.append("its servers")
    elif wanted and wanted[0][0] == 0:
        proof.left.append("its servers, as a bootstrap server has given it others")
    else:
        proof.faults.append("has other servers than it was given: `reset` brings those back.")
