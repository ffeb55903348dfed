"""What programs use: send events, read them, give commands.

    from evenhand.client import Producer, now_ms, subscribe
    from evenhand.events import PredictionRequested

    async with Producer() as producer:
        await producer.send(
            PredictionRequested(id="r-1", time=now_ms(), key="BTC-USD", model="btc-usd-1h", features=[...])
        )

    for event in subscribe("decisions.v1", from_="earliest"):
        print(event.action, event.reasons)

The broker is the one that KAFKA_BOOTSTRAP_SERVERS names (with the other KAFKA_* settings), else the one that
`evenhand up` has started in this folder.
"""

from evenhand.client.commands import NoAnswer, Refused, give, give_command
from evenhand.client.identity import new_id, now_ms, who
from evenhand.client.produce import BlockingProducer, Place, Producer, produce
from evenhand.client.start import Start, parse_start
from evenhand.client.subscribe import Received, receive, subscribe, subscribe_async

__all__ = [
    "BlockingProducer",
    "NoAnswer",
    "Place",
    "Producer",
    "Received",
    "Refused",
    "Start",
    "give",
    "give_command",
    "new_id",
    "now_ms",
    "parse_start",
    "produce",
    "receive",
    "subscribe",
    "subscribe_async",
    "who",
]
