"""`kill -9` while deliveries flow, and receivers that never answer: all arrive, and in time."""

import random
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
import receiver
from delivering import (
    SECRETS,
    WAIT_S,
    account_of,
    delivering,
    hooked,
    real_sender,
    rows,
    tell_all,
    until,
)
from running_box import RunningServer, running, successive
from running_deliverer import deliverer_process

from appliance.secret import WEBHOOK_SECRETS, load
from appliance.store.database import Database
from appliance.store.entities import DeliveryState
from appliance.webhook_secrets import WebhookSecrets
from scheduler.lanes import Lane

ENDPOINTS = 8


@contextmanager
def box_process(run_next: Callable[[], RunningServer]) -> Iterator[subprocess.Popen]:
    """Run the whole box; it looks for what another process committed each second."""
    with run_next() as box:
        assert box.url
        yield box.process


def storm(
    tmp_path, kills: int, events: int, seed: int, run=deliverer_process, secrets=SECRETS, life_s=0.5
) -> None:
    """Kill the process that delivers so often, while so many events are told of."""
    chance, path = random.Random(seed), tmp_path / "scribebox.db"
    database = Database(path)
    account = account_of(database)
    with receiver.receiving() as there:
        moods = ["ok", "slow?s=0.02", "slow?s=0.05", "slow?s=0.1"] * 2
        urls = [there.url(f"/{n}") for n in range(ENDPOINTS)]
        hooks = hooked(database, account, *urls, secrets=secrets)
        for number, mood in enumerate(moods):
            there.set(f"/{number}", mood)
        killed: list[float] = []
        share = [events // kills + (n < events % kills) for n in range(kills)]
        for count in share:
            with run(path) as process:
                for _ in range(count):
                    tell_all(database, account)
                    time.sleep(chance.uniform(0, life_s / count))
                process.kill()
                process.wait(WAIT_S)
                killed.append(time.time())
        with run(path):
            until(lambda: all(r.state is DeliveryState.DELIVERED for r in rows(database)), 600)
        arrived = list(zip(there.received(), there.arrivals(), strict=True))
    check(rows(database), hooks, arrived, killed)
    assert len(rows(database)) == events * ENDPOINTS
    database.close()


def check(stored, hooks, arrived, killed) -> None:
    """Check that all has arrived, and who got what again, and how often."""
    sent: dict[str, set[bytes]] = defaultdict(set)
    again = Counter[str]()
    for one, at in arrived:
        number = one.headers["webhook-id"]
        if number in sent:
            again[one.path] += 1
            kills = sum(moment <= at for moment in killed)
            assert again[one.path] <= kills, f"{again[one.path]} extra at {one.path}, {kills} kills"
        sent[number].add(one.body)
    assert sent.keys() == {row.id for row in stored}
    assert all(len(bodies) == 1 for bodies in sent.values())
    paths = {row.id: f"/{hooks.index(row.webhook_id)}" for row in stored}
    assert all(paths[one.headers["webhook-id"]] == one.path for one, _ in arrived)
    print(f"{len(killed)} kills, {len(sent)} deliveries, again: {dict(again)}", file=sys.stderr)


@pytest.mark.long
def test_kill_9_loses_no_delivery_and_sends_at_most_one_again_to_each_endpoint(tmp_path):
    storm(tmp_path, kills=1, events=12, seed=1)


@pytest.mark.long
def test_kill_9_over_and_over_while_500_deliveries_flow(tmp_path):
    storm(tmp_path, kills=15, events=63, seed=2)


@pytest.mark.long
def test_kill_9_of_the_whole_box_fifty_times_while_500_deliveries_flow(tmp_path):
    with running("--port", "0", "--data", str(tmp_path), SCRIBEBOX_MODEL="absent") as box:
        assert box.url
    secrets = WebhookSecrets(load(tmp_path / "secret").key(WEBHOOK_SECRETS))
    options = {"SCRIBEBOX_MODEL": "absent", "SCRIBEBOX_WEBHOOK_ALLOW": "127.0.0.0/8"}
    with successive("--port", "0", "--data", str(tmp_path), **options) as run_next:
        storm(tmp_path, 50, 63, 3, lambda _: box_process(run_next), secrets, life_s=2.4)


@pytest.mark.long
def test_twenty_receivers_that_never_answer_delay_twenty_healthy_ones_by_less_than_2_s(tmp_path):
    database = Database(tmp_path / "scribebox.db")
    account = account_of(database)
    with ExitStack() as stack:
        there = stack.enter_context(receiver.receiving())
        dead = [there.url(f"/never/{n}") for n in range(20)]
        healthy = [there.url(f"/ok/{n}") for n in range(20)]
        hooked(database, account, *dead, *healthy)  # the dead ones come first in every way
        deliverer = stack.enter_context(delivering(database, real_sender()))
        taken = []
        for number in range(40):  # over their first three tries and beyond
            told = time.time()
            tell_all(database, account)
            wanted = 20 * (number + 1)
            until(lambda wanted=wanted: deliverer.stats().delivered >= wanted)
            arrivals = dict(
                zip((one.path for one in there.received()), there.arrivals(), strict=False)
            )
            taken += [at - told for path, at in arrivals.items() if path.startswith("/ok/")]
            time.sleep(1.2)
            deliverer.wake()
        until(lambda: deliverer.stats().in_flight[Lane.SLOW] == 2)  # one may just have ended
        assert deliverer.stats().failed > 0
    p95 = statistics.quantiles(taken, n=20)[-1]
    print(f"p50 {statistics.median(taken):.3f} s, p95 {p95:.3f} s, most {max(taken):.3f} s",
          file=sys.stderr)  # fmt: skip
    assert len(taken) == 800 and p95 < 2
    database.close()
