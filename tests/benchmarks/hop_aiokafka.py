"""One hop as anyone would write it with aiokafka: fetch, send each record, wait for all acks, commit.

A future per record. The producer is idempotent, with acks of all replicas, 1 MB batches, and the linger that serves it
best; the consumer fetches as much at once as evenhand's.
"""

import asyncio
import os

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from evenhand.topics import EVIDENCE, REQUESTS


async def main() -> None:
    """Copy for ever."""
    servers, prefix = os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["BENCH_PREFIX"]
    target = prefix + EVIDENCE
    consumer = AIOKafkaConsumer(
        prefix + REQUESTS, bootstrap_servers=servers, group_id=prefix + "hop", enable_auto_commit=False,
        auto_offset_reset="earliest", max_partition_fetch_bytes=1 << 20, fetch_max_bytes=8 << 20,
    )  # fmt: skip
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", enable_idempotence=True, max_batch_size=1_000_000,
        max_request_size=1 << 20,
    )  # fmt: skip
    await consumer.start()
    await producer.start()
    while True:
        futures = [
            await producer.send(target, record.value, record.key, place.partition)
            for place, records in (await consumer.getmany(timeout_ms=1000, max_records=4000)).items()
            for record in records
        ]
        if futures:
            await asyncio.gather(*futures)
            await consumer.commit()


if __name__ == "__main__":
    asyncio.run(main())
