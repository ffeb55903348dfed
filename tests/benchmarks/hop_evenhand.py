"""One hop on evenhand's transport: an agent that sends each record on, waits for the acks, and is done."""

from adapters.kafka.app import make_app
from adapters.kafka.delivery import Batch
from adapters.kafka.reading import reads
from adapters.kafka.sending import send_rows
from adapters.kafka.settings import KafkaSettings
from evenhand.topics import EVIDENCE, REQUESTS

settings = KafkaSettings.from_environment()
app = make_app(settings, app_id=settings.topic_prefix + "hop")


@reads(app, REQUESTS, name="hop")
async def hop(batch: Batch) -> None:
    """Send on."""
    await send_rows(batch, EVIDENCE, batch.partition, [(record.key, record.value, []) for record in batch.records])
