"""How often an address may present a wrong key: once a second, 5 times a minute, 20 an hour.

Only failures are counted and only failures are refused, so a valid key is never held up by what
others at its address do. Counted in memory: a restart forgets, which costs an attacker nothing
worth having (a secret has 256 random bits).
"""

import ipaddress
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

WINDOWS_S = ((1.0, 1), (60.0, 5), (3600.0, 20))
MAX_ADDRESSES = 10_000


class Attempts:
    """Remember the failures of each address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._told: set[str] = set()
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, address: str) -> float:
        """Note a failure; return for how many seconds further ones are refused (0: this is ok)."""
        now, network = self._clock(), network_of(address)
        with self._lock:
            times = self._failures.setdefault(network, deque(maxlen=WINDOWS_S[-1][1]))
            self._failures.move_to_end(network)
            if len(self._failures) > MAX_ADDRESSES:
                self._failures.popitem(last=False)
            waits = [
                times[-most] + seconds - now
                for seconds, most in WINDOWS_S
                if len(times) >= most and now - times[-most] < seconds
            ]
            if not waits:
                times.append(now)
                self._told.discard(network)
        return max(waits, default=0.0)

    def first_refusal(self, address: str) -> bool:
        """Tell whether this refusal is the first since a failure was let pass: worth a line."""
        network = network_of(address)
        with self._lock:
            first = network not in self._told
            self._told.add(network)
            if len(self._told) > MAX_ADDRESSES:
                self._told.clear()
        return first


def network_of(address: str) -> str:
    """Return what is counted as one: an IPv4 address, or the /64 that one IPv6 host owns."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 6:
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
