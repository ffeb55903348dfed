"""Commands and decisions to controls in the request log, unless whoever writes the requests places them."""

import os

from adapters.kafka.running import run
from agents.app import app
from evenhand.processors.control import Control

state = (
    None
    if os.environ.get("EVENHAND_CONTROLS") == "given"
    else run(app, Control, name=Control.name, reads=Control.reads)
)
